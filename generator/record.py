"""The record of a decision, as Markdown for people who ask later why a model serves: written once, kept in Git."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.gates import moment
from generator.git import short
from generator.markdown import code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.analysis.rows import Row
    from generator.analysis.verdict import Verdict
    from generator.lives import Decision, Life, Period
    from generator.model import Experiment


def document(
    environment: str,
    experiment: Experiment,
    winner: str,
    life: Life | None,
    verdict: Verdict | None,
    why: str,
    now: int,
) -> str:
    """Write the record: hypothesis, outcome, numbers, what was deployed when, and what was done about it."""
    lines = [
        f"# {environment}/{experiment.name}: {winner} stays",
        "",
        f"- decided: {moment(now)}",
        f"- hypothesis: {code(experiment.hypothesis)}",
        f"- owner: {code(experiment.owner)}",
        f"- control: {experiment.control.name}; compared with {_names(experiment)}",
        f"- attempt: {life.attempts if life else 1}",
        f"- reason: {code(why)}",
    ]
    lines += (
        [f"- verdict: {verdict.decision}. {code(verdict.reason)}"] if verdict else ["- verdict: none was asked for"]
    )
    lines += _numbers(verdict) if verdict and verdict.rows else ()
    lines += _stages(life.periods) if life else ()
    lines += _decisions(life.decisions) if life and life.decisions else ()
    return "\n".join(lines) + "\n"


def _names(experiment: Experiment) -> str:
    return ", ".join(variant.name for variant in experiment.candidates)


def _numbers(verdict: Verdict) -> Iterator[str]:
    yield from ("", "## Numbers", "", f"{verdict.unit}", "")
    yield "| metric | candidate | control's rate | its rate | ratio | shown |"
    yield "|---|---|---|---|---|---|"
    for row in verdict.rows:
        yield (
            f"| {row.metric} ({row.role}) | {row.candidate} | {_rate(row.control_rate, row.control_counts)} | "
            f"{_rate(row.candidate_rate, row.candidate_counts)} | {_ratio(row)} | {row.shows} |"
        )


def _rate(rate: float | None, counts: tuple[float, int]) -> str:
    x, n = counts
    return f"{rate:.4g} ({x:.0f} of {n})" if rate is not None else "none"


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return "none"
    low, high = (f"{bound:.3g}" if bound is not None else "?" for bound in (row.lower, row.upper))
    return f"{row.ratio:.4g} [{low}, {high}]"


def _stages(periods: Iterable[Period]) -> Iterator[str]:
    yield from ("", "## Stages", "", "| from | traffic | copied | commit |", "|---|---|---|---|")
    for period in periods:
        traffic = ", ".join(f"{name} {percent} %" for name, percent in period.traffic)
        yield f"| {moment(period.start)} | {traffic} | {period.shadow} % | {short(period.commit)} |"


def _decisions(decisions: Iterable[Decision]) -> Iterator[str]:
    yield from ("", "## Decisions", "", "| when | what | verdict | override | commit |", "|---|---|---|---|---|")
    for one in decisions:
        said = [code(text) if text else "" for text in (one.kind, one.verdict, one.reason)]
        yield f"| {moment(one.time)} | {said[0]} | {said[1]} | {said[2]} | {short(one.commit)} |"
