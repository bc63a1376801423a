from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jsonschema_rs
import pytest
import yaml

from generator.manifests.crds import Catalog, CrdError, canonical, compact, from_crd, read_file, read_folder

FOLDER = Path(__file__).parents[1] / "schemas" / "kubernetes"

OPEN = {"x-kubernetes-preserve-unknown-fields": True}
ABTEST = {"apiVersion": "example.com/v1", "kind": "Abtest", "metadata": {"name": "a"}}
KEY = ("example.com", "v1", "Abtest")


def crd(spec: dict[str, Any], **version: Any) -> dict[str, Any]:
    root = {"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}}
    versions = [{"name": "v1", "served": True, "schema": {"openAPIV3Schema": root}, **version}]
    names = {"kind": "Abtest", "plural": "abtests"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "abtests.example.com"},
        "spec": {"group": "example.com", "names": names, "versions": versions},
    }


def field(source: dict[str, Any]) -> Any:
    """Return what becomes of the schema of one field."""
    return compact({"type": "object", "properties": {"it": source}})["properties"]["it"]


def accepts(schema: dict[str, Any], document: object) -> bool:
    return jsonschema_rs.validator_for(schema).is_valid(document)


@pytest.mark.parametrize(
    ("source", "result"),
    [
        (
            {"type": "string", "description": "Text.", "title": "T", "format": "byte", "default": "x"},
            {"type": "string"},
        ),
        ({"type": "string", "x-kubernetes-validations": [{"rule": "self != ''"}]}, {"type": "string"}),
        ({"type": "string", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a"]}),
        ({"x-kubernetes-int-or-string": True}, {"type": ["integer", "string"]}),
        (
            {
                "x-kubernetes-int-or-string": True,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "nullable": True,
                "pattern": "^[0-9]+$",
            },
            {"type": ["integer", "string", "null"], "pattern": "^[0-9]+$"},
        ),
        (
            {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
            {"type": "integer", "exclusiveMinimum": 0},
        ),
        ({"type": "integer", "maximum": 9, "exclusiveMaximum": False}, {"type": "integer", "maximum": 9}),
        (
            {"type": "string", "pattern": "^(?i)(abort|warn)?$"},
            {"type": "string", "pattern": "(?i)^(abort|warn)?$"},
        ),
        ({"type": "string", "pattern": r"^\Qa.b\E$"}, {"type": "string"}),
        ({"type": "string", "pattern": "^[[:alpha:]]$"}, {"type": "string"}),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}),
        ({"type": "object", **OPEN}, {"type": "object"}),
        (OPEN, {}),
        ({"properties": {"a": OPEN}}, {"properties": {"a": {}}, "additionalProperties": False}),
        (
            {"not": {"anyOf": [{"type": "integer"}, {"type": "string"}]}},
            {"not": {"anyOf": [{"type": "integer"}, {"type": "string"}]}},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "integer", "description": "x"}},
            {"type": "object", "additionalProperties": {"type": "integer"}},
        ),
        (
            {
                "type": "object",
                **OPEN,
                "properties": {"a": {"type": "object", "properties": {"description": {}}}},
            },
            {
                "type": "object",
                "properties": {
                    "a": {"type": "object", "properties": {"description": {}}, "additionalProperties": False}
                },
            },
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}},
                "oneOf": [{"properties": {"a": {"minimum": 1}}}],
            },
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}},
                "oneOf": [{"properties": {"a": {"minimum": 1}}}],
                "additionalProperties": False,
            },
        ),
        (
            {"type": "array", "items": {"not": {"enum": [1]}}, "maxItems": 3},
            {"type": "array", "items": {"not": {"enum": [1]}}, "maxItems": 3},
        ),
    ],
)
def test_what_is_kept_of_a_field(source: dict[str, Any], result: dict[str, Any]) -> None:
    assert field(source) == result


def test_a_schema_has_one_spelling() -> None:
    shared: dict[str, Any] = {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}
    other: dict[str, Any] = {"type": "string", "pattern": "^[a-z]+(-[a-z]+)*$"}
    fields = {"c": shared, "d": shared, "e": other}
    node = {"properties": fields, "oneOf": [{"not": other}, other]}
    assert canonical({"b": 1, "a": [2]}) == b'{"a":[2],"b":1}\n'
    turned = {"oneOf": node["oneOf"], "properties": dict(reversed(fields.items()))}
    root: dict[str, Any] = {"type": "object"}
    assert canonical(compact({**root, **node})) == canonical(compact({**root, **turned}))


def test_a_resource_knows_its_identity_even_where_the_crd_does_not_name_it() -> None:
    fields = {"spec": {"type": "object"}, "status": {"type": "object"}}
    schema = compact({"type": "object", "properties": fields, "required": ["spec", "status"]})
    assert schema["required"] == ["apiVersion", "kind", "metadata", "spec"]
    assert accepts(schema, {**ABTEST, "spec": {}})
    assert not accepts(schema, ABTEST)
    assert not accepts(schema, {**ABTEST, "spec": {}, "status": {}})
    assert not accepts(schema, {"spec": {}})


@pytest.mark.parametrize(
    ("metadata", "fits"),
    [
        ({"name": "a", "namespace": "b", "labels": {"a/b": "c"}, "annotations": {"d": ""}}, True),
        (
            {"name": "a", "creationTimestamp": None, "finalizers": ["x"], "ownerReferences": [{"any": 1}]},
            True,
        ),
        ({"name": "a", "annotations": {"prometheus.io/scrape": True}}, False),
        ({"name": "a", "label": {}}, False),
        ([], False),
    ],
)
def test_metadata_is_that_of_kubernetes_whatever_the_crd_says(metadata: object, fits: bool) -> None:
    root = {"type": "object", "properties": {"metadata": {"type": "object"}}}
    assert accepts(compact(root), {**ABTEST, "metadata": metadata}) is fits


def test_an_embedded_resource_keeps_its_identity() -> None:
    schema = field(
        {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "string"}}}
    )
    assert sorted(schema["properties"]) == ["apiVersion", "kind", "metadata", "spec"]
    assert schema["required"] == ["apiVersion", "kind", "metadata"]


# Reading


def test_a_crd_gives_a_schema_for_each_version_that_is_served() -> None:
    document = crd({"type": "object"})
    document["spec"]["versions"] += [
        {**document["spec"]["versions"][0], "name": "v2", "served": False},
        {"name": "v3", "served": True},
    ]
    assert list(from_crd(document)) == [KEY]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "'[]' stands where a CustomResourceDefinition needs a mapping"),
        (
            {**crd({}), "apiVersion": "apiextensions.k8s.io/v1beta1"},
            "only a CustomResourceDefinition of apiextensions.k8s.io/v1 can be read",
        ),
        ({**crd({}), "spec": {"names": {"kind": "A"}}}, "a CustomResourceDefinition needs spec.group"),
        ({**crd({}), "spec": None}, "'None' stands where a CustomResourceDefinition needs a mapping"),
        (crd({"properties": []}), "'[]' stands where a CustomResourceDefinition needs a mapping"),
        (crd({"items": 3}), "'3' stands where a CustomResourceDefinition needs a mapping"),
        (crd({"enum": {1, 2}}), "the schema is not JSON data: Object of type set is not JSON serializable"),
    ],
)
def test_what_is_wrong_with_a_crd_is_said(document: object, message: str) -> None:
    with pytest.raises(CrdError) as caught:
        from_crd(document)
    assert str(caught.value) == message


def test_a_folder_may_hold_several_documents_lists_json_and_other_things(tmp_path: Path) -> None:
    def renamed(kind: str) -> dict[str, Any]:
        document = crd({"type": "object"})
        document["spec"]["names"]["kind"] = kind
        return document

    (tmp_path / "deep").mkdir()
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "a.yaml").write_text(
        "# empty\n---\n" + yaml.safe_dump_all([renamed("A"), {"kind": "Namespace"}, renamed("B")])
    )
    (tmp_path / "deep" / "list.yml").write_text(yaml.safe_dump({"kind": "List", "items": [renamed("C"), 1, {}]}))
    (tmp_path / "d.json").write_text(json.dumps(renamed("D")))
    (tmp_path / "README.md").write_text("{")
    assert [kind for _, _, kind in read_folder(tmp_path)] == ["A", "B", "D", "C"]


def test_yaml_that_trips_a_plain_loader_is_read_as_kubernetes_reads_it(tmp_path: Path) -> None:
    spec = "{type: object, properties: {op: {type: string, enum: [=, 2026-01-01]}, on: {type: string}}}"
    text = json.dumps(crd({})).replace('"spec": {}', f'"spec": {spec}')
    (tmp_path / "crd.yaml").write_text(text)
    schema = read_folder(tmp_path)[KEY]["properties"]["spec"]
    assert schema["properties"]["op"]["enum"] == ["=", "2026-01-01"]
    assert sorted(schema["properties"]) == ["op", "true"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "is not YAML: while parsing a flow node did not find expected node content"),
        (b"\xff\xfe\x00", "is not YAML: "),
        (b"a: !!python/object:os.system x", "is not YAML: could not determine a constructor"),
        (b"kind: CustomResourceDefinition", "a CustomResourceDefinition needs apiVersion"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(CrdError) as caught:
        read_folder(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'bad.yaml'}: {message}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CrdError) as caught:
        read_file(tmp_path / "a.yaml")
    assert str(caught.value) == f"{tmp_path / 'a.yaml'}: cannot be read: No such file or directory"


def test_a_kind_that_is_defined_twice_is_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(crd({"type": "object"})))
    with pytest.raises(CrdError) as caught:
        read_folder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'b.yaml'}: Abtest of example.com/v1 is already defined in {tmp_path / 'a.yaml'}"
    )


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CrdError, match="there is no such folder of CustomResourceDefinitions"):
        read_folder(tmp_path / "nowhere")


# The catalog


def test_a_catalog_says_yes_no_or_that_it_does_not_know() -> None:
    catalog = Catalog(str(FOLDER), {("v1", "ConfigMap"): "core/configmap.json"})
    good = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a.json": "{}"}}
    assert catalog.accepts("v1", "ConfigMap", good) is True
    assert catalog.accepts("v1", "ConfigMap", {**good, "date": {}}) is False
    assert catalog.accepts("v1", "ConfigMap", {**good, "data": {"a.json": 1}}) is False
    assert catalog.accepts("v1", "ConfigMap", {**good, "data": {1: "a"}}) is False
    assert catalog.accepts("v1", "Secret", good) is None
    assert catalog.schema("v1", "Secret") is None


def test_schemas_of_the_users_own_cluster_win(tmp_path: Path) -> None:
    own = from_crd(crd({"type": "string"}))
    catalog = Catalog(str(tmp_path), {("example.com/v1", "Abtest"): "missing.json"}, own)
    assert catalog.accepts("example.com/v1", "Abtest", {**ABTEST, "spec": "x"}) is True
    assert catalog.schema("example.com/v1", "Abtest") == own[KEY]
    assert Catalog(str(tmp_path), {}, {("", "v1", "Pod"): {"type": "object"}}).accepts("v1", "Pod", {}) is True


def test_a_catalog_reads_and_builds_each_schema_once_and_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Mock(wraps=jsonschema_rs.validator_for)
    monkeypatch.setattr(jsonschema_rs, "validator_for", build)
    catalog = Catalog(str(tmp_path), {("v1", "A"): "a.json", ("v1", "B"): "missing.json"})
    (tmp_path / "a.json").write_text('{"type": "object"}')
    assert catalog.accepts("v1", "A", {})
    (tmp_path / "a.json").unlink()
    assert not catalog.accepts("v1", "A", [])
    build.assert_called_once_with('{"type": "object"}')


@pytest.mark.parametrize("content", ["{", '{"type": "nothing"}'])
def test_a_schema_that_cannot_be_used_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(CrdError, match="the schema of A of v1 cannot be used"):
        Catalog(str(tmp_path), {("v1", "A"): "a.json"}).accepts("v1", "A", {})


@pytest.mark.parametrize("content", [None, b"{", b"\xff"])
def test_a_schema_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "a.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CrdError, match=f"{file}: the schema cannot be read"):
        Catalog(str(tmp_path), {("v1", "A"): "a.json"}).schema("v1", "A")


def test_the_module_loads_no_other_until_it_needs_it() -> None:
    code = "import sys, generator.manifests.crds; sys.exit(bool({'yaml', 'jsonschema_rs'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FOLDER.parents[1])
