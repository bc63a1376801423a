from __future__ import annotations

import math
from datetime import date
from typing import Any

import pytest

from generator.documents.explain import findings

ROOTS: list[tuple[object, object, str, str]] = [
    ([], {"type": "object"}, "the document must be a mapping, but is a list", "write a mapping"),
    (
        {},
        {"required": ["spec"], "properties": {"kind": {"const": "Experiment"}}},
        "`spec` is missing in this document",
        "add spec",
    ),
    (
        {"kind": "Test", "spec": {}},
        {"required": ["spec"], "properties": {"kind": {"const": "Experiment"}}},
        "`kind` must be `Experiment`, but is `Test`",
        "write `Experiment`",
    ),
    ("8", {"const": 8}, "the document must be `8`, but is a text (`8`)", "write `8`"),
    (8, {"const": "8"}, 'the document must be `"8"`, but is a number (8)', 'write `"8"`'),
    ({"a": 1}, {"additionalProperties": False}, "`a` is not a field of this document", "remove it"),
    (
        {"x": 1},
        {"additionalProperties": False, "properties": dict.fromkeys("cab", True)},
        "`x` is not a field of this document",
        "known fields: a, b, c",
    ),
    (
        {"?": 1},
        {"additionalProperties": False, "properties": dict.fromkeys("abcdefghijklmnop", True)},
        "`?` is not a field of this document",
        "known fields: a, b, c, d, e, f, g, h, i, j, k, l and 4 more",
    ),
    (
        {"ab": 1, "a1": 1},
        {"additionalProperties": False, "patternProperties": {"^[a-z]*$": True}},
        "`a1` is not a field of this document",
        "remove it",
    ),
    ({"": 1}, {"additionalProperties": False}, '`""` is not a field of this document', "remove it"),
    (
        {"a": {"b c": {"d": 1}}},
        {"properties": {"a": {"additionalProperties": {"additionalProperties": False}}}},
        '`d` is not a field of `a["b c"]`',
        "remove it",
    ),
    (
        "x" * 70,
        {"maxLength": 69},
        "the document has 70 characters, but may have at most 69",
        "remove 1 character",
    ),
    (
        3,
        {"pattern": "x", "enum": [1, None, "b"]},
        "the document is `3`, which is not one of 1, null, b",
        "write one of them",
    ),
    (
        {"a": 1, "b": 2},
        {"not": {"required": ["a", "b"]}},
        "the document may have only one of a, b",
        "remove the others",
    ),
    (
        {"x": 1},
        {"propertyNames": {"anyOf": [{"const": "a"}, {"enum": ["b"]}]}},
        "`x` in this document is not one of a, b",
        "write one of them",
    ),
    (
        {},
        {
            "required": ["a"],
            "properties": {"a": {"$ref": "#/$defs/x~1y"}},
            "$defs": {"x/y": {"description": "The A.", "examples": ["x" * 61]}},
        },
        "`a` is missing in this document",
        "add a. The A.",
    ),
    (
        "a",
        {"anyOf": [{"pattern": "^b", "enum": ["bb"]}, {"type": "integer"}]},
        "the document is `a`, which is not one of bb",
        "write one of them",
    ),
    (
        "x",
        {"pattern": "y" * 70},
        "the document is `x`, which is not of the form it needs",
        "write it in that form",
    ),
    (3, False, "the document is not allowed here", "remove it"),
    (
        3,
        {"anyOf": [False, {"type": "string"}]},
        "the document must be a text, but is a number (3)",
        'write it in quotes: "3"',
    ),
    (3, {"anyOf": [False]}, "the document is `3`, which is not allowed here", "write something else"),
    ([1, 2], {"items": False}, "the document is a list, which is not allowed here", "write something else"),
    (
        1,
        {"oneOf": [{"type": "integer"}, {"minimum": 0}]},
        "the document is `1`, which is not allowed here",
        "write something else",
    ),
    ({1: 2}, {}, "the document has a key that is no text", "write something simpler"),
    ({"a": math.nan}, {}, "`a` is not a number of a usual size", "write something simpler"),
    ([16**5000], {}, "`[0]` is not a number of a usual size", "write something simpler"),
    ("\ud800", {}, "the document holds a character that no file can hold", "write something simpler"),
    ({"a": date(2026, 1, 1)}, {}, "`a` is no plain value", "write something simpler"),
]


@pytest.mark.parametrize(("document", "schema", "message", "fix"), ROOTS, ids=[row[2] for row in ROOTS])
def test_mistakes_of_whole_documents(document: object, schema: dict[str, Any], message: str, fix: str) -> None:
    assert [finding[1:3] for finding in findings(document, schema)] == [(message, fix)]


def test_entries_of_a_list_are_sorted_as_numbers() -> None:
    found = findings([1] * 12, {"items": {"type": "string"}})
    assert [finding.path for finding in found] == [(index,) for index in range(12)]


def test_a_misspelt_key_is_one_mistake_and_not_also_a_missing_one() -> None:
    schema = {
        "additionalProperties": False,
        "properties": {"owner": {}, "traffic": {}},
        "required": ["owner", "traffic"],
    }
    assert [finding.message for finding in findings({"onwer": 1}, schema)] == [
        "`traffic` is missing in this document",
        "`onwer` is not a field of this document",
    ]


def test_a_field_that_is_already_there_is_not_suggested() -> None:
    schema = {"additionalProperties": False, "properties": {"traffic": {}}}
    assert findings({"traffic": 1, "trafic": 1}, schema)[0].fix == "known fields: traffic"


def test_the_alternative_whose_kind_fits_is_the_one_that_was_meant() -> None:
    ratio = {"properties": {"kind": {"const": "ratio"}}, "required": ["kind", "of", "over"]}
    mean = {"properties": {"kind": {"const": "mean"}}}
    found = findings({"kind": "ratio"}, {"oneOf": [mean, ratio]})
    assert [finding.fix for finding in found] == ["add of", "add over"]


def test_the_kind_of_an_alternative_stands_above_what_it_decides() -> None:
    forms = [
        {"properties": {"kind": {"const": kind}, "args": {"properties": {"a": {"const": kind}}}}}
        for kind in ("ratio", "mean")
    ]
    (finding,) = findings({"kind": "x", "args": {"a": "y"}}, {"oneOf": forms})
    assert finding.message == "`kind` is `x`, which is not one of ratio, mean"


@pytest.mark.parametrize(
    "schema",
    [
        {
            "additionalProperties": {
                "properties": {"a": {"examples": [1]}},
                "if": {},
                "then": {"required": ["a"]},
            }
        },
        {"properties": {"x": {"allOf": [{"properties": {"a": {"examples": [1]}}}, {"required": ["a"]}]}}},
        {"properties": {"x": {"if": {}, "then": {"properties": {"a": {"const": 1}}, "allOf": [{"required": ["a"]}]}}}},
        {"anyOf": [{"properties": {"x": {"properties": {"a": {"enum": [1]}}, "allOf": [{"required": ["a"]}]}}}]},
    ],
)
def test_a_bare_condition_borrows_the_words_of_the_rest(schema: dict[str, Any]) -> None:
    (finding,) = findings({"x": {}}, schema)
    assert (finding.message, finding.fix) == ("`a` is missing in x", "add a, for example `a: 1`")


def test_what_json_schema_calls_different_is_no_repetition() -> None:
    assert findings([1, True, 0, False, [1], [True], {"a": 0}, {"a": False}, "1"], {"uniqueItems": True}) == ()


def test_one_place_gets_one_finding_about_its_value() -> None:
    schema = {"pattern": "^b", "minLength": 3, "enum": ["bbb"], "allOf": [{"type": "object"}]}
    assert [finding.message for finding in findings("a", schema)] == [
        "the document must be a mapping, but is a text (`a`)"
    ]


def test_a_document_too_deep_to_explain_is_refused_where_it_gets_too_deep() -> None:
    document: object = 1
    for _ in range(100_000):
        document = [document]
    (finding,) = findings(document, {"items": {"type": "string"}})
    assert finding.message.endswith("[0]` is nested too deeply")


def test_thousands_of_unknown_keys_are_all_named() -> None:
    document = {f"trafic{number}": number for number in range(5000)}
    found = findings(document, {"additionalProperties": False, "properties": {"traffic": {}}})
    assert {finding.fix for finding in found} == {"known fields: traffic"}
    assert len(found) == 5000
