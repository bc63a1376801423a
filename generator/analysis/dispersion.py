"""Whether requests are as independent as the engine takes them for, and stages tell the same story."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from generator.analysis.distributions import NORMAL, chi_square_tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from generator.analysis.eprocess import Block

MINIMUM_WINDOWS = 10
LIMIT = 1.5  # below this, phi of a few dozen windows is noise


class Heterogeneity(NamedTuple):
    """Chi-square over stages, for one look: whether they share one ratio."""

    chi_square: float
    degrees: int
    p_value: float


def over_windows(blocks: Iterable[Block], log_ratio: float) -> float | None:
    """Return Pearson's phi of the windows about their common log ratio, at least 1; None below 10 windows with events.

    phi = sum_k (x1 - x q)^2 / (x q (1 - q)) / (K - 1) (McCullagh & Nelder, Generalized Linear Models, 1989, 4.5.2).
    It sees restarts, retry storms and noisy nodes; users who stick to a variant repeat in each window and stay hidden.
    """
    terms = [gap * gap / variance for gap, variance in _residuals(blocks, log_ratio)]
    return max(1.0, math.fsum(terms) / (len(terms) - 1)) if len(terms) >= MINIMUM_WINDOWS else None


def design_effect(mean_requests: float, variation: float, correlation: float) -> float:
    """Return Kish's design effect 1 + (m (1 + cv^2) - 1) ICC (Survey Sampling, 1965).

    m is the mean of requests per user, cv their coefficient of variation, ICC the correlation within a user.
    """
    return 1 + (mean_requests * (1 + variation**2) - 1) * correlation


def over_buckets(buckets: Sequence[tuple[int, int]]) -> float | None:
    """Return phi of one variant from its B buckets of users, as (x, n); None below two buckets or without events.

    phi = B/(B-1) sum_b (x_b - p n_b)^2 / sum_b x_b: the variance of a ratio estimate over clusters (Cochran, Sampling
    Techniques, 1977, 6.3) over that of independent rare events.
    """
    filled = [(x, n) for x, n in buckets if n]
    events, total = sum(x for x, _ in filled), sum(n for _, n in filled)
    if len(filled) < 2 or not events:
        return None
    rate = events / total
    return len(filled) / (len(filled) - 1) * math.fsum((x - rate * n) ** 2 for x, n in filled) / events


def mantel_haenszel_ratio(strata: Iterable[Block]) -> float | None:
    """Return the stratified risk ratio (Mantel & Haenszel 1959; Greenland & Robins 1985), None without control events.

    sum_k x1 n0/N over sum_k x0 n1/N.
    """
    above = below = 0.0
    for x0, n0, x1, n1 in strata:
        if n0 + n1:
            above += x1 * n0 / (n0 + n1)
            below += x0 * n1 / (n0 + n1)
    return above / below if below else None


def cochran_mantel_haenszel(strata: Iterable[Block]) -> tuple[float, float]:
    """Return z and its two-sided p-value: one look at "no difference in any stratum" (Mantel & Haenszel 1959).

    z = sum_k (x1 - x n1/N) / sqrt(sum_k x (N-x) n0 n1 / (N^2 (N-1))), without continuity correction.
    """
    gap = variance = 0.0
    for x0, n0, x1, n1 in strata:
        n, x = n0 + n1, x0 + x1
        if n > 1:
            gap += x1 - x * n1 / n
            variance += x * (n - x) * n0 * n1 / (n * n * (n - 1))
    if not variance:
        return 0.0, 1.0
    z = gap / math.sqrt(variance)
    return z, 2 * NORMAL.cdf(-abs(z))


def heterogeneity(stages: Iterable[Sequence[Block]], log_ratio: float, phi: float = 1.0) -> Heterogeneity:
    """Test whether all stages, each with its windows, share one log ratio: score chi-square, over phi."""
    terms = []
    for blocks in stages:
        residuals = [*_residuals(blocks, log_ratio)]
        if residuals:
            terms.append(math.fsum(gap for gap, _ in residuals) ** 2 / math.fsum(v for _, v in residuals))
    statistic, degrees = math.fsum(terms) / max(1.0, phi), max(0, len(terms) - 1)
    return Heterogeneity(statistic, degrees, chi_square_tail(statistic, degrees))


def _residuals(blocks: Iterable[Block], log_ratio: float) -> Iterable[tuple[float, float]]:
    """Yield x1 - x q and x q (1 - q) of each window that has events and requests of both."""
    ratio = math.exp(log_ratio)
    for x0, n0, x1, n1 in blocks:
        x = x0 + x1
        if x and n0 and n1:
            q = n1 * ratio / (n0 + n1 * ratio)
            yield x1 - x * q, x * q * (1 - q)
