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


_BESIDE = "count where all requests pass, for example `requests: {use: istio}`, or use one kind of server"


def requests(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """A variant whose requests nothing counts seems to get none: shares and alerts on them would be wrong."""
    source = experiment.requests.source
    declared = ("spec", "requests", "use")
    fix = _BESIDE
    if not experiment.requests.series:
        path = setting(document, experiment.control.name, "runtime")
        message = f"{experiment.control.runtime.name} exposes no counter of requests that Penstock knows"
    elif blind := _without(experiment, source):
        path = declared if document.has(declared) else setting(document, blind[0].name, "runtime")
        message = f"requests are counted by {source}, which {_servers(blind)} not expose"
    elif hidden := _out_of_reach(experiment, source, environment):
        path = declared if document.has(declared) else setting(document, hidden[0].name, "runtime")
        message = f"requests are counted by {source} {_behind(hidden)}"
        fix = "count at Knative's own proxy: `requests: {use: knative}`, or knative-legacy up to 1.18"
    else:
        return []
    return [document.problem("PS361", path, message, fix)]


def endpoints(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """One monitor scrapes all variants: at a port it asks for one path, and would miss whoever serves another there."""
    seen: dict[int, Variant] = {}
    found = []
    for variant in experiment.variants:
        path = variant.runtime.metrics_path
        if not variant.runtime.scrapable(environment.mode):
            continue
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


def ready_made(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """A metric that a server lacks is missing or zero for its variant, and looks like a difference between models."""
    found = [
        document.problem(
            "PS361",
            ("spec", "metrics", metric.name, "use"),
            f"metric `{metric.name}` is of {metric.source}, which {_servers(blind)} not expose",
            "use a metric that all variants have, such as one of the gateway, or one kind of server",
        )
        for metric in experiment.metrics
        if (blind := _without(experiment, metric.source))
    ]
    return found + [
        document.problem(
            "PS361",
            ("spec", "metrics", metric.name, "use"),
            f"metric `{metric.name}` is of {metric.source} {_behind(hidden)}",
            "use a metric of Knative's own proxy, such as `use: knative/errors`, or one of the gateway",
        )
        for metric in experiment.metrics
        if not _without(experiment, metric.source) and (hidden := _out_of_reach(experiment, metric.source, environment))
    ]


def _without(experiment: Experiment, source: str) -> list[Variant]:
    """Return the variants whose servers do not expose a source that servers do."""
    if not source or not SOURCES[source].by_server:
        return []
    return [one for one in experiment.variants if source not in exposed(one.runtime.source, one.protocol)]


def _out_of_reach(experiment: Experiment, source: str, environment: Environment) -> list[Variant]:
    """Return the variants that expose such a source where no monitor gets to.

    It cannot be moved to the port that Knative opens: the metrics of MLServer (mlserver/metrics/server.py), Triton and
    TorchServe have a server of their own.
    """
    if not source or not SOURCES[source].by_server:
        return []
    return [one for one in experiment.variants if not one.runtime.scrapable(environment.mode)]


def _behind(hidden: list[Variant]) -> str:
    ports = ", ".join(f"`{one.name}`: {one.runtime.metrics_port}" for one in hidden)
    return f"at a port of its own ({ports}), and in Knative mode a model server has one port only"


def _servers(blind: list[Variant]) -> str:
    servers = ", ".join(f"`{one.name}` ({one.runtime.name}, {one.protocol})" for one in blind)
    return f"{servers} {'does' if len(blind) == 1 else 'do'}"
