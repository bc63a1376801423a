from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from generator.documents import load
from generator.documents.load import MAX_BYTES, MAX_DEPTH, MAX_NODES
from generator.problems import Place, Problem, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
FILE = "environments/prod/experiments/rec.yaml"
TAG = "is a YAML tag, and tags are not read here"
DIFFER = "YAML parsers differ about"
MEND = "mend the indentation, or write text in quotes"
HIDDEN = "must not be in a file"
QUOTE = "write it in quotes"
OR_TRUTH = " if it is a text, or else true or false"
OR_NUMBER = " if it is a text, or else a number in plain digits"
FAST, PURE = load._Composer, load._Pure


@pytest.fixture(params=[FAST, PURE], ids=["libyaml", "pure"])
def _composer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test with PyYAML's own classes too, as where it was built without libyaml."""
    monkeypatch.setattr(load, "_Composer", request.param)


def told(raw: str | bytes) -> list[str]:
    data, problems = load.parse(raw if isinstance(raw, bytes) else raw.encode(), FILE)
    assert data is None
    assert {problem.place.file for problem in problems} == {FILE}
    assert {(problem.path, problem.severity) for problem in problems} == {("", "error")}
    return [_told(problem) for problem in problems]


def _told(problem: Problem) -> str:
    place = problem.place
    return f"{place.line}:{place.column} {problem.code} {problem.message} -> {problem.fix}"


def accepted(text: str | bytes) -> Any:
    data, problems = load.parse(text if isinstance(text, bytes) else text.encode(), FILE)
    assert problems == ()
    return data


def pyyaml(raw: bytes) -> Any:
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return yaml.load(raw, loader)  # noqa: S506 - both are safe loaders


REFUSED = {
    # PS102, PS104: before there is a text
    "a" * (MAX_BYTES + 1): ["0:0 PS102 this file is larger than 1 MiB -> take out what does not belong in it"],
    b"a: b\nc: \xfc\n": ["2:4 PS104 the byte 0xfc is not UTF-8 -> save the file as UTF-8"],
    "a: b".encode("utf-16"): ["1:1 PS104 the byte 0xff is not UTF-8 -> save the file as UTF-8"],
    b"\xc3\xa4\r\n\xc3\xb6\xed\xa0\x80": ["2:2 PS104 the byte 0xed is not UTF-8 -> save the file as UTF-8"],
    # PS105: no YAML
    "a: @b\n": ["1:4 PS105 nothing can begin with `@` -> write text in quotes, indent with spaces"],
    "a: {% b %}\n": ["1:5 PS105 nothing can begin with `%` -> write text in quotes, indent with spaces"],
    "a:\n\tb: 1\n": ["2:1 PS105 nothing can begin with `\\t` -> write text in quotes, indent with spaces"],
    "a: 1\nb\nc: 2\n": ["2:1 PS105 no `:` follows this -> write `key: value`, or mend the indentation"],
    "a: b: c\n": [f"1:5 PS105 no value can begin at this `:` -> {MEND}"],
    "a:\n   b: 1\n  c: 2\n": [f"3:3 PS105 this does not fit to what begins in line 1 -> {MEND}"],
    "\n- a\nb: c\n": [f"3:1 PS105 this does not fit to what begins in line 2 -> {MEND}"],
    "a: - b\n": ["1:4 PS105 no list can begin here -> begin it in a line of its own"],
    "a: [b,\nc\nd: e\n": ["3:2 PS105 the bracket of line 1 is still open here -> close it, or put a comma"],
    "a: {b: c\n": ["2:1 PS105 the bracket of line 1 is still open here -> close it, or put a comma"],
    'a: "b\nc: d\n': ["1:4 PS105 this quote is never closed -> close it"],
    "a: }\n": [f"1:4 PS105 no value can begin here -> {MEND}"],
    "a: 1\n... b\n": [f"2:5 PS105 this does not belong to what stands before it -> {MEND}"],
    "a: *.yaml\n": ["1:5 PS105 a name must follow `*` and `&` -> write text in quotes"],
    "a: *b\n": ["1:4 PS105 this repeats an anchor that is not above -> write text in quotes"],
    "a: &x 1\nb: &x 2\n": ["2:4 PS105 this anchor is in line 1 already -> give it another name"],
    "a: 1\na: 2\nb: [\n": ["4:1 PS105 no value can begin here -> " + MEND],
    # PS106: duplicate keys
    "a: 1\nb: 2\n'a': 3\n\"a\": 4\n": [
        "3:1 PS106 the key `a` is already in line 1 -> remove one of the two",
        "4:1 PS106 the key `a` is already in line 1 -> remove one of the two",
    ],
    "a: {b: 1, b: 2}\n": ["1:11 PS106 the key `b` is already in line 1 -> remove one of the two"],
    "a: &x k\n*x : 1\nk: 2\n": ["3:1 PS106 the key `k` is already in line 1 -> remove one of the two"],
    # PS107: keys that are not text
    "8: a\nfalse: b\n~: c\n1.5: d\n? [x]\n: e\n? {y: z}\n: f\n": [
        f"1:1 PS107 the key `8` is not text -> {QUOTE}",
        f"2:1 PS107 the key `false` is not text -> {QUOTE}",
        f"3:1 PS107 the key `~` is not text -> {QUOTE}",
        f"4:1 PS107 the key `1.5` is not text -> {QUOTE}",
        "5:3 PS107 a list or a mapping is the key here -> write text as the key; quote any `{{ }}`",
        "7:3 PS107 a list or a mapping is the key here -> write text as the key; quote any `{{ }}`",
    ],
    "a: {{ b }}\n": ["1:5 PS107 a list or a mapping is the key here -> write text as the key; quote any `{{ }}`"],
    "?\n: a\n": [f"1:2 PS107 this `:` has no key -> {QUOTE}"],
    "1: a\n1: b\n": [f"{n}:1 PS107 the key `1` is not text -> {QUOTE}" for n in (1, 2)],
    # PS108, of tags
    "a: !!python/object/apply:os.system [id]\n": [f"1:4 PS108 `!!python/object/apply:os.system` {TAG} -> remove it"],
    "a: !!str 1\nb: !foo x\nc: !<d> y\n!!str e: ! 12\n": [
        f"1:4 PS108 `!!str` {TAG} -> remove it",
        f"2:4 PS108 `!foo` {TAG} -> remove it",
        f"3:4 PS108 `d` {TAG} -> remove it",
        f"4:1 PS108 `!!str` {TAG} -> remove it",
        f"4:10 PS108 `!` {TAG} -> remove it",
    ],
    "- !a [b]\n- !c {d: e}\n- &x ! f\n- !<!> g\n": [
        f"1:3 PS108 `!a` {TAG} -> remove it",
        f"2:3 PS108 `!c` {TAG} -> remove it",
        f"3:3 PS108 `!` {TAG} -> remove it",
        f"4:3 PS108 `!` {TAG} -> remove it",
    ],
    "!!map {}\n": [f"1:1 PS108 `!!map` {TAG} -> remove it"],
    "!foo\n": [f"1:1 PS108 `!foo` {TAG} -> remove it"],
    "a: !e!f g\n": [f"1:4 PS108 this is no YAML tag, and tags are not read here -> {QUOTE}"],
    "# a\n%TAG !a! x\n---\nb: c\n": ["2:1 PS108 YAML tags (`%TAG`) are not read -> remove it"],
    # PS109, PS110: too deep, too much
    "[" * 51 + "]" * 51: ["1:51 PS109 this is more than 50 levels deep -> make it flatter"],
    "a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 30 + "*a" + "]" * 30: [
        "1:26 PS109 this is more than 50 levels deep -> make it flatter"
    ],
    "-\n" * MAX_NODES: ["100000:2 PS110 up to here are 100,000 values -> write fewer of them"],
    "a: &a [x, *a]\n": ["1:4 PS110 aliases repeat this too often, or without end -> repeat less"],
    # PS111: not one document
    "": ["0:0 PS111 there is nothing in this file -> write one document into it"],
    "# later\n": ["0:0 PS111 there is nothing in this file -> write one document into it"],
    "---\n": ["0:0 PS111 there is nothing in this file -> write one document into it"],
    "null\n": ["0:0 PS111 there is nothing in this file -> write one document into it"],
    "a: 1\n---\nb: 2\n": ["2:1 PS111 a second document begins here -> keep one document in a file"],
    "a: 1\n...\n---\n": ["3:1 PS111 a second document begins here -> keep one document in a file"],
    # PS112: read differently elsewhere
    "no: 010\nb: 1e3\nc: 12:30:00\nd: 2026-01-02\ne: .inf\nf: =\n": [
        f"1:1 PS112 {DIFFER} `no`: to some it is a truth value -> {QUOTE}{OR_TRUTH}",
        f"1:5 PS112 {DIFFER} `010`: to some it is a number -> {QUOTE}{OR_NUMBER}",
        f"2:4 PS112 {DIFFER} `1e3`: to some it is a number -> {QUOTE}{OR_NUMBER}",
        f"3:4 PS112 {DIFFER} `12:30:00`: to some it is a base 60 number -> {QUOTE}",
        f"4:4 PS112 {DIFFER} `2026-01-02`: to some it is a date -> {QUOTE}",
        f"5:4 PS112 {DIFFER} `.inf`: to some it is a number -> {QUOTE}{OR_NUMBER}",
        f"6:4 PS112 {DIFFER} `=`: to some it is a special value -> {QUOTE}",
    ],
    "a: &a {b: 1}\nc:\n  <<: *a\n": [
        "3:3 PS112 merge keys are not supported -> use the environment's defaults or the base file"
    ],
    f"a: 0{'1' * 99}\n": [f"1:4 PS112 {DIFFER} `0{'1' * 58}…`: to some it is a number -> {QUOTE}{OR_NUMBER}"],
    # PS113: what nobody sees
    "a: b\0c # \0\n": [
        "1:5 PS113 the invisible character U+0000 " + HIDDEN + " -> remove it here and in 1 more places"
    ],
    "a: \u202eb # \u2066\n": [
        f"1:4 PS113 the invisible character U+202E {HIDDEN} -> remove it",
        f"1:9 PS113 the invisible character U+2066 {HIDDEN} -> remove it",
    ],
    "ä: 1\r\nb: \ufeff\r\n": [f"2:4 PS113 the invisible character U+FEFF {HIDDEN} -> remove it"],
    "a: 1\rb: \x85\r": [f"2:4 PS113 the invisible character U+0085 {HIDDEN} -> remove it"],
    'a: "\\0"\n"\\u202E": "x\\x7f"\n': [
        f"1:4 PS113 the invisible character U+0000 {HIDDEN} -> remove its escape",
        f"2:1 PS113 the invisible character U+202E {HIDDEN} -> remove its escape",
        f"2:11 PS113 the invisible character U+007F {HIDDEN} -> remove its escape",
    ],
    # PS114: numbers that no 64 bits hold
    "a: 9223372036854775808\nb: -9223372036854775809\nc: 1.0e+999\nd: 0xffffffffffffffff\n": [
        f"1:4 PS114 `9223372036854775808` does not fit into 64 bits -> write a smaller number, or {QUOTE}",
        f"2:4 PS114 `-9223372036854775809` does not fit into 64 bits -> write a smaller number, or {QUOTE}",
        f"3:4 PS114 `1.0e+999` does not fit into 64 bits -> write a smaller number, or {QUOTE}",
        f"4:4 PS114 `0xffffffffffffffff` does not fit into 64 bits -> write a smaller number, or {QUOTE}",
    ],
    # all of these at once, and in order
    "a: on\nb: !x y\nc: \u202e\na: 1\n2: [99999999999999999999]\n": [
        f"1:4 PS112 {DIFFER} `on`: to some it is a truth value -> {QUOTE}{OR_TRUTH}",
        f"2:4 PS108 `!x` {TAG} -> remove it",
        f"3:4 PS113 the invisible character U+202E {HIDDEN} -> remove it",
        "4:1 PS106 the key `a` is already in line 1 -> remove one of the two",
        f"5:1 PS107 the key `2` is not text -> {QUOTE}",
        f"5:5 PS114 `99999999999999999999` does not fit into 64 bits -> write a smaller number, or {QUOTE}",
    ],
}


@pytest.mark.usefixtures("_composer")
@pytest.mark.parametrize(("raw", "lines"), REFUSED.items(), ids=lambda value: ascii(value)[:30])
def test_what_is_refused_is_told_with_its_place_and_a_way_to_mend_it(raw: str | bytes, lines: list[str]) -> None:
    assert told(raw) == lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: |\n\tb\n", "2:1 PS105 a tab stands where only spaces can indent -> indent with spaces"),
        ("a: b\n\tc: d\n", "2:1 PS105 a tab stands where only spaces can indent -> indent with spaces"),
        ('a: "\\d"\n', "1:5 PS105 there is no such escape -> double the backslash, or use single quotes"),
        ('a: "\\xyz"\n', f"1:7 PS105 this is no YAML: did not find expected hexdecimal number -> {MEND}"),
        ('a: "\\ud83d\\ude00"\n', "1:7 PS113 this escape makes no character -> write the character itself"),
        ("a: !%ED%A0%80 b\n", "1:4 PS113 an escape from here on makes no character -> remove it"),
        ("%YAML 9.0\n---\na\n", f"1:1 PS105 this is no YAML: found incompatible YAML document -> {MEND}"),
    ],
)
def test_what_libyaml_alone_says_so(text: str, line: str) -> None:
    assert told(text) == [line]


def test_what_pyyaml_alone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_Composer", PURE)
    assert told('a: "\\ud83d\\ude00"\n') == [f"1:4 PS113 the invisible character U+D83D {HIDDEN} -> remove its escape"]
    assert told('a: "\\UFFFFFFFF"\n') == ["1:5 PS113 an escape from here on makes no character -> remove it"]


def _words(text: str) -> list[str]:
    return text.split()


AMBIGUOUS = _words("""
    y Y n N yes Yes YES yEs no No NO on On ON off Off OFF oFF = <<
    010 0777 08 00 -01 +012 0o10 0O7 -0o7 0o_7 0b1 0B1 -0b11 0b_1 0b-1 0X1f -0x1F +0x1 0x_ 0x1_F
    1_000 1_ +_1 -_1 1__0 1_0.5 .5_0 1._5 0_1
    1e3 1E3 12e03 1.5e3 1.e3 .5e3 1e+3 1e-3 -1e3 -.5 +.5 -.5e+3
    .inf .Inf .INF -.inf +.inf .nan .NaN .NAN .iNf
    12:30 12:30:00 1:2 190:20:30.15 -1:30 00:30 22:22
    2026-01-02 2026-1-2 2026-01-02T10:00:00Z 2026-01-02t10:00:00.5+02:00 2026-01-02T1:2:3,5 2026-99-99
""")


@pytest.mark.parametrize("text", [*AMBIGUOUS, "2026-01-02 10:00:00", "2001-12-14 21:59:43.10 -5"])
def test_what_parsers_read_differently_is_neither_a_value_nor_a_key(text: str) -> None:
    for raw in (f"{text}", f"- {text}", f"a: {text}", f"{text}: a", f"[{text}]"):
        assert {line.split()[1] for line in told(raw)} == {"PS112"}
    for raw in (f"'{text}'", f'"{text}"'):
        assert accepted(raw) == text
    assert accepted(f"|-\n {text}") == text


TEXTS = _words("""
    1.27.3 v1 10m 2Gi 8080:80 127.0.0.1:80 12:60 1-2-3 _1 -_ + . .. .5.6 1e e3 0b2 0xZZ 0x 0o8 1,000 12ab
    NaN nan inf Infinity True1 yess no. on-call y1 nULL tRUE 2026-01-02x 2026-01 20260102T10 =x <<< ~x
    gs://bucket/model sha256:12e03 a:b a#b -x --x a*b x!y x&y ,x
""")


@pytest.mark.parametrize("text", [*TEXTS, "2026-01-02 release notes", "a b", "größe 日本 😀"])
def test_what_only_looks_ambiguous_is_text(text: str) -> None:
    if not text.startswith(","):
        assert accepted(text) == text
    assert accepted(f"{json.dumps(text, ensure_ascii=False)}: '{text}'") == {text: text}


@pytest.mark.usefixtures("_composer")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, None) for word in ("~", "null", "Null", "NULL", "")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((str(number), number) for number in (0, 7, -12, 2**63 - 1, -(2**63))),
        ("+12", 12),
        ("-0", 0),
        ("0x1F", 31),
        ("0x" + "0" * 100_000 + "1", 1),
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("+1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("01.5", 1.5),
        ("1.5e+3", 1500.0),
        (".5E-1", 0.05),
        ("1.0e-999", 0.0),
    ],
)
def test_what_all_parsers_read_alike_is_read(text: str, value: object) -> None:
    data = accepted(f"- {text}\n- '{text}'\n")
    assert data == [value, text]
    assert type(data[0]) is type(value)


@pytest.mark.usefixtures("_composer")
@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        (b"%YAML 1.1\n---\na: 1\n...\n# end\n", {"a": 1}),
        (b"a: &x {k: [1]}\nb: *x\nc: [*x, *x]\n", {"a": {"k": [1]}, "b": {"k": [1]}, "c": [{"k": [1]}] * 2}),
        (b"&k key: *k\n", {"key": "key"}),
        (b"a: x & y * z ! q\nb: 'if ! z'\n", {"a": "x & y * z ! q", "b": "if ! z"}),
        (b'a: "\\_\\t\\n\\x41\\u00e9\\\\0"\n', {"a": "\xa0\t\nA\xe9\\0"}),
        (b"a: |\n  \\0 \\u202e\n  %TAG\n", {"a": "\\0 \\u202e\n%TAG\n"}),
        (b"'<<': 1\n'1': 2\n? b\n", {"<<": 1, "1": 2, "b": None}),
        (b"'" + b"[{" * 2_000 + b"'", "[{" * 2_000),
    ],
)
def test_what_else_is_accepted(raw: bytes, data: object) -> None:
    assert accepted(raw) == data


def test_the_limits_themselves_are_allowed() -> None:
    assert accepted("[" * MAX_DEPTH + "]" * MAX_DEPTH) == json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert accepted("-\n" * (MAX_NODES - 1)) == [None] * (MAX_NODES - 1)
    assert accepted("- &a x\n" + "- *a\n" * (MAX_NODES - 2)) == ["x"] * (MAX_NODES - 1)
    assert told("- &a x\n" + "- *a\n" * (MAX_NODES - 1))[0].split()[1] == "PS110"
    assert accepted('"' + "a" * (MAX_BYTES - 2) + '"') == "a" * (MAX_BYTES - 2)


def test_what_an_alias_repeats_is_not_shared() -> None:
    data = accepted("a: &x {k: [1]}\nb: *x\n")
    data["b"]["k"].append(2)
    assert data == {"a": {"k": [1]}, "b": {"k": [1, 2]}}


VISIBLE = st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cn", "Zl", "Zp"])
STRINGS = st.text(VISIBLE | st.sampled_from("\n\t '\":#&*!|>%@`{}[],?-~=<"))
PLAIN = STRINGS.filter(lambda text: text[:1] not in [*"-+.0123456789yYnNoO=<"])
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: "." in repr(number))
NUMBERS = st.integers(-(2**63), 2**63 - 1) | FLOATS
YAMLISH = st.text(st.sampled_from("ab01 \n:-[]{},\"'|>&*!#%?.~\\=<\t\ré\u202e"), max_size=60)


def trees(strings: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | NUMBERS | strings
    values = st.recursive(leaves, lambda some: st.lists(some) | st.dictionaries(strings, some), max_leaves=15)
    return st.dictionaries(strings, values)


@given(trees(PLAIN), st.sampled_from([True, False, None]), st.booleans(), st.sampled_from([20, 10**9]))
def test_what_pyyaml_writes_is_read_back(data: Any, flow: bool | None, unicode: bool, width: int) -> None:
    raw = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=unicode, width=width, encoding="utf-8")
    assert repr(accepted(raw)) == repr(yaml.safe_load(raw))
    assert accepted(raw) == data


@given(st.dictionaries(STRINGS, st.lists(STRINGS)), st.sampled_from(["'", '"', "|", ">"]), st.booleans())
def test_texts_are_read_back_from_every_style(data: Any, style: str, unicode: bool) -> None:
    raw = yaml.safe_dump(data, default_style=style, allow_unicode=unicode, encoding="utf-8")
    assert accepted(raw) == data


@given(trees(STRINGS), st.sampled_from([None, 2]))
def test_json_is_read_like_json(data: Any, indent: int | None) -> None:
    assert repr(accepted(json.dumps(data, ensure_ascii=False, indent=indent))) == repr(data)


@given(YAMLISH | st.builds(lambda a, b: f"- {a}\n- {b}\n", YAMLISH, YAMLISH))
@example("a: 1\n? b\n: - c\n")
def test_what_is_accepted_means_what_pyyaml_reads(text: str) -> None:
    data, problems = load.parse(text.encode(), FILE)
    if not problems:
        assert repr(data) == repr(pyyaml(text.encode()))


@given(st.binary() | st.text().map(str.encode) | YAMLISH.map(str.encode), st.sampled_from([FAST, PURE]))
@example(b'a: "\\UFFFFFFFF"\n', PURE)
@example(b"!%C0%80 a", FAST)
@example(b"\xef\xbb\xbf\xef\xbb\xbf", FAST)
def test_nothing_is_raised(raw: bytes, composer: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "_Composer", composer)
        data, problems = load.parse(raw, FILE)
    assert (data is None) == bool(problems)
    assert list(problems) == sorted(problems, key=lambda problem: problem.place)
    for problem in problems:
        assert problem.message.isprintable()
        assert problem.fix.isprintable()
        assert len(problem.message) < 200


@given(YAMLISH)
def test_with_and_without_libyaml_the_same_is_read(text: str) -> None:
    """Each accepts a few odd texts that the other refuses, but they never read one differently."""
    fast, problems = load.parse(text.encode(), FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "_Composer", PURE)
        pure, more = load.parse(text.encode(), FILE)
    assert problems or more or repr(fast) == repr(pure)


def test_the_memory_of_readings_is_bounded() -> None:
    accepted("".join(f"- text{number}\n" for number in range(20_000)))
    assert accepted("[text7, on call]") == ["text7", "on call"]
    assert len(load._PLAIN) <= 10_000


# A mark such as «one» stands before what its path must lead to.
MARKED = """\
# ä comment
«spec»spec: # another
  «traffic»traffic: «value of traffic»{v1: 80, ä: 20, v2: [1, «list item»{«x»x: «value of x»"y"}]}
  «steps»steps:
  «value of steps»- «first»one
  -  «second»two
    lines
  - «third»name: three
    «more»more: «value of more»|
      text
  «empty»empty:«value of empty»
  anchored: «anchor»&a {k: v}
  alias: *a
"""
PATHS: dict[str, list[load.Path]] = {
    "value of traffic": [("spec", "traffic")],
    "list item": [("spec", "traffic", "v2", 1)],
    "value of x": [("spec", "traffic", "v2", 1, "x")],
    "value of steps": [("spec", "steps")],
    "first": [("spec", "steps", 0), ("spec", "steps", 0, "nothing")],
    "second": [("spec", "steps", 1)],
    "third": [("spec", "steps", 2), ("spec", "steps", 2, "nothing")],
    "value of more": [("spec", "steps", 2, "more")],
    "value of empty": [("spec", "empty")],
    "anchor": [("spec", "anchored"), ("spec", "alias")],
    "spec": [("spec", "nothing"), ("spec", 0), ("spec", "nothing", 0), (), ("nothing",), (0,)],
    "traffic": [("spec", "traffic", "v3"), ("spec", "traffic", "v3", "x")],
    "x": [("spec", "traffic", "v2", 1, "x", "y"), ("spec", "traffic", "v2", 1, "x", 0)],
    "steps": [("spec", "steps", 3), ("spec", "steps", -1), ("spec", "steps", "name")],
    "more": [("spec", "steps", 2, "more", 0)],
    "empty": [("spec", "empty", "nothing")],
}
KEYS: dict[str, load.Path] = {
    "spec": ("spec",),
    "traffic": ("spec", "traffic"),
    "x": ("spec", "traffic", "v2", 1, "x"),
    "first": ("spec", "steps", 0),
    "more": ("spec", "steps", 2, "more"),
    "empty": ("spec", "empty"),
}


def spots(marked: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """Take the marks out of a text, and say where they stood."""
    found = {}
    while mark := re.search("«(.*?)»", marked):
        before = marked[: mark.start()].split("\n")
        found[mark[1]] = (len(before), len(before[-1]) + 1)
        marked = marked[: mark.start()] + marked[mark.end() :]
    return marked, found


@pytest.mark.usefixtures("_composer")
@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["plain", "bom"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_path_leads_to_the_value_or_key_or_to_the_nearest_key_above(bom: str, newline: str) -> None:
    text, marks = spots(MARKED)
    raw = (bom + text.replace("\n", newline)).encode()
    accepted(raw)
    for mark, paths in PATHS.items():
        assert {path: load.locate(raw, path) for path in paths} == dict.fromkeys(paths, marks[mark])
    for mark, path in KEYS.items():
        assert (path, load.locate(raw, path, key=True)) == (path, marks[mark])


@given(trees(PLAIN), st.sampled_from([True, False, None]))
def test_every_path_leads_to_where_its_value_is_composed(data: Any, flow: bool | None) -> None:
    raw = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True, encoding="utf-8")
    for path, name, node in _composed((), None, yaml.compose(raw, yaml.SafeLoader)):
        assert load.locate(raw, path) == (node.start_mark.line + 1, node.start_mark.column + 1)
        if name is not None:
            spot = (name.start_mark.line + 1, name.start_mark.column + 1)
            assert load.locate(raw, path, key=True) == load.locate(raw, (*path, "no", 1)) == spot


def _composed(path: load.Path, name: Any, node: Any) -> Iterator[tuple[load.Path, Any, Any]]:
    yield path, name, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _composed((*path, key.value), key, value)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _composed((*path, index), None, item)


def numbered(template: bytes, numbers: range) -> bytes:
    return b"".join(template.replace(b"#", b"%d" % number) for number in numbers)


def bomb(levels: int) -> bytes:
    lines = (b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, levels))
    return b"a0: &a0 [x]\n" + b"".join(lines)


def chain(links: int) -> bytes:
    return b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (n, n, n - 1) for n in range(1, links))


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "brackets": ("PS109", lambda: b"[" * 10_000),
    "many brackets": ("PS109", lambda: b"[" * 500_000),
    "braces": ("PS109", lambda: b"{" * MAX_BYTES),
    "as many brackets as are composed": ("PS109", lambda: b"[" * 250 + b"]" * 250),
    "as many levels as are composed": ("PS109", lambda: b"[a: " * 500 + b"]" * 500),
    "as many levels as are composed, with what may be an alias": (
        "PS109",
        lambda: b"# & *\n" + b"[a: " * 500 + b"]" * 500,
    ),
    "as many columns as are composed": ("PS109", lambda: b"- " * 49 + b"[a: " * 500 + b"]" * 500),
    "brackets left open": ("PS105", lambda: b"[a: " * 500),
    "dashes": ("PS109", lambda: b"- " * (MAX_BYTES // 2)),
    "dashes in a small file": ("PS109", lambda: b"- " * 20_000),
    "dashes and tabs": ("PS105", lambda: b"-\t" * (MAX_BYTES // 2)),
    "question marks": ("PS109", lambda: b"? " * (MAX_BYTES // 2)),
    "dashes and question marks": ("PS109", lambda: b"- ? " * (MAX_BYTES // 4)),
    "deep indentation": ("PS109", lambda: b"".join(b" " * depth + b"a:\n" for depth in range(1_400))),
    "indentation": ("PS109", lambda: b"".join(b" " * depth + b"a:\n" for depth in range(99))),
    "blanks": ("", lambda: b" " * (MAX_BYTES - 1) + b"a"),
    "newlines": ("PS111", lambda: b"\n" * MAX_BYTES),
    "alias bomb": ("PS110", lambda: bomb(10)),
    "alias chain": ("PS110", lambda: chain(20_000)),
    "alias in itself": ("PS110", lambda: b"&a [*a]"),
    "alias far in itself": ("PS110", lambda: b"&a {x: {y: [z, *a]}}"),
    "alias as a key of itself": ("PS110", lambda: b"&a {*a : 1}"),
    "aliases in themselves": ("PS110", lambda: b"&a [" + b"*a, " * 50_000 + b"]"),
    "aliases": ("PS110", lambda: b"- &a x\n" + b"- *a\n" * 200_000),
    "anchors": ("", lambda: numbered(b"- &a# x\n", range(80_000))),
    "anchors on one line": ("PS105", lambda: b"&a " * (MAX_BYTES // 3)),
    "a wide list": ("PS110", lambda: b"[" + b"a," * (MAX_BYTES // 2 - 1) + b"]"),
    "keys without values": ("PS110", lambda: b"{" + numbered(b"a#,", range(60_000)) + b"}"),
    "a wide list deep inside": ("PS109", lambda: b"[" * 499 + b"a," * 90_000 + b"]" * 499),
    "a wide mapping": ("", lambda: numbered(b"a#: x\n", range(49_999))),
    "many duplicate keys": ("PS106", lambda: b"a: 1\n" * 49_999),
    "too many duplicate keys": ("PS110", lambda: b"a: 1\n" * (MAX_BYTES // 5)),
    "many wrong keys and values": ("PS107 PS112", lambda: numbered(b"#: on\n", range(49_000))),
    "many tags": ("PS108", lambda: b"- !x y\n" * 98_000),
    "many bare tags": ("PS108", lambda: b"- !\n" * 98_000),
    "a long tag": ("PS108", lambda: b"!" * MAX_BYTES),
    "a long tag before a wrong one": ("PS113", lambda: b"- " + b"!" * 500_000 + b"\n- !%ED%A0%80 x"),
    "directives in a small file": ("PS108", lambda: numbered(b"%TAG !a#! x\n", range(3_000)) + b"--- x"),
    "directives": ("PS108", lambda: numbered(b"%TAG !a#! x\n", range(60_000)) + b"--- x"),
    "directives after carriage returns": ("PS108", lambda: numbered(b"%TAG !a#! x\r", range(60_000)) + b"--- x"),
    "words": ("", lambda: b"a " * (MAX_BYTES // 2)),
    "words on lines": ("", lambda: b"a\n" * (MAX_BYTES // 2)),
    "digits": ("PS114", lambda: b"1" * MAX_BYTES),
    "digits and a point": ("PS114", lambda: b"1" * (MAX_BYTES - 2) + b".5"),
    "hexadecimal digits": ("PS114", lambda: b"0x" + b"1" * (MAX_BYTES - 2)),
    "digits and colons": ("PS112", lambda: b"1" + b":1" * (MAX_BYTES // 2 - 1)),
    "digits and underscores": ("PS112", lambda: b"1" + b"_" * (MAX_BYTES - 1)),
    "underscores": ("", lambda: b"-" + b"_" * (MAX_BYTES - 1)),
    "a date and blanks": ("", lambda: b"2026-01-02T" + b" " * (MAX_BYTES - 12) + b"x"),
    "escapes": ("PS113", lambda: b'"' + rb"\u202e" * (MAX_BYTES // 6 - 1) + b'"'),
    "many texts with escapes": ("PS113", lambda: b'- "\\u202e"\n' * (MAX_BYTES // 11)),
    "zeros": ("PS113", lambda: b"\0" * MAX_BYTES),
    "control characters": ("PS113", lambda: bytes(range(1, 128)) * 8_000),
    "right to left": ("PS113", lambda: "a\u202e\n".encode() * (MAX_BYTES // 5)),
    "no UTF-8": ("PS104", lambda: b"\xff" * MAX_BYTES),
    "JSON in a block": ("", lambda: b"a: |\n" + b'  {"a": [1, 2]},\n' * (MAX_BYTES // 20)),
    "documents": ("PS111", lambda: b"---\n" * (MAX_BYTES // 4)),
    "100 MB": ("PS102", lambda: b"a" * 100_000_000),
}
# 512 KB is the smallest stack of a thread that Python commonly meets (on macOS): it must be enough.
JUDGE = """
import resource, sys, threading, time
from generator.documents import load

def judge():
    start = time.process_time()
    problems = load.parse(raw, "")[1]
    print(time.process_time() - start, *sorted({problem.code for problem in problems}))

raw = sys.stdin.buffer.read()
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
threading.stack_size(512 << 10)
thread = threading.Thread(target=judge)
thread.start()
thread.join()
"""


def python(code: str, *, given: bytes = b"") -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input=given, capture_output=True, check=False, timeout=60
    )
    assert (run.returncode, run.stderr.decode()) == (0, "")
    return run.stdout.decode()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_crashes_the_interpreter_or_keeps_it_busy(name: str) -> None:
    expected, made = HOSTILE[name]
    seconds, *codes = python(JUDGE, given=made()).split()
    assert codes == expected.split()
    assert float(seconds) < 6  # it is less than two where nothing else runs


def test_without_libyaml_the_same_code_works() -> None:
    said = python("""if True:
        import sys
        sys.modules["yaml._yaml"] = None
        from generator.documents import load
        print(load._Composer is load._Pure, *load.parse(b"a: [1]", ""), load.parse(b"[" * 500_000, "")[1][0].code)
    """)
    assert said == "True {'a': [1]} () PS109\n"


def test_only_mistakes_cost_the_import_of_words() -> None:
    said = python("""if True:
        import sys
        from generator.documents import load
        load.parse("a: [1, 2.5, on-call, 0x1F, 10m, 1.2.3, n1, null, ä, 'x']".encode(), "")
        print("generator.documents.wording" in sys.modules)
    """)
    assert said == "False\n"


def refusal(files: load.Files, relative: str) -> str:
    with pytest.raises(ProblemsError) as caught:
        load.read(files, relative)
    (problem,) = caught.value.problems
    assert problem.place == Place(relative)
    return f"{problem.code} {problem.message} -> {problem.fix}"


READABLE = "name a file that exists and that you may read"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "sub").mkdir(parents=True)
    (root / "a.yaml").write_bytes(b"a: 1\n")
    (root / "inside.yaml").symlink_to("sub/../a.yaml")
    (root / "within").symlink_to("sub/..")
    (root / "absolute.yaml").symlink_to(root / "a.yaml")
    (tmp_path / "secret").write_text("s")
    (tmp_path / "repository-two").mkdir()
    (tmp_path / "repository-two" / "b.yaml").write_text("b: 1\n")
    (root / "outside.yaml").symlink_to("../secret")
    (root / "out").symlink_to("..")
    (root / "broken-outside").symlink_to("../nothing")
    (root / "broken").symlink_to("nothing")
    (root / "circle").symlink_to("circle")
    (root / "zero").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe")
    return root


def test_a_file_below_the_root_is_read_through_links_that_stay_there(root: Path) -> None:
    for relative in ("a.yaml", "./sub/../a.yaml", "inside.yaml", "within/a.yaml", "absolute.yaml"):
        assert load.read(root, relative) == b"a: 1\n"
    link = root.parent / "link"
    link.symlink_to(root)
    assert load.read(link, "a.yaml") == b"a: 1\n"


@pytest.mark.parametrize(
    "relative",
    ["../secret", "outside.yaml", "out/secret", "broken-outside", "zero", "/etc/passwd", "../repository-two/b.yaml"],
)
def test_what_lies_outside_is_not_read(root: Path, relative: str) -> None:
    assert refusal(root, relative) == "PS103 this path leads out of the repository -> name a file in it"


@pytest.mark.parametrize(
    ("relative", "told"),
    [
        ("nothing", f"PS101 this file cannot be read: No such file or directory -> {READABLE}"),
        ("broken", f"PS101 this file cannot be read: No such file or directory -> {READABLE}"),
        ("a.yaml/b", f"PS101 this file cannot be read: Not a directory -> {READABLE}"),
        ("sub", f"PS101 this file cannot be read: Is a directory -> {READABLE}"),
        ("", f"PS101 this file cannot be read: Is a directory -> {READABLE}"),
        ("x" * 300, f"PS101 this file cannot be read: File name too long -> {READABLE}"),
        ("a\0b", f"PS101 this file cannot be read: this cannot be a path -> {READABLE}"),
        ("pipe", "PS101 this is not a regular file -> name a file with text in it"),
    ],
)
def test_what_cannot_be_read_is_told(root: Path, relative: str, told: str) -> None:
    assert refusal(root, relative) == told


def test_links_in_a_circle_are_told(root: Path) -> None:
    assert refusal(root, "circle").startswith("PS101 this file cannot be read: ")  # Python 3.13 words it otherwise


def test_a_file_that_may_not_be_read_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)  # the superuser may read everything
    assert refusal(root, "a.yaml") == f"PS101 this file cannot be read: Permission denied -> {READABLE}"


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 10**11])
def test_a_large_file_is_refused_unread(root: Path, size: int) -> None:
    with (root / "large").open("wb") as file:
        file.truncate(size)
    assert refusal(root, "large") == "PS102 this file is larger than 1 MiB -> take out what does not belong in it"


def test_a_file_that_grows_while_it_is_read_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "large").write_bytes(b"a" * (MAX_BYTES + 1))
    small = (root / "a.yaml").stat()
    monkeypatch.setattr(os, "fstat", lambda _: small)
    assert refusal(root, "large").startswith("PS102")


def test_the_largest_file_is_read(root: Path) -> None:
    (root / "large").write_bytes(b"a" * MAX_BYTES)
    assert len(load.read(root, "large")) == MAX_BYTES


def test_texts_by_path_are_read_as_files_are(root: Path) -> None:
    texts = {"a.yaml": b"a: 1\n", "large": b"a" * (MAX_BYTES + 1)}
    (root / "large").write_bytes(texts["large"])
    assert load.read(texts, "a.yaml") == load.read(root, "a.yaml")
    for relative in ("large", "nothing.yaml", "sub/a.yaml"):
        assert refusal(texts, relative) == refusal(root, relative)
