"""Bounds for looks that are planned beforehand: the alternative that a plan compares with.

Z at information t_1 < ... < t_K is Gaussian with Cov(Z_j, Z_k) = sqrt(t_j/t_k). Densities are integrated numerically
from look to look (Armitage, McPherson & Rowe 1969; Jennison & Turnbull, Group Sequential Methods, 2000, chapter 19). A
look that was not planned voids these bounds, which is why verdicts do not use them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from generator.analysis.distributions import NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NODES_PER_SPREAD = 5  # of Simpson's rule, per standard deviation of a step


def crossing_probability(times: Sequence[float], bounds: Sequence[float]) -> float:
    """Return P(|Z_k| >= c_k for some k) where nothing differs; `times` are fractions of the information."""
    walk = _Walk()
    return math.fsum(walk.step(time, bound) for time, bound in zip(times, bounds, strict=True))


def spending_bounds(times: Sequence[float], spent: Callable[[float], float]) -> list[float]:
    """Return the two-sided bounds that have used up the error `spent(t)` at each time (Lan & DeMets 1983)."""
    walk, bounds, before = _Walk(), [], 0.0
    for time in times:
        now = spent(time)
        bound = _root(partial(walk.leaves, time), now - before)
        walk.step(time, bound)
        bounds.append(bound)
        before = now
    return bounds


def power_spending(alpha: float, exponent: float) -> Callable[[float], float]:
    """Return alpha t^exponent (Kim & DeMets 1987)."""
    return lambda t: alpha * min(1.0, t) ** exponent


def obrien_fleming_spending(alpha: float) -> Callable[[float], float]:
    """Return 2 - 2 Phi(z_(alpha/2) / sqrt t), after the bounds of O'Brien & Fleming (Lan & DeMets 1983)."""
    z = -NORMAL.inv_cdf(alpha / 2)
    return lambda t: 2 * NORMAL.cdf(-z / math.sqrt(min(1.0, t)))


def pocock_constant(looks: int, alpha: float = 0.05) -> float:
    """Return C_P of bounds |Z_k| >= C_P at equally spaced looks (Pocock 1977)."""
    times = _equal(looks)
    return _root(lambda c: crossing_probability(times, [c] * looks), alpha)


def obrien_fleming_constant(looks: int, alpha: float = 0.05) -> float:
    """Return C_B of bounds |Z_k| >= C_B sqrt(K/k) at equally spaced looks (O'Brien & Fleming 1979)."""
    times = _equal(looks)
    return _root(lambda c: crossing_probability(times, [c / math.sqrt(time) for time in times]), alpha)


class _Walk:
    """The density of the score S = Z sqrt(t) among walks that have not left, at nodes of Simpson's rule."""

    def __init__(self) -> None:
        self._time = 0.0
        self._mass = [(0.0, 1.0)]

    def leaves(self, time: float, bound: float) -> float:
        """Return the probability to be beyond the bound at this time, not having left before."""
        edge, spread = bound * math.sqrt(time), math.sqrt(time - self._time)
        return math.fsum(
            mass * (NORMAL.cdf((s - edge) / spread) + NORMAL.cdf((-edge - s) / spread)) for s, mass in self._mass
        )

    def step(self, time: float, bound: float) -> float:
        """Go on to `time`, and return the probability to leave there."""
        left = self.leaves(time, bound)
        edge, variance = bound * math.sqrt(time), time - self._time
        nodes = 2 * max(8, math.ceil(_NODES_PER_SPREAD * edge / math.sqrt(variance)))
        width = 2 * edge / nodes
        scale = width / 3 / math.sqrt(2 * math.pi * variance)
        mass = []
        for node in range(nodes + 1):
            s = -edge + node * width
            density = math.fsum(m * math.exp(-((s - before) ** 2) / (2 * variance)) for before, m in self._mass)
            mass.append((s, scale * density * (1 if node in {0, nodes} else 4 if node % 2 else 2)))
        self._time, self._mass = time, mass
        return left


def _equal(looks: int) -> list[float]:
    return [(k + 1) / looks for k in range(looks)]


def _root(probability: Callable[[float], float], wanted: float) -> float:
    """Return the bound at which a probability that falls with it is as wanted."""
    low, high = 0.0, 12.0
    while high - low > 1e-8:
        middle = (low + high) / 2
        low, high = (middle, high) if probability(middle) > wanted else (low, middle)
    return (low + high) / 2
