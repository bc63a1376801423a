"""Rules on how the verdict counts: what is declared must be able to mean something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.problems import WARNING

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment
    from generator.problems import Problem


def assignment(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """A design effect or a bucket label belongs to sticky users, and sticky users need one of them for a verdict."""
    declared = experiment.analysis
    given = [key for key in ("designEffect", "bucketLabel") if key in document.spec.get("analysis", {})]
    if declared.assignment != "sticky":
        return [
            document.problem(
                "PS328",
                ("spec", "analysis", key),
                f"`{key}` describes sticky users, but assignment is {declared.assignment}",
                f"write `assignment: sticky`, or remove {key}",
                key=True,
            )
            for key in given
        ]
    if given:
        return []
    return [
        document.problem(
            "PS329",
            ("spec", "analysis", "assignment"),
            "users are sticky, but only requests are counted: the verdict can be no more than continue",
            "add bucketLabel, a label with a hash of the user, or designEffect",
            severity=WARNING,
        )
    ]


def floors(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """A floor is for a guardrail whose events are bad and rare."""
    return [
        document.problem(
            "PS333",
            ("spec", "metrics", metric.name, "floor"),
            f"metric `{metric.name}` is no guardrail of bad events, so a share below which all is well means nothing",
            "remove floor",
            key=True,
        )
        for metric in experiment.metrics
        if metric.floor is not None
        and (metric.role != "guardrail" or metric.direction != "lower" or metric.kind == "mean")
    ]
