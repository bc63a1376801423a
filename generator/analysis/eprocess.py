"""Evidence about the ratio of two rates that holds at every look: a conditional e-process, stratified by block.

The model is that of Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022,
arXiv:2011.03567): variants share whatever time does to the rate, so given that an event happened, it is the
candidate's with probability q(theta) = sigmoid(theta + logit rho), where theta is the log of candidate's rate over
control's and rho the candidate's share of the two variants' requests in that block. At a fixed size this is the
conditional test of Przyborowski & Wilenski (1940). With

    l(theta) = sum_k x1_k log q_k(theta) + x0_k log(1 - q_k(theta))

a mixture of likelihood ratios (Robbins 1970)

    E = sum_j w_j exp((l(theta0 + u_j) - l(theta0)) / phi)

is an e-process for the null theta <= theta0, and P(E ever reaches 1/alpha) <= alpha (Ville 1939).

Why with realised shares, too: given a block's requests n0, n1 and Bernoulli rates p0, p1 = e^theta p0, put
A = (1 - q(theta0 + u)) / (1 - q(theta0)) and B = q(theta0 + u) / q(theta0). Then
E[factor] = (1 + p0 (A-1))^n0 (1 + p1 (B-1))^n1 <= exp(n0 p0 (A-1) + n1 p1 (B-1)), whose exponent is 0 at theta0 and
negative further into the null. A block's limits must not depend on outcomes, and the base rate is taken as constant
within a block, so blocks are short. Blocks are never merged: `_Sums` only adds up their log-likelihoods faster.

phi >= 1 tempers for overdispersion; E^(1/phi) of an e-process is one (Jensen), and so is a mixture of such.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Prior = tuple[tuple[float, float], ...]

_POINTS = 120
_REACH = 6.0  # scales
_WIDE = 1.0  # the second scale: large effects are seen five times sooner, for a tenth more traffic for small ones
_NEGLIGIBLE = 50.0  # exp(-50) of the largest term; leaving terms out only makes an e-value smaller
_FARTHEST = 30.0  # log ratios beyond this are no bound


class Block(NamedTuple):
    """Events x of control (0) and candidate (1), out of n each, while nothing changed but by chance.

    x are whole numbers in floating point, but for the sums of a mean.
    """

    x0: float
    n0: int
    x1: float
    n1: int


def prior(*scales: float) -> Prior:
    """Return a discrete half-normal mixture over u > 0, as (u, weight): the scales share the weight equally.

    The weights sum to 1, hence quadrature costs no guarantee.
    """
    points: list[tuple[float, float]] = []
    for scale in scales:
        step = _REACH * scale / _POINTS
        heights = [(step * (j + 0.5), math.exp(-0.5 * (step * (j + 0.5) / scale) ** 2)) for j in range(_POINTS)]
        total = math.fsum(height for _, height in heights) * len(scales)
        points += [(u, height / total) for u, height in heights]
    return tuple(sorted(points))


def prior_for(effect: float) -> Prior:
    """Return the prior for a relative effect (MDE or margin) that was fixed before the start, and for large ones."""
    return prior(math.log1p(effect), _WIDE)


class Evidence:
    """What blocks say about theta = log(candidate's rate / control's rate). All results are natural logarithms.

    `points` is the prior. A block where one of the two had no requests, or nobody
    had an event, says nothing.
    """

    def __init__(self, blocks: Iterable[Block], points: Prior) -> None:
        self._sums = _Sums([(b.x0, b.x1, math.log(b.n1 / b.n0)) for b in blocks if b.n0 > 0 and b.n1 > 0])
        self._points = [(u, math.log(weight)) for u, weight in points]
        self._phi = 1.0

    def tempered(self, phi: float) -> Evidence:
        """Return the same evidence for a dispersion of `phi`."""
        other = copy.copy(self)
        other._phi = max(1.0, phi)
        return other

    def log_e_above(self, theta0: float = 0.0) -> float:
        """Return the evidence against theta <= theta0; it falls as theta0 grows."""
        return self._log_e(theta0, 1.0)

    def log_e_below(self, theta0: float = 0.0) -> float:
        """Return the evidence against theta >= theta0; it grows with theta0."""
        return self._log_e(theta0, -1.0)

    def log_e_two(self, theta0: float = 0.0) -> float:
        """Return the evidence against theta = theta0: the mean of both one-sided e-values (their maximum is none)."""
        return _log_sum((self.log_e_above(theta0), self.log_e_below(theta0))) - math.log(2)

    def estimate(self) -> float | None:
        """Return the root of sum_k x1_k - x_k q_k(theta), the stratified (not the pooled) log ratio; None if infinite.

        This is the maximum of l, as Mantel-Haenszel's ratio is a one-step approximation of it.
        """
        if not self._sums.x0 or not self._sums.x1:
            return None
        return _root(self._sums.slope, -_FARTHEST, _FARTHEST)

    def lower(self, alpha: float) -> float | None:
        """Return the lower confidence bound, valid at all looks at once; None where there is none yet."""
        return self._bound(alpha, self.log_e_above, -1.0)

    def upper(self, alpha: float) -> float | None:
        """Return the upper confidence bound, valid at all looks at once; None where there is none yet."""
        return self._bound(alpha, self.log_e_below, 1.0)

    def _bound(self, alpha: float, log_e: Callable[[float], float], sign: float) -> float | None:
        """Find where the evidence crosses 1/alpha; it is monotone because l is concave."""
        needed = -math.log(alpha)
        centre = self.estimate()
        if centre is None:
            centre = -sign * _FARTHEST
        information = max(self._sums.curvature(centre) / self._phi, 1e-9)
        inside, step = centre, min(1.0, 1.1 * math.sqrt(2 * (needed + 1) / information))
        while log_e(outside := centre + sign * step) < needed:
            if step > 2 * _FARTHEST:
                return None
            inside, step = outside, step * 2
        return _root(lambda theta: log_e(theta) - needed, *sorted((inside, outside)))

    def _log_e(self, theta0: float, sign: float) -> float:
        at, x1 = self._sums.at, self._sums.x1
        here = at(theta0)
        terms = []
        most = -math.inf
        for u, log_weight in self._points:
            gain = (x1 * sign * u - at(theta0 + sign * u) + here) / self._phi
            term = gain + log_weight
            if term > most:
                most = term
            elif term < most - _NEGLIGIBLE:
                break  # l is concave, so it falls from here on, as the prior does
            terms.append(term)
        return _log_sum(terms)


def p_value(log_e: float) -> float:
    """Return the always-valid p-value min(1, 1/E)."""
    return math.exp(-max(0.0, log_e))


class _Sums:
    """S(theta) = sum_k x_k log(1 + e^(theta + c_k)), with c_k = logit rho_k, so that l = x1 theta - S + constant.

    Blocks whose c differ by less than `_BIN` share moments about their mean, and S is read between nodes of a grid:
    Taylor's remainder is below 0.25/5! (_BIN/2)^5 = 1e-9 an event at the very worst (blocks of one bin spread to its
    ends), Hermite's below 1/(2 6!) (_STEP/2)^6 = 2e-13 an event.
    """

    _BIN = 0.1
    _STEP = 0.05

    def __init__(self, blocks: list[tuple[float, float, float]]) -> None:
        self.x0 = sum(x0 for x0, _, _ in blocks)
        self.x1 = sum(x1 for _, x1, _ in blocks)
        bins: dict[int, list[tuple[float, float]]] = {}
        for x0, x1, c in blocks:
            if x0 + x1:
                bins.setdefault(round(c / self._BIN), []).append((x0 + x1, c))
        self._bins = [_moments(bins[key]) for key in sorted(bins)]
        self._nodes: dict[int, tuple[float, float, float]] = {}

    def at(self, theta: float) -> float:
        """Return S(theta), by quintic Hermite interpolation."""
        h = self._STEP
        position = theta / h
        left = math.floor(position)
        t = position - left
        f0, d0, s0 = self._nodes.get(left) or self._node(left)
        f1, d1, s1 = self._nodes.get(left + 1) or self._node(left + 1)
        rise = f1 - f0 - h * d0 - 0.5 * h * h * s0
        turn = h * (d1 - d0) - h * h * s0
        bend = h * h * (s1 - s0)
        cubic = 10 * rise - 4 * turn + 0.5 * bend
        quartic = -15 * rise + 7 * turn - bend
        quintic = 6 * rise - 3 * turn + 0.5 * bend
        return f0 + t * (h * d0 + t * (0.5 * h * h * s0 + t * (cubic + t * (quartic + t * quintic))))

    def slope(self, theta: float) -> float:
        """Return l'(theta)."""
        return self.x1 - self._derivatives(theta)[1]

    def curvature(self, theta: float) -> float:
        """Return -l''(theta), the information about theta."""
        return self._derivatives(theta)[2]

    def _node(self, number: int) -> tuple[float, float, float]:
        node = self._nodes[number] = self._derivatives(number * self._STEP)
        return node

    def _derivatives(self, theta: float) -> tuple[float, float, float]:
        """Return S, S' and S'' by Taylor's series of the softplus about each bin's mean."""
        value = first = second = 0.0
        for centre, m0, m2, m3, m4 in self._bins:
            t = theta + centre
            e = math.exp(-abs(t))
            q = 1 / (1 + e) if t > 0 else e / (1 + e)
            v = e / (1 + e) ** 2
            v1 = v * (1 - 2 * q)
            v2 = v * (1 - 6 * v)
            value += m0 * (max(t, 0.0) + math.log1p(e)) + m2 / 2 * v + m3 / 6 * v1 + m4 / 24 * v2
            first += m0 * q + m2 / 2 * v1 + m3 / 6 * v2
            second += m0 * v + m2 / 2 * v2
        return value, first, second


def _moments(members: list[tuple[float, float]]) -> tuple[float, float, float, float, float]:
    """Return the mean of c, and sums of x, x d^2, x d^3, x d^4, with d the distance to that mean (x d sums to 0)."""
    events = sum(x for x, _ in members)
    centre = math.fsum(x * c for x, c in members) / events
    second, third, fourth = (math.fsum(x * (c - centre) ** k for x, c in members) for k in (2, 3, 4))
    return centre, events, second, third, fourth


def _log_sum(terms: Iterable[float]) -> float:
    kept = [*terms]
    most = max(kept)
    return most + math.log(math.fsum(math.exp(term - most) for term in kept))


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Return where a monotone function crosses 0 between two places of different sign (regula falsi, Illinois)."""
    at_low, at_high = f(low), f(high)
    side = 0
    for _ in range(200):
        if high - low < 1e-10 or not at_low or not at_high:
            break
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        if not low < middle < high:
            middle = (low + high) / 2
        value = f(middle)
        if (value > 0) == (at_low > 0):
            low, at_low = middle, value
            at_high /= 2 if side == -1 else 1
            side = -1
        else:
            high, at_high = middle, value
            at_low /= 2 if side == 1 else 1
            side = 1
        if abs(value) < 1e-10:
            return middle
    return low if abs(at_low) < abs(at_high) else high
