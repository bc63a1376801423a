"""A readout as one HTML page that needs nothing else: no network, no script, no font.

Python decides and computes, templates lay out. Every text goes through Jinja's escaping.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from generator import resources
from generator.analysis import mismatch
from generator.documents.wording import visible
from generator.names import RECORDED
from generator.reports import charts
from generator.versions.git import short
from generator.versions.lives import turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from generator.analysis.intervals import Difference
    from generator.analysis.rows import Row
    from generator.analysis.verdict import Judged, Verdict
    from generator.evidence.distributions import Distribution, Spread
    from generator.reports.readout import Part, Readout
    from generator.versions.lives import Period

DECISIONS = {
    "promote": ("\u2713", "Promote"),
    "continue": ("\u2026", "Continue"),
    "rollback": ("\u21a9", "Roll back"),
    "invalid": ("!", "Invalid"),
    "inconclusive": ("~", "Inconclusive"),
}
SHOWS = {
    "better": "shown to be better",
    "non-inferior": "shown to be within its margin",
    "floor": "shown to be below its floor",
    "harm": "shown to be worse",
    "nothing": "not shown yet",
}
BRIEF = {
    "better": "better",
    "non-inferior": "within margin",
    "floor": "below floor",
    "harm": "worse",
    "nothing": "not shown yet",
}
_DONE = {"": "published", RECORDED: "evidence recorded"}
_COLOURS = 6
_LOG_TEN = math.log(10)


class Mark(NamedTuple):
    """A line across a picture, at a percentage of it, and what it stands for."""

    at: float
    kind: str
    label: str


class Bar(NamedTuple):
    """An interval on an axis of better and worse, in percent of it; `clipped` names the ends that go on beyond it."""

    low: float
    high: float
    estimate: float | None
    clipped: tuple[str, ...]


class Growth(NamedTuple):
    """How an interval narrowed: paths, marks and axes of the picture; `summary` says in words what it shows.

    `number` is the place of the row in each moment.
    """

    number: int
    part: Part
    colour: str
    band: str
    line: str
    last: tuple[float, float] | None
    marks: tuple[Mark, ...]
    scale: tuple[charts.Tick, ...]
    summary: str


class Block(NamedTuple):
    """What a variant gets in a period, in percent of the picture."""

    x: float
    y: float
    width: float
    height: float
    colour: str


class Event(NamedTuple):
    """Something that happened to the experiment."""

    at: int
    what: str
    commit: str
    author: str
    why: str


def html(readout: Readout) -> str:
    """Write the page; the same readout gives the same bytes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.directory("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "moment": moment,
        "seen": visible,
        "told": _told,
        "rate": rate,
        "change": charts.change,
        "points": points,
        "number": _number,
    }
    template = environment.get_template("report/page.html.j2")
    return template.render(**_view(readout))


def _view(readout: Readout) -> dict[str, Any]:
    examined = readout.examined
    experiment, found = examined.experiment, examined.verdict
    axis = charts.times(readout.begins, readout.ends)
    names = [variant.name for variant in experiment.variants]
    colours = {name: f"v{min(number, _COLOURS - 1)}" for number, name in enumerate(names)}
    return {
        "readout": readout,
        "examined": examined,
        "experiment": experiment,
        "verdict": found,
        "decision": DECISIONS[found.decision],
        "others": others(found),
        "colours": colours,
        "shows": SHOWS,
        "brief": BRIEF,
        "facts": facts(readout),
        "glance": [(part, bar(part.row, scale(part)), marks(part, scale(part))) for part in readout.parts],
        "time_ticks": charts.time_ticks(axis),
        "growths": [
            _growth(readout, number, part, axis, colours)
            for number, part in enumerate(readout.parts)
            if part.row.decides
        ],
        "boundaries": [axis.at(stage.start) for stage in examined.stages[1:]],
        "blocks": tuple(_blocks(readout.life.periods, axis, colours)),
        "periods": readout.life.periods,
        "split": _split(readout, axis),
        "limit": mismatch.LIMIT,
        "events": events(readout),
        "stages": {stage.number: stage for stage in examined.stages},
        "evidence": evidence,
        "moved": moved,
        "bounds": bounds,
        "upto": upto,
    }


def others(found: Verdict) -> tuple[Judged, ...]:
    """Return the candidates about whom the verdict's own reason says nothing."""
    return tuple(one for one in found.candidates if one.reason != found.reason)


def _told(text: str) -> str:
    """Write a sentence of the engine's, with its powers of ten as on paper."""
    return re.sub(r"10\^(-?\d+)", lambda found: charts.power(int(found[1])), visible(text))


def facts(readout: Readout) -> tuple[tuple[str, str], ...]:
    """Return what a reader asks first, by its name."""
    examined = readout.examined
    requests = sum(sum(window.requests.values()) for window in examined.windows)
    counted = examined.windows[-1].end if examined.windows else None
    return (
        ("Owner", examined.experiment.owner),
        ("Began", moment(readout.begins)),
        ("Counted until", moment(counted) if counted else "nothing yet"),
        ("Requests counted", _number(requests)),
        ("Expires", examined.experiment.expires),
        ("Looks", str(examined.design.looks)),
        ("Attempt", str(examined.design.attempts)),
        ("Model", examined.experiment.model_name),
    )


# Intervals. Better is always to the right or up, so that metrics of either direction read alike.


def scale(part: Part) -> charts.Scale:
    """Return the axis that an interval is drawn on: with no difference in the middle, and margin or MDE on it."""
    bounds = [abs(math.log(one)) for one in (part.row.lower, part.row.upper) if one]
    return charts.ratios(_near(part), bounds)


def _near(part: Part) -> list[float]:
    """Return what an axis must hold: the estimate, and the margin or the MDE."""
    return [at for at, _, _ in _lines(part)] + ([math.log(part.row.ratio)] if part.row.ratio else [])


def bar(row: Row, axis: charts.Scale) -> Bar | None:
    """Return where an interval stands; None where there is none to show."""
    if not row.decides or (row.lower is None and row.upper is None):
        return None
    worse, better = _ends(row, axis)
    estimate = axis.at(_sign(row) * math.log(row.ratio)) if row.ratio else None
    clipped = [side for side, end in (("low", worse), ("high", better)) if not axis.low < end < axis.high]
    return Bar(axis.at(worse), axis.at(better), estimate, tuple(clipped))


def _ends(row: Row, axis: charts.Scale) -> tuple[float, float]:
    """Return the ends of the interval on the axis of better and worse; what is not bounded ends at its edge."""
    low = math.log(row.lower) if row.lower else -math.inf
    high = math.log(row.upper) if row.upper else math.inf
    worse, better = (low, high) if _sign(row) > 0 else (-high, -low)
    return max(worse, axis.low), min(better, axis.high)


def _sign(row: Row) -> int:
    return 1 if row.direction == "higher" else -1


def _lines(part: Part) -> Iterator[tuple[float, str, str]]:
    question = part.question
    if question.role == "guardrail" and question.margin is not None:
        yield -math.log1p(question.margin), "margin", f"margin {_percent(question.margin)}"
    if question.role == "success" and question.mde is not None:
        yield math.log1p(question.mde), "mde", f"MDE {_percent(question.mde)}"


def marks(part: Part, axis: charts.Scale) -> tuple[Mark, ...]:
    """Return where margin and MDE stand."""
    return tuple(Mark(axis.at(at), kind, label) for at, kind, label in _lines(part))


def _growth(readout: Readout, number: int, part: Part, axis: charts.Scale, colours: dict[str, str]) -> Growth:
    rows = [(one.at, one.rows[number]) for one in readout.moments]
    ends = [abs(math.log(one)) for _, row in rows for one in (row.lower, row.upper) if one]
    values = charts.ratios(_near(part), ends)
    known = [(axis.at(at), row) for at, row in rows if row.lower is not None or row.upper is not None]
    band = [(x, *(100 - values.at(one) for one in _ends(row, values)[::-1])) for x, row in known]
    points = [(x, 100 - values.at(_sign(row) * math.log(row.ratio))) for x, row in known if row.ratio]
    return Growth(
        number,
        part,
        colours[part.row.candidate],
        charts.band([(x, high, low) for x, high, low in band]),
        charts.line(points),
        points[-1] if points else None,
        tuple(Mark(100 - mark.at, mark.kind, mark.label) for mark in marks(part, values)),
        tuple(tick._replace(at=100 - tick.at) for tick in charts.ratio_ticks(values, _sign(part.row))),
        summary(part.row),
    )


def summary(row: Row) -> str:
    """Say in a sentence what a row shows."""
    if not row.decides:
        return f"{row.metric} of {row.candidate} is shown, and decides nothing."
    if row.ratio is None:
        return f"{row.metric} of {row.candidate}: nothing to compare yet."
    return (
        f"{row.metric} of {row.candidate}: {charts.change(row.ratio)} against control, at all looks between "
        f"{interval(row)}; {SHOWS[row.shows]}."
    )


def interval(row: Row) -> str:
    """Write the interval of a row as changes."""
    low = charts.change(row.lower) if row.lower else "\u2212100 %"
    high = charts.change(row.upper) if row.upper else "any rise"
    return f"{low} and {high}"


# Traffic, split and what happened


def _blocks(periods: Sequence[Period], axis: charts.Scale, colours: dict[str, str]) -> Iterator[Block]:
    for period in periods:
        x = axis.at(period.start)
        width = axis.at(period.end if period.end is not None else axis.high) - x
        y = 100.0
        for name, percent in reversed(period.traffic):
            y -= percent
            if percent:
                yield Block(x, y, round(width, 3), percent, colours.get(name, "gone"))


def _split(readout: Readout, axis: charts.Scale) -> dict[str, Any]:
    found = [(one.at, one.log_e_split / _LOG_TEN) for one in readout.moments]
    limit = math.log10(mismatch.LIMIT)
    powers = [value for _, value in found]
    height = charts.Scale(max(min([*powers, 0.0]), -6.0) - 0.5, min(max([*powers, limit]), 12.0) + 0.8)
    points = [(axis.at(at), 100 - height.at(value)) for at, value in found]
    return {
        "line": charts.line(points),
        "last": points[-1] if points else None,
        "limit": 100 - height.at(limit),
        "scale": tuple(tick._replace(at=100 - tick.at) for tick in charts.evidence_ticks(height)),
    }


def events(readout: Readout) -> tuple[Event, ...]:
    """Return what was deployed and what was decided, oldest first."""
    decided = {one.commit: one for one in turns(readout.life.decisions)}
    found = []
    for number, period in enumerate(readout.life.periods):
        decision = decided.pop(period.commit, None)
        what = (
            shares(period.traffic, period.shadow)
            if number or not decision
            else f"begins at {shares(period.traffic, period.shadow)}"
        )
        kind = f"{decision.kind}: {what}" if decision and decision.kind else what
        why = " ".join(filter(None, (period.subject, decision and decision.verdict, decision and decision.reason)))
        found.append(Event(period.start, kind, short(period.commit), period.author, why))
    for decision in decided.values():
        why = " ".join(filter(None, (decision.verdict, decision.reason)))
        found.append(Event(decision.time, _DONE.get(decision.kind, decision.kind), short(decision.commit), "", why))
    last = readout.life.periods[-1]
    if last.end is not None:
        found.append(Event(last.end, "no longer deployed", "", "", ""))
    return tuple(sorted(found, key=lambda one: one.at))


def shares(traffic: Iterable[tuple[str, int]], shadow: int = 0) -> str:
    """Write what each variant gets, and how much is copied."""
    copied = f", {shadow} % copied" if shadow else ""
    return ", ".join(f"{name} {percent} %" for name, percent in traffic) + copied


# Distributions

_LEVELS = {
    "none": "nothing shows that it moved",
    "changed": "it moved, but little",
    "drift": "it moved",
    "strong": "it moved far",
}


def moved(distribution: Distribution) -> str:
    """Say in a sentence whether a distribution moved, and how far."""
    found = distribution.drift
    if found is None:
        return "nothing to compare yet"
    return (
        f"{_LEVELS[found.level]}: evidence {evidence(found.log_e)} of 20, PSI {found.psi:.3f} where chance brings "
        f"{found.noise:.3f}"
    )


def bounds(spread: Spread, unit: str) -> str:
    """Write between which bounds a quantile lies."""
    if math.isinf(spread.low) and math.isinf(spread.high):
        return "too few answers to say"
    if math.isinf(spread.high):
        return f"above {spread.low:g} {unit}"
    if math.isinf(spread.low):
        return f"up to {spread.high:g} {unit}"
    return f"{spread.low:g} to {spread.high:g} {unit}"


def upto(bound: float) -> str:
    """Write the upper bound of a bucket."""
    return "more" if math.isinf(bound) else f"{bound:g}"


# Numbers


def moment(seconds: int) -> str:
    """Write a moment to the minute, in UTC."""
    at = time.gmtime(seconds)
    return f"{at.tm_mday} {charts.MONTHS[at.tm_mon - 1]} {at.tm_year}, {at.tm_hour:02}:{at.tm_min:02} UTC"


def rate(counts: tuple[float, int], kind: str) -> str:
    """Write a share in percent, or a mean in its own unit."""
    x, n = counts
    if not n:
        return "-"
    return f"{x / n:.4g}" if kind == "mean" else f"{f'{100 * x / n:#.3g}'.rstrip('.')} %"


def points(gap: Difference) -> str:
    """Write a difference of rates in percentage points."""
    low, high = _signed(gap.lower), _signed(gap.upper)
    return f"{_signed(gap.estimate)} ({low} to {high})"


def _signed(fraction: float) -> str:
    return f"{100 * fraction:+.3f}".replace("-", "\u2212")


def evidence(log: float | None) -> str:
    """Write an e-value."""
    if log is None:
        return "-"
    if abs(log) > math.log(1e4):
        return charts.power(round(log / _LOG_TEN))
    return f"{math.exp(log):.3g}"


def _number(count: float) -> str:
    return f"{count:,.6g}" if count % 1 else f"{int(count):,}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"
