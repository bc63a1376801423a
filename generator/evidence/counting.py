"""Raw samples of counters become whole counts by window: pure, one pass, in memory that does not grow with time.

`increase()` extrapolates to fractions and drops the first value of a series, and all series of a new variant are new
(prometheus/prometheus#3886). Here a window counts what its last sample at or before the end has more than the last one
at or before the start, so that neighbours share their samples and nothing is counted twice or lost between them:

- a counter that falls has restarted, and counts from 0 again;
- a series that appears while its variant is being watched was born then, and counts from 0. All that a variant begins
  with counts too, if it is no more than a young counter can have (else it was found running, and counts from there);
- what was read across a change of traffic belongs to neither stage;
- windows in which a variant was not watched are joined with the next one that was, since a counter that goes on tells
  what happened meanwhile, but not when.

The limits of windows follow from the stage's start alone, never from what was counted, which the error rates of the
engine rest on. Windows of a long stage are longer, so that evidence stays small.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import pairwise
from operator import le, sub
from typing import TYPE_CHECKING, NamedTuple

from generator.analysis.counts import Stage, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from generator.evidence.prometheus import Samples
    from generator.manifests.queries import Raw
    from generator.versions.lives import Period

Key = tuple[str, str]
"""A variant, and the bucket of users where those are told apart, else ""."""
Place = tuple[str, str, str]
"""A metric, a variant and a bucket."""

_HOUR = 3600
_GROWTH = ((2 * 24 * _HOUR, _HOUR), (14 * 24 * _HOUR, 6 * _HOUR))
"""Windows that begin so long after the stage did are at least so long."""

# Labels by which two servers that scrape the same targets differ: external labels of the Prometheus Operator, of
# Thanos and of Mimir's documentation.
_REPLICAS = ("prometheus_replica", "prometheus", "__replica__", "replica", "receive_replica", "monitor")
_TARGET = ("instance", "pod")

# A counter found at more than this many times what it gains in the next minutes was not born just now.
_YOUNG = 3
_FEW = 20
_SURPLUS = 0.01


class Due(NamedTuple):
    """A window that ought to be counted: after `start`, up to `end`; `stage_start` is when the weights changed."""

    stage: int
    start: int
    end: int
    stage_start: int


class Birth(NamedTuple):
    """The first sample of a series: its time and value, the window it falls into, and what followed within a gap."""

    key: Key
    at: float
    value: float
    window: int
    after: float


class Tally(NamedTuple):
    """What one or more selectors counted: by window, without births; when each variant was seen; its restarts."""

    counts: Mapping[Key, Sequence[float]]
    births: tuple[Birth, ...]
    seen: Mapping[str, tuple[tuple[float, float], ...]]
    resets: Mapping[str, int]
    flaws: tuple[str, ...]
    doubled: bool


class Part(NamedTuple):
    """The tallies of a metric: of its events (or of what are none, if `inverted`) and of its total."""

    name: str
    events: Tally
    total: Tally
    inverted: bool
    whole: bool


class Increment(NamedTuple):
    """What a look adds to what was counted before it.

    Of the due windows, `uncovered` says how many were not watched, by variant; `pending` how many of the latest ones
    are withheld because of that. `carried` are events that came before what they are out of, or, negative, after it.
    """

    windows: tuple[Window, ...]
    due: int
    uncovered: Mapping[str, int]
    pending: Mapping[str, int]
    carried: Mapping[Place, float]
    resets: Mapping[str, int]
    missing: tuple[str, ...]
    invalid: tuple[str, ...]
    warnings: tuple[str, ...]


def stages(periods: Sequence[Period], control: str) -> tuple[Stage, ...]:
    """Return the periods that can be compared with the last one as stages, numbered as they are.

    A new control begins anew; so does a new model, which is what begins a period of the same traffic.
    """
    first = 0
    for number, (before, after) in enumerate(pairwise(periods), 1):
        same = (before.traffic, before.shadow) == (after.traffic, after.shadow)
        if same or before.traffic[0][0] != after.traffic[0][0]:
            first = number
    return tuple(
        Stage(number, period.start, period.end, dict(period.traffic))
        for number, period in enumerate(periods)
        if number >= first and period.traffic[0][0] == control
    )


def due(stages: Iterable[Stage], window: int, settle: int, after: int, until: int) -> tuple[Due, ...]:
    """Return the complete windows from `after` until `until`, of stages that compare anything."""
    return tuple(
        one
        for stage in stages
        if sum(share > 0 for share in stage.traffic.values()) > 1
        for one in _windows(stage, window, settle, until)
        if one.start >= after
    )


def _windows(stage: Stage, window: int, settle: int, until: int) -> Iterator[Due]:
    start = stage.start + settle
    last = until if stage.end is None else min(stage.end, until)
    while start < last:
        length = max([window, *(longer for age, longer in _GROWTH if start - stage.start >= age)])
        end = start + length
        if end > last:
            if stage.end is None or stage.end > until or last - start < window // 2:
                return
            end = last
        yield Due(stage.number, start, end, stage.start)
        start = end


def tally(
    raws: Sequence[tuple[Raw, Iterable[Sequence[Samples]]]],
    windows: Sequence[Due],
    gap: int,
    *,
    bucket: str = "",
    whole: bool = True,
) -> Tally:
    """Count what the selectors found, each in pieces in order of time; `gap` is the longest pause in watching.

    `bucket` is the label that holds the bucket of users; `whole`: only whole numbers are counts.
    """
    work = _Work(windows, gap, bucket, whole=whole)
    for number, (raw, pieces) in enumerate(raws):
        for piece in pieces:
            work.add(number, raw, piece)
    return work.tally()


class _Life:
    """A series on its way: its last sample, and what it gained since its birth."""

    def __init__(self, born: int) -> None:
        self.times: list[float] = []
        self.values: list[float] = []
        self.born = born
        self.gained = 0.0


class _Work:
    def __init__(self, windows: Sequence[Due], gap: int, bucket: str, *, whole: bool) -> None:
        self._windows = windows
        self._ends = [one.end for one in windows]
        self._gap = gap
        self._bucket = bucket
        self._whole = whole
        self._lives: dict[tuple[object, ...], _Life] = {}
        self._counts: dict[Key, list[float]] = {}
        self._births: list[Birth] = []
        self._seen: dict[str, list[tuple[float, float]]] = {}
        self._resets: dict[str, int] = {}
        self._flaws: dict[str, None] = {}
        self._doubled = False

    def add(self, selector: int, raw: Raw, piece: Sequence[Samples]) -> None:
        variants = dict(raw.variants)
        found: dict[tuple[object, ...], tuple[Key, list[Samples]]] = {}
        for one in piece:
            variant = variants.get(one.labels.get(raw.label, ""))
            if variant is None or not one.times:
                continue
            key = (variant, one.labels.get(self._bucket, "") if self._bucket else "")
            found.setdefault((selector, *replicas_aside(one.labels)), (key, []))[1].append(one)
        for identity in sorted(found, key=repr):
            key, copies = found[identity]
            self._doubled = self._doubled or len(copies) > 1
            self._follow(identity, key, _ordered(_one_of(copies, self._gap)))
        self._seen = {variant: _joined(spans, self._gap) for variant, spans in self._seen.items()}

    def tally(self) -> Tally:
        return Tally(
            self._counts,
            tuple(self._births),
            {variant: tuple(spans) for variant, spans in self._seen.items()},
            self._resets,
            tuple(self._flaws),
            self._doubled,
        )

    def _follow(self, identity: tuple[object, ...], key: Key, read: tuple[list[float], list[float]]) -> None:
        life = self._lives.get(identity)
        times, values = read
        if life:
            new = bisect_right(times, life.times[-1])
            times, values = life.times[-1:] + times[new:], life.values[-1:] + values[new:]
        self._see(key[0], times)
        if not self._sound(key[0], values):
            return
        if life is None:
            life = self._lives[identity] = _Life(len(self._births))
            self._births.append(Birth(key, times[0], values[0], self._window(times[0]), 0.0))
        steady = self._steady(key[0], values)
        self._count(key, times, steady)
        born = self._births[life.born]
        if times[0] < born.at + self._gap:
            followed = life.gained + steady[bisect_right(times, born.at + self._gap) - 1] - steady[0]
            self._births[life.born] = born._replace(after=followed)
        life.gained += steady[-1] - steady[0]
        life.times, life.values = times[-1:], values[-1:]

    def _sound(self, variant: str, values: list[float]) -> bool:
        if not math.isfinite(sum(values)):
            self._flaws[f"a counter of {variant} is not a number (NaN or infinite)"] = None
        elif min(values) < 0:
            self._flaws[f"a counter of {variant} is below zero, so it is no counter"] = None
        elif self._whole and any(value % 1 for value in values):
            self._flaws[f"a counter of {variant} holds fractions, so it counts no events"] = None
        else:
            return True
        return False

    def _steady(self, variant: str, values: list[float]) -> list[float]:
        """Return the values as if the counter had never restarted."""
        if all(map(le, values, values[1:])):
            return values
        lost, steady = 0.0, values[:1]
        for before, value in pairwise(values):
            if value < before:
                lost += before
                self._resets[variant] = self._resets.get(variant, 0) + 1
            steady.append(value + lost)
        return steady

    def _see(self, variant: str, times: list[float]) -> None:
        spans = self._seen.setdefault(variant, [])
        start = 0
        if len(times) > 1 and max(map(sub, times[1:], times)) > self._gap:
            for number in range(1, len(times)):
                if times[number] - times[number - 1] > self._gap:
                    spans.append((times[start], times[number - 1]))
                    start = number
        spans.append((times[start], times[-1]))

    def _count(self, key: Key, times: list[float], steady: list[float]) -> None:
        counts = self._counts.setdefault(key, [0.0] * len(self._windows))
        for number in range(bisect_left(self._ends, times[0]), len(self._windows)):
            window = self._windows[number]
            if window.start >= times[-1]:
                break
            base = max(bisect_right(times, window.start) - 1, 0)
            last = bisect_right(times, window.end) - 1
            if times[base] < window.stage_start:
                base += 1
            if last > base:
                counts[number] += steady[last] - steady[base]

    def _window(self, at: float) -> int:
        """Return the window that a time falls into, -1 for none."""
        number = bisect_left(self._ends, at)
        return number if number < len(self._windows) and self._windows[number].start < at else -1


def replicas_aside(labels: Mapping[str, str]) -> tuple[object, ...]:
    """Return what tells series apart, whichever of a pair of servers scraped them."""
    if any(name in labels for name in _TARGET):
        return tuple(sorted(item for item in labels.items() if item[0] not in _REPLICAS))
    return tuple(sorted(labels.items()))


def _one_of(copies: Sequence[Samples], gap: int) -> tuple[list[float], list[float]]:
    """Follow the most complete copy, and another one where it is silent: they read the same counter."""
    ranked = sorted(copies, key=lambda one: (-len(one.times), sorted(one.labels.items())))
    times, values = ranked[0].times, ranked[0].values
    for other in ranked[1:]:
        extra = [(at, value) for at, value in zip(other.times, other.values, strict=True) if _silent(times, at, gap)]
        pairs = sorted([*zip(times, values, strict=True), *extra])
        times, values = [at for at, _ in pairs], [value for _, value in pairs]
    return times, values


def _silent(times: Sequence[float], at: float, gap: int) -> bool:
    number = bisect_left(times, at)
    before = times[number - 1] if number else -math.inf
    after = times[number] if number < len(times) else math.inf
    return after - before > gap and at - before > 1 and after - at > 1


def _ordered(read: tuple[list[float], list[float]]) -> tuple[list[float], list[float]]:
    """Return samples in order of time, one for each; of two at one time the larger, since counters grow."""
    times, values = read
    if all(before < after for before, after in pairwise(times)):
        return read
    once = dict(sorted(zip(times, values, strict=True)))
    return [*once], [*once.values()]


def _joined(spans: list[tuple[float, float]], gap: int) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start - found[-1][1] <= gap:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def increment(
    stages: Sequence[Stage],
    windows: Sequence[Due],
    requests: Tally,
    parts: Sequence[Part],
    *,
    start: int,
    gap: int,
    sleeping: frozenset[str] = frozenset(),
    carried: Mapping[Place, float] | None = None,
    stage: int = -1,
) -> Increment:
    """Put tallies together to windows. `start` is from when samples were read.

    `carried` is what the last look left over, and `stage` the one that it ended in.

    Variants in `sleeping` may have no pod while nobody asks for them, so that not being seen means nothing.
    """
    found, strange = _found(requests, parts, start, gap)
    halves = {part.name: (_complete(part.events, found), _complete(part.total, found)) for part in parts}
    traffic = {stage.number: [name for name, share in stage.traffic.items() if share] for stage in stages}
    watched = [requests, *(part.total for part in parts if part.total.seen)]
    emission = _Emission(parts, halves, _complete(requests, found), traffic, dict(carried or {}), stage)
    uncovered: dict[str, int] = {}
    pending: list[int] = []
    blind: dict[str, int] = {}
    for number, one in enumerate(windows):
        if pending and windows[pending[0]].stage != one.stage:
            _add(uncovered, blind)
            pending, blind = [], {}
        unseen = [
            name
            for name in traffic[one.stage]
            if name not in sleeping and not all(_covers(tally.seen.get(name, ()), one, gap) for tally in watched)
        ]
        pending.append(number)
        for name in unseen:
            blind[name] = blind.get(name, 0) + 1
        if not unseen:
            emission.emit(Due(one.stage, windows[pending[0]].start, one.end, one.stage_start), pending)
            _add(uncovered, blind)
            pending, blind = [], {}
    if pending and any(stage.number == windows[pending[0]].stage and stage.end is not None for stage in stages):
        _add(uncovered, blind)
        pending, blind = [], {}
    invalid = [
        *dict.fromkeys((*requests.flaws, *(f for part in parts for f in (*part.events.flaws, *part.total.flaws))))
    ]
    return Increment(
        windows=tuple(emission.windows),
        due=len(windows) - len(pending),
        uncovered=uncovered,
        pending=blind,
        carried=emission.carried,
        resets=requests.resets,
        missing=tuple(_missing(traffic, windows, requests, parts)),
        invalid=(*invalid, *emission.surplus()),
        warnings=(*strange, *_doubled(requests, parts)),
    )


def overall(tally: Tally, due: Sequence[Due], windows: Iterable[Window], start: int, gap: int) -> int:
    """Return all that was counted in `windows`, which are made of those due."""
    counts = _complete(tally, _found(tally, (), start, gap)[0])
    spans = [(one.start, one.end) for one in windows]
    inside = [number for number, one in enumerate(due) if any(a <= one.start and one.end <= b for a, b in spans)]
    return int(sum(own[number] for own in counts.values() for number in inside))


class _Emission:
    """Windows one after the other, each with no more events than chances: what is left over moves on within a stage."""

    def __init__(
        self,
        parts: Sequence[Part],
        halves: Mapping[str, tuple[Mapping[Key, Sequence[float]], Mapping[Key, Sequence[float]]]],
        requests: Mapping[Key, Sequence[float]],
        traffic: Mapping[int, Sequence[str]],
        carried: dict[Place, float],
        stage: int,
    ) -> None:
        self._parts = parts
        self._halves = halves
        self._requests = requests
        self._totals: dict[Place, float] = {}
        self._traffic = traffic
        self._stage = stage
        self.carried = carried
        self.windows: list[Window] = []

    def emit(self, span: Due, numbers: Sequence[int]) -> None:
        if span.stage != self._stage:
            self.carried.clear()
            self._totals.clear()
        self._stage = span.stage
        requests: dict[str, int] = {}
        served = self._traffic[span.stage]
        for (variant, _), counts in sorted(self._requests.items()):
            if variant not in served:
                continue
            requests[variant] = requests.get(variant, 0) + int(sum(counts[number] for number in numbers))
        events: dict[str, dict[str, tuple[float, int]]] = {}
        buckets: dict[str, dict[str, tuple[tuple[int, int], ...]]] = {}
        for part in self._parts:
            by_bucket: dict[str, list[tuple[float, int]]] = {}
            for key in sorted(key for key in self._halves[part.name][1] if key[0] in served):
                by_bucket.setdefault(key[0], []).append(self._pair(part, key, numbers))
            events[part.name] = {
                variant: (sum(x for x, _ in pairs), sum(n for _, n in pairs)) for variant, pairs in by_bucket.items()
            }
            if part.whole and any(bucket for _, bucket in self._halves[part.name][1]):
                buckets[part.name] = {
                    variant: tuple((int(x), n) for x, n in pairs) for variant, pairs in by_bucket.items()
                }
        self.windows.append(Window(span.stage, span.start, span.end, requests, events, buckets))

    def _pair(self, part: Part, key: Key, numbers: Sequence[int]) -> tuple[float, int]:
        """Return (x, n) of one variant and bucket."""
        counted, total = self._halves[part.name]
        none = [0.0] * (max(numbers) + 1)
        n = sum(total[key][number] for number in numbers)
        x = sum(counted.get(key, none)[number] for number in numbers)
        if not part.whole:
            return x, int(n)
        place = (part.name, *key)
        wanted = (n - x if part.inverted else x) + self.carried.get(place, 0.0)
        given = min(max(wanted, 0.0), n)
        self.carried[place] = wanted - given
        self._totals[place] = self._totals.get(place, 0.0) + n
        return int(given), int(n)

    def surplus(self) -> Iterator[str]:
        """Yield what can be no delay any more."""
        for (metric, variant, _), left in sorted(self.carried.items()):
            if abs(left) > _SURPLUS * self._totals.get((metric, variant, _), math.inf) + _FEW:
                yield f"{variant} has {abs(left):.0f} more events of {metric} than there were chances"


def _found(requests: Tally, parts: Sequence[Part], start: int, gap: int) -> tuple[dict[str, float], list[str]]:
    """Return until when what is first seen of a variant was running before, and remarks.

    All that comes later was born when it was first seen; without a pause before, it may just be the first to be read.
    """
    first: dict[str, float] = {}
    for tally in (requests, *(tally for part in parts for tally in (part.events, part.total))):
        for variant, spans in tally.seen.items():
            first[variant] = min(first.get(variant, math.inf), spans[0][0])
    found, remarks = {}, []
    for variant, at in sorted(first.items()):
        group = [one for one in requests.births if one.key[0] == variant and one.at <= at + gap]
        begun, followed = sum(one.value for one in group), sum(one.after for one in group)
        if at <= start + gap or begun > _YOUNG * followed + _FEW:
            found[variant] = at + gap
        if variant in found and at > start + gap and any(one.window >= 0 for one in group):
            remarks.append(f"{variant} was first seen at {begun:.0f} requests, which may be older and are not counted")
    return found, remarks


def _complete(tally: Tally, found: Mapping[str, float]) -> dict[Key, list[float]]:
    """Add what series were born with."""
    counts = {key: list(own) for key, own in tally.counts.items()}
    for one in tally.births:
        if one.window >= 0 and one.at > found.get(one.key[0], -math.inf):
            counts[one.key][one.window] += one.value
    return counts


def _covers(spans: Iterable[tuple[float, float]], window: Due, gap: int) -> bool:
    return any(start <= window.start + gap and end >= window.end - gap for start, end in spans)


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, number in more.items():
        total[name] = total.get(name, 0) + number


def _missing(
    traffic: Mapping[int, Sequence[str]], windows: Sequence[Due], requests: Tally, parts: Sequence[Part]
) -> Iterator[str]:
    if not windows:
        return
    for name in traffic[windows[-1].stage]:
        if name not in requests.seen:
            yield name
            continue
        for part in parts:
            if name not in part.total.seen or name not in part.events.seen:
                yield f"{name} {part.name}"


def _doubled(requests: Tally, parts: Sequence[Part]) -> Iterator[str]:
    if requests.doubled or any(part.total.doubled for part in parts):
        yield "two servers scrape the same targets; each target is counted once"
