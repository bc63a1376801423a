"""Untrusted YAML becomes plain data, strictly and fast; a path in that data becomes a place in the text.

libyaml composes the text in C, and one recursion builds the data from its nodes. A text whose bytes look as
if it could exhaust them, or hide something, is walked event by event first, which doubles the time.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml
from yaml import MappingNode, ScalarNode, SequenceNode

from generator.problems import Place, Problem, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 100_000  # an alias counts as all that it repeats

Data: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None
Path: TypeAlias = tuple[str | int, ...]
Files: TypeAlias = str | os.PathLike[str] | Mapping[str, bytes]
"""What is to be read: a folder, or texts by their path."""
_Finding: TypeAlias = tuple[tuple[int, int], str, str, str]  # spot, code, message, fix

_BOM = b"\xef\xbb\xbf"
_QUOTE = "write it in quotes"
_PLAINLY = {
    "number": f"{_QUOTE} if it is a text, or else a number in plain digits",
    "truth value": f"{_QUOTE} if it is a text, or else true or false",
}
_MERGE = "use the environment's defaults or the base file"
_TOO_LARGE = (f"this file is larger than {MAX_BYTES >> 20} MiB", "take out what does not belong in it")


def parse(raw: bytes, file: str) -> tuple[Data, tuple[Problem, ...]]:
    """Return the one document of `raw`, or None and all that is wrong with it; `file` only names the places.

    Without a problem, data is never None. What an alias repeats is built anew: no two parts share an object.
    """
    found: list[_Finding] = []
    data = None
    try:
        data = _load(raw.removeprefix(_BOM), found)
    except _Fatal as fatal:
        found.append(fatal.args)
    if not found:
        return data, ()
    return None, tuple(Problem(code, Place(file, *spot), *words) for spot, code, *words in sorted(set(found)))


def locate(raw: bytes, path: Path, *, key: bool = False) -> tuple[int, int]:
    """Return line and column, from 1, of the value (or key) at `path` in a text that `parse` accepted.

    A path that leads nowhere gets the key of its last entry that exists. An alias leads to its anchor.
    """
    tree = _composed(raw)
    node = name = tree.root
    for step in path:
        entry = tree.entry(node, step)
        if entry is None:
            return _spot(name)
        name, node = entry
    return _spot(name if key else node)


def events(raw: bytes) -> Iterator[Any]:
    """Yield the events of the one document in a text that `parse` accepted; an index counts from behind any BOM."""
    return _events(raw.removeprefix(_BOM))


def read(files: Files, relative: str) -> bytes:
    """Return the bytes of a regular file, or raise ProblemsError; a link may lead anywhere below the folder."""
    try:
        raw = _given(files, relative) if isinstance(files, Mapping) else _on_disk(os.fspath(files), relative)
    except (OSError, ValueError) as error:  # the latter: a NUL in the name
        message = f"this file cannot be read: {getattr(error, 'strerror', None) or 'this cannot be a path'}"
        raise _refusal(relative, "PS101", message, "name a file that exists and that you may read") from error
    if raw is None or len(raw) > MAX_BYTES:  # the latter if it has grown since
        raise _refusal(relative, "PS102", *_TOO_LARGE)
    return raw


def _given(files: Mapping[str, bytes], relative: str) -> bytes:
    if relative not in files:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return files[relative]


def _on_disk(root: str, relative: str) -> bytes | None:
    """Return the bytes of a file, None if there are too many."""
    path = _within(root, relative)
    if not path:
        raise _refusal(relative, "PS103", "this path leads out of the repository", "name a file in it")
    with open(path, "rb", opener=_opener) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _refusal(relative, "PS101", "this is not a regular file", "name a file with text in it")
        return file.read(MAX_BYTES + 1) if status.st_size <= MAX_BYTES else None


def _within(root: str, relative: str) -> str:
    """Return the path with all links resolved, "" if it leads out; a folder is resolved once for all of its files."""
    place, _, name = relative.rpartition("/")
    base, folder = _resolved(root), _resolved(os.path.join(root, place))
    path = f"{folder}/{name}"
    if name in {"", ".", ".."} or os.path.islink(path):
        path = os.path.realpath(path)
    return path if path == base or path.startswith(f"{base.rstrip('/')}/") else ""


@lru_cache(maxsize=16)
def _resolved(folder: str) -> str:
    return os.path.realpath(folder)


def _opener(path: str, flags: int) -> int:
    # Opening a named pipe would wait for its writer; and what a file is can be trusted only once it is open.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _refusal(relative: str, code: str, message: str, fix: str) -> ProblemsError:
    return ProblemsError((Problem(code, Place(relative), message, fix),))


class _Unresolved:
    """Composition without tags: `_PLAIN` reads scalars at a fraction of the price of PyYAML's resolver."""

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None: ...

    def ascend_resolver(self) -> None: ...

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: object) -> None: ...


# Where PyYAML lacks libyaml, its own classes do the same, slowly.
_Pure: type[Any] = type("_Pure", (_Unresolved, yaml.BaseLoader), {})
_Composer = type("_Fast", (_Unresolved, yaml.CBaseLoader), {}) if yaml.__with_libyaml__ else _Pure


class _Fatal(Exception):  # noqa: N818 - one finding, after which nothing can be read
    pass


class _Doubt(tuple[str, str, str]):
    """Code, message and fix, in place of the meaning of a scalar that must not be read."""


def _load(source: bytes, found: list[_Finding]) -> Data:
    text: bytes | str = source
    try:
        if _suspicious(source):
            text = _clean(source, found)
            _walk(text, found)
        root = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, source) from error
    except (ValueError, OverflowError) as error:  # an escape in a tag that is no UTF-8, or to PyYAML no Unicode
        spot = _end(re.split(rb"!|\\U", source, maxsplit=1)[0].decode())
        raise _Fatal(spot, "PS113", "an escape from here on makes no character", "remove it") from error
    if root is not None and b"&" in source and b"*" in source:
        _count(root, (), MAX_NODES)
    data: Data = None if root is None else _value(root, 1, found)
    if data is None and not found:
        raise _Fatal((0, 0), "PS111", "there is nothing in this file", "write one document into it")
    return data


def _count(node: Any, above: tuple[Any, ...], left: int) -> int:
    # Aliases can make this endless, or its nodes too many; to what is merely deep `_collection` says so.
    if left <= 0 or node in above:
        raise _Fatal(_spot(node), "PS110", "aliases repeat this too often, or without end", "repeat less")
    if isinstance(node, ScalarNode) or len(above) > MAX_DEPTH:
        return left - 1
    for child in chain.from_iterable(node.value) if isinstance(node, MappingNode) else node.value:
        left = _count(child, (*above, node), left)
    return left - 1


def _value(node: Any, depth: int, found: list[_Finding]) -> Any:
    return _scalar(node, found) if node.__class__ is ScalarNode else _collection(node, depth, found)


def _scalar(node: Any, found: list[_Finding]) -> Any:
    value = node.value if node.style else _PLAIN[node.value]
    if node.tag is not None:
        found.append(_tagged(node))
    elif value.__class__ is _Doubt:
        found.append((_spot(node), *value))
    return value


def _collection(node: Any, depth: int, found: list[_Finding]) -> Data:
    # With `_scalar` the hottest lines of the program: what is wrong leaves them, and `_value` is written out.
    if depth > MAX_DEPTH:
        raise _too_deep(node)
    if node.tag is not None:
        found.append(_tagged(node))
    depth += 1
    if node.__class__ is SequenceNode:
        return [_value(item, depth, found) for item in node.value]
    data: dict[str, Data] = {}
    for name, item in node.value:
        plain = name.__class__ is ScalarNode and name.tag is None
        key = (name.value if name.style else _PLAIN[name.value]) if plain else None
        if key.__class__ is not str:
            key = _odd_key(name, key, found)
        data[key] = _scalar(item, found) if item.__class__ is ScalarNode else _collection(item, depth, found)
    if len(data) < len(node.value):
        found.extend(_duplicates(node))
    return data


def _odd_key(name: yaml.Node, key: object, found: list[_Finding]) -> Any:
    if isinstance(key, _Doubt):
        found.append((_spot(name), *key))
    elif name.tag is not None:
        found.append(_tagged(name))
    elif not isinstance(name, ScalarNode):
        message = "a list or a mapping is the key here"
        found.append((_spot(name), "PS107", message, "write text as the key; quote any `{{ }}`"))
    else:
        message = f"the key {_shown(name.value)} is not text" if name.value else "this `:` has no key"
        found.append((_spot(name), "PS107", message, _QUOTE))
    return name  # which equals nothing: a wrong key is not a duplicate as well


def _duplicates(mapping: yaml.MappingNode) -> Iterator[_Finding]:
    lines: dict[str, int] = {}
    for name in (name for name, _ in mapping.value if isinstance(name, ScalarNode)):
        if name.value in lines:
            message = f"the key {_shown(name.value)} is already in line {lines[name.value]}"
            yield _spot(name), "PS106", message, "remove one of the two"
        lines.setdefault(name.value, _spot(name)[0])


def _tagged(item: Any) -> _Finding:
    tag = _shown(item.tag.replace("tag:yaml.org,2002:", "!!"))
    return _spot(item), "PS108", f"{tag} is a YAML tag, and tags are not read here", "remove it"


def _too_deep(item: Any) -> _Fatal:
    return _Fatal(_spot(item), "PS109", f"this is more than {MAX_DEPTH} levels deep", "make it flatter")


class _Tree:
    """A text composed into nodes. Each map is indexed once: a file may hold thousands of mistakes."""

    def __init__(self, raw: bytes) -> None:
        self.root: yaml.Node = _Composer(raw.removeprefix(_BOM)).get_single_node()
        self._maps: dict[int, dict[str | int, tuple[yaml.Node, yaml.Node]]] = {}

    def entry(self, node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
        """Return key and value below a node, the value for both in a list; None if there is no such entry."""
        if isinstance(node, MappingNode):
            if id(node) not in self._maps:
                self._maps[id(node)] = {name.value: (name, item) for name, item in node.value}
            return self._maps[id(node)].get(step)
        if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
            return node.value[step], node.value[step]
        return None


@lru_cache(maxsize=4)  # as many as one experiment has layers, and its environment
def _composed(raw: bytes) -> _Tree:
    return _Tree(raw)


def _spot(item: Any) -> tuple[int, int]:
    return item.start_mark.line + 1, item.start_mark.column + 1


_WORDS = dict.fromkeys(("", "~", "null", "Null", "NULL")) | {
    word: word in {"true", "True", "TRUE"} for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
# What PyYAML, YAML 1.2 and go-yaml (which drops underscores and guesses the base) do not all read alike.
# Patterns like this stay text until a file needs them, because start-up time counts.
_TRUTH_VALUES = frozenset({"y", "n", "yes", "no", "on", "off"})
_AMBIGUOUS = r"""(?x)
    (?P<date>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]*)?
        (?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?)
    |(?P<base_60_number>[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)
    |(?P<number>[-+]?\.(?i:inf|nan)
        |(?=[-+.0-9])[-+]?_*(?:0_*(?:[xX][0-9a-fA-F_]+|[bB]_*[-+]?[01_]+|[oO]_*[-+]?[0-7_]+)
        |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\._*[0-9][0-9_]*)(?:[eE]_*[-+]?_*[0-9][0-9_]*)?))
    |(?P<special_value>=)"""
_IN_AMBIGUOUS = frozenset("0123456789abcdefABCDEFinINoOtTxXzZ .,:=_+-\t")


class _Readings(dict[str, Any]):
    """What plain scalars mean: manifests repeat a few hundred of them. Once it is full it starts anew."""

    def __missing__(self, text: str) -> Any:
        value = _meaning(text)
        if len(self) >= 10_000:
            self.clear()
        if len(text) <= 100:
            self[text] = value
        return value


_PLAIN = _Readings()


def _meaning(text: str) -> Data | _Doubt:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789yYnNoO=<":
        return text
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
        return _number(text)
    if text == "<<":
        return _Doubt(("PS112", "merge keys are not supported", _MERGE))
    if kind := _otherwise(text):
        return _Doubt(
            ("PS112", f"YAML parsers differ about {_shown(text)}: to some it is a {kind}", _PLAINLY.get(kind, _QUOTE))
        )
    return text


def _otherwise(text: str) -> str:
    """Return what a text is to parsers that do not read it as one; "" if all read it as one."""
    if text.lower() in _TRUTH_VALUES:
        return "truth value"
    match = re.fullmatch(_AMBIGUOUS, text) if _IN_AMBIGUOUS.issuperset(text) else None
    return (match.lastgroup or "").replace("_", " ") if match else ""


def _number(text: str) -> int | float | _Doubt:
    if _FLOAT.fullmatch(text):
        value: int | float = float(text)
        fits = abs(value) < float("inf")
    else:  # Python refuses to convert thousands of decimal digits
        value = int(text, 0) if len(text) <= 20 or text.startswith("0x") else 1 << 64
        fits = -(1 << 63) <= value < 1 << 63
    if fits:
        return value
    return _Doubt(("PS114", f"{_shown(text)} does not fit into 64 bits", f"write a smaller number, or {_QUOTE}"))


def _shown(text: str) -> str:
    from generator.documents.wording import quoted  # noqa: PLC0415 (start-up time: only mistakes need words)

    return quoted(text)


# libyaml's composer recurses in C, with 330 bytes of stack a level. A bracket opens two levels at most, and a
# line that begins with blanks and "-?:" opens two a column. So this allows 1,200 levels, or 400 KB.
_MAX_BRACKETS = 500
_DEEP_LINE = b" " * 100
_SHAPE = bytes(32 if c in b" \t-?:" else 91 if c in b"[{" else 46 * (31 < c < 127 or c in b"\r\n") for c in range(256))
_SEPARATORS = b",[{-?:\r\n"  # after each come two nodes at most
_HIDDEN = (  # the tag "!", which no node shows, and any %TAG, as thousands are slow; escapes of invisible characters
    (b"!", rb"!(?=[\s,<%\]}]|\Z)"),
    (b"\\", rb"\\(?:[0abefvNLP]|x[01789]|u(?:00[01789]|06|20|[dD]|[fF])|U)"),
)
_INVISIBLE = (
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    + "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
    + "\ufdd0-\ufdef\ufeff]"
)
_HIDES = "the invisible character U+{:04X} must not be in a file"


def _suspicious(source: bytes) -> bool:
    if len(source) > MAX_BYTES or _Composer is _Pure:
        return True
    shape = source.translate(_SHAPE)
    return (
        shape.count(b"[") > _MAX_BRACKETS
        or _DEEP_LINE in shape
        or 2 * sum(map(source.count, _SEPARATORS if len(source) > MAX_NODES // 2 else b"")) > MAX_NODES
        or any(sign in source and re.search(pattern, source) for sign, pattern in _HIDDEN)
        or (b"\0" in shape and re.search(_INVISIBLE, source.decode("utf-8", "surrogateescape")) is not None)
    )


def _clean(source: bytes, found: list[_Finding]) -> str:
    if len(source) > MAX_BYTES:
        raise _Fatal((0, 0), "PS102", *_TOO_LARGE)
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        spot = _end(source[: error.start].decode())
        message = f"the byte 0x{source[error.start]:02x} is not UTF-8"
        raise _Fatal(spot, "PS104", message, "save the file as UTF-8") from error
    if match := re.search(r"%TAG(?<![^\r\n]%TAG)", text):
        raise _Fatal(_end(text[: match.start()]), "PS108", "YAML tags (`%TAG`) are not read", "remove it")
    for char in set(re.findall(_INVISIBLE, text)):  # once each: a binary file has a million of them
        more = text.count(char) - 1
        fix = f"remove it here and in {more} more places" if more else "remove it"
        found.append((_end(text[: text.index(char)]), "PS113", _HIDES.format(ord(char)), fix))
    return re.sub(_INVISIBLE, "\ufffd", text)


def _end(text: str) -> tuple[int, int]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1


def _events(text: bytes | str) -> Iterator[Any]:
    composer = _Composer(text)
    while not isinstance(event := composer.get_event(), yaml.DocumentEndEvent | yaml.StreamEndEvent):
        yield event


def _walk(text: str, found: list[_Finding]) -> None:
    depth = nodes = 0
    for event in _events(text):
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _too_deep(event)
        if nodes > MAX_NODES:
            raise _Fatal(_spot(event), "PS110", f"up to here are {MAX_NODES:,} values", "write fewer of them")
        if getattr(event, "tag", None) == "!":
            found.append(_tagged(event))
        if getattr(event, "style", None) == '"' and (match := re.search(_INVISIBLE, event.value)):
            found.append((_spot(event), "PS113", _HIDES.format(ord(match[0])), "remove its escape"))


_MEND = "mend the indentation, or write text in quotes"
_SYNTAX = (  # what libyaml or PyYAML say, in part, and what it means to the one who wrote the text
    ("another document", "PS111", "a second document begins here", "keep one document in a file"),
    (r"\btag\b", "PS108", "this is no YAML tag, and tags are not read here", _QUOTE),
    ("Unicode character", "PS113", "this escape makes no character", "write the character itself"),
    ("undefined alias", "PS105", "this repeats an anchor that is not above", "write text in quotes"),
    ("second occurrence", "PS105", "this anchor is in line {line} already", "give it another name"),
    ("start any token", "PS105", "nothing can begin with {char}", "write text in quotes, indent with spaces"),
    ("tab character", "PS105", "a tab stands where only spaces can indent", "indent with spaces"),
    ("expected ':'", "PS105", "no `:` follows this", "write `key: value`, or mend the indentation"),
    ("node content", "PS105", "no value can begin here", _MEND),
    ("document start", "PS105", "this does not belong to what stands before it", _MEND),
    ("alphabetic", "PS105", "a name must follow `*` and `&`", "write text in quotes"),
    ("values are not", "PS105", "no value can begin at this `:`", _MEND),
    ("entries are not", "PS105", "no list can begin here", "begin it in a line of its own"),
    ("found unexpected", "PS105", "this quote is never closed", "close it"),
    ("expected ',' or", "PS105", "the bracket of line {line} is still open here", "close it, or put a comma"),
    ("expected key|'-'|block end", "PS105", "this does not fit to what begins in line {line}", _MEND),
    ("unknown escape", "PS105", "there is no such escape", "double the backslash, or use single quotes"),
    ("", "PS105", "this is no YAML: {problem}", _MEND),
)


def _syntax(error: yaml.MarkedYAMLError, source: bytes) -> _Fatal:
    at_start = error.context in {"while scanning a simple key", "while scanning a quoted scalar"}
    start: Any = error.context_mark or error.problem_mark
    mark: Any = start if at_start else error.problem_mark
    said = f"{error.context}: {error.problem}"
    code, message, fix = next(meaning for part, *meaning in _SYNTAX if re.search(part, said))
    char = _shown(source.decode()[mark.index :][:1])
    message = message.format(line=start.line + 1, char=char, problem=error.problem)
    return _Fatal((mark.line + 1, mark.column + 1), code, message, fix)
