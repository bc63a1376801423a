"""An experiment examined: stages from Git, counts from Prometheus and the ledger, and the verdict on them.

`examine` is the line: what is due, what was counted, what that adds to the ledger, what it shows. Commands that need a
verdict call it, with a client or with the ledger alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from generator.analysis.counts import Design, Quality, Stage, Window
from generator.analysis.design import design
from generator.analysis.verdict import Verdict, verdict
from generator.documents.wording import counted, listed
from generator.domain.metrics import above
from generator.evidence import bounds, counting, ledger, subject
from generator.manifests.queries import Queries
from generator.problems import PenstockError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from generator.domain.model import Environment, Experiment
    from generator.evidence.ledger import Ledger, Look
    from generator.evidence.prometheus import Client
    from generator.manifests.queries import Counters, Raw
    from generator.versions.lives import Life, Period

_GAP = 5
"""Scrapes that may be missing in a row before a variant counts as not watched."""
_LOOKBACK = 6 * 3600
"""Seconds before the first window from which samples are read, so that what ran before is known to have."""
_SILENT = 3
_REQUESTS = "*requests"


class NotDeployedError(PenstockError):
    """An experiment that was never deployed, or has no Prometheus to ask."""


class Examination(NamedTuple):
    """What is known about an experiment at `until`, in seconds since 1970, and the verdict on it.

    `look` is what this look found beyond the ledger, None without anything new; it may be recorded if it is `sound`.
    """

    experiment: Experiment
    environment: str
    until: int
    stages: tuple[Stage, ...]
    windows: tuple[Window, ...]
    quality: Quality
    design: Design
    verdict: Verdict
    ledger: Ledger
    look: Look | None
    sound: bool


def examine(
    root: str, experiment: Experiment, environment: Environment, life: Life | None, until: int, client: Client | None
) -> Examination:
    """Examine an experiment by its life on the deployed branch; without a client, by the ledger alone."""
    if life is None:
        raise NotDeployedError(
            f"{experiment.name} is not deployed in {environment.name}: nothing on the deployed branch declares it; "
            "merge it first, or name another branch with --branch"
        )
    stages = counting.stages(_until(life.periods, until), experiment.control.name)
    metrics = fingerprints(experiment)
    file = ledger.file_of(environment.name, experiment.name, life.attempts)
    former = [ledger.file_of(environment.name, one.name, one.attempts) for one in reversed(life.former)]
    known = ledger.read(root, file, stages, metrics, former)
    known = known._replace(looks=tuple(look for look in known.looks if look.until <= until))
    look, gain = None, None
    if client is not None:
        look, gain = _look(client, experiment, environment, stages, known, metrics, until)
    looks = (*known.looks, *((look,) if look else ()))
    windows = _comparable(stages, (window for one in looks for window in one.windows))
    quality = _quality(experiment, looks, gain, client.warnings if client else ())
    made = design(experiment, stages[0].start if stages else None, len(looks), life.attempts)
    return Examination(
        experiment,
        environment.name,
        until,
        stages,
        windows,
        quality,
        made,
        verdict(made, stages, windows, quality),
        known,
        look if look and look.windows else None,
        not (quality.invalid or quality.missing),
    )


def recorded(root: str, tree: str, experiment: Experiment, environment: Environment, now: int) -> str:
    """Return the decision that the ledger in `tree` comes to, by what `root` has deployed; "" while it has no window.

    PenstockErrors where Git's history does not say what is deployed, or the ledger is of something else.
    """
    life = subject.life(root, environment, experiment.name, "", now)
    found = examine(tree, experiment, environment, life, now, None) if life else None
    return found.verdict.decision if found and found.windows else ""


def fingerprints(experiment: Experiment) -> dict[str, str]:
    """Return, by metric, its kind and a digest of what it counts; and the same of the requests."""
    found = {
        one.name: (one.kind, (one.kind, one.scope, one.events, one.total, one.inverted, one.histogram, one.bound))
        for one in experiment.metrics
    }
    requests = experiment.requests
    return {_REQUESTS: f"ratio:{_digest((requests.scope, requests.series))}"} | {
        name: f"{kind}:{_digest(counted)}" for name, (kind, counted) in found.items()
    }


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _until(periods: Iterable[Period], until: int) -> tuple[Period, ...]:
    """Return the periods as they were known then."""
    return tuple(
        period._replace(end=period.end if period.end is not None and period.end <= until else None)
        for period in periods
        if period.start < until
    )


def _comparable(stages: Iterable[Stage], windows: Iterable[Window]) -> tuple[Window, ...]:
    """Leave out windows of stages that say nothing any more, and those that a late push of a commit put in doubt."""
    ends = {stage.number: stage.end for stage in stages}
    return tuple(
        window
        for window in windows
        if window.stage in ends and (ends[window.stage] is None or window.end <= (ends[window.stage] or 0))
    )


def _look(
    client: Client,
    experiment: Experiment,
    environment: Environment,
    stages: Sequence[Stage],
    known: Ledger,
    metrics: Mapping[str, str],
    until: int,
) -> tuple[Look, counting.Increment]:
    """Count what is due and not yet in the ledger."""
    rules, gap = experiment.analysis, _GAP * environment.monitoring.interval
    recorded = known.windows
    queries = Queries(experiment, environment)
    due = counting.due(stages, rules.window, rules.settle, recorded[-1].end if recorded else 0, until - gap)
    lost = {stage.number for stage in stages if not queries.hold_for(stage.traffic)}
    renumbered = sum(one.stage in lost for one in due)
    due = tuple(one for one in due if one.stage not in lost)
    reading = _Reading(client, due, gap)
    requests = reading.tally(queries.raw_requests())
    bucket = rules.bucket_label if rules.assignment == "sticky" else ""
    parts = []
    for metric in experiment.metrics:
        counters, whole = queries.raw(metric), metric.kind != "mean"
        total = reading.tally(counters.total, bucket if whole else "")
        events = reading.tally(counters.events, bucket if whole else "", whole=whole)
        events = _nothing_yet(client, queries, counters, events, total, reading.start, until)
        parts.append(counting.Part(metric.name, events, total, counters.inverted, whole))
    gain = counting.increment(
        stages,
        due,
        requests,
        parts,
        start=reading.start,
        gap=gap,
        sleeping=frozenset(one.name for one in experiment.variants if one.replicas.minimum == 0),
        carried=known.looks[-1].carried if known.looks else None,
        stage=recorded[-1].stage if recorded else -1,
    )
    if renumbered:
        remark = f"{counted(renumbered, ('window', 'windows'))} of earlier stages, whose clusters Envoy has renumbered"
        gain = gain._replace(warnings=(*gain.warnings, f"not counted: {remark}"))
    if gain.missing:
        lacks = tuple(_bounds(client, queries, experiment, reading.start, until))
        gain = gain._replace(invalid=(*gain.invalid, *lacks))
    other = environment.monitoring.requests
    gateway = (0, 0)
    if other and (other.series, other.scope) != (experiment.requests.series, experiment.requests.scope):
        there = counting.overall(reading.tally(queries.raw_requests(other)), due, gain.windows, reading.start, gap)
        gateway = (there, sum(sum(window.requests.values()) for window in gain.windows))
    shown = {window.stage for window in gain.windows}
    return ledger.Look(
        until,
        tuple(stage for stage in stages if stage.number in shown),
        gain.windows,
        metrics,
        gain.due,
        gain.uncovered,
        gain.resets,
        gateway,
        gain.carried,
        gain.warnings,
    ), gain


class _Reading:
    """Reads each selector once, however many metrics count it."""

    def __init__(self, client: Client, due: tuple[counting.Due, ...], gap: int) -> None:
        self._client = client
        self._due = due
        self._gap = gap
        self._known: dict[tuple[tuple[Raw, ...], str, bool], counting.Tally] = {}
        self.start = due[0].start - _LOOKBACK if due else 0
        self._end = due[-1].end + gap if due else 0

    def tally(self, raws: tuple[Raw, ...], bucket: str = "", *, whole: bool = True) -> counting.Tally:
        key = (raws, bucket, whole)
        if key not in self._known:
            samples = [(raw, self._client.raw(raw.selector, self.start, self._end)) for raw in raws]
            self._known[key] = counting.tally(samples, self._due, self._gap, bucket=bucket, whole=whole)
        return self._known[key]


def _nothing_yet(
    client: Client,
    queries: Queries,
    counters: Counters,
    events: counting.Tally,
    total: counting.Tally,
    start: int,
    until: int,
) -> counting.Tally:
    """Tell events that have not happened from a counter that does not exist: the latter's name is unknown too."""
    absent = total.seen.keys() - events.seen.keys()
    if not absent or not counters.named:
        return events
    existing = set()
    for raw in counters.named:
        variants = dict(raw.variants)
        found = client.vector(queries.existing(raw, min(until - start, _LOOKBACK)), until)
        existing |= {variants.get(labels.get(raw.label, ""), "") for labels, _ in found}
    return events._replace(seen={**events.seen, **{name: total.seen[name] for name in sorted(absent & existing)}})


def _bounds(client: Client, queries: Queries, experiment: Experiment, start: int, until: int) -> Iterator[str]:
    """Name the bounds that there are, where a variant has buckets and none of them has the metric's bound."""
    for metric in experiment.metrics:
        if metric.kind == "latencyShare":
            found = bounds.existing(client, queries, metric, until, min(until - start, _LOOKBACK))
            if lost := bounds.lacking(metric, found):
                wanted = above(metric.bound or 0.0, metric.unit)
                there = bounds.shared(metric, found) or "none that all have"
                yield f"{metric.name}: {wanted} is no bound of a bucket of {listed(lost)} (there are {there})"


def _quality(
    experiment: Experiment, looks: Sequence[Look], gain: counting.Increment | None, remarks: Iterable[str]
) -> Quality:
    pending = gain.pending if gain else {}
    withheld = max(pending.values(), default=0)
    due = sum(look.due for look in looks) + withheld
    names = [variant.name for variant in experiment.variants]

    def summed(parts: Iterable[Mapping[str, int]], name: str) -> int:
        return sum(part.get(name, 0) for part in parts)

    uncovered = [*(look.uncovered for look in looks), pending]
    gateway, servers = (sum(look.gateway[side] for look in looks) for side in (0, 1))
    return Quality(
        coverage={name: 1 - summed(uncovered, name) / due for name in names} if due else {},
        resets={name: count for name in names if (count := summed((look.resets for look in looks), name))},
        missing=gain.missing if gain else (),
        gateway_gap=abs(gateway / servers - 1) if gateway and servers else None,
        invalid=(*(gain.invalid if gain else ()), *_silences(gain)),
        warnings=(
            *dict.fromkeys(warning for look in looks for warning in look.warnings),
            *(f"Prometheus remarks: {remark}" for remark in remarks),
        ),
    )


def _silences(gain: counting.Increment | None) -> Iterator[str]:
    if gain is None:
        return
    for name, count in sorted(gain.pending.items()):
        if count >= _SILENT and name not in gain.missing:
            yield f"{name} has not been seen for the last {count} windows"
