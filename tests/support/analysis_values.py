"""Verdicts as values, for tests of what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.analysis.mismatch import judge
from generator.analysis.rows import Row
from generator.analysis.verdict import Judged, Verdict

if TYPE_CHECKING:
    from generator.analysis.rows import Shows
    from generator.analysis.verdict import Decision
    from generator.domain.model import Role


def verdict(decision: Decision, *candidates: Judged, winner: str | None = None, rows: tuple[Row, ...] = ()) -> Verdict:
    """Make a verdict whose reason is its decision."""
    split = judge([], 1.0)
    return Verdict(decision, f"{decision}.", winner, candidates, rows, split, "Unit: request.", (), 3)


def judged(candidate: str, decision: Decision) -> Judged:
    """Judge a candidate, for a reason that names both."""
    return Judged(candidate, decision, f"{candidate}: {decision}.")


def row(metric: str, candidate: str, role: Role, shows: Shows) -> Row:
    """Make a row without numbers."""
    return Row(
        metric=metric,
        candidate=candidate,
        role=role,
        kind="ratio",
        direction="lower",
        decides=True,
        control_counts=(0, 0),
        candidate_counts=(0, 0),
        control_rate=None,
        candidate_rate=None,
        ratio=None,
        lower=None,
        upper=None,
        log_e_harm=None,
        log_needed_harm=None,
        log_e_better=None,
        log_e_margin=None,
        log_e_floor=None,
        log_needed_pass=None,
        phi=1.0,
        phi_windows=None,
        shows=shows,
        note="",
        stages=(),
        heterogeneity=None,
    )
