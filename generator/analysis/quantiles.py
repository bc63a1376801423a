"""What cumulative histogram buckets say about a quantile: between which bounds it lies, and no more."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_AMPLITUDE = 0.85


def dkw(total: int, alpha: float = 0.05) -> float:
    """Return the band sqrt(log(2/alpha) / 2n) about a distribution function, for one look.

    Dvoretzky, Kiefer & Wolfowitz (1956), with the constant of Massart (1990).
    """
    return math.sqrt(math.log(2 / alpha) / (2 * total))


def anytime_band(total: int, alpha: float = 0.05, start: int = 100) -> float:
    """Return the band A sqrt((log log(e n/start) + C) / n) that holds at all n >= start at once; 1 before that.

    Howard & Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification"
    (Bernoulli 28(3), 2022), Theorem 2, with A = 0.85 and the least C whose error stays below alpha.
    """
    if total < start:
        return 1.0
    return _AMPLITUDE * math.sqrt((math.log(1 + math.log(total / start)) + _constant(alpha)) / total)


def bracket(bounds: Sequence[float], cumulative: Sequence[int], quantile: float, band: float) -> tuple[float, float]:
    """Return the bounds between which the quantile lies: (the largest b with F(b) + band < q, the smallest with >=).

    `bounds` ascend, `cumulative` counts observations up to each; the last is the +Inf bucket if its bound is
    `math.inf`. -inf and inf mean that no bound does.
    """
    total = cumulative[-1]
    low, high = -math.inf, math.inf
    for bound, count in zip(bounds, cumulative, strict=True):
        share = count / total if total else 0.0
        if share + band < quantile:
            low = bound
        if share - band >= quantile:
            high = min(high, bound)
    return low, high


@functools.cache
def _constant(alpha: float) -> float:
    low, high = 1.0, 1000.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _error(middle) <= alpha else (middle, high)
    return high


def _error(constant: float) -> float:
    """Return the least of 4 e^(-g C) (1 + 1/((g - 1) log eta)) over eta in (1, 2 A^2), g(eta) > 1."""
    low, high = 0.0, 2 * _AMPLITUDE**2 - 1
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(80):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _error_at(left, constant) <= _error_at(right, constant):
            high = right
        else:
            low = left
    return _error_at((low + high) / 2, constant)


def _error_at(excess: float, constant: float) -> float:
    root = _AMPLITUDE - math.sqrt(2 * excess / constant)
    g = 2 / (1 + excess) * root * root if root > 0 else 0.0
    return 4 * math.exp(-g * constant) * (1 + 1 / ((g - 1) * math.log1p(excess))) if g > 1 else math.inf
