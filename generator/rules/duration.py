"""Whether an experiment can finish, where it says how many requests it gets and what control shows."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from generator.problems import WARNING

if TYPE_CHECKING:
    from generator.document import Document
    from generator.model import Environment, Experiment
    from generator.problems import Problem

_DAY = 86400


def duration(document: Document, experiment: Experiment, environment: Environment, today: str) -> list[Problem]:
    """Warn of one that cannot show what it asks before it ends; `plan` says more, also with numbers of one's own."""
    if experiment.rps is None or all(metric.baseline is None for metric in experiment.metrics):
        return []
    try:
        left = (date.fromisoformat(experiment.expires) - date.fromisoformat(today)).days
    except ValueError:
        return []
    from generator import planning  # noqa: PLC0415 (start-up time: most experiments declare no rate)

    found = planning.plan(experiment, planning.declared(experiment), (left + 1) * _DAY)
    return (
        [
            document.problem(
                "PS339",
                ("spec", "rps"),
                f"{_inside(found.late[0])} (at {experiment.rps:g} requests per second)",
                f"run `penstock plan {experiment.name} -e {environment.name}` to see each stage; the fastest split "
                f"is {planning.split(found.fastest)}, and larger margins and effects need less",
                severity=WARNING,
            )
        ]
        if found.late and left >= 0
        else []
    )


def _inside(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:].rstrip(".")
