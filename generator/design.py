"""The questions that an experiment declares, as the engine takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.analysis.counts import Design, Question

if TYPE_CHECKING:
    from generator.model import Experiment


def design(experiment: Experiment, *, planned_end: int | None = None, looks: int = 1, attempts: int = 1) -> Design:
    """Return the design of an experiment; `planned_end` is in seconds since 1970, None where it has none."""
    analysis = experiment.analysis
    return Design(
        control=experiment.control.name,
        candidates=tuple(variant.name for variant in experiment.candidates),
        questions=tuple(
            Question(one.name, one.role, one.direction, one.mde, one.margin, one.floor, one.kind)
            for one in experiment.metrics
        ),
        assignment=analysis.assignment,
        design_effect=analysis.design_effect,
        minimum_seconds=analysis.minimum_duration,
        planned_end=planned_end,
        looks=looks,
        attempts=attempts,
    )
