from __future__ import annotations

from typing import Any

import pytest

from generator.explain import findings


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
        {
            "properties": {
                "x": {"if": {}, "then": {"properties": {"a": {"const": 1}}, "allOf": [{"required": ["a"]}]}}
            }
        },
        {
            "anyOf": [
                {"properties": {"x": {"properties": {"a": {"enum": [1]}}, "allOf": [{"required": ["a"]}]}}}
            ]
        },
    ],
)
def test_a_bare_condition_borrows_the_words_of_the_rest(schema: dict[str, Any]) -> None:
    (finding,) = findings({"x": {}}, schema)
    assert (finding.message, finding.fix) == ("`a` is missing in x", "add a, for example `a: 1`")


def test_what_json_schema_calls_different_is_no_repetition() -> None:
    assert (
        findings([1, True, 0, False, [1], [True], {"a": 0}, {"a": False}, "1"], {"uniqueItems": True}) == ()
    )


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
