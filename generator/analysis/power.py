"""How many requests, and how long, until a question can be answered."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from generator.analysis.distributions import NORMAL
from generator.analysis.eprocess import prior_for
from generator.analysis.floor import log_e_below
from generator.analysis.multiplicity import deciding, levels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.analysis.counts import Design, Question

_MOST = 1e12  # requests beyond which nothing is planned


Purpose = Literal["better", "safe", "floor", "harm"]


class Need(NamedTuple):
    """What it takes to answer one question about one candidate, with the power asked for.

    `purpose` is better (a success metric's MDE shown), safe (a guardrail's margin shown), floor (the candidate's own
    rate shown to be below that) or harm (a worsening of that size shown); `effect` is that MDE, margin or floor.
    `events` and `fixed` (requests of control and candidate together) are for a single look at the end, `sequential` is
    the reserve for looking all the time; most effects that exist are shown long before.
    """

    question: str
    purpose: Purpose
    effect: float
    level: float
    power: float
    events: float
    fixed: int
    sequential: int


def needs(design: Design, question: Question, rate: float, share: float, power: float = 0.8) -> tuple[Need, ...]:
    """Return what a question needs: its success, or its margin and its floor, either of which will do; and its harm.

    `rate` is control's, `share` the candidate's of both variants' requests. Nothing for a mean, which never decides; of
    a rate of 0 no more than the floor can ever be shown. A declared design effect multiplies everything.
    """
    if question.kind == "mean" or not 0 <= rate < 1 or not 0 < share < 1:
        return ()
    given = levels(design)
    worse = 1.0 if question.direction == "lower" else -1.0
    guardrails = sum(one.role == "guardrail" for one in deciding(design))
    each = 1 - (1 - power) / (guardrails + 1)  # all must pass (Schultzberg et al. 2024)
    effect, step = question.effect, math.log1p(question.effect)
    found = []
    if rate and question.role == "success":
        mean = rate * _mean_factor(share, -worse * step)
        found.append(_need(question, "better", effect, given.better, power, mean, share))
    if rate and question.role == "guardrail" and question.margin is not None:
        level = given.margin if question.floor is None else given.margin_beside_floor
        found.append(_need(question, "safe", effect, level, each, rate, share))
    if question.role == "guardrail" and question.floor is not None and rate < question.floor and worse > 0:
        found.extend(_below_floor(question, question.floor, given.margin_beside_floor, each, rate, share))
    if rate:
        mean = rate * _mean_factor(share, worse * step)
        found.append(_need(question, "harm", effect, given.harm, power, mean, share))
    return tuple(_tempered(one, max(1.0, design.design_effect or 1.0)) for one in found)


def seconds(requests: float, rps: float, pair_share: float = 1.0) -> float:
    """Return how long it takes at `rps` requests a second in all, of which `pair_share` go to the two variants."""
    return requests / (rps * pair_share) if rps > 0 and pair_share > 0 else math.inf


def split_cost(share: float) -> float:
    """Return how many times the requests of an even split a candidate's share costs: 1 / (4 share (1 - share))."""
    return 1 / (4 * share * (1 - share))


def events_for_ratio(log_gap: float, share: float, alpha: float, power: float) -> float:
    """Return the events of both variants that tell a log rate ratio from one `log_gap` away, one-sided, one look.

    X = (z_alpha + z_power)^2 / (rho (1 - rho) gap^2): given an event, its variant is a Bernoulli trial (Przyborowski &
    Wilenski 1940), and rho (1 - rho) its information about the log ratio.
    """
    return (_z(alpha) + _z(1 - power)) ** 2 / (share * (1 - share) * log_gap**2)


@functools.cache
def sequential_inflation(effect: float, alpha: float, power: float) -> float:
    """Return by what factor looking all the time raises the largest number of events, one-sided.

    The e-process, with its score taken as normal, must reach 1/alpha at the last look alone; looks before that only
    help (simulated: 2.0 where this says 2.4).
    """
    gap = math.log1p(effect)
    points = [(u, math.log(weight)) for u, weight in prior_for(effect)]

    def shown(information: float) -> bool:
        score = gap * information - _z(1 - power) * math.sqrt(information)
        logs = [log_weight + u * score - u * u * information / 2 for u, log_weight in points]
        most = max(logs)
        return most + math.log(math.fsum(math.exp(one - most) for one in logs)) >= -math.log(alpha)

    fixed = ((_z(alpha) + _z(1 - power)) / gap) ** 2
    low, high = 1.0, 16.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if shown(middle * fixed) else (middle, high)
    return high


def two_proportions_pooled(
    p0: float, p1: float, *, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0, two_sided: bool = True
) -> float:
    """Return n of control, `ratio` times as many for the candidate, with the null's pooled variance.

    Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions (2003), 4.2; as R's power.prop.test.
    """
    pooled = (p0 + ratio * p1) / (1 + ratio)
    null = _z(alpha / 2 if two_sided else alpha) * math.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    true = _z(1 - power) * math.sqrt(p0 * (1 - p0) + p1 * (1 - p1) / ratio)
    return ((null + true) / (p1 - p0)) ** 2


def two_proportions_unpooled(
    p0: float, p1: float, *, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0, two_sided: bool = True
) -> float:
    """Return n of control with each variant's own variance (Chow, Shao & Wang 2008, 4.2.1)."""
    z = _z(alpha / 2 if two_sided else alpha) + _z(1 - power)
    return (z / (p1 - p0)) ** 2 * (p0 * (1 - p0) + p1 * (1 - p1) / ratio)


def two_proportions_arcsine(
    p0: float, p1: float, *, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0, two_sided: bool = True
) -> float:
    """Return n of control by the arcsine transformation, h = 2 asin sqrt(p1) - 2 asin sqrt(p0) (Cohen 1988, 6.2)."""
    h = 2 * math.asin(math.sqrt(p1)) - 2 * math.asin(math.sqrt(p0))
    z = _z(alpha / 2 if two_sided else alpha) + _z(1 - power)
    return (z / h) ** 2 * (1 + 1 / ratio)


def noninferiority(
    p0: float, p1: float, margin: float, *, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0
) -> float:
    """Return n of control to show p1 - p0 < margin, one-sided (Chow, Shao & Wang 2008, 4.2.2)."""
    z = _z(alpha) + _z(1 - power)
    return (z / (margin - (p1 - p0))) ** 2 * (p0 * (1 - p0) + p1 * (1 - p1) / ratio)


def _need(
    question: Question,
    purpose: Purpose,
    effect: float,
    level: float,
    power: float,
    mean_rate: float,
    share: float,
) -> Need:
    events = events_for_ratio(math.log1p(effect), share, level, power)
    fixed = events / mean_rate
    reserve = fixed * sequential_inflation(effect, level, power)
    return Need(question.name, purpose, effect, level, power, events, math.ceil(fixed), math.ceil(reserve))


def _below_floor(
    question: Question, floor: float, level: float, power: float, rate: float, share: float
) -> Iterator[Need]:
    """Yield what shows that a candidate whose rate is `rate` lies below the floor; nothing where it is too close to it.

    One look: a normal test of one proportion (Chow, Shao & Wang 2008, 4.1.1). All looks: the requests from which the
    e-value suffices although as many events came as come at most with this power.
    """
    spread = _z(level) * math.sqrt(floor * (1 - floor)) + _z(1 - power) * math.sqrt(rate * (1 - rate))
    fixed = (spread / (floor - rate)) ** 2

    def shown(requests: float) -> bool:
        events = requests * rate + _z(1 - power) * math.sqrt(requests * rate * (1 - rate))
        return log_e_below(math.ceil(events), math.ceil(requests), floor) >= -math.log(level)

    low, high = 0.0, fixed
    while not shown(high):
        low, high = high, 2 * high
        if high > _MOST:
            return
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    requests = math.ceil(fixed / share), math.ceil(high / share)
    yield Need(question.name, "floor", floor, level, power, fixed * rate, *requests)


def _tempered(need: Need, phi: float) -> Need:
    requests = math.ceil(need.fixed * phi), math.ceil(need.sequential * phi)
    return need._replace(events=need.events * phi, fixed=requests[0], sequential=requests[1])


def _mean_factor(share: float, log_ratio: float) -> float:
    """Return the rate of both together over control's, where the candidate's is e^log_ratio times control's."""
    return 1 - share + share * math.exp(log_ratio)


def _z(tail: float) -> float:
    return -NORMAL.inv_cdf(tail)
