"""The form in which a cluster leaves objects: what is not in it, Argo CD reports as a difference for ever.

KServe's webhook decodes and encodes the whole object (Go's `omitempty` drops what is empty, quantities become
canonical) and rewrites old spellings; API servers write the defaults of a CRD.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from repositories import Document

_OLD_FORMS = {
    "huggingface",
    "lightgbm",
    "onnx",
    "paddle",
    "pmml",
    "pytorch",
    "sklearn",
    "tensorflow",
    "triton",
    "xgboost",
}
_QUANTITY = re.compile(r"0|([1-9][0-9]*)(|[num]|[kMGTPE]|[KMGTPE]i)")
# Maps and lists of free texts, the core group of the Gateway API, and Go's pointers.
_MAY_BE_EMPTY = {
    "annotations",
    "args",
    "group",
    "labels",
    "matchLabels",
    "nodeSelector",
    "parameters",
    "schemaPath",
    "values",
}


def differences(manifest: Document) -> Iterator[str]:
    """Say where an object is not in that form."""
    for path, value in _leaves(manifest, ()):
        if value in (None, "", [], {}) and not _MAY_BE_EMPTY.intersection(path) and path[-1:] != ("batcher",):
            yield f"{path} is empty"
    if manifest["kind"] == "InferenceService":
        yield from _inference_service(manifest)
    elif manifest["kind"] == "HTTPRoute":
        yield from _http_route(manifest["spec"])
    elif manifest["kind"] == "Route":
        yield from _lacking(manifest["spec"]["traffic"], "configurationName", "latestRevision", "percent", "tag")
    elif manifest["kind"] in {"ServiceMonitor", "PodMonitor"}:
        spec = manifest["spec"]
        for endpoint in spec.get("endpoints", spec.get("podMetricsEndpoints")):
            yield from (f"{one} has no action" for one in endpoint["relabelings"] if "action" not in one)
    elif manifest["kind"] == "GrafanaDashboard":
        yield from _lacking([manifest["spec"]], "allowCrossNamespaceImport", "resyncPeriod")


def _inference_service(manifest: Document) -> Iterator[str]:
    predictor, annotations = manifest["spec"]["predictor"], manifest["metadata"]["annotations"]
    model = predictor["model"]
    yield from (f"predictor.{old} is an old form" for old in _OLD_FORMS & predictor.keys())
    mode = annotations["serving.kserve.io/deploymentMode"]
    if mode not in {"Standard", "Knative"}:
        yield f"{mode} is an old name of a mode"
    if annotations.get("modelFormat", model["modelFormat"]["name"]) != model["modelFormat"]["name"]:
        yield "the annotation modelFormat is not the format"
    yield from _lacking([model], "runtime", "protocolVersion", "modelFormat")
    yield from (f"{port} has no protocol" for port in model["ports"] if port.get("protocol") != "TCP")
    yield from (f"{one} has an empty value" for one in model.get("env", ()) if one.get("value") == "")
    for part, amounts in model.get("resources", {}).items():
        yield from (f"{part}: {amount} is not canonical" for amount in amounts.values() if not is_canonical(amount))


def _http_route(spec: Document) -> Iterator[str]:
    yield from _lacking(spec["parentRefs"], "group", "kind", "namespace", "name")
    for rule in spec["rules"]:
        yield from _lacking(rule["backendRefs"], "group", "kind", "name", "port", "weight")
        for match in rule["matches"]:
            yield from _lacking([match["path"]], "type", "value")
            yield from _lacking(match.get("headers", []), "type", "name", "value")
        for one in rule.get("filters", ()):
            if one["type"] == "RequestMirror":
                yield from _lacking([one["requestMirror"]["backendRef"]], "group", "kind", "name", "port")


def is_canonical(amount: Any) -> bool:
    """Tell whether Kubernetes would write a quantity just so: a whole number with the largest suffix."""
    match = _QUANTITY.fullmatch(amount) if isinstance(amount, str) else None
    if match is None or match[1] is None:
        return match is not None
    step = 1024 if match[2].endswith("i") else 1000
    return match[2].startswith("E") or int(match[1]) % step != 0


def _lacking(nodes: list[Document], *keys: str) -> Iterator[str]:
    yield from (f"{node} has no {key}" for node in nodes for key in keys if key not in node)


def _leaves(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield scalars, and maps and lists without entries."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(node, list) and node:
        for index, value in enumerate(node):
            yield from _leaves(value, (*path, index))
    else:
        yield path, node
