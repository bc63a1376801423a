"""Rendered text read back as data: parsed in full once a shape, and then only filled.

Reading back is the dearest stage, and 1,000 experiments have a handful of shapes. A template marks each value that it
writes through the filters `q` and `literal`; what stands between the marks is the text's shape. A shape is parsed with
a token in the place of each value. If every token comes back as one whole plain scalar, then so does whatever `scalar`
writes, for it reads back as its own text in any such place (a law of tests/test_scalars.py): another text of this shape
differs in these values only. Anything else (a value in quotes, in a comment, part of a longer word, put in without a
filter) gives no shape to rely on, and its text is parsed in full, every time.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from generator import load
from generator.scalars import as_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.problems import Problem

MARK = "\0"
"""Stands before and after a marked value. No input holds it: `load` refuses control characters."""

_TOKEN = re.compile(r'"PenstockSlot([0-9]+)"')
_MOST_SHAPES = 2_000


class _Literal(NamedTuple):
    """A block scalar: which value it is, where it belongs in the data, and how far its lines are indented."""

    slot: int
    path: tuple[str | int, ...]
    indent: str


class _Shape(NamedTuple):
    """JSON with gaps, the slot that fills each gap, block scalars apart, and keys that must differ in one map."""

    pieces: tuple[str, ...]
    slots: tuple[int, ...]
    literals: tuple[_Literal, ...]
    key_groups: tuple[tuple[tuple[int, ...], frozenset[str]], ...]


class Reader:
    """Reads marked texts; remembers the shapes that it has seen."""

    def __init__(self) -> None:
        self._shapes: dict[str, _Shape | None] = {}

    def read(self, marked: str, file: str) -> tuple[str, Any, tuple[Problem, ...]]:
        """Return the text without marks, its data, and the parser's problems; the data is None if there are any."""
        parts = marked.split(MARK)
        text = "".join(parts)
        if len(parts) % 2:
            shape = self._shape(parts)
            data = _filled(shape, parts[1::2]) if shape else None
            if data is not None:
                return text, data, ()
        return text, *load.parse(text.encode(), file)

    def _shape(self, parts: list[str]) -> _Shape | None:
        key = MARK.join(parts[::2])
        if key not in self._shapes:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            self._shapes[key] = _learned(parts[::2])
        return self._shapes[key]


def _learned(outside: list[str]) -> _Shape | None:
    """Parse a shape with tokens for values; None unless each token is one whole scalar."""
    text = outside[0] + "".join(f"PenstockSlot{i}{after}" for i, after in enumerate(outside[1:]))
    data, problems = load.parse(text.encode(), "")
    if problems:
        return None
    places = dict(_places(load._Composer(text.encode()).get_single_node(), ()))
    if sorted(places) != list(range(len(outside) - 1)):
        return None
    literals = [
        _Literal(slot, path, " " * _width(outside[slot])) for slot, (style, path) in places.items() if style == "|"
    ]
    whole = json.dumps(data, ensure_ascii=False)
    found = _TOKEN.split(whole)
    slots = tuple(map(int, found[1::2]))
    if sorted((*slots, *(one.slot for one in literals))) != list(range(len(outside) - 1)):
        return None
    return _Shape(tuple(found[::2]), slots, tuple(literals), tuple(_key_groups(data)))


def _width(before: str) -> int:
    return len(before) - len(before.rstrip(" "))


def _places(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[int, tuple[str, tuple[str | int, ...]]]]:
    """Yield slot, style and path of every scalar that is a token and nothing else, plain or as a block."""
    if isinstance(node.value, str):
        match = re.fullmatch(r"PenstockSlot([0-9]+)(\n?)", node.value)
        if match and (node.style or "") == ("|" if match[2] else ""):
            yield int(match[1]), (node.style or "", path)
        return
    for index, child in enumerate(node.value):
        if isinstance(child, tuple):
            yield from _places(child[0], path)
            yield from _places(child[1], (*path, child[0].value))
        else:
            yield from _places(child, (*path, index))


def _key_groups(data: Any) -> Iterator[tuple[tuple[int, ...], frozenset[str]]]:
    """Yield, for each map with marked keys, their slots and the other keys: filled in, all must differ."""
    if isinstance(data, dict):
        slots = {key: _TOKEN.fullmatch(f'"{key}"') for key in data}
        marked = tuple(int(match[1]) for match in slots.values() if match)
        if marked:
            yield marked, frozenset(key for key, match in slots.items() if not match)
    children = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    for child in children:
        yield from _key_groups(child)


def _filled(shape: _Shape, values: list[str]) -> Any:
    """Put values into a shape; None where only a full parse can tell."""
    for slots, others in shape.key_groups:
        keys = {values[slot] for slot in slots}
        if len(keys) < len(slots) or keys & others:
            return None
    for literal in shape.literals:
        body = values[literal.slot]
        if not body or body[0] in " \t\n" or body[-1] == "\n":
            return None
    filled = [shape.pieces[0]]
    for slot, piece in zip(shape.slots, shape.pieces[1:], strict=True):
        filled += (as_json(values[slot]), piece)
    data = json.loads("".join(filled))
    for literal in shape.literals:
        steps = [_step(step, values) for step in literal.path]
        parent = data
        for step in steps[:-1]:
            parent = parent[step]
        parent[steps[-1]] = values[literal.slot].replace(f"\n{literal.indent}", "\n") + "\n"
    return data


def _step(step: str | int, values: list[str]) -> str | int:
    """Return a step on the way to a block scalar, which may itself be a marked key."""
    match = _TOKEN.fullmatch(f'"{step}"') if isinstance(step, str) else None
    return str(json.loads(as_json(values[int(match[1])]))) if match else step
