"""Rules on resources and replicas: quantities, GPUs, the autoscaler, and what an unequal load does to a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import kserve, quantities
from generator.domain.experiments import setting
from generator.problems import WARNING

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment, Variant
    from generator.problems import Problem


def resources(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """Quantities are canonical, requests are within limits, and GPUs have a limit."""
    found = []
    for variant in experiment.variants:
        for part, amounts in (("requests", variant.requests), ("limits", variant.limits)):
            for name, amount in amounts:
                written = quantities.canonical(amount)
                if written and "/" in name and (quantities.value(amount) or 0) % quantities.ONE:
                    found.append(_fraction(document, variant, part, name, amount))
                elif written != amount:
                    found.append(_quantity(document, variant, part, name, amount, written))
        found += _bounds(document, variant)
    return found


def _quantity(document: Document, variant: Variant, part: str, name: str, amount: str, written: str | None) -> Problem:
    path = setting(document, variant.name, "resources", part, name)
    if written is None:
        return document.problem(
            "PS351",
            path,
            f"`{amount}` is not a quantity that Kubernetes takes",
            "write a number with a unit, such as 500m, 2 or 4Gi",
        )
    return document.problem(
        "PS352",
        path,
        f"`{amount}` is not the canonical form: the cluster stores `{written}`, and Argo CD would report a difference "
        "for ever",
        f'write `"{written}"`',
    )


def _fraction(document: Document, variant: Variant, part: str, name: str, amount: str) -> Problem:
    """Devices are whole: kubernetes/kubernetes, pkg/apis/core/validation: ValidateResourceQuantityValue."""
    return document.problem(
        "PS351",
        setting(document, variant.name, "resources", part, name),
        f"`{amount}` of {name} is a fraction, and Kubernetes gives out whole ones only",
        "write a whole number, such as 1",
    )


def _bounds(document: Document, variant: Variant) -> list[Problem]:
    limits = dict(variant.limits)
    found = _halves(document, variant)
    for name, amount in variant.requests:
        asked, limit = quantities.value(amount), quantities.value(limits.get(name, ""))
        extended = "/" in name
        if asked is None or (limit is None and not extended):
            continue
        if limit is None or (asked != limit if extended else asked > limit):
            found.append(
                document.problem(
                    "PS353",
                    setting(document, variant.name, "resources", "requests", name),
                    f"{amount} of {name} is requested, but the limit is {limits.get(name, 'not set')}",
                    f"write the same amount of {name} under limits" if extended else "raise the limit",
                )
            )
    return found


def _halves(document: Document, variant: Variant) -> list[Problem]:
    """The half of requests and limits that is left out stays the runtime's, and a pod refuses requests above limits."""
    found = []
    for name, default in kserve.RUNTIME_RESOURCES.items():
        asked, limit = dict(variant.requests).get(name), dict(variant.limits).get(name)
        if (asked is None) == (limit is None):
            continue
        part, amount = ("requests", asked) if limit is None else ("limits", limit)
        theirs, ours = quantities.value(default), quantities.value(amount or "")
        if ours is not None and theirs is not None and (ours > theirs if limit is None else ours < theirs):
            other = "limit" if limit is None else "request"
            found.append(
                document.problem(
                    "PS360",
                    setting(document, variant.name, "resources", part, name),
                    f"only the {part[:-1]} of {name} is set ({amount}); the runtime's own {other} of {default} stays, "
                    "and the pod would be refused",
                    f"set the {other} of {name} too",
                )
            )
    return found


def replicas(document: Document, experiment: Experiment, environment: Environment) -> list[Problem]:
    """The webhook's own rules (component.go, inference_service_validation.go), and what it lets pass wrongly."""
    found = []
    for variant in experiment.variants:
        found += [
            document.problem("PS354", setting(document, variant.name, "replicas", key), message, fix)
            for key, message, fix in _replica_mistakes(variant, environment.mode)
        ]
    return found


def _replica_mistakes(variant: Variant, mode: str) -> list[tuple[str, str, str]]:
    bounds, found = variant.replicas, []
    if bounds.maximum is not None and bounds.minimum > bounds.maximum:
        found.append(
            (
                "min",
                f"min is {bounds.minimum}, but max is {bounds.maximum}",
                "raise max, or lower min",
            )
        )
    allowed = ("cpu", "memory") if mode == kserve.STANDARD else ("concurrency", "rps")
    if bounds.metric and bounds.metric not in allowed:
        found.append(
            (
                "metric",
                f"in {mode} mode the autoscaler knows no `{bounds.metric}`",
                f"use {' or '.join(allowed)}",
            )
        )
    if bounds.minimum < 0:
        found.append(("min", f"min is {bounds.minimum}", "write 0 or more"))
    elif mode == kserve.STANDARD and bounds.minimum < 1:
        found.append(("min", "in Standard mode KServe makes 1 of min 0: nothing scales to zero", "write `min: 1`"))
    if mode == kserve.STANDARD and bounds.minimum == bounds.maximum and (bounds.target or bounds.metric):
        key = "target" if bounds.target else "metric"
        found.append((key, f"min and max are equal, so nothing scales and {key} means nothing", f"remove {key}"))
    elif bounds.metric == "memory" and not bounds.target:
        found.append(("metric", "memory has no default target in KServe", "add target, for example `target: 80`"))
    if mode == kserve.STANDARD and (bounds.target or 0) > 100:
        found.append(("target", f"target is a utilisation in percent, but is {bounds.target}", "use 1 to 100"))
    return found


def unequal_load(document: Document, experiment: Experiment, _: Environment) -> list[Problem]:
    """With fixed, equal replicas an unequal split loads pods unequally, and latency compares load, not models."""
    serving = experiment.serving
    if len(serving) < 2 or not any(metric.histogram for metric in experiment.metrics):
        return []
    fixed = [v for v in serving if v.replicas.maximum is not None and v.replicas.minimum == v.replicas.maximum]
    loads = [v.traffic / v.replicas.minimum for v in fixed if v.replicas.minimum]
    if len(loads) < len(serving) or max(loads) < 2 * min(loads):
        return []
    return [
        document.problem(
            "PS355",
            ("spec", "traffic"),
            f"the split loads a pod of one variant {max(loads) / min(loads):.3g} times as much as one of another, so "
            "latency metrics compare load as well as models",
            "let replicas scale (max above min), or give each variant replicas in proportion to its traffic",
            key=True,
            severity=WARNING,
        )
    ]
