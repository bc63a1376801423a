"""Rendered rules and queries, judged by promtool: do they parse, what do they record, and when do they wake somebody?"""

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

from generator import names, queries
from generator.sources import SOURCES

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
                "shop", traffic(2 + index % 4), ready_made(source) | OWN, requests={"use": source}
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
    return {variant: changes for variant in ALL_WELL}


def rates(a: float, b: float, c: float) -> Changes:
    """Change how many requests a minute each variant gets."""
    return {"a": {"rate": a}, "b": {"rate": b}, "c": {"rate": c}}


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
    Case("beyond the limit, but too few requests", ((60, everybody(failures=0.5) | rates(3, 1.8, 1.2)),), set()),
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
    Case(
        "worse than control beyond the margin",
        ((60, {"b": {"failures": 0.0246}}),),
        {"GuardrailControl b failures"},
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
    Case("three times as bad, but few failures", ((60, everybody(failures=0.004) | {"c": {"failures": 0.015}}),), set()),
    Case("worse, but too few requests", ((60, rates(6, 3.2, 2.4) | {"b": {"rate": 3.2, "time": 0.4}}),), set()),
    Case(
        "worse, but too few requests of control",
        ((60, rates(3.2, 30, 20) | {"b": {"time": 0.4}}),),
        {"SampleRatioMismatch"},
    ),
    Case("slower within the margin", ((60, {"b": {"slow": 0.118, "time": 0.235}}),), set()),
    Case(
        "slower beyond the margin",
        ((60, {"b": {"slow": 0.13}, "c": {"time": 0.25}}),),
        {"GuardrailControl b slow", "GuardrailControl c time"},
    ),
    Case("fewer clicks within the margin", ((60, {"b": {"clicks": 0.275}}),), set()),
    Case("fewer clicks", ((60, {"b": {"clicks": 0.26}}),), {"GuardrailControl b clicks"}),
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
    Case("nothing is scraped", ((0, everybody(scraped=False)),), {f"VariantSilent {one}" for one in ALL_WELL}),
    Case("no traffic at night", ((60, everybody(rate=0)),), set(), at=170),
    Case("hardly any traffic at night, and none for c", ((60, rates(0.1, 0.1, 0)),), set(), at=170),
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
    Case("a wrong split of few requests", ((60, rates(0.5, 0, 0)),), set(), at=170),
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
    write(folder / "rules.yml", {"groups": [{**shop.group, "rules": rules}]})
    test = {
        "interval": "1m",
        "input_series": [*series(case.story, case.at), *weights(case.weights, case.at if case.weights else -1)],
        **checks,
    }
    write(folder / "test.yml", {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]})
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
