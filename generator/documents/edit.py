"""Changes in a YAML file that keep every other byte of it: comments, quotes, order and line ends.

An edit is split into the smallest ones; each is written into the text by its place, and the result is read again. What
does not then hold exactly the data that was asked for is refused.

Comments: what stands behind a removed entry in its line, in it, or below it and further to the right goes with it.
Comments above it stay, for they may speak of more than one entry.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from generator.documents import load, spans
from generator.documents.scalars import encode, scalar
from generator.documents.spans import ALIAS, MAP, SCALAR, Span
from generator.documents.wording import dotted, subject
from generator.problems import PenstockError, Place, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from generator.documents.load import Data, Path


class EditError(PenstockError):
    """A value that cannot be edited safely: says where it stands, why, and what to do by hand."""

    exit_code = 1

    def __init__(self, place: Place, reason: str, remedy: str) -> None:
        super().__init__(place, reason, remedy)
        self.place = place

    def __str__(self) -> str:
        return "{}: {}; nothing was changed. {}".format(*self.args)


class Set(NamedTuple):
    """Give `path` a value. Maps that lack on the way are made; a key that is new goes to the end of its map.

    Of a map only the entries that differ are touched, and entries that `value` does not have are removed.
    """

    path: Path
    value: Data


class Remove(NamedTuple):
    """Take out the entry at `path`, key and value, if it is there."""

    path: Path


Edit: TypeAlias = Set | Remove


def apply(raw: bytes, edits: Sequence[Edit], file: str) -> bytes:
    """Return `raw` with all edits in it, or raise EditError, or ProblemsError where `raw` cannot be read.

    `file` only names the places. A path leads through this file alone: what it inherits from others is not there.
    """
    data, problems = load.parse(raw, file)
    if problems:
        raise ProblemsError(problems)
    for edit in edits:
        for step in list(_steps(data, edit)):
            raw, data = _one(raw, data, step, file)
    return raw


_ABSENT = object()
_UNSHARE = "Write the value there in place of the alias, and try again."


def _at(data: Any, path: Path) -> Any:
    for part in path:
        inside = (
            part in data if isinstance(data, dict) else part in range(len(data)) if isinstance(data, list) else False
        )
        if not inside:
            return _ABSENT
        data = data[part]
    return data


def _steps(data: Data, edit: Edit) -> Iterator[Edit]:
    """Split an edit into those that change one value, add one entry or remove one; additions come first."""
    path, old = edit.path, _at(data, edit.path)
    if isinstance(edit, Remove):
        if old is not _ABSENT:
            yield edit
        return
    value = edit.value
    if old is _ABSENT:
        while len(path) > 1 and _at(data, path[:-1]) in (_ABSENT, None):
            path, value = path[:-1], {str(path[-1]): value}
        yield Set(path, value)
    elif isinstance(old, dict) and isinstance(value, dict) and old and value:
        for key, item in value.items():
            yield from _steps(data, Set((*path, key), item))
        yield from (Remove((*path, key)) for key in old if key not in value)
    elif isinstance(old, list) and isinstance(value, list) and len(old) == len(value):
        for index, item in enumerate(value):
            yield from _steps(data, Set((*path, index), item))
    elif json.dumps(old) != json.dumps(value):  # which tells 1 from true and 1.0
        yield edit


def _changed(data: Any, path: Path, edit: Edit) -> Any:
    if not path:
        return edit.value if isinstance(edit, Set) else _ABSENT
    part, *rest = path
    if isinstance(data, list):
        return [_changed(item, tuple(rest), edit) if index == part else item for index, item in enumerate(data)]
    below = _changed(data.get(part), tuple(rest), edit)
    return {key: item for key, item in (data | {part: below}).items() if item is not _ABSENT}


def _one(raw: bytes, data: Data, step: Edit, file: str) -> tuple[bytes, Data]:
    text = raw.decode("utf-8-sig")
    sheet = _Sheet(text, file, spans.read(raw), step.path)
    chain = _chain(sheet, data)
    _check_anchors(sheet, chain)
    if isinstance(step, Remove):
        splices = _removal(sheet, chain)
    elif len(chain) > len(step.path):
        splices = _replacement(sheet, chain, step.value)
    else:
        splices = _addition(sheet, chain[-1], step.value)
    mark = raw[: len(raw) - len(text.encode())]
    edited = mark + _spliced(text, splices).encode("utf-8", "surrogatepass")
    wanted = _changed(data, step.path, step)
    seen, problems = load.parse(edited, file)
    if problems:
        reason = f"with the new value of `{dotted(step.path)}` the file could not be read: {problems[0].message}"
        raise sheet.refusal(chain[-1], reason)
    if json.dumps(seen) != json.dumps(wanted):
        raise sheet.refusal(chain[-1], f"a change of `{dotted(step.path)}` would change other values of this file, too")
    return edited, seen


class _Splice(NamedTuple):
    """`new` in place of the text between two positions."""

    start: int
    end: int
    new: str


def _spliced(text: str, splices: Iterable[_Splice]) -> str:
    for start, end, new in sorted(splices, reverse=True):
        text = text[:start] + new + text[end:]
    return text


class _Sheet(NamedTuple):
    """A text, its spans, and the path that is to be edited in it."""

    text: str
    file: str
    root: Span
    path: Path

    def refusal(self, span: Span, reason: str, remedy: str = "") -> EditError:
        place = Place(self.file, span.line, span.column + 1)
        return EditError(place, reason, remedy or f"Edit {subject(self.path)} by hand.")

    def line_start(self, position: int) -> int:
        return max(self.text.rfind("\n", 0, position), self.text.rfind("\r", 0, position)) + 1

    def line_end(self, position: int) -> int:
        found = re.compile(r"[^\r\n]*").match(self.text, position)
        return found.end() if found else position

    def newline(self, position: int) -> str:
        """Return the line end at `position`, or the one before it."""
        found = re.compile(r"\r\n?|\n").match(self.text, position)
        before = found[0] if found else "".join(re.findall(r"\r\n?|\n", self.text[:position])[-1:])
        return before or "\n"

    def commented(self, start: int, end: int) -> bool:
        """Tell whether a comment begins between two positions: a `#` outside of every scalar."""
        position = start
        for span in spans.within(self.root):
            if span.kind == SCALAR and start <= span.body and span.end <= end:
                if "#" in self.text[position : span.body]:
                    return True
                position = max(position, span.end)
        return "#" in self.text[position:end]

    def own_line(self, span: Span) -> str | None:
        """Return what indents a key, or None where it is not the first in its line."""
        before = self.text[self.line_start(span.start) : span.start]
        return before if not before.strip(" \t") else None


def _chain(sheet: _Sheet, data: Data) -> list[Span]:
    """Return the spans on the path from the root, as far as it goes."""
    chain, span = [sheet.root], sheet.root
    for depth, part in enumerate(sheet.path):
        above = _at(data, sheet.path[:depth])
        if span.kind == ALIAS or _at(above, (part,)) is _ABSENT:
            break
        index = list(above).index(part) if isinstance(above, dict) else int(part)
        span = span.entries[index][1]
        chain.append(span)
    return chain


def _name(chain: list[Span]) -> Span | None:
    """Return the key of the last span in a chain."""
    found = [name for name, item in chain[-2].entries if item is chain[-1] and item is not name] if chain[1:] else []
    return found[0] if found else None


def _check_anchors(sheet: _Sheet, chain: list[Span]) -> None:
    aliases = {span.anchor: span for span in reversed([*spans.within(sheet.root)]) if span.kind == ALIAS}
    for depth, span in enumerate(chain):
        what = subject(sheet.path[:depth])
        if span.kind == ALIAS:
            reason = f"{what} is the alias `*{span.anchor}`, so its value stands elsewhere and is shared"
            raise sheet.refusal(span, reason, "Write the value here in place of the alias, and try again.")
        if span.anchor in aliases:
            reason = f"line {aliases[span.anchor].line} repeats {what} through its anchor `&{span.anchor}`"
            raise sheet.refusal(span, reason, _UNSHARE)


def _check_loss(sheet: _Sheet, lost: Span) -> None:
    """Refuse to take away an anchor that an alias elsewhere needs."""
    inside = {span.anchor: span for span in spans.within(lost) if span.kind != ALIAS and span.anchor}
    for span in spans.within(sheet.root):
        if span.kind == ALIAS and span.anchor in inside and not lost.start <= span.start < lost.end:
            reason = f"line {span.line} repeats the anchor `&{span.anchor}`, which would go"
            raise sheet.refusal(
                inside[span.anchor], reason, "Write the value there in place of the alias, and try again."
            )


def _replacement(sheet: _Sheet, chain: list[Span], value: Data) -> list[_Splice]:
    span = chain[-1]
    what = subject(sheet.path)
    if span.kind == SCALAR:
        if span.opener in {"|", ">"}:
            raise sheet.refusal(span, f"{what} is a text of its own lines (`{span.opener}`)")
        lead = "" if span.body < span.end or sheet.text[span.end - 1 : span.end].isspace() else " "
        name = _name(chain)
        if span.body == span.end and name is not None and ":" not in sheet.text[name.end : span.end]:
            lead = ": "
        return [_Splice(span.body, span.end, lead + _written(value, span.opener))]
    if sheet.commented(span.body, span.end):
        raise sheet.refusal(span, f"{what} has comments in it, which would go")
    _check_loss(sheet, span)
    name = _name(chain)
    if span.opener or name is None:
        return [_Splice(span.body, span.end, _written(value))]
    colon = sheet.text.index(":", name.end) + 1
    behind = colon + len(sheet.text[colon : span.start].rstrip())  # a comment may stand behind the colon
    return [_Splice(colon, colon, f" {_written(value)}"), _Splice(behind, span.end, "")]


def _written(value: Any, quote: str = "") -> str:
    """Write a value on one line, texts in the quotes that are given."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_written(key, quote)}: {_written(item, quote)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_written(item, quote) for item in value) + "]"
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    if not isinstance(value, str):
        return json.dumps(value)
    if quote == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return encode(value) if quote else scalar(value)


def _addition(sheet: _Sheet, into: Span, value: Data) -> list[_Splice]:
    *above, key = sheet.path
    if into.kind != MAP or not isinstance(key, str):
        what = subject(tuple(above))
        raise sheet.refusal(into, f"{what} is no mapping, so `{dotted(sheet.path)}` cannot be added")
    if into.opener:
        return _into_flow(sheet, into, key, value)
    (first, _), (name, last) = into.entries[0], into.entries[-1]
    end = _extent(sheet, last, name)
    lines = _lines(_written(key, name.opener), value, first.column, _indentation(sheet.root))
    return [_Splice(end, end, "".join(sheet.newline(end) + line for line in lines))]


_WIDEST = 100


def _lines(name: str, value: Any, column: int, step: int) -> Iterator[str]:
    """Write an entry: a map on one line if it is short and flat."""
    line = f"{' ' * column}{name}: {_written(value)}"
    if isinstance(value, dict) and value and (len(line) > _WIDEST or any(isinstance(v, dict) for v in value.values())):
        yield f"{' ' * column}{name}:"
        for key, item in value.items():
            yield from _lines(scalar(key), item, column + step, step)
    else:
        yield line


def _indentation(root: Span) -> int:
    """Return how far the first map in a map is indented."""
    depths = (
        item.entries[0][0].column - name.column
        for span in filter(_is_block_map, spans.within(root))
        for name, item in span.entries
        if _is_block_map(item)
    )
    return next((depth for depth in depths if depth > 0), 2)


def _is_block_map(span: Span) -> bool:
    return span.kind == MAP and not span.opener


def _into_flow(sheet: _Sheet, into: Span, key: str, value: Data) -> list[_Splice]:
    if into.opener != "{":
        raise sheet.refusal(into, f"this mapping has no braces, so `{dotted(sheet.path)}` cannot be added")
    if not into.entries:
        inner = into.body + 1
        return [_Splice(inner, inner, f"{scalar(key)}: {_written(value)}")]
    text, (name, last) = sheet.text, into.entries[-1]
    colon = ":" if name.opener and text[name.end : last.start] == ":" else ": "
    pair = f"{_written(key, name.opener)}{colon}{_written(value, name.opener)}"  # JSON stays JSON
    comma = re.compile(r"\s*,").match(text, last.end)
    at = comma.end() if comma else last.end
    lead = sheet.own_line(name)
    if lead is None:
        before = text[into.entries[-2][1].end : name.start] if len(into.entries) > 1 else ""
        between = before if re.fullmatch(", *", before) else ", "
        return [_Splice(at, at, f" {pair}," if comma else between + pair)]
    end = sheet.line_end(at)
    line = f"{sheet.newline(name.start)}{lead}{pair}"
    if into.end - 1 <= end:  # the brace closes in this line
        return [_Splice(at, at, f"{line}," if comma else f",{line}")]
    if comma:
        return [_Splice(end, end, f"{line},")]
    return [_Splice(at, at, ","), _Splice(end, end, line)] if at < end else [_Splice(at, at, f",{line}")]


def _removal(sheet: _Sheet, chain: list[Span]) -> list[_Splice]:
    what = subject(sheet.path)
    name = _name(chain)
    if name is None:
        raise sheet.refusal(chain[-1], f"{what} is no entry of a mapping" if sheet.path else "this is the whole file")
    _check_loss(sheet, chain[-1])
    _check_loss(sheet, name)
    if chain[-2].opener:
        return _out_of_flow(sheet, chain[-2], chain[-1], name)
    if len(chain[-2].entries) == 1:
        above = dotted(sheet.path[:-1])
        remedy = f"Remove `{above}` as a whole." if above else "Remove the file."
        raise sheet.refusal(name, f"{what} is the only entry of its mapping", remedy)
    if sheet.own_line(name) is None:
        raise sheet.refusal(name, f"{what} shares its line with what stands before it")
    end = _extent(sheet, chain[-1], name)
    return [_Splice(sheet.line_start(name.start), _behind_newline(sheet.text, end), "")]


def _behind_newline(text: str, end: int) -> int:
    found = re.compile(r"\r\n?|\n").match(text, end)
    return found.end() if found else end


def _before_newline(text: str, end: int) -> int:
    return end - (2 if text.endswith("\r\n", 0, end) else 1)


def _out_of_flow(sheet: _Sheet, out_of: Span, item: Span, name: Span) -> list[_Splice]:
    text, entries = sheet.text, out_of.entries
    if len(entries) == 1 and not sheet.commented(out_of.body, out_of.end):
        return [_Splice(out_of.body + 1, out_of.end - 1, "")]
    alone = re.compile(r"[ \t]*,?[ \t]*(?:#[^\r\n]*)?(?=[\r\n])").match(text, item.end)
    if alone and sheet.own_line(name) is not None:
        return [_Splice(sheet.line_start(name.start), _behind_newline(text, alone.end()), "")]
    index = next(index for index, (_, other) in enumerate(entries) if other is item)
    if index + 1 < len(entries):
        following = entries[index + 1][0]
        gap, splice = text[item.end : following.start], _Splice(name.start, following.start, "")
    else:
        gap, splice = text[entries[index - 1][1].end : name.start], _Splice(entries[index - 1][1].end, item.end, "")
    if not re.fullmatch(r"\s*,\s*", gap):
        raise sheet.refusal(name, f"a comment stands between `{dotted(sheet.path)}` and its neighbour")
    return [splice]


def _extent(sheet: _Sheet, item: Span, name: Span) -> int:
    """Return where an entry of a block map ends: before a line end, with the comments that belong to it."""
    *_, last = spans.within(item)
    text, end = sheet.text, item.end
    if last.opener in {"|", ">"} and text[end - 1 : end] in {"\r", "\n"}:  # it has the line ends behind it as well
        kept = "+" in text[last.body : sheet.line_end(last.body)]
        end = _before_newline(text, end) if kept else sheet.line_end(len(text[:end].rstrip()))
    else:
        end = sheet.line_end(end)
    comment = re.compile(rf"(?:(?:\r\n?|\n)[ \t]*)*(?:\r\n?|\n) {{{name.column + 1},}}#[^\r\n]*")
    while further := comment.match(text, end):
        end = further.end()
    return end
