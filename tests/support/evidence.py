"""Repositories with evidence: counts that were never scraped, drawn from rates that are known, in a real ledger."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

from histories import HOUR, History
from repositories import ENVIRONMENT, EXPERIMENT, recommendation

from generator.analysis.counts import Window
from generator.domain import interpret
from generator.evidence import counting, examine, ledger
from generator.versions import history

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BEGIN = 1_760_000_000  # some hours after it, what was deployed is history: 9 October 2025
METRICS: dict[str, Any] = {
    "click-through": {
        "role": "success",
        "kind": "ratio",
        "direction": "higher",
        "mde": 0.1,
        "events": {"metric": "clicks_total"},
        "total": {"metric": "impressions_total"},
    },
    "errors": {"role": "guardrail", "use": "kserve/errors", "margin": 0.5},
    "slow": {"role": "guardrail", "use": "kserve/latency", "above": "250ms", "margin": 0.15},
}
RATES = {"click-through": 0.05, "errors": 0.01, "slow": 0.06}


class Truth(NamedTuple):
    """What is true: control's rates, how many times them each candidate has, and requests of all variants a second."""

    rates: Mapping[str, float]
    factors: Mapping[str, Mapping[str, float]]
    rps: float = 25.0


def ramp(root: Path, steps: tuple[tuple[int, int], ...] = ((0, 10), (8, 30), (20, 50)), **spec: Any) -> History:
    """Return a repository whose candidate gets a percentage from some hours on."""
    made = History(root)
    case = recommendation()
    rollout, analysis = {"steps": [percent for _, percent in steps]}, {"settle": "2m"}
    case.experiment["spec"] |= {"metrics": METRICS, "rollout": rollout, "analysis": analysis, **spec}
    made.put(case)
    for number, (hour, percent) in enumerate(steps):
        with made.experiment() as document:
            document["spec"].setdefault("traffic", {})
            document["spec"]["traffic"] = {"v1": 100 - percent, "v2": percent}
        made.clock = BEGIN + (hour - 1) * HOUR
        made.commit(f"v2 gets {percent} %" if number else "Try v2")
    return made


def three(root: Path) -> History:
    """Return a repository in which two candidates are compared, and a metric that decides nothing."""
    made, case = History(root), recommendation()
    names = ("control", "larger-model", "smaller-model")
    case.experiment["spec"] |= {
        "control": names[0],
        "variants": {name: {"storageUri": f"gs://my-bucket/models/{name}"} for name in names},
        "traffic": dict(zip(names, (60, 20, 20), strict=True)),
        "analysis": {"settle": "2m"},
        "metrics": METRICS | {"mean-latency": {"role": "guardrail", "use": "kserve/mean-latency", "margin": 0.2}},
    }
    case.experiment["spec"].pop("rollout", None)
    made.put(case)
    made.clock = BEGIN - HOUR
    made.commit("Compare a smaller and a larger model")
    return made


def count(made: History, truth: Truth, hours: int, looks: int = 12, name: str = EXPERIMENT) -> None:
    """Record what would have been counted until some hours after the first commit, in a number of looks."""
    root, key = str(made.root), (ENVIRONMENT, name)
    place = interpret.environment(root, ENVIRONMENT)
    experiment = interpret.experiment(root, place.environment, place.document, name, in_base=False).experiment
    life = history.lives(root, "HEAD", [key], BEGIN + hours * HOUR)[key]
    metrics = examine.fingerprints(experiment)
    draw = random.Random(name)  # noqa: S311 (a simulation, the same each time)
    after = 0
    for look in range(1, looks + 1):
        until = BEGIN + hours * HOUR * look // looks
        stages = counting.stages(life.periods, experiment.control.name)
        due = counting.due(stages, experiment.analysis.window, experiment.analysis.settle, after, until)
        weights = {stage.number: stage.traffic for stage in stages}
        windows = tuple(_window(one, weights[one.stage], truth, draw) for one in due)
        if not windows:
            continue
        after = windows[-1].end
        file = ledger.file_of(ENVIRONMENT, name, life.attempts)
        known = ledger.read(root, file, stages, metrics)
        shown = tuple(stage for stage in stages if any(window.stage == stage.number for window in windows))
        ledger.append(
            root,
            known,
            ledger.Look(
                until, shown, windows, metrics, len(windows), {}, {"v2": 1} if look == 2 else {}, (0, 0), {}, ()
            ),
        )


def _window(due: counting.Due, weights: Mapping[str, int], truth: Truth, draw: random.Random) -> Window:
    total = truth.rps * (due.end - due.start)
    requests: dict[str, int] = {}
    events: dict[str, dict[str, tuple[float, int]]] = {metric: {} for metric in truth.rates}
    for name, weight in weights.items():
        if not weight:
            continue
        requests[name] = _drawn(draw, total, weight / sum(weights.values()))
        for metric, rate in truth.rates.items():
            factor = truth.factors.get(name, {}).get(metric, 1.0)
            events[metric][name] = (_drawn(draw, requests[name], rate * factor), requests[name])
    return Window(due.stage, due.start, due.end, requests, events)


def _drawn(draw: random.Random, chances: float, share: float) -> int:
    """Draw from nearly a binomial distribution."""
    mean = chances * share
    return max(0, min(int(chances), round(draw.gauss(mean, (mean * (1 - share)) ** 0.5))))
