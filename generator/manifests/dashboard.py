"""The Grafana dashboard of an experiment as data: which panels, in which order, with which queries.

Layout of the JSON is the templates' business. Rules followed: the scoreboard first, all variants in one panel, one
colour per variant everywhere, declared beside observed share, limits drawn, changes of weight annotated.
"""

from collections.abc import Iterator
from typing import NamedTuple

from generator import names
from generator.domain.model import Experiment, Metric
from generator.manifests.figures import number
from generator.manifests.queries import Queries

# One for each variant that the schema allows. First Okabe and Ito's palette, which colour-blind readers can tell apart;
# control is the blue of the eye's rest. Then those of Tol's and ColorBrewer's schemes that lie farthest from it and
# from each other (CIELAB; also as protanopes and deuteranopes see them), and stand out on Grafana's dark background.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999", "#DDCC77", "#882255",
    "#762A83", "#117733", "#999933", "#5AAE61",
)  # fmt: skip
_RATE = "$__rate_interval"
_RANGE = "$__range"
TOLERATED = "tolerated by the margin"  # no name of a variant has a space


class Query(NamedTuple):
    """One query of a panel. A `table` query is instant over the dashboard's range."""

    ref: str
    expr: str
    legend: str
    table: bool = False


class Panel(NamedTuple):
    """One panel: `kind` names the template that lays it out."""

    kind: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int
    height: int
    limit: str | None = None
    columns: tuple[tuple[str, str, str], ...] = ()
    id: int = 0
    x: int = 0
    y: int = 0


def colours(experiment: Experiment) -> tuple[tuple[str, str], ...]:
    """Return a fixed colour for each variant, control first."""
    return tuple((variant.name, colour) for variant, colour in zip(experiment.variants, _COLOURS, strict=False))


def panels(experiment: Experiment, queries: Queries) -> tuple[Panel, ...]:
    """Return all panels with their places on Grafana's grid of 24 columns."""
    return tuple(_placed(_panels(experiment, queries)))


def _placed(unplaced: Iterator[Panel]) -> Iterator[Panel]:
    x = y = row = 0
    for identity, panel in enumerate(unplaced, 1):
        if x + panel.width > 24:
            x, y, row = 0, y + row, 0
        yield panel._replace(id=identity, x=x, y=y)
        x, row = x + panel.width, max(row, panel.height)


def _panels(experiment: Experiment, queries: Queries) -> Iterator[Panel]:
    yield _scoreboard(experiment, queries)
    yield Panel(
        "timeseries",
        "Share of requests: declared and observed",
        "Dashed: the share that Git declares. Solid: the share that was counted.",
        "percentunit",
        (
            Query("A", queries.share(_RATE), "{{variant}}"),
            Query("B", f"max by (variant) ({queries.weight})", "{{variant}} declared"),
        ),
        12,
        9,
    )
    yield Panel(
        "timeseries",
        "Requests per second",
        "Requests that each variant counted.",
        "reqps",
        (Query("A", queries.requests("rate", _RATE), "{{variant}}"),),
        12,
        9,
    )
    for metric in experiment.metrics:
        yield from _metric(metric, queries)
    if len(experiment.serving) > 1:
        yield Panel(
            "timeseries",
            "Sample ratio mismatch",
            "Pearson's chi-squared of the observed against the declared split over 30 minutes. It is meaningless for "
            "30 minutes after a change of weights. Above the line, the split is broken and no comparison holds.",
            "short",
            (Query("A", queries.recorded(names.SRM), "chi-squared"),),
            24,
            7,
            limit=number(queries.critical),
        )


def _scoreboard(experiment: Experiment, queries: Queries) -> Panel:
    cells = [
        ("Declared", "percentunit", f"max by (variant) ({queries.weight})"),
        ("Observed", "percentunit", queries.share(_RANGE)),
        ("Requests", "locale", queries.requests("increase", _RANGE)),
    ]
    cells += [
        (
            metric.name,
            "percentunit" if metric.kind != "mean" else _unit(metric),
            queries.value(metric, _RANGE),
        )
        for metric in experiment.metrics
    ]
    refs = [chr(ord("A") + index) for index in range(len(cells))]
    return Panel(
        "table",
        "Scoreboard",
        "Over the time range of the dashboard. For the eye: a verdict needs statistics that hold under continuous "
        "checking, not a look at this table.",
        "short",
        tuple(Query(ref, expr, "", table=True) for ref, (_, _, expr) in zip(refs, cells, strict=True)),
        24,
        3 + len(experiment.variants),
        columns=tuple((ref, title, unit) for ref, (title, unit, _) in zip(refs, cells, strict=True)),
    )


def _metric(metric: Metric, queries: Queries) -> Iterator[Panel]:
    better = "Lower is better." if metric.direction == "lower" else "Higher is better."
    written = queries.figures.metrics[metric.name]
    margin = f"Tolerated, and drawn as a dashed line: {written.margin} % worse than control."
    goal = margin if metric.margin is not None else ""
    goal = f"Wanted: {written.mde} % better than control." if metric.mde is not None else goal
    quantiles = metric.histogram is not None and metric.quantiles
    shown = [Query("A", queries.value(metric, _RATE), "{{variant}}")]
    if metric.margin is not None:
        shown.append(Query("B", queries.tolerated(metric, _RATE), TOLERATED))
    yield Panel(
        "timeseries",
        f"{metric.name} ({_kind(metric)})",
        f"{metric.role.capitalize()}. {better} {goal}".strip(),
        "percentunit" if metric.kind != "mean" else _unit(metric),
        tuple(shown),
        12 if quantiles else 24,
        9,
        limit=written.limit if metric.limit is not None else None,
    )
    if quantiles:
        yield Panel(
            "timeseries",
            f"{metric.name}: 95th percentile",
            "Interpolated between bucket bounds, so it may be far off; no decision rests on it.",
            _unit(metric),
            (Query("A", queries.quantile(metric, 0.95, _RATE), "{{variant}}"),),
            12,
            9,
        )


def _kind(metric: Metric) -> str:
    if metric.kind == "latencyShare":
        unit = "s" if metric.unit == "seconds" else "ms"
        return f"share above {metric.bound:g} {unit}"
    return {"ratio": "ratio", "mean": "mean"}[metric.kind]


def _unit(metric: Metric) -> str:
    if metric.unit == "milliseconds":
        return "ms"
    return "s" if metric.histogram and "seconds" in metric.histogram.metric else "short"
