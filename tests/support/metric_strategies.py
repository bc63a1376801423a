"""Strategies for metrics and for the counter of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from vocabulary import maps, names, some, texts

from generator.domain.sources import SOURCES, Preset, exposed, presets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypothesis.strategies import DrawFn, SearchStrategy
    from repositories import Document

_counters = st.sampled_from(("clicks_total", "job:clicks:sum", "on", "up", "_x", "C" * 200))
_labels = maps(
    st.sampled_from(("code", "path", "on", "le_", "job")),
    texts | st.lists(texts, min_size=1, max_size=3),
    least=1,
)
_effects = st.sampled_from((0.05, 1, 10, 0.000001, 0.333333333333))
_margins = st.sampled_from((0.05, 0.999, 0.000001, 0.333333333333))
_limits = st.sampled_from((0, 0.01, 1, 0.333333333333))
_sizes = _limits | st.sampled_from((2.5, 1_000_000))


def available(*, knative: bool, backend_filters: bool, servers: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Return the sources that an environment can have, and those that all servers, by source and protocol, expose."""
    shared = set.intersection(*(set(exposed(*one)) for one in servers)) if servers else set()
    return [
        name
        for name, source in SOURCES.items()
        if (knative or not source.knative)
        and (backend_filters or source.scope.kind != "envoy")
        and (name in shared or not source.by_server)
    ]


@st.composite
def counters(draw: DrawFn, usable: list[str]) -> Document:
    """Draw what counts requests."""
    if draw(st.booleans()):
        return {"use": draw(st.sampled_from(usable))}
    variant_label = draw(st.booleans())
    counter = draw(_series(labelled=variant_label))
    return counter | ({"variantLabel": "model_version"} if variant_label else {})


def metrics(usable: list[str], requests: Document) -> SearchStrategy[dict[str, Any]]:
    """Draw metrics of every kind, ready-made and own; over requests that a gateway counts, events need a total."""
    gateway = requests.get("use") in {"istio", "envoy-gateway"}
    ready = [name for name in presets() if name.partition("/")[0] in usable]
    kinds = _ready_made(ready) | _ratios(total=gateway) | _histograms("mean") | _histograms("latencyShare")
    return maps(names(40), kinds, least=1)


@st.composite
def _ready_made(draw: DrawFn, names_: list[str]) -> Document:
    name = draw(st.sampled_from(names_))
    preset = presets()[name][1]
    metric = (
        {"use": name}
        | draw(_goals(_sizes if preset.kind == "mean" else _limits))
        | some(draw, direction=st.sampled_from(("lower", "higher")))
    )
    if preset.kind == "latencyShare":
        metric["above"] = _bound(draw(st.sampled_from(preset.buckets)), preset)
    return metric


def _bound(bucket: float, preset: Preset) -> str:
    milliseconds = bucket if preset.unit == "milliseconds" else bucket * 1000
    return f"{milliseconds / 1000:g}s" if milliseconds >= 1000 else f"{milliseconds:g}ms"


@st.composite
def _goals(draw: DrawFn, limits: SearchStrategy[float] = _limits) -> Document:
    """Draw a role and what it asks for; a limit of a share unless others are given."""
    base = some(draw, minimumRequests=st.sampled_from((1, 200, 1_000_000_000)))
    if draw(st.booleans()):
        return {"role": "success", "mde": draw(_effects)} | base
    goal = some(draw, margin=_margins, limit=limits) or {"limit": draw(limits)}
    return {"role": "guardrail"} | goal | base


@st.composite
def _ratios(draw: DrawFn, *, total: bool) -> Document:
    scoped = draw(st.booleans())
    part = _series(labelled=scoped)
    metric: Document = {"kind": "ratio", "direction": draw(st.sampled_from(("lower", "higher")))}
    metric |= {draw(st.sampled_from(("events", "good"))): draw(part)}
    metric |= {"total": draw(part)} if total and not scoped else some(draw, total=part)
    return metric | draw(_goals()) | ({"variantLabel": "bool"} if scoped else {})


@st.composite
def _histograms(draw: DrawFn, kind: str) -> Document:
    scoped = draw(st.booleans())
    unit = draw(st.sampled_from(("seconds", "milliseconds", None)))
    metric = {"kind": kind, "histogram": draw(_series(labelled=scoped))}
    metric |= draw(_goals(_sizes if kind == "mean" else _limits))
    if kind == "latencyShare":
        metric["above"] = draw(st.sampled_from(("250ms", "0.25s")))
        metric |= some(draw, buckets=st.just([100, 250, 500.5] if unit == "milliseconds" else [0.1, 0.25, 1]))
    else:
        metric["direction"] = draw(st.sampled_from(("lower", "higher")))
    return metric | ({"unit": unit} if unit else {}) | ({"variantLabel": "variant"} if scoped else {})


@st.composite
def _series(draw: DrawFn, *, labelled: bool) -> Document:
    """Draw a counter; series that our own monitor does not scrape need labels."""
    series: Document = {"metric": draw(_counters)}
    return series | ({"labels": draw(_labels)} if labelled else some(draw, labels=_labels))
