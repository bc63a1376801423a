"""What Prometheus really sees of an experiment, and which step is missing where it sees nothing.

A monitor may be applied and nothing scraped, without an error anywhere (prometheus-operator: Documentation/platform/
troubleshooting.md). So each finding says what was looked at, what is there, and where something is missing what to do.
Servers without Prometheus' status API (Thanos, Mimir) cannot tell of targets, rules or retention: that is a note.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from generator import kserve, names
from generator.documents.wording import counted, lasting, listed
from generator.domain.metrics import above
from generator.evidence import bounds
from generator.evidence.counting import replicas_aside
from generator.evidence.prometheus import PrometheusError
from generator.manifests.queries import Queries
from generator.report import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from generator.domain.model import Environment, Experiment, Metric, Variant
    from generator.evidence.prometheus import Client
    from generator.manifests.queries import Raw

Outcome = Literal["ok", "note", "missing"]

_SKEW = 10
"""Seconds that clocks may differ; scrapes are stamped with the server's."""
_SHORTEST = 86400
_LATELY = 300
"""Seconds after which a series that got no sample is no more, to an instant query of Prometheus."""
_SPAN = re.compile(r"(\d+)(ms|[smhdwy])")
_UNITS = {"ms": 0, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}

# What Prometheus says of a failed scrape (scrape/scrape.go, and Go's net/http), and what to do about it.
_SCRAPES = (
    ("connection refused", "nothing listens there: check the port on which the runtime has its metrics"),
    ("no route to host", "let Prometheus reach the pods: look for a NetworkPolicy"),
    (
        "context deadline exceeded",
        "let Prometheus reach the pods (NetworkPolicy, Istio's STRICT mTLS), or scrape slower",
    ),
    ("connection reset", "look for Istio's STRICT mTLS, which refuses plain HTTP"),
    ("EOF", "look for Istio's STRICT mTLS, which refuses plain HTTP"),
    ("status 404", "the path has no metrics: check metricsPath of the runtime"),
    ("status 401", "the endpoint wants credentials: let Prometheus read it without"),
    ("status 403", "the endpoint refuses Prometheus: let it read the metrics"),
    (
        "Content-Type",
        "Prometheus 3 wants a Content-Type it knows: set fallbackScrapeProtocol in the Prometheus resource",
    ),
    ("sample_limit", "raise sampleLimit: all samples of the target are dropped"),
    ("sample limit", "raise sampleLimit: all samples of the target are dropped"),
)


class Finding(NamedTuple):
    """What was looked at, and what is there; `remedy` is empty where nothing is missing."""

    check: str
    outcome: Outcome
    message: str
    remedy: str = ""


def clock(client: Client) -> float | None:
    """Return the server's time, None if it does not tell; PrometheusError if it does not answer at all."""
    data = client.ask("query", {"query": "time()"})
    try:
        return float(data["result"][1])
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def of_server(client: Client, theirs: float | None, ours: float) -> tuple[Finding, ...]:
    """Look at the server itself, given its time and this machine's."""
    return _clock(theirs, ours), *_retention(client)


def of_experiment(client: Client, environment: Environment, experiment: Experiment, now: int) -> tuple[Finding, ...]:
    """Look at all that an experiment needs; `now` is by the server's clock."""
    queries = Queries(experiment, environment)
    scoped = [experiment.requests.scope.kind, *(metric.scope.kind for metric in experiment.metrics)]
    found: list[Finding] = []
    if "variant" in scoped:
        found += _targets(client, environment, experiment)
    found += _series(client, experiment, "requests", queries.raw_requests(), now)
    for metric in experiment.metrics:
        found += _metric(client, experiment, queries, metric, now)
    found += _copies(client, queries.raw_requests(), now)
    found += _rules(client, environment, experiment)
    found.append(_weights(client, experiment, queries, now))
    return tuple(found)


# The server


def _clock(theirs: float | None, ours: float) -> Finding:
    if theirs is None:
        return Finding("clock", "note", "the server does not tell its time")
    apart = theirs - ours
    if abs(apart) <= _SKEW:
        return Finding("clock", "ok", f"within {_SKEW} s of this machine's")
    way = "ahead of" if apart > 0 else "behind"
    return Finding(
        "clock",
        "missing",
        f"the server's is {lasting(round(abs(apart)))} {way} this machine's, so windows are cut in the wrong place",
        "let both machines take their time from NTP",
    )


def _retention(client: Client) -> Iterator[Finding]:
    info = _optional(client, "status/runtimeinfo")
    if not isinstance(info, dict):
        yield Finding("retention", "note", "the server does not tell how long it keeps samples")
        return
    if info.get("reloadConfigSuccess") is False:
        yield Finding(
            "configuration",
            "missing",
            "the last reload failed, so Prometheus runs with an older configuration",
            "read the server's log for what it refuses",
        )
    kept = str(info.get("storageRetention", ""))
    seconds = _seconds(kept)
    if seconds is None:
        yield Finding("retention", "note", f"samples are kept by size ({printable(kept) or 'unknown'})")
    elif seconds < _SHORTEST:
        yield Finding(
            "retention",
            "missing",
            f"samples are kept for {lasting(seconds)} only",
            "keep them for at least 1 d, and let `penstock analyze --record` run more often than that",
        )
    else:
        yield Finding("retention", "ok", f"samples are kept for {lasting(seconds)}")


def _seconds(text: str) -> int | None:
    """Read `15d`, `1w2d` or `15d or 10GiB`."""
    first = text.split(" ", 1)[0]
    parts = _SPAN.findall(first)
    if not parts or "".join(number + unit for number, unit in parts) != first:
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _optional(client: Client, path: str) -> Any:
    """Ask what not every server has; None where it is not there, or too much."""
    try:
        return client.ask(path)
    except PrometheusError:
        return None


# What is scraped


def _targets(client: Client, environment: Environment, experiment: Experiment) -> Iterator[Finding]:
    knative = environment.mode == kserve.KNATIVE  # whose proxies have metrics, whatever the model servers have
    scraped = [one for one in experiment.variants if knative or one.runtime.scrapable(environment.mode)]
    if not scraped:
        yield Finding("targets", "ok", "the model servers expose no metrics that Penstock knows, and are not scraped")
        return
    kind = environment.monitoring.monitor
    monitor = f"{environment.namespace}/{names.route(experiment.name)}"
    config = _optional(client, "status/config")
    if not isinstance(config, dict) or "yaml" not in config:
        yield Finding("targets", "note", "the server does not tell what it scrapes")
        return
    pools = _pools(str(config["yaml"]), kind, monitor)
    if not pools:
        yield Finding("targets", "missing", f"Prometheus does not know the {kind} {monitor}", _unselected(environment))
        return
    active = [one for pool in pools for one in _found(client, "active", pool)]
    if not active:
        yield _empty(client, environment, experiment, pools)
        return
    down = [one for one in active if one.get("health") == "down"]
    if down:
        error = printable(str(down[0].get("lastError", "")))[:200]
        yield Finding(
            "targets",
            "missing",
            f"{len(down)} of {counted(len(active), ('target', 'targets'))} cannot be scraped: {error or 'no reason'}",
            _failed(error),
        )
    else:
        yield Finding("targets", "ok", f"{counted(len(active), ('target', 'targets'))}, none of them down")
    yield from _labelled(scraped, active)
    yield from _interval(environment, active)


def _pools(config: str, kind: str, monitor: str) -> list[str]:
    """Return the jobs that the Prometheus Operator makes of a monitor (pkg/prometheus/promcfg.go)."""
    job = f"{kind[0].lower()}{kind[1:]}/{monitor}/"
    return sorted(set(re.findall(rf"job_name: [\"']?({re.escape(job)}\d+)\b", config)))


def _unselected(environment: Environment) -> str:
    labels = ", ".join(f"{name}: {value}" for name, value in environment.monitoring.labels) or "none"
    kind = environment.monitoring.monitor
    field = kind[0].lower() + kind[1:]
    return (
        f"apply it; give it the labels that {field}Selector of the Prometheus resource asks for (it has {labels}: set "
        f"spec.monitoring.labels); let {field}NamespaceSelector take in {environment.namespace}; and look at its "
        "Events, for the operator refuses a wrong one silently"
    )


def _found(client: Client, state: str, pool: str) -> list[dict[str, Any]]:
    data = _optional(client, f"targets?state={state}&scrapePool={quote(pool, safe='')}")
    listed_ = data.get(f"{state}Targets") if isinstance(data, dict) else None
    own = [one for one in listed_ or () if isinstance(one, dict)]
    if state == "active":
        return [one for one in own if one.get("scrapePool", pool) == pool]
    return [one for one in own if (one.get("discoveredLabels") or {}).get("job", pool) == pool]


def _empty(client: Client, environment: Environment, experiment: Experiment, pools: Sequence[str]) -> Finding:
    label = names.meta_label(names.EXPERIMENT_LABEL)
    dropped = [one.get("discoveredLabels") or {} for pool in pools for one in _found(client, "dropped", pool)]
    own = [one for one in dropped if one.get(label) == experiment.name]
    if own:
        ports = {one.get("__meta_kubernetes_pod_container_port_number", "") for one in own} - {""}
        has = f"they declare {listed(sorted(ports))}" if ports else "they declare none"
        return Finding(
            "targets",
            "missing",
            f"pods of the experiment are found, but none has the port that the monitor selects ({has})",
            "declare the container port in the runtime, and its metricsPort in spec.runtimes of the environment",
        )
    return Finding(
        "targets",
        "missing",
        "Prometheus knows the monitor, but finds no pod of the experiment",
        f"see that pods in {environment.namespace} run and have the label {names.EXPERIMENT_LABEL}={experiment.name}; "
        "that the service account of Prometheus may list pods, services and endpoints there (RBAC); and that "
        "ignoreNamespaceSelectors is not set",
    )


def _failed(error: str) -> str:
    return next((remedy for said, remedy in _SCRAPES if said in error), "open the target's address from a pod")


def _labelled(scraped: Iterable[Variant], active: Iterable[dict[str, Any]]) -> Iterator[Finding]:
    seen = {(one.get("labels") or {}).get("variant") for one in active}
    lost = [one.name for one in scraped if one.name not in seen and one.replicas.minimum]
    if lost:
        yield Finding(
            "variants",
            "missing",
            f"no target is of {listed(lost)}",
            f"see that their pods run, and have the label {names.VARIANT_LABEL}",
        )


def _interval(environment: Environment, active: Iterable[dict[str, Any]]) -> Iterator[Finding]:
    wanted = environment.monitoring.interval
    intervals = sorted({str(one["scrapeInterval"]) for one in active if one.get("scrapeInterval")})
    if any(_seconds(one) != wanted for one in intervals):
        yield Finding(
            "interval",
            "missing",
            f"targets are scraped every {listed(intervals)}, not every {wanted} s as declared",
            "set spec.monitoring.interval of the environment to what Prometheus does, or look for a limit there",
        )


# What is counted


def _series(
    client: Client, experiment: Experiment, what: str, raws: Sequence[Raw], now: int, *, optional: bool = False
) -> Iterator[Finding]:
    present: dict[str, int] = {}
    for raw in raws:
        variants = dict(raw.variants)
        for labels, number in client.vector(f"count by ({raw.label}) ({raw.selector})", now):
            name = variants.get(labels.get(raw.label, ""))
            if name:
                present[name] = present.get(name, 0) + int(number)
    lost = [one.name for one in experiment.serving if one.name not in present and one.replicas.minimum]
    if not lost:
        each = ", ".join(f"{name} {number}" for name, number in sorted(present.items()))
        yield Finding(what, "ok", f"series by variant: {each}" if each else "no variant has pods now")
        return
    selectors = "; ".join(raw.selector for raw in raws[:2])
    message = f"no series of {listed(lost)} now: {selectors}"
    if optional:
        yield Finding(what, "note", f"{message}; nothing of the kind may have happened yet")
        return
    remedy = "check the metric's name and labels, and that the server exposes the counter at 0 from its start on"
    yield Finding(what, "missing", message, remedy)


def _metric(client: Client, experiment: Experiment, queries: Queries, metric: Metric, now: int) -> Iterator[Finding]:
    counters = queries.raw(metric)
    yield from _series(client, experiment, f"{metric.name} (of)", counters.total, now)
    if metric.kind == "latencyShare":
        yield _bound(client, queries, metric, now)
        return
    if any(_exists(client, raw, now) for raw in counters.named):
        yield from _series(client, experiment, metric.name, counters.events, now, optional=True)
    else:
        yield from _series(client, experiment, metric.name, counters.events, now)


def _exists(client: Client, raw: Raw, now: int) -> bool:
    return bool(client.vector(f"count({raw.selector})", now))


def _bound(client: Client, queries: Queries, metric: Metric, now: int) -> Finding:
    found, wanted = bounds.existing(client, queries, metric, now, _LATELY), above(metric.bound or 0.0, metric.unit)
    check = f"{metric.name} (bound)"
    if not found:
        return Finding(
            check,
            "missing",
            "the histogram has no buckets",
            "let the server expose classic buckets, and Prometheus keep them (convert_classic_histograms_to_nhcb off)",
        )
    lost = bounds.lacking(metric, found)
    if not lost:
        number = len(frozenset.intersection(*found.values()))
        return Finding(check, "ok", f"{wanted} is one of {counted(number, ('bound', 'bounds'))}")
    there = bounds.shared(metric, found)
    return Finding(
        check,
        "missing",
        f"{wanted} is no bound of a bucket of {listed(lost)}, and nothing is ever interpolated",
        f"set `above` to one of {there}, or add the bound in the server"
        if there
        else "let the servers of all variants have the same buckets",
    )


def _copies(client: Client, raws: Sequence[Raw], now: int) -> Iterator[Finding]:
    """Find series that a pair of servers scraped twice, which differ in a label of the server only."""
    seen: set[object] = set()
    number = copies = 0
    for raw in raws:
        for labels, _ in client.vector(raw.selector, now):
            number += 1
            identity = replicas_aside(labels)
            copies += identity in seen
            seen.add(identity)
    if copies:
        yield Finding(
            "copies",
            "note",
            f"{copies} of {number} series are copies of a pair of servers: the verdict counts each once, dashboards "
            "and alerts do not; ask a server that deduplicates, such as Thanos Query with --query.replica-label",
        )


# What is recorded


def _rules(client: Client, environment: Environment, experiment: Experiment) -> Iterator[Finding]:
    data = _optional(client, "rules")
    groups = data.get("groups") if isinstance(data, dict) else None
    if groups is None:
        yield Finding("rules", "note", "the server does not tell which rules it has")
        return
    own = [one for one in groups if one.get("name") == f"{environment.namespace}-{experiment.name}"]
    if not own:
        labels = ", ".join(f"{name}: {value}" for name, value in environment.monitoring.labels) or "none"
        yield Finding(
            "rules",
            "missing",
            "the rules of the experiment are not loaded",
            f"apply the PrometheusRule; give it the labels that ruleSelector of the Prometheus resource asks for (it "
            f"has {labels}); let ruleNamespaceSelector take in {environment.namespace}",
        )
        return
    rules = [rule for group in own for rule in group.get("rules") or ()]
    broken = [rule for rule in rules if rule.get("health") == "err"]
    if broken:
        error = printable(str(broken[0].get("lastError", "")))[:200]
        yield Finding(
            "rules",
            "missing",
            f"{len(broken)} of {counted(len(rules), ('rule', 'rules'))} fail: {error}",
            "read the error; two servers' copies of a series make many a rule ambiguous",
        )
        return
    yield Finding("rules", "ok", f"{counted(len(rules), ('rule', 'rules'))} loaded")


def _weights(client: Client, experiment: Experiment, queries: Queries, now: int) -> Finding:
    recorded = {labels.get("variant", ""): value for labels, value in client.vector(queries.weight, now)}
    if not recorded:
        return Finding(
            "weights",
            "missing",
            "no series says how traffic is declared, so shares and alerts have nothing to compare with",
            "load the rules of the experiment, and wait for their first evaluation",
        )
    differ = [
        f"{one.name} {100 * recorded.get(one.name, 0.0):g} %, declared {one.traffic} %"
        for one in experiment.variants
        if abs(recorded.get(one.name, 0.0) - one.traffic / 100) > 1e-6
    ]
    if differ:
        return Finding(
            "weights",
            "missing",
            f"Prometheus has other weights than the file: {'; '.join(differ)}",
            "publish the change, or wait until the rules of the last one are loaded",
        )
    return Finding("weights", "ok", "as declared")
