"""Differences of two rates with intervals that hold at all looks, for display; `eprocess` decides.

The normal mixture of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences" (arXiv:2103.06476v7), with the equation numbers that GrowthBook's gbstats quotes. Its variance is
an estimate, which is near zero where a variant had a handful of events: below `MINIMUM_EVENTS` nothing is shown.
"""

from __future__ import annotations

import math
from typing import NamedTuple

MINIMUM_EVENTS = 20
TUNING = 5000.0  # requests of both variants at which the interval is narrowest


class Difference(NamedTuple):
    """Candidate's rate less control's (over control's, where relative), its interval and always-valid p-value."""

    estimate: float
    lower: float
    upper: float
    p_value: float


def difference(
    x0: int,
    n0: int,
    x1: int,
    n1: int,
    *,
    alpha: float = 0.05,
    tuning: float = TUNING,
    relative: bool = False,
    one_sided: bool = False,
    minimum_events: int = MINIMUM_EVENTS,
) -> Difference | None:
    """Return the difference, None where a variant has fewer events than `minimum_events` or none varies.

    One-sided, each bound by itself holds at level alpha.
    """
    if min(x0, x1) < minimum_events or min(n0, n1) < 1:
        return None
    p0, p1 = x0 / n0, x1 / n1
    variance0, variance1 = p0 * (1 - p0) / n0, p1 * (1 - p1) / n1
    estimate = p1 - p0
    if relative:
        if not p0:
            return None
        estimate /= p0
        variance0, variance1 = variance0 * p1**2 / p0**4, variance1 / p0**2  # the delta method
    square_error = variance0 + variance1
    if square_error <= 0:
        return None
    n = n0 + n1
    width = half_width(square_error * n, n, alpha=alpha, tuning=tuning, one_sided=one_sided)
    rho = mixture_scale(alpha, tuning, one_sided=one_sided)
    return Difference(estimate, estimate - width, estimate + width, p_value(estimate, square_error, n, rho))


def mixture_scale(alpha: float, tuning: float, *, one_sided: bool = False) -> float:
    """Return the rho that is best at `tuning` requests (eq. 161)."""
    a = 2 * alpha if one_sided else alpha
    return math.sqrt((-2 * math.log(a) + math.log(-2 * math.log(a) + 1)) / tuning)


def half_width(variance: float, n: int, *, alpha: float, tuning: float, one_sided: bool = False) -> float:
    """Return the distance of the bounds from the estimate (eq. 9, one-sided eq. 134); `variance` is n times se^2."""
    rho = mixture_scale(alpha, tuning, one_sided=one_sided)
    t = n * rho**2 + 1
    log = math.log1p(math.sqrt(t) / (2 * alpha)) if one_sided else math.log(math.sqrt(t) / alpha)
    return math.sqrt(variance * 2 * t / (n * rho) ** 2 * log)


def p_value(estimate: float, square_error: float, n: int, rho: float) -> float:
    """Return the always-valid p-value of "no difference" (eq. 155)."""
    t = n * rho**2 + 1
    return min(1.0, math.sqrt(t) * math.exp(-(rho**2) * estimate**2 * n / (2 * square_error * t)))
