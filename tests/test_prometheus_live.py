"""Rendered monitors, rules and dashboards at work: a real Prometheus scrapes real exporters whose counts are known."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import prometheus_client
import pytest
from exposures import EXPOSED, PYTHON, Buckets, Counted, kserve, line
from prometheus import (
    NAMESPACE,
    Document,
    Monitoring,
    Pod,
    Server,
    Vector,
    environment,
    experiment,
    exporter,
    instant,
    monitoring,
    promtool,
    rendered,
    scrape_configs,
    server,
    until,
    write,
)

from generator import names
from generator.domain.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.needs("prometheus", "promtool", "PENSTOCK_TEST_LONG")

REPOSITORY = Path(__file__).resolve().parent.parent
SHORT, LONG = 300.0, 1800.0  # seconds of the rules' windows; the dashboard's are 5 minutes and an hour here


# KServe's own metrics, exposed by the library that its servers use

SPLIT = {"v1": 40, "v2": 30, "bare": 10, "dead": 10, "late": 10}
SHOP = experiment(
    "shop",
    SPLIT,
    {
        "clicks": {
            "role": "success",
            "kind": "ratio",
            "direction": "higher",
            "mde": 0.05,
            "events": {"metric": "clicks_total"},
            "total": {"metric": "impressions_total"},
        },
        "errors": {"role": "guardrail", "use": "kserve/errors", "margin": 0.2, "limit": 0.5},
        "failures": {
            "role": "guardrail",
            "kind": "ratio",
            "direction": "lower",
            "margin": 0.2,
            "events": {"metric": "failures_total", "labels": {"reason": ["timeout", "model*"]}},
        },
        "slow": {"role": "guardrail", "use": "kserve/latency", "above": "250ms", "margin": 0.2},
        "time": {"role": "guardrail", "use": "kserve/mean-latency", "margin": 0.2},
    },
)
# The third lies on the bound, and so is not above it.
LATENCIES = (0.004, 0.04, 0.25, 0.26, 0.9, 3.0, 12.0)
BOUNDS = (0, *prometheus_client.Histogram.DEFAULT_BUCKETS)


class Log(NamedTuple):
    """What happened at a variant, request by request."""

    requests: int = 0
    errors: int = 0
    failures: int = 0
    clicks: int = 0
    impressions: int = 0
    latencies: tuple[float, ...] = ()

    def since(self, birth: Log) -> Log:
        """Return what happened after the first scrape: what a counter begins with was counted before it was seen."""
        return Log(
            self.requests - birth.requests,
            self.errors - birth.errors,
            self.failures - birth.failures,
            self.clicks - birth.clicks,
            self.impressions - birth.impressions,
            self.latencies[len(birth.latencies) :],
        )

    def values(self) -> dict[str, float]:
        """Return the metrics of the experiment."""
        return {
            "clicks": self.clicks / self.impressions,
            "errors": self.errors / self.requests,
            "failures": self.failures / self.requests,
            "slow": sum(one > 0.25 for one in self.latencies) / self.requests,
            "time": sum(self.latencies) / self.requests,
        }

    def bucket(self, quantile: float) -> tuple[float, float]:
        """Return between which bounds a quantile lies; the bucket without an upper bound answers with its lower one."""
        at = sorted(self.latencies)[math.ceil(quantile * len(self.latencies)) - 1]
        upper = min(bound for bound in BOUNDS if bound >= at)
        return max(bound for bound in BOUNDS if bound < at), min(upper, BOUNDS[-2])


class ModelServer:
    """A model server as KServe's are (python/kserve/kserve/metrics.py), with a few counters of its team's."""

    def __init__(self, stack: ExitStack, variant: str) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.log = self.birth = Log()
        self._blocks = [
            self._histogram(f"request_{block}_seconds") for block in ("preprocess", "predict", "postprocess", "explain")
        ]
        self._clicks, self._impressions = self._counter("clicks"), self._counter("impressions")
        self._failures = None if variant == "bare" else self._counter("failures", "reason")
        self._faultless = variant == "v2"
        if variant != "late":
            self._born()
        serving, thread = prometheus_client.start_http_server(0, "127.0.0.1", self.registry)
        self.address = f"127.0.0.1:{serving.server_port}"
        ends = stack.enter_context(ExitStack())
        for end in (thread.join, serving.server_close, serving.shutdown):
            ends.callback(end)
        self.stop = ends.close

    def _histogram(self, name: str) -> prometheus_client.Histogram:
        return prometheus_client.Histogram(name, name, ["model_name"], registry=self.registry)

    def _counter(self, name: str, *labels: str) -> prometheus_client.Counter:
        return prometheus_client.Counter(name, name, ["page", *labels], registry=self.registry)

    def _born(self) -> None:
        """Show all series at zero."""
        for block in self._blocks:
            block.labels("shop")
        for counter in (self._clicks, self._impressions):
            counter.labels("home")
        if self._failures:
            for reason in ("timeout", "model crashed", "client left"):
                self._failures.labels("home", reason)

    def serve(self, requests: int) -> None:
        """Answer requests, and log what became of them."""
        for number in range(self.log.requests, self.log.requests + requests):
            self._serve(number)

    def _serve(self, number: int) -> None:
        preprocess, predict, postprocess, _ = self._blocks
        latency = LATENCIES[(number * number + number // 3) % len(LATENCIES)]
        error = number % 9 == 4 and not self._faultless
        failure = number % 7 == 2 and not self._faultless and self._failures is not None
        preprocess.labels("shop").observe(0.001)
        predict.labels("shop").observe(latency)
        if not error:
            postprocess.labels("shop").observe(0.001)
        if failure and self._failures:
            self._failures.labels("home", ("timeout", "model crashed")[number % 2]).inc()
        elif self._failures and not self._faultless:
            self._failures.labels("home", "client left").inc()
        self._impressions.labels("home").inc(3)
        self._clicks.labels("home").inc(number % 4 == 0)
        self.log = Log(
            self.log.requests + 1,
            self.log.errors + error,
            self.log.failures + failure,
            self.log.clicks + (number % 4 == 0),
            self.log.impressions + 3,
            (*self.log.latencies, latency),
        )


# Every source, as the real exporter exposes it

COUNTED = {
    "v1": Counted(1200, 60, 240, 120, 700.0),
    "v2": Counted(600, 96, 24, 12, 480.0),
    "no-faults": Counted(360, 0, 0, 0, 60.5),
}
GATEWAYS = 2


def documents(source: str) -> tuple[Document, Document]:
    """Return an environment, and an experiment with every ready-made metric of a source."""
    place = environment(knative=SOURCES[source].knative, interval="1s")
    metrics: Document = {}
    for name, preset in SOURCES[source].presets.items():
        metrics[name] = {"role": "guardrail", "use": f"{source}/{name}", "margin": 0.2}
        if preset.kind == "latencyShare":
            metrics[name]["above"] = "1s"
    document = experiment(f"with-{source}", {"v1": 50, "v2": 30, "no-faults": 20}, metrics, source)
    if not EXPOSED[source].default:
        document["spec"]["requests"] = {"use": source}
    return place, document


def truths(source: str) -> dict[str, Vector]:
    """Return what each panel of a source's dashboard should show; shares and means do not depend on time."""
    exposed = EXPOSED[source]
    found: dict[str, Vector] = {}
    for name, preset in SOURCES[source].presets.items():
        column, over = ("late", exposed.first) if name == "first-token" else ("slow", exposed.buckets)
        for variant, one in COUNTED.items():
            beyond = one.slow if column == "slow" else one.late
            if preset.kind == "ratio":
                found.setdefault(f"{name} (ratio)", {})[variant] = one.failed / one.total
            elif preset.kind == "mean":
                found.setdefault(f"{name} (mean)", {})[variant] = exposed.factor * one.seconds / one.total
            else:
                unit = "ms" if exposed.factor == 1000 else "s"
                title = f"{name} (share above {exposed.factor} {unit})"
                found.setdefault(title, {})[variant] = beyond / one.total
                quantile = over.quantile(0.95, one.total - beyond, beyond)
                found.setdefault(f"{name}: 95th percentile", {})[variant] = quantile
    return found


# One Prometheus for all of it


class World(NamedTuple):
    """A Prometheus that has scraped everything until `at`, some of it more often than other.

    `slack` is how much too high counts of the shop's variants may be, relative to themselves.
    """

    server: Server
    at: float
    shop: Monitoring
    logs: dict[str, Log]
    births: dict[str, Log]
    sources: dict[str, Monitoring]
    moving: Callable[[int], Monitoring]
    slack: Vector

    @property
    def counted(self) -> dict[str, Log]:
        """Return what Prometheus can know of the shop's variants."""
        return {variant: log.since(self.births[variant]) for variant, log in self.logs.items()}

    def vector(self, expr: str) -> Vector:
        """Return a query's values by variant."""
        return self.server.vector(expr, self.at)

    def is_count(self, expr: str, truth: Vector, slack: Vector, seconds: float = 1.0) -> None:
        """Compare counts in a window, or rates over so many seconds, with what was counted."""
        found = self.vector(expr)
        assert found.keys() == truth.keys(), expr
        for variant, count in truth.items():
            low, high = count * (1 - 1e-9), count * (1 + slack[variant])
            assert low <= found[variant] * seconds <= high, (expr, found, truth)

    def is_share(self, expr: str, truth: Vector, slack: Vector) -> None:
        """Compare shares, which are quotients of counts."""
        found, total = self.vector(expr), sum(truth.values())
        most = sum(count * (1 + slack[variant]) for variant, count in truth.items())
        assert found.keys() == truth.keys(), expr
        for variant, count in truth.items():
            assert count / most <= found[variant] <= count * (1 + slack[variant]) / total, (expr, found, truth)
        assert sum(found.values()) == pytest.approx(1), expr


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with ExitStack() as stack:
        shop = rendered(folder / "shop", environment(interval="1s"), SHOP)
        servers = {variant: ModelServer(stack, variant) for variant in SPLIT}
        pods = [_pod("shop", shop, variant, {("http1", 8080): servers[variant].address}) for variant in SPLIT]
        stranger = pods[0]._replace(name="stranger", labels={**pods[0].labels, "penstock.dev/experiment": "another"})
        configs = scrape_configs(shop.monitor, [*pods, stranger])

        traffic: list[str] = []  # empty until all exporters were scraped at zero
        sources = {source: rendered(folder / source, *documents(source)) for source in SOURCES}
        for source, watched in sources.items():
            configs += _scraped(stack, source, watched, traffic)

        def moving(percent: int) -> Monitoring:
            """Render an experiment whose first variants share so many percent, and put its rules in place."""
            split = {"a": percent, "b": 90 - percent, "c": 10}
            found = rendered(folder / "moving", environment(interval="1s"), experiment("moving", split, {}))
            write(folder / "moving.yml", found.rules)
            return found

        moving(60)
        rules = {name: write(folder / f"{name}.yml", one.rules) for name, one in {"shop": shop, **sources}.items()}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [*rules.values(), "moving.yml"],
            "scrape_configs": configs,
        }
        running = stack.enter_context(server(folder, config))
        until(lambda: _all_up(running), "all exporters are scraped")
        traffic.append("flows")
        births = _live(running, servers)
        until(lambda: _slack(running).get("late", 1) < 0.25, "the youngest was scraped often enough")
        slack, now = _slack(running), time.time()
        last = f"min(timestamp({names.SRM})) > {now:.3f}"  # each group records it last
        until(lambda: running.query(last), "all that is recorded is as young")
        logs = {variant: one.log for variant, one in servers.items()}
        yield World(running, time.time(), shop, logs, births, sources, moving, slack)


def _slack(running: Server) -> Vector:
    """Return how much too high a count of each variant of the shop may be now, and will hardly be later.

    Prometheus extends what it saw by up to 1.1 scrape intervals at a window's end, and half of one at its start.
    """
    series = 'request_preprocess_seconds_count{experiment="shop"}'
    seen = running.vector(f"min by (variant) (count_over_time({series}[1h]))")
    return {variant: 1.6 / (number - 1) for variant, number in seen.items() if number > 1}


def _pod(name: str, watched: Monitoring, variant: str, listening: dict[tuple[str, int], str]) -> Pod:
    """Return a pod of a variant, with the ports that KServe declares beside those at which an exporter listens."""
    predictor = watched.predictors[variant]
    declared = {(port["name"], port["containerPort"]): "" for port in predictor["model"]["ports"]}
    return Pod(f"{name}-{variant}", predictor["labels"], {**declared, ("agent-port", 9081): "", **listening})


def _scraped(stack: ExitStack, source: str, watched: Monitoring, traffic: list[str]) -> list[Document]:
    """Start the exporters of a source, and return how they are scraped."""
    exposed, name = EXPOSED[source], f"with-{source}"

    def serving(lines: list[str]) -> str:
        still = [f"{one.rpartition(' ')[0]} 0" for one in lines]
        return stack.enter_context(exporter(lambda: "\n".join([*(lines if traffic else still), ""])))

    if exposed.gateway:
        labels = {"namespace": "gateways", "job": source}
        lines = exposed.lines(watched, COUNTED)
        targets = [serving(lines) for _ in range(GATEWAYS)]
        return [{"job_name": source, "static_configs": [{"targets": targets, "labels": labels}]}]
    pods = []
    for variant, counted in COUNTED.items():
        listening = {exposed.port: serving(exposed.lines(watched, {variant: counted}))}
        if SOURCES[source].knative:
            listening |= {("user-port", 8080): serving(kserve(counted)), ("queue-port", 8012): ""}
        pods.append(_pod(name, watched, variant, listening))
    return scrape_configs(watched.monitor, pods)


def _all_up(running: Server) -> bool:
    targets = running.targets()
    return bool(targets) and all(target["health"] == "up" for target in targets)


def _live(running: Server, servers: dict[str, ModelServer]) -> dict[str, Log]:
    """Let requests come; one variant is born late, another dies. Return what each had counted when first seen."""

    def turn(requests: int, *variants: str) -> None:
        for variant in variants:
            servers[variant].serve(requests * SPLIT[variant])
        logged = {variant: float(servers[variant].log.requests) for variant in variants}
        seen = 'sum by (variant) (request_preprocess_seconds_count{experiment="shop"})'
        until(lambda: running.vector(seen) == logged, f"Prometheus has seen {logged}")

    turn(0, "v1", "v2", "bare", "dead")
    turn(3, "v1", "v2", "bare", "dead")
    turn(5, "v1", "v2", "bare", "dead")
    servers["dead"].stop()
    until(lambda: running.query('up{experiment="shop",variant="dead"} == 0'), "a variant died")
    turn(2, "v1", "v2", "bare", "late")
    births = {variant: servers[variant].log if variant == "late" else Log() for variant in SPLIT}
    turn(6, "v1", "v2", "bare", "late")
    return births


def test_pods_are_scraped_at_the_port_of_their_metrics_and_no_others(world: World) -> None:
    found = [(one["labels"].get("experiment", ""), one["labels"].get("variant", "")) for one in world.server.targets()]
    wanted = [("shop", variant) for variant in SPLIT]
    for source, exposed in EXPOSED.items():
        ports = 2 if SOURCES[source].knative else 1
        wanted += [(f"with-{source}", variant) for variant in COUNTED] * ports if exposed.pod else [("", "")] * GATEWAYS
    assert sorted(found) == sorted(wanted)


def test_every_query_of_the_dashboard_tells_the_truth(world: World) -> None:
    counted, slack = world.counted, world.slack
    requests = {variant: float(log.requests) for variant, log in counted.items()}
    metrics = {name: {variant: log.values()[name] for variant, log in counted.items()} for name in METRICS}
    kinds = {
        "clicks": "ratio",
        "errors": "ratio",
        "failures": "ratio",
        "slow": "share above 0.25 s",
        "time": "mean",
    }
    shares = {variant: share / 100 for variant, share in SPLIT.items()}
    checks: dict[tuple[str, str], Callable[[str], None]] = {
        ("Scoreboard", "Declared"): lambda expr: _equal(world.vector(expr), shares),
        ("Scoreboard", "Observed"): lambda expr: world.is_share(expr, requests, slack),
        ("Scoreboard", "Requests"): lambda expr: world.is_count(expr, requests, slack),
        ("Share of requests: declared and observed", "A"): lambda expr: world.is_share(expr, requests, slack),
        ("Share of requests: declared and observed", "B"): lambda expr: _equal(world.vector(expr), shares),
        ("Requests per second", "A"): lambda expr: world.is_count(expr, requests, slack, SHORT),
        ("slow: 95th percentile", "A"): lambda expr: _within(world.vector(expr), counted),
        ("Sample ratio mismatch", "A"): lambda expr: _mismatch(world, expr),
    }
    for name, truth in metrics.items():

        def check(expr: str, truth: Vector = truth) -> None:
            _almost(world.vector(expr), truth, slack)

        def drawn(expr: str, control: float = truth["v1"]) -> None:
            _equal(world.vector(expr), {"v1": 1.2 * control})

        checks["Scoreboard", name] = checks[f"{name} ({kinds[name]})", "A"] = check
        checks |= {(f"{name} ({kinds[name]})", "B"): drawn} if name != "clicks" else {}
    assert {(one.panel, one.column or one.ref) for one in world.shop.targets} == checks.keys()
    for target in world.shop.targets:
        checks[target.panel, target.column or target.ref](instant(target.expr))


METRICS = ("clicks", "errors", "failures", "slow", "time")


def _equal(found: Vector, truth: Vector) -> None:
    assert found == pytest.approx(truth, rel=1e-9)


def _almost(found: Vector, truth: Vector, slack: Vector) -> None:
    """Compare ratios: exact, but for a variant whose counters were born above zero."""
    assert found.keys() == truth.keys()
    for variant, value in truth.items():
        assert found[variant] == pytest.approx(value, rel=slack[variant] if variant == "late" else 1e-9), variant


def _within(found: Vector, counted: dict[str, Log]) -> None:
    assert found.keys() == counted.keys()
    for variant, log in counted.items():
        low, high = log.bucket(0.95)
        assert low <= found[variant] <= high, (variant, found)


def _mismatch(world: World, expr: str) -> None:
    """Pearson's statistic of the requests as they are recorded, which is not quite as they were counted."""

    observed = world.vector(f'sum by (variant) ({names.REQUESTS}{{experiment="shop"}})')
    (found,) = world.server.query(expr, world.at)
    assert found.labels == {"__name__": names.SRM, "namespace": NAMESPACE, "experiment": "shop"}
    total = sum(observed.values())
    wanted = {variant: total * share / 100 for variant, share in SPLIT.items()}
    truth = sum((observed[variant] - count) ** 2 / count for variant, count in wanted.items())
    assert found.value == pytest.approx(truth, rel=1e-9)


def test_recording_rules_record_the_truth(world: World) -> None:
    counted, slack = world.counted, world.slack
    requests = {variant: float(log.requests) for variant, log in counted.items()}

    def of(name: str, metric: str = "") -> str:
        own = f',metric="{metric}"' if metric else ""
        return f'sum by (variant) ({name}{{experiment="shop",namespace="{NAMESPACE}"{own}}})'

    world.is_count(of(names.REQUESTS), requests, slack)
    most = dict.fromkeys(SPLIT, max(slack.values()))
    expected = {variant: sum(requests.values()) * share / 100 for variant, share in SPLIT.items()}
    world.is_count(of(names.EXPECTED), expected, most)
    _equal(world.vector(of(names.WEIGHT)), {variant: share / 100 for variant, share in SPLIT.items()})
    for metric in METRICS:
        truth = {variant: log.values()[metric] for variant, log in counted.items()}
        for name in (names.SHORT, names.LONG):
            _almost(world.vector(of(name, metric)), truth, slack)
        if metric in ("errors", "failures", "slow"):
            events = {variant: share * requests[variant] for variant, share in truth.items()}
            world.is_count(of(names.EVENTS, metric), events, slack)


def test_all_rules_work_and_nobody_is_woken_in_the_first_minutes(world: World) -> None:
    found = world.server.rules()
    assert {rule["health"] for rule in found} == {"ok"}, [rule for rule in found if rule["health"] != "ok"]
    assert {rule["state"] for rule in found if rule["type"] == "alerting"} <= {"inactive", "pending"}


def test_what_a_counter_begins_with_is_not_counted(world: World) -> None:
    """Nothing tells Prometheus that a counter first seen at 20 was at 0 before."""
    born = world.births["late"].requests
    counter = 'max_over_time(request_preprocess_seconds_count{experiment="shop",variant="late"}[5m])'
    seen = world.vector(f"sum by (variant) ({counter})")
    assert born > 0
    assert seen == {"late": born + world.counted["late"].requests}


def test_a_dead_variant_is_shown_with_what_it_had_counted(world: World) -> None:
    gone = world.server.query('request_preprocess_seconds_count{experiment="shop",variant="dead"}', world.at)
    (shown,) = (one.expr for one in world.shop.targets if (one.panel, one.column) == ("Scoreboard", "Requests"))
    assert gone == []
    assert world.vector(instant(shown))["dead"] >= world.logs["dead"].requests > 0


@pytest.mark.parametrize("source", SOURCES)
def test_every_ready_made_metric_tells_the_truth(source: str, world: World) -> None:
    watched, name = world.sources[source], f"with-{source}"
    factor = GATEWAYS if EXPOSED[source].gateway else 1
    requests = {variant: float(factor * one.total) for variant, one in COUNTED.items()}
    slack = dict.fromkeys(COUNTED, world.slack["late"])  # which was born after the sources
    queries = {(one.panel, one.column or one.ref): instant(one.expr) for one in watched.targets}
    world.is_count(queries["Scoreboard", "Requests"], requests, slack)
    world.is_count(queries["Requests per second", "A"], requests, slack, SHORT)
    world.is_share(queries["Scoreboard", "Observed"], requests, slack)
    for panel, truth in truths(source).items():
        _equal(world.vector(queries.pop((panel, "A"))), truth)
        if not panel.endswith("percentile"):
            _equal(world.vector(queries.pop((panel, "B"))), {"v1": 1.2 * truth["v1"]})
    for metric in SOURCES[source].presets:
        record = f'sum by (variant) ({names.LONG}{{experiment="{name}",metric="{metric}"}})'
        _equal(world.vector(record), world.vector(queries.pop(("Scoreboard", metric))))
    left = {panel for panel, _ in queries}
    assert left == {
        "Scoreboard",
        "Share of requests: declared and observed",
        "Requests per second",
        "Sample ratio mismatch",
    }


def test_a_change_of_weights_is_marked(world: World) -> None:
    (expr,) = world.moving(60).annotations
    marked = expr.replace("$__rate_interval", "1m")
    weights = f'sum by (variant) ({names.WEIGHT}{{experiment="moving"}})'
    until(lambda: world.server.vector(weights), "weights are recorded")
    assert world.server.vector(marked) == {}
    world.moving(50)
    world.server.reload()
    until(lambda: world.server.vector(weights) == {"a": 0.5, "b": 0.4, "c": 0.1}, "new weights are recorded")
    assert world.server.vector(marked) == {"a": 1, "b": 1}


# Two hours of history, so that long windows are full


class Replica(NamedTuple):
    """A pod of a variant: requests a second, and when it began to count, in seconds before the end."""

    variant: str
    rate: float
    born: int = 7200


# The second pod of v1 restarts, and v2 gets another pod, within the last half hour.
REPLICAS = (
    Replica("v1", 4.0),
    Replica("v1", 4.0, born=1000),
    Replica("v2", 1.5),
    Replica("v2", 0.5, born=600),
)
BEFORE = {1: Replica("v1", 4.0)}
EVENTS = ("requests", "errors", "slow", "clicks")
MARGINS = {"errors": 1.2, "slow": 1.1}


def happened(variant: str, number: int, begun: float) -> dict[str, bool]:
    """Tell what became of a pod's request; v2 errs more in the last twenty minutes."""
    later = begun > -1200
    return {
        "requests": True,
        "errors": number % (10 if later and variant == "v2" else 25) == 3,
        "slow": number % (5 if variant == "v1" else 4) == 1,
        "clicks": number % (8 if variant == "v1" else 6) == 0,
    }


def history(end: int) -> tuple[list[str], dict[str, list[tuple[float, dict[str, bool]]]]]:
    """Return scrapes in OpenMetrics' text format, and the log of every request, which ebb and flow."""
    scrapes: list[str] = []
    log: dict[str, list[tuple[float, dict[str, bool]]]] = {"v1": [], "v2": []}
    for index, replica in enumerate(REPLICAS):
        lives = [*([(BEFORE[index], replica.born + 25)] if index in BEFORE else []), (replica, 0)]
        for life, ended in lives:
            counts, number, owed = dict.fromkeys(EVENTS, 0), 0, 0.0
            for second in range(-life.born, -ended + 1):
                owed += life.rate * (1 + 0.4 * math.sin(second / 500))
                while owed >= 1:
                    owed, number = owed - 1, number + 1
                    events = happened(life.variant, number, second)
                    log[life.variant].append((second, events))
                    for name, happens in events.items():
                        counts[name] += happens
                # Every pod has its own moment within thirty seconds, and a scrape may be late by one.
                if (second + 7 * index) % 30 == (second // 30) % 2:
                    scrapes += _scrape(life.variant, index, counts, end + second)
    return scrapes, log


def _scrape(variant: str, pod: int, counts: dict[str, int], at: float) -> list[str]:
    labels = {"namespace": NAMESPACE, "experiment": "recommendation-model", "variant": variant, "pod": f"pod-{pod}"}
    named = labels | {"model_name": "recommendation-model"}
    answered, fast = counts["requests"] - counts["errors"], counts["requests"] - counts["slow"]
    predict = Buckets(PYTHON.bounds, 0.25)
    found = [
        line("request_preprocess_seconds_count", counts["requests"], named),
        line("request_postprocess_seconds_count", answered, named),
        *predict.lines("request_predict_seconds", named, fast, counts["slow"], 0.2 * fast + 0.4 * counts["slow"]),
        line("recommendation_clicks_total", counts["clicks"], labels),
        line("recommendation_impressions_total", counts["requests"], labels),
    ]
    return [f"{one} {at}" for one in found]


def test_two_hours_of_history_are_told_as_they_were(tmp_path: Path) -> None:
    end = int(time.time()) // 7200 * 7200 - 7200
    scrapes, log = history(end)
    (tmp_path / "history.txt").write_text("\n".join([*scrapes, "# EOF", ""]), encoding="utf-8")
    promtool("tsdb", "create-blocks-from", "openmetrics", "history.txt", "data", folder=tmp_path)
    shipped = monitoring(REPOSITORY, "production", "recommendation-model", in_base=True)

    def count(event: str, seconds: float) -> Vector:
        """Count events in the last seconds."""
        return {
            variant: float(sum(events[event] for at, events in requests if at > -seconds))
            for variant, requests in log.items()
        }

    def ratio(event: str, seconds: float) -> Vector:
        total = count("requests", seconds)
        return {variant: number / total[variant] for variant, number in count(event, seconds).items()}

    def share(seconds: float) -> Vector:
        total = count("requests", seconds)
        return {variant: number / sum(total.values()) for variant, number in total.items()}

    requests = count("requests", LONG)
    declared = {"v1": 0.8, "v2": 0.2}
    expected = {variant: sum(requests.values()) * part for variant, part in declared.items()}
    truth: dict[tuple[str, str], Vector] = {
        ("Scoreboard", "Declared"): declared,
        ("Scoreboard", "Observed"): share(3600),
        ("Scoreboard", "Requests"): count("requests", 3600),
        ("Share of requests: declared and observed", "A"): share(SHORT),
        ("Share of requests: declared and observed", "B"): declared,
        ("Requests per second", "A"): {one: number / SHORT for one, number in count("requests", SHORT).items()},
        (names.REQUESTS, ""): requests,
        (names.EXPECTED, ""): expected,
        (names.SRM, ""): {"": sum((requests[one] - number) ** 2 / number for one, number in expected.items())},
    }
    for metric, event, panel in (
        ("click-through", "clicks", "click-through (ratio)"),
        ("errors", "errors", "errors (ratio)"),
        ("slow", "slow", "slow (share above 0.25 s)"),
    ):
        truth["Scoreboard", metric] = ratio(event, 3600)
        truth[panel, "A"] = truth[names.SHORT, metric] = ratio(event, SHORT)
        truth[names.LONG, metric] = ratio(event, LONG)
        if metric != "click-through":
            truth[names.EVENTS, metric] = count(event, LONG)
            truth[panel, "B"] = {"v1": MARGINS[metric] * ratio(event, SHORT)["v1"]}
    over = Buckets(PYTHON.bounds, 0.25)
    total, slow = count("requests", SHORT), count("slow", SHORT)
    truth["slow: 95th percentile", "A"] = {
        variant: over.quantile(0.95, int(total[variant] - slow[variant]), int(slow[variant])) for variant in total
    }
    expressions = {(one.panel, one.column or one.ref): instant(one.expr) for one in shipped.targets}
    expressions |= {
        (one["record"], one["labels"].get("metric", "")): one["expr"] for one in shipped.recordings if "labels" in one
    }
    expressions |= {(one["record"], ""): one["expr"] for one in shipped.recordings if "labels" not in one}
    del expressions["Sample ratio mismatch", "A"], expressions[names.WEIGHT, ""]
    assert expressions.keys() == truth.keys()
    with server(tmp_path, {"global": {"scrape_interval": "1h"}}) as running:
        for key, expr in expressions.items():
            found = {one.labels.get("variant", ""): one.value for one in running.query(resolved(expr, shipped), end)}
            # A restart and a birth lose what came before the next scrape, and a window ends between two.
            assert found == pytest.approx(truth[key], rel=0.15 if key[0] == names.SRM else 0.03), key


def resolved(expr: str, watched: Monitoring) -> str:
    """Put their expressions in the place of recorded series, in order of evaluation."""
    place = f'namespace="{NAMESPACE}",experiment="recommendation-model"'
    known: dict[str, list[str]] = {}
    for rule in watched.recordings:
        own = rule["expr"]
        for name, terms in known.items():
            own = own.replace(f"{name}{{{place}}}", f"({' or '.join(terms)})")
        for label, value in rule.get("labels", {}).items():
            own = f'label_replace({own}, "{label}", "{value}", "", "")'
        known.setdefault(rule["record"], []).append(own)
    for name, terms in reversed(known.items()):
        expr = expr.replace(f"{name}{{{place}}}", f"({' or '.join(terms)})")
    return expr
