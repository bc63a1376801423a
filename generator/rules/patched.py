"""What a patch makes of an InferenceService: the rules on the experiment's own fields again, and some for it alone.

A patch reaches every field. So what it leads to is read back as a variant, and every rule that the experiment passed is
asked once more. What no field of an experiment says is looked at in the object itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from generator import kserve
from generator.documents.document import Document
from generator.domain.experiments import setting
from generator.domain.model import asked
from generator.manifests import stored
from generator.problems import ERROR, Problem
from generator.rules import RULES
from generator.rules.service import LOGGER, MODEL, PREDICTOR, Service, variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.documents.load import Path
    from generator.domain.model import Environment, Experiment, Variant
    from generator.manifest import Manifest
    from generator.problems import Place


class _Field(NamedTuple):
    """What of an InferenceService one of a variant's settings becomes, and where the setting is in a `Variant`."""

    attributes: tuple[str, ...]
    paths: tuple[Path, ...]


_REPLICAS: dict[str | int, str] = {
    "min": "minReplicas",
    "max": "maxReplicas",
    "target": "scaleTarget",
    "metric": "scaleMetric",
}
_FIELDS: dict[str | int, _Field] = {
    "format": _Field(("format",), ((*MODEL, "modelFormat", "name"),)),
    "formatVersion": _Field(("format_version",), ((*MODEL, "modelFormat", "version"),)),
    "storageUri": _Field(("storage_uri",), ((*MODEL, "storageUri"),)),
    "storage": _Field(("storage",), ((*MODEL, "storage"),)),
    "args": _Field(("args",), ((*MODEL, "args"),)),
    "env": _Field(("env",), ((*MODEL, "env"),)),
    "resources": _Field(("requests", "limits"), ((*MODEL, "resources"),)),
    "replicas": _Field(("replicas",), tuple((*PREDICTOR, key) for key in _REPLICAS.values())),
    "batcher": _Field(("batcher",), ((*PREDICTOR, "batcher"),)),
    "logging": _Field(("logger",), (LOGGER,)),
    "podLabels": _Field(("pod_labels",), ((*PREDICTOR, "labels"), ("metadata", "labels"))),
    "podAnnotations": _Field(("pod_annotations",), ((*PREDICTOR, "annotations"), ("metadata", "annotations"))),
}

# Fields that an InferenceService has and this one must not. The webhook: inference_service_validation.go.
_UNWANTED: dict[Path, str] = {
    (*PREDICTOR, "name"): "it renames the Service that the route sends requests to",
    ("spec", "transformer"): "the route sends requests to the predictor, past a transformer",
    ("spec", "explainer"): "no route leads to an explainer",
    (*MODEL, "name"): "KServe's webhook refuses a name of the model's container",
    (*PREDICTOR, "storageUris"): "KServe's webhook refuses it beside storageUri, which policies and reviews look at",
}
# Annotations of an InferenceService that KServe reads, or seems to: "" is any value, and else that one harms.
_SCRAPING = "serving.kserve.io/enable-prometheus-scraping"
_ANNOTATIONS = (
    (_SCRAPING, "true", f"in Standard mode `{_SCRAPING}` points Prometheus at a port on which no pod listens"),
    ("serving.kserve.io/stop", "true", "it ends the model, and the route goes on sending requests to it"),
    ("serving.kserve.io/revisionTag", "", "KServe knows no such annotation"),
)
_LEAVE = "leave it out of the patch"

_Mistake = tuple[str, "Path", str, str]
"""A code, a path in the InferenceService, a message and a fix."""


def check(
    document: Document, experiment: Experiment, environment: Environment, manifests: Iterable[Manifest]
) -> tuple[Problem, ...]:
    """Say what is wrong with InferenceServices that was right without their patches, each thing once."""
    services = {
        one.planned.values["variant"].name: Service(one.planned.values, one.data)
        for one in manifests
        if one.planned.patch and isinstance(one.data, dict)
    }
    services = {name: service for name, service in services.items() if service.mapping(MODEL)}
    found = [
        problem(document, service.declared, code, path, message, fix)
        for service in services.values()
        for code, path, message, fix in _mistakes(service, environment.mode)
        if source(document, service.declared, path)
    ]
    view = _View(document, services)
    variants = tuple(_patched(view, services[one.name]) if one.name in services else one for one in experiment.variants)
    patched = experiment._replace(variants=variants)
    before = {one for rule in RULES for one in asked(rule, view, experiment, environment)}
    found += [one for rule in RULES for one in asked(rule, view, patched, environment) if one not in before]
    once: dict[tuple[str, Place], Problem] = {}
    for one in found:
        once.setdefault((one.code, one.place), one)
    return tuple(once.values())


def source(document: Document, variant: Variant, path: Path) -> Path | None:
    """Return what of a variant's patch says what stands at `path` of its InferenceService, or None.

    Where the patch puts a null, a list or a text in the place of a map, that is it.
    """
    node: Any = variant.patch
    for depth, part in enumerate(path):
        if not isinstance(node, dict):
            found = setting(document, variant.name, "patch", *path)
            return found if document.has(found) else setting(document, variant.name, "patch", *path[:depth])
        if part not in node:
            return None
        node = node[part]
    return setting(document, variant.name, "patch", *path)


def problem(
    document: Document, variant: Variant, code: str, path: Path, message: str, fix: str, severity: str = ERROR
) -> Problem:
    """Blame what a patch says at `path` of the InferenceService, or else the whole patch."""
    found = source(document, variant, path) or setting(document, variant.name, "patch")
    message = f"with this patch the InferenceService is wrong: {message}"
    return document.problem(code, found, message, fix, severity=severity)


def _patched(document: Document, service: Service) -> Variant:
    """Return the variant with what its patch makes of it. What a template of one's own does else is no patch's."""
    read = service.variant()
    touched = [
        name
        for field in _FIELDS.values()
        if any(source(document, service.declared, path) for path in field.paths)
        for name in field.attributes
    ]
    return service.declared._replace(**{name: getattr(read, name) for name in touched})


class _View(Document):
    """A document in which the settings of a patched variant stand where its patch says them."""

    def __init__(self, document: Document, services: dict[str, Service]) -> None:
        super().__init__(document.layers)
        self._services = services

    def has(self, path: Path) -> bool:
        """Let rules name a patched variant itself, wherever its setting was declared."""
        return self._service(path) is not None or super().has(path)

    def problem(
        self, code: str, path: Path, message: str, fix: str, *, key: bool = False, severity: str = ERROR
    ) -> Problem:
        """Make a problem about what a patch says, where it is about the setting of a patched variant."""
        service = self._service(path)
        if service is None:
            return super().problem(code, path, message, fix, key=key, severity=severity)
        keys = path[3:]
        places = [one for one in _places(service, keys) if source(self, service.declared, one)]
        if keys[:1] == ("replicas",) and len(keys) > 1:
            fix = f"{fix}; in a patch, `{keys[1]}` is `{_REPLICAS[keys[1]]}`"
        return problem(self, service.declared, code, (*places, ())[0], message, fix, severity)

    def _service(self, path: Path) -> Service | None:
        in_variant = path[:2] == ("spec", "variants") and len(path) > 2 and path[3:4] != ("patch",)
        return self._services.get(str(path[2])) if in_variant else None


def _places(service: Service, keys: Path) -> Iterator[Path]:
    """Yield where a setting may stand in an InferenceService, and then what it is a part of."""
    if not keys or keys[0] not in _FIELDS:
        return
    paths, inner = _FIELDS[keys[0]].paths, keys[1:]
    if keys[0] == "replicas" and inner:
        yield (*PREDICTOR, _REPLICAS[inner[0]])
        inner = ()
    elif keys[0] == "args" and inner:
        inner = ([*service.added("args")][int(inner[0])],)
    elif keys[0] == "env" and inner:
        inner = (max((at for at, one in service.added("env").items() if variable(one)[0] == inner[0]), default=0),)
    for length in range(len(inner), -1, -1):
        yield from ((*path, *inner[:length]) for path in paths)


def _mistakes(service: Service, mode: str) -> Iterator[_Mistake]:
    yield from _identity(service)
    yield from _unwanted(service, mode)
    yield from _settled(service)
    yield from _webhook(service, mode)
    for path, text in stored.texts(service.data):
        if "{{" in text:
            yield "PS348", path, "`{{` is read as a Go template by KServe's controller", "remove it"
    for path, message, fix in stored.differences(service.declared.patch):
        yield "PS352", path, f"{message}: Argo CD would report a difference for ever", fix


def _identity(service: Service) -> Iterator[_Mistake]:
    owned: tuple[tuple[Path, str], ...] = (
        (("metadata", "labels"), "labels"),
        (("metadata", "annotations"), "annotations"),
        ((*PREDICTOR, "labels"), "pod_labels"),
    )
    for path, part in owned:
        for key, value in service.planned[part]:
            if service.text((*path, key)) != value:
                yield "PS508", (*path, key), f"it changes `{key}`, by which Penstock knows the variant", _LEAVE


def _unwanted(service: Service, mode: str) -> Iterator[_Mistake]:
    for path, reason in _UNWANTED.items():
        if path[-1] in service.mapping(path[:-1]):
            yield "PS508", path, reason, _LEAVE
    for name, text, reason in _ANNOTATIONS:
        annotation: Path = ("metadata", "annotations", name)
        said = service.text(annotation)
        if said and said == (text or said) and (name != _SCRAPING or mode == kserve.STANDARD):
            yield "PS359", annotation, reason, _LEAVE


def _settled(service: Service) -> Iterator[_Mistake]:
    """A patch leaves alone what Penstock named the model by, and what it took the server for."""
    for key, kept in service.kept().items():
        found = service.entries((*MODEL, key))
        # The Service leads to the port that is declared first (service_reconciler.go); other orders mean nothing.
        if found[: len(kept)] != kept if key == "ports" else any(one not in found for one in kept):
            message = f"it replaces the list `{key}`, by which the server is named and scraped"
            yield "PS508", (*MODEL, key), message, _LEAVE
    variant, model = service.declared, service.mapping(MODEL)
    for key, value, reason in (
        ("runtime", variant.runtime.name, "Penstock chose names, paths and ports"),
        ("protocolVersion", service.planned["protocol"], "Penstock chose names, paths and ports"),
        ("storageUri", variant.storage_uri or None, "policies and reviews know the model"),
        ("storage", variant.storage or None, "policies and reviews know the model"),
    ):
        if model.get(key) != value:
            yield "PS508", (*MODEL, key), f"it changes `{key}`, by which {reason}", f"set {key} in the experiment"
    served = service.text((*MODEL, "modelFormat", "name"))
    if served != variant.format and served in variant.runtime.formats:
        message = "it changes the format, which an annotation says too"
        yield "PS508", (*MODEL, "modelFormat", "name"), message, "set format in the experiment"


def _webhook(service: Service, mode: str) -> Iterator[_Mistake]:
    """What KServe's webhook refuses in fields that no experiment has: component.go, inference_service_validation.go."""
    if (service.number((*PREDICTOR, "containerConcurrency")) or 0) < 0:
        yield "PS354", (*PREDICTOR, "containerConcurrency"), "containerConcurrency is below 0", "write 0 or more"
    if mode == kserve.KNATIVE and "deploymentStrategy" in service.mapping(PREDICTOR):
        message = "KServe's webhook refuses a deploymentStrategy in Knative mode"
        yield "PS508", (*PREDICTOR, "deploymentStrategy"), message, _LEAVE
    metrics: Path = (*PREDICTOR, "autoScaling", "metrics")
    for index, one in enumerate(service.entries(metrics) if mode == kserve.STANDARD else ()):
        if isinstance(one, dict) and one.get("type") != "Resource":
            message = f"without KEDA the autoscaler knows no metric of type `{one.get('type')}`"
            yield "PS354", (*metrics, index, "type"), message, "use `type: Resource`"
    for part in ("containers", "initContainers"):
        for index, one in enumerate(service.entries((*PREDICTOR, part))):
            yield from _container(one, (*PREDICTOR, part, index))


def _container(container: Any, path: Path) -> Iterator[_Mistake]:
    if not isinstance(container, dict):
        return
    if container.get("name") == "kserve-container" and "containers" in path:
        message = "KServe takes `kserve-container` for a second model server, and its webhook refuses two"
        yield "PS508", path, message, "patch `model` instead, or choose another name"
    env = container.get("env")
    for index, one in enumerate(env if isinstance(env, list) else ()):
        if variable(one)[0] == "PYTHONPATH":
            yield "PS359", (*path, "env", index), "KServe's webhook refuses PYTHONPATH", "build an own image instead"
