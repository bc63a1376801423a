"""Turns CustomResourceDefinitions into compact, strict JSON Schemas, and answers questions from them.

A cluster drops a field that its CRD does not name, without a word; a strict schema makes a mistake of it. The
rules are those of Kubernetes' structural schemas and field pruning ("Extend the Kubernetes API with
CustomResourceDefinitions"). `python -m generator.manifests.crds SOURCE TARGET` writes the schemas that Penstock ships.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from generator.documents import compiled
from generator.problems import PenstockError

if TYPE_CHECKING:
    from pathlib import Path

    import jsonschema_rs
    import yaml

Schema: TypeAlias = dict[str, Any]
GroupVersionKind: TypeAlias = tuple[str, str, str]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MAP = "properties"
_SINGLES = frozenset({"additionalProperties", "items", "not"})
_CHOICES = frozenset({"allOf", "anyOf", "oneOf"})
_CONDITIONS = _CHOICES | {"not"}
_LIMITS = frozenset({f"{end}{what}" for end in ("min", "max") for what in ("Length", "Items", "Properties")})
_KEPT = _LIMITS | _SINGLES | _CHOICES | {_MAP, "required", "enum", "multipleOf", "uniqueItems"}

_OPEN = "x-kubernetes-preserve-unknown-fields"
_RESOURCE = "x-kubernetes-embedded-resource"
_TWO_TYPES = "x-kubernetes-int-or-string"
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_WORTH_SHARING = 32  # characters; a reference alone takes 22

_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "nullable": True}
_NUMBER: Schema = {"type": "integer"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_TEXT_MAP: Schema = {"type": "object", "additionalProperties": _TEXT}
_ANYTHING: Schema = {"type": "object", _OPEN: True}
_OBJECTS: Schema = {"type": "array", "items": _ANYTHING}


def _fields(*groups: tuple[Schema, str]) -> Schema:
    return {name: schema for schema, names in groups for name in names.split()}


# ObjectMeta of k8s.io/apimachinery: the server knows these fields, whatever a CRD says of `metadata`.
_METADATA: Schema = {
    "type": "object",
    "properties": _fields(
        (_TEXT, "name generateName namespace selfLink uid resourceVersion"),
        (_TIME, "creationTimestamp deletionTimestamp"),
        (_NUMBER, "generation deletionGracePeriodSeconds"),
        (_TEXT_MAP, "labels annotations"),
        (_TEXTS, "finalizers"),
        (_OBJECTS, "managedFields ownerReferences"),
    ),
}
_IDENTITY = _fields((_TEXT, "apiVersion kind"), (_METADATA, "metadata"))


class CrdError(PenstockError):
    """A CRD, or a schema made from one, that cannot be used."""


class NoCrdError(CrdError):
    """A folder in which nothing is a CRD."""

    exit_code = 2


def compact(openapi_schema: Mapping[str, Any]) -> Schema:
    """Return a draft 2020-12 schema that says yes where the API server would keep every field as written.

    Not carried over, so that a cluster may refuse what this accepts: CEL rules (`x-kubernetes-validations`),
    formats, list types (set and map), and patterns that only Go can compile. Descriptions and defaults are
    dropped. `status` is an unknown field, because a rendered object has none.
    """
    root = _mapping(openapi_schema)
    fields = {name: sub for name, sub in _mapping(root.get(_MAP, {})).items() if name != "status"}
    required = [name for name in root.get("required", []) if name != "status"]
    return _shared(_strict({**root, _MAP: fields, "required": required, _RESOURCE: True}))


def canonical(schema: Schema) -> bytes:
    """Return the one spelling of a schema: equal schemas are equal files."""
    return f"{_line(schema)}\n".encode()


def from_crd(document: object) -> dict[GroupVersionKind, Schema]:
    """Return the schema of each version that a CustomResourceDefinition serves, where it has one."""
    if _at(document, "apiVersion") != "apiextensions.k8s.io/v1":
        raise CrdError("only a CustomResourceDefinition of apiextensions.k8s.io/v1 can be read")
    group, kind = _at(document, "spec.group"), _at(document, "spec.names.kind")
    served = [v for v in map(_mapping, _at(document, "spec.versions")) if v.get("served", True)]
    sources = {_at(v, "name"): _mapping(v.get("schema", {})).get("openAPIV3Schema") for v in served}
    return {(group, name, kind): compact(_json(source)) for name, source in sources.items() if source}


def read_file(path: Path) -> dict[GroupVersionKind, Schema]:
    """Read the CustomResourceDefinitions of a YAML or JSON file, also from a `List` as kubectl prints it."""
    schemas: dict[GroupVersionKind, Schema] = {}
    try:
        for document in _definitions(_documents(path)):
            schemas |= from_crd(document)
    except CrdError as error:
        raise CrdError(f"{path}: {error}") from error
    return schemas


def read_folder(folder: Path) -> dict[GroupVersionKind, Schema]:
    """Read every CustomResourceDefinition below a folder; other objects there are passed over."""
    if not folder.is_dir():
        raise CrdError(f"{folder}: there is no such folder of CustomResourceDefinitions")
    origins: dict[GroupVersionKind, Path] = {}
    schemas: dict[GroupVersionKind, Schema] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in _SUFFIXES and p.is_file()):
        found = read_file(path)
        for group, version, kind in sorted(found.keys() & origins.keys()):
            first = origins[group, version, kind]
            raise CrdError(f"{path}: {kind} of {group}/{version} is already defined in {first}")
        origins |= dict.fromkeys(found, path)
        schemas |= found
    if not schemas:
        raise NoCrdError(f"{folder}: no file below it holds a CustomResourceDefinition; name a folder with some")
    return schemas


class Catalog:
    """Says whether an object fits its kind's schema.

    `releases` maps (apiVersion, kind) to a file below `folder`. `extra` holds the user cluster's schemas as
    `read_folder` returns them, and wins. A file is read, and its validator built, when it is first asked for, and once
    for all catalogues: environments of one version share them.
    """

    def __init__(
        self,
        folder: str,
        releases: Mapping[tuple[str, str], str],
        extra: Mapping[GroupVersionKind, Schema] | None = None,
    ) -> None:
        self._files = {key: f"{folder}/{file}" for key, file in releases.items()}
        self._extra = {(f"{g}/{v}" if g else v, kind): s for (g, v, kind), s in (extra or {}).items()}
        self._validators: dict[tuple[str, str], jsonschema_rs.Validator] = {}

    def schema(self, api_version: str, kind: str) -> Schema | None:
        """Return the schema of a kind, or None where none is known."""
        key = (api_version, kind)
        if key in self._extra:
            return self._extra[key]
        return _read(self._files[key]) if key in self._files else None

    def accepts(self, api_version: str, kind: str, document: object) -> bool | None:
        """Say yes or no, or None where no schema is known: that is "not checked", never a yes."""
        key = (api_version, kind)
        if key not in self._validators:
            if key in self._extra:
                self._validators[key] = _validator(self._extra[key], f"{kind} of {api_version}")
            elif key in self._files:
                self._validators[key] = _validator_of(self._files[key], f"{kind} of {api_version}")
            else:
                return None
        return _fits(self._validators[key], document)


def _strict(source: object, *, structural: bool = True) -> Schema:
    schema = _resource(_mapping(source))
    kept = {key: value for key, value in schema.items() if key in _KEPT}
    kept |= _type(schema) | _bounds(schema) | _pattern(schema)
    if schema.get(_TWO_TYPES) and kept.get("anyOf") == _INT_OR_STRING:
        del kept["anyOf"]  # the type says it already
    if structural and _prunes(schema):
        kept["additionalProperties"] = False
    return _mapped(kept, lambda key, sub: _strict(sub, structural=structural and key not in _CONDITIONS))


def _resource(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Name the fields of a whole resource: a CRD may leave them out, the API server knows them anyway."""
    if not schema.get(_RESOURCE):
        return schema
    required = sorted({*schema.get("required", []), *_IDENTITY})
    return {**schema, _MAP: {**schema.get(_MAP, {}), **_IDENTITY}, "required": required}


def _prunes(schema: Mapping[str, Any]) -> bool:
    """Say whether the server drops unknown fields here: even from an object that names no field at all."""
    is_object = schema.get("type") == "object" or _MAP in schema
    return is_object and not schema.get(_OPEN) and "additionalProperties" not in schema


def _type(schema: Mapping[str, Any]) -> Schema:
    types = ["integer", "string"] if schema.get(_TWO_TYPES) else [schema["type"]] if "type" in schema else []
    if types and schema.get("nullable"):
        types.append("null")
    return {"type": types[0] if len(types) == 1 else types} if types else {}


def _bounds(schema: Mapping[str, Any]) -> Schema:
    """OpenAPI says `exclusiveMinimum: true` beside the number; JSON Schema says the number."""
    pairs = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
    return {strict if schema.get(strict) else bound: schema[bound] for bound, strict in pairs if bound in schema}


def _pattern(schema: Mapping[str, Any]) -> Schema:
    """Keep a pattern that Python can compile; a flag behind the leading `^`, as Go allows, goes before it."""
    pattern = re.sub(r"^\^(\(\?[is]+\))", r"\1^", schema.get("pattern", ""))
    return {"pattern": pattern} if pattern and _compiles(pattern) else {}


def _compiles(pattern: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # `[[:alpha:]]` compiles, but means something else
        try:
            re.compile(pattern)
        except (re.error, FutureWarning):
            return False
    return True


def _mapped(schema: Mapping[str, Any], change: Callable[[str, Any], Any]) -> Schema:
    """Return a copy whose sub-schemas went through `change`, called with the keyword each stands under."""
    result: Schema = {}
    for key, value in sorted(schema.items()):
        if key == _MAP:
            result[key] = {name: change(key, sub) for name, sub in sorted(_mapping(value).items())}
        elif key in _CHOICES:
            result[key] = [change(key, sub) for sub in value]
        else:
            result[key] = change(key, value) if key in _SINGLES and not isinstance(value, bool) else value
    return result


def _shared(root: Schema) -> Schema:
    """Move what is said more than once to $defs, numbered by first appearance."""
    distinct: dict[str, Schema] = {}
    top = _interned(root, distinct)
    uses = Counter(child for node in distinct.values() for child in _children(node))
    short: dict[int, Schema] = {}
    shared: dict[str, Schema] = {}
    for node in distinct.values():  # children come before their parents
        brief = _mapped(node, lambda _, sub: short[id(sub)])
        if uses[id(node)] > 1 and len(_line(brief)) > _WORTH_SHARING:
            shared[str(len(shared))] = brief
            brief = {"$ref": f"#/$defs/{len(shared) - 1}"}
        short[id(node)] = brief
    return {"$schema": _DIALECT, **short[id(top)]} | ({"$defs": shared} if shared else {})


def _interned(schema: Schema, distinct: dict[str, Schema]) -> Schema:
    """Return the one node for everything equal to `schema`, so that identity says equality further up."""
    node = _mapped(schema, lambda _, sub: _interned(sub, distinct))
    return distinct.setdefault(_line(_mapped(node, lambda _, sub: id(sub))), node)


def _children(node: Schema) -> list[int]:
    found: list[int] = []
    _mapped(node, lambda _, sub: found.append(id(sub)))
    return found


@cache
def _loader() -> type[yaml.SafeLoader]:
    """Build a loader for real CRDs: a bare `=`, which PyYAML refuses, is a text, and so is a date."""
    import yaml  # noqa: PLC0415 - a user without CRDs of their own never pays for it

    base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: type[yaml.SafeLoader] = type("CrdLoader", (base,), {})
    for tag in ("timestamp", "value"):
        loader.add_constructor(f"tag:yaml.org,2002:{tag}", _as_text)
    return loader


def _as_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


def _documents(path: Path) -> list[object]:
    import yaml  # noqa: PLC0415 - as above

    try:
        return list(yaml.load_all(path.read_bytes(), _loader()))
    except OSError as error:
        raise CrdError(f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise CrdError(f"is not YAML: {' '.join(str(error).split())}") from error


def _definitions(documents: Iterable[object]) -> Iterator[object]:
    for document in documents:
        if isinstance(document, Mapping) and document.get("kind") == "CustomResourceDefinition":
            yield document
        elif isinstance(document, Mapping) and isinstance(document.get("items"), list):
            yield from _definitions(document["items"])


def _at(document: object, path: str) -> Any:
    for key in path.split("."):
        document = _mapping(document).get(key)
    if document is None:
        raise CrdError(f"a CustomResourceDefinition needs {path}")
    return document


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise CrdError(f"{str(value)[:60]!r} stands where a CustomResourceDefinition needs a mapping")
    return value


def _json(value: object) -> Any:
    """Return plain JSON data, where a key such as `on`, true in YAML, is the text "true" as in Kubernetes."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise CrdError(f"the schema is not JSON data: {error}") from error


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@cache
def _read(path: str) -> Schema:
    try:
        schema: Schema = json.loads(_text(path))
    except ValueError as error:
        raise _unreadable(path, error) from error
    return schema


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> CrdError:
    return CrdError(f"{path}: the schema cannot be read: {error}")


def _validator(schema: Schema | str, name: str) -> jsonschema_rs.Validator:
    try:
        return compiled.validator(schema)
    except ValueError as error:
        raise CrdError(f"the schema of {name} cannot be used: {' '.join(str(error).split())}") from error


@cache
def _validator_of(file: str, name: str) -> jsonschema_rs.Validator:
    return _validator(_text(file), name)


def _fits(validator: jsonschema_rs.Validator, document: object) -> bool:
    try:
        return validator.is_valid(document)
    except ValueError:  # what JSON cannot say, such as a key that is a number, no API server takes
        return False


_INFERENCE_SERVICE = ("serving.kserve.io", "v1beta1", "InferenceService")
_HTTP_ROUTE = ("gateway.networking.k8s.io", "v1", "HTTPRoute")
_MONITORING = "prometheus-operator-v0.93.0"
_ARGO_CD = "argo-cd-v3.5.1"

# Every shipped file that comes from a CRD: the CRD's own file, and what is taken from it.
SHIPPED: Final[Mapping[str, tuple[str, GroupVersionKind]]] = {
    f"{folder}/{key[2].lower()}.json": (f"{source}.yaml", key)
    for folder, source, key in (
        ("kserve-v0.16.0", "kserve-v0.16.0/inferenceservices", _INFERENCE_SERVICE),
        ("kserve-v0.19.0", "kserve-v0.19.0/inferenceservices", _INFERENCE_SERVICE),
        ("kserve-v0.20.0", "kserve-v0.20.0/inferenceservices", _INFERENCE_SERVICE),
        ("gateway-api-v1.2.1", "gateway-api-v1.2.1/httproutes", _HTTP_ROUTE),
        ("gateway-api-v1.5.1", "gateway-api-v1.5.1/httproutes", _HTTP_ROUTE),
        (_MONITORING, f"{_MONITORING}/servicemonitors", ("monitoring.coreos.com", "v1", "ServiceMonitor")),
        (_MONITORING, f"{_MONITORING}/podmonitors", ("monitoring.coreos.com", "v1", "PodMonitor")),
        (_MONITORING, f"{_MONITORING}/prometheusrules", ("monitoring.coreos.com", "v1", "PrometheusRule")),
        (
            "grafana-operator-v5.24.0",
            "grafana-operator-v5.24.0/grafanadashboards",
            ("grafana.integreatly.org", "v1beta1", "GrafanaDashboard"),
        ),
        (_ARGO_CD, f"{_ARGO_CD}/applicationset-crd", ("argoproj.io", "v1alpha1", "ApplicationSet")),
        (_ARGO_CD, f"{_ARGO_CD}/appproject-crd", ("argoproj.io", "v1alpha1", "AppProject")),
        ("flux", "flux/gitrepositories", ("source.toolkit.fluxcd.io", "v1", "GitRepository")),
        ("flux", "flux/kustomizations", ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization")),
        ("knative-serving", "knative-serving-main/route", ("serving.knative.dev", "v1", "Route")),
    )
}


def generate(source: Path) -> dict[str, bytes]:
    """Return each file of `SHIPPED` made anew; `source` holds one folder of CRDs per project and version."""
    return {file: canonical(read_file(source / crd)[key]) for file, (crd, key) in SHIPPED.items()}


def main(arguments: list[str]) -> None:
    """Write the shipped schemas below a folder; those of `core` are kept by hand."""
    if len(arguments) != 2:
        raise SystemExit("usage: python -m generator.manifests.crds SOURCE TARGET")
    from pathlib import Path  # noqa: PLC0415 - a render does without

    source, target = map(Path, arguments)
    for file, content in generate(source).items():
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        (target / file).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
