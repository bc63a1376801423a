"""Sample ratio mismatch: are requests split as the weights say? Where they are not, nothing else can be believed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from generator.analysis.distributions import chi_square_tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CONCENTRATION = 100.0
LIMIT = 1000.0  # e-value; 1/LIMIT is the chance of a false alarm over all looks
TOLERANCE = 0.01  # relative: data planes round weights, and the analysis uses realised shares


class Mismatch(NamedTuple):
    """`log_e` is the evidence that the split is off; `deviation` the largest |realised/declared - 1| of a variant.

    `variant` is the one that is off most; `p_value` the chi-square test's of one look at the last stage, which many
    know and which must not be looked at twice. `verdict` is ok, warn or invalid.
    """

    log_e: float
    deviation: float
    variant: str
    p_value: float
    verdict: str


def log_e_multinomial(counts: Sequence[int], weights: Sequence[float], concentration: float = CONCENTRATION) -> float:
    """Return log E against the null that each request is a draw with these weights (any scale).

    A Dirichlet(k w) mixture over multinomial likelihood ratios: Lindon & Malek (NeurIPS 2022, arXiv:2011.03567),
    section 2. Variants of weight 0 are left out. One or no variant left says nothing.
    """
    pairs, total_weight = _weighted(counts, weights)
    n = sum(count for count, _ in pairs)
    if len(pairs) < 2 or not n:
        return 0.0
    log_e = math.lgamma(concentration) - math.lgamma(concentration + n)
    for count, weight in pairs:
        share = weight / total_weight
        prior = concentration * share
        log_e += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return log_e


def log_e_stages(stages: Iterable[tuple[Sequence[int], Sequence[float]]]) -> float:
    """Return log E over stages of different weights: the product is a martingale where a pooled test is wrong."""
    return math.fsum(log_e_multinomial(counts, weights) for counts, weights in stages)


def chi_square(counts: Sequence[int], weights: Sequence[float]) -> tuple[float, float]:
    """Return Pearson's statistic and its p-value, for one look; a variant of weight 0 is no degree of freedom."""
    pairs, total_weight = _weighted(counts, weights)
    n = sum(count for count, _ in pairs)
    if len(pairs) < 2 or not n:
        return 0.0, 1.0
    expected = [n * weight / total_weight for _, weight in pairs]
    statistic = math.fsum((count - due) ** 2 / due for (count, _), due in zip(pairs, expected, strict=True))
    return statistic, chi_square_tail(statistic, len(pairs) - 1)


def judge(stages: Sequence[tuple[Mapping[str, int], Mapping[str, float]]], design_effect: float = 1.0) -> Mismatch:
    """Judge the requests by variant of each stage against its weights by variant.

    Invalid needs both evidence and a deviation that matters. `design_effect` tempers for users who stick to a variant.
    """
    log_e = 0.0
    due: dict[str, float] = {}
    seen: dict[str, int] = {}
    p_value = 1.0
    for requests, weights in stages:
        names = sorted(name for name, weight in weights.items() if weight > 0)
        counts, shares = [requests.get(name, 0) for name in names], [weights[name] for name in names]
        log_e += log_e_multinomial(counts, shares)
        if len(names) < 2:
            continue
        _, p_value = chi_square(counts, shares)
        for name, count, share in zip(names, counts, shares, strict=True):
            due[name] = due.get(name, 0.0) + sum(counts) * share / sum(shares)
            seen[name] = seen.get(name, 0) + count
    log_e /= max(1.0, design_effect)
    off = {name: abs(seen[name] / expected - 1) for name, expected in due.items() if expected}
    variant = max(off, key=lambda name: off[name], default="")
    deviation = off.get(variant, 0.0)
    fired = log_e >= math.log(LIMIT)
    verdict = "ok" if not fired else "invalid" if deviation > TOLERANCE else "warn"
    return Mismatch(log_e, deviation, variant, p_value, verdict)


def _weighted(counts: Sequence[int], weights: Sequence[float]) -> tuple[list[tuple[int, float]], float]:
    pairs = [(count, weight) for count, weight in zip(counts, weights, strict=True) if weight > 0]
    return pairs, math.fsum(weight for _, weight in pairs)
