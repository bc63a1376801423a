"""Rules on what counts and measures: what one model server exposes says nothing about another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import kserve
from generator.domain.experiments import setting
from generator.domain.sources import SOURCES, exposed

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment, Variant
    from generator.problems import Problem


def requests(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """A variant whose requests nothing counts seems to get none: shares and alerts on them would be wrong."""
    source = experiment.requests.source
    declared = ("spec", "requests", "use")
    if not experiment.requests.series:
        path = setting(document, experiment.control.name, "runtime")
        message = f"{experiment.control.runtime.name} exposes no counter of requests that Penstock knows"
    elif blind := _without(experiment, source):
        path = declared if document.has(declared) else setting(document, blind[0].name, "runtime")
        message = f"requests are counted by {source}, which {_servers(blind)} not expose"
    else:
        return []
    fix = "count where all requests pass, for example `requests: {use: istio}`, or use one kind of server"
    return [document.problem("PS361", path, message, fix)]


def endpoints(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """One monitor scrapes all variants: at a port it asks for one path, and would miss whoever serves another there."""
    seen: dict[int, Variant] = {}
    found = []
    for variant in experiment.variants:
        path = variant.runtime.metrics_path
        port = variant.runtime.metrics_port if environment.mode == kserve.STANDARD else 0
        first = seen.setdefault(port, variant)
        if first.runtime.metrics_path != path:
            message = (
                f"`{variant.name}` has its metrics at {path} and `{first.name}` at {first.runtime.metrics_path} of the "
                "same port, but a monitor asks all pods for one path"
            )
            fix = "use one kind of server, or a runtime with a metricsPort of its own"
            found.append(document.problem("PS363", setting(document, variant.name, "runtime"), message, fix))
    return found


def ready_made(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """A metric that a server lacks is missing or zero for its variant, and looks like a difference between models."""
    return [
        document.problem(
            "PS361",
            ("spec", "metrics", metric.name, "use"),
            f"metric `{metric.name}` is of {metric.source}, which {_servers(blind)} not expose",
            "use a metric that all variants have, such as one of the gateway, or one kind of server",
        )
        for metric in experiment.metrics
        if (blind := _without(experiment, metric.source))
    ]


def _without(experiment: Experiment, source: str) -> list[Variant]:
    """Return the variants whose servers do not expose a source that servers do."""
    if not source or not SOURCES[source].by_server:
        return []
    return [one for one in experiment.variants if source not in exposed(one.runtime.source, one.protocol)]


def _servers(blind: list[Variant]) -> str:
    servers = ", ".join(f"`{one.name}` ({one.runtime.name}, {one.protocol})" for one in blind)
    return f"{servers} {'does' if len(blind) == 1 else 'do'}"
