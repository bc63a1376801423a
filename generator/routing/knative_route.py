"""Knative mode: one standalone Knative Route over the Configurations that KServe makes (serving.knative.dev/v1).

KServe's Knative Service `<isvc>-predictor` owns a Configuration of the same name, so the route needs no revision names
and Git holds everything. A Route that no Service owns may use any Configuration of its namespace
(knative/serving: pkg/reconciler/route/traffic/traffic.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import kserve, names
from generator.manifest import ObjectId, Planned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment
    from generator.problems import Problem

MODE = kserve.KNATIVE


def environment_problems(document: Document, environment: Environment) -> list[Problem]:
    """In Knative mode only pods can be scraped: the Services lead to Knative's gateway."""
    if environment.monitoring.monitor == "PodMonitor":
        return []
    return [
        document.problem(
            "PS404",
            ("spec", "monitoring", "monitor"),
            "in Knative mode a ServiceMonitor finds nothing: the Services are Knative's own and lead to its gateway",
            "write `monitor: PodMonitor`",
        )
    ]


def experiment_problems(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """Knative gives a Route its host, and copies no requests."""
    found = []
    if experiment.shadow:
        found.append(
            document.problem(
                "PS315",
                ("spec", "shadow"),
                "the backend knative-route cannot copy requests",
                "remove shadow, or use the backend gateway-api",
                key=True,
            )
        )
    if experiment.hostname != names.host(experiment.name, environment.routing.domain):
        found.append(
            document.problem(
                "PS321",
                ("spec", "hostname"),
                "Knative gives every Route its host from its own domain template",
                "remove hostname, or map it with a Knative DomainMapping",
            )
        )
    return found


def hostnames(experiment: Experiment, environment: Environment) -> tuple[str, ...]:
    """Return the host of Knative's default domain template, and one for each tag."""
    route = names.route(experiment.name)
    place = f"{environment.namespace}.{environment.routing.domain}"
    return (f"{route}.{place}", *(f"{v.name}-{route}.{place}" for v in experiment.variants))


def paths(experiment: Experiment) -> tuple[str, ...]:
    """Return the paths of all protocols that the server speaks, for a Route lets every path through."""
    runtime, model = experiment.control.runtime, experiment.model_name
    return tuple(path for protocol in runtime.protocols for path in kserve.paths(protocol, runtime, model))


def planned(experiment: Experiment, environment: Environment, folder: str) -> Iterator[Planned]:
    """Plan the Route. Every variant is listed, for its tag is the way to reach it at 0 percent."""
    name = names.route(experiment.name)
    yield Planned(
        f"{folder}/{names.manifest_file('Route', name)}",
        "route.yaml.j2",
        ObjectId("serving.knative.dev/v1", "Route", environment.namespace, name),
        {
            "targets": [
                (variant.name, kserve.service(names.isvc(experiment.name, variant.name)), variant.traffic)
                for variant in experiment.variants
            ]
        },
        experiment.source,
    )
