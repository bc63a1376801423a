"""The review of a change: Git is asked first, and what reads its answers is loaded while it works."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from generator.problems import WARNING
from generator.versions import revisions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.reviews.review import Report

FORMS = ("text", "markdown", "json", "github")


def show(root: str, base: str, head: str, only: Iterable[str], form: str, limit: int = 0) -> int:
    """Print the review of a change in one of `FORMS`, as markdown of at most `limit` bytes unless that is 0.

    Returns the exit code: 1 if anything is wrong, 3 if something could not be found out. The arguments are those of
    `report`.
    """
    found = report(root, base, head, only, int(time.time()))
    if form == "markdown":
        from generator.reviews import markdown  # noqa: PLC0415 (start-up time: one form is needed)

        sys.stdout.write(markdown.document(found, limit or markdown.LIMIT))
    else:
        from generator.reviews import printed  # noqa: PLC0415 (start-up time)

        sys.stdout.write(printed.document(found, form))
    wrong = any(problem.severity != WARNING for problem in found.problems)
    return 1 if wrong else 3 if found.unknown else 0


def report(root: str, base: str, head: str, only: Iterable[str], now: int) -> Report:
    """Review what `head` ("" for the working tree) changes since it left `base` ("" for the deployed branch).

    `only` names environments, all if it is empty; `now` is in seconds. GitError where a revision is missing.
    """
    comparison = revisions.since_fork(root, base, head, only)
    from generator.reviews import inspection  # noqa: PLC0415 (start-up time: Git works meanwhile)

    with comparison as found:
        return inspection.of(found, root, now)
