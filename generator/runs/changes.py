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


def show(
    result: Result, found: list[Problem], output: str, *, dry: bool, check: bool = False, fail_on_warn: bool = False
) -> bool:
    """Print what happened or, when `dry`, what would, in a format of `report`; return whether anything did.

    Formats for machines get a problem for each file that a `check` finds out of date; text names such files anyway.
    """
    counts = {"create": 0, "update": 0, "delete": 0, "same": result.fresh}
    failed = bool(errors(found))
    lines: list[str] = []
    changes: list[Change] = []
    for outcome in result:
        for change in outcome.changes:
            counts[change.action] += 1
            if change.action != "same" and output != "text":
                changes.append(change)
            elif change.action != "same" and not failed:
                lines.append(f"{change.action:8}{change.path}\n")
        if len(lines) > 1000:
            sys.stdout.write("".join(lines))
            lines.clear()
    changed = any(counts[action] for action in ("create", "update", "delete"))
    if output != "text" or found:
        from generator import report  # noqa: PLC0415 (start-up time)

        if changes and check:
            from generator.runs.tree import outdated  # noqa: PLC0415 (start-up time)

            found = [*found, *map(outdated, changes)]
        text = report.problems(found, output, fail_on_warn=fail_on_warn)
        sys.stdout.write(report.document(found, changes, counts["same"]) if output == "json" else text)
    if output == "text" and failed:
        sys.stdout.write(f"{report.count(found)}; nothing was written\n")
    elif output == "text":
        end = " (nothing was written)" if dry and changed else ""
        sys.stdout.write(f"{''.join(lines)}{summary(counts)}{end}\n")
    return changed
