from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.manifests import crds
from generator.manifests.crds import canonical, compact

OPEN = {"x-kubernetes-preserve-unknown-fields": True}
ABTEST = {"apiVersion": "example.com/v1", "kind": "Abtest", "metadata": {"name": "a"}}


def accepts(schema: dict[str, Any], document: object) -> bool:
    return jsonschema_rs.validator_for(schema).is_valid(document)


# What the API server does, written down a second time: `kept` is the law that compact schemas have to meet.

NAMES = st.sampled_from(["a", "b", "description", "properties", "type", "x"])
leaves = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 2, "nullable": True},
        {"type": "string", "enum": ["a", "bb"]},
        {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
        {"type": "boolean", "default": True},
        {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"type": "object"},
        {"type": "object", **OPEN},
        OPEN,
    ]
)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    shared = draw(inner)  # said twice, so that there is something to share
    fields = draw(st.dictionaries(NAMES, inner | st.just(shared), max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(fields)), unique=True)) if fields else []
    loose = draw(st.sampled_from([{}, {}, OPEN, {"nullable": True}]))
    return {
        "type": "object",
        "description": "An object.",
        "properties": fields,
        "required": required,
        **loose,
    }


structures = st.recursive(
    leaves,
    lambda inner: (
        objects(inner)
        | inner.map(lambda schema: {"type": "object", "additionalProperties": schema})
        | inner.map(lambda schema: {"type": "array", "items": schema, "maxItems": 2})
    ),
    max_leaves=12,
)
scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "bb"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
TYPES = {"string": str, "boolean": bool, "object": dict, "array": list, "integer": int}


def kept(schema: dict[str, Any], value: Any) -> bool:
    """Say whether the API server takes a value and drops nothing of it."""
    if value is None and ("type" in schema or "anyOf" in schema):
        return bool(schema.get("nullable")) and None in schema.get("enum", [None])
    if "anyOf" in schema:
        return isinstance(value, int | str) and not isinstance(value, bool)
    wanted: Any = TYPES.get(schema.get("type", ""), object)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        return False
    if isinstance(value, dict) and (wanted is dict or "properties" in schema):
        return kept_fields(schema, value)
    if isinstance(value, list) and "items" in schema:
        return len(value) <= schema["maxItems"] and all(kept(schema["items"], item) for item in value)
    return bool(
        value in schema.get("enum", [value])
        and ("minLength" not in schema or len(value) >= schema["minLength"])
        and ("minimum" not in schema or value > schema["minimum"])
    )


def kept_fields(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    fields, rest = schema.get("properties", {}), schema.get("additionalProperties")
    if not set(schema.get("required", ())) <= value.keys():
        return False
    if rest is None:
        known = "x-kubernetes-preserve-unknown-fields" in schema or value.keys() <= fields.keys()
        return known and all(kept(fields[name], item) for name, item in value.items() if name in fields)
    return all(kept(rest, item) for item in value.values())


@st.composite
def fitting(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """Draw a value that mostly fits, and goes wrong somewhere now and then."""
    if draw(st.integers(0, 9)) == 0:
        return draw(values)
    if schema.get("type") == "object":
        fields = {name: draw(fitting(sub)) for name, sub in schema.get("properties", {}).items()}
        extra = draw(st.dictionaries(NAMES, fitting(schema.get("additionalProperties", {})), max_size=1))
        return {**extra, **fields} if draw(st.integers(0, 9)) < 5 else fields
    if schema.get("type") == "array":
        return draw(st.lists(fitting(schema["items"]), max_size=2))
    return draw(
        st.sampled_from([{"string": "bb", "integer": 2, "boolean": True}.get(schema.get("type", ""), 1)]) | scalars
    )


@given(st.data(), structures)
def test_a_value_fits_exactly_when_the_server_would_keep_it(data: st.DataObject, source: dict[str, Any]) -> None:
    value = data.draw(fitting(source))
    root = {"type": "object", "properties": {"spec": source}}
    assert accepts(compact(root), {**ABTEST, "spec": value}) is kept(source, value)


@given(structures, st.data())
def test_an_unknown_field_is_refused_at_any_depth(source: dict[str, Any], data: st.DataObject) -> None:
    schema = compact({"type": "object", "properties": {"spec": source}})
    document = {**ABTEST, "spec": data.draw(fitting(source).filter(lambda value: kept(source, value)))}
    assert accepts(schema, document)
    for change in misspelt(source, document["spec"]):
        assert not accepts(schema, {**ABTEST, "spec": change})


def misspelt(schema: dict[str, Any], value: Any) -> list[Any]:
    """Return copies of a value with one unknown field each, at every place that is closed."""
    if isinstance(value, list) and "items" in schema:
        return [
            [*value[:index], change, *value[index + 1 :]]
            for index, item in enumerate(value)
            for change in misspelt(schema["items"], item)
        ]
    if not isinstance(value, dict) or "type" not in schema:
        return []
    rest = schema.get("additionalProperties")
    subs = {name: schema.get("properties", {}).get(name, rest) for name in value}
    deeper = [{**value, name: c} for name, sub in subs.items() if sub for c in misspelt(sub, value[name])]
    closed = rest is None and "x-kubernetes-preserve-unknown-fields" not in schema
    return [*deeper, {**value, "unknown": 1}] if closed else deeper


def unfolded(schema: Any, defs: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [unfolded(item, defs) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return unfolded(defs[schema["$ref"].removeprefix("#/$defs/")], defs)
    return {key: unfolded(value, defs) for key, value in schema.items() if key != "$defs"}


@given(structures)
def test_sharing_changes_no_meaning(source: dict[str, Any]) -> None:
    root = {
        "type": "object",
        "properties": {"one": source, "two": source, "three": {"type": "array", "items": source}},
    }
    shared = compact(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crds, "_WORTH_SHARING", 10**9)
        assert unfolded(shared, shared.get("$defs", {})) == compact(root)


@given(structures)
def test_what_is_long_is_said_once(source: dict[str, Any]) -> None:
    schema = compact({"type": "object", "properties": {"one": source, "two": source}})
    one, two = (json.dumps(schema["properties"][name]) for name in ("one", "two"))
    assert one == two
    assert len(one) <= 32 + len('{"$ref": "#"}') or "$ref" in one


@given(structures)
def test_equal_schemas_are_equal_bytes_whatever_the_order_of_their_keys(source: dict[str, Any]) -> None:
    def turned(value: Any) -> Any:
        return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    root = {"type": "object", "properties": {"one": source, "two": source}}
    assert canonical(compact(turned(root))) == canonical(compact(root))
    assert canonical(compact(root)).endswith(b"}\n")
