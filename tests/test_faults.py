from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.documents.explain import Finding, findings

RECURSIVE = {
    "type": ["object", "string"],
    "additionalProperties": {"$ref": "#"},
    "propertyNames": {"maxLength": 1},
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "type": {"type": "string"},
    "types": {"type": ["integer", "null"]},
    "const": {"const": {"a": [1, True, None]}},
    "enum": {"enum": [1, "a", False, None, [0]]},
    "pattern": {"pattern": r"^\d+$"},
    "pattern of a line": {"pattern": "^a$"},
    "bounds": {"minimum": 0, "exclusiveMaximum": 3},
    "other bounds": {"exclusiveMinimum": 0, "maximum": 3},
    "multiple": {"multipleOf": 2},
    "length": {"minLength": 1, "maxLength": 2},
    "items": {"minItems": 1, "maxItems": 2, "items": {"type": "integer"}},
    "first items": {"prefixItems": [{"type": "integer"}, False], "items": {"const": 1}},
    "no items": {"prefixItems": [{}], "items": False},
    "unique": {"uniqueItems": True},
    "contains": {"contains": {"const": 1}, "maxContains": 2, "minContains": 1},
    "fields": {"properties": {"a": {"type": "string"}, "b": False}, "additionalProperties": False},
    "other fields": {"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": {"minimum": 1}},
    "number of fields": {"minProperties": 1, "maxProperties": 2},
    "names": {"propertyNames": {"anyOf": [{"const": "a"}, {"pattern": "^b"}]}},
    "no names": {"propertyNames": False},
    "required": {"required": ["a", "b"]},
    "dependent": {"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"b": {"required": ["c"]}}},
    "not": {"not": {"type": ["object", "null"]}},
    "not one": {"not": {"required": ["a"]}},
    "not both": {"not": {"required": ["a", "b"]}},
    "any": {"anyOf": [{"required": ["a"]}, {"type": "array", "items": {"const": 1}}, False]},
    "one": {"oneOf": [{"required": ["a"]}, {"required": ["b"]}, {"type": "string"}]},
    "all": {"allOf": [{"type": "object"}, {"oneOf": [{"properties": {"a": {"const": 1}}}, {"required": ["b"]}]}]},
    "condition": {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": False},
    "unevaluated": {"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False},
    "unevaluated items": {"prefixItems": [True], "unevaluatedItems": False},
    "reference": {
        "$ref": "#/$defs/a~1b",
        "$defs": {"a/b": {"properties": {"a": {"$ref": "#/$defs/c"}}}, "c": {"enum": []}},
    },
    "recursive": RECURSIVE,
    "false": {"properties": {"a": {"not": {}}}, "anyOf": [False]},
}

scalars = (
    st.none() | st.booleans() | st.integers(-3, 5) | st.sampled_from([0.5, 1.0, 2.0, -0.0, 1e300]) | st.text(max_size=3)
)
keys = st.sampled_from(["a", "b", "c", "ab", "a.b", ""]) | st.text(max_size=2)
documents = st.recursive(
    scalars | st.sampled_from(["1", "a", "a\n", "\u0661", "ab"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@settings(max_examples=30)
@given(document=documents)
def test_there_is_something_to_say_exactly_when_the_document_is_refused(
    schema: dict[str, Any], document: object
) -> None:
    assert bool(findings(document, schema)) is not jsonschema_rs.validator_for(schema).is_valid(document)


schemas = st.sampled_from(list(SCHEMAS.values()))


@given(documents, schemas)
def test_every_finding_leads_to_its_place_and_is_one_visible_line(document: Any, schema: dict[str, Any]) -> None:
    for finding in findings(document, schema):
        value = document
        for step in finding.path[:-1] if finding.about_key else finding.path:
            value = value[step]
        assert not finding.about_key or finding.path[-1] in value
        assert all(text and text.isprintable() for text in (finding.message, finding.fix))


@given(documents, schemas, st.randoms(use_true_random=False))
def test_the_order_of_keys_changes_nothing(document: object, schema: dict[str, Any], random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in random.sample(sorted(value), len(value))}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    assert findings(shuffled(document), schema) == findings(document, schema)


strange = st.recursive(
    st.floats()
    | st.characters(categories=["Cs"])
    | st.binary()
    | st.dates()
    | st.just(16**3000)
    | st.tuples(st.integers())
    | st.sets(st.integers())
    | scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none() | st.dates(), inner),
)


@given(strange, schemas)
def test_nothing_that_a_parser_could_return_is_too_strange(document: object, schema: dict[str, Any]) -> None:
    assert all(isinstance(finding, Finding) for finding in findings(document, schema))


@given(st.integers(0, 100_000), schemas)
def test_nothing_is_too_deep(depth: int, schema: dict[str, Any]) -> None:
    document: object = "x"
    for level in range(depth):
        document = {"a": document} if level % 2 else [document]
    found = findings(document, schema)
    too_deep = [finding.message.endswith("is nested too deeply") for finding in found]
    assert too_deep == [True] if depth > 64 else not any(too_deep)


@given(documents, schemas)
def test_a_document_is_left_as_it_is(document: object, schema: dict[str, Any]) -> None:
    before = json.dumps(document)
    findings(document, schema)
    assert json.dumps(document) == before
