"""Promote, wait or roll back: the rule, over counts by window.

In this order (superiority, non-inferiority, deterioration and quality tests as in Schultzberg, Ankargren & Franberg
2024, arXiv:2402.11609, each by an e-value, so that they hold at every look):

1. *invalid* where the split is off or the counts cannot be trusted;
2. *rollback* of a candidate that is shown to be worse than control on any metric, E >= variants x metrics / alpha;
3. *promote* where every guardrail is shown to be within its margin (or its floor), E >= variants / alpha, and some
   success metric to be better, E >= variants x success metrics / alpha. Without success metrics (a release that shall
   do no harm) the guardrails alone decide;
4. *continue* otherwise, and *inconclusive* at the planned end: never promote.

The whole is rolled back where any candidate is that still gets traffic: that is the first thing to do, and the next
verdict is about the rest. Else the promotable candidate with the largest improvement is promoted.

Each metric is counted as its name says; no data decides which side of it to count, nor any tuning. Where events are
common the e-process stays valid but takes them for rare, which costs a fraction of the events as large as their rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from generator.analysis import dispersion, mismatch
from generator.analysis.multiplicity import deciding, levels
from generator.analysis.rows import Row, phi_of_users, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from generator.analysis.counts import Design, Quality, Stage, Window

Decision = Literal["promote", "continue", "rollback", "invalid", "inconclusive"]

MINIMUM_COVERAGE = 0.95
GATEWAY_GAP = 0.01
_STAGES_DIFFER = 0.01


class Judged(NamedTuple):
    """The decision about one candidate, and why."""

    candidate: str
    decision: Decision
    reason: str


class Verdict(NamedTuple):
    """The decision of the whole, `winner` where one is promoted, and all that it rests on.

    `reason` is one sentence; `unit` says what the numbers are about and must be printed with them.
    """

    decision: Decision
    reason: str
    winner: str | None
    candidates: tuple[Judged, ...]
    rows: tuple[Row, ...]
    srm: mismatch.Mismatch
    unit: str
    warnings: tuple[str, ...]
    windows: int


def verdict(
    design: Design, stages: Sequence[Stage], windows: Sequence[Window], quality: Quality, *, intervals: bool = True
) -> Verdict:
    """Judge all candidates; `stages` and `windows` are in order of time.

    `intervals` False leaves out the bounds of the rows, which no decision rests on and which take most of the time.
    """
    traffic = {stage.number: stage.traffic for stage in stages}
    srm = _split(design, traffic, windows)
    given = levels(design)
    rows = tuple(
        row_of(design, question, candidate, traffic, windows, given, intervals=intervals)
        for candidate in design.candidates
        for question in design.questions
    )
    flaws = (*_flaws(quality, windows, rows), *_mismatch(design, srm))
    now = stages[-1].traffic if stages else {}
    judged = tuple(_judge(design, name, rows, now, windows) for name in design.candidates)
    decision, reason, winner = _whole(design, judged, rows, now, windows)
    if flaws:
        decision, reason, winner = "invalid", f"The counts decide nothing: {'; '.join(flaws)}.", None
        judged = tuple(Judged(one.candidate, "invalid", reason) for one in judged)
    warnings = (*quality.warnings, *_warnings(design, quality, srm, rows))
    return Verdict(decision, reason, winner, judged, rows, srm, _unit(design, rows, windows), warnings, len(windows))


def _split(design: Design, traffic: Mapping[int, Mapping[str, int]], windows: Iterable[Window]) -> mismatch.Mismatch:
    """Compare requests with weights; where a header chooses the variant there is nothing to compare."""
    requests: dict[int, dict[str, int]] = {}
    if design.assignment != "header":
        for window in windows:
            counted = requests.setdefault(window.stage, {})
            for name, count in window.requests.items():
                counted[name] = counted.get(name, 0) + count
    return mismatch.judge([(requests[one], traffic[one]) for one in sorted(requests)], design.design_effect or 1.0)


def _mismatch(design: Design, srm: mismatch.Mismatch) -> Iterator[str]:
    undeclared = design.assignment == "sticky" and design.design_effect is None
    if srm.verdict == "invalid" and not undeclared:
        yield _off(srm)


def _off(srm: mismatch.Mismatch) -> str:
    return f"{srm.variant}'s requests are {srm.deviation:.1%} off its declared share (evidence {_e(srm.log_e)})"


def _flaws(quality: Quality, windows: Sequence[Window], rows: Iterable[Row]) -> Iterator[str]:
    yield from quality.invalid
    if quality.missing:
        yield f"no series of {', '.join(quality.missing)}"
    for name, coverage in sorted(quality.coverage.items()):
        if windows and coverage < MINIMUM_COVERAGE:
            yield f"only {coverage:.0%} of the windows of {name} could be counted"
    said = set()
    for row in rows:
        for name, (x, n) in (("control", row.control_counts), (row.candidate, row.candidate_counts)):
            if row.decides and x > n and (name, row.metric) not in said:
                said.add((name, row.metric))
                yield f"{name} has more events of {row.metric} ({x:.0f}) than there were chances ({n})"


def _judge(design: Design, name: str, rows: Iterable[Row], now: Mapping[str, int], windows: Sequence[Window]) -> Judged:
    """Judge one candidate by its own rows."""
    own = [row for row in rows if row.candidate == name and row.decides]
    cap = _cap(design, own, windows)
    harmed = [row for row in own if row.shows == "harm"]
    if harmed and not (cap and cap.holds_rollback):
        worse = _list(_worse(row, design.control) for row in harmed)
        return Judged(name, "rollback", f"{name} is worse than {design.control}: {worse}.")
    waits = [cap.reason] if cap else []
    if harmed:
        waits.append(f"{_list(_worse(row, design.control) for row in harmed)} would otherwise count against {name}")
    waits += _waits(design, name, own, now, windows)
    if not waits:
        better = _list(_better(row, design.control) for row in own if row.shows == "better")
        guarded = "every guardrail is within its bounds" if any(row.role == "guardrail" for row in own) else ""
        return Judged(name, "promote", f"{name} may take over: {', and '.join(filter(None, (better, guarded)))}.")
    if _ended(design, windows):
        left = [_not_excluded(row) for row in own if row.shows == "nothing"]
        return Judged(name, "inconclusive", f"{name} is undecided at the planned end: {_list((*waits, *left))}.")
    return Judged(name, "continue", f"{name} is undecided: {_list(waits)}.")


class _Cap(NamedTuple):
    reason: str
    holds_rollback: bool


def _cap(design: Design, own: Iterable[Row], windows: Sequence[Window]) -> _Cap | None:
    """Return why requests alone cannot decide: users stick to a variant, or chose it."""
    if design.assignment == "perRequest":
        return None
    known = design.design_effect is not None or _users_are_counted(design, own, windows)
    if design.assignment == "header":
        return _Cap("a header chooses the variant, so its users differ and nothing can be promoted", not known)
    if design.assignment == "sticky" and not known:
        return _Cap(
            "users stick to a variant and only requests are counted, so the evidence may be far too strong", True
        )
    return None


def _users_are_counted(design: Design, own: Iterable[Row], windows: Sequence[Window]) -> bool:
    names = {row.metric for row in own}
    return bool(names) and all(
        phi_of_users(design, question, row.candidate, windows) is not None
        for question in deciding(design)
        for row in own
        if row.metric == question.name
    )


def _waits(
    design: Design, name: str, own: Sequence[Row], now: Mapping[str, int], windows: Sequence[Window]
) -> Iterator[str]:
    """Yield what is still missing for a promotion."""
    if not windows or not any(row.control_counts[1] and row.candidate_counts[1] for row in own):
        yield "nothing has been counted yet" if own else "no metric that can decide is declared"
        return
    if not now.get(name):
        yield f"{name} gets no traffic now"
    for row in own:
        if row.role == "guardrail" and row.shows not in {"non-inferior", "floor"}:
            yield f"{row.metric} is not shown to be within its margin"
    successes = [row for row in own if row.role == "success"]
    if successes and not any(row.shows == "better" for row in successes):
        best = max(successes, key=lambda row: row.log_e_better or 0.0)
        yield (
            f"{best.metric} is not shown to be better (evidence {_e(best.log_e_better or 0.0)} of "
            f"{_e(best.log_needed_pass or 0.0)})"
        )
    if not successes and any(question.role == "success" for question in design.questions):
        yield "its success metrics are means, which decide nothing"
    lasted = windows[-1].end - windows[0].start
    if lasted < design.minimum_seconds:
        yield f"{lasted} s of at least {design.minimum_seconds} s have been counted"


def _ended(design: Design, windows: Sequence[Window]) -> bool:
    return design.planned_end is not None and bool(windows) and windows[-1].end >= design.planned_end


def _whole(
    design: Design, judged: Sequence[Judged], rows: Iterable[Row], now: Mapping[str, int], windows: Sequence[Window]
) -> tuple[Decision, str, str | None]:
    """Decide about the whole: first what must stop, then the best that may be promoted, else wait."""
    harmful = [one for one in judged if one.decision == "rollback"]
    live = [one for one in harmful if now.get(one.candidate)]
    if live:
        return "rollback", live[0].reason, None
    promotable = {one.candidate: one for one in judged if one.decision == "promote"}
    if promotable:
        winner = max(promotable, key=lambda name: _improvement(row for row in rows if row.candidate == name))
        return "promote", promotable[winner].reason, winner
    open_ = [one for one in judged if one.decision in {"continue", "inconclusive"}]
    if open_:
        return open_[0].decision, open_[0].reason, None
    if harmful:
        return (
            ("inconclusive" if _ended(design, windows) else "continue"),
            (f"All candidates are rolled back; {harmful[0].reason}"),
            None,
        )
    return "continue", "There is no candidate to judge.", None


def _improvement(rows: Iterable[Row]) -> float:
    """Return the largest improvement that is shown, as a log ratio; without any, that of the worst guardrail."""
    shown: list[float] = []
    guarded: list[float] = []
    for row in rows:
        if row.decides and row.ratio:
            gain = math.log(row.ratio) * (1 if row.direction == "higher" else -1)
            (shown if row.shows == "better" else guarded).append(gain)
    return max(shown) if shown else min(guarded, default=0.0)


def _warnings(design: Design, quality: Quality, srm: mismatch.Mismatch, rows: Sequence[Row]) -> Iterator[str]:
    if quality.gateway_gap is not None and quality.gateway_gap > GATEWAY_GAP:
        yield f"gateway and servers differ by {quality.gateway_gap:.1%} in what they counted"
    if srm.verdict == "warn":
        yield f"the split is measurably, but hardly off: {_off(srm)}"
    if srm.verdict == "invalid" and not [*_mismatch(design, srm)]:
        yield f"{_off(srm)}; with users who stick to a variant that may be chance"
    if design.assignment == "header":
        yield "a header chooses the variant: its users differ, and no test can tell them from the model"
    for row in rows:
        if row.phi_windows is not None and row.phi_windows > dispersion.LIMIT:
            yield (
                f"{row.metric} of {row.candidate} varies {row.phi_windows:.1f} times as much as chance (a restart, a "
                "retry storm, one bad node): its evidence is tempered"
            )
        if row.heterogeneity and row.heterogeneity.p_value < _STAGES_DIFFER and row.heterogeneity.degrees:
            yield f"{row.metric} of {row.candidate} differs between stages: see the ratio of each"
        if row.note and row.decides and row.control_counts[1]:
            yield f"{row.metric} of {row.candidate}: {row.note}"


def _unit(design: Design, rows: Iterable[Row], windows: Sequence[Window]) -> str:
    """Say what the numbers are about, and how far they hold."""
    measured = [row.phi_windows for row in rows if row.phi_windows is not None]
    phi = (
        f"phi = {max(measured):.1f} over {len(windows)} windows" if measured else f"unknown over {len(windows)} windows"
    )
    looks = f"{design.looks} look{'s' if design.looks != 1 else ''} so far; error rates hold at every look."
    common = f"Dispersion {phi} (1 = independent). {looks} Attempt {design.attempts} of this experiment."
    if design.assignment == "perRequest":
        return (
            "Unit: request (the router draws for each one). Holds for the effect on requests served now; says nothing "
            f"about retention or later requests of the same user. {common}"
        )
    if design.assignment == "header":
        return f"Unit: none (a header chooses the variant, nothing is drawn). Never promotes. {common}"
    if design.design_effect is not None:
        return f"Unit: user (sticky), by requests with a declared design effect of {design.design_effect:g}. {common}"
    if any(window.buckets for window in windows):
        return f"Unit: user (sticky), by requests whose dispersion is measured over buckets of users. {common}"
    return (
        "Unit: user (sticky), but only requests are counted: the intervals are too narrow by an unknown factor. The "
        f"verdict waits for a bucket label or a design effect. {common}"
    )


def _worse(row: Row, control: str) -> str:
    evidence, needed = _e(row.log_e_harm or 0.0), _e(row.log_needed_harm or 0.0)
    return f"{row.metric} {_times(row, control)} (evidence {evidence}, {needed} needed)"


def _better(row: Row, control: str) -> str:
    return f"{row.metric} is better: {_times(row, control)}"


def _times(row: Row, control: str) -> str:
    rate = f"up from none of {control}" if row.ratio is None else f"{row.ratio:.3g} times the rate of {control}"
    shown = row.lower if (row.direction == "lower") == (row.shows == "harm") else row.upper
    if shown is None:
        return rate
    if shown == row.lower:
        return f"{rate}, at least {_rounded(shown, math.floor):g}"
    return f"{rate}, at most {_rounded(shown, math.ceil):g}"


def _rounded(bound: float, towards: Callable[[float], int]) -> float:
    """Round a bound to three digits so that it never claims more than was shown."""
    if bound <= 0:
        return bound
    unit = 10.0 ** (math.floor(math.log10(bound)) - 2)
    return towards(bound / unit) * unit


def _not_excluded(row: Row) -> str:
    bound = row.upper if row.direction == "lower" else row.lower
    if bound is None or not bound:
        return f"no worsening of {row.metric} is excluded"
    change = bound - 1 if row.direction == "lower" else 1 - bound
    return f"a worsening of {row.metric} by up to {max(0.0, change):.1%} is not excluded"


def _list(parts: Iterable[str]) -> str:
    return "; ".join(parts)


def _e(log_e: float) -> str:
    """Write an e-value as a reader takes it in: three digits, or a power of ten."""
    return f"{math.exp(log_e):.3g}" if log_e < math.log(1e6) else f"10^{log_e / math.log(10):.0f}"
