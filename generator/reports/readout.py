"""What there is to tell of an experiment, beyond its verdict: how evidence grew, stage by stage and window by window.

Pure: from an examination and the life of the experiment. Whatever is drawn or printed later is in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator.analysis.counts import Quality
from generator.analysis.intervals import difference
from generator.analysis.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from generator.analysis.counts import Question, Window
    from generator.analysis.intervals import Difference
    from generator.analysis.rows import Row, StageRatio
    from generator.evidence.distributions import Distribution
    from generator.evidence.examine import Examination
    from generator.versions.lives import Life

MOMENTS = 40
"""Moments at which evidence is drawn: more than that no eye tells apart."""


class Moment(NamedTuple):
    """What a look at `at`, in seconds since 1970, would have found: rows in the verdict's order, log E of the split."""

    at: int
    rows: tuple[Row, ...]
    log_e_split: float


class StageRow(NamedTuple):
    """A metric of a candidate within one stage; `difference` is of rates, None with fewer than 20 events of either."""

    traffic: Mapping[str, int]
    ratio: StageRatio
    difference: Difference | None


class Part(NamedTuple):
    """A metric of a candidate: the question, what it shows now, and in each stage."""

    question: Question
    row: Row
    stages: tuple[StageRow, ...]


class SplitRow(NamedTuple):
    """What a variant got of the requests of a stage: declared and realised as fractions, and how many requests."""

    stage: int
    variant: str
    declared: float
    realised: float | None
    requests: int


class Readout(NamedTuple):
    """All of it. `begins` and `ends` bound what is drawn in time."""

    examined: Examination
    life: Life
    parts: tuple[Part, ...]
    moments: tuple[Moment, ...]
    split: tuple[SplitRow, ...]
    distributions: tuple[Distribution, ...]
    begins: int
    ends: int


def read_out(examined: Examination, life: Life, distributions: tuple[Distribution, ...] = ()) -> Readout:
    """Derive all that a report shows."""
    traffic = {stage.number: stage.traffic for stage in examined.stages}
    questions = {question.name: question for question in examined.design.questions}
    parts = tuple(
        Part(questions[row.metric], row, tuple(_stage(row, one, traffic[one.stage]) for one in row.stages))
        for row in examined.verdict.rows
    )
    periods = life.periods
    ends = max(examined.until, periods[-1].end or periods[-1].start)
    moments, split = tuple(_moments(examined)), tuple(_split(examined))
    return Readout(examined, life, parts, moments, split, distributions, periods[0].start, ends)


def _stage(row: Row, one: StageRatio, traffic: Mapping[str, int]) -> StageRow:
    (x0, n0), (x1, n1) = one.control, one.candidate
    return StageRow(traffic, one, difference(int(x0), n0, int(x1), n1) if row.decides else None)


def _moments(examined: Examination) -> Iterator[Moment]:
    """Judge again what was known after some of the windows, the last one included."""
    windows = examined.windows
    step = -(-len(windows) // MOMENTS) if windows else 1
    for count in range(len(windows), 0, -step)[::-1]:
        yield _moment(examined, windows[:count])


def _moment(examined: Examination, windows: Sequence[Window]) -> Moment:
    found = verdict(examined.design, examined.stages, windows, Quality())
    return Moment(windows[-1].end, found.rows, found.srm.log_e)


def _split(examined: Examination) -> Iterator[SplitRow]:
    for stage in examined.stages:
        counted = [window for window in examined.windows if window.stage == stage.number]
        names = [name for name, weight in stage.traffic.items() if weight]
        requests = {name: sum(window.requests.get(name, 0) for window in counted) for name in names}
        weights, total = sum(stage.traffic[name] for name in names), sum(requests.values())
        for name in names:
            realised = requests[name] / total if total else None
            yield SplitRow(stage.number, name, stage.traffic[name] / weights, realised, requests[name])
