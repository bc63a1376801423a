"""What makes Argo CD or Flux apply an environment, in the order in which models, monitoring and traffic have to come.

Each experiment is applied on its own: a model that does not start holds back its own experiment's traffic, and never
another's. docs/gitops.md says why each setting is as it is, and cites what it rests on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator import kserve, names
from generator.manifest import ObjectId, Planned
from generator.repository import AREAS, folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.domain.model import Environment, Experiment, GitOps

_KUSTOMIZATION = "kustomize.toolkit.fluxcd.io/v1"
_RBAC = "rbac.authorization.k8s.io"


class Allowed(NamedTuple):
    """A kind of object, and its name in the address of the API."""

    group: str
    kind: str
    resource: str


# What experiments consist of, in whatever way an environment is set up: when that changes, the old kind has to be
# deleted, which takes the same right.
_DELIVERED = (
    Allowed("", "ConfigMap", "configmaps"),
    Allowed("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
    Allowed("grafana.integreatly.org", "GrafanaDashboard", "grafanadashboards"),
    Allowed("monitoring.coreos.com", "PodMonitor", "podmonitors"),
    Allowed("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
    Allowed("monitoring.coreos.com", "ServiceMonitor", "servicemonitors"),
    Allowed("serving.knative.dev", "Route", "routes"),
    Allowed("serving.kserve.io", "InferenceService", "inferenceservices"),
)
# What a health check of Flux reads (fluxcd/cli-utils: pkg/kstatus/polling/statusreaders).
_CHECKED = (
    Allowed("", "Pod", "pods"),
    Allowed("apps", "Deployment", "deployments"),
    Allowed("apps", "ReplicaSet", "replicasets"),
    Allowed("serving.knative.dev", "Service", "services"),
)
# What else KServe makes of a model: Argo CD's tree hides what the project does not allow (argo-cd: controller/
# appcontroller.go, getResourceTree).
_SHOWN = (
    Allowed("", "Service", "services"),
    Allowed("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Allowed("serving.knative.dev", "Configuration", "configurations"),
    Allowed("serving.knative.dev", "Revision", "revisions"),
)
# Of the Git generator's parameters, the one that holds the name of a folder (argo-cd: Generators-Git.md).
_FOLDER = "{{ .path.basename }}"


class Health(NamedTuple):
    """An object that has to be healthy before traffic is routed to it."""

    api_version: str
    kind: str
    name: str


def per_experiment(tool: GitOps) -> bool:
    """Say whether each experiment has files of its own: Argo CD finds experiments by itself, Flux has to be told."""
    return tool.tool == "flux"


def of_environment(environment: Environment, tool: GitOps, place: str, source: str) -> Iterator[Planned]:
    """Plan the environment's own objects."""
    name = names.delivery(environment.name)
    if tool.tool == "argocd":
        if not tool.project:
            yield _planned(
                place,
                "appproject.yaml.j2",
                ObjectId("argoproj.io/v1alpha1", "AppProject", tool.namespace, name),
                {
                    "tool": tool,
                    "destination": environment.namespace,
                    "kinds": sorted((*_DELIVERED, *_CHECKED, *_SHOWN)),
                },
                source,
            )
        yield _planned(
            place,
            "applicationset.yaml.j2",
            ObjectId("argoproj.io/v1alpha1", "ApplicationSet", tool.namespace, name),
            {
                "tool": tool,
                "project": tool.project or name,
                "found": f"{_path(tool, folder(environment.name, AREAS[0]))}/*",
                "application": f"{environment.name}.{_FOLDER}",
                "destination": environment.namespace,
                "paths": tuple(_path(tool, folder(environment.name, area, _FOLDER)) for area in AREAS),
            },
            source,
        )
        return
    yield _planned(
        place,
        "gitrepository.yaml.j2",
        ObjectId("source.toolkit.fluxcd.io/v1", "GitRepository", tool.namespace, name),
        {"tool": tool},
        source,
    )
    yield _planned(
        place,
        "fluxkustomization.yaml.j2",
        ObjectId(_KUSTOMIZATION, "Kustomization", tool.namespace, name),
        _applied(environment, tool, place, kept=True),
        source,
    )
    if not tool.service_account:
        yield from _account(environment, tool, place, name, source)


def _account(environment: Environment, tool: GitOps, place: str, name: str, source: str) -> Iterator[Planned]:
    """Plan an account that may write what experiments consist of, in the environment's namespace and nowhere else."""
    values: dict[str, object] = {"home": tool.namespace, "written": _DELIVERED, "read": _CHECKED}
    for identity in (
        ObjectId("v1", "ServiceAccount", tool.namespace, name),
        ObjectId(f"{_RBAC}/v1", "Role", environment.namespace, name),
        ObjectId(f"{_RBAC}/v1", "RoleBinding", environment.namespace, name),
    ):
        yield _planned(place, f"{identity.kind.lower()}.yaml.j2", identity, values, source)


def of_experiment(experiment: Experiment, environment: Environment, tool: GitOps, place: str) -> Iterator[Planned]:
    """Plan what Flux needs for one experiment, an area each; nothing for another tool."""
    if not per_experiment(tool):
        return
    models, traffic, _monitoring = AREAS
    for area in AREAS:
        values = _applied(environment, tool, folder(environment.name, area, experiment.name))
        if area == models:
            values["health"] = tuple(_health(experiment, environment))
        if area == traffic:
            # The environment's own comes first, for it brings the list of what has to be healthy in this revision.
            before = (names.delivery(environment.name), names.delivery(environment.name, experiment.name, models))
            values["before"] = before
        yield _planned(
            place,
            "fluxkustomization.yaml.j2",
            ObjectId(
                _KUSTOMIZATION,
                "Kustomization",
                tool.namespace,
                names.delivery(environment.name, experiment.name, area),
            ),
            values | {"account": tool.service_account or names.delivery(environment.name)},
            experiment.source,
        )


def _applied(environment: Environment, tool: GitOps, place: str, *, kept: bool = False) -> dict[str, object]:
    """Return the values of a Flux Kustomization; `kept` ones are pruned by nobody, not even by themselves."""
    return {
        "source": names.delivery(environment.name),
        "path": f"./{_path(tool, place)}",
        "kept": kept,
        "before": (),
        "health": (),
        "account": "",
        "namespace": environment.namespace,
    }


def _health(experiment: Experiment, environment: Environment) -> Iterator[Health]:
    """Name what serves each variant that gets traffic; a sick variant without traffic must not hold back a rollback.

    Not the InferenceService: KServe copies its status.observedGeneration from the Deployment or the Knative Service
    (inference_service_status.go, PropagateRawStatus), so it differs from metadata.generation as soon as an autoscaler
    acts. Flux takes that for unfinished, whatever healthCheckExprs say (fluxcd/pkg: runtime/cel/status_evaluator.go).
    """
    standard = environment.mode == kserve.STANDARD
    for variant in experiment.serving:
        name = f"{names.isvc(experiment.name, variant.name)}-predictor"
        yield Health("apps/v1", "Deployment", name) if standard else Health("serving.knative.dev/v1", "Service", name)


def _path(tool: GitOps, place: str) -> str:
    return f"{tool.path}/{place}" if tool.path else place


def _planned(place: str, template: str, identity: ObjectId, values: dict[str, object], source: str) -> Planned:
    return Planned(f"{place}/{names.manifest_file(identity.kind, identity.name)}", template, identity, values, source)
