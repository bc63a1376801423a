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
# Of the Git generator's parameters, the one that holds the name of a folder (argo-cd: Generators-Git.md).
_FOLDER = "{{ .path.basename }}"


class Health(NamedTuple):
    """An object that has to be healthy before traffic is routed to it."""

    api_version: str
    kind: str
    name: str


def per_experiment(environment: Environment) -> bool:
    """Say whether each experiment has files of its own: Argo CD finds experiments by itself, Flux has to be told."""
    return environment.gitops is not None and environment.gitops.tool == "flux"


def of_environment(environment: Environment, place: str, source: str) -> Iterator[Planned]:
    """Plan the environment's own objects; none if it declares no tool."""
    tool = environment.gitops
    if tool is None:
        return
    name = names.delivery(environment.name)
    if tool.tool == "argocd":
        yield _planned(
            place,
            "applicationset.yaml.j2",
            ObjectId("argoproj.io/v1alpha1", "ApplicationSet", tool.namespace, name),
            {
                "tool": tool,
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


def of_experiment(experiment: Experiment, environment: Environment, place: str) -> Iterator[Planned]:
    """Plan what Flux needs for one experiment, an area each; nothing for another tool."""
    tool = environment.gitops
    if tool is None or not per_experiment(environment):
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
            values | {"account": tool.service_account},
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
