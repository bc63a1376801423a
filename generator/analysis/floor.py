"""Evidence that a variant's own rate is below an absolute value, for metrics with next to no events.

Two variants without errors never bound their ratio, however long one waits; their rates they do.
"""

from __future__ import annotations

import math

_POINTS = 40
_LOWEST, _HIGHEST = 0.01, 0.95  # of the floor


def log_e_below(events: int, total: int, floor: float, phi: float = 1.0) -> float:
    """Return log E against the null rate >= floor, by a mixture of likelihood ratios (Robbins 1970) over rates below.

    The mixture is uniform over 0 and 40 rates, spaced evenly in logarithm from floor/100 to 0.95 floor. Each factor
    (p/f)^x ((1-p)/(1-f))^(n-x) has a mean of at most 1 at every rate of at least f, as p < f. phi >= 1 tempers.
    """
    tempered = max(1.0, phi)
    others = total - events
    ratio = (_HIGHEST / _LOWEST) ** (1 / (_POINTS - 1))
    rates = [floor * _LOWEST * ratio**j for j in range(_POINTS)]
    gains = [events * math.log(p / floor) + others * (math.log1p(-p) - math.log1p(-floor)) for p in rates]
    if not events:
        gains.append(-others * math.log1p(-floor))
    most = max(gains) / tempered
    return most + math.log(math.fsum(math.exp(gain / tempered - most) for gain in gains) / (_POINTS + 1))
