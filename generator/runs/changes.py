"""What a run changed, printed for those who ran it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from generator.problems import errors
from generator.runs.run import summary

if TYPE_CHECKING:
    from generator.problems import Problem
    from generator.runs.run import Result
    from generator.runs.tree import Change


def show(result: Result, found: list[Problem], output: str, *, dry: bool) -> bool:
    """Print what happened or, when `dry`, what would, in a format of `report`; return whether anything did."""
    counts = {"create": 0, "update": 0, "delete": 0, "same": result.fresh}
    lines: list[str] = []
    changes: list[Change] = []
    for outcome in result:
        for change in outcome.changes:
            counts[change.action] += 1
            if change.action != "same" and output == "text":
                lines.append(f"{change.action:8}{change.path}\n")
            if change.action != "same" and output == "json":
                changes.append(change)
        if len(lines) > 1000:
            sys.stdout.write("".join(lines))
            lines.clear()
    changed = any(counts[action] for action in ("create", "update", "delete"))
    failed = bool(errors(found))
    if output != "text" or found:
        from generator import report  # noqa: PLC0415 (start-up time)

        text = report.document(found, changes, counts["same"]) if output == "json" else report.problems(found, output)
        sys.stdout.write("".join(lines if not failed else ()) + text)
        lines.clear()
    if output == "text":
        end = " (nothing was written)" if failed or (dry and changed) else ""
        sys.stdout.write(f"{''.join(lines)}{summary(counts)}{end}\n")
    return changed
