"""The questions that an experiment declares, as the engine takes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from generator.analysis.counts import Design, Question

if TYPE_CHECKING:
    from generator.domain.model import Experiment


def design(experiment: Experiment, began: int | None = None, looks: int = 1, attempts: int = 1) -> Design:
    """Return what is fixed before the start; `began` is when the first stage did, in seconds since 1970."""
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
        planned_end=_planned_end(experiment, began),
        looks=looks,
        attempts=attempts,
    )


def _planned_end(experiment: Experiment, began: int | None) -> int | None:
    """Return the end of the day of `expires`, or of maxDuration if that comes first."""
    expired = expiry(experiment.expires)
    ends = [] if expired is None else [expired]
    if began is not None and experiment.rollout and experiment.rollout.max_duration:
        ends.append(began + experiment.rollout.max_duration)
    return min(ends, default=None)


def expiry(day: str) -> int | None:
    """Return when an experiment has expired, in seconds since 1970; None for a day that does not exist."""
    try:
        end = date.fromisoformat(day) + timedelta(days=1)
    except ValueError:
        return None
    return int(datetime(end.year, end.month, end.day, tzinfo=UTC).timestamp())
