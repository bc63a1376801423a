"""What was rendered is read back and checked, as the cluster would read it: never what was meant.

A mistake in a template or in a patch is found here, by its object's path, before a byte is written.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from generator.documents.load import Path
from generator.manifest import Manifest, Rendered
from generator.manifests.crds import Catalog
from generator.manifests.readback import Reader

# k8s.io/apimachinery/pkg/util/validation: IsDNS1123Subdomain, IsQualifiedName, IsValidLabelValue.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")

# A ConfigMap above this needs server-side apply, for its copy in an annotation is limited to 262144 bytes; and the
# Prometheus Operator's ConfigMaps hold 524288 (prometheus-operator: pkg/operator/rules.go, MaxConfigMapDataSize).
MOST_CHARACTERS = 250_000

_MODEL: Path = ("spec", "predictor", "model")

# Fields of an InferenceService that exist, or once did, and that no experiment may use.
_FORBIDDEN: dict[Path, str] = {
    ("spec", "traffic"): "spec.traffic is no field of KServe; traffic is weights on the route",
    ("spec", "canary"): "spec.canary splits nothing before KServe 0.21, and hides variants from metrics and logger",
    ("spec", "predictor", "canaryTrafficPercent"): "canaryTrafficPercent compares with whatever the cluster rolled out "
    "last, so Git would not fix the split",
    **{
        ("spec", "predictor", old): f"`{old}:` is the old form, which KServe's webhook rewrites to `model:`"
        for old in (
            "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm",
            "paddle",
        )
    },
}  # fmt: skip


class Finding(NamedTuple):
    """A mistake in a rendered object, at a path in it; `pipeline` knows which file to blame."""

    code: str
    manifest: Manifest
    path: Path
    message: str
    fix: str


def verified(
    rendered: Iterable[Rendered], catalog: Catalog, reader: Reader
) -> tuple[tuple[Manifest, ...], list[Finding]]:
    """Read back and check everything; manifests are of use only if there are no findings."""
    manifests: list[Manifest] = []
    found: list[Finding] = []
    for one in rendered:
        manifest, unreadable = read(one, reader)
        manifests.append(manifest)
        found += unreadable or findings(manifest, catalog)
    return tuple(manifests), found


def read(rendered: Rendered, reader: Reader) -> tuple[Manifest, tuple[Finding, ...]]:
    """Read a rendered text back, and say why it is no YAML if so."""
    text, data, problems = reader.read(rendered.marked, rendered.planned.path)
    manifest = Manifest(rendered.planned, text, data)
    return manifest, tuple(
        Finding("PS502", manifest, (), f"it does not read back: {problem.message}", problem.fix) for problem in problems
    )


def findings(manifest: Manifest, catalog: Catalog) -> Iterator[Finding]:
    """Check one manifest that was read back."""
    identity, data = manifest.planned.id, manifest.data
    if not isinstance(data, dict) or not isinstance(data.get("metadata", {}), dict):
        yield Finding("PS502", manifest, (), "it is no Kubernetes object", "write a mapping")
        return
    yield from _size(manifest)
    yield from _identity(manifest, data)
    yield from _metadata(manifest, data)
    if manifest.planned.patch and not isinstance(_at(data, _MODEL), dict):
        yield Finding("PS508", manifest, _MODEL, "it takes away the model", "leave it out of the patch")
        return
    accepted = catalog.accepts(identity.api_version, identity.kind, data)
    if accepted is None:
        yield Finding("PS507", manifest, (), "its schema is not known", "give its CRD with --crds")
    elif not accepted:
        yield from _explained(manifest, data, catalog)
    yield from _BY_KIND.get(identity.kind, _nothing)(manifest, data)


def _identity(manifest: Manifest, data: dict[str, Any]) -> Iterator[Finding]:
    identity, metadata = manifest.planned.id, data.get("metadata", {})
    given = (
        data.get("apiVersion"),
        data.get("kind"),
        metadata.get("namespace", ""),
        metadata.get("name", ""),
    )
    if given == identity:
        return
    planned: tuple[tuple[Path, str, Any], ...] = (
        (("apiVersion",), identity.api_version, data.get("apiVersion")),
        (("kind",), identity.kind, data.get("kind")),
        (("metadata", "name"), identity.name, metadata.get("name", "")),
        (("metadata", "namespace"), identity.namespace, metadata.get("namespace", "")),
    )
    for path, expected, found in planned:
        if found != expected:
            yield Finding(
                "PS503",
                manifest,
                path,
                f"{path[-1]} is `{found}` instead of `{expected}`",
                "identity is Penstock's: write what the template that it ships writes",
            )


def _metadata(manifest: Manifest, data: dict[str, Any]) -> Iterator[Finding]:
    metadata, identity = data.get("metadata", {}), manifest.planned.id
    if identity.name and not (_NAME.fullmatch(identity.name) and len(identity.name) <= 253):
        yield Finding(
            "PS504",
            manifest,
            ("metadata", "name"),
            f"`{identity.name}` is no DNS name",
            "shorten or change it",
        )
    for part in ("labels", "annotations"):
        entries = metadata.get(part)
        for key, value in entries.items() if isinstance(entries, dict) else ():
            wrong = not _KEY.fullmatch(key) or not isinstance(value, str)
            if wrong or (part == "labels" and not _VALUE.fullmatch(value)):
                yield Finding(
                    "PS504",
                    manifest,
                    ("metadata", part, key),
                    f"`{key}: {value}` is not a valid entry of {part}",
                    "labels take at most 63 letters, digits, '-', '_' and '.'; all values are text",
                )


def _explained(manifest: Manifest, data: dict[str, Any], catalog: Catalog) -> Iterator[Finding]:
    from generator.documents import explain  # noqa: PLC0415 (imports jsonschema, which only a mistake needs)

    identity = manifest.planned.id
    schema = catalog.schema(identity.api_version, identity.kind) or {}
    for finding in explain.findings(data, schema):
        yield Finding("PS506", manifest, finding.path, finding.message, finding.fix)


def _nothing(_manifest: Manifest, _data: dict[str, Any]) -> Iterator[Finding]:
    return iter(())


def _inference_service(manifest: Manifest, data: dict[str, Any]) -> Iterator[Finding]:
    for path, reason in _FORBIDDEN.items():
        if _at(data, path) is not None:
            yield Finding("PS508", manifest, path, reason, "remove it")


def _config_map(manifest: Manifest, data: dict[str, Any]) -> Iterator[Finding]:
    for key, text in (data.get("data") or {}).items():
        if key.endswith(".json"):
            yield from _dashboard(manifest, ("data", key), text)


def _grafana_dashboard(manifest: Manifest, data: dict[str, Any]) -> Iterator[Finding]:
    yield from _dashboard(manifest, ("spec", "json"), _at(data, ("spec", "json")) or "")


def _dashboard(manifest: Manifest, path: Path, text: str) -> Iterator[Finding]:
    try:
        board = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield Finding("PS509", manifest, path, f"the dashboard is no JSON: {error}", "mend the template")
        return
    expected = (manifest.planned.values["uid"], manifest.planned.values["title"])
    if not isinstance(board, dict) or (board.get("uid"), board.get("title")) != expected:
        yield Finding(
            "PS509",
            manifest,
            path,
            f"the dashboard must have the uid `{expected[0]}` and the title `{expected[1]}`: two of one uid "
            "or title freeze Grafana's provider",
            "write {{ uid | j }} and {{ title | j }} in the template",
        )


def _size(manifest: Manifest) -> Iterator[Finding]:
    applied = not manifest.planned.id.api_version.startswith("kustomize.config.k8s.io/")
    if applied and len(manifest.text) > MOST_CHARACTERS:
        message = f"it has more than {MOST_CHARACTERS} characters, which client-side apply refuses"
        yield Finding("PS511", manifest, (), message, "use fewer metrics or variants")


def _at(data: Any, path: Path) -> Any:
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return None
        data = data[part]
    return data


_BY_KIND = {
    "InferenceService": _inference_service,
    "ConfigMap": _config_map,
    "GrafanaDashboard": _grafana_dashboard,
}
