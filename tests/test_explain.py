from __future__ import annotations

import math
from datetime import date
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.explain import Finding, dotted, findings

# One small experiment with every kind of rule; the table below breaks each of them once.
NAME = {"title": "a variant name", "pattern": "^[a-z][a-z0-9]*$", "maxLength": 8, "examples": ["v1"]}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "additionalProperties": False,
    "properties": {
        "kind": {"const": "Experiment"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "owner": {
                    "$ref": "#/$defs/owner",
                    "description": "Team that answers for it. Nobody else does.",
                },
                "expires": {
                    "type": "string",
                    "title": "a date",
                    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
                    "examples": ["2026-12-31"],
                },
                "control": {"type": "string", "examples": ["v1"]},
                "note": {"type": "string", "minLength": 3, "maxLength": 10, "pattern": "^[^#]*$"},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 2},
                "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                "paused": {"type": "boolean"},
                "steps": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": 3,
                    "uniqueItems": True,
                    "items": {"type": "integer"},
                    "examples": [[20, 100]],
                },
                "traffic": {
                    "type": "object",
                    "minProperties": 2,
                    "maxProperties": 3,
                    "propertyNames": NAME,
                    "additionalProperties": {"type": "integer"},
                    "examples": [{"v1": 80, "v2": 20}],
                },
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "logging": {
                    "type": "object",
                    "properties": {
                        "mode": {"enum": ["all", "request", "response"]},
                        "url": {"examples": ["x://y"]},
                    },
                    "required": ["mode"],
                    "dependentRequired": {"sink": ["url"]},
                },
                "env": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["secret"]}]},
                "model": {"oneOf": [{"required": ["image"]}, {"required": ["storageUri"]}]},
                "metric": {
                    "oneOf": [
                        {
                            "properties": {"kind": {"const": "ratio"}, "of": {"type": "string"}},
                            "required": ["kind", "of"],
                        },
                        {"properties": {"kind": {"const": "mean"}}, "required": ["kind", "unit"]},
                    ]
                },
                "mode": {"enum": ["canary", "shadow"]},
                "weight": {"properties": {"share": {"type": "number", "examples": [0.5]}}},
                "frozen": {"not": {"required": ["until"]}},
                "zone": {"not": {"const": "here"}},
                "old": {"properties": {"traffic": False}},
            },
            "if": {"required": ["mode"]},
            "then": {"required": ["owner"]},
        },
    },
    "$defs": {"owner": {"type": "string", "description": "A name.", "examples": ["recsys"]}},
}

# (what stands in spec, the path below spec, the message, the fix)
SENTENCES = [
    (
        {"trafic": {}},
        ("trafic",),
        "`trafic` is not a field of spec",
        "did you mean `traffic`?",
    ),
    (
        {"metric": {"kind": "ratio"}},
        ("metric",),
        "`of` is missing in spec.metric",
        "add of",
    ),
    (
        {"mode": "canary"},
        (),
        "`owner` is missing in spec",
        "add owner, for example `owner: recsys`. Team that answers for it.",
    ),
    (
        {"logging": {"sink": 1, "mode": "all"}},
        ("logging",),
        "`url` is missing in spec.logging, and `sink` needs it",
        "add url, for example `url: x://y`",
    ),
    (
        {"logging": {}},
        ("logging",),
        "`mode` is missing in spec.logging",
        "add mode, for example `mode: all`",
    ),
    (
        {"model": {}},
        ("model",),
        "`image` or `storageUri` is missing in spec.model",
        "add one of them",
    ),
    (
        {"model": {"image": 1, "storageUri": 2}},
        ("model",),
        "`spec.model` may have only one of image, storageUri",
        "remove the others",
    ),
    (
        {"control": 8},
        ("control",),
        "`spec.control` must be a text, but is a number (8)",
        'write it in quotes: "8"',
    ),
    (
        {"control": True},
        ("control",),
        "`spec.control` must be a text, but is `true`",
        'write it in quotes: "true"',
    ),
    (
        {"control": ["v1"]},
        ("control",),
        "`spec.control` must be a text, but is a list",
        "write for example `control: v1`",
    ),
    (
        {"control": None},
        ("control",),
        "`spec.control` must be a text, but is empty",
        "write for example `control: v1`",
    ),
    (
        {"replicas": "2"},
        ("replicas",),
        "`spec.replicas` must be a whole number, but is a text (`2`)",
        "write it without quotes: 2",
    ),
    (
        {"replicas": 2.5},
        ("replicas",),
        "`spec.replicas` must be a whole number, but is a number (2.5)",
        "write a whole number",
    ),
    (
        {"share": ""},
        ("share",),
        "`spec.share` must be a number, but is an empty text",
        "write a number",
    ),
    (
        {"paused": "yes"},
        ("paused",),
        "`spec.paused` must be true or false, but is a text (`yes`)",
        "write true or false, without quotes",
    ),
    (
        {"steps": {"a": 1}},
        ("steps",),
        "`spec.steps` must be a list, but is a mapping",
        "write for example `steps: [20, 100]`",
    ),
    (
        {"steps": [20, "x"]},
        ("steps", 1),
        "`spec.steps[1]` must be a whole number, but is a text (`x`)",
        "write a whole number",
    ),
    (
        {"traffic": 80},
        ("traffic",),
        "`spec.traffic` must be a mapping, but is a number (80)",
        "write for example `traffic: {v1: 80, v2: 20}`",
    ),
    (
        {"env": 3},
        ("env",),
        "`spec.env` must be a text or a mapping, but is a number (3)",
        'write it in quotes: "3"',
    ),
    (
        {"env": {}},
        ("env",),
        "`secret` is missing in spec.env",
        "add secret",
    ),
    (
        {"labels": {"a.b/c": 1}},
        ("labels", "a.b/c"),
        '`spec.labels["a.b/c"]` must be a text, but is a number (1)',
        'write it in quotes: "1"',
    ),
    (
        {"logging": {"mode": "al"}},
        ("logging", "mode"),
        "`spec.logging.mode` is `al`, which is not one of all, request, response",
        "did you mean `all`?",
    ),
    (
        {"logging": {"mode": "Request"}},
        ("logging", "mode"),
        "`spec.logging.mode` is `Request`, which is not one of all, request, response",
        "did you mean `request`?",
    ),
    (
        {"logging": {"mode": 7}},
        ("logging", "mode"),
        "`spec.logging.mode` is `7`, which is not one of all, request, response",
        "write one of them",
    ),
    (
        {"metric": {"kind": "rato"}},
        ("metric", "kind"),
        "`spec.metric.kind` is `rato`, which is not one of ratio, mean",
        "did you mean `ratio`?",
    ),
    (
        {"expires": "soon"},
        ("expires",),
        "`spec.expires` is `soon`, which is not a date",
        'write for example `expires: "2026-12-31"`',
    ),
    (
        {"expires": "2026-12-31\n"},
        ("expires",),
        "`spec.expires` is `2026-12-31\\n`, which is not a date",
        'write for example `expires: "2026-12-31"`',
    ),
    (
        {"note": "see #1"},
        ("note",),
        "`spec.note` is `see #1`, which is not of the form `^[^#]*$`",
        "write it so",
    ),
    (
        {"note": "ab"},
        ("note",),
        "`spec.note` has 2 characters, but needs at least 3",
        "add 1 character",
    ),
    (
        {"note": ""},
        ("note",),
        "`spec.note` is empty, but needs at least 3 characters",
        "add 3 characters",
    ),
    (
        {"note": "abcdefghijkl"},
        ("note",),
        "`spec.note` has 12 characters, but may have at most 10",
        "remove 2 characters",
    ),
    (
        {"replicas": 0},
        ("replicas",),
        "`spec.replicas` is 0, but must be at least 1",
        "write a number that is at least 1 and at most 9 and a multiple of 2",
    ),
    (
        {"replicas": 12},
        ("replicas",),
        "`spec.replicas` is 12, but must be at most 9",
        "write a number that is at least 1 and at most 9 and a multiple of 2",
    ),
    (
        {"replicas": 3},
        ("replicas",),
        "`spec.replicas` is 3, but must be a multiple of 2",
        "write a number that is at least 1 and at most 9 and a multiple of 2",
    ),
    (
        {"share": 0},
        ("share",),
        "`spec.share` is 0, but must be more than 0",
        "write a number that is more than 0 and less than 1",
    ),
    (
        {"share": 1.5},
        ("share",),
        "`spec.share` is 1.5, but must be less than 1",
        "write a number that is more than 0 and less than 1",
    ),
    (
        {"steps": []},
        ("steps",),
        "`spec.steps` is empty, but needs at least 2 entries",
        "write for example `steps: [20, 100]`",
    ),
    (
        {"steps": [1, 2, 3, 4]},
        ("steps",),
        "`spec.steps` has 4 entries, but may have at most 3",
        "remove 1 entry",
    ),
    (
        {"steps": [20, 100, 20.0]},
        ("steps", 2),
        "`spec.steps[2]` is `20.0` once more, but each entry may stand only once",
        "remove it",
    ),
    (
        {"traffic": {"v1": 1}},
        ("traffic",),
        "`spec.traffic` has 1 entry, but needs at least 2",
        "write for example `traffic: {v1: 80, v2: 20}`",
    ),
    (
        {"traffic": {"v1": 1, "v2": 2, "v3": 3, "v4": 4}},
        ("traffic",),
        "`spec.traffic` has 4 entries, but may have at most 3",
        "remove 1 entry",
    ),
    (
        {"traffic": {"v1": 1, "V_2": 2}},
        ("traffic", "V_2"),
        "`V_2` in spec.traffic is not a variant name",
        "write for example `v1`",
    ),
    (
        {"traffic": {"v1": 1, "v23456789": 2}},
        ("traffic", "v23456789"),
        "`v23456789` in spec.traffic has 9 characters, but may have at most 8",
        "remove 1 character",
    ),
    (
        {"frozen": {"until": 1}},
        ("frozen", "until"),
        "`until` is not allowed in spec.frozen",
        "remove it",
    ),
    (
        {"old": {"traffic": 1}},
        ("old", "traffic"),
        "`traffic` is not allowed in spec.old",
        "remove it",
    ),
    (
        {"zone": "here"},
        ("zone",),
        "`spec.zone` is `here`, which is not allowed here",
        "write something else",
    ),
]
ABOUT_KEYS = {
    ("trafic",),
    ("traffic", "V_2"),
    ("traffic", "v23456789"),
    ("frozen", "until"),
    ("old", "traffic"),
}


@pytest.mark.parametrize(("spec", "path", "message", "fix"), SENTENCES, ids=[row[2] for row in SENTENCES])
def test_each_mistake_has_its_sentence(
    spec: object, path: tuple[str | int, ...], message: str, fix: str
) -> None:
    expected = Finding(("spec", *path), message, fix, about_key=path in ABOUT_KEYS)
    assert findings({"spec": spec}, SCHEMA) == (expected,)


ROOTS: list[tuple[object, object, str, str]] = [
    ([], {"type": "object"}, "the document must be a mapping, but is a list", "write a mapping"),
    ({}, SCHEMA, "`spec` is missing in this document", "add spec"),
    (
        {"kind": "Test", "spec": {}},
        SCHEMA,
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
    ("x", {"pattern": "y" * 70}, "the document is `x`, which is not of the form it needs", "write it so"),
    (3, False, "the document is not allowed here", "remove it"),
    (3, {"anyOf": [False, {"type": "string"}]}, "the document is not allowed here", "remove it"),
    ([1, 2], {"items": False}, "the document is a list, which is not allowed here", "write something else"),
    (
        1,
        {"oneOf": [{"type": "integer"}, {"minimum": 0}]},
        "the document is `1`, which is not allowed here",
        "write something else",
    ),
    ({1: 2}, {}, "`1` in this document is not a text, as every key must be", "write something simpler"),
    ({"a": math.nan}, {}, "`a` is not a number of a usual size", "write something simpler"),
    ([10**400], {}, "`[0]` is not a number of a usual size", "write something simpler"),
    ("\ud800", {}, "the document holds a character that no file can hold", "write something simpler"),
    ({"a": date(2026, 1, 1)}, {}, "`a` is no plain value", "write something simpler"),
]


@pytest.mark.parametrize(("document", "schema", "message", "fix"), ROOTS, ids=[row[2] for row in ROOTS])
def test_mistakes_of_whole_documents(
    document: object, schema: dict[str, Any], message: str, fix: str
) -> None:
    assert [finding[1:3] for finding in findings(document, schema)] == [(message, fix)]


def test_every_mistake_is_told_at_once_and_in_order() -> None:
    spec = {
        "trafic": 1,
        "control": 8,
        "steps": ["a", 1, "b"],
        "logging": {"mode": "x", "sink": 1},
        "onwer": 1,
        "mode": "canary",
    }
    assert [dotted(finding.path) for finding in findings({"kind": "X", "spec": spec, "also": 1}, SCHEMA)] == [
        *("also", "kind", "spec.control", "spec.logging", "spec.logging.mode", "spec.onwer"),
        *("spec.steps[0]", "spec.steps[2]", "spec.trafic"),
    ]


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


def test_one_place_gets_one_finding_about_its_value() -> None:
    schema = {"pattern": "^b", "minLength": 3, "enum": ["bbb"], "allOf": [{"type": "object"}]}
    assert [finding.message for finding in findings("a", schema)] == [
        "the document must be a mapping, but is a text (`a`)"
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a`b", "a\\u0060b"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("a\x1b[31mb", "a\\u001b[31mb"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\u200bb\ufeffc\u00add", "a\\u200bb\\ufeffc\\u00add"),
        ("a\ufe0fb\u3164c", "a\\ufe0fb\\u3164c"),
        ("a\U000e0041b", "a\\U000e0041b"),
        ("größe 日本", "größe 日本"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        ("\n" * 61, "\\n" * 29 + "…"),
    ],
)
def test_what_a_document_says_is_shortened_and_made_visible(text: str, shown: str) -> None:
    assert findings(text, {"enum": ["z"]})[0].message == f"the document is `{shown}`, which is not one of z"
    assert (
        findings({text: 1}, {"additionalProperties": False})[0].message
        == f"`{shown}` is not a field of this document"
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec", "variants", "v2", "storageUri"), "spec.variants.v2.storageUri"),
        (("spec", "steps", 0), "spec.steps[0]"),
        ((0, "a"), "[0].a"),
        (("spec", "metrics", "a.b", "x"), 'spec.metrics["a.b"].x'),
        (("a.b",), '["a.b"]'),
        (("traffic", "80"), 'traffic["80"]'),
        (("a", ""), 'a[""]'),
        (("a", 'b"c\\d'), 'a["b\\"c\\\\d"]'),
        (("a", "b\n`"), 'a["b\\n\\u0060"]'),
        (("a", "x" * 70), f'a["{"x" * 59}…"]'),
    ],
)
def test_a_path_is_written_as_a_user_writes_it(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


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


scalars = st.none() | st.booleans() | st.integers(-3, 20) | st.floats() | st.text(max_size=4)
words = st.sampled_from(
    ["all", "a.b", "canary", "v1", "ratio", "mean", "2026-12-31", "Experiment", "here", "x"]
)
fields = st.sampled_from(sorted(SCHEMA["properties"]["spec"]["properties"])) | st.sampled_from(
    ["kind", "spec", "secret", "image", "storageUri", "until", "of", "unit", "sink", "url", "trafic", "a.b"]
)
documents = st.recursive(
    scalars | words,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(fields | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=12,
)
experiments = st.fixed_dictionaries({"spec": st.dictionaries(fields, documents, max_size=5)}) | documents


@given(experiments)
def test_there_is_something_to_say_exactly_when_the_document_is_refused(document: Any) -> None:
    if "not a number of a usual size" not in str(findings(document, SCHEMA)):
        assert bool(findings(document, SCHEMA)) is not jsonschema_rs.validator_for(SCHEMA).is_valid(document)


@given(experiments)
def test_every_finding_leads_to_its_place_and_is_one_readable_line(document: Any) -> None:
    for finding in findings(document, SCHEMA):
        value = document
        for step in finding.path[:-1]:
            value = value[step]
        assert not finding.path or finding.about_key or value[finding.path[-1]] is not ...
        assert all(text and text.isprintable() for text in finding[1:3])


@given(experiments, st.randoms())
def test_the_order_of_keys_changes_nothing(document: Any, random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        if not isinstance(value, dict):
            return value
        keys = random.sample(sorted(value), len(value))
        return {key: shuffled(value[key]) for key in keys}

    assert str(findings(shuffled(document), SCHEMA)) == str(findings(document, SCHEMA))


strange = st.recursive(
    scalars
    | st.characters(categories=["Cs"])
    | st.binary()
    | st.dates()
    | st.just(10**500)
    | st.tuples(st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner),
)


@given(strange | strange.map(lambda value: {"spec": value}))
def test_nothing_that_a_parser_could_return_is_too_strange(document: Any) -> None:
    assert all(isinstance(finding, Finding) for finding in findings(document, SCHEMA))
