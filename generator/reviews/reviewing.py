"""The review of a change: Git is asked first, and what reads its answers is loaded while it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.versions import revisions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.reviews.review import Report


def report(root: str, base: str, head: str, only: Iterable[str], now: int) -> Report:
    """Review what `head` ("" for the working tree) changes since it left `base` ("" for the deployed branch).

    `only` names environments, all if it is empty; `now` is in seconds. GitError where a revision is missing.
    """
    comparison = revisions.since_fork(root, base, head, only)
    from generator.reviews import inspection  # noqa: PLC0415 (start-up time: Git works meanwhile)

    with comparison as found:
        return inspection.of(found, root, now)
