"""A plan for people and for programs: text, Markdown or JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from generator.analysis.planning import LOOKS, POWER, planned_looks, span, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from generator.analysis.planning import Ask, Basis, Number, Plan, Stage
    from generator.analysis.power import Need

FORMATS = ("text", "json", "markdown")

_ANSWERS = {"yes": "it can finish", "no": "it cannot finish", "unknown": "unknown whether it can finish"}
_HEAD = ("candidate", "to be shown", "one look", f"{LOOKS} planned looks", "any time", "takes", "there by the end")
_NOTE = (
    f"Requests are of control and the candidate together, for a chance of {POWER * 100:.0f} % to show what is true. "
    f"One look: a single one, at the end. {LOOKS} planned looks: at most, and void if anybody looks in between. Any "
    "time: the reserve for verdicts that hold at every look, as Penstock's do; most effects are shown long before."
)


def write(subject: str, plan: Plan, basis: Basis, form: str) -> str:
    """Write a plan in one of FORMATS; `subject` is `<environment>/<experiment>`."""
    if form == "json":
        return json.dumps(_document(subject, plan, basis), indent=2) + "\n"
    return "\n".join(_text(subject, plan, basis) if form == "text" else _markdown(subject, plan, basis)) + "\n"


def _text(subject: str, plan: Plan, basis: Basis) -> Iterator[str]:
    yield f"{subject}: {_answer(plan)}"
    yield from (f"  {one}" for one in _reasons(plan))
    known = [*_basis(basis)]
    if known:
        yield ""
        yield from known
    for stage in plan.stages:
        yield ""
        yield _stage(stage)
        if stage.asks:
            yield from _aligned([_HEAD, *map(_cells, stage.asks)])
    yield ""
    yield _NOTE


def _markdown(subject: str, plan: Plan, basis: Basis) -> Iterator[str]:
    yield f"### {subject}: {_answer(plan)}"
    said = [*_reasons(plan), *_basis(basis)]
    if said:
        yield ""
        yield from (f"- {one}" for one in said)
    for stage in plan.stages:
        yield ""
        yield f"**{_stage(stage)}**"
        if stage.asks:
            yield ""
            rows = [_HEAD, ("---", "---", *("---:" for _ in _HEAD[2:])), *map(_cells, stage.asks)]
            yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
    yield f"<sub>{_NOTE}</sub>"


def _answer(plan: Plan) -> str:
    known = plan.takes is not None and plan.answer == "yes"
    return _ANSWERS[plan.answer] + (f" after {span(plan.takes or 0.0)}" if known else "")


def _reasons(plan: Plan) -> tuple[str, ...]:
    fastest: tuple[str, ...] = ()
    if plan.takes is not None and plan.alone is not None and plan.alone < plan.takes:
        fastest = (f"The fastest split, {split(plan.fastest)}, would show everything after {span(plan.alone)}.",)
    return (*plan.never, *plan.late, *plan.unknown, *plan.assumed, *fastest)


def _basis(basis: Basis) -> Iterator[str]:
    if basis.rps:
        yield f"{basis.rps.value:,g} requests per second ({basis.rps.source})"
    for name, rate in sorted(basis.rates.items()):
        yield f"{name}: {percent(rate.value)} of control's chances ({rate.source})"


def _stage(stage: Stage) -> str:
    copies = f", {stage.shadow} % copied" if stage.shadow else ""
    lasts = "" if stage.lasts is None else f"; lasts {span(stage.lasts)}"
    waits = f", waiting for {stage.waits}" if stage.waits and stage.lasts is not None else ""
    cost = f"; costs {stage.cost:.1f} times the requests of the fastest split" if stage.cost > 1.05 else ""
    soak = f"soak {span(stage.soak)}, " if stage.soak else ""
    compared = "" if stage.cost else "; nothing is compared"
    place = f"Stage {stage.number + 1}: {split(stage.traffic)}{copies}"
    return f"{place} ({soak}gate {stage.gate}){lasts}{waits}{cost}{compared}"


def _cells(ask: Ask) -> tuple[str, ...]:
    need = ask.need
    return (
        ask.candidate,
        shown(need),
        f"{need.fixed:,}",
        f"{planned_looks(need):,}",
        f"{need.sequential:,}",
        "-" if ask.takes is None else span(ask.takes),
        "-" if ask.takes is None else f"{math.floor(100 * ask.gathered)} %",
    )


def shown(need: Need) -> str:
    """Say what a question is to show: `ctr better by 10 %`."""
    size = percent(need.effect)
    said = {
        "better": f"better by {size}",
        "safe": f"not worse by {size}",
        "floor": f"below {size}",
        "harm": f"worse by {size}, if it is",
    }
    return f"{need.question} {said[need.purpose]}"


def percent(fraction: float) -> str:
    """Write a fraction with up to three digits: `0.2 %`."""
    return f"{100 * fraction:.3g} %"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()


def _document(subject: str, plan: Plan, basis: Basis) -> dict[str, Any]:
    environment, _, name = subject.partition("/")
    return {
        "environment": environment,
        "experiment": name,
        "answer": plan.answer,
        "never": plan.never,
        "late": plan.late,
        "unknown": plan.unknown,
        "assumed": plan.assumed,
        "seconds": plan.takes,
        "power": POWER,
        "fastest": {"traffic": dict(plan.fastest), "seconds": plan.alone},
        "rps": _number(basis.rps) if basis.rps else None,
        "rates": {name: _number(rate) for name, rate in sorted(basis.rates.items())},
        "stages": [
            {
                "traffic": dict(stage.traffic),
                "shadow": stage.shadow,
                "gate": stage.gate,
                "soak": stage.soak,
                "seconds": stage.lasts,
                "waitsFor": stage.waits or None,
                "cost": round(stage.cost, 4),
                "questions": [_question(ask) for ask in stage.asks],
            }
            for stage in plan.stages
        ],
    }


def _number(number: Number) -> dict[str, Any]:
    return {"value": number.value, "source": number.source}


def _question(ask: Ask) -> dict[str, Any]:
    need = ask.need
    return {
        "candidate": ask.candidate,
        "metric": need.question,
        "shows": need.purpose,
        "effect": need.effect,
        "level": need.level,
        "power": need.power,
        "oneLook": need.fixed,
        "plannedLooks": planned_looks(need),
        "anyTime": need.sequential,
        "seconds": ask.takes,
        "gathered": round(ask.gathered, 4),
    }
