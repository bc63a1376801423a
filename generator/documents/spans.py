"""Where each key and value of a YAML text begins and ends, counted in characters.

PyYAML's nodes do not tell an alias from its anchor, nor where a block collection ends: its events do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from yaml import AliasEvent, CollectionEndEvent, MappingStartEvent, NodeEvent, ScalarEvent

from generator.documents import load

if TYPE_CHECKING:
    from collections.abc import Iterator

MAP, LIST, SCALAR, ALIAS = "map", "list", "scalar", "alias"
PAIR = ":"

_GAP = re.compile(r"(?:\s|#[^\r\n]*)*")
_ANCHOR = re.compile(r"&[\w-]+")


class Span(NamedTuple):
    """One node of the text: `text[start:end]`, of which `text[start:body]` is its anchor and what follows that.

    `opener` is a bracket (PAIR where a flow map of one entry has none), or a scalar's quote or block sign; it is empty
    for block collections and plain scalars.
    `column` counts from 0. `entries` are keys and values; in a list, an item is its own key. An empty value ends where
    its body begins.
    """

    kind: str
    start: int
    body: int
    end: int
    line: int
    column: int
    opener: str = ""
    anchor: str = ""
    entries: tuple[tuple[Span, Span], ...] = ()


def read(raw: bytes) -> Span:
    """Return the root of a text that `load.parse` accepted. Its spans count from behind a byte order mark."""
    events = load.events(raw)
    first = next(event for event in events if isinstance(event, NodeEvent))
    return _span(first, events, raw.decode("utf-8-sig"))


def within(span: Span) -> Iterator[Span]:
    """Yield a span and all below it, in the order of the text."""
    yield span
    for name, item in span.entries:
        if name is not item:
            yield name
        yield from within(item)


def _span(event: Any, events: Iterator[Any], text: str) -> Span:
    start, end = event.start_mark.index, event.end_mark.index
    anchor, line, column = event.anchor or "", event.start_mark.line + 1, event.start_mark.column
    if isinstance(event, AliasEvent):
        return Span(ALIAS, start, start, end, line, column, anchor=anchor)
    body = _match(_GAP, text, _match(_ANCHOR, text, start)) if anchor else start
    if isinstance(event, ScalarEvent):
        body = min(body, end)  # an empty value ends with its anchor
        return Span(SCALAR, start, body, end, line, column, event.style or "", anchor)
    entries = []
    kind = MAP if isinstance(event, MappingStartEvent) else LIST
    opener = "" if not event.flow_style else text[body] if text[body] in "{[" else PAIR
    while not isinstance(inner := next(events), CollectionEndEvent):
        name = _span(inner, events, text)
        entries.append((name, _span(next(events), events, text) if kind == MAP else name))
    last: Any = inner.end_mark
    end = last.index if opener in {"{", "["} else entries[-1][1].end
    return Span(kind, start, body, end, line, column, opener, anchor, tuple(entries))


def _match(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start
