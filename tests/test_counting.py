"""Counting against an oracle that follows every event from the counter to the scrape that first showed it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.analysis.counts import Stage
from generator.evidence import counting
from generator.evidence.prometheus import Samples
from generator.manifests.queries import Raw
from generator.versions.lives import Period

if TYPE_CHECKING:
    from generator.evidence.counting import Due, Tally

RAW = Raw("requests{}", "variant", (("v1", "v1"), ("v2", "v2")))
STAGE = Stage(0, 0, None, {"v1": 50, "v2": 50})
WINDOW, SETTLE, GAP, INTERVAL, END = 100, 20, 50, 10, 1000


class Counter(NamedTuple):
    """A series: what it gained before each scrape, and whether it restarted before that gain."""

    variant: str
    start: int
    gains: list[tuple[int, bool]]

    @property
    def samples(self) -> Samples:
        value, times, values = 0, [], []
        for number, (gain, restarted) in enumerate(self.gains):
            value = gain if restarted else value + gain
            times.append(float(self.start + number * INTERVAL))
            values.append(float(value))
        return Samples({"variant": self.variant, "pod": f"{self.variant}-{self.start}"}, times, values)

    def counted(self, start: float, end: float) -> int:
        """Count what scrapes after `start` and up to `end` showed first."""
        value = total = 0
        for number, (gain, restarted) in enumerate(self.gains):
            # A restart that leaves the counter higher than before cannot be seen: it looks like a smaller gain.
            before, value = value, gain if restarted else value + gain
            shown = value if value < before else value - before
            total += shown if start < self.start + number * INTERVAL <= end else 0
        return total


gains = st.lists(st.tuples(st.integers(0, 50), st.sampled_from([False] * 9 + [True])), min_size=1, max_size=110)
lasting = st.lists(st.tuples(st.integers(1, 50), st.sampled_from([False] * 9 + [True])), min_size=110, max_size=110)


@st.composite
def counters(draw: st.DrawFn) -> list[Counter]:
    """Each variant has a pod from before the start until after the end, and others that come and go."""
    found = [Counter(name, -50 + offset, draw(lasting)) for offset, name in enumerate(("v1", "v2"))]
    extra = draw(st.lists(st.tuples(st.sampled_from(["v1", "v2"]), st.integers(100, 900), gains), max_size=3))
    starts = {(name, start): some for name, start, some in extra}
    return [*found, *(Counter(name, start, some) for (name, start), some in starts.items())]


@st.composite
def pieces(draw: st.DrawFn, found: list[Samples]) -> list[list[Samples]]:
    """Cut samples at some times, as a client does; the sample at a cut may come twice."""
    cuts = [-math.inf, *sorted(draw(st.sets(st.integers(-40, 1000), max_size=4))), math.inf]
    result = []
    for start, end in pairwise(cuts):
        parts = []
        for one in found:
            inside = [(at, value) for at, value in zip(one.times, one.values, strict=True) if start <= at <= end]
            if inside:
                order = draw(st.permutations(inside)) if len(inside) < 5 else inside
                parts.append(Samples(one.labels, [at for at, _ in order], [value for _, value in order]))
        result.append(parts)
    return result


def due(until: int = END) -> tuple[Due, ...]:
    return counting.due([STAGE], WINDOW, SETTLE, 0, until)


def tallied(found: list[list[Samples]], windows: tuple[Due, ...] | None = None) -> Tally:
    return counting.tally([(RAW, found)], windows or due(), GAP)


def increment(tally: Tally, start: int = -60) -> counting.Increment:
    return counting.increment([STAGE], due(), tally, (), start=start, gap=GAP)


@given(st.data(), counters())
def test_every_window_counts_what_its_scrapes_showed_first(data: st.DataObject, world: list[Counter]) -> None:
    found = increment(tallied(data.draw(pieces([one.samples for one in world]))))
    assert [(window.start, window.end) for window in found.windows] == [(one.start, one.end) for one in due()]
    for window in found.windows:
        for variant in ("v1", "v2"):
            truth = sum(one.counted(window.start, window.end) for one in world if one.variant == variant)
            assert window.requests[variant] == truth


@given(counters())
def test_the_copy_of_a_second_server_counts_nothing(world: list[Counter]) -> None:
    plain = [one.samples for one in world]
    copies = [
        one._replace(labels=one.labels | {"prometheus_replica": name}, times=[at + late for at in one.times])
        for one in plain
        for name, late in (("a", 0.0), ("b", 3.0))
    ]
    twice = increment(tallied([copies]))
    assert twice.windows == increment(tallied([plain])).windows
    assert twice.warnings == ("two servers scrape the same targets; each target is counted once",)


def series(variant: str, *samples: tuple[float, float], **labels: str) -> Samples:
    return Samples({"variant": variant} | labels, [at for at, _ in samples], [value for _, value in samples])


def steady(variant: str, start: int = -50, end: int = 1100, value: float = 0.0, **labels: str) -> Samples:
    times = range(start, end, INTERVAL)
    return series(variant, *((at, value + number) for number, at in enumerate(times)), **labels)


def test_a_pause_joins_windows_and_loses_nothing() -> None:
    whole = steady("v2")
    seen = [number for number, at in enumerate(whole.times) if not 300 <= at < 480]
    holed = Samples(whole.labels, [whole.times[one] for one in seen], [whole.values[one] for one in seen])
    found = increment(tallied([[steady("v1"), holed]]))
    assert [(one.start, one.end) for one in found.windows][2:5] == [(220, 320), (320, 620), (620, 720)]
    assert sum(one.requests["v2"] for one in found.windows) == sum(one.requests["v1"] for one in found.windows)
    assert found.uncovered == {"v2": 2}
    assert found.pending == {}


def test_what_was_found_running_does_not_count_as_new() -> None:
    """Nothing tells how old a counter is that is high when its variant is first seen."""
    found = increment(tallied([[steady("v1"), steady("v2", start=250, value=5000)]]))
    assert sum(one.requests["v2"] for one in found.windows) < 100
    assert found.warnings == ("v2 was first seen at 5000 requests, which may be older and are not counted",)


def test_a_variant_that_comes_late_counts_from_zero() -> None:
    found = increment(tallied([[steady("v1"), steady("v2", start=250, value=7)]]))
    assert sum(one.requests["v2"] for one in found.windows) == 7 + (920 - 250) // INTERVAL
    assert found.warnings == ()


def test_nothing_of_a_pause_across_a_change_of_traffic_counts() -> None:
    stages = [Stage(0, 0, 500, {"v1": 50, "v2": 50}), Stage(1, 500, None, {"v1": 80, "v2": 20})]
    windows = counting.due(stages, WINDOW, SETTLE, 0, END)
    assert [(one.stage, one.start, one.end) for one in windows][4:6] == [(0, 420, 500), (1, 520, 620)]
    blind = series("v2", (0, 0), (490, 10), (590, 1000), (600, 1001), (990, 1002))
    counts = tallied([[blind]], windows).counts["v2", ""]
    assert counts[5] == 1


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        (math.nan, "a counter of v2 is not a number (NaN or infinite)"),
        (math.inf, "a counter of v2 is not a number (NaN or infinite)"),
        (-1.0, "a counter of v2 is below zero, so it is no counter"),
        (0.5, "a counter of v2 holds fractions, so it counts no events"),
    ],
)
def test_what_is_no_count_is_refused(value: float, flaw: str) -> None:
    found = increment(tallied([[steady("v1"), series("v2", (0, 0.0), (10, value))]]))
    assert found.invalid == (flaw,)


def test_windows_grow_with_the_age_of_their_stage() -> None:
    windows = counting.due([STAGE], 600, 120, 0, 20 * 86400)
    lengths = [one.end - one.start for one in windows]
    assert [lengths.count(length) for length in (600, 3600, 21600)] == [288, 288, 23]
    assert lengths == sorted(lengths)


def period(start: int, end: int | None, traffic: dict[str, int], shadow: int = 0) -> Period:
    return Period(tuple(traffic.items()), shadow, start, end, "c", "a", "s")


def test_a_new_model_or_control_begins_anew() -> None:
    half, most = {"v1": 50, "v2": 50}, {"v1": 20, "v2": 80}
    periods = (period(0, 10, half), period(10, 20, most), period(20, 30, most), period(30, None, half))
    assert [one.number for one in counting.stages(periods, "v1")] == [2, 3]
    swapped = (period(0, 10, half), period(10, None, {"v2": 50, "v1": 50}))
    assert [one.number for one in counting.stages(swapped, "v2")] == [1]
    assert counting.stages(swapped, "v1") == ()
