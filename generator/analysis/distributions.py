"""Tails of the distributions that the standard library lacks."""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL = NormalDist()


def chi_square_tail(x: float, degrees: int) -> float:
    """Return P(X > x) of the chi-square distribution, by its recurrence over degrees of freedom.

    Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 26.4.4, 26.4.5 and 26.4.8.
    """
    if x <= 0 or degrees < 1:
        return 1.0
    half = x / 2
    odd = degrees % 2
    tail = math.erfc(math.sqrt(half)) if odd else math.exp(-half)
    shape = 0.5 if odd else 1.0
    while shape < degrees / 2:
        tail += math.exp(shape * math.log(half) - half - math.lgamma(shape + 1))
        shape += 1
    return min(1.0, tail)


def kolmogorov_tail(x: float) -> float:
    """Return P(K > x) = 2 sum_k (-1)^(k-1) e^(-2 k^2 x^2) of Kolmogorov's limit distribution (1933).

    Near 0, where that series is slow, it takes the equal one of Jacobi's theta function.
    """
    if x <= 0:
        return 1.0
    if x < 1:
        terms = (math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * x * x)) for k in range(1, 20))
        return 1 - math.sqrt(2 * math.pi) / x * math.fsum(terms)
    return max(0.0, 2 * math.fsum((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 20)))
