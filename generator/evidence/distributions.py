"""How answers are distributed, by the buckets of a metric's histogram: for the report only, never for a verdict.

Counts are Prometheus' `increase`, which extrapolates, rounded to whole numbers: good for a picture, not for evidence.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from generator.analysis.drift import Drift, drift
from generator.analysis.quantiles import anytime_band, bracket
from generator.manifests.queries import Queries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from generator.analysis.counts import Window
    from generator.domain.model import Environment, Experiment, Metric
    from generator.evidence.prometheus import Client

QUANTILES = (0.5, 0.95, 0.99)
_PIECES = 12
"""Pieces of time that drift is looked for in; each is a query."""


class Spread(NamedTuple):
    """Between which bounds of buckets a quantile of a variant lies, at all looks; -inf and inf: no bound does."""

    variant: str
    quantile: float
    low: float
    high: float


class Distribution(NamedTuple):
    """The histogram of a metric in both variants: share of answers by upper bound, drift and quantiles.

    `drift` is None where one of the two has no answers.
    """

    metric: str
    unit: str
    candidate: str
    bounds: tuple[float, ...]
    control_shares: tuple[float, ...]
    candidate_shares: tuple[float, ...]
    drift: Drift | None
    spreads: tuple[Spread, ...]


Piece = dict[str, dict[float, int]]
"""By variant and upper bound, how many answers were up to it."""


def read(
    client: Client, experiment: Experiment, environment: Environment, windows: Sequence[Window]
) -> tuple[Distribution, ...]:
    """Ask for the histograms of an experiment over the time that was counted; those without buckets are left out."""
    queries = Queries(experiment, environment)
    found: list[Distribution] = []
    for metric in experiment.metrics:
        if metric.histogram is not None and metric.quantiles:
            pieces = [_piece(client, queries, metric, start, end) for start, end in _spans(windows)]
            found += describe(metric.name, metric.unit, [variant.name for variant in experiment.variants], pieces)
    return tuple(found)


def _spans(windows: Sequence[Window]) -> Iterator[tuple[int, int]]:
    """Yield few spans of time, each within one stage."""
    step = max(1, -(-len(windows) // _PIECES))
    start = 0
    for number, (window, after) in enumerate(pairwise([*windows, None])):
        assert window is not None  # noqa: S101 (only the last one is)
        if after is None or after.stage != window.stage or number - start + 1 >= step:
            yield windows[start].start, window.end
            start = number + 1


def _piece(client: Client, queries: Queries, metric: Metric, start: int, end: int) -> Piece:
    piece: Piece = {}
    for labels, value in client.vector(queries.distribution(metric, f"{end - start}s"), end):
        try:
            bound = float(labels.get("le", ""))
        except ValueError:
            continue
        if math.isfinite(value):
            piece.setdefault(labels.get("variant", ""), {})[bound] = round(value)
    return piece


def describe(metric: str, unit: str, variants: Sequence[str], pieces: Sequence[Piece]) -> Iterator[Distribution]:
    """Describe control, which is the first variant, beside each candidate; nothing without buckets of both."""
    bounds = sorted({bound for piece in pieces for counts in piece.values() for bound in counts})
    if len(bounds) < 2:
        return
    control, *candidates = variants
    for candidate in candidates:
        both = [(_single(piece, control, bounds), _single(piece, candidate, bounds)) for piece in pieces]
        totals = [[sum(counts) for counts in zip(*side, strict=True)] for side in zip(*both, strict=True)]
        if not all(sum(counts) for counts in totals):
            continue
        yield Distribution(
            metric,
            unit,
            candidate,
            tuple(bounds),
            _shares(totals[0]),
            _shares(totals[1]),
            drift(both),
            tuple(
                _spread(name, quantile, bounds, counts)
                for quantile in QUANTILES
                for name, counts in zip((control, candidate), totals, strict=True)
            ),
        )


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    return tuple(count / sum(counts) for count in counts)


def _single(piece: Mapping[str, Mapping[float, int]], variant: str, bounds: Sequence[float]) -> list[int]:
    """Return the counts of each bucket by itself; rounding never makes one negative."""
    counts, found, before = piece.get(variant, {}), [], 0
    for bound in bounds:
        upto = max(before, counts.get(bound, before))
        found.append(upto - before)
        before = upto
    return found


def _spread(variant: str, quantile: float, bounds: Sequence[float], counts: Sequence[int]) -> Spread:
    cumulative = [sum(counts[: place + 1]) for place in range(len(counts))]
    return Spread(variant, quantile, *bracket(bounds, cumulative, quantile, anytime_band(cumulative[-1])))
