"""How far the distribution of scores moved: for the report only, as a new model is supposed to score differently.

Counts are of the same buckets for control and candidate, not cumulative.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from generator.analysis.distributions import kolmogorov_tail
from generator.analysis.eprocess import Block, Evidence, prior_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from generator.analysis.eprocess import Prior

SMALL, LARGE = 0.1, 0.25  # PSI, by the habit of credit scoring (Siddiqi, Credit Risk Scorecards, 2006)
_SMOOTHING = 0.5


class Drift(NamedTuple):
    """`log_e`: did it change, valid at all looks; `psi`: by how much; `noise`: PSI to expect where nothing changed.

    `level` is none, changed (shown, but small), drift (shown, and PSI at least 0.1) or strong (at least 0.25).
    """

    log_e: float
    psi: float
    noise: float
    js_distance: float
    level: str


def population_stability(control: Sequence[int], candidate: Sequence[int], smoothing: float = _SMOOTHING) -> float:
    """Return PSI = sum (p - q) log(p/q), which is Jeffreys' divergence (1946).

    `smoothing` is added to each count; with 0, a bucket that only one of the two filled makes it infinite.
    """
    p, q = _shares(control, smoothing), _shares(candidate, smoothing)
    if any((a > 0) != (b > 0) for a, b in zip(p, q, strict=True)):
        return math.inf
    return math.fsum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def stability_noise(control_total: int, candidate_total: int, buckets: int) -> float:
    """Return the mean of PSI where nothing changed: (1/n + 1/m)(B - 1) (Yurdakul & Naranjo 2020)."""
    return (1 / control_total + 1 / candidate_total) * (buckets - 1)


def jensen_shannon(control: Sequence[int], candidate: Sequence[int], base: float = 2.0) -> float:
    """Return the Jensen-Shannon divergence (Lin 1991); its square root is the distance."""
    p, q = _shares(control, 0.0), _shares(candidate, 0.0)
    terms = []
    for a, b in zip(p, q, strict=True):
        middle = (a + b) / 2
        terms += [0.5 * share * math.log(share / middle) for share in (a, b) if share > 0]
    return max(0.0, math.fsum(terms)) / math.log(base)


def kolmogorov_smirnov(control: Sequence[int], candidate: Sequence[int]) -> tuple[float, float]:
    """Return the largest gap D between both distribution functions at bucket bounds, and its p-value for one look.

    The true D is at least that, so the p-value is too large rather than too small.
    """
    p, q = _shares(control, 0.0), _shares(candidate, 0.0)
    gap = largest = 0.0
    for a, b in zip(p, q, strict=True):
        gap += a - b
        largest = max(largest, abs(gap))
    return largest, smirnov_p_value(largest, sum(control), sum(candidate))


def smirnov_p_value(distance: float, control_total: int, candidate_total: int) -> float:
    """Return P(K > D sqrt(nm/(n+m))) of Kolmogorov's limit (Smirnov 1939)."""
    return kolmogorov_tail(distance * math.sqrt(control_total * candidate_total / (control_total + candidate_total)))


def log_e_changed(windows: Sequence[tuple[Sequence[int], Sequence[int]]], points: Prior | None = None) -> float:
    """Return log E against "both score alike", valid at all looks, from windows of (control, candidate) counts.

    The mean over inner cut points c of the two-sided e-value for "score <= c" or "score > c", whichever side was rarer
    in the first window with scores; a mean of e-values is one under any dependence (Vovk & Wang 2021). That window
    only chooses the sides, and does not count as evidence.
    """
    filled = [window for window in windows if sum(window[0]) and sum(window[1])]
    if len(filled) < 2 or len(filled[0][0]) < 2:
        return 0.0
    points = points or prior_for(_SMALL_CHANGE)
    first = [a + b for a, b in zip(*filled[0], strict=True)]
    logs = []
    for cut in range(1, len(first)):
        side = slice(0, cut) if 2 * sum(first[:cut]) <= sum(first) else slice(cut, None)
        blocks = [Block(sum(a[side]), sum(a), sum(b[side]), sum(b)) for a, b in filled[1:]]
        logs.append(Evidence(blocks, points).log_e_two())
    most = max(logs)
    return most + math.log(math.fsum(math.exp(one - most) for one in logs) / len(logs))


def drift(windows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Drift | None:
    """Describe the drift over all windows of (control, candidate) bucket counts; None without scores of both."""
    control = [sum(counts) for counts in zip(*(window[0] for window in windows), strict=True)]
    candidate = [sum(counts) for counts in zip(*(window[1] for window in windows), strict=True)]
    if not sum(control) or not sum(candidate):
        return None
    log_e, psi = log_e_changed(windows), population_stability(control, candidate)
    shown = log_e >= math.log(_SHOWN)
    level = "none" if not shown else "strong" if psi >= LARGE else "drift" if psi >= SMALL else "changed"
    filled = sum(a + b > 0 for a, b in zip(control, candidate, strict=True))
    noise = stability_noise(sum(control), sum(candidate), filled)
    return Drift(log_e, psi, noise, math.sqrt(jensen_shannon(control, candidate)), level)


_SHOWN = 20.0
_SMALL_CHANGE = 0.1


def _shares(counts: Sequence[int], smoothing: float) -> list[float]:
    total = sum(counts) + smoothing * len(counts)
    return [(count + smoothing) / total for count in counts]
