"""Examinations as text, Markdown and JSON: every word that users and jobs read of a verdict.

Of all that is written only warnings may hold words of others: names have no character that Markdown reads.

Exit codes of a decision never change: 0 is yes, 1 is no, 2 and 3 are what they are of every command.
"""

from __future__ import annotations

import json
import math
import re
import time
from typing import TYPE_CHECKING, Any

from generator.report import printable
from generator.reviews.markdown import code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.analysis.rows import Row
    from generator.analysis.verdict import Decision
    from generator.evidence.examine import Examination

EXIT_CODES: dict[Decision, int] = {"promote": 0, "rollback": 1, "continue": 4, "inconclusive": 5, "invalid": 6}
FORMATS = ("text", "json", "markdown")

_HEAD = ("metric", "variant", "control", "candidate", "ratio", "always-valid interval", "evidence", "needed", "shows")


def written(examined: Examination, form: str) -> str:
    """Write an examination in one of FORMATS; ends with a line end."""
    if form == "json":
        return json.dumps(_plain(examined), indent=2, sort_keys=True) + "\n"
    return (_markdown if form == "markdown" else _text)(examined)


def _text(examined: Examination) -> str:
    rows = [_HEAD, *(_cells(row) for row in examined.verdict.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines = [
        f"{examined.experiment.name} in {examined.environment}: {examined.verdict.decision}",
        examined.verdict.reason,
        "",
        *(table if examined.verdict.rows else ()),
        *("",) * bool(examined.verdict.rows),
        *_facts(examined),
        *(f"warning: {warning}" for warning in examined.verdict.warnings),
    ]
    return "".join(f"{printable(line)}\n" for line in lines)


def _markdown(examined: Examination) -> str:
    verdict = examined.verdict
    lines = [
        f"### {examined.experiment.name} in {examined.environment}: {verdict.decision}",
        "",
        verdict.reason,
        "",
    ]
    if verdict.rows:
        lines += [
            _line(_HEAD),
            _line(["---"] * len(_HEAD)),
            *(_line(_cells(row)) for row in verdict.rows),
        ]
        lines.append("")
    lines += [f"- {fact}" for fact in _facts(examined)]
    lines += [f"- **warning**: {code(warning)}" for warning in verdict.warnings]
    return "".join(f"{printable(line)}\n" for line in lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> tuple[str, ...]:
    evidence, needed = _evidence(row)
    return (
        row.metric,
        row.candidate,
        _counts(row, row.control_counts, row.control_rate),
        _counts(row, row.candidate_counts, row.candidate_rate),
        "-" if row.ratio is None else f"{row.ratio:.3f}",
        f"{_bound(row.lower, '0')} to {_bound(row.upper, 'any')}" if row.decides else "-",
        evidence,
        needed,
        row.shows if row.decides else row.note or row.shows,
    )


def _counts(row: Row, counts: tuple[float, int], rate: float | None) -> str:
    x, n = counts
    if rate is None:
        return f"{x:.12g}/{n}"
    return f"{x:.6g}/{n} = {rate:.4g}" if row.kind == "mean" else f"{x:.0f}/{n} = {rate:.3%}"


def _bound(value: float | None, none: str) -> str:
    return none if value is None else f"{value:.3f}"


def _evidence(row: Row) -> tuple[str, str]:
    """Return the largest evidence of the row as E and what it takes, of whichever question it is nearest to."""
    pairs = [
        (row.log_e_harm, row.log_needed_harm, "harm"),
        (row.log_e_better, row.log_needed_pass, "better"),
        (row.log_e_margin, row.log_needed_pass, "margin"),
        (row.log_e_floor, row.log_needed_pass, "floor"),
    ]
    known = [(e - needed, e, needed, name) for e, needed, name in pairs if e is not None and needed is not None]
    if not known:
        return "-", "-"
    _, e, needed, name = max(known)
    return f"{name} {_e(e)}", _e(needed)


def _e(log: float) -> str:
    return f"{math.exp(log):.3g}" if abs(log) < 30 else f"1e{log / math.log(10):+.0f}"


def _facts(examined: Examination) -> Iterator[str]:
    verdict, quality = examined.verdict, examined.quality
    yield verdict.unit
    yield (
        f"split: {verdict.srm.verdict} (evidence of a mismatch {_e(verdict.srm.log_e)} of 1000; "
        f"{verdict.srm.variant or 'no variant'} is {verdict.srm.deviation:.2%} off)"
    )
    dispersion = {row.metric: row.phi_windows for row in verdict.rows if row.phi_windows is not None}
    if dispersion:
        yield f"dispersion (1 is chance): {', '.join(f'{name} {phi:.2f}' for name, phi in dispersion.items())}"
    coverage = ", ".join(f"{name} {share:.1%}" for name, share in quality.coverage.items())
    yield f"coverage: {coverage or 'no window is complete yet'}"
    if quality.resets:
        yield f"counters restarted: {', '.join(f'{name} {count} times' for name, count in quality.resets.items())}"
    if quality.gateway_gap is not None:
        yield f"gateway and servers differ by {quality.gateway_gap:.2%}"
    over = (
        f"from {_time(examined.windows[0].start)} until {_time(examined.windows[-1].end)}" if examined.windows else ""
    )
    yield " ".join(filter(None, (f"windows: {len(examined.windows)}, stages: {len(examined.stages)}", over)))
    yield f"as of {_time(examined.until)}"


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _plain(examined: Examination) -> dict[str, Any]:
    verdict, quality = examined.verdict, examined.quality
    return {
        "experiment": examined.experiment.name,
        "environment": examined.environment,
        "until": _time(examined.until),
        "decision": verdict.decision,
        "exitCode": EXIT_CODES[verdict.decision],
        "reason": printable(verdict.reason),
        "winner": verdict.winner,
        "candidates": [one._asdict() for one in verdict.candidates],
        "metrics": [_numbers(row) for row in verdict.rows],
        "srm": _finite(verdict.srm._asdict()),
        "unit": verdict.unit,
        "warnings": [printable(warning) for warning in verdict.warnings],
        "quality": {
            "coverage": dict(quality.coverage),
            "resets": dict(quality.resets),
            "missing": list(quality.missing),
            "gatewayGap": quality.gateway_gap,
            "invalid": list(quality.invalid),
        },
        "stages": [
            {"number": one.number, "start": _time(one.start), "traffic": dict(one.traffic)}
            | {"end": None if one.end is None else _time(one.end)}
            for one in examined.stages
        ],
        "windows": len(examined.windows),
        "looks": examined.design.looks,
        "attempts": examined.design.attempts,
        "evidence": examined.ledger.file,
    }


def _numbers(row: Row) -> dict[str, Any]:
    plain = row._asdict()
    plain["stages"] = [one._asdict() for one in row.stages]
    plain["heterogeneity"] = row.heterogeneity._asdict() if row.heterogeneity else None
    return {_camel(name): value for name, value in _finite(plain).items()}


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no infinity."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
