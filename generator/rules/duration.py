"""Whether an experiment can finish, where it says how many requests it gets and what control shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.problems import WARNING

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment
    from generator.problems import Problem

_DAY = 86400


def duration(document: Document, experiment: Experiment, environment: Environment, today: str) -> list[Problem]:
    """Warn of one that cannot show what it asks before it ends; `plan` says more, also with numbers of one's own."""
    if experiment.rps is None or all(metric.baseline is None for metric in experiment.metrics):
        return []
    from generator.analysis import planning  # noqa: PLC0415 (start-up time: most experiments declare no rate)
    from generator.analysis.design import expiry  # noqa: PLC0415

    ends, tonight = expiry(experiment.expires), expiry(today)
    if ends is None or tonight is None or ends < tonight:
        return []
    found = planning.plan(experiment, planning.declared(experiment), ends - tonight + _DAY)
    return [
        document.problem(
            "PS339",
            ("spec", "rps"),
            f"{_inside(late)} (at {experiment.rps:g} requests per second)",
            f"run `penstock plan {experiment.name} -e {environment.name}` to see each stage; the fastest split is "
            f"{planning.split(found.fastest)}, and larger margins and effects need less",
            severity=WARNING,
        )
        for late in found.late[:1]
    ]


def _inside(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:].rstrip(".")
