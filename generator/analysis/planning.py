"""How long an experiment takes: what each stage of its rollout can show, and whether all of it fits.

A stage shows something while control and a candidate both get traffic; evidence adds up over stages. A step that needs
evidence waits until every guardrail is shown to be safe, and the last stage in which variants are compared until all is
shown, as the gates of a rollout have it. What a question needs is in `analysis.power`; nothing here reads a clock.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Literal, NamedTuple

from generator.analysis.design import design
from generator.analysis.distributions import NORMAL
from generator.analysis.group_sequential import obrien_fleming_constant
from generator.analysis.multiplicity import deciding
from generator.analysis.power import Need, needs, seconds, split_cost
from generator.documents.wording import lasting, listed
from generator.domain.model import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from generator.analysis.counts import Design
    from generator.domain.model import Experiment, Gate

Traffic = tuple[tuple[str, int], ...]
POWER = 0.8
LOOKS = 5
"""Looks of the design that looks only at planned times."""


class Number(NamedTuple):
    """A rate as a fraction, or requests per second, and where it came from."""

    value: float
    source: str


class Basis(NamedTuple):
    """What a plan reckons with: requests per second of the whole experiment, None if unknown, and rates of control."""

    rps: Number | None
    rates: Mapping[str, Number]


class Ask(NamedTuple):
    """A question about a candidate at one stage.

    `takes` are the seconds until it is answered, if nothing else were ever counted than at this stage's split; None
    where requests per second are not known. `gathered` is the fraction of what it needs that is there by the end of the
    stage, with all stages before it.
    """

    candidate: str
    need: Need
    takes: float | None
    gathered: float


class Stage(NamedTuple):
    """A stage as planned.

    `number` counts from 0. `lasts` is in seconds, None where it is not known; `waits` says what for, if for more than
    the declared `soak`. `cost` is how many times the requests of the fastest split this one needs, 0 where nothing is
    compared.
    """

    number: int
    traffic: Traffic
    shadow: int
    gate: Gate
    soak: int
    lasts: float | None
    waits: str
    cost: float
    asks: tuple[Ask, ...]


class Plan(NamedTuple):
    """Whether an experiment can finish.

    `never` says what no amount of time mends, `late` what takes too long, `unknown` what is not known, `assumed` what
    is taken for granted, all sentences.
    `takes` are the seconds of all stages, `alone` those of the fastest split if it were the only stage.
    """

    stages: tuple[Stage, ...]
    never: tuple[str, ...]
    late: tuple[str, ...]
    unknown: tuple[str, ...]
    assumed: tuple[str, ...]
    takes: float | None
    fastest: Traffic
    alone: float | None

    @property
    def answer(self) -> Literal["yes", "no", "unknown"]:
        """Whether it can finish: what is sure comes before what is not known."""
        return "no" if self.never or self.late else "unknown" if self.unknown else "yes"


def declared(experiment: Experiment) -> Basis:
    """Return what the experiment itself says."""
    rates = {
        one.name: Number(one.baseline, f"spec.metrics.{one.name}.baseline")
        for one in experiment.metrics
        if one.baseline is not None
    }
    return Basis(None if experiment.rps is None else Number(experiment.rps, "spec.rps"), rates)


def plan(experiment: Experiment, basis: Basis, left: int) -> Plan:
    """Plan an experiment that begins now; `left` are the seconds until it expires."""
    asked = design(experiment)
    fastest = _fastest(experiment)
    stages = tuple(_walk(experiment, asked, basis))
    takes = None if any(one.lasts is None for one in stages) else math.fsum(one.lasts or 0 for one in stages)
    alone = _alone(asked, basis, fastest, experiment.analysis.settle)
    return Plan(
        stages,
        tuple(_never(experiment, asked, stages, basis)),
        _late(experiment, stages, takes, left),
        tuple(_unknown(asked, basis)),
        _assumed(experiment, asked),
        takes,
        fastest,
        alone,
    )


def planned_looks(need: Need) -> int:
    """Return the requests that suffice where LOOKS looks were planned beforehand, and no others are ever taken.

    O'Brien & Fleming's bounds, taken as if only the last look could show anything, hence at most this many: their
    constant in place of z at the last look (Jennison & Turnbull, Group Sequential Methods, 2000, 2.3).
    """
    power = NORMAL.inv_cdf(need.power)
    once = -NORMAL.inv_cdf(need.level) + power
    return math.ceil(need.fixed * ((_bound(need.level) + power) / once) ** 2)


@cache
def _bound(level: float) -> float:
    return obrien_fleming_constant(LOOKS, 2 * level)


def split(traffic: Traffic) -> str:
    """Write a split for people: `v1 80 %, v2 20 %`."""
    return ", ".join(f"{name} {percent} %" for name, percent in traffic)


def steps(experiment: Experiment) -> tuple[Step, ...]:
    """Return the stages of an experiment; without a rollout, what it gets now."""
    if experiment.rollout is not None:
        return experiment.rollout.steps
    copied = experiment.shadow.percent if experiment.shadow else 0
    return (Step(tuple((one.name, one.traffic) for one in experiment.variants), copied, 0, "manual"),)


def _fastest(experiment: Experiment) -> Traffic:
    """Return the split of the fewest requests: control gets the square root of the candidates' number as often as one.

    Dunnett, "A multiple comparison procedure for comparing several treatments with a control" (JASA 50, 1955).
    """
    names = [one.name for one in experiment.candidates]
    each = int(100 / (math.sqrt(len(names)) + len(names)))
    return (experiment.control.name, 100 - each * len(names)), *((name, each) for name in names)


def _walk(experiment: Experiment, asked: Design, basis: Basis) -> Iterator[Stage]:
    """Yield the stages, each as long as its soak and what it waits for."""
    declared = steps(experiment)
    last = max((number for number, one in enumerate(declared) if _compares(one.traffic)), default=-1)
    gathered: dict[tuple[str, str, str], float] = {}
    for number, step in enumerate(declared):
        asks = _asks(asked, basis, step.traffic) if _compares(step.traffic) else []
        final = number == len(declared) - 1
        soak = experiment.rollout.bake if final and experiment.rollout else step.soak
        lasts, waits = _lasts(asks, gathered, soak, experiment.analysis.settle, _wanted(step, number, last))
        for place, one in enumerate(asks):
            key = (one.candidate, one.need.question, one.need.purpose)
            counted = max(0.0, lasts - experiment.analysis.settle)
            gathered[key] = gathered.get(key, 0.0) + (counted / one.takes if one.takes else 0.0)
            asks[place] = one._replace(gathered=min(1.0, gathered[key]))
        unknown = _compares(step.traffic) and bool(_missing(asked, basis) or basis.rps is None)
        yield Stage(
            number, step.traffic, step.shadow, step.gate, soak, None if unknown else lasts, waits,
            _cost(experiment, step.traffic), tuple(asks),
        )  # fmt: skip


def _compares(traffic: Traffic) -> bool:
    return traffic[0][1] > 0 and any(percent for _, percent in traffic[1:])


def _wanted(step: Step, number: int, last: int) -> tuple[str, ...]:
    """Return which purposes a stage waits for."""
    if number == last:
        return ("better", "safe", "floor")
    return ("safe", "floor") if step.gate == "evidence" else ()


def _asks(asked: Design, basis: Basis, traffic: Traffic) -> list[Ask]:
    control = traffic[0][1]
    found = []
    for name, percent in traffic[1:]:
        pair = (control + percent) / 100
        for question in deciding(asked):
            rate = basis.rates.get(question.name)
            if rate is None or not percent:
                continue
            for need in needs(asked, question, rate.value, percent / (control + percent), POWER):
                takes = seconds(need.sequential, basis.rps.value, pair) if basis.rps else None
                found.append(Ask(name, need, takes, 0.0))
    return found


def _lasts(
    asks: Sequence[Ask], gathered: Mapping[tuple[str, str, str], float], soak: int, settle: int, wanted: Iterable[str]
) -> tuple[float, str]:
    """Return how long a stage lasts, and what it waits for beyond its soak."""
    lasts, waits = float(soak), ""
    for (candidate, question), ways in _questions(asks, wanted):
        left = [
            (one.takes or 0.0) * max(0.0, 1 - gathered.get((candidate, question, one.need.purpose), 0.0))
            for one in ways
        ]
        needed = min(left)
        if needed and settle + needed > lasts:
            lasts, waits = settle + needed, f"{question} of {candidate}"
    return lasts, waits


def _questions(asks: Iterable[Ask], wanted: Iterable[str]) -> Iterator[tuple[tuple[str, str], list[Ask]]]:
    """Group the ways to answer each question: a guardrail passes by its margin or by its floor."""
    purposes = set(wanted)
    for key, ways in groupby(asks, key=lambda one: (one.candidate, one.need.question)):
        chosen = [one for one in ways if one.need.purpose in purposes]
        if chosen:
            yield key, chosen


def _cost(experiment: Experiment, traffic: Traffic) -> float:
    costs = [_requests(traffic[0][1], percent) for _, percent in traffic[1:] if percent and traffic[0][1]]
    best = _fastest(experiment)
    return max(costs) / _requests(best[0][1], best[1][1]) if costs else 0.0


def _requests(control: int, candidate: int) -> float:
    """Return requests in all for a unit of information about one pair, up to a factor."""
    return split_cost(candidate / (control + candidate)) / (control + candidate)


def _alone(asked: Design, basis: Basis, traffic: Traffic, settle: int) -> float | None:
    asks = _asks(asked, basis, traffic)
    if basis.rps is None or not asks:
        return None
    return _lasts(asks, {}, 0, settle, ("better", "safe", "floor"))[0]


def _late(experiment: Experiment, stages: Sequence[Stage], takes: float | None, left: int) -> tuple[str, ...]:
    if takes is None:
        return ()
    found = []
    takes = max(takes, experiment.analysis.minimum_duration)
    longest = experiment.rollout.max_duration if experiment.rollout else None
    if takes > left:
        found.append(
            f"It takes {span(takes)}, but expires in {span(left)}, at the end of {experiment.expires}."
            if left > 0
            else f"It expired at the end of {experiment.expires}."
        )
    if longest is not None and takes > longest:
        found.append(f"It takes {span(takes)}, longer than its maxDuration of {span(longest)}.")
    return (*found, *_left_early(experiment, stages))


def _left_early(experiment: Experiment, stages: Sequence[Stage]) -> Iterator[str]:
    """Name the last stage that compares, if it is left for one that does not before all is shown."""
    compared = [one for one in stages if one.asks]
    if not compared or experiment.rollout is None or experiment.rollout.mode == "manual":
        return
    last = compared[-1]
    if last.number == len(stages) - 1 or last.gate == "manual" or last.lasts is None:
        return
    guarded = {f"{question} of {candidate}" for (candidate, question), _ in _questions(last.asks, ("safe", "floor"))}
    if last.gate == "evidence" and last.waits in guarded:
        return
    if last.waits:
        yield (
            f"Stage {last.number + 1} ({split(last.traffic)}) may be left before {last.waits} is shown, and afterwards "
            f"nothing is compared: give it `soak: {_soak(last.lasts)}`, or `gate: manual`."
        )


def _never(experiment: Experiment, asked: Design, stages: Sequence[Stage], basis: Basis) -> Iterator[str]:
    if not any(_compares(one.traffic) for one in stages):
        yield "No stage gives traffic to both control and a candidate, so nothing is ever compared."
    if not deciding(asked):
        yield "No metric that can decide is declared: a mean is shown, and decides nothing."
    for question in deciding(asked):
        rate = basis.rates.get(question.name)
        if question.role == "guardrail" and question.margin is None and question.floor is None:
            yield f"{question.name} has neither margin nor floor, so it is never shown to be safe: declare one."
        elif rate is not None and not rate.value and (question.floor is None or question.role == "success"):
            yield f"{question.name} has no events, so two variants are never told apart: declare a floor."
    if asked.assignment == "header":
        yield "Users choose their variant by a header, so nothing is ever promoted."
    if asked.assignment == "sticky" and asked.design_effect is None and not experiment.analysis.bucket_label:
        yield "Users are sticky and only requests are counted, so nothing is ever promoted: declare bucketLabel."


def _unknown(asked: Design, basis: Basis) -> Iterator[str]:
    if basis.rps is None:
        yield "Requests per second are not known: declare `rps`, or give `--rps`."
    missing = _missing(asked, basis)
    if missing:
        example = f"`--rate {missing[0]}=0.05`"
        yield f"What control shows of {listed(missing)} is not known: declare `baseline`, or give {example}."


def _assumed(experiment: Experiment, asked: Design) -> tuple[str, ...]:
    if asked.assignment != "sticky" or asked.design_effect is not None or not experiment.analysis.bucket_label:
        return ()
    effect = "what bucketLabel will show of users is not known yet: declare the designEffect that you expect"
    return (f"Requests are reckoned as independent, for {effect}, which everything is multiplied by.",)


def span(seconds: float) -> str:
    """Write a span to the next full minute; what nobody waits for, in years."""
    years = seconds / (365 * 86400)
    return lasting(60 * math.ceil(seconds / 60)) if years < 10 else f"{years:,.0f} years"


def _soak(seconds: float) -> str:
    hours = math.ceil(seconds / 3600)
    return f"{hours}h" if hours < 72 else f"{math.ceil(hours / 24)}d"


def _missing(asked: Design, basis: Basis) -> list[str]:
    return [question.name for question in deciding(asked) if question.name not in basis.rates]
