"""How experiments stand, as a table for people and as JSON for programs.

Names, owners and what commits say are untrusted: nothing unprintable reaches a terminal.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from generator.documents.wording import lasting
from generator.report import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from generator.overview.status import Row
    from generator.versions.lives import Decision, Life

WIDTH = 100
_NARROW = 12
_GAP = "  "
_HEADS = ("EXPERIMENT", "TRAFFIC %", "STAGE", "FOR", "NEXT", "VERDICT", "OWNER", "EXPIRES")
_GATES = {"evidence": ", by evidence", "manual": ", by a person", "time": ""}
_UNKNOWN = "unknown"
_STAGES = {
    _UNKNOWN: _UNKNOWN,
    "absent": "not deployed",
    "over": "deleted",
    "fixed": "no rollout",
    "waiting": "not started",
    "back": "rolled back",
    "swapped": "new control",
    "off": "at no step",
}
Shares = tuple[tuple[str, int], ...]


def table(rows: Sequence[Row], now: int, paint: Callable[[str, str], str], width: int = WIDTH) -> str:
    """Write a table for each environment; `paint` gives a text one of the styles `head`, `wrong` and `faint`."""
    cells = [_cells(row, now) for row in rows]
    widths = _widths([_HEADS, *cells], width)
    lines: list[str] = []
    environment = ""
    for row, line in zip(rows, cells, strict=True):
        if row.environment != environment:
            environment = row.environment
            place = paint(f"(deployed from {printable(_branch(row.ref))})", "faint")
            lines += ["", f"{environment} {place}", paint(_laid(_HEADS, widths), "head")]
        lines.append(_laid(line, widths))
        lines += [paint(f"    {note}", "wrong") for note in _complaints(row)]
        lines += [paint(f"    {note}", "faint") for note in _remarks(row)]
    return "".join(f"{line}\n" for line in lines[1:])


def document(rows: Iterable[Row], now: int) -> str:
    """Write everything as JSON: moments in ISO 8601, spans in seconds, shares in percent."""
    import json  # noqa: PLC0415 (start-up time)

    return json.dumps({"now": _moment(now), "experiments": [_plain(row) for row in rows]}, indent=2) + "\n"


def _cells(row: Row, now: int) -> tuple[str, ...]:
    standing, experiment = row.standing, row.experiment
    rollout = experiment.rollout if experiment else None
    stage = _STAGES.get(_where(row)) or f"{(standing.stage or 0) + 1}/{len(rollout.steps) if rollout else 0}"
    verdict = _verdict(row.life)
    texts = (
        row.name,
        _shares(_declared(row), _copied(row)),
        stage,
        lasting(standing.soaked) if standing.since is not None and standing.where != "over" else "",
        _next(row, now),
        verdict.verdict if verdict else "",
        experiment.owner if experiment else "",
        _expiry(row.days_left),
    )
    return tuple(map(printable, texts))


def _where(row: Row) -> str:
    """Return where it stands; what cannot be read may declare a rollout or none."""
    return _UNKNOWN if row.experiment is None and row.standing.where == "fixed" else row.standing.where


def _next(row: Row, now: int) -> str:
    """Say what comes next, from when on, and who or what decides."""
    standing = row.standing
    if standing.where == "swapped":
        return "conclude"
    if standing.where == "bake":
        name = "conclude"
    elif standing.following:
        (control, _), *candidates = standing.following.traffic
        name = _shares(tuple(candidates), standing.following.shadow) or control
    else:
        return ""
    left = (standing.opens_at or 0) - now
    when = f" in {lasting(left)}" if left > 0 else " now" if standing.gate == "time" else ""
    return f"{name}{when}{_GATES[standing.gate or 'manual']}"


def _shares(traffic: Shares, copied: int) -> str:
    texts = [f"{name} {percent}" for name, percent in traffic]
    return " ".join([*texts, f"copies {copied}"] if copied else texts)


def _declared(row: Row) -> Shares:
    if row.experiment:
        return tuple((variant.name, variant.traffic) for variant in row.experiment.variants)
    return row.life.periods[-1].traffic if row.life else ()


def _copied(row: Row) -> int:
    return row.experiment.shadow.percent if row.experiment and row.experiment.shadow else 0


def _verdict(life: Life | None) -> Decision | None:
    return next((one for one in reversed(life.decisions) if one.verdict), None) if life else None


def _expiry(days: int | None) -> str:
    if days is None:
        return ""
    return "expired" if days < 0 else "today" if days == 0 else f"{days} d"


def _complaints(row: Row) -> Iterator[str]:
    """Yield what somebody has to mend."""
    if not row.valid:
        yield "something is wrong with it: run `penstock validate`"
    elif not row.fresh:
        yield "its manifests are out of date: run `penstock render`"
    left = row.standing.remaining
    if left is not None and left < 0:
        yield f"it has gone on {lasting(-left)} longer than its maxDuration"


def _remarks(row: Row) -> Iterator[str]:
    """Yield what is good to know."""
    if not row.committed:
        yield "it has changes that are not committed"
    life = row.life
    if life is None or life.periods[-1].end is not None:
        return
    deployed = life.periods[-1]
    if row.experiment and (dict(deployed.traffic), deployed.shadow) != (dict(_declared(row)), _copied(row)):
        yield f"what is deployed is {printable(_shares(deployed.traffic, deployed.shadow))}"
    if life.former:
        yield f"it was called {printable(', '.join(one.name for one in life.former))} before"
    if life.attempts > 1:
        yield f"this is attempt {life.attempts} under its name"


def _branch(ref: str) -> str:
    return "the current branch" if ref == "HEAD" else ref.removeprefix("refs/heads/").removeprefix("refs/remotes/")


def _widths(lines: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the widths of columns; the widest ones give way, down to a dozen characters, until a line fits."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width and max(widths) > _NARROW:
        widths[widths.index(max(widths))] -= 1
    return widths


def _laid(cells: Sequence[str], widths: Sequence[int]) -> str:
    cut = (text if len(text) <= width else f"{text[: width - 1]}…" for text, width in zip(cells, widths, strict=True))
    return _GAP.join(text.ljust(width) for text, width in zip(cut, widths, strict=True)).rstrip()


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(row: Row) -> dict[str, Any]:
    standing, experiment, life = row.standing, row.experiment, row.life
    deployed = life.periods[-1] if life and life.periods[-1].end is None else None
    verdict = _verdict(life)
    return {
        "environment": row.environment,
        "name": row.name,
        "formerly": [one.name for one in life.former] if life else [],
        "owner": experiment.owner if experiment else None,
        "expires": experiment.expires if experiment else None,
        "daysLeft": row.days_left,
        "traffic": dict(_declared(row)) if experiment else None,
        "copied": _copied(row) if experiment else None,
        "deployed": {
            "from": row.ref,
            "traffic": dict(deployed.traffic),
            "copied": deployed.shadow,
            "since": _moment(deployed.start),
            "commit": deployed.commit,
        }
        if deployed
        else None,
        "attempts": life.attempts if life else 0,
        "standing": _where(row),
        "stage": None if standing.stage is None else standing.stage + 1,
        "stages": len(experiment.rollout.steps) if experiment and experiment.rollout else 0,
        "soaked": standing.soaked,
        "needed": standing.needed,
        "opensAt": _moment(standing.opens_at),
        "gate": standing.gate,
        "next": {"traffic": dict(standing.following.traffic), "copied": standing.following.shadow}
        if standing.following
        else None,
        "remaining": standing.remaining,
        "verdict": {"verdict": verdict.verdict, "commit": verdict.commit, "time": _moment(verdict.time)}
        if verdict
        else None,
        "valid": row.valid,
        "fresh": row.fresh,
        "committed": row.committed,
    }
