"""Rendered rules and queries, judged by promtool: do they parse, what do they record, whom do they wake?"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import promql_parser
import pytest
from prometheus import (
    NAMESPACE,
    Document,
    Monitoring,
    environment,
    experiment,
    instant,
    monitoring,
    promtool,
    rendered,
    write,
)

from generator import names
from generator.domain.sources import SOURCES
from generator.manifests import queries

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.needs("promtool")

REPOSITORY = Path(__file__).resolve().parent.parent

# Every query parses


RATIO: Document = {"role": "guardrail", "kind": "ratio", "direction": "lower", "margin": 0.2, "limit": 0.05}
LATENCY: Document = {"role": "guardrail", "kind": "latencyShare", "margin": 0.2, "limit": 0.5}
MEAN: Document = {"role": "guardrail", "kind": "mean", "direction": "lower", "margin": 0.2, "limit": 0.5}
OWN: Document = {
    "failures": {**RATIO, "events": {"metric": "failures_total"}},
    "successes": {**RATIO, "good": {"metric": "answers_total", "labels": {"status": ["2*", "3*"]}}},
    "buys": {
        "role": "success",
        "kind": "ratio",
        "direction": "higher",
        "mde": 0.05,
        "events": {"metric": "buys_total"},
        "total": {"metric": "visits_total"},
    },
    "slow": {**LATENCY, "histogram": {"metric": "latency_seconds"}, "above": "1s", "buckets": [0.5, 1, 2]},
    "slow-in-ms": {
        **LATENCY,
        "histogram": {"metric": "latency_ms"},
        "above": "1800s",
        "unit": "milliseconds",
    },
    "time": {**MEAN, "histogram": {"metric": "latency_seconds"}},
}


def own(source: str) -> Document:
    """Return own metrics; over requests that a gateway counts, events of a server are a share of something else."""
    if SOURCES[source].scope.kind == "variant":
        return OWN
    total = {"total": {"metric": "answers_total"}}
    return {name: total | metric if metric["kind"] == "ratio" else metric for name, metric in OWN.items()}


def labelled(metrics: Document, labels: Document) -> Document:
    """Return own metrics whose series are told apart by a label of their own."""
    series = ("events", "good", "total", "histogram")
    return {
        name: {
            **{key: {**value, "labels": labels} if key in series else value for key, value in metric.items()},
            "variantLabel": "model_version",
        }
        for name, metric in metrics.items()
    }


def ready_made(source: str) -> Document:
    """Return every ready-made metric of a source."""
    found: Document = {}
    for name, preset in SOURCES[source].presets.items():
        found[name] = {"role": "guardrail", "use": f"{source}/{name}", "margin": 0.2, "limit": 0.5}
        if preset.kind == "latencyShare":
            found[name]["above"] = "1s"
    return found


def traffic(variants: int) -> dict[str, int]:
    """Split requests among variants in unequal shares."""
    shares = {f"v{index}": 100 // variants for index in range(1, variants + 1)}
    return {**shares, "v1": 100 - sum(shares.values()) + shares["v1"]}


BROAD: dict[str, tuple[Document, Document]] = {
    **{
        source: (
            environment(knative=SOURCES[source].knative),
            experiment(
                "shop", traffic(2 + index % 4), ready_made(source) | own(source), source, requests={"use": source}
            ),
        )
        for index, source in enumerate(SOURCES)
    },
    "one variant": (environment(), experiment("shop", {"only": 100}, OWN)),
    "most variants": (environment(), experiment("shop", traffic(14), OWN)),
    "a variant at rest": (environment(), experiment("shop", {"a": 60, "b": 0, "c": 40}, OWN)),
    "a shadow": (
        environment(),
        experiment("shop", {"a": 60, "b": 0, "c": 40}, OWN, shadow={"variant": "b"}),
    ),
    "no metrics": (environment(), experiment("shop", traffic(2), {})),
    "a label of its own": (
        environment(),
        experiment(
            "shop",
            traffic(3),
            labelled(OWN, {"model": "shop"}),
            requests={"metric": "answers_total", "variantLabel": "model_version", "labels": {"model": "shop"}},
        ),
    ),
    "labels on alerts, a PodMonitor": (
        environment(monitor="PodMonitor", alertLabels={"team": 'the "core" team', "severity": "page"}),
        experiment("shop", traffic(2), OWN),
    ),
    "values that need care": (
        environment(),
        experiment(
            "shop",
            traffic(2),
            labelled(OWN, {"path": ['a"b', "c\\d", "e\nf", "{{ g }}", "[h]*", "ü", " ", "x|y", "#"]}),
        ),
    ),
}


def accepted(folder: Path, found: Monitoring) -> None:
    """Let promtool judge all rules, and the queries of the dashboard as if they were rules."""
    shown = {instant(target.expr) for target in found.targets} | {instant(expr) for expr in found.annotations}
    as_rules = [{"record": f"query_{index}", "expr": expr} for index, expr in enumerate(sorted(shown))]
    files = [
        write(folder / "rules.yml", found.rules),
        write(folder / "queries.yml", {"groups": [{"name": "dashboard", "rules": as_rules}]}),
    ]
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", *files, folder=folder)
    assert f"{len(found.group['rules'])} rules found" in said
    for expr in {rule["expr"] for rule in found.group["rules"]} | shown:
        promql_parser.parse(expr)


@pytest.mark.parametrize(("place", "document"), BROAD.values(), ids=BROAD)
def test_promtool_accepts_every_rule_and_every_query_of_the_dashboard(
    place: Document, document: Document, tmp_path: Path
) -> None:
    accepted(tmp_path, rendered(tmp_path, place, document))


@pytest.mark.parametrize("place", ["production", "staging"])
def test_promtool_accepts_what_the_shipped_environments_hold(place: str, tmp_path: Path) -> None:
    accepted(tmp_path, monitoring(REPOSITORY, place, "recommendation-model", in_base=True))


# Stories: what happened, and who is woken

# Three variants share the traffic; a fourth gets none. Times are in minutes.
SPLIT = {"a": 50, "b": 30, "c": 20, "rest": 0}
SHOP = experiment(
    "shop",
    SPLIT,
    {
        "failures": {**RATIO, "events": {"metric": "answers_total", "labels": {"status": "5*"}}},
        "clicks": {
            "role": "guardrail",
            "kind": "ratio",
            "direction": "higher",
            "margin": 0.1,
            "events": {"metric": "clicks_total"},
        },
        "slow": {**LATENCY, "histogram": {"metric": "latency_seconds"}, "above": "1s", "buckets": [1]},
        "time": {**MEAN, "histogram": {"metric": "latency_seconds"}},
    },
    requests={"metric": "answers_total"},
)


class Arm(NamedTuple):
    """The truth about a variant: requests a minute, and what becomes of them."""

    rate: float
    failures: float = 0.02
    clicks: float = 0.3
    slow: float = 0.1
    time: float = 0.2
    scraped: bool = True
    lacks: tuple[str, ...] = ()

    def minute(self) -> dict[str, float]:
        """Return by how much each counter grows in a minute."""
        counters = {
            'answers_total{status="200"}': 1 - self.failures,
            'answers_total{status="500"}': self.failures,
            "clicks_total": self.clicks,
            'latency_seconds_bucket{le="1.0"}': 1 - self.slow,
            'latency_seconds_bucket{le="+Inf"}': 1.0,
            "latency_seconds_count": 1.0,
            "latency_seconds_sum": self.time,
        }
        return {
            name: self.rate * share
            for name, share in counters.items()
            if self.scraped and not name.startswith(self.lacks or "-")
        }


ALL_WELL = {"a": Arm(50), "b": Arm(30), "c": Arm(20)}
GONE = {"scraped": False}
Changes = dict[str, dict[str, Any]]
Story = tuple[tuple[int, Changes], ...]


class Case(NamedTuple):
    """From each minute of the story on, variants are as in `ALL_WELL` but for these changes.

    At minute `at`, exactly these alerts fire: their name without `Penstock`, variant and metric.
    `weights` replaces the declared split by one that changes.
    """

    name: str
    story: Story
    fires: set[str]
    at: int = 110
    weights: tuple[tuple[int, tuple[float, ...]], ...] = ()


def everybody(**changes: Any) -> Changes:
    """Change all variants alike."""
    return dict.fromkeys(ALL_WELL, changes)


def rates(a: float, b: float, c: float, **changes: Any) -> Changes:
    """Change how many requests a minute each variant gets, and other things of all."""
    return {variant: {"rate": rate, **changes} for variant, rate in (("a", a), ("b", b), ("c", c))}


CASES = (
    Case("all is well", (), set()),
    # A fixed limit
    Case(
        "beyond the limit and worse than control",
        ((60, {"b": {"failures": 0.09}}),),
        {"GuardrailLimit b failures", "GuardrailControl b failures"},
    ),
    Case(
        "all beyond the limit, none worse than control",
        ((60, everybody(failures=0.09)),),
        {f"GuardrailLimit {variant} failures" for variant in ALL_WELL},
    ),
    Case("below the limit", ((60, everybody(failures=0.045)),), set()),
    Case(
        "a mean beyond the limit",
        ((60, everybody(time=0.6)),),
        {f"GuardrailLimit {variant} time" for variant in ALL_WELL},
    ),
    Case("beyond the limit, but too few requests", ((60, rates(3, 1.8, 1.2, failures=0.5)),), set()),
    Case("beyond the limit for a minute only", ((109, {"b": {"failures": 1}}),), set()),
    Case("beyond the limit for three minutes only", ((107, {"b": {"failures": 0.2}}),), set()),
    Case(
        "kept firing for ten minutes after it is over",
        ((60, {"b": {"failures": 0.2}}), (80, {})),
        {"GuardrailLimit b failures", "GuardrailControl b failures"},
        at=92,
    ),
    Case("over, though the long window remembers", ((60, {"b": {"failures": 0.2}}), (80, {})), set(), at=100),
    # Worse than control
    Case("worse than control within the margin", ((60, {"b": {"failures": 0.0236}}),), set()),
    Case("worse than control beyond the margin, but within chance", ((60, {"b": {"failures": 0.0246}}),), set()),
    Case(
        "worse than control beyond the margin and beyond chance",
        ((60, {"b": {"failures": 0.08}}),),
        {"GuardrailControl b failures", "GuardrailLimit b failures"},
    ),
    Case(
        "control is without fault",
        ((60, {"a": {"failures": 0}, "b": {"failures": 0}}),),
        {"GuardrailControl c failures"},
    ),
    Case(
        "control is without fault, but few failures",
        ((60, {"a": {"failures": 0}, "b": {"failures": 0}, "c": {"failures": 0.016}}),),
        set(),
    ),
    Case(
        "three times as bad, but few failures", ((60, everybody(failures=0.004) | {"c": {"failures": 0.015}}),), set()
    ),
    Case("worse, but too few requests", ((60, rates(6, 3.2, 2.4) | {"b": {"rate": 3.2, "time": 0.4}}),), set()),
    Case(
        "worse, but too few requests of control",
        ((60, rates(3.2, 30, 20) | {"b": {"time": 0.4}}),),
        {"SampleRatioMismatch"},
    ),
    Case("slower within the margin", ((60, {"b": {"slow": 0.118, "time": 0.235}}),), set()),
    Case(
        "slower beyond the margin, but within chance; a mean has no such guard",
        ((60, {"b": {"slow": 0.13}, "c": {"time": 0.25}}),),
        {"GuardrailControl c time"},
    ),
    Case("slower beyond chance", ((60, {"b": {"slow": 0.3}}),), {"GuardrailControl b slow"}),
    Case("fewer clicks within the margin", ((60, {"b": {"clicks": 0.275}}),), set()),
    Case("fewer clicks, but within chance", ((60, {"b": {"clicks": 0.26}}),), set()),
    Case("fewer clicks", ((60, {"b": {"clicks": 0.1}}),), {"GuardrailControl b clicks"}),
    Case("more clicks", ((60, {"b": {"clicks": 0.6}}),), set()),
    Case("fewer clicks, but few at control", ((60, {"a": {"clicks": 0.006}, "b": {"clicks": 0}}),), set()),
    Case("no series of clicks counts as none", ((0, {"b": {"lacks": ("clicks",)}}),), {"GuardrailControl b clicks"}),
    Case("no series of failures counts as none", ((0, {"b": {"lacks": ('answers_total{status="5',)}}),), set()),
    # Silence
    Case("a variant died", ((60, {"b": GONE}),), {"VariantSilent b", "SampleRatioMismatch"}),
    Case("control died", ((60, {"a": GONE}),), {"VariantSilent a", "SampleRatioMismatch"}),
    Case("a variant was never scraped", ((0, {"c": GONE}),), {"VariantSilent c", "SampleRatioMismatch"}),
    Case(
        "a variant is scraped, but gets nothing",
        ((60, {"c": {"rate": 0}}),),
        {"VariantSilent c", "SampleRatioMismatch"},
    ),
    Case("everything died", ((60, everybody(scraped=False)),), {f"VariantSilent {one}" for one in ALL_WELL}),
    Case("nothing is scraped", ((0, everybody(scraped=False)),), {f"VariantSilent {one}" for one in ALL_WELL}),
    Case("no traffic at night", ((60, everybody(rate=0)),), set(), at=130),
    Case("hardly any traffic at night, and none for c", ((60, rates(0.1, 0.1, 0)),), set(), at=130),
    Case("a variant was born late", ((0, {"c": GONE}), (60, {})), set()),
    Case("a tester uses the variant at rest", ((60, {"rest": {"rate": 10}}),), set()),
    Case(
        "a histogram is missing",
        ((0, {"b": {"lacks": ("latency",)}}),),
        {"MetricMissing b slow", "MetricMissing b time"},
    ),
    # Sample ratio mismatch
    Case("a split by chance", ((60, rates(50, 35, 20)),), set()),
    Case("a wrong split", ((60, rates(50, 36, 20)),), {"SampleRatioMismatch"}),
    Case("a wrong split of few requests", ((60, rates(0.8, 0, 0)),), set(), at=130),
    Case("a split is wrong in the first 40 minutes", ((0, rates(40, 50, 10)),), set(), at=39),
    Case("a split is wrong from the first minute", ((0, rates(40, 50, 10)),), {"SampleRatioMismatch"}, at=55),
    *(
        Case(
            f"weights and traffic changed {at - 60} minutes ago",
            ((60, rates(20, 30, 50)),),
            set(),
            at=at,
            weights=((0, (0.5, 0.3, 0.2, 0)), (60, (0.2, 0.3, 0.5, 0))),
        )
        for at in (61, 75, 89, 99, 101, 115)
    ),
    Case(
        "weights changed, and traffic did not",
        (),
        {"SampleRatioMismatch"},
        at=115,
        weights=((0, (0.5, 0.3, 0.2, 0)), (60, (0.2, 0.3, 0.5, 0))),
    ),
    Case(
        "a variant joins",
        ((0, {"c": GONE}), (60, rates(50, 30, 20))),
        set(),
        at=115,
        weights=((0, (0.6, 0.4, 0, 0)), (60, (0.5, 0.3, 0.2, 0))),
    ),
)


def labels(variant: str) -> str:
    """Return the labels that the monitor puts on series of a variant."""
    return f'namespace="{NAMESPACE}",experiment="shop",variant="{variant}"'


def series(story: Story, minutes: int) -> list[Document]:
    """Return the counters that variants expose in a story. One that was not scraped comes back as a new pod."""
    found: dict[str, list[str]] = {}
    for variant in SPLIT:
        counters: dict[str, float] = {}
        for minute in range(minutes + 1):
            changes: Changes = next((late for start, late in reversed(story) if start <= minute), {})
            arm = ALL_WELL.get(variant, Arm(0, scraped=False))._replace(**changes.get(variant, {}))
            if variant not in ALL_WELL and variant in changes:
                arm = arm._replace(scraped=True)
            grown = arm.minute()
            counters = {name: round(counters.get(name, 0) + more, 9) for name, more in grown.items()}
            for name in grown:
                values = found.setdefault(_selector(name, variant), [])
                values += ["_"] * (minute - len(values)) + [f"{counters[name]:.12g}"]
    return [{"series": name, "values": " ".join(values)} for name, values in found.items()]


def _selector(name: str, variant: str) -> str:
    metric, _, own = name.rstrip("}").partition("{")
    return f"{metric}{{{labels(variant)}{',' if own else ''}{own}}}"


def weights(changes: Iterable[tuple[int, tuple[float, ...]]], minutes: int) -> list[Document]:
    """Return the recorded series of a split that changes."""
    steps = list(changes)
    return [
        {
            "series": f"{names.WEIGHT}{{{labels(variant)}}}",
            "values": " ".join(
                f"{next(shares[index] for start, shares in reversed(steps) if start <= minute):g}"
                for minute in range(minutes + 1)
            ),
        }
        for index, variant in enumerate(SPLIT)
    ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Monitoring:
    return rendered(tmp_path_factory.mktemp("shop"), environment(interval="1m"), SHOP)


def play(folder: Path, shop: Monitoring, case: Case, **checks: list[Document]) -> None:
    """Let promtool play a story against the rules."""
    rules = shop.group["rules"]
    if case.weights:
        rules = [rule for rule in rules if rule.get("record") != names.WEIGHT]
    write(folder / "rules.yml", {"groups": [{**shop.group, "interval": "2m", "rules": rules}]})
    test = {
        "interval": "1m",
        "input_series": [*series(case.story, case.at), *weights(case.weights, case.at if case.weights else -1)],
        **checks,
    }
    write(folder / "test.yml", {"rule_files": ["rules.yml"], "evaluation_interval": "2m", "tests": [test]})
    promtool("test", "rules", "test.yml", folder=folder)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_exactly_these_alerts_fire(case: Case, shop: Monitoring, tmp_path: Path) -> None:
    fired = []
    for words in case.fires:
        alert, variant, metric = (*words.split(), "", "")[:3]
        own = {"alertname": f"Penstock{alert}", "variant": variant, "metric": metric}
        text = ",".join(f'{name}="{value}"' for name, value in own.items() if value)
        fired.append({"labels": f"{{{text}}}", "value": 1})
    expr = 'count by (alertname, variant, metric) (ALERTS{alertstate="firing"})'
    check = {"expr": expr, "eval_time": f"{case.at}m", "exp_samples": fired}
    play(tmp_path, shop, case, promql_expr_test=[check])


def test_recording_rules_record_the_truth(shop: Monitoring, tmp_path: Path) -> None:
    arms = {
        "a": Arm(50, failures=0.01, clicks=0.31, slow=0.12, time=0.25),
        "b": Arm(34, failures=0, clicks=0.25, slow=0, time=0.05),
        "c": Arm(16, failures=0.125, clicks=0, slow=1, time=4),
    }
    story: Story = ((60, {variant: arm._asdict() for variant, arm in arms.items()}),)
    checks = [
        {
            "expr": f"round({name}, 0.000001)",
            "eval_time": "110m",
            "exp_samples": [{"labels": text, "value": value} for text, value in found.items()],
        }
        for name, found in recorded(arms).items()
    ]
    assert {rule["record"] for rule in shop.recordings} == recorded(arms).keys()
    play(tmp_path, shop, Case("", story, set()), promql_expr_test=checks)


def recorded(arms: dict[str, Arm]) -> dict[str, dict[str, float]]:
    """Return what the rules should record: by name, and by labels as promtool writes them."""
    common = f'experiment="shop", {{}}namespace="{NAMESPACE}"'
    values = {
        (metric, variant): value
        for variant, arm in arms.items()
        for metric, value in arm._asdict().items()
        if metric in ("failures", "clicks", "slow", "time")
    }
    requests = {variant: arm.rate * 30 for variant, arm in arms.items()}
    expected = {variant: sum(requests.values()) * SPLIT[variant] / 100 for variant in arms}

    def by_variant(found: dict[str, float]) -> dict[str, float]:
        return {f'{{{common.format("")}, variant="{variant}"}}': value for variant, value in found.items()}

    def by_metric(found: dict[tuple[str, str], float]) -> dict[str, float]:
        return {
            "{" + common.format(f'metric="{metric}", ') + f', variant="{variant}"}}': value
            for (metric, variant), value in found.items()
        }

    chi_squared = sum((requests[variant] - expected[variant]) ** 2 / expected[variant] for variant in arms)
    return {
        names.WEIGHT: by_variant({variant: share / 100 for variant, share in SPLIT.items()}),
        names.REQUESTS: by_variant(requests),
        names.EXPECTED: by_variant(expected),
        names.SHORT: by_metric(values),
        names.LONG: by_metric(values),
        names.EVENTS: by_metric(
            {
                (metric, variant): value * requests[variant]
                for (metric, variant), value in values.items()
                if metric != "time"
            }
        ),
        names.SRM: {"{" + common.format("") + "}": round(chi_squared, 6)},
    }


TEXTS = (
    (
        "GuardrailLimit b failures",
        "shop/b: failures is above its limit",
        "failures is 9%; the limit is 5%.",
    ),
    (
        "GuardrailControl b failures",
        "shop/b: failures is worse than a by more than 20 %",
        "failures is 9%, above what the guardrail tolerates. Consider a rollback.",
    ),
    (
        "GuardrailControl c clicks",
        "shop/c: clicks is worse than a by more than 10 %",
        "clicks is 20%, below what the guardrail tolerates. Consider a rollback.",
    ),
    ("GuardrailLimit b time", "shop/b: time is above its limit", "time is 0.6; the limit is 0.5."),
    (
        "GuardrailControl b time",
        "shop/b: time is worse than a by more than 20 %",
        "time is 0.6, above what the guardrail tolerates. Consider a rollback.",
    ),
    (
        "MetricMissing a slow",
        "shop/a has requests, but no slow",
        "The metric slow has no value for it. No data is no good news: no guardrail watches it.",
    ),
    (
        "VariantSilent c",
        "shop/c has traffic, but counts no request",
        "No request of it was counted for 30 minutes. Its pods may be gone, or nothing scrapes them.",
    ),
    (
        "SampleRatioMismatch",
        "shop: requests do not split as declared",
        (
            "Sample ratio mismatch: chi-squared is 600, which chance explains less than once in 100,000 times. Any "
            "comparison of variants is void until the reason is found."
        ),
    ),
)
STORIES: dict[str, Story] = {
    "GuardrailLimit b failures": ((60, {"b": {"failures": 0.09}}),),
    "GuardrailControl b failures": ((60, {"b": {"failures": 0.09}}),),
    "GuardrailControl c clicks": ((60, {"c": {"clicks": 0.2}}),),
    "GuardrailLimit b time": ((60, {"b": {"time": 0.6}}),),
    "GuardrailControl b time": ((60, {"b": {"time": 0.6}}),),
    "MetricMissing a slow": ((0, {"a": {"lacks": ("latency_seconds_bucket",)}}),),
    "VariantSilent c": ((60, {"c": GONE}),),
    "SampleRatioMismatch": ((60, {"c": GONE}),),
}


@pytest.mark.parametrize(("words", "summary", "description"), TEXTS, ids=[words for words, _, _ in TEXTS])
def test_an_alert_says_in_words_what_is_wrong(
    words: str, summary: str, description: str, shop: Monitoring, tmp_path: Path
) -> None:
    alert, variant, metric = (*words.split(), "", "")[:3]
    carried = {
        "experiment": "shop",
        "metric": metric,
        "namespace": NAMESPACE,
        "owner": "recsys",
        "severity": "critical" if alert.startswith("Guardrail") else "warning",
        "variant": variant,
    }
    only = [
        rule
        for rule in shop.alerts
        if rule["alert"] == f"Penstock{alert}" and rule["labels"].get("metric", "") == metric
    ]
    narrowed = shop._replace(rules={"groups": [{**shop.group, "rules": [*shop.recordings, *only]}]})
    check = {
        "alertname": f"Penstock{alert}",
        "eval_time": "110m",
        "exp_alerts": [
            {
                "exp_labels": {name: value for name, value in carried.items() if value},
                "exp_annotations": {"summary": summary, "description": description},
            }
        ],
    }
    play(tmp_path, narrowed, Case("", STORIES[words], set()), alert_rule_test=[check])


def test_without_pods_at_rest_nobody_is_woken(tmp_path: Path) -> None:
    """Knative removes idle pods, and their series with them."""
    document = experiment("shop", {"a": 60, "b": 40}, {}, requests={"metric": "answers_total"})
    document["spec"]["model"]["replicas"] = {"min": 0}
    idle = rendered(tmp_path, environment(knative=True, interval="1m"), document)
    case = Case("", ((0, {"c": GONE}), (60, everybody(scraped=False))), set(), at=150)
    expr = 'count by (alertname, variant) (ALERTS{alertstate="firing"})'
    play(tmp_path, idle, case, promql_expr_test=[{"expr": expr, "eval_time": "150m", "exp_samples": []}])


# Queries that the dashboard shows


def shown(found: Monitoring, panel: str, ref: str = "A") -> str:
    """Return a query of the dashboard."""
    (expr,) = (target.expr for target in found.targets if (target.panel, target.ref) == (panel, ref))
    return instant(expr)


def values_of(folder: Path, counters: dict[str, str], checks: dict[str, dict[str, float]]) -> None:
    """Let promtool compare queries, ten minutes after counters began, with values by variant."""
    tests = [
        {
            "expr": f"round({expr}, 0.000001)",
            "eval_time": "10m",
            "exp_samples": [{"labels": f'{{variant="{variant}"}}', "value": value} for variant, value in found.items()],
        }
        for expr, found in checks.items()
    ]
    fed = [{"series": name, "values": values} for name, values in counters.items()]
    test = {"interval": "1m", "input_series": fed, "promql_expr_test": tests}
    write(folder / "test.yml", {"evaluation_interval": "1m", "tests": [test]})
    promtool("test", "rules", "test.yml", folder=folder)


SPELLINGS = {
    "1s": ("1", "1.0"),
    "250ms": ("0.25",),
    "30s": ("30", "30.0"),
    "1800s": ("1800", "1800.0"),
    "123456s": ("123456", "123456.0"),
    "999999s": ("999999", "999999.0"),
    "1234.5678s": ("1234.5678",),
    "0.01ms": ("1e-05",),
}
IN_MILLISECONDS = {
    "1s": ("1000", "1000.0"),
    "1800s": ("1800000", "1800000.0", "1.8e+06"),
    "3600s": ("3600000", "3600000.0", "3.6e+06"),
    "1000s": ("1000000", "1000000.0", "1e+06"),
    "123456.789s": ("123456789", "123456789.0", "1.23456789e+08"),
    "0.5ms": ("0.5",),
}


@pytest.mark.parametrize(
    ("unit", "above", "spellings"),
    [
        *(("seconds", above, spellings) for above, spellings in SPELLINGS.items()),
        *(("milliseconds", above, spellings) for above, spellings in IN_MILLISECONDS.items()),
    ],
)
def test_a_bound_is_found_however_the_exporter_writes_it(
    unit: str, above: str, spellings: tuple[str, ...], tmp_path: Path
) -> None:
    """As Envoy does (1800000), as Go and Python do (1.8e+06), and as Prometheus 3 stores it (1.0, 1.8e+06)."""
    metric = {**LATENCY, "histogram": {"metric": "took"}, "above": above, "unit": unit}
    variants = {f"v{index}": 0 for index in range(len(spellings))}
    found = rendered(tmp_path, environment(), experiment("shop", {**variants, "v0": 100}, {"slow": metric}))
    panel = next(target.panel for target in found.targets if target.panel.startswith("slow (share"))
    counters = {}
    for variant, spelling in zip(variants, spellings, strict=True):
        counters[f"took_bucket{{{labels(variant)},le={json.dumps(spelling)}}}"] = "0+3x10"
        counters[f"took_count{{{labels(variant)}}}"] = "0+4x10"
    values_of(tmp_path, counters, {shown(found, panel): dict.fromkeys(variants, 0.25)})


def test_own_labels_match_to_the_letter_but_for_the_star(tmp_path: Path) -> None:
    values = ['a"b', "c\\d", "e\nf", "{{ g }}", "[h]*", "ü.", " ", "x|y", "#$1^", "(*)+"]
    metric = {**RATIO, "events": {"metric": "answers_total", "labels": {"path": values}}}
    found = rendered(
        tmp_path,
        environment(),
        experiment("shop", {"a": 100}, {"failures": metric}, requests={"metric": "answers_total"}),
    )
    hits = [value.replace("*", "anything") for value in values] + ["[h]", "()+"]
    misses = ["", "a", "ab", "x", "xy", "üx", "#", "h", "anything", 'a"b ', ' a"b', "ef", "{ g }"]
    counters = {f"answers_total{{{labels('a')},path={json.dumps(path)}}}": "0+1x10" for path in (*hits, *misses)}
    share = round(len(hits) / len(hits + misses), 6)
    values_of(tmp_path, counters, {shown(found, "failures (ratio)"): {"a": share}})


def test_only_variants_of_the_experiment_are_shown(tmp_path: Path) -> None:
    """A label of the user's own may hold anything: last year's version, or none at all."""
    requests = {"metric": "answers_total", "variantLabel": "version", "labels": {"model": "shop"}}
    metric = {
        **RATIO,
        "events": {"metric": "answers_total", "labels": {"model": "shop", "status": "5*"}},
        "variantLabel": "version",
    }
    document = experiment("shop", {"a": 60, "b": 40}, {"failures": metric}, requests=requests)
    found = rendered(tmp_path, environment(), document)
    counters = {
        f'answers_total{{model="shop",status="{status}"{version}}}': f"0+{more}x10"
        for version in (',version="a"', ',version="b"', ',version="a-b"', ',version="last"', "")
        for status, more in (("200", 3), ("500", 1))
    }
    values_of(
        tmp_path,
        counters,
        {
            shown(found, "Requests per second"): {"a": round(4 / 60, 6), "b": round(4 / 60, 6)},
            shown(found, "Share of requests: declared and observed"): {"a": 0.5, "b": 0.5},
            shown(found, "failures (ratio)"): {"a": 0.25, "b": 0.25},
        },
    )


@pytest.mark.parametrize("served", [("a",), ()])
def test_a_variant_without_requests_has_a_share_of_zero_and_no_other_value(
    served: tuple[str, ...], shop: Monitoring, tmp_path: Path
) -> None:
    counters = {}
    for variant in ("a", "b"):
        for name, more in Arm(60, clicks=0.5, slow=0.25, time=2).minute().items():
            counters[_selector(name, variant)] = f"700+{more:g}x10" if variant in served else "700x10"
    checks: dict[str, dict[str, float]] = {
        shown(shop, "Requests per second"): {one: float(one in served) for one in "ab"},
        shown(shop, "Share of requests: declared and observed"): {"a": 1, "b": 0} if served else {},
        shown(shop, "clicks (ratio)"): dict.fromkeys(served, 0.5),
        shown(shop, "slow (share above 1 s)"): dict.fromkeys(served, 0.25),
        shown(shop, "time (mean)"): dict.fromkeys(served, 2),
    }
    values_of(tmp_path, counters, checks)


def test_copies_for_a_shadow_are_no_share_of_requests(tmp_path: Path) -> None:
    document = experiment(
        "shop", {"a": 60, "b": 0, "c": 40}, {}, shadow={"variant": "b"}, requests={"metric": "answers_total"}
    )
    found = rendered(tmp_path, environment(), document)
    counters = {f"answers_total{{{labels(one)}}}": f"0+{more}x10" for one, more in (("a", 60), ("b", 100), ("c", 40))}
    shares = {"a": 0.6, "c": 0.4}
    panel = "Share of requests: declared and observed"
    values_of(tmp_path, counters, {shown(found, panel): shares, shown(found, "Scoreboard", "B"): shares})


def test_the_line_of_a_margin_moves_with_control_towards_what_is_worse(tmp_path: Path) -> None:
    better = {**RATIO, "direction": "higher", "margin": 0.1, "events": {"metric": "clicks_total"}}
    document = experiment("shop", {"a": 50, "b": 50}, {"clicks": better}, requests={"metric": "answers_total"})
    counters = {
        f"{name}{{{labels(variant)}}}": f"0+{count}x10"
        for variant, clicks in (("a", 4), ("b", 9))
        for name, count in (("clicks_total", clicks), ("answers_total", 10))
    }
    del better["limit"]
    found = rendered(tmp_path, environment(), document)
    values_of(tmp_path, counters, {shown(found, "clicks (ratio)", "B"): {"a": 0.36}})


# A change of weights is marked on the dashboard


@pytest.mark.parametrize("step", [1, 2, 10, 30])
def test_a_change_of_weights_is_marked_at_any_zoom(shop: Monitoring, step: int, tmp_path: Path) -> None:
    """Grafana asks in steps as wide as a pixel: half a minute for six hours, ten minutes for a week."""
    (expr,) = shop.annotations
    # As Grafana's Prometheus plugin does: a step and a scrape, but no less than four scrapes.
    window = max(step + 1, 4)
    expr = expr.replace("$__rate_interval", f"{window}m")
    moved = ((0, (0.5, 0.3, 0.2, 0)), (67, (0.3, 0.5, 0.2, 0)))
    # Prometheus 3 leaves the first instant of a window out, so the versions differ at one.
    minutes = [minute for minute in range(0, 121, step) if minute != 66 + window]
    marked = [minute for minute in minutes if 67 <= minute < 66 + window]
    assert marked
    checks = [
        {
            "expr": f"{expr} > bool 0",
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{variant="{one}"}}', "value": 1} for one in "ab"] if minute in marked else [],
        }
        for minute in minutes
    ]
    play(tmp_path, shop, Case("", (), set(), at=120, weights=moved), promql_expr_test=checks)


# Numbers


def test_the_split_is_accused_wrongly_once_in_100_000() -> None:
    for candidates in range(1, 14):
        assert _survival(queries._CHI2_CRITICAL[candidates - 1], candidates) == pytest.approx(1e-5, rel=2e-3)


def _survival(statistic: float, freedom: int) -> float:
    """Return the probability that chi-squared exceeds a value: the closed form for whole degrees of freedom."""
    half = statistic / 2
    if freedom % 2:
        terms = [math.pow(half, k - 0.5) / math.gamma(k + 0.5) for k in range(1, freedom // 2 + 1)]
        return math.erfc(math.sqrt(half)) + math.exp(-half) * sum(terms)
    return math.exp(-half) * sum(math.pow(half, k) / math.factorial(k) for k in range(freedom // 2))
