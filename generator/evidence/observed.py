"""What Prometheus has seen of an experiment lately, where nobody says what to plan with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from generator.analysis.planning import Number
from generator.manifests.queries import Queries

if TYPE_CHECKING:
    from generator.analysis.planning import Basis
    from generator.domain.model import Environment, Experiment
    from generator.evidence.prometheus import Client

_SOURCE = "Prometheus, last 24 h"


def filled(basis: Basis, client: Client, experiment: Experiment, environment: Environment, now: int) -> Basis:
    """Fill in what the basis lacks and Prometheus has; PrometheusError if it cannot be asked.

    Requests per second are the mean of five-minute rates, which a counter younger than a day does not dilute.
    """
    queries = Queries(experiment, environment)
    if basis.rps is None:
        lately = f"avg_over_time(({queries.requests('rate', '5m')})[1d:5m])"
        rps = math.fsum(value for _, value in client.vector(lately, now) if math.isfinite(value))
        basis = basis._replace(rps=Number(rps, _SOURCE) if rps > 0 else None)
    rates = dict(basis.rates)
    for metric in experiment.metrics:
        if metric.kind != "mean" and metric.name not in rates:
            by_variant = {
                labels.get("variant"): value for labels, value in client.vector(queries.value(metric, "1d"), now)
            }
            rate = by_variant.get(experiment.control.name, math.nan)
            if 0 <= rate < 1:
                rates[metric.name] = Number(rate, _SOURCE)
    return basis._replace(rates=rates)
