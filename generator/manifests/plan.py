"""An experiment in an environment becomes the list of files to render: Python decides, templates lay out."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from generator import kserve, names
from generator.domain.model import Environment, Experiment, Pairs, Variant
from generator.manifest import ObjectId, Planned
from generator.manifests import alerting, dashboard
from generator.manifests.figures import Figures
from generator.manifests.queries import Queries
from generator.repository import AREAS, LISTING, delivery, environment_file, folder
from generator.routing import BACKENDS


def models(experiment: Experiment, environment: Environment) -> tuple[Planned, ...]:
    """Return the files of the model servers, and those that make Flux apply the experiment."""
    planned = tuple(_area("models", _models, experiment, environment))
    tool = environment.gitops
    if tool is None:
        return planned
    from generator.manifests import gitops  # noqa: PLC0415 (most environments declare no tool)

    place = delivery(environment.name, experiment.name)
    return (*planned, *_closed(place, gitops.of_experiment(experiment, environment, tool, place), experiment.source))


def traffic(experiment: Experiment, environment: Environment) -> tuple[Planned, ...]:
    """Return the files of the route. What they depend on is `prototypes`' business too."""
    return tuple(_area("traffic", _traffic, experiment, environment))


def monitoring(experiment: Experiment, environment: Environment, figures: Figures | None = None) -> tuple[Planned, ...]:
    """Return the files that measure; `figures` are the experiment's numbers, if not as they are.

    What they depend on is `prototypes`' business too.
    """

    def plan(experiment: Experiment, environment: Environment, place: str) -> Iterator[Planned]:
        return _monitoring(experiment, environment, place, Queries(experiment, environment, figures))

    return tuple(_area("monitoring", plan, experiment, environment))


def _area(
    area: str,
    plan: Callable[[Experiment, Environment, str], Iterator[Planned]],
    experiment: Experiment,
    environment: Environment,
) -> Iterator[Planned]:
    place = folder(environment.name, area, experiment.name)
    return _closed(place, plan(experiment, environment, place), experiment.source)


def _closed(place: str, plan: Iterator[Planned], source: str, folders: tuple[str, ...] = ()) -> Iterator[Planned]:
    """Plan the objects of a folder, and the kustomization.yaml that lists them; nothing if there are none."""
    objects = tuple(plan)
    if objects:
        yield from objects
        yield kustomization(place, (*(one.path.rpartition("/")[2] for one in objects), *folders), source)


def listings(environment: str, experiments: tuple[str, ...]) -> tuple[Planned, ...]:
    """Plan the kustomization.yaml of each area and of all together; none where there is nothing to list."""
    if not experiments:
        return ()
    source = environment_file(environment)
    areas = [kustomization(folder(environment, area), experiments, source) for area in AREAS]
    return (*areas, kustomization(folder(environment), AREAS, source))


def bootstrap(environment: Environment, experiments: tuple[str, ...]) -> tuple[Planned, ...]:
    """Plan what makes Argo CD or Flux apply an environment, and the list of it; nothing if no tool is declared.

    `experiments` are those that add something of their own to it.
    """
    tool = environment.gitops
    if tool is None:
        return ()
    from generator.manifests import gitops  # noqa: PLC0415 (as above)

    place, source = delivery(environment.name), environment_file(environment.name)
    added = experiments if gitops.per_experiment(tool) else ()
    return tuple(_closed(place, gitops.of_environment(environment, tool, place, source), source, added))


def kustomization(place: str, resources: Iterable[str], source: str) -> Planned:
    """Plan the list of a folder's files or sub-folders."""
    return Planned(
        f"{place}/{LISTING}",
        "kustomization.yaml.j2",
        ObjectId("kustomize.config.k8s.io/v1beta1", "Kustomization"),
        {"resources": tuple(resources)},
        source,
    )


def _models(experiment: Experiment, environment: Environment, place: str) -> Iterator[Planned]:
    for variant in experiment.variants:
        name = names.isvc(experiment.name, variant.name)
        yield Planned(
            f"{place}/{names.manifest_file('InferenceService', name)}",
            "inferenceservice.yaml.j2",
            ObjectId("serving.kserve.io/v1beta1", "InferenceService", environment.namespace, name),
            _serving(experiment, variant, environment),
            experiment.source,
            variant.patch,
        )


def _serving(experiment: Experiment, variant: Variant, environment: Environment) -> dict[str, Any]:
    """Return what the InferenceService says, in the form in which KServe's webhook leaves it, or Argo CD differs."""
    standard = environment.mode == kserve.STANDARD
    runtime = variant.runtime
    identity = ((names.EXPERIMENT_LABEL, experiment.name), (names.VARIANT_LABEL, variant.name))
    visibility = names.VISIBILITY_LABEL if standard else names.KNATIVE_VISIBILITY_LABEL
    fixed = variant.replicas.minimum == variant.replicas.maximum
    annotations: Pairs = ((names.DEPLOYMENT_MODE, environment.mode), names.PRUNE_LAST)
    if standard:
        # Without the class the webhook checks nothing of the autoscaler's settings (inference_service_validation.go).
        annotations = (*annotations, (names.AUTOSCALER_CLASS, "none" if fixed else "hpa"))
    if environment.kserve >= (0, 17):
        # The webhook adds it, and never updates it when the format changes (inference_service_defaults.go).
        annotations = (*annotations, ("modelFormat", variant.format))
    argument = f"{runtime.name_argument}={experiment.model_name}" if runtime.name_argument else ""
    env = ((runtime.name_env, experiment.model_name), *variant.env) if runtime.name_env else variant.env
    # Knative takes one port only. In Standard mode a second one makes metrics scrapable that have their own.
    extra = standard and runtime.metrics_port != runtime.port
    return {
        "labels": tuple(sorted((*identity, (visibility, "cluster-local")))),
        "annotations": tuple(sorted(annotations)),
        "pod_labels": tuple(sorted((*identity, (names.ENDPOINT_LABEL, variant.name), *variant.pod_labels))),
        "variant": variant,
        "protocol": "v2" if variant.protocol == "openai" else variant.protocol,
        "args": (argument, *variant.args) if argument else variant.args,
        "env": env,
        "ports": (("http1", runtime.port), *((("metrics", runtime.metrics_port),) if extra else ())),
        "scale_metric": variant.replicas.metric or ("cpu" if standard and variant.replicas.target else ""),
    }


def _traffic(experiment: Experiment, environment: Environment, place: str) -> Iterator[Planned]:
    return BACKENDS[environment.routing.backend].planned(experiment, environment, place)


def _monitoring(experiment: Experiment, environment: Environment, place: str, queries: Queries) -> Iterator[Planned]:
    if endpoints := _endpoints(experiment, environment):
        yield _monitor(experiment, environment, place, endpoints)
    name = names.route(experiment.name)
    yield Planned(
        f"{place}/{names.manifest_file('PrometheusRule', name)}",
        "prometheusrule.yaml.j2",
        ObjectId("monitoring.coreos.com/v1", "PrometheusRule", environment.namespace, name),
        {
            "labels": environment.monitoring.labels,
            "group": f"{environment.namespace}-{experiment.name}",
            "interval": environment.monitoring.interval,
            "rules": alerting.rules(experiment, environment, queries),
        },
        experiment.source,
    )
    if environment.monitoring.dashboard.output != "none":
        yield _dashboard(experiment, environment, queries, place)


class Endpoint(NamedTuple):
    """What is scraped: the monitor's field that selects a port, the port's number or name, and the path.

    `variants` is a regular expression of those that serve it, or "" if none else has such a port.
    """

    select: str
    port: int | str
    path: str
    variants: str = ""


def _monitor(experiment: Experiment, environment: Environment, place: str, endpoints: tuple[Endpoint, ...]) -> Planned:
    kind, name = environment.monitoring.monitor, names.route(experiment.name)
    return Planned(
        f"{place}/{names.manifest_file(kind, name)}",
        "monitor.yaml.j2",
        ObjectId("monitoring.coreos.com/v1", kind, environment.namespace, name),
        {
            "labels": environment.monitoring.labels,
            "experiment": experiment.name,
            "field": "endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints",
            "endpoints": endpoints,
            "variant_label": names.meta_label(names.VARIANT_LABEL),
            "interval": environment.monitoring.interval,
            "relabelings": (
                (names.meta_label(names.EXPERIMENT_LABEL), "experiment"),
                (names.meta_label(names.VARIANT_LABEL), "variant"),
            ),
        },
        experiment.source,
    )


def _endpoints(experiment: Experiment, environment: Environment) -> tuple[Endpoint, ...]:
    """Return the model containers' own ports that have metrics, and none that another variant would answer with 404.

    By number and not by the Service's port: with a logger the Service leads to KServe's agent, which would log every
    scrape as an inference. Knative names the ports itself (knative/serving: pkg/reconciler/revision/resources).
    """
    knative = environment.mode == kserve.KNATIVE
    serving: dict[tuple[int, str], list[str]] = {}
    for variant in experiment.variants:
        chosen = variant.runtime
        if chosen.scrapable(environment.mode):
            serving.setdefault((chosen.metrics_port, chosen.metrics_path), []).append(variant.name)
    select = "targetPort" if environment.monitoring.monitor == "ServiceMonitor" else "portNumber"
    found = [Endpoint("port", "http-usermetric", "/metrics")] if knative else []
    for (port, path), variants in sorted(serving.items()):
        alone = not any(
            knative or port in (one.runtime.port, one.runtime.metrics_port)
            for one in experiment.variants
            if one.name not in variants
        )
        those = "" if alone else "|".join(sorted(variants))
        found.append(Endpoint("port", "user-port", path, those) if knative else Endpoint(select, port, path, those))
    return tuple(found)


def _dashboard(experiment: Experiment, environment: Environment, queries: Queries, place: str) -> Planned:
    output = environment.monitoring.dashboard
    kind = "ConfigMap" if output.output == "configMap" else "GrafanaDashboard"
    api = "v1" if kind == "ConfigMap" else "grafana.integreatly.org/v1beta1"
    name = f"{experiment.name}-dashboard"
    return Planned(
        f"{place}/{names.manifest_file(kind, name)}",
        f"{kind.lower()}.yaml.j2",
        ObjectId(api, kind, environment.namespace, name),
        {
            "output": output,
            "key": f"{environment.namespace}-{experiment.name}.json",
            "uid": names.dashboard_uid(environment.namespace, experiment.name, environment.cluster),
            "title": names.dashboard_title(environment.namespace, experiment.name, environment.name),
            "experiment": experiment,
            "panels": dashboard.panels(experiment, queries),
            "colours": dashboard.colours(experiment),
            "tolerated": dashboard.TOLERATED,
            "changes": queries.weight_changes(),
            "interval": environment.monitoring.interval,
        },
        experiment.source,
    )
