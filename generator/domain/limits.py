"""What an environment's policy allows at once, and whom: each rule once, with the sentence that says it is broken.

A gate asks before a step is made, a review when it is proposed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.documents.wording import listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def excess(
    largest: int | None, before: Mapping[str, int], after: Iterable[tuple[str, int]]
) -> Iterator[tuple[str, str]]:
    """Yield each candidate that gains more percentage points at once than `largest`, None for any, and say so."""
    for name, percent in after:
        more = percent - before.get(name, 0)
        if largest is not None and more > largest:
            yield name, f"{name} gets {more} percentage points more at once, and {largest} are allowed"


def refusal(patterns: tuple[str, ...] | None, address: str, kind: str) -> str:
    """Say that whoever has an address may not change a kind of settings; "" if they may. No patterns allow anybody."""
    from fnmatch import fnmatchcase  # noqa: PLC0415 (start-up time: few environments say who may do what)

    if patterns is None or any(fnmatchcase(address.lower(), one.lower()) for one in patterns):
        return ""
    return f"{shown(address) or 'nobody'} may not change {kind} here; these may: {listed(patterns)}"
