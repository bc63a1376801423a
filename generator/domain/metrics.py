"""The metrics of an experiment: ready-made ones from `sources` and the user's own, as `model.Metric`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator import kserve
from generator.domain.model import Environment, Metric, Requests, Scope, Series, Variant
from generator.domain.sources import SOURCES, Preset, Source, exposed, presets

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.documents.load import Path
    from generator.problems import Problem

_OWN = ("events", "good", "total", "histogram", "buckets", "unit", "variantLabel")
_NEEDS = {"ratio": ("events",), "latencyShare": ("histogram", "above"), "mean": ("histogram",)}
_UNIT = {"seconds": 1.0, "milliseconds": 1000.0}
# Requests within 30 minutes below which an alert would judge noise (pyrra-dev/pyrra#1925 asks for such a guard).
_MINIMUM_REQUESTS = 100
# Labels by which queries select a variant's series (manifests/queries.py), by the kind of their scope.
_SELECTED = {
    "variant": ("namespace", "experiment", "variant"),
    "istio": ("destination_service_name", "destination_service_namespace"),
    "envoy": ("envoy_cluster_name",),
}
_NO_COUNTER = Requests((), Scope("variant"), "")


def read(
    document: Document, environment: Environment, spec: dict[str, Any], control: Variant
) -> tuple[Requests, tuple[Metric, ...], list[Problem]]:
    """Return the counter of requests, the metrics that are right, and what is wrong with either."""
    requests, found = _counter(document, environment, spec, control)
    metrics = []
    for name in sorted(spec.get("metrics", {})):
        metric, problems = _metric(document, environment, name, spec["metrics"][name], requests)
        found += problems
        metrics += [metric] if metric else []
    return requests, tuple(metrics), found


def counter(declared: dict[str, Any]) -> Requests:
    """Build what counts requests; without series where `counter_problems` finds something."""
    if "metric" in declared:
        return Requests((_series(declared),), _scope(declared), "")
    source = SOURCES.get(declared.get("use", ""))
    return Requests(source.requests, source.scope, declared["use"]) if source else _NO_COUNTER


def counter_problems(
    document: Document, path: Path, environment: Environment, declared: dict[str, Any]
) -> list[Problem]:
    """Return what is wrong with a counter of requests, declared at `path` of an experiment or an environment."""
    found = _either(document, path, declared, "metric")
    if found or "metric" in declared:
        return found or [*_scoped(document, path, declared), *_selected(document, path, declared, _scope(declared))]
    source = SOURCES.get(declared["use"])
    if source is None:
        return [_unknown(document, (*path, "use"), declared["use"], list(SOURCES))]
    return _available(document, environment, (*path, "use"), source)


def _counter(
    document: Document, environment: Environment, spec: dict[str, Any], control: Variant
) -> tuple[Requests, list[Problem]]:
    """Take the experiment's own counter, else the environment's, else that of control's server, if it has one."""
    if "requests" in spec:
        declared = spec["requests"]
        return counter(declared), counter_problems(document, ("spec", "requests"), environment, declared)
    if environment.monitoring.requests:
        return environment.monitoring.requests, []
    own = exposed(control.runtime.source, control.protocol)
    return counter({"use": own[0]}) if own else _NO_COUNTER, []


def _metric(
    document: Document, environment: Environment, name: str, spec: dict[str, Any], requests: Requests
) -> tuple[Metric | None, list[Problem]]:
    path: Path = ("spec", "metrics", name)
    found = [*_either(document, path, spec, "kind"), *_role(document, path, spec)]
    if found:
        return None, found
    if "use" in spec:
        return _ready_made(document, environment, name, spec)
    found = _own_problems(document, path, spec)
    if found:
        return None, found
    preset = Preset(
        spec["kind"],
        "",
        direction=spec.get("direction", "lower"),
        events=_some(spec, "events"),
        good=_some(spec, "good"),
        total=_some(spec, "total") or requests.series,
        histogram=_series(spec["histogram"]) if "histogram" in spec else None,
        buckets=tuple(spec.get("buckets", ())),
        unit=spec.get("unit", "seconds"),
    )
    scope = _own_scope(path, spec, requests)
    if scope is None:
        why = (
            "requests are counted at the gateway, whose labels these series lack; name what they are a share of, for "
            "example `total: {metric: impressions_total}`"
        )
        return None, [_needed(document, path, name, "total", why)]
    found = _selected(document, path, spec, scope)
    if found:
        return None, found
    return _finish(document, name, spec, preset, scope, "")


def _ready_made(
    document: Document, environment: Environment, name: str, spec: dict[str, Any]
) -> tuple[Metric | None, list[Problem]]:
    path: Path = ("spec", "metrics", name)
    known = presets()
    if spec["use"] not in known:
        return None, [_unknown(document, (*path, "use"), spec["use"], sorted(known))]
    source, preset = known[spec["use"]]
    found = _available(document, environment, (*path, "use"), source)
    found += [
        document.problem(
            "PS335",
            (*path, key),
            f"metric `{name}` is ready-made ({spec['use']}), so `{key}` is given already",
            f"remove {key}, or write the metric with kind instead of use",
            key=True,
        )
        for key in _OWN
        if key in spec
    ]
    if preset.kind == "latencyShare" and "above" not in spec:
        found.append(_needed(document, path, name, "above", f"{preset.summary}; for example `above: 250ms`"))
    if found:
        return None, found
    preset = preset._replace(total=preset.total or source.requests)
    return _finish(document, name, spec, preset, source.scope, spec["use"].partition("/")[0])


def _finish(
    document: Document, name: str, spec: dict[str, Any], preset: Preset, scope: Scope, source: str
) -> tuple[Metric | None, list[Problem]]:
    direction = spec.get("direction", preset.direction)
    if direction == "higher" and spec.get("margin", 0) >= 1:
        return None, [_endless_margin(document, name)]
    if preset.kind != "mean" and spec.get("limit", 0) > 1:
        return None, [_no_share(document, name, spec["limit"])]
    bound = _bound(spec["above"], preset.unit) if "above" in spec else None
    if bound is not None and preset.kind != "latencyShare":
        return None, [_not_a_share(document, name)]
    if bound is not None and preset.buckets and bound not in preset.buckets:
        return None, [_no_bucket(document, name, spec["above"], bound, preset)]
    is_ratio = preset.kind == "ratio"
    return (
        Metric(
            name=name,
            source=source,
            role=spec["role"],
            kind=preset.kind,
            direction=direction,
            scope=scope,
            events=preset.good or preset.events,
            total=preset.total if is_ratio else (),
            inverted=bool(preset.good),
            histogram=preset.histogram,
            quantiles=bool(preset.buckets) or preset.kind == "latencyShare",
            bound=bound,
            unit=preset.unit,
            mde=spec.get("mde"),
            margin=spec.get("margin"),
            limit=spec.get("limit"),
            floor=spec.get("floor"),
            baseline=spec.get("baseline"),
            minimum_requests=spec.get("minimumRequests", _MINIMUM_REQUESTS),
        ),
        [],
    )


def _bound(above: str, unit: str) -> float:
    """Read `250ms` or `1.5s` in the histogram's unit; rounded, so that 0.1 s is 100 ms and not 100.00000000000001."""
    in_seconds = float(above[:-2]) / 1000 if above.endswith("ms") else float(above[:-1])
    return round(in_seconds * _UNIT[unit], 9)


def above(bound: float, unit: str) -> str:
    """Write a bound in a histogram's unit as `above` takes it: `250ms`, `2.5s`."""
    in_seconds = bound / _UNIT[unit]
    return f"{in_seconds:.12g}s" if in_seconds >= 1 else f"{in_seconds * 1000:.12g}ms"


def _series(spec: dict[str, Any]) -> Series:
    labels = tuple(
        (label, (value,) if isinstance(value, str) else tuple(value))
        for label, value in sorted(spec.get("labels", {}).items())
    )
    return Series(spec["metric"], labels)


def _some(spec: dict[str, Any], key: str) -> tuple[Series, ...]:
    return (_series(spec[key]),) if key in spec else ()


def _scope(spec: dict[str, Any]) -> Scope:
    return Scope("label", spec["variantLabel"]) if "variantLabel" in spec else Scope("variant")


def _own_scope(path: Path, spec: dict[str, Any], requests: Requests) -> Scope | None:
    """Return how an own metric's series are told apart; None for events of a server over requests of a gateway."""
    gateway = {"istio": "istio_", "envoy": "envoy_"}.get(requests.scope.kind, "")
    if "variantLabel" in spec or "total" in spec:
        return _scope(spec)
    if all(part["metric"].startswith(gateway) for _, part in _parts(path, spec)):
        return requests.scope
    return _scope(spec) if "histogram" in spec else None


def _either(document: Document, path: Path, spec: dict[str, Any], own: str) -> list[Problem]:
    if ("use" in spec) != (own in spec):
        return []
    return [
        document.problem(
            "PS330",
            path,
            f"`{path[-1]}` needs either `use` (ready-made) or `{own}` (your own), "
            f"{'not both' if 'use' in spec else 'and has neither'}",
            f"keep one, for example `use: {'kserve/errors' if own == 'kind' else 'istio'}`",
            key=True,
        )
    ]


def _role(document: Document, path: Path, spec: dict[str, Any]) -> list[Problem]:
    success, guardrail = ["mde"], ["margin", "limit"]
    wanted, unfit = (success, guardrail) if spec["role"] == "success" else (guardrail, success)
    example = "mde: 0.05" if wanted is success else "margin: 0.2"
    found = []
    if not any(key in spec for key in wanted):
        found.append(_needed(document, path, str(path[-1]), " or ".join(wanted), f"for example `{example}`"))
    found += [
        document.problem(
            "PS333",
            (*path, key),
            f"metric `{path[-1]}` is a {spec['role']} metric, for which `{key}` means nothing",
            f"remove {key}, or change the role",
            key=True,
        )
        for key in unfit
        if key in spec
    ]
    return found


def _own_problems(document: Document, path: Path, spec: dict[str, Any]) -> list[Problem]:
    kind, name = spec["kind"], str(path[-1])
    found = [
        _needed(document, path, name, key, f"a metric of kind {kind} is made of it")
        for key in _NEEDS[kind]
        if key not in spec and not (key == "events" and "good" in spec)
    ]
    allowed = {"ratio": {"events", "good", "total"}, "latencyShare": {"histogram", "above", "buckets"}}
    unfit = {"events", "good", "total", "histogram", "above", "buckets"} - allowed.get(kind, {"histogram"})
    found += [
        document.problem(
            "PS333",
            (*path, key),
            f"metric `{name}` is of kind {kind}, for which `{key}` means nothing",
            f"remove {key}, or change the kind",
            key=True,
        )
        for key in sorted(unfit & spec.keys())
    ]
    if "events" in spec and "good" in spec:
        found.append(
            document.problem(
                "PS333",
                (*path, "good"),
                f"metric `{name}` counts both `events` and `good`",
                "keep one of them: events = total - good",
                key=True,
            )
        )
    if kind != "latencyShare" and "direction" not in spec:
        found.append(
            _needed(document, path, name, "direction", "say which way is better: `direction: higher` or lower")
        )
    return found + _scoped(document, path, spec)


def _scoped(document: Document, path: Path, spec: dict[str, Any]) -> list[Problem]:
    """Series that our monitor does not scrape carry no experiment label: without labels, experiments would mix."""
    if "variantLabel" not in spec:
        return []
    return [
        document.problem(
            "PS336",
            place,
            f"with variantLabel, `{part['metric']}` is not narrowed to this experiment by anything",
            "add labels that only this experiment's series have, for example `labels: {model: recommendation}`",
        )
        for place, part in _parts(path, spec)
        if not part.get("labels")
    ]


def _selected(document: Document, path: Path, spec: dict[str, Any], scope: Scope) -> list[Problem]:
    """A second matcher of a label that Penstock selects by would leave nothing, or nothing of one variant."""
    taken = _SELECTED.get(scope.kind, (scope.label,))
    found = [
        document.problem(
            "PS327",
            (*place, "labels", label),
            f"`{label}` is a label that Penstock itself selects the series of a variant by",
            "remove it; to count series with other labels, name the one that holds the variant: `variantLabel: ...`",
            key=True,
        )
        for place, part in _parts(path, spec)
        for label in part.get("labels", {})
        if label in taken or (label == "le" and place[-1] == "histogram")
    ]
    if scope.label == "le":
        found.append(
            document.problem(
                "PS327",
                (*path, "variantLabel"),
                "`le` holds the bounds of buckets, and so no variant",
                "name the label that holds the variant",
            )
        )
    if spec.get("histogram", {}).get("metric", "").endswith("_bucket"):
        name = spec["histogram"]["metric"]
        found.append(
            document.problem(
                "PS333",
                (*path, "histogram", "metric"),
                f"`{name}` names the buckets of a histogram, and Penstock adds `_bucket`, `_count` and `_sum` itself",
                f"write `metric: {name.removesuffix('_bucket')}`",
            )
        )
    return found


def _parts(path: Path, spec: dict[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    """Return what selects series of its own in a metric or a counter, and where that stands."""
    parts = [(path, spec)] if "metric" in spec else []
    return parts + [((*path, key), spec[key]) for key in ("events", "good", "total", "histogram") if key in spec]


def _needed(document: Document, path: Path, name: str, key: str, why: str) -> Problem:
    return document.problem("PS332", path, f"metric `{name}` has no {key}", f"add {key}: {why}", key=True)


def _not_a_share(document: Document, name: str) -> Problem:
    return document.problem(
        "PS333",
        ("spec", "metrics", name, "above"),
        f"metric `{name}` is no share over a bound, so `above` means nothing",
        "remove above, or use a latency metric",
        key=True,
    )


def _endless_margin(document: Document, name: str) -> Problem:
    return document.problem(
        "PS338",
        ("spec", "metrics", name, "margin"),
        f"metric `{name}` may fall by 100 % or more of control's value, so nothing can break its guardrail",
        "write a fraction below 1, for example `margin: 0.1`",
    )


def _no_share(document: Document, name: str, limit: float) -> Problem:
    percent = f", or `limit: {limit / 100:g}` for {limit:g} %" if limit <= 100 else ""
    return document.problem(
        "PS367",
        ("spec", "metrics", name, "limit"),
        f"metric `{name}` is a share, which is never above 1, so a limit of {limit:g} limits nothing",
        f"write a fraction, for example `limit: 0.01`{percent}",
    )


def _no_bucket(document: Document, name: str, wanted: str, bound: float, preset: Preset) -> Problem:
    near = sorted(preset.buckets, key=lambda bucket: abs(bucket - bound))[:2]
    choices = " or ".join(above(edge, preset.unit) for edge in sorted(near))
    return document.problem(
        "PS334",
        ("spec", "metrics", name, "above"),
        f"{wanted} is not a bucket bound of {preset.histogram.metric if preset.histogram else name}, so the share "
        "above it is not known",
        f"use {choices}; all bounds in {preset.unit}: {', '.join(f'{edge:g}' for edge in preset.buckets)}",
    )


def _unknown(document: Document, path: Path, name: str, known: list[str]) -> Problem:
    import difflib  # noqa: PLC0415 (start-up time: only mistakes need it)

    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return document.problem(
        "PS331", path, f"`{name}` is not a ready-made metric source", f"{hint}known: {', '.join(known)}"
    )


def _available(document: Document, environment: Environment, path: Path, source: Source) -> list[Problem]:
    if source.knative and environment.mode != kserve.KNATIVE:
        why = f"{source.summary} runs in Knative mode only, and {environment.name} is in {environment.mode} mode"
    elif source.scope.kind == "envoy" and not environment.routing.backend_filters:
        why = (
            "without filters on backends, Envoy Gateway merges all variants into one cluster, and its metrics tell no "
            "variant"
        )
    else:
        return []
    return [document.problem("PS337", path, why, "use a metric of the model servers, or change the environment")]
