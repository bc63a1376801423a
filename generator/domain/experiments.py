"""Experiment documents become `model.Experiment`. What cannot be built is reported; `rules` checks the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator import names
from generator.documents.overlay import compose, merge
from generator.domain import metrics, rollouts
from generator.domain.environments import pairs, seconds
from generator.domain.model import Analysis, Batcher, Environment, Experiment, Logger, Replicas, Shadow, Variant
from generator.kserve import Runtime

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.documents.load import Path
    from generator.problems import Problem


UNKNOWN = Runtime("", {}, ())
"""What stands for a runtime that is not given, or not known."""


def read(document: Document, environment: Environment) -> tuple[Experiment, tuple[Problem, ...]]:
    """Build the experiment of a document that its schema accepts; with problems, `partial` tells what is sound."""
    spec, name = document.spec, document.name
    found = [*_traffic(document, spec)]
    variants = []
    for variant in _ordered(spec):
        built, problems = _variant(document, environment, spec, variant)
        found += problems
        variants.append(built)
    requests, measured, problems = metrics.read(document, environment, spec, variants[0])
    found += problems
    shadow = spec.get("shadow")
    return (
        Experiment(
            name=name,
            source=document.file,
            owner=spec["owner"],
            hypothesis=spec["hypothesis"],
            expires=spec["expires"],
            model_name=spec.get("modelName", name),
            hostname=spec.get("hostname", names.host(name, environment.routing.domain)),
            variants=tuple(variants),
            shadow=Shadow(shadow["variant"], shadow.get("percent", 100)) if shadow else None,
            requests=requests,
            metrics=measured,
            analysis=_analysis(spec.get("analysis", {}), environment),
            rps=spec.get("rps"),
            rollout=rollouts.read(spec, variants, measured=bool(measured)),
        ),
        tuple(found),
    )


def setting(document: Document, variant: str, *keys: str | int) -> Path:
    """Path of a model setting: under the variant where that sets it, else under spec.model."""
    own: Path = ("spec", "variants", variant, *keys)
    return own if document.has(own) else ("spec", "model", *keys)


def latest(document: Document, variant: str, *keys: str) -> Path:
    """Path of that of some model settings which was set last, and so made them not fit each other."""
    return document.last(setting(document, variant, key) for key in keys)


def _ordered(spec: dict[str, Any]) -> list[str]:
    """Control first, then by name, so that the order of lines in a file changes nothing."""
    return sorted(spec["variants"], key=lambda name: (name != spec["control"], name))


def _traffic(document: Document, spec: dict[str, Any]) -> list[Problem]:
    variants, traffic = spec["variants"], spec["traffic"]
    known = ", ".join(sorted(variants))
    found = [
        document.problem(
            "PS301",
            ("spec", "traffic", name),
            f"traffic goes to `{name}`, which is not a variant",
            f"use one of {known}, or declare {name} under variants",
            key=True,
        )
        for name in sorted(traffic.keys() - variants.keys())
    ]
    found += [
        document.problem(
            "PS302",
            ("spec", "traffic"),
            f"traffic does not say how much variant `{name}` gets",
            f"add `{name}: 0`, or its share",
            key=True,
        )
        for name in sorted(variants.keys() - traffic.keys())
    ]
    total = sum(traffic.values())
    if total != 100:
        found.append(
            document.problem(
                "PS303",
                ("spec", "traffic"),
                f"traffic sums to {total}, not to 100: {_sum(traffic)}",
                f"{'add' if total < 100 else 'take away'} {abs(100 - total)} somewhere",
                key=True,
            )
        )
    if spec["control"] not in variants:
        found.append(
            document.problem(
                "PS304",
                ("spec", "control"),
                f"control is `{spec['control']}`, which is not a variant",
                f"use one of {known}",
            )
        )
    return found


def _sum(traffic: dict[str, int]) -> str:
    return " + ".join(f"{name} {percent}" for name, percent in traffic.items())


def _variant(
    document: Document, environment: Environment, spec: dict[str, Any], name: str
) -> tuple[Variant, list[Problem]]:
    own = document.patch(("spec", "variants", name))
    settings: dict[str, Any] = merge(spec.get("model", {}), own)
    if "patch" in settings:
        settings["patch"] = compose(document.patch(("spec", "model", "patch")), own.get("patch", {}))
    found = [
        document.problem(
            "PS305",
            ("spec", "variants", name),
            f"variant `{name}` has no `{key}`",
            f"add {key} to spec.model for all variants, or to this one, for example `{key}: {example}`",
            key=True,
        )
        for key, example in (("format", "sklearn"), ("runtime", "kserve-sklearnserver"), ("protocol", "v2"))
        if key not in settings
    ]
    runtime = environment.runtimes.get(settings.get("runtime", ""), UNKNOWN)
    if runtime is UNKNOWN and "runtime" in settings:
        found.append(_unknown_runtime(document, environment, name, settings["runtime"]))
    logging = merge(spec.get("logging"), own.get("logging", {}))
    return _build(name, settings, runtime, logging, spec["traffic"].get(name, 0)), found


def _unknown_runtime(document: Document, environment: Environment, variant: str, runtime: str) -> Problem:
    return document.problem(
        "PS306",
        setting(document, variant, "runtime"),
        f"`{runtime}` is not a serving runtime that Penstock knows, so it cannot tell how the server takes the "
        "model's name or where its metrics are",
        f"use one of {', '.join(sorted(environment.runtimes))}; or declare your own under spec.runtimes of the "
        "environment",
    )


def _build(name: str, settings: dict[str, Any], runtime: Runtime, logging: dict[str, Any], traffic: int) -> Variant:
    resources = settings.get("resources", {})
    return Variant(
        name=name,
        format=settings.get("format", ""),
        format_version=settings.get("formatVersion", ""),
        runtime=runtime,
        runtime_version=settings.get("runtimeVersion", ""),
        protocol=settings.get("protocol", ""),
        storage_uri=settings.get("storageUri", ""),
        storage=settings.get("storage", {}),
        args=tuple(settings.get("args", ())),
        env=tuple(sorted(settings.get("env", {}).items())),
        requests=_quantities(resources.get("requests")),
        limits=_quantities(resources.get("limits")),
        replicas=_replicas(settings.get("replicas", {})),
        service_account=settings.get("serviceAccountName", ""),
        node_selector=pairs(settings.get("nodeSelector")),
        tolerations=tuple(settings.get("tolerations", ())),
        affinity=settings.get("affinity", {}),
        timeout=seconds(settings["timeout"], 0) if "timeout" in settings else None,
        batcher=_batcher(settings["batcher"]) if "batcher" in settings else None,
        logger=_logger(logging) if logging else None,
        pod_labels=pairs(settings.get("podLabels")),
        pod_annotations=pairs(settings.get("podAnnotations")),
        patch=settings.get("patch", {}),
        traffic=traffic,
    )


def _analysis(spec: dict[str, Any], environment: Environment) -> Analysis:
    return Analysis(
        assignment=spec.get("assignment", "perRequest"),
        design_effect=spec.get("designEffect"),
        bucket_label=spec.get("bucketLabel", ""),
        window=seconds(spec.get("window"), 600),
        settle=seconds(spec.get("settle"), environment.arrival),
        minimum_duration=seconds(spec.get("minimumDuration"), 0),
    )


def _quantities(mapping: dict[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(amount)) for name, amount in pairs(mapping))


def _replicas(spec: dict[str, Any]) -> Replicas:
    return Replicas(spec.get("min", 1), spec.get("max"), spec.get("target"), spec.get("metric", ""))


def _batcher(spec: dict[str, Any]) -> Batcher:
    return Batcher(spec.get("maxBatchSize"), spec.get("maxLatency"), spec.get("timeout"))


def _logger(spec: dict[str, Any]) -> Logger:
    return Logger(
        mode=spec.get("mode", ""),
        url=spec.get("url", ""),
        headers=tuple(spec.get("metadataHeaders", ())),
        annotations=tuple(spec.get("metadataAnnotations", ())),
        storage=spec.get("storage", {}),
    )
