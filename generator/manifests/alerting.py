"""The Prometheus rules of an experiment: what is recorded, and what wakes somebody."""

from typing import NamedTuple

from generator import names
from generator.domain.model import Environment, Experiment, Metric, Pairs
from generator.manifests.queries import LONG_WINDOW, SHORT_WINDOW, Queries


class Rule(NamedTuple):
    """A recording rule (`record`) or an alert (`alert`); the other one is empty."""

    expr: str
    labels: Pairs
    record: str = ""
    alert: str = ""
    hold: str = ""
    keep: str = ""
    summary: str = ""
    description: str = ""


def rules(experiment: Experiment, environment: Environment, queries: Queries) -> tuple[Rule, ...]:
    """Return all rules in order of evaluation: a group runs in sequence, so recordings come before their alerts."""
    return (*_recorded(experiment, environment, queries), *_alerts(experiment, environment, queries))


def _recorded(experiment: Experiment, environment: Environment, queries: Queries) -> list[Rule]:
    place = (("experiment", experiment.name), ("namespace", environment.namespace))
    # Constant series put the declared split into Prometheus in the same commit as the traffic, with no exporter.
    recorded = [
        Rule(f"vector({queries.figures.weights[variant.name]})", (*place, ("variant", variant.name)), names.WEIGHT)
        for variant in experiment.variants
    ]
    recorded.append(Rule(queries.requests("increase", LONG_WINDOW), place, names.REQUESTS))
    for metric in experiment.metrics:
        labels = (place[0], ("metric", metric.name), place[1])
        recorded += [
            Rule(queries.value(metric, window), labels, name)
            for name, window in ((names.SHORT, SHORT_WINDOW), (names.LONG, LONG_WINDOW))
        ]
        if metric.margin is not None and metric.kind != "mean":
            recorded.append(Rule(queries.numerator(metric, "increase", LONG_WINDOW), labels, names.EVENTS))
    if len(experiment.serving) > 1:
        recorded += [Rule(queries.expected(), (), names.EXPECTED), Rule(queries.chi_squared(), (), names.SRM)]
    return recorded


def _alerts(experiment: Experiment, environment: Environment, queries: Queries) -> list[Rule]:
    alerts = [alert for metric in experiment.metrics for alert in _guardrail(experiment, metric, queries)]
    alerts.append(
        _silence(
            names.ALERT_SILENT,
            queries.silent(),
            "has traffic, but counts no request",
            "No request of it was counted for 30 minutes. Its pods may be gone, or nothing scrapes them.",
        )
    )
    alerts += [
        _silence(
            names.ALERT_MISSING,
            queries.missing(metric),
            f"has requests, but no {metric.name}",
            f"The metric {metric.name} has no value for it. No data is no good news: no guardrail watches it.",
            ("metric", metric.name),
        )
        for metric in experiment.metrics
    ]
    if len(experiment.serving) > 1:
        alerts.append(_mismatch(queries))
    common = {"owner": experiment.owner, "experiment": experiment.name, "namespace": environment.namespace}
    declared = dict(environment.monitoring.alert_labels)
    return [alert._replace(labels=tuple(sorted((common | dict(alert.labels) | declared).items()))) for alert in alerts]


def _guardrail(experiment: Experiment, metric: Metric, queries: Queries) -> list[Rule]:
    # A mean of 0.6 s is 0.6 and not 600m, which is what humanize makes of it.
    shown = "humanizePercentage" if metric.kind != "mean" else 'printf "%.4g"'
    way = "above" if metric.direction == "lower" else "below"
    written = queries.figures.metrics[metric.name]
    alerts = []
    if metric.limit is not None:
        alerts.append(
            Rule(
                queries.over_limit(metric),
                (("metric", metric.name), ("severity", "critical")),
                alert=names.ALERT_LIMIT,
                hold="2m",
                keep="10m",
                summary=f"{experiment.name}/{{{{ $labels.variant }}}}: {metric.name} is {way} its limit",
                description=f"{metric.name} is {{{{ $value | {shown} }}}}; the limit is {written.share}.",
            )
        )
    if metric.margin is not None and experiment.candidates:
        alerts.append(
            Rule(
                queries.worse_than_control(metric),
                (("metric", metric.name), ("severity", "critical")),
                alert=names.ALERT_CONTROL,
                hold="5m",
                keep="10m",
                summary=f"{experiment.name}/{{{{ $labels.variant }}}}: {metric.name} is worse than "
                f"{experiment.control.name} by more than {written.margin} %",
                description=f"{metric.name} is {{{{ $value | {shown} }}}}, {way} what the guardrail tolerates. "
                "Consider a rollback.",
            )
        )
    return alerts


def _silence(name: str, expr: str, summary: str, description: str, *labels: tuple[str, str]) -> Rule:
    return Rule(
        expr,
        (*labels, ("severity", "warning")),
        alert=name,
        hold="15m",
        summary=f"{{{{ $labels.experiment }}}}/{{{{ $labels.variant }}}} {summary}",
        description=description,
    )


def _mismatch(queries: Queries) -> Rule:
    return Rule(
        queries.mismatch(),
        (("severity", "warning"),),
        alert=names.ALERT_SRM,
        hold="10m",
        summary="{{ $labels.experiment }}: requests do not split as declared",
        description="Sample ratio mismatch: chi-squared is {{ $value | humanize }}, which chance explains less than "
        "once in 100,000 times. Any comparison of variants is void until the reason is found.",
    )
