"""How often verdicts are wrong and how soon they are right, by simulation through the real verdict.

`python -m tests.statistics.simulation --runs 2000` prints the table of docs/statistics.md, row by row. A run
has 100 looks after 5,000 requests each, and ends with the first verdict that somebody would act on.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

from generator.analysis.counts import Assignment, Design, Quality, Question, Stage, Window
from generator.analysis.verdict import verdict

LOOKS = 100
REQUESTS = 5_000  # between two looks
WINDOW = 600  # seconds

CLICKS = Question("clicks", "success", "higher", 0.1, None, None, "ratio")
ERRORS = Question("errors", "guardrail", "lower", None, 0.5, None, "ratio")
SLOW = Question("slow", "guardrail", "lower", None, 0.15, None, "latencyShare")


class Scenario(NamedTuple):
    """A truth: weights and base rates by stage, and what candidates' rates are multiplied by.

    `spread` is the standard deviation of a variant's rate, over its mean, that its own users bring with them.
    """

    says: str
    questions: tuple[Question, ...]
    weights: tuple[dict[str, int], ...]
    rates: tuple[dict[str, float], ...]
    effects: dict[str, dict[str, float]] = {}  # noqa: RUF012 (a named tuple's default, never changed)
    assignment: Assignment = "perRequest"
    spread: float = 0.0


_THREE = ({"a": 80, "b": 10, "c": 10},)
_USUAL = ({"clicks": 0.05, "errors": 0.005, "slow": 0.05},)
SCENARIOS = {
    "clicks": Scenario("identical, CTR 5 %, 50/50", (CLICKS,), ({"a": 50, "b": 50},), ({"clicks": 0.05},)),
    "errors": Scenario(
        "identical, errors 0.2 %, 90/10",
        (CLICKS, ERRORS),
        ({"a": 90, "b": 10},),
        ({"clicks": 0.05, "errors": 0.002},),
    ),
    "three": Scenario("identical, three variants 80/10/10, three metrics", (CLICKS, ERRORS, SLOW), _THREE, _USUAL),
    "ramp": Scenario(
        "identical, ramp 5, 20, 50 % while base rates drift",
        (CLICKS, ERRORS),
        ({"a": 95, "b": 5}, {"a": 80, "b": 20}, {"a": 50, "b": 50}),
        ({"clicks": 0.05, "errors": 0.04}, {"clicks": 0.08, "errors": 0.02}, {"clicks": 0.04, "errors": 0.01}),
    ),
    "margin": Scenario(
        "no success metric, errors exactly at the margin (+50 %), 50/50",
        (ERRORS,),
        ({"a": 50, "b": 50},),
        ({"errors": 0.005},),
        {"b": {"errors": 1.5}},
    ),
    "winner": Scenario("CTR +12 %, three variants", (CLICKS, ERRORS, SLOW), _THREE, _USUAL, {"b": {"clicks": 1.12}}),
    "broken": Scenario("errors x3, three variants", (CLICKS, ERRORS, SLOW), _THREE, _USUAL, {"b": {"errors": 3.0}}),
    "sticky": Scenario(
        "CTR +12 %, sticky users, nothing declared",
        (CLICKS, ERRORS),
        ({"a": 50, "b": 50},),
        ({"clicks": 0.05, "errors": 0.005},),
        {"b": {"clicks": 1.12}},
        "sticky",
        0.05,
    ),
}


class Outcome(NamedTuple):
    """How a run ended, and after how many requests."""

    decision: str
    winner: str | None
    requests: int


def run(name: str, seed: int) -> Outcome:
    """Let one experiment of a scenario run until a verdict ends it, or its looks are over."""
    scenario = SCENARIOS[name]
    chance = random.Random(f"{name} {seed}")  # noqa: S311 (a simulation)
    stages = _stages(scenario)
    names = [*scenario.weights[0]]
    design = Design("a", tuple(names[1:]), scenario.questions, scenario.assignment)
    own = {
        (variant, question.name): max(0.0, chance.gauss(1, scenario.spread)) if scenario.spread else 1.0
        for variant in names
        for question in scenario.questions
    }
    windows: list[Window] = []
    for look in range(LOOKS):
        stage = stages[min(look * len(stages) // LOOKS, len(stages) - 1)]
        rates = scenario.rates[stage.number]
        requests = split(chance, REQUESTS, stage.traffic)
        events = {}
        for question in scenario.questions:
            events[question.name] = {
                variant: (binomial(chance, n, rates[question.name] * _effect(scenario, own, variant, question)), n)
                for variant, n in requests.items()
            }
        windows.append(Window(stage.number, look * WINDOW, (look + 1) * WINDOW, requests, events))
        found = verdict(design, stages[: stage.number + 1], windows, Quality(), intervals=False)
        if found.decision in {"promote", "rollback", "invalid"}:
            return Outcome(found.decision, found.winner, REQUESTS * (look + 1))
    return Outcome("continue", None, REQUESTS * LOOKS)


def _effect(scenario: Scenario, own: dict[tuple[str, str], float], variant: str, question: Question) -> float:
    return scenario.effects.get(variant, {}).get(question.name, 1.0) * own[variant, question.name]


def _stages(scenario: Scenario) -> list[Stage]:
    length = LOOKS * WINDOW // len(scenario.weights)
    last = len(scenario.weights) - 1
    return [
        Stage(number, number * length, None if number == last else (number + 1) * length, weights)
        for number, weights in enumerate(scenario.weights)
    ]


def split(chance: random.Random, requests: int, weights: dict[str, int] | object) -> dict[str, int]:
    """Draw the variant of each request."""
    assert isinstance(weights, dict)
    left, total, drawn = requests, sum(weights.values()), {}
    for name, weight in weights.items():
        drawn[name] = binomial(chance, left, weight / total) if total else 0
        left, total = left - drawn[name], total - weight
    return drawn


def binomial(chance: random.Random, n: int, p: float) -> int:
    """Draw from Binomial(n, p): compare n uniform numbers with p bit by bit, all of them at once."""
    if p >= 1:
        return n
    drawn, undecided = 0, n
    while undecided and p > 0:
        p *= 2
        ones = chance.getrandbits(undecided).bit_count()
        if p >= 1:
            p -= 1
            drawn += undecided - ones
            undecided = ones
        else:
            undecided -= ones
    return drawn


def wilson(successes: int, runs: int, level: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson 1927)."""
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    centre = (successes + z * z / 2) / (runs + z * z)
    half = z / (runs + z * z) * math.sqrt(successes * (runs - successes) / runs + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


class Result(NamedTuple):
    """How many runs of a scenario ended in which way; `requests` is the median of those that ended."""

    scenario: str
    runs: int
    decisions: dict[str, int]
    requests: float | None


def simulate(name: str, runs: int, pool: ProcessPoolExecutor | None = None) -> Result:
    """Run a scenario with the seeds 0, 1, ..."""
    each = (pool.map if pool else map)(partial(run, name), range(runs))
    outcomes = [*each]
    ended = [one.requests for one in outcomes if one.decision != "continue"]
    decisions = Counter(one.decision for one in outcomes)
    return Result(name, runs, dict(decisions), statistics.median(ended) if ended else None)


HEADER = """| truth | runs | rolled back | promoted | invalid | median requests |
|---|---|---|---|---|---|"""


def line(result: Result) -> str:
    """Lay a result out as a line of Markdown, each share with its 95 % interval."""
    cells = []
    for decision in ("rollback", "promote", "invalid"):
        count = result.decisions.get(decision, 0)
        low, high = wilson(count, result.runs)
        cells.append(f"{count / result.runs:.1%} ({low:.1%} to {high:.1%})")
    median = "-" if result.requests is None else f"{result.requests:,.0f}"
    return f"| {SCENARIOS[result.scenario].says} | {result.runs:,} | {' | '.join(cells)} | {median} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="only this scenario; may be repeated")
    parser.add_argument("--processes", type=int, default=None)
    options = parser.parse_args()
    print(HEADER)  # noqa: T201
    with ProcessPoolExecutor(options.processes) as pool:
        for name in options.only or SCENARIOS:
            print(line(simulate(name, options.runs, pool)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
