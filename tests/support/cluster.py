"""What API servers would say, from real CustomResourceDefinitions: on purpose without Penstock's own reading of them.

A server drops a field that its CRD does not name, and writes defaults that an object leaves out. Here the one is a
mistake, and so is the other, for Argo CD would report the difference for ever.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from jsonschema import Draft4Validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from repositories import Document

_OPEN = "x-kubernetes-preserve-unknown-fields"
_LOGIC = {"allOf", "anyOf", "enum", "not", "oneOf", "required"}
_EITHER = "x-kubernetes-int-or-string"
_TEXT: Document = {"type": "string"}
_TEXTS: Document = {"type": "object", "additionalProperties": _TEXT}
_METADATA: Document = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
    "required": ["name"],
    "additionalProperties": False,
}


class Definition(NamedTuple):
    """A kind as one release of a project defines it; `release` is the name of the folder."""

    release: str
    api_version: str
    kind: str
    schema: Document
    validator: Any

    @property
    def version(self) -> tuple[int, ...]:
        """Return the release's number; a snapshot of the main branch is newer than any."""
        found = re.search(r"-v(\d+)\.(\d+)", self.release)
        return (int(found[1]), int(found[2])) if found else (99,)

    def mistakes(self, manifest: Document) -> list[str]:
        """Say what a strict server would refuse, and what it would write itself."""
        wrong = [f"{error.json_path}: {error.message[:300]}" for error in self.validator.iter_errors(manifest)]
        fields = {name: field for name, field in self.schema["properties"].items() if name != "status"}
        return wrong + [f"{path} is left to its default" for path in _defaulted({"properties": fields}, manifest, "$")]


def documents(text: bytes) -> list[Document]:
    """Read YAML that a Go program wrote."""
    return [document for document in yaml.load_all(text, _Loader) if document]


def files(folder: Path, kinds: Iterable[str]) -> list[Path]:
    """Return the files of a folder that define some kinds; its sub-folders are named by project and release."""
    words = [f"kind: {kind}\n".encode() for kind in kinds]
    return [one for one in sorted(folder.glob("*/*.yaml")) if any(map(one.read_bytes().__contains__, words))]


def definitions(file: Path) -> Iterator[Definition]:
    """Read the CRDs of a file."""
    for document in documents(file.read_bytes()):
        spec = document["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            validator = Draft4Validator(_root(_strict(schema)))
            api_version = f"{spec['group']}/{version['name']}"
            yield Definition(file.parent.name, api_version, spec["names"]["kind"], schema, validator)


def _root(schema: Document) -> Document:
    """Add what a server knows of every object; no rendered object has a status."""
    known = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _METADATA}
    fields = {name: field for name, field in schema["properties"].items() if name != "status"}
    return schema | {"properties": fields | known, "required": [*known]}


def _strict(schema: Any) -> Any:
    """Close every object that names its fields."""
    if not isinstance(schema, dict):
        return schema
    strict: Document = {}
    for key, value in schema.items():
        if key == "properties":
            strict[key] = {name: _strict(one) for name, one in value.items()}
        elif key in {"items", "additionalProperties"}:
            strict[key] = _strict(value)
        elif key in {"oneOf", "anyOf", "allOf", "not", "enum", "required", "minimum", "maximum"} or key.startswith(
            ("min", "max")
        ):
            strict[key] = value
    if schema.get("type") and not schema.get(_EITHER):
        strict["type"] = schema["type"]
    if "pattern" in schema and not schema["pattern"].startswith("^(?i)"):  # which Python takes for a mistake
        strict["pattern"] = schema["pattern"]
    if "properties" in schema and not schema.get(_OPEN):
        strict.setdefault("additionalProperties", False)
    return strict


def _defaulted(schema: Document, value: Any, path: str) -> Iterator[str]:
    """Yield the fields that a server would add."""
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        for name, field in fields.items():
            if "default" in field and name not in value:
                yield f"{path}.{name}"
        for name, inner in value.items():
            field = fields.get(name, schema.get("additionalProperties"))
            if isinstance(field, dict):
                yield from _defaulted(field, inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _defaulted(schema.get("items", {}), inner, f"{path}[{index}]")


class _Loader(yaml.CSafeLoader):
    """Reads `=` and `<<`, which Go writes without quotes, as texts."""


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:value", _text)
_Loader.add_constructor("tag:yaml.org,2002:merge", _text)
