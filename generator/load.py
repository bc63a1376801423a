"""Untrusted YAML becomes plain data, strictly and fast; a path in that data becomes a place in the text.

There are two ways through a text. The usual one is composed in C and built by one recursion, which keeps no places
and notices only *that* something is wrong. Then, or if the bytes look as if they could hurt the C composer, an
inspection goes through it event by event: slower, bounded in depth and size, it finds each problem and its place.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from generator.problems import Place, Problem, ProblemsError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 100_000  # an alias counts as all that it repeats

Data: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None
Path: TypeAlias = tuple[str | int, ...]

_BOM = b"\xef\xbb\xbf"
_FIXES = {
    "PS101": "name a file that exists and that you may read",
    "PS102": f"take out what does not belong in it, until it is no larger than {MAX_BYTES >> 20} MiB",
    "PS103": "name a file inside of the repository",
    "PS104": "save the file as UTF-8",
    "PS106": "remove one of the two",
    "PS107": "write text as the key, in quotes if need be",
    "PS108": "remove it",
    "PS109": "make it flatter",
    "PS110": "write less, or repeat less of it through aliases",
    "PS111": "keep exactly one document in a file",
    "PS112": "write it in quotes",
    "PS113": "remove it",
    "PS114": "write a smaller number, or write it in quotes",
}


def parse(raw: bytes, file: str) -> tuple[Data, tuple[Problem, ...]]:
    """Return the one document of `raw`, or None and all that is wrong with it; `file` only names the places.

    Data is None only with a problem. What an alias repeats is built anew, so no two parts of the data share an object.
    """
    source = raw.removeprefix(_BOM)
    if not _suspicious(source):
        try:
            data = _build(source)
        except (yaml.MarkedYAMLError, UnicodeDecodeError, _Doubt):
            data = None
        if data is not None:
            return data, ()
    problems = _problems(source, file)
    data = None if problems else _build(source)
    if data is None and not problems:
        problems = [_problem(Place(file), "PS111", "there is nothing in this file")]
    return data, tuple(sorted(problems, key=lambda problem: (problem.place, problem.code)))


def locate(raw: bytes, path: Path, *, key: bool = False) -> tuple[int, int]:
    """Return line and column, from 1, of the value (or key) at `path` in a text that `parse` accepted.

    A path that leads nowhere gets the key of its last entry that exists. An alias leads to its anchor.
    """
    node = name = _Composer(raw.removeprefix(_BOM)).get_single_node()
    for step in path:
        entry = _entry(node, step)
        if entry is None:
            return _spot(name)
        name, node = entry
    return _spot(name if key else node)


def read(root: pathlib.Path, relative: str) -> bytes:
    """Read a regular file below `root`, or raise ProblemsError; a link may lead anywhere below `root`."""
    place = Place(relative)
    try:
        base = root.resolve()
        path = (base / relative).resolve()
        if not path.is_relative_to(base):
            raise _stop(place, "PS103", "this path leads out of the repository")
        with open(path, "rb", opener=_opener) as file:  # noqa: PTH123 - pathlib takes no opener
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _stop(place, "PS101", "this is not a regular file")
            raw = b"" if status.st_size > MAX_BYTES else file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _stop(place, "PS101", f"this file cannot be read: {(error.strerror or '').lower()}") from error
    except (ValueError, RuntimeError) as error:  # a NUL in the name; links in a circle
        raise _stop(place, "PS101", "no file can have this path") from error
    if max(status.st_size, len(raw)) > MAX_BYTES:  # the second, because it may have grown since
        raise _stop(place, "PS102", "this file is too large")
    return raw


def _opener(path: str, flags: int) -> int:
    # Opening a named pipe would wait for its writer, and what a path is can only be trusted once it is open.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _problem(place: Place, code: str, message: str, fix: str = "") -> Problem:
    return Problem(code, place, message, fix or _FIXES[code])


def _stop(place: Place, code: str, message: str, fix: str = "") -> ProblemsError:
    return ProblemsError((_problem(place, code, message, fix),))


class _Unresolved:
    """Composition without tags: `_PLAIN` reads scalars at a fraction of the price of PyYAML's resolver."""

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None: ...

    def ascend_resolver(self) -> None: ...

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: object) -> None: ...


_Pure: type[Any] = type(
    "_Pure", (_Unresolved, yaml.BaseLoader), {}
)  # where PyYAML has no libyaml: right, but slow
_Composer = type("_Composer", (_Unresolved, yaml.CBaseLoader), {}) if yaml.__with_libyaml__ else _Pure


def _build(source: bytes) -> Data:
    root = _Composer(source).get_single_node()
    return None if root is None else _value(root, 1)


def _value(node: Any, depth: int) -> Data:
    # The hottest lines of the program: one function, and no word about what is wrong. The inspection finds that out.
    if node.tag is not None:
        raise _Doubt
    kind = node.__class__
    if kind is _SCALAR:
        return node.value if node.style else _PLAIN[node.value]
    if depth > MAX_DEPTH:
        raise _Doubt
    depth += 1
    if kind is yaml.SequenceNode:
        return [_value(item, depth) for item in node.value]
    data = {}
    for name, item in node.value:
        if name.__class__ is not _SCALAR or name.tag is not None:
            raise _Doubt
        data[name.value if name.style else _KEYS[name.value]] = _value(item, depth)
    if len(data) != len(node.value):  # a key stands there twice
        raise _Doubt
    return data


_SCALAR = yaml.ScalarNode


def _entry(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((name, item) for name, item in node.value if name.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _spot(item: Any) -> tuple[int, int]:
    return item.start_mark.line + 1, item.start_mark.column + 1


class _Doubt(Exception):  # noqa: N818 - a signal: a code, a message and sometimes a fix, or nothing
    """This text cannot be built."""


class _Cache(dict[str, Any]):
    """Readings by text, because manifests repeat a few hundred words. Full, it starts anew: no file can spoil it."""

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
# What PyYAML, YAML 1.2 and go-yaml (which drops all underscores and guesses the base) do not all read alike.
_AMBIGUOUS = re.compile(
    r"""(?P<truth_value>(?i:y|n|yes|no|on|off))
    |(?P<date>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]*)?
        (?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?)
    |(?P<base_60_number>[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)
    |(?P<number>[-+]?\.(?i:inf|nan)
        |(?=[-+.0-9])[-+]?_*(?:0_*(?:[xX][0-9a-fA-F_]*|[bB][-+]?[01_]*|[oO][-+]?[0-7_]*)
        |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\._*[0-9][0-9_]*)(?:[eE]_*[-+]?_*[0-9][0-9_]*)?))
    |(?P<special_value>=)""",
    re.VERBOSE,
)


def _meaning(text: str) -> Data:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789yYnNoO=<":
        return text
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
        return _number(text)
    if text == "<<":
        raise _Doubt(
            "PS112", "merge keys are not supported", "use the environment's defaults or the base file"
        )
    if match := _AMBIGUOUS.fullmatch(text):
        kind = (match.lastgroup or "").replace("_", " ")
        raise _Doubt("PS112", f"some YAML parsers read {_shown(text)} as a {kind}, others do not")
    return text


def _number(text: str) -> int | float:
    if _FLOAT.fullmatch(text):
        value: int | float = float(text)
        fits = abs(value) < float("inf")
    else:  # Python refuses to convert thousands of decimal digits
        value = int(text, 0) if len(text) <= 20 or text.startswith("0x") else 1 << 64
        fits = -(1 << 63) <= value < 1 << 63
    if fits:
        return value
    raise _Doubt("PS114", f"{_shown(text)} does not fit into 64 bits")


def _name(text: str) -> str:
    value = _PLAIN[text]
    if isinstance(value, str):
        return value
    kind = "null" if value is None else "a truth value" if isinstance(value, bool) else "a number"
    raise _Doubt(
        "PS107", f"the key {_shown(text)} is {kind}, not text" if text else "there is no key before this `:`"
    )


_PLAIN = _Cache(_meaning)
_KEYS = _Cache(_name)


def _shown(text: str) -> str:
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:61])
    return f"`{printable if len(printable) <= 60 else printable[:59] + '…'}`"


# libyaml's composer recurses in C and takes 330 bytes of stack a level. A bracket opens two levels at most, and so
# does each column of a line that begins with blanks and "-?:": no more than 1,200 levels, or 400 KB.
_MAX_BRACKETS = 500
_DEEP_LINE = b" " * 100
_SHAPE = bytes(
    ord(" ")
    if c in b" \t-?:"
    else ord("[")
    if c in b"[{"
    else ord("x")
    if c in b"\r\n" or 32 <= c < 127
    else 0
    for c in range(256)
)
_SEPARATORS = (b",", b"[", b"{", b"-", b"?", b":", b"\n", b"\r")  # each has two nodes after it at most
_HIDDEN = (
    (b"&", re.compile(rb"&(?<![^\s,:?\[\]{}\"'-]&)[^\s&]")),  # anchors, whose aliases may repeat without end
    (b"!", re.compile(rb"!(?=[\s,<%\]}]|\Z)")),  # the tag "!", which leaves no trace in a node
    (
        b"\\",
        re.compile(rb"\\(?:[0abefvNLP]|x[01789]|u(?:00[01789]|06|20|[dD]|[fF])|U)"),
    ),  # invisible characters
    (b"%TAG", re.compile(rb"(?:\A|[\r\n])%TAG")),
)
_INVISIBLE = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff"
    + "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
    + "]"
)


def _suspicious(source: bytes) -> bool:
    if len(source) > MAX_BYTES or _Composer is _Pure:
        return True
    shape = source.translate(_SHAPE)
    return (
        shape.count(b"[") > _MAX_BRACKETS
        or _DEEP_LINE in shape
        or (len(source) > MAX_NODES // 2 and 2 * sum(map(source.count, _SEPARATORS)) > MAX_NODES)
        or any(sign in source and pattern.search(source) for sign, pattern in _HIDDEN)
        or (b"\0" in shape and _INVISIBLE.search(_decoded(source)) is not None)
    )


def _decoded(source: bytes) -> str:
    return source.decode("utf-8", "surrogateescape")  # a byte that is not UTF-8 becomes a lone surrogate


def _problems(source: bytes, file: str) -> list[Problem]:
    inspection = _Inspection(file)
    try:
        text = _text(source, file)
        inspection.problems += _invisible(text, file)
        inspection.run(_INVISIBLE.sub("\ufffd", text))
    except ProblemsError as fatal:
        return [*inspection.problems, *fatal.problems]
    return inspection.problems


def _text(source: bytes, file: str) -> str:
    if len(source) > MAX_BYTES:
        raise _stop(Place(file), "PS102", "this file is too large")
    text = _decoded(source)
    if match := re.search("[\udc80-\udcff]", text):
        raise _stop(
            _after(text[: match.start()], file), "PS104", f"the byte 0x{ord(match[0]) & 255:02x} is not UTF-8"
        )
    if match := re.search(r"(?:\A|(?<=[\r\n]))%TAG", text):  # libyaml takes five seconds for 60,000 of them
        raise _stop(
            _after(text[: match.start()], file), "PS108", "this line is about YAML tags, which are not read"
        )
    return text


def _after(text: str, file: str) -> Place:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Place(file, len(lines), len(lines[-1]) + 1)


def _invisible(text: str, file: str) -> list[Problem]:
    # One problem for each character, not for each occurrence: a binary file has a million of them.
    found = []
    for char in set(_INVISIBLE.findall(text)):
        more = text.count(char) - 1
        fix = f"remove it here and in {more} more places" if more else ""
        found.append(_problem(_after(text[: text.index(char)], file), "PS113", _HIDES.format(ord(char)), fix))
    return found


_HIDES = "the invisible character U+{:04X} must not be in a file"


class _Seen:
    """A value that the inspection met; `nodes` stays 0 until a list or mapping ends."""

    def __init__(self, event: yaml.NodeEvent, before: int) -> None:
        self.event = event
        self.before = before
        self.nodes = int(isinstance(event, yaml.ScalarEvent))
        self.height = 1 - self.nodes
        self.keys: dict[str, yaml.NodeEvent] = {}
        self.wants_value = False

    def takes_key(self) -> bool:
        self.wants_value = isinstance(self.event, yaml.MappingStartEvent) and not self.wants_value
        return self.wants_value


class _Inspection:
    """Collects what is wrong in a text, up to the first thing that is fatal."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._begun = False
        self._open: list[_Seen] = []
        self._anchors: dict[str, _Seen] = {}
        self._nodes = 0

    def run(self, text: str) -> None:
        composer = _Composer(text)
        event = None
        try:
            while (event := composer.get_event()) is not None:
                self._visit(event)
        except yaml.MarkedYAMLError as error:
            raise _syntax(error, text, self._file) from error
        except UnicodeDecodeError as error:  # from percent escapes, which only a tag can have
            raise self._fatal(
                event, "PS108", "after this comes a YAML tag; tags are not read here"
            ) from error

    def _visit(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.NodeEvent):
            self._node(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.DocumentStartEvent):
            if self._begun:
                raise self._fatal(event, "PS111", "a second document begins here")
            self._begun = True

    def _node(self, event: yaml.NodeEvent) -> None:
        seen = self._repeated(event) if isinstance(event, yaml.AliasEvent) else self._new(event)
        is_key = bool(self._open) and self._open[-1].takes_key()
        self._measure(event, seen)
        if isinstance(seen.event, yaml.ScalarEvent):
            self._scalar(event, seen.event, _KEYS if is_key else _PLAIN)
        elif is_key:
            self._report(event, "PS107", "a list or a mapping cannot be a key")
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append(seen)

    def _close(self) -> None:
        closed = self._open.pop()
        closed.nodes = self._nodes - closed.before
        if self._open:
            self._open[-1].height = max(self._open[-1].height, closed.height + 1)

    def _new(self, event: Any) -> _Seen:
        if event.tag is not None:
            tag = _shown(event.tag.replace("tag:yaml.org,2002:", "!!"))
            self._report(event, "PS108", f"{tag} is a YAML tag; tags are not read here")
        seen = _Seen(event, self._nodes)
        if event.anchor is not None and (first := self._anchors.setdefault(event.anchor, seen)) is not seen:
            message = f"the anchor {_shown('&' + event.anchor)} is already in line {_spot(first.event)[0]}"
            raise self._fatal(event, "PS105", message, "give it another name")
        return seen

    def _repeated(self, event: yaml.AliasEvent) -> _Seen:
        seen = self._anchors.get(event.anchor or "")
        alias = _shown(f"*{event.anchor}")
        if seen is None:
            raise self._fatal(
                event, "PS105", f"{alias} has no anchor above", "name an anchor, or write text in quotes"
            )
        if not seen.nodes:
            raise self._fatal(event, "PS110", f"{alias} repeats a value inside of itself")
        return seen

    def _measure(self, event: yaml.NodeEvent, seen: _Seen) -> None:
        self._nodes += seen.nodes or 1
        if self._nodes > MAX_NODES:
            raise self._fatal(event, "PS110", f"there are more than {MAX_NODES:,} values up to here")
        if len(self._open) + seen.height > MAX_DEPTH:
            raise self._fatal(event, "PS109", f"this is nested more than {MAX_DEPTH} levels deep")
        if self._open:
            self._open[-1].height = max(self._open[-1].height, seen.height + 1)

    def _scalar(self, event: yaml.NodeEvent, scalar: yaml.ScalarEvent, readings: _Cache) -> None:
        try:
            text = scalar.value if scalar.style or scalar.tag else readings[scalar.value]
        except _Doubt as doubt:
            self._report(event, *doubt.args)
            return
        if scalar.style == '"' and (match := _INVISIBLE.search(scalar.value)):
            self._report(event, "PS113", _HIDES.format(ord(match[0])), "remove its escape from this text")
        if readings is _KEYS and (first := self._open[-1].keys.setdefault(text, event)) is not event:
            self._report(event, "PS106", f"the key {_shown(text)} is already in line {_spot(first)[0]}")

    def _fatal(self, event: yaml.Event, code: str, message: str, fix: str = "") -> ProblemsError:
        return _stop(Place(self._file, *_spot(event)), code, message, fix)

    def _report(self, event: yaml.Event, code: str, message: str, fix: str = "") -> None:
        self.problems.append(_problem(Place(self._file, *_spot(event)), code, message, fix))


_SYNTAX = (  # a part of what libyaml or PyYAML say, and what it means to the one who wrote the text
    ("cannot start any token", "nothing can begin with {char}", "write text in quotes; indent with spaces"),
    ("tab character", "a tab stands where spaces should indent", "indent with spaces"),
    ("could not find expected ':'", "no `:` follows this", "write `key: value`"),
    ("values are not allowed", "a value cannot begin here", "mend the indentation, or write text in quotes"),
    (
        "entries are not allowed",
        "a list cannot begin here",
        "begin it in a new line, or write text in quotes",
    ),
    ("found unexpected", "this quote is never closed", "close it"),
    (
        "expected ',' or",
        "the bracket from line {line} is not closed here",
        "close it, or put a comma before this",
    ),
    (
        "expected key|expected '-'|<block end>",
        "this does not fit what begins in line {line}",
        "mend the indentation",
    ),
    (
        "unknown escape",
        "this backslash stands for nothing that YAML knows",
        "double it, or write single quotes",
    ),
    ("alphabetic", "`&` and `*` are not text in YAML", "write text in quotes"),
)


def _syntax(error: yaml.MarkedYAMLError, text: str, file: str) -> ProblemsError: ...
