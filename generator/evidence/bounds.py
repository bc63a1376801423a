"""Bounds of buckets that Prometheus really has, for where a metric's own is not among them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from generator.domain.metrics import above

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.domain.model import Metric
    from generator.evidence.prometheus import Client
    from generator.manifests.queries import Queries

_MOST = 40
"""Bounds that are worth listing; the longest known row of them, Knative's, has 26."""


def existing(client: Client, queries: Queries, metric: Metric, at: int, seconds: int) -> dict[str, frozenset[float]]:
    """Return the bounds of a metric's buckets by variant, of those with a sample in the last seconds; infinity apart.

    A variant without any bucket is left out.
    """
    found: dict[str, frozenset[float]] = {}
    for raw in queries.buckets(metric):
        variants = dict(raw.variants)
        for labels, _ in client.vector(queries.bounds(raw, seconds), at):
            variant, bound = variants.get(labels.get(raw.label, "")), _number(labels.get("le", ""))
            if variant is not None and math.isfinite(bound):
                found[variant] = found.get(variant, frozenset()) | {bound}
    return found


def lacking(metric: Metric, found: Mapping[str, frozenset[float]]) -> list[str]:
    """Return the variants that have buckets, but none with the metric's own bound."""
    wanted = metric.bound or 0.0
    return sorted(
        variant
        for variant, bounds in found.items()
        if not any(math.isclose(bound, wanted, rel_tol=1e-9) for bound in bounds)
    )


def shared(metric: Metric, found: Mapping[str, frozenset[float]]) -> str:
    """List the bounds that all variants have, as `above` takes them; those near the metric's own if there are many."""
    everywhere = frozenset.intersection(*found.values()) if found else frozenset()
    near = sorted(everywhere, key=lambda bound: abs(bound - (metric.bound or 0.0)))[:_MOST]
    return ", ".join(above(bound, metric.unit) for bound in sorted(near))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
