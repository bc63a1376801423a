"""Rendered text read back as data: parsed in full once a shape, and then only filled.

Reading back is the dearest stage, and 1,000 experiments have a handful of shapes. A template marks each value that it
writes through the filters `q` and `literal`; what stands between the marks is the text's shape. A shape is parsed with
a token in the place of each value. If every token comes back as one whole plain scalar, then so does whatever `scalar`
writes, for it reads back as its own text in any such place (a law of tests/test_scalars.py): another text of this shape
differs in these values only. Anything else (a value in quotes, in a comment, part of a longer word, put in without a
filter) gives no shape to rely on, and its text is parsed in full, every time.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from generator.documents import load
from generator.documents.scalars import value_of
from generator.problems import Problem

MARK = "\0"
"""Stands before and after a marked value. No input holds it: `load` refuses control characters."""

_TOKEN = re.compile(r"PenstockSlot([0-9]+)")
_WORTH_LEARNING = 3
_MOST_SHAPES = 256
_LONG = 2_000


class _Shape(NamedTuple):
    """A text's data as a function of its values, in order; the slots of block scalars, with the indent of their lines;
    and slots of keys that must differ from each other and from the other keys of one map.
    """  # noqa: D205

    fill: Callable[[list[str | int]], Any]
    blocks: tuple[tuple[int, str], ...]
    key_groups: tuple[tuple[tuple[int, ...], frozenset[str]], ...]


class Reader:
    """Reads marked texts; remembers the shapes that it has seen."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._shapes: dict[str, _Shape | None] = {}

    def read(self, marked: str, file: str) -> tuple[str, Any, tuple[Problem, ...]]:
        """Return the text without marks, its data, and the parser's problems; the data is None if there are any."""
        parts = marked.split(MARK)
        text = "".join(parts)
        if len(parts) % 2:
            shape = self._shape(parts) if len(parts) < _LONG else None
            data = _filled(shape, parts[1::2]) if shape else _listed(parts) if len(parts) >= _LONG else None
            if data is not None:
                return text, data, ()
        return text, *load.parse(text.encode(), file)

    def _shape(self, parts: list[str]) -> _Shape | None:
        """Return a shape that is worth learning: the few of its texts in a single experiment are just parsed."""
        key = MARK.join(parts[::2])
        if key in self._shapes:
            return self._shapes[key]
        seen = self._seen.get(key, 0)
        if seen >= _WORTH_LEARNING:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            self._shapes[key] = _learned(parts[::2])
            return self._shapes[key]
        if len(self._seen) >= _MOST_SHAPES:
            self._seen.clear()
        self._seen[key] = seen + 1
        return None


def _learned(outside: list[str]) -> _Shape | None:
    """Parse a shape with tokens for values; None unless each token is one whole scalar, plain or a block."""
    text = outside[0] + "".join(f"PenstockSlot{i}{after}" for i, after in enumerate(outside[1:]))
    data, problems = load.parse(text.encode(), "")
    if problems:
        return None
    tokens = sorted(_tokens(load._Composer(text.encode()).get_single_node()))
    if [slot for slot, _ in tokens] != list(range(len(outside) - 1)):
        return None
    blocks = tuple((slot, _indent(outside[slot])) for slot, style in tokens if style == "|")
    # A display that Python builds far faster than any parser. It holds nothing but literals and slots.
    fill = eval(f"lambda v: {_display(data)}", {"__builtins__": {}})  # noqa: S307
    return _Shape(fill, blocks, tuple(_key_groups(data)))


def _listed(parts: list[str]) -> Any:
    """Read a text with one long list of values as it reads with three of them; None if that is not all of it.

    A parser's nodes for 10,000 names would be the most that a run holds in memory.
    """
    outside = parts[::2]
    if outside.count(outside[1]) < len(outside) - 2:
        return None
    shape = _learned([outside[0], outside[1], outside[1], outside[-1]])
    if shape is None or shape.blocks or shape.key_groups:
        return None
    tokens: list[str | int] = ["PenstockSlot0", "PenstockSlot1", "PenstockSlot2"]
    return _exchanged(shape.fill(tokens), tokens, [value_of(one) for one in parts[1::2]])


def _exchanged(data: Any, old: list[str | int], new: list[str | int]) -> Any:
    """Put one list in the place of the other; None where that is not all that stands there."""
    if data == old:
        return new
    found = {key: _exchanged(value, old, new) for key, value in data.items()} if isinstance(data, dict) else {}
    return {key: data[key] if value is None else value for key, value in found.items()} if any(found.values()) else None


def _display(data: Any) -> str:
    """Write plain data as a Python display with a slot for each token, leaf by leaf: no text ends its literal."""
    if isinstance(data, dict):
        return f"{{{', '.join(f'{_display(key)}: {_display(value)}' for key, value in data.items())}}}"
    if isinstance(data, list):
        return f"[{', '.join(map(_display, data))}]"
    token = _TOKEN.fullmatch(data.removesuffix("\n")) if isinstance(data, str) else None
    return f"v[{token[1]}]" if token else repr(data)


def _indent(before: str) -> str:
    return " " * (len(before) - len(before.rstrip(" ")))


def _tokens(node: Any) -> Iterator[tuple[int, str]]:
    """Yield slot and style of every scalar that is a token and nothing else; slot -1 if neither plain nor a block."""
    if isinstance(node.value, str):
        match = re.fullmatch(r"PenstockSlot([0-9]+)(\n?)", node.value)
        if match:
            style = node.style or ""
            yield (int(match[1]) if style == ("|" if match[2] else "") else -1), style
        return
    for child in node.value:
        for one in child if isinstance(child, tuple) else (child,):
            yield from _tokens(one)


def _key_groups(data: Any) -> Iterator[tuple[tuple[int, ...], frozenset[str]]]:
    """Yield, for each map with marked keys, their slots and the other keys: filled in, all must differ."""
    if isinstance(data, dict):
        slots = {key: _TOKEN.fullmatch(key) for key in data}
        marked = tuple(int(match[1]) for match in slots.values() if match)
        if marked:
            yield marked, frozenset(key for key, match in slots.items() if not match)
    children = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    for child in children:
        yield from _key_groups(child)


def _filled(shape: _Shape, written: list[str]) -> Any:
    """Put values into a shape; None where only a full parse can tell."""
    for slots, others in shape.key_groups:
        keys = {written[slot] for slot in slots}
        if len(keys) < len(slots) or keys & others:
            return None
    values: list[str | int] = []
    blocks = dict(shape.blocks)
    for slot, one in enumerate(written):
        if slot not in blocks:
            values.append(value_of(one))
        elif not one or one[0] in " \t\n" or one[-1] == "\n":
            return None
        else:
            values.append(one.replace(f"\n{blocks[slot]}", "\n") + "\n")
    return shape.fill(values)
