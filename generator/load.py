"""Untrusted YAML becomes plain data, strictly and fast; a path in that data becomes a place in the text.

There are two ways through a text. The usual one is composed in C and built by one recursion, which keeps no places
and notices only *that* something is wrong. Then, or if the bytes look as if they could hurt the C composer, an
inspection goes through the text event by event: slower, bounded in depth and size, it finds each problem and its place.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from generator.problems import Place, Problem, ProblemsError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from yaml.error import Mark

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 100_000  # each alias counts as all that it repeats

Data: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None
Path: TypeAlias = tuple[str | int, ...]

_BOM = b"\xef\xbb\xbf"
_QUOTE = "write it in quotes"


def parse(raw: bytes, file: str) -> tuple[Data, tuple[Problem, ...]]:
    """Return the one document of `raw`, or None and all that is wrong with it; `file` only names the places.

    A value that is repeated through an alias is built anew each time, so no two places of the data share an object.
    """
    source = raw.removeprefix(_BOM)
    if not _suspicious(source):
        try:
            data = _build(source)
        except (yaml.MarkedYAMLError, UnicodeDecodeError, _Doubt):
            data = None
        if data is not None:
            return data, ()
    found = sorted(_findings(source))
    if found:
        return None, tuple(Problem(f.code, Place(file, f.line, f.column), f.message, f.fix) for f in found)
    return _build(source), ()


def locate(raw: bytes, path: Path, *, key: bool = False) -> tuple[int, int]:
    """Return line and column, from 1, of the value (or key) at `path` in a text that `parse` accepted.

    A path that leads nowhere gets the key of the last entry that exists. What an alias repeats stands at its anchor.
    """
    node = _Composer(raw.removeprefix(_BOM)).get_single_node()
    if node is None:
        return 1, 1
    name = node.start_mark
    for step in path:
        entry = _entry(node, step)
        if entry is None:
            return _spot(name)
        name, node = entry
    return _spot(name if key else node.start_mark)


def read(root: pathlib.Path, relative: str) -> bytes:
    """Read a regular file below `root`, or raise ProblemsError; a link may lead to any place below `root`."""
    try:
        base = root.resolve()
        path = (base / relative).resolve()
        if not path.is_relative_to(base):
            raise _refusal(relative, "PS103", "this path leads out of the repository", "name a file inside of it")
        return _content(path, relative)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise _unreadable(relative, f"the file cannot be read: {reason}") from error
    except (ValueError, RuntimeError) as error:  # a NUL in the name; links that lead in a circle
        raise _unreadable(relative, "no file can have this path") from error


def _content(path: pathlib.Path, relative: str) -> bytes:
    # Not blocking, because opening a named pipe would wait for its writer; the kind is only known once it is open.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _unreadable(relative, "this is not a regular file")
        raw = b"" if status.st_size > MAX_BYTES else file.read(MAX_BYTES + 1)
    if status.st_size > MAX_BYTES or len(raw) > MAX_BYTES:
        raise _refusal(relative, "PS102", *_TOO_LARGE)
    return raw


def _refusal(relative: str, code: str, message: str, fix: str) -> ProblemsError:
    return ProblemsError((Problem(code, Place(relative), message, fix),))


def _unreadable(relative: str, message: str) -> ProblemsError:
    return _refusal(relative, "PS101", message, "name a file that exists and that you may read")


# --- composing ---


class _Unresolved:
    """No tags: `_PLAIN` reads scalars, at a fraction of the price of PyYAML's resolver."""

    def descend_resolver(self, parent: Node | None, index: object) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass

    def resolve(self, kind: type[Node], value: str | None, implicit: object) -> None:
        pass


class _PureComposer(_Unresolved, Reader, Scanner, Parser, Composer):
    """Where PyYAML was built without libyaml: the same nodes and events, slowly."""

    def __init__(self, source: str | bytes) -> None:
        Reader.__init__(self, source)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)


if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class _FastComposer(_Unresolved, CParser):
        pass

    _Composer: type[_FastComposer | _PureComposer] = _FastComposer
else:
    _Composer = _PureComposer


def _build(source: bytes) -> Data:
    root = _Composer(source).get_single_node()
    return None if root is None else _value(root, 1)


def _value(node: Node, depth: int) -> Data:
    # The hottest lines of the program: they compare classes instead of calling isinstance, and leave it to
    # the inspection to find out which entry was wrong, and why.
    if node.tag is not None:
        raise _Doubt
    kind = node.__class__
    if kind is ScalarNode:
        return node.value if node.style else _PLAIN[node.value]  # type: ignore[attr-defined, no-any-return]
    if depth > MAX_DEPTH:
        raise _Doubt
    depth += 1
    if kind is SequenceNode:
        return [_value(item, depth) for item in node.value]
    data = {}
    for name, item in node.value:
        if name.__class__ is not ScalarNode or name.tag is not None:
            raise _Doubt
        data[name.value if name.style else _KEYS[name.value]] = _value(item, depth)
    if len(data) != len(node.value):  # a key that comes twice
        raise _Doubt
    return data


def _entry(node: Node, step: str | int) -> tuple[Mark, Node] | None:
    if isinstance(node, MappingNode):
        return next(((name.start_mark, item) for name, item in node.value if name.value == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
        item = node.value[step]
        return item.start_mark, item
    return None


def _spot(mark: Mark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


# --- what a plain scalar means ---


class _Doubt(Exception):  # noqa: N818 - a signal, not an error: it holds a code, a message and a fix
    """Something that the recursion will not read; without arguments the inspection finds out what it is."""


class _Cache(dict[str, Any]):
    """Remembers readings: manifests repeat the same few hundred words. Emptied, not grown, once it is full."""

    def __init__(self, reading: Callable[[str], Data]) -> None:
        self._reading = reading

    def __missing__(self, text: str) -> Data:
        value = self._reading(text)
        if len(self) >= 10_000:
            self.clear()
        if len(text) <= 100:
            self[text] = value
        return value


_WORDS: dict[str, Data] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
# What PyYAML, YAML 1.2 and go-yaml (which drops every underscore and guesses a base) do not all read alike.
_AMBIGUOUS = re.compile(
    r"""(?P<switch>(?i:y|n|yes|no|on|off))
    |(?P<date>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]*)?
        (?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?)
    |(?P<sixty>[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)
    |(?P<endless>[-+]?\.(?i:inf|nan))
    |(?P<sign>=)
    |(?P<merge><<)
    |(?P<number>(?=[-+.0-9])[-+]?_*(?:0_*(?:[xX][0-9a-fA-F_]*|[bB][-+]?[01_]*|[oO][-+]?[0-7_]*)
        |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\._*[0-9][0-9_]*)(?:[eE]_*[-+]?_*[0-9][0-9_]*)?))""",
    re.VERBOSE,
)
_READINGS = {
    "switch": "is a truth value to some YAML parsers and text to others",
    "date": "is a date to some YAML parsers and text to others",
    "sixty": "is a number to the base of 60 to some YAML parsers and text to others",
    "endless": "is a number to YAML but not to JSON, which Kubernetes reads",
    "sign": "has a meaning of its own to some YAML parsers and is text to others",
    "number": "is not the same number to all YAML parsers, or text to some",
}


def _meaning(text: str) -> Data:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789yYnNoO=<":
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    _refuse_ambiguous(text)
    return text


def _integer(text: str) -> int:
    # By length first: Python refuses to convert thousands of digits. "0x000…1" is the only long way to a small number.
    value = int(text, 16) if text.startswith("0x") else int(text) if len(text) <= 20 else 1 << 64
    if -(1 << 63) <= value < 1 << 63:
        return value
    raise _Doubt("PS114", f"{_shown(text)} does not fit into 64 bits", f"write a smaller number, or {_QUOTE}")


def _float(text: str) -> float:
    value = float(text)
    if abs(value) != float("inf"):
        return value
    raise _Doubt("PS114", f"{_shown(text)} is too large for a number", f"write a smaller number, or {_QUOTE}")


def _refuse_ambiguous(text: str) -> None:
    match = _AMBIGUOUS.fullmatch(text)
    if match is None:
        return
    if match.lastgroup == "merge":
        fix = f"use the environment's defaults or the base file; if it is text, {_QUOTE}"
        raise _Doubt("PS112", "merge keys (`<<`) are not supported", fix)
    raise _Doubt("PS112", f"{_shown(text)} {_READINGS[match.lastgroup or '']}", _QUOTE)


def _name(text: str) -> str:
    value = _PLAIN[text]
    if isinstance(value, str):
        return value
    if not text:
        raise _Doubt("PS107", "there is no key before this `:`", "write the key")
    kind = "null" if value is None else "a truth value" if isinstance(value, bool) else "a number"
    raise _Doubt("PS107", f"the key {_shown(text)} is {kind}, not text", _QUOTE)


_PLAIN = _Cache(_meaning)
_KEYS = _Cache(_name)


# --- the look at the bytes before they are composed ---

# libyaml's composer recurses in C, about 330 bytes of stack for each level. Brackets open at most two levels each,
# and a line can only open block levels with blanks and "-?:", two for each column: at most 1,200 levels, 400 KB.
_MAX_BRACKETS = 500
_DEEP_LINE = b" " * 100
_SHAPE = bytes(
    ord(" ") if char in b" \t-?:" else ord("[") if char in b"[{" else ord("x") if 32 <= char < 127 or char in b"\r\n" else 0
    for char in range(256)
)
# Each node follows one of these, and none opens more than two.
_SEPARATORS = (b",", b"[", b"{", b"-", b"?", b":", b"\n", b"\r")
_HIDDEN = (
    (b"&", re.compile(rb"&(?<![^\s,:?\[\]{}\"'-]&)[^\s&]")),  # anchors: their aliases may repeat without end
    (b"!", re.compile(rb"!(?=[\s,<%\]}]|\Z)")),  # the tag "!", which leaves no trace in a node
    (b"\\", re.compile(rb"\\(?:[0abefvNLP]|x[01789]|u(?:00[01789]|06|20|[dD]|[fF])|U)")),  # invisible characters
    (b"%", re.compile(rb"(?m)^%TAG|\r%TAG")),
)
_NONCHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_INVISIBLE = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069"
    f"\\ud800-\\udfff\\ufdd0-\\ufdef\\ufeff{_NONCHARACTERS}]"
)


def _suspicious(source: bytes) -> bool:
    if len(source) > MAX_BYTES or _Composer is _PureComposer:
        return True
    shape = source.translate(_SHAPE)
    return (
        shape.count(b"[") > _MAX_BRACKETS
        or _DEEP_LINE in shape
        or (len(source) > MAX_NODES // 2 and 2 * sum(map(source.count, _SEPARATORS)) > MAX_NODES)
        or any(sign in source and pattern.search(source) for sign, pattern in _HIDDEN)
        or (b"\0" in shape and _unclean(source))
    )


def _unclean(source: bytes) -> bool:
    try:
        return _INVISIBLE.search(source.decode()) is not None
    except UnicodeDecodeError:
        return True


# --- the inspection ---


class _Finding(NamedTuple):  # sorts by place
    line: int
    column: int
    code: str
    message: str
    fix: str


class _Fatal(Exception):  # noqa: N818 - a finding that ends the inspection
    """Nothing after this can be read."""

    def __init__(self, place: tuple[int, int], code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.finding = _Finding(*place, code, message, fix)


_WHOLE = (0, 0)
_TOO_LARGE = (f"the file is larger than {MAX_BYTES >> 20} MiB", "split it, or take out what does not belong in it")


def _findings(source: bytes) -> list[_Finding]:
    try:
        text = _text(source)
    except _Fatal as fatal:
        return [fatal.finding]
    found = _invisible(text)
    inspection = _Inspection(_INVISIBLE.sub("\ufffd", text))
    try:
        inspection.run()
    except _Fatal as fatal:
        if not found:  # otherwise it may only come from what was replaced
            inspection.findings.append(fatal.finding)
    return found + inspection.findings


def _text(source: bytes) -> str:
    if len(source) > MAX_BYTES:
        raise _Fatal(_WHOLE, "PS102", *_TOO_LARGE)
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        place = _place(source[: error.start].decode())
        message = f"the byte 0x{source[error.start]:02x} is not UTF-8"
        raise _Fatal(place, "PS104", message, "save the file as UTF-8") from error
    directive = _TAG_DIRECTIVE.search(text)
    if directive:  # libyaml compares each with all before it: 60,000 of them take five seconds
        raise _Fatal(_place(text[: directive.start()]), "PS108", "`%TAG` gives names to tags, which are not read here", "remove it")
    return text


def _place(before: str) -> tuple[int, int]:
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1


