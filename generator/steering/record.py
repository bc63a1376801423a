"""The record of a decision, as Markdown for people who ask later why a model serves: written once, kept in Git."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.reviews.markdown import code
from generator.steering.gates import moment
from generator.versions.lives import turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.analysis.verdict import Verdict
    from generator.domain.model import Experiment
    from generator.versions.lives import Decision, Life, Period


def document(
    environment: str,
    experiment: Experiment,
    winner: str,
    life: Life | None,
    verdict: Verdict | None,
    report: str,
    why: str,
    now: int,
) -> str:
    """Write the record: hypothesis, outcome, numbers, what was deployed when, and what was decided on the way.

    `report` is the examination that the verdict comes from, as Markdown; "" without one.
    """
    lines = [
        f"# {environment}/{experiment.name}: {winner} stays",
        "",
        f"- decided: {moment(now)}",
        f"- hypothesis: {code(experiment.hypothesis)}",
        f"- owner: {code(experiment.owner)}",
        f"- control: {experiment.control.name}; compared with {_names(experiment)}",
        f"- attempt: {life.attempts if life else 1}",
        f"- reason: {code(why)}",
        f"- verdict: {verdict.decision if verdict else 'none was asked for'}",
    ]
    lines += ["", *report.rstrip("\n").split("\n")] if report else ()
    lines += _stages(life.periods) if life else ()
    told = [*turns(life.decisions)] if life else []
    lines += _decisions(told) if told else ()
    return "\n".join(lines) + "\n"


def _names(experiment: Experiment) -> str:
    return ", ".join(variant.name for variant in experiment.candidates)


def _stages(periods: Iterable[Period]) -> Iterator[str]:
    yield from ("", "### Stages", "", "| from | traffic | copied | commit |", "|---|---|---|---|")
    for period in periods:
        traffic = ", ".join(f"{name} {percent} %" for name, percent in period.traffic)
        yield f"| {moment(period.start)} | {traffic} | {period.shadow} % | {period.commit[:12]} |"


def _decisions(decisions: Iterable[Decision]) -> Iterator[str]:
    yield from ("", "### Decisions", "", "| when | what | verdict | override | commit |", "|---|---|---|---|---|")
    for one in decisions:
        said = [code(text) if text else "" for text in (one.kind, one.verdict, one.reason)]
        yield f"| {moment(one.time)} | {said[0]} | {said[1]} | {said[2]} | {one.commit[:12]} |"
