"""The numbers of an experiment as its rules and its dashboard write them: everything else there is names and shape."""

import math
from typing import NamedTuple

from generator.domain.model import Experiment, Metric


class Written(NamedTuple):
    """A metric's numbers. `factor` times control's value is the worst that is tolerated; `share` is the limit as shown.

    `enough` is how many requests judge the metric, and `enough_at_limit` how many its limit; `margin` and `mde` are in
    percent. What a metric does not declare is written too, and not used.
    """

    factor: str
    factor_squared: str
    margin: str
    mde: str
    limit: str
    share: str
    enough: str
    enough_at_limit: str


class Figures(NamedTuple):
    """The configured share of each variant, 0 to 1, and the numbers of each metric, by name."""

    weights: dict[str, str]
    metrics: dict[str, Written]


def of(experiment: Experiment) -> Figures:
    """Write all numbers of an experiment."""
    return Figures(
        {variant.name: f"{variant.traffic / 100:g}" for variant in experiment.variants},
        {metric.name: _written(metric) for metric in experiment.metrics},
    )


def number(value: float) -> str:
    """Write a number as PromQL and JSON read it."""
    return f"{value:.12g}"


def _written(metric: Metric) -> Written:
    margin, limit, mde = metric.margin or 0.0, metric.limit or 0.0, metric.mde or 0.0
    factor = 1 + margin if metric.direction == "lower" else 1 - margin
    return Written(
        number(factor),
        number(factor**2),
        f"{margin * 100:g}",
        f"{mde * 100:g}",
        number(limit),
        f"{limit * 100:g}%" if metric.kind != "mean" else f"{limit:g}",
        str(metric.minimum_requests),
        str(max(metric.minimum_requests, _ten_events(metric))),
    )


def _ten_events(metric: Metric) -> int:
    """Return how many requests bring ten events at the limit.

    At a true rate of half the limit, a hundred requests would page ten times a day (simulated).
    """
    counts = metric.kind != "mean" and metric.direction == "lower" and metric.limit
    return math.ceil(10 / metric.limit) if counts and metric.limit else 0
