"""Valid environments and experiments as data, as unlike each other as the schemas allow.

Every case is built to be accepted. Texts that hurt when they are taken for more stand where a text is free.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from metric_strategies import available, counters, metrics
from repositories import API, Case, Document
from vocabulary import (
    annotation_keys,
    durations,
    filled_texts,
    label_keys,
    label_values,
    maps,
    names,
    object_names,
    often,
    plain_texts,
    some,
    texts,
)

from generator import kserve
from generator.domain.sources import exposed

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

_SINKS = ("http://*.svc.cluster.local", "https://sink.example.com/events", "s3://logs")
_STORAGE = ("gs://models", "s3://models/shop", "storage://models", "hf://*.example.com")
_OWN_RUNTIMES: Document = {
    "sklearn-gpu": {"like": "kserve-sklearnserver", "port": 9000, "metricsPort": 9000},
    "kserve-tritonserver": {"like": "kserve-tritonserver", "modelNameFromArtifact": True},
    "null": {"like": "kserve-torchserve", "modelNameEnv": "NAME", "metricsPath": "/on"},
    "own.vllm": {"like": "kserve-vllmserver", "modelNameArgument": "--name", "metricsPort": 9001},
}


@st.composite
def cases(draw: DrawFn) -> Case:
    """Draw an environment and an experiment that it accepts."""
    environment = draw(environments())
    return Case(environment, draw(experiments(environment)))


@st.composite
def environments(draw: DrawFn) -> Document:
    """Draw an environment."""
    standard = draw(st.booleans() | st.just(value=True))
    spec: Document = {
        "namespace": draw(names(20) | st.sampled_from(("0", "1e3", "123"))),
        "kserve": {"version": draw(st.sampled_from(("0.16", "0.17.1", "0.19", "0.20", "0.21")))},
        "routing": draw(_routing(standard=standard)),
    }
    spec |= some(draw, cluster=st.sampled_from(("prod-eu", "1", "Null")))
    if not standard:
        spec["kserve"]["deploymentMode"] = "Knative"
    usable = available(knative=not standard, backend_filters=_filters(spec))
    spec["monitoring"] = draw(_monitoring(standard=standard)) | some(draw, requests=counters(usable))
    if draw(st.booleans()):
        spec["runtimes"] = _OWN_RUNTIMES
    if draw(st.booleans()):
        spec["policy"] = {"storage": list(_STORAGE), "loggers": list(_SINKS)}
    if draw(st.booleans()):
        spec["defaults"] = {"model": some(draw, serviceAccountName=object_names, timeout=durations)}
    name = draw(st.sampled_from(("production", "on", "a-b", "null")))
    return {"apiVersion": API, "kind": "Environment", "metadata": {"name": name}, "spec": spec}


@st.composite
def _routing(draw: DrawFn, *, standard: bool) -> Document:
    domain = draw(st.sampled_from(("example.com", "a.b", "0.1e3.example.org")))
    routing: Document = {"domain": domain} | some(
        draw,
        backend=st.just("gateway-api" if standard else "knative-route"),
        gatewayApiVersion=st.sampled_from(("1.2", "1.2.1", "1.5", "1.5.1")),
        timeout=durations,
        variantHeader=st.sampled_from(("x-variant", "on", "x")),
        servedByHeader=st.sampled_from(("x-served-variant", "null")),
        backendFilters=st.booleans(),
        variantHosts=st.booleans(),
    )
    if standard or draw(st.booleans()):
        routing["gateway"] = {
            "name": draw(object_names),
            "namespace": draw(st.sampled_from(("kserve", "on"))),
        }
        routing["gateway"] |= some(draw, sectionName=st.sampled_from(("https", "on")))
    return routing


@st.composite
def _monitoring(draw: DrawFn, *, standard: bool) -> Document:
    monitoring = some(
        draw,
        labels=maps(label_keys, label_values),
        monitor=st.sampled_from(("ServiceMonitor", "PodMonitor")),
        interval=st.sampled_from(("5s", "30s", "75s", "1m")),
        alertLabels=maps(st.sampled_from(("team", "severity", "Page", "_x", "on", "null")), texts),
    )
    if draw(st.booleans()):
        monitoring["dashboard"] = {"output": draw(st.sampled_from(("configMap", "grafanaDashboard", "none")))} | some(
            draw,
            labels=maps(label_keys, label_values),
            folder=filled_texts.map(lambda text: text[:100]),
            allowCrossNamespaceImport=st.booleans(),
        )
        monitoring["dashboard"]["instanceSelector"] = draw(maps(label_keys, label_values, least=1))
    return monitoring if standard else monitoring | {"monitor": "PodMonitor"}


@st.composite
def experiments(draw: DrawFn, environment: Document) -> Document:
    """Draw an experiment that the environment accepts."""
    place = environment["spec"]
    name, variants = draw(_names(place))
    spec: Document = {
        "control": draw(st.sampled_from(variants)),
        "variants": {variant: {} for variant in variants},
        "model": {},
        **draw(_words()),
        **some(draw, modelName=st.sampled_from(("on", "1e3", "A_b.c"))),
    }
    for settings in (
        _engines(place),
        _storage(place),
        _scale(place),
        _pods(),
        _resources(),
        _payloads(place),
    ):
        common, own = draw(settings)
        spec["model"] |= common.pop("model", {})
        spec |= common
        for variant in variants:
            spec["variants"][variant] |= draw(own)
    usable = _sources(place, spec)
    by_control = exposed(*_server(place, spec, spec["control"]))
    counted = "requests" in place["monitoring"] or (by_control and by_control[0] in usable)
    if not counted or draw(st.booleans()):
        spec["requests"] = draw(counters(usable))
    if _standard(place):
        spec |= some(draw, hostname=st.sampled_from(("shop.example.org", "a.b")))
    document = {"apiVersion": API, "kind": "Experiment", "metadata": {"name": name}, "spec": spec}
    return draw(measured(Case(environment, document))).experiment


@st.composite
def measured(draw: DrawFn, case: Case) -> Case:
    """Give the case other traffic, words, metrics and rollout: all that no server may notice."""
    case = copy.deepcopy(case)
    place, spec = case.environment["spec"], case.experiment["spec"]
    for key in ("shadow", "metrics", "rollout"):
        spec.pop(key, None)
    spec |= draw(_words())
    if draw(often):
        counted = spec.get("requests", place["monitoring"].get("requests", {}))
        spec["metrics"] = draw(metrics(_sources(place, spec), counted))
    spec["traffic"] = draw(traffic(list(spec["variants"])))
    idle = sorted(name for name, percent in spec["traffic"].items() if not percent)
    if idle and _standard(place) and draw(st.booleans()):
        spec["shadow"] = {"variant": draw(st.sampled_from(idle))}
        if kserve.version(place["routing"].get("gatewayApiVersion", "1.2")) >= (1, 3):
            spec["shadow"] |= some(draw, percent=st.sampled_from((1, 50, 100)))
    if len(spec["variants"]) == 2 and draw(st.booleans()):
        steps = draw(st.sets(st.integers(0, 100), min_size=1, max_size=5))
        spec["rollout"] = {"steps": sorted(steps)} | some(draw, soak=durations)
    return case


@st.composite
def traffic(draw: DrawFn, variants: list[str]) -> dict[str, int]:
    """Draw percentages that sum to 100, zeros among them, in any order."""
    cut = st.integers(0, 100) | st.sampled_from((0, 100))
    cuts = sorted(draw(st.lists(cut, min_size=len(variants) - 1, max_size=len(variants) - 1)))
    shares = [later - earlier for earlier, later in pairwise((0, *cuts, 100))]
    return dict(zip(draw(st.permutations(variants)), shares, strict=True))


@st.composite
def _words(draw: DrawFn) -> Document:
    return {
        "owner": draw(st.sampled_from(("recsys", "null", "a@b.c/d e", "1e3", "on"))),
        "hypothesis": draw(filled_texts),
        "expires": draw(st.sampled_from(("2099-12-31", "2096-02-29"))),
    }


@st.composite
def _names(draw: DrawFn, place: Document) -> tuple[str, list[str]]:
    """Draw names whose sum is at most what KServe takes, and sometimes just that."""
    mode = place["kserve"].get("deploymentMode", kserve.STANDARD)
    most = min(kserve.NAME_LIMIT[mode], kserve.NAME_AND_NAMESPACE_LIMIT[mode] - len(place["namespace"]))
    name = draw(names(min(40, most - 4)))
    variant = names(min(30, most - len(name) - 1)).filter(_is_no_other_object)
    number = draw(st.sampled_from((2, 3, 1, 2, 4, 5)))
    return name, draw(st.lists(variant, min_size=number, max_size=number, unique=True))


def _is_no_other_object(variant: str) -> bool:
    """Leave out what may be named like a route, or like KServe's Service of another variant."""
    return variant.partition("-")[0] != "experiment" and not variant.endswith("-predictor")


# The rest draws groups of settings: what stands beside or under spec.model, and how to draw a variant's own.
_Group = tuple[Document, "SearchStrategy[Document]"]
_nothing: SearchStrategy[Document] = st.just({})


@st.composite
def _engines(draw: DrawFn, place: Document) -> _Group:
    runtimes = _runtimes(place)
    protocol = draw(st.sampled_from(sorted({spoken for one in runtimes.values() for spoken in one.protocols})))
    speakers = {name: one for name, one in runtimes.items() if protocol in one.protocols}
    if protocol == "openai":  # whose paths are the server's own: one route needs one kind of server
        source = draw(st.sampled_from(sorted({one.source for one in speakers.values()})))
        speakers = {name: one for name, one in speakers.items() if one.source == source}
    # One monitor asks all variants for one path.
    path = draw(st.sampled_from(sorted({one.metrics_path for one in speakers.values()})))
    speakers = {name: one for name, one in speakers.items() if one.metrics_path == path}
    versioned = draw(st.booleans())

    @st.composite
    def engine(draw: DrawFn) -> Document:
        name = draw(st.sampled_from(sorted(speakers)))
        formats = speakers[name].formats
        form = draw(st.sampled_from(sorted(formats)))
        version = {"formatVersion": draw(st.sampled_from(formats[form]))} if versioned else {}
        return {"format": form, "runtime": name, "protocol": protocol} | version

    if draw(st.booleans()):
        return {"model": draw(engine())}, draw(st.sampled_from((_nothing, engine())))
    return {}, engine()


def _runtimes(place: Document) -> dict[str, kserve.Runtime]:
    """Return the runtimes whose model name can be set, or is promised."""
    installed = kserve.version(place["kserve"]["version"])
    bundled = {
        name: one
        for name, one in kserve.runtimes(installed).items()
        if one.since <= installed and (one.name_argument or one.name_env)
    }
    return bundled | {
        name: (like := kserve.RUNTIMES[own["like"]])._replace(
            port=own.get("port", like.port),
            metrics_port=own.get("metricsPort", like.metrics_port),
            metrics_path=own.get("metricsPath", like.metrics_path),
        )
        for name, own in place.get("runtimes", {}).items()
    }


@st.composite
def _storage(draw: DrawFn, place: Document) -> _Group:
    policy = "policy" in place
    uris = st.sampled_from(("gs://models/a", "s3://models/shop", "s3://models/shop/x", "hf://org.example.com/m"))
    odd = st.sampled_from(("gs://b/a#b:c,*&!%40=@[x](y);~$(z)", "pvc://on/---", "https://x.blob.core.windows.net/é"))
    if draw(st.booleans()):
        return {}, st.fixed_dictionaries({"storageUri": uris if policy else uris | odd})
    path = st.just("shop/v1") if policy else filled_texts
    storage: Document = {"key": "models"}
    if not policy:
        storage |= some(draw, parameters=maps(st.sampled_from(("type", "on", "1")), texts), schemaPath=texts)
    own = st.fixed_dictionaries({"storage": st.fixed_dictionaries({"path": path})})
    return {"model": {"storage": storage}}, own


@st.composite
def _scale(draw: DrawFn, place: Document) -> _Group:
    if _standard(place):
        target = st.sampled_from((1, 70, 100))
        replicas = st.sampled_from(({"min": 2, "max": 2}, {"min": 1}, {"max": 1}, {})) | st.fixed_dictionaries(
            {"max": st.just(9), "target": target},
            optional={"min": st.just(3), "metric": st.sampled_from(("cpu", "memory"))},
        )
    else:
        replicas = st.fixed_dictionaries(
            {},
            optional={
                "min": st.sampled_from((0, 1, 3)),
                "max": st.sampled_from((3, 10_000)),
                "target": st.sampled_from((1, 70, 1_000)),
                "metric": st.sampled_from(("concurrency", "rps")),
            },
        )
    settings = st.fixed_dictionaries({"replicas": replicas})
    return ({"model": draw(settings)}, _nothing) if draw(st.booleans()) else ({}, settings)


_ENV = {
    "LOG_LEVEL": plain_texts,
    "on": plain_texts,
    "_": plain_texts,
    "SECRET": st.just({"secretKeyRef": {"name": "a.b", "key": "on"}}),
    "CONFIG": st.just({"configMapKeyRef": {"name": "0", "key": "1e3", "optional": True}}),
    "FIELD": st.just({"fieldRef": {"fieldPath": "metadata.labels['penstock.dev/variant']"}}),
}
_TOLERATIONS = st.fixed_dictionaries(
    {"operator": st.just("Equal"), "key": label_keys, "value": label_values.filter(bool)},
    optional={
        "effect": st.sampled_from(("NoSchedule", "NoExecute")),
        "tolerationSeconds": st.sampled_from((0, 300)),
    },
) | st.just({"operator": "Exists"})


def _affinity(value: str) -> Document:
    term = {"matchExpressions": [{"key": "on", "operator": "In", "values": [value, "b"]}]}
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}},
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 7,
                    "podAffinityTerm": {
                        "topologyKey": "zone",
                        "labelSelector": {"matchLabels": {"y": value}},
                    },
                }
            ]
        },
    }


@st.composite
def _pods(draw: DrawFn) -> _Group:
    offers: dict[str, SearchStrategy[Any]] = {
        "args": st.lists(plain_texts, max_size=4),
        "env": st.fixed_dictionaries({}, optional=_ENV),
        "serviceAccountName": object_names,
        "nodeSelector": maps(label_keys, label_values),
        "tolerations": st.lists(_TOLERATIONS, max_size=2),
        "affinity": label_values.map(_affinity),
        "timeout": durations,
        "podLabels": maps(label_keys, label_values),
        "podAnnotations": maps(annotation_keys, plain_texts),
        "runtimeVersion": st.sampled_from(("v0.20.0", "1e3", "latest-gpu")),
    }
    settings = st.fixed_dictionaries({}, optional=offers)
    return {"model": draw(settings)}, draw(st.sampled_from((_nothing, settings)))


@st.composite
def _resources(draw: DrawFn) -> _Group:
    both = {"requests": {"cpu": "1500m", "memory": "1536Mi"}, "limits": {"cpu": 2, "memory": "128974848k"}}
    gpus = {"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": "1", "cpu": 1}}
    small = {"requests": {"cpu": "100m", "memory": "2Gi", "ephemeral-storage": "1k"}}
    resources = st.sampled_from((both, gpus, small, {"limits": {"memory": "3Ti"}}, {}))
    settings = st.fixed_dictionaries({"resources": resources})
    return draw(st.sampled_from((({"model": draw(settings)}, _nothing), ({}, settings), ({}, _nothing))))


@st.composite
def _payloads(draw: DrawFn, place: Document) -> _Group:
    """Draw logger and batcher: with a batcher, nothing logs responses."""
    batching = draw(st.booleans())
    mode = st.just("request") if batching else st.sampled_from(("all", "request", "response"))
    odd = st.sampled_from(("http://a.b/#:,*&!%40=@[x]", "https://é/---"))
    http = st.sampled_from(("http://dumper.a.svc.cluster.local", "https://sink.example.com/events/x"))
    sink = st.fixed_dictionaries({"url": http if "policy" in place else http | odd})
    bucket = st.fixed_dictionaries(
        {
            "url": st.just("s3://logs/a"),
            "storage": st.fixed_dictionaries(
                {
                    "path": filled_texts,
                    "key": st.just("on"),
                    "parameters": maps(st.sampled_from(("format", "on")), texts),
                },
                optional={"serviceAccountName": object_names},
            ),
        }
    )
    common: Document = {}
    own: dict[str, SearchStrategy[Any]] = {}
    if draw(often):
        common["logging"] = {"mode": draw(mode), **draw(sink | bucket)} | some(
            draw,
            metadataHeaders=st.sampled_from((["X-Request-Id", "On"], [])),
            metadataAnnotations=st.sampled_from((["1", "a/b"], [])),
        )
        own["logging"] = st.fixed_dictionaries({}, optional={"mode": mode, "metadataHeaders": st.just(["Null"])})
    if batching:
        sizes = {"maxBatchSize": st.just(32), "maxLatency": st.just(50), "timeout": st.just(60)}
        own["batcher"] = st.fixed_dictionaries({}, optional=sizes)
    return common, st.fixed_dictionaries({}, optional=own)


def _standard(place: Document) -> bool:
    return bool(place["kserve"].get("deploymentMode", kserve.STANDARD) == kserve.STANDARD)


def _filters(place: Document) -> bool:
    return bool(place["routing"].get("backendFilters", True))


def _sources(place: Document, spec: Document) -> list[str]:
    servers = [_server(place, spec, variant) for variant in spec["variants"]]
    return available(knative=not _standard(place), backend_filters=_filters(place), servers=servers)


def _server(place: Document, spec: Document, variant: str) -> tuple[str, str]:
    """Return whose metrics a variant's server exposes where a monitor gets to them, and its protocol."""
    settings = spec["model"] | spec["variants"][variant]
    runtime = _runtimes(place)[settings["runtime"]]
    mode = kserve.STANDARD if _standard(place) else kserve.KNATIVE
    return runtime.source if runtime.scrapable(mode) else "", settings["protocol"]
