"""A readout as Markdown for a pull request: what the page shows, without pictures.

Whatever others wrote stands in code spans, by `markdown.code`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from generator.analysis import mismatch
from generator.documents.wording import counted
from generator.reports import charts, page
from generator.reviews.markdown import code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from generator.reports.readout import Part, Readout

_CELLS = 41


def markdown(readout: Readout) -> str:
    """Write the digest; the same readout gives the same bytes."""
    return "".join(f"{line}\n" for line in _lines(readout))


def _lines(readout: Readout) -> Iterator[str]:
    examined, experiment, found = readout.examined, readout.examined.experiment, readout.examined.verdict
    sign, word = page.DECISIONS[found.decision]
    yield f"## {sign} {word}{f' {found.winner}' if found.winner else ''}: {experiment.name} in {examined.environment}"
    yield ""
    yield found.reason
    if others := page.others(found):
        yield ""
        yield from (f"- **{one.candidate}**: {one.decision}. {one.reason}" for one in others)
    yield ""
    yield f"Hypothesis: {code(experiment.hypothesis)}"
    yield ""
    yield " · ".join(f"{name} {code(value) if name == 'Owner' else value}" for name, value in page.facts(readout))
    for warning in found.warnings:
        yield from ("", f"> **Warning:** {code(warning)}")
    if readout.parts:
        yield from _glance(readout.parts)
    yield from _section("Traffic and decisions", ("when", "what", "commit", "by", "why"), _events(readout))
    yield from _section(
        f"Split: {found.srm.verdict} (evidence {page.evidence(found.srm.log_e)} of {mismatch.LIMIT:,.0f})",
        ("stage", "variant", "declared", "realised", "requests"),
        _split(readout),
    )
    head = ("metric", "candidate", "stage", "control", "candidate's", "change", "difference in points")
    yield from _section("Stage by stage", head, _stages(readout.parts))
    quantiles = ("metric", "candidate", "quantile", "variant", "lies", "moved")
    yield from _section("Latencies and scores, for the eye only", quantiles, _distributions(readout))
    yield from _section("Counts", ("variant", "windows counted", "restarts of counters"), _quality(readout))
    yield ""
    yield found.unit
    yield ""
    stages = counted(len(examined.stages), ("stage", "stages"))
    yield (
        f"<sub>{counted(found.windows, ('window', 'windows'))} of counts from {stages}; evidence in "
        f"`{examined.ledger.file}`. Compute it again with `penstock analyze {experiment.name} -e "
        f"{examined.environment} --evidence`.</sub>"
    )


def _glance(parts: Sequence[Part]) -> Iterator[str]:
    yield ""
    yield from _table(
        ("metric", "candidate", "change", "at all looks between", "shows", "worse ← no difference → better"),
        (
            (
                part.row.metric,
                part.row.candidate,
                charts.change(part.row.ratio),
                page.interval(part.row) if part.row.decides and part.row.ratio else "-",
                page.SHOWS[part.row.shows] if part.row.decides else part.row.note,
                drawn(part),
            )
            for part in parts
        ),
    )


def drawn(part: Part) -> str:
    """Draw an interval with characters: `=` its width, `o` the estimate, `|` no difference, `:` margin or MDE."""
    scale = page.scale(part)
    bar = page.bar(part.row, scale)
    if bar is None:
        return "-"
    cells = [" "] * _CELLS

    def cell(at: float) -> int:
        return min(_CELLS - 1, math.floor(at / 100 * _CELLS))

    for place in range(cell(bar.low), cell(bar.high) + 1):
        cells[place] = "="
    cells[_CELLS // 2] = "|" if cells[_CELLS // 2] == " " else "+"
    for mark in page.marks(part, scale):
        cells[cell(mark.at)] = ":"
    if bar.estimate is not None:
        cells[cell(bar.estimate)] = "o"
    return f"`{''.join(cells).replace(' ', '.')}`"


def _events(readout: Readout) -> Iterator[tuple[str, ...]]:
    for event in page.events(readout):
        quoted = [code(text) if text else "-" for text in (event.commit, event.author, event.why)]
        yield (page.moment(event.at), code(event.what), *quoted)


def _split(readout: Readout) -> Iterator[tuple[str, ...]]:
    for one in readout.split:
        realised = "-" if one.realised is None else f"{one.realised:.2%}"
        yield (str(one.stage + 1), one.variant, f"{one.declared:.2%}", realised, f"{one.requests:,}")


def _stages(parts: Iterable[Part]) -> Iterator[tuple[str, ...]]:
    for part in parts:
        for one in part.stages:
            gap = one.difference
            yield (
                part.row.metric,
                part.row.candidate,
                f"{one.ratio.stage + 1}: {page.shares(one.traffic.items())}",
                page.rate(one.ratio.control, part.row.kind),
                page.rate(one.ratio.candidate, part.row.kind),
                charts.change(one.ratio.ratio),
                page.points(gap) if gap else "-",
            )


def _distributions(readout: Readout) -> Iterator[tuple[str, ...]]:
    for one in readout.distributions:
        for spread in one.spreads:
            lies = page.bounds(spread, one.unit)
            yield one.metric, one.candidate, f"p{100 * spread.quantile:g}", spread.variant, lies, page.moved(one)


def _quality(readout: Readout) -> Iterator[tuple[str, ...]]:
    quality = readout.examined.quality
    for variant in readout.examined.experiment.variants:
        covered = quality.coverage.get(variant.name)
        share = "-" if covered is None else f"{covered:.1%}"
        yield variant.name, share, str(quality.resets.get(variant.name, 0))


def _section(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a folded table; nothing without rows."""
    found = [*rows]
    if found:
        yield from ("", "<details>", f"<summary>{title}</summary>", "")
        yield from _table(head, found)
        yield from ("", "</details>")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"
