"""Edits in place. One folder in edits/ is a file before and after; `pytest --update` writes the latter anew."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from generator.documents import load
from generator.documents.edit import Edit, EditError, Remove, Set, apply
from generator.problems import ProblemsError

HERE = Path(__file__).parent / "edits"
CASES = sorted(path.name for path in HERE.iterdir())
FILE = "environments/prod/experiments/rec.yaml"


def parsed(raw: bytes) -> Any:
    data, problems = load.parse(raw, FILE)
    assert problems == ()
    return data


def told(text: str | bytes, *edits: Edit) -> str:
    with pytest.raises(EditError) as caught:
        apply(text if isinstance(text, bytes) else text.encode(), edits, FILE)
    assert caught.value.exit_code == 1
    return str(caught.value).removeprefix(f"{FILE}:")


def edited(text: str, *edits: Edit) -> str:
    return apply(text.encode(), edits, FILE).decode()


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("case", CASES)
def test_only_what_is_edited_changes(case: str, newline: bytes, bom: bytes, request: pytest.FixtureRequest) -> None:
    before, after = (HERE / case / name for name in ("before.yaml", "after.yaml"))
    edits: list[Edit] = [
        Set(tuple(one["set"]), one["to"]) if "set" in one else Remove(tuple(one["remove"]))
        for one in json.loads((HERE / case / "edits.json").read_text())
    ]
    if request.config.getoption("--update"):
        after.write_bytes(apply(before.read_bytes(), edits, FILE))
    raw, expected = (bom + path.read_bytes().replace(b"\n", newline) for path in (before, after))
    assert apply(raw, edits, FILE) == expected
    assert apply(expected, edits, FILE) == expected
    ends = len(newline)
    assert apply(raw[:-ends], edits, FILE) in {expected[:-ends], expected}  # the latter where the last line went


TRAFFIC = ("spec", "traffic")
HAND = "nothing was changed. Edit `{}` by hand."
UNSHARE = "nothing was changed. Write the value there in place of the alias, and try again."
REFUSED: dict[str, tuple[str, Edit, str]] = {
    "an alias": (
        "base: &t {v1: 80}\nspec:\n  traffic: *t\n",
        Set((*TRAFFIC, "v1"), 60),
        (
            "3:12: `spec.traffic` is the alias `*t`, so its value stands elsewhere and is shared; nothing was changed. "
            "Write the value here in place of the alias, and try again."
        ),
    ),
    "an anchor that is used": (
        "spec:\n  traffic: &t {v1: 80}\n  other: *t\n",
        Set((*TRAFFIC, "v1"), 60),
        f"2:12: line 3 repeats `spec.traffic` through its anchor `&t`; {UNSHARE}",
    ),
    "an anchor that would go": (
        "spec:\n  a: {x: &x 1}\n  b: *x\n",
        Remove(("spec", "a")),
        f"2:10: line 3 repeats the anchor `&x`, which would go; {UNSHARE}",
    ),
    "a block text": (
        "spec:\n  control: |-\n    v1\n",
        Set(("spec", "control"), "v2"),
        f"2:12: `spec.control` is a text of its own lines (`|`); {HAND.format('spec.control')}",
    ),
    "no mapping": (
        "spec:\n  traffic: 80\n",
        Set((*TRAFFIC, "v1"), 60),
        f"2:12: `spec.traffic` is no mapping, so `spec.traffic.v1` cannot be added; {HAND.format('spec.traffic.v1')}",
    ),
    "no such item": (
        "steps: [1]\n",
        Set(("steps", 1), 2),
        f"1:8: `steps` is no mapping, so `steps[1]` cannot be added; {HAND.format('steps[1]')}",
    ),
    "an item": (
        "steps: [1, 2]\n",
        Remove(("steps", 1)),
        f"1:12: `steps[1]` is no entry of a mapping; {HAND.format('steps[1]')}",
    ),
    "the whole file": (
        "a: 1\n",
        Remove(()),
        "1:1: this is the whole file; nothing was changed. Edit the document by hand.",
    ),
    "the only entry": (
        "spec:\n  traffic:\n    v1: 80\n",
        Remove((*TRAFFIC, "v1")),
        (
            "3:5: `spec.traffic.v1` is the only entry of its mapping; nothing was changed. "
            "Remove `spec.traffic` as a whole."
        ),
    ),
    "the only entry of the file": (
        "spec: 1\n",
        Remove(("spec",)),
        "1:1: `spec` is the only entry of its mapping; nothing was changed. Remove the file.",
    ),
    "a line that is shared": (
        "steps:\n- to: 20\n  soak: 1h\n",
        Remove(("steps", 0, "to")),
        f"2:3: `steps[0].to` shares its line with what stands before it; {HAND.format('steps[0].to')}",
    ),
    "a list with comments": (
        "steps:\n- 20  # first\n- 40\n",
        Set(("steps",), [100]),
        f"2:1: `steps` has comments in it, which would go; {HAND.format('steps')}",
    ),
    "a comment between": (
        "traffic: {v1: 80, # control\n v2: 20, v3: 0}\n",
        Remove(("traffic", "v1")),
        f"1:11: a comment stands between `traffic.v1` and its neighbour; {HAND.format('traffic.v1')}",
    ),
    "no braces": (
        "steps: [to: 20]\n",
        Set(("steps", 0, "soak"), "1h"),
        f"1:9: this mapping has no braces, so `steps[0].soak` cannot be added; {HAND.format('steps[0].soak')}",
    ),
    "a key of its own": (
        "spec:\n  ? control\n  : v1\n  ? owner\n  : me\n",
        Set(("spec", "traffic"), 1),
        (
            "2:3: with the new value of `spec.traffic` the file could not be read: no value can begin at this `:`; "
            f"{HAND.format('spec.traffic')}"
        ),
    ),
    "an invisible character": (
        "spec: {control: v1}\n",
        Set(("spec", "control"), "\u202e"),
        (
            "1:17: with the new value of `spec.control` the file could not be read: the invisible character U+202E "
            f"must not be in a file; {HAND.format('spec.control')}"
        ),
    ),
    "a text without its last line end": (
        "a: |\n  text",
        Set(("b",), 1),
        f"1:1: a change of `b` would change other values of this file, too; {HAND.format('b')}",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_edited_safely_is_refused(name: str) -> None:
    text, edit, message = REFUSED[name]
    parsed(text.encode())
    assert told(text, edit) == message


@pytest.mark.parametrize("text", ["a: 1\n---\nb: 2\n", "a: &x {b: 1}\nc: {<<: *x}\n", "a: [\n"])
def test_what_cannot_be_read_is_not_edited(text: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        apply(text.encode(), [Set(("a",), 2)], FILE)
    assert caught.value.problems == load.parse(text.encode(), FILE)[1]


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        ('a: "v1"\n', Set(("a",), "v2"), 'a: "v2"\n'),
        ("a: 'it''s'\n", Set(("a",), "he's"), "a: 'he''s'\n"),
        ("a: 'x'\n", Set(("a",), "1\n2"), 'a: "1\\n2"\n'),
        ('a: "80"\n', Set(("a",), 20), "a: 20\n"),
        ("a: v1\n", Set(("a",), "on"), 'a: "on"\n'),
        ("a: 1 # x\n", Set(("a",), True), "a: true # x\n"),
        ("a: 1\n", Set(("a",), 0.00001), "a: 1.0e-05\n"),
        ("a: 1\n", Set(("a",), None), "a: null\n"),
        ("a:\nb: 2\n", Set(("a",), 1), "a: 1\nb: 2\n"),
        ("a: # x\n", Set(("a", "b", "c"), 1), "a: {b: {c: 1}} # x\n"),
        ("a: &x\n", Set(("a",), 1), "a: &x 1\n"),
        ("{a, b: }\n", Set(("a",), 1), "{a: 1, b: }\n"),
        ("a: two\n  lines # x\n", Set(("a",), "one"), "a: one # x\n"),
        ("a: {b: 1, # x\n  }\n", Set(("a", "c"), 2), "a: {b: 1, c: 2, # x\n  }\n"),
        ("a: {b: 1, c: 2}\n", Remove(("a", "c")), "a: {b: 1}\n"),
        ("a: {b: 1,c: 2}\n", Remove(("a", "b")), "a: {c: 2}\n"),
        ("a: {b: 1}\n", Remove(("a", "b")), "a: {}\n"),
        ("a: 1\n", Remove(("b", "c")), "a: 1\n"),
        ("a: 1", Set(("b",), 2), "a: 1\nb: 2"),
        ("a: |+\n  x\n\n", Set(("b",), 2), "a: |+\n  x\n\nb: 2\n"),
        ("a: >\n  x\n\n# y\n", Set(("b",), 2), "a: >\n  x\nb: 2\n\n# y\n"),
        ("a: 1\n# z\n", Set(("b",), 2), "a: 1\nb: 2\n# z\n"),
        ("# y\na: 1 # z\nb: 2\n", Remove(("a",)), "# y\nb: 2\n"),
        ("a: [1, 2]\n", Set(("a",), [1, 3]), "a: [1, 3]\n"),
        ("a: {b: 1, c: 2}\n", Set(("a",), {"d": 3}), "a: {d: 3}\n"),
        ("a:\n- b: 1\n- c: 2\n", Set(("a", 1), [3]), "a:\n- b: 1\n- [3]\n"),
        ("a: \u00e4  # \U0001f600\n", Set(("a",), "\u00f6"), 'a: "\u00f6"  # \U0001f600\n'),
    ],
)
def test_an_edit_in_a_line(before: str, edit: Edit, after: str) -> None:
    assert edited(before, edit) == after
    assert edited(after, edit) == after


def test_a_long_map_stands_on_lines_of_its_own() -> None:
    value: dict[str, Any] = {f"key{number}": "x" * 20 for number in range(4)}
    added = "".join(f"  {key}: {text}\n" for key, text in value.items())
    assert edited("a: 1\n", Set(("b",), value)) == f"a: 1\nb:\n{added}"


class Writer:
    """Writes data as one of the many YAML texts that hold it, with a comment wherever one may stand."""

    def __init__(self, draw: Any, newline: str) -> None:
        self.draw, self.newline, self.comments, self.anchors = draw, newline, 0, 0

    def one_of(self, *options: str) -> str:
        return str(self.draw(st.sampled_from(options)))

    def comment(self) -> str:
        """Text that may stand behind a value in its line."""
        self.comments += 1
        return self.one_of(
            "", "", "  ", f" # c{self.comments}", f"\t#\tc{self.comments}: {{[\u00e4", f"   #c{self.comments},"
        )

    def lines(self, column: int) -> str:
        """Lines that may stand between two entries."""
        self.comments += 1
        own = f"{' ' * column}# c{self.comments} \u00f6"
        deep = f"{' ' * (column + 3)}# c{self.comments}"
        return self.newline + self.one_of("", "", "", own + self.newline, self.newline + deep + self.newline)

    def anchor(self) -> str:
        self.anchors += 1
        return self.one_of("", "", "", f"&a{self.anchors} ")

    def scalar(self, value: str | int) -> str:
        if isinstance(value, int):
            return str(value)
        plain = [value] if value.isidentifier() else []
        return self.one_of(json.dumps(value), json.dumps(value, ensure_ascii=False), f"'{value}'", *plain)

    def flow(self, value: Any, column: int) -> str:
        if not isinstance(value, dict | list):
            return self.anchor() + self.scalar(value)
        pairs = value.items() if isinstance(value, dict) else ((None, item) for item in value)
        inner = column + 2
        gap = self.one_of("", " ", self.newline + " " * inner)
        items = [
            ("" if key is None else self.scalar(key) + self.one_of(":", ": ", ":  ").ljust(2)) + self.flow(item, inner)
            for key, item in pairs
        ]
        between = f",{gap or ' '}"
        if gap.strip(" "):
            self.comments += 1
            between = f",{self.one_of('', f' # c{self.comments}')}{gap}"
        left, right = "{}" if isinstance(value, dict) else "[]"
        end = self.one_of("", ",") if items else ""
        closing = self.newline + " " * inner if gap.strip(" ") else self.one_of("", " ")
        return f"{left}{gap}{between.join(items)}{end}{closing}{right}"

    def block(self, value: Any, column: int) -> str:
        """An entry's value from behind its `:` or `-`, without the last line end."""
        if not isinstance(value, dict | list) or not value or self.one_of("block", "block", "flow") == "flow":
            return f" {self.flow(value, column + 1)}{self.comment()}"
        inner = column + self.draw(st.integers(1, 4))
        head = f" {self.anchor()}".rstrip() + self.comment().replace("\t", " ")  # no tab may stand behind a dash
        if isinstance(value, list):
            return head + "".join(f"{self.newline}{' ' * inner}-{self.block(item, inner + 1)}" for item in value)
        return head + self.newline + self.entries(value, inner)

    def entries(self, value: dict[str, Any], column: int) -> str:
        texts = [f"{' ' * column}{self.scalar(key)}:{self.block(item, column)}" for key, item in value.items()]
        return "".join(text + self.lines(column) for text in texts[:-1]) + texts[-1]


KEYS = st.sampled_from(["v1", "v2", "traffic", "spec", "a b", "\u00fc", "x#y", "{z}"])
LEAVES = st.integers(-100, 100) | st.sampled_from(["v1", "recsys", "a, b", "# no comment", "\u00e4", "", "5", "- x: y"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=4) | st.lists(inner, max_size=3), max_leaves=10
)
MAPS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=5)
ELSEWHERE = "zzz: &shared {k: 1}  # c0\n# { c00\nyyy: [*shared, *shared]\n"


@st.composite
def documents(draw: Any) -> tuple[bytes, dict[str, Any]]:
    data = draw(MAPS)
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = Writer(draw, newline).entries(data, 0)
    if draw(st.booleans()):
        text = ELSEWHERE.replace("\n", newline) + text
        data = {"zzz": {"k": 1}, "yyy": [{"k": 1}, {"k": 1}], **data}
    head = draw(st.sampled_from(["", "\ufeff", "# c000\t{[" + newline, "\ufeff---" + newline]))
    end = draw(st.sampled_from(["", newline, newline * 2 + "# the end", newline + "..." + newline]))
    return (head + text + end).encode(), data


def paths(data: Any, path: load.Path = ()) -> list[load.Path]:
    below = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(found for key, item in below for found in paths(item, (*path, key)))]


def at(data: Any, path: load.Path) -> Any:
    for part in path:
        data = data[part]
    return data


def lines_of(raw: bytes) -> list[bytes]:
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


def is_kept(part: bytes, whole: bytes) -> bool:
    """Whether every byte of a text is in another one, in the same order."""
    rest = iter(whole)
    return all(byte in rest for byte in part)


MAY_REFUSE = "is the only entry|a comment stands between|which would go|is the alias|through its anchor"
ALIASED = ("zzz", "yyy")


@given(documents(), st.data(), st.integers(-1000, 1000))
def test_a_change_of_a_number_changes_its_line_and_nothing_else(
    document: tuple[bytes, dict[str, Any]], choice: st.DataObject, number: int
) -> None:
    raw, data = document
    assert parsed(raw) == data
    numbers = [path for path in paths(data) if type(at(data, path)) is int and path[0] not in ALIASED]
    assume(numbers)
    path = choice.draw(st.sampled_from(numbers))
    old = at(data, path)
    after = apply(raw, [Set(path, number)], FILE)
    changed = [(a, b) for a, b in zip(lines_of(raw), lines_of(after), strict=True) if a != b]
    assert len(changed) == (old != number)
    assert all(any(a[:i] + b"%d" % number + a[i + len(b"%d" % old) :] == b for i in range(len(a))) for a, b in changed)
    at(data, path[:-1])[path[-1]] = number
    assert parsed(after) == data
    assert apply(after, [Set(path, old)], FILE) == raw


@given(documents(), st.data(), VALUES)
def test_what_is_added_moves_nothing_else(
    document: tuple[bytes, dict[str, Any]], choice: st.DataObject, value: Any
) -> None:
    raw, data = document
    maps = [path for path in paths(data) if isinstance(at(data, path), dict) and not {*path[:1]} & {*ALIASED}]
    path = (*choice.draw(st.sampled_from(maps)), "new")
    after = apply(raw, [Set(path, value)], FILE)
    at(data, path[:-1])["new"] = value
    assert json.dumps(parsed(after)) == json.dumps(data)
    assert is_kept(raw, after)
    assert apply(after, [Set(path, value)], FILE) == after


@given(documents(), st.data())
def test_what_is_removed_takes_nothing_else_along(
    document: tuple[bytes, dict[str, Any]], choice: st.DataObject
) -> None:
    raw, data = document
    entries = [path for path in paths(data) if path and isinstance(at(data, path[:-1]), dict)]
    path = choice.draw(st.sampled_from(entries))
    try:
        after = apply(raw, [Remove(path)], FILE)
    except EditError as refused:
        assert re.search(MAY_REFUSE, str(refused))  # noqa: PT017 - most entries can be removed
        return
    del at(data, path[:-1])[path[-1]]
    assert json.dumps(parsed(after)) == json.dumps(data)
    assert is_kept(after, raw)
    assert apply(after, [Remove(path)], FILE) == after


@given(documents(), st.data(), VALUES)
def test_any_value_is_replaced_exactly_or_not_at_all(
    document: tuple[bytes, dict[str, Any]], choice: st.DataObject, value: Any
) -> None:
    raw, data = document
    path = choice.draw(st.sampled_from([path for path in paths(data) if path]))
    try:
        after = apply(raw, [Set(path, value)], FILE)
    except EditError:
        return
    at(data, path[:-1])[path[-1]] = value
    assert parsed(after) == data
    assert apply(after, [Set(path, value)], FILE) == after
