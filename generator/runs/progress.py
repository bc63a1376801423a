"""How far long work is, on a terminal and nowhere else: logs and pipes hold results only."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Item = TypeVar("Item")

_PATIENCE = 1.0  # seconds; what takes less says nothing
_PAUSE = 0.2
_CLEAR = "\r\x1b[K"  # ECMA-48: back to the first column, erase the line


def shown(items: Sequence[Item], total: int) -> Iterator[Item]:
    """Yield `items`, and say on standard error how many of `total` are done.

    Where other processes do the rest in parallel, they are taken to be as far as this one.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    due, said = time.monotonic() + _PATIENCE, False
    try:
        for number, item in enumerate(items):
            now = time.monotonic()
            if now >= due:
                due, said = now + _PAUSE, True
                _say(f"{_CLEAR}{number * total // len(items)} of {total} experiments")
            yield item
    finally:
        if said:
            _say(_CLEAR)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
