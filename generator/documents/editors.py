"""The JSON Schemas for editors: of one file, where the shipped ones are of whole documents.

A file of an experiment is one layer of several, each a JSON merge patch (RFC 7386): what it leaves out another may say,
and null deletes. Lists are replaced whole, so what stands in one is whole. Keywords are those of JSON Schema 2020-12.
"""

from __future__ import annotations

import json
from typing import Any

from generator.documents import validate

Schema = dict[str, Any]


def text(kind: str) -> str:
    """Return the schema of a file of `experiment` or `environment` as JSON."""
    return _written(_SCHEMAS[kind]())


def merged(kind: str) -> str:
    """Return the schema of what the files of an experiment or environment come to as JSON."""
    return _written(validate.schema(kind))


def _written(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _experiment() -> Schema:
    whole = validate.schema("experiment")
    identity = whole["$id"].replace("/experiment.json", "/experiment-file.json")
    return {**_layer(whole, whole["$defs"]), "$id": identity, "$defs": _definitions("")}


def _environment() -> Schema:
    """Return the schema of an environment, which says of `defaults` what it says of an experiment's spec."""
    whole = validate.schema("environment")
    identity = whole["$id"].replace("/environment.json", "/environment-file.json")
    spec = whole["properties"]["spec"]
    experiment = validate.schema("experiment")
    layer = _layer(experiment["properties"]["spec"], experiment["$defs"], _PREFIX)
    fields = {**spec["properties"], "defaults": {**layer, **spec["properties"]["defaults"]}}
    properties = {**whole["properties"], "spec": {**spec, "properties": fields}}
    return {**whole, "$id": identity, "properties": properties, "$defs": {**whole["$defs"], **_definitions(_PREFIX)}}


_SCHEMAS = {"experiment": _experiment, "environment": _environment}
_PREFIX = "experiment."  # both schemas have definitions of the same name, of which one may not be null


def _definitions(prefix: str) -> dict[str, Schema]:
    whole = validate.schema("experiment")["$defs"]
    return {prefix + name: _deletable(one, whole, prefix) for name, one in whole.items()}


def _deletable(node: Schema, whole: Schema, prefix: str) -> Schema:
    """Return what a layer may say of a field, null included; a constant has no other value, and no other layer one."""
    layer = _layer(node, whole, prefix)
    if "type" in node:
        kinds = [node["type"]] if isinstance(node["type"], str) else node["type"]
        layer["type"] = [*kinds, "null"]
    if "enum" in node:
        layer["enum"] = [*node["enum"], None]
    return layer


def _layer(node: Schema, whole: Schema, prefix: str = "") -> Schema:
    layer = {keyword: value for keyword, value in node.items() if keyword not in _OF_A_WHOLE}
    if any(one.keys() <= _OF_A_WHOLE for one in node.get("anyOf", ())):
        del layer["anyOf"]
    if "$ref" in node:
        layer["$ref"] = node["$ref"].replace("#/$defs/", f"#/$defs/{prefix}")
    if "properties" in node:
        layer["properties"] = {name: _deletable(one, whole, prefix) for name, one in node["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):
        layer["additionalProperties"] = _deletable(node["additionalProperties"], whole, prefix)
    if "items" in node:
        layer["items"] = _inlined(node["items"], whole)
    return layer


_OF_A_WHOLE = frozenset(["required", "minProperties", "maxProperties"])


def _inlined(node: Any, whole: Schema) -> Any:
    """Return a schema that names no definition: those of a layer allow null."""
    if isinstance(node, list):
        return [_inlined(one, whole) for one in node]
    if not isinstance(node, dict):
        return node
    named = _inlined(whole[node["$ref"].removeprefix("#/$defs/")], whole) if "$ref" in node else {}
    return {**named, **{keyword: _inlined(value, whole) for keyword, value in node.items() if keyword != "$ref"}}
