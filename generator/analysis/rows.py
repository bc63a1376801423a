"""What a metric shows about a candidate: counts, rates, ratio with bounds, and the evidence for and against it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from generator.analysis import dispersion, floor
from generator.analysis.eprocess import Block, Evidence, prior_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from generator.analysis.counts import Design, Question, Window
    from generator.analysis.multiplicity import Levels
    from generator.domain.model import Direction, Kind, Role

Shows = Literal["harm", "better", "non-inferior", "floor", "nothing"]

_COMMON = 0.2


class StageRatio(NamedTuple):
    """Counts (x, n) of one stage, and candidate's rate over control's (Mantel-Haenszel over the stage's windows)."""

    stage: int
    control: tuple[float, int]
    candidate: tuple[float, int]
    ratio: float | None


class Row(NamedTuple):
    """What one metric shows about one candidate.

    `ratio` is candidate's rate over control's, stratified by window. `lower` and `upper` bound it (None: not yet), each
    at the level of its own test: the interval lies on the worse side of 1 just when `log_e_harm` reaches
    `log_needed_harm`, and on the better side, or within a guardrail's margin, just when `log_e_better` or
    `log_e_margin` reaches `log_needed_pass`. Where higher is better, a margin m allows a ratio down to 1/(1+m), which
    is stricter than 1-m and as far from 1 in logarithm as 1+m. All evidence is in natural logarithms, tempered by
    `phi`; `phi_windows` is the dispersion of the windows, None where there are too few. A row that does not decide has
    no evidence.
    """

    metric: str
    candidate: str
    role: Role
    kind: Kind
    direction: Direction
    decides: bool
    control_counts: tuple[float, int]
    candidate_counts: tuple[float, int]
    control_rate: float | None
    candidate_rate: float | None
    ratio: float | None
    lower: float | None
    upper: float | None
    log_e_harm: float | None
    log_needed_harm: float | None
    log_e_better: float | None
    log_e_margin: float | None
    log_e_floor: float | None
    log_needed_pass: float | None
    phi: float
    phi_windows: float | None
    shows: Shows
    note: str
    stages: tuple[StageRatio, ...]
    heterogeneity: dispersion.Heterogeneity | None


def _blocks(
    design: Design,
    question: Question,
    candidate: str,
    traffic: Mapping[int, Mapping[str, int]],
    windows: Iterable[Window],
) -> dict[int, list[Block]]:
    """Return the windows of each stage that gives traffic to both; requests forced to a variant are not its share."""
    found: dict[int, list[Block]] = {}
    for window in windows:
        weights = traffic[window.stage]
        counts = window.events.get(question.name, {})
        if weights.get(design.control) and weights.get(candidate) and design.control in counts and candidate in counts:
            found.setdefault(window.stage, []).append(Block(*counts[design.control], *counts[candidate]))
    return found


def row_of(
    design: Design,
    question: Question,
    candidate: str,
    traffic: Mapping[int, Mapping[str, int]],
    windows: Sequence[Window],
    given: Levels,
    *,
    intervals: bool,
) -> Row:
    """Weigh a question about a candidate; `traffic` holds the weights by stage. A mean is only shown."""
    staged = _blocks(design, question, candidate, traffic, windows)
    blocks = [block for one in staged.values() for block in one]
    control = (sum(b.x0 for b in blocks), sum(b.n0 for b in blocks))
    counted = (sum(b.x1 for b in blocks), sum(b.n1 for b in blocks))
    row = Row(
        metric=question.name,
        candidate=candidate,
        role=question.role,
        kind=question.kind,
        direction=question.direction,
        decides=question.kind != "mean",
        control_counts=control,
        candidate_counts=counted,
        control_rate=control[0] / control[1] if control[1] else None,
        candidate_rate=counted[0] / counted[1] if counted[1] else None,
        ratio=dispersion.mantel_haenszel_ratio(blocks),
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
        shows="nothing",
        note="a mean's spread is not in its counters: shown, decides nothing",
        stages=tuple(_stage_ratio(stage, staged[stage]) for stage in sorted(staged)),
        heterogeneity=None,
    )
    return _weighed(design, question, row, staged, windows, given, intervals=intervals) if row.decides else row


def _stage_ratio(stage: int, blocks: list[Block]) -> StageRatio:
    control = (sum(b.x0 for b in blocks), sum(b.n0 for b in blocks))
    candidate = (sum(b.x1 for b in blocks), sum(b.n1 for b in blocks))
    return StageRatio(stage, control, candidate, dispersion.mantel_haenszel_ratio(blocks))


def _weighed(
    design: Design,
    question: Question,
    row: Row,
    staged: Mapping[int, list[Block]],
    windows: Sequence[Window],
    given: Levels,
    *,
    intervals: bool,
) -> Row:
    """Add the evidence. It is weighed on a scale where up is worse: where higher is better, both variants swap."""
    lower = question.direction == "lower"
    blocks = [block for one in staged.values() for block in one]
    evidence = Evidence(
        blocks if lower else [Block(b.x1, b.n1, b.x0, b.n0) for b in blocks], prior_for(question.effect)
    )
    worse = evidence.estimate()
    log_ratio = None if worse is None else worse if lower else -worse
    phi_windows = None if log_ratio is None else dispersion.over_windows(blocks, log_ratio)
    phi = _phi(design, question, row.candidate, windows, phi_windows)
    evidence = evidence.tempered(phi)
    success = question.role == "success"
    level = given.better if success else given.margin if _floor(question) is None else given.margin_beside_floor
    row = row._replace(
        ratio=math.exp(log_ratio) if log_ratio is not None else row.ratio,
        log_e_harm=evidence.log_e_above(),
        log_needed_harm=-math.log(given.harm),
        log_e_better=evidence.log_e_below(),
        log_e_margin=evidence.log_e_below(math.log1p(question.margin)) if question.margin and not success else None,
        log_e_floor=_log_e_floor(question, row.candidate_counts, phi),
        log_needed_pass=-math.log(level),
        phi=phi,
        phi_windows=phi_windows,
        note=_note(question, row),
        heterogeneity=dispersion.heterogeneity(staged.values(), log_ratio, phi) if log_ratio is not None else None,
    )
    row = row._replace(shows=_shown(row))
    if intervals:
        bounds = evidence.lower(given.harm), evidence.upper(level)
        low, high = bounds if lower else tuple(None if one is None else -one for one in reversed(bounds))
        row = row._replace(
            lower=None if low is None else math.exp(low),
            upper=None if high is None else math.exp(high),
        )
    return row


def _phi(
    design: Design, question: Question, candidate: str, windows: Iterable[Window], phi_windows: float | None
) -> float:
    phi = max(1.0, design.design_effect or 1.0)
    if design.assignment != "perRequest":
        phi = max(phi, phi_of_users(design, question, candidate, windows) or 1.0)
    if phi_windows is not None and phi_windows > dispersion.LIMIT:
        phi = max(phi, phi_windows)
    return phi


def phi_of_users(design: Design, question: Question, candidate: str, windows: Iterable[Window]) -> float | None:
    """Return the mean dispersion over users of control and candidate, None where buckets of one are not counted."""
    totals: dict[str, dict[int, tuple[int, int]]] = {design.control: {}, candidate: {}}
    for window in windows:
        for name, buckets in window.buckets.get(question.name, {}).items():
            for number, (x, n) in enumerate(buckets):
                if name in totals:
                    before = totals[name].get(number, (0, 0))
                    totals[name][number] = (before[0] + x, before[1] + n)
    each = [dispersion.over_buckets([*one.values()]) for one in totals.values()]
    known = [phi for phi in each if phi is not None]
    return sum(known) / len(known) if len(known) == len(each) else None


def _floor(question: Question) -> float | None:
    """Return the floor as a rate of bad events, None where there is none to be below."""
    if question.role != "guardrail" or question.floor is None:
        return None
    bad = question.floor if question.direction == "lower" else 1 - question.floor
    return bad if 0 < bad < 1 else None


def _log_e_floor(question: Question, counts: tuple[float, int], phi: float) -> float | None:
    bad = _floor(question)
    if bad is None:
        return None
    x, n = counts
    events = round(x if question.direction == "lower" else n - x)
    return floor.log_e_below(events, n, bad, phi) if 0 <= events <= n else None


def _shown(row: Row) -> Shows:
    assert row.log_needed_harm is not None  # noqa: S101 (a row that decides has its levels)
    assert row.log_needed_pass is not None  # noqa: S101
    if _reaches(row.log_e_harm, row.log_needed_harm):
        return "harm"
    if row.role == "success":
        return "better" if _reaches(row.log_e_better, row.log_needed_pass) else "nothing"
    if _reaches(row.log_e_margin, row.log_needed_pass):
        return "non-inferior"
    return "floor" if _reaches(row.log_e_floor, row.log_needed_pass) else "nothing"


def _reaches(log_e: float | None, needed: float) -> bool:
    return log_e is not None and log_e >= needed


def _note(question: Question, row: Row) -> str:
    x, n = row.control_counts[0] + row.candidate_counts[0], row.control_counts[1] + row.candidate_counts[1]
    if question.role == "guardrail" and question.margin is None and _floor(question) is None:
        return "neither margin nor limit declared: can show harm, but never pass"
    if not x:
        return "no events yet"
    if n and x / n > 0.5:
        return f"{x / n:.0%} of the chances are events: counting the others instead needs far fewer requests"
    if n and x / n > _COMMON:
        return f"events are common: the evidence is worth {1 - x / n:.0%} of what it could be"
    return ""
