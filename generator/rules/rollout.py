"""Rules on the declared rollout: its steps fit the variants, grow, and can be decided as they say."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from generator.domain.model import Shadow
from generator.problems import WARNING
from generator.routing import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from generator.documents.document import Document
    from generator.documents.load import Path
    from generator.domain.model import Environment, Experiment, Rollout
    from generator.problems import Problem


def rollout(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """Each step says how much every variant gets; control's share shrinks, and today's traffic is one of them."""
    declared = experiment.rollout
    if declared is None:
        return []
    path: Path = ("spec", "rollout", "steps")
    written = document.spec["rollout"].get("steps", ())
    found = [
        *_preset(document, declared, written),
        *_one_candidate(document, experiment, path if written else path[:-1], written),
        *(
            problem
            for number, one in enumerate(written)
            for problem in _step(document, experiment, (*path, number), one)
        ),
        *_evidence(document, experiment, declared),
    ]
    if found:
        return found
    found += _shrinking(document, declared, path)
    found += _copies(document, experiment, environment, declared, path)
    return found or _at_a_step(document, experiment, declared)


def _preset(document: Document, declared: Rollout, written: Sequence[Any]) -> list[Problem]:
    if not (declared.preset and written):
        return []
    return [
        document.problem(
            "PS324",
            ("spec", "rollout", "preset"),
            f"the rollout has steps of its own besides the preset {declared.preset}",
            "keep one of the two",
            key=True,
        )
    ]


def _one_candidate(document: Document, experiment: Experiment, path: Path, written: Sequence[Any]) -> list[Problem]:
    maps = bool(written) and all(isinstance(one, dict) and "traffic" in one for one in written)
    if maps or len(experiment.candidates) == 1:
        return []
    shares = ", ".join(f"{one.name}: {one.traffic}" for one in experiment.variants)
    return [
        document.problem(
            "PS317",
            path,
            f"steps are percentages of one candidate, but there are {len(experiment.candidates)}",
            f"write every step as a map, for example `traffic: {{{shares}}}`; or compare one candidate at a time",
            key=True,
        )
    ]


def _step(document: Document, experiment: Experiment, path: Path, written: Any) -> list[Problem]:
    if isinstance(written, int):
        return []
    message = ""
    shares, names = written.get("traffic", {}), sorted(variant.name for variant in experiment.variants)
    if ("percent" in written) == ("traffic" in written):
        message, fix = "a stage needs either `percent` or `traffic`", "keep one of them, for example `percent: 20`"
    elif shares and (sorted(shares) != names or sum(shares.values()) != 100):
        message = f"the shares of a stage are those of {', '.join(names)}, and sum to 100"
        fix = "give every variant its share, 0 included"
    elif "shadow" in written and written.get("percent") != 0:
        message, fix = "a stage of copies is one without traffic for the candidate", "write `percent: 0` beside shadow"
    return [document.problem("PS325", path, message, fix, key=True)] if message else []


def _evidence(document: Document, experiment: Experiment, declared: Rollout) -> list[Problem]:
    if experiment.metrics or all(step.gate != "evidence" for step in declared.steps):
        return []
    return [
        document.problem(
            "PS326",
            ("spec", "rollout"),
            "the rollout waits for evidence, but the experiment has no metrics that could give any",
            "add metrics, or choose `gate: time` or `gate: manual`",
            key=True,
        )
    ]


def _shrinking(document: Document, declared: Rollout, path: Path) -> list[Problem]:
    kept = [step.traffic[0][1] for step in declared.steps]
    return [
        document.problem(
            "PS318",
            (*path, number),
            f"this step leaves control {later} %, no less than the {earlier} % of the step before",
            "write the steps in growing order of the candidates, each once",
        )
        for number, (earlier, later) in enumerate(pairwise(kept), 1)
        if later >= earlier
    ]


def _copies(
    document: Document, experiment: Experiment, environment: Environment, declared: Rollout, path: Path
) -> list[Problem]:
    """Ask the backend whether it can copy requests as the steps will have it do."""
    backend = BACKENDS[environment.routing.backend]
    found = []
    for number, step in enumerate(declared.steps):
        if step.shadow:
            shadowed = experiment._replace(shadow=Shadow(experiment.candidates[0].name, step.shadow))
            place = document.place((*path, number))
            found += [
                problem._replace(place=place, path="spec.rollout")
                for problem in backend.experiment_problems(document, shadowed, environment)
            ]
    return found


def _at_a_step(document: Document, experiment: Experiment, declared: Rollout) -> list[Problem]:
    shares = tuple((variant.name, variant.traffic) for variant in experiment.variants)
    if experiment.control.traffic == 100 or shares in {step.traffic for step in declared.steps}:
        return []
    candidate = max(experiment.candidates, key=lambda one: one.traffic)
    known = ", ".join(str(dict(step.traffic)[candidate.name]) for step in declared.steps)
    return [
        document.problem(
            "PS319",
            ("spec", "traffic", candidate.name),
            f"`{candidate.name}` gets {candidate.traffic} %, which is not a declared step ({known})",
            "choose a declared step, or declare this one",
            severity=WARNING,
        )
    ]
