"""Rendered monitors, rules and dashboards at work: a real Prometheus scrapes real exporters whose counts are known."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import prometheus_client
import pytest
from prometheus import (
    NAMESPACE,
    Document,
    Exporter,
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
from generator.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.needs("prometheus", "promtool")

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
        counts = [mine - theirs for mine, theirs in zip(self[:5], birth[:5], strict=True)]
        return Log(*counts, self.latencies[len(birth.latencies) :])

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
        rank = sorted(self.latencies)[int(quantile * len(self.latencies))]
        above = [bound for bound in BOUNDS if bound >= rank]
        return max(bound for bound in BOUNDS if bound < rank), min(above[0], BOUNDS[-2])


class ModelServer:
    """A model server as KServe's are (python/kserve/kserve/metrics.py), with a few counters of its team's."""

    def __init__(self, stack: ExitStack, variant: str) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.log = self.birth = Log()
        self._blocks = [
            self._histogram(f"request_{block}_seconds")
            for block in ("preprocess", "predict", "postprocess", "explain")
        ]
        self._clicks, self._impressions = self._counter("clicks"), self._counter("impressions")
        self._failures = None if variant == "bare" else self._counter("failures", "reason")
        self._faultless = variant == "v2"
        if variant != "late":
            self._born()
        serving, thread = prometheus_client.start_http_server(0, "127.0.0.1", self.registry)
        self.address = f"127.0.0.1:{serving.server_port}"

        def stop() -> None:
            serving.shutdown()
            serving.server_close()
            thread.join()

        self.stop = stop
        stack.callback(stop)

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


# Every source: series and labels as the real exporter has them


class Counted(NamedTuple):
    """What an exporter counts for a variant. Failures are fast; `late` is how often the first token came late."""

    total: int
    failed: int
    slow: int
    late: int
    seconds: float

    def times(self, factor: int) -> Counted:
        """Return multiples; none at all is what the first scrape sees."""
        return Counted(*(factor * count for count in self))  # type: ignore[arg-type]


COUNTED = {
    "v1": Counted(1000, 50, 200, 100, 700.0),
    "v2": Counted(600, 90, 24, 12, 480.0),
    "faultless": Counted(400, 0, 0, 0, 60.5),
}
INFINITY = float("inf")
Labels = dict[str, str]


class Buckets(NamedTuple):
    """A histogram's bounds and their spelling; `bound` is a second in its unit."""

    bounds: tuple[float, ...]
    bound: float = 1
    spelling: str = "{}"

    def lines(self, name: str, labels: Labels, fast: int, slow: int, total: float) -> list[str]:
        """Write a histogram: fast requests took just a second, slow ones fell into the bucket after it."""
        bounds = (*self.bounds, INFINITY)
        after = bounds[bounds.index(self.bound) + 1]
        found = []
        for one in bounds:
            count = fast * (one >= self.bound) + slow * (one >= after)
            le = "+Inf" if one == INFINITY else self.spelling.format(one)
            found.append(line(f"{name}_bucket", count, labels | {"le": le}))
        return [*found, *summary(name, labels, fast + slow, total)]

    def quantile(self, quantile: float, fast: int, slow: int) -> float:
        """Interpolate in the bucket that holds the quantile, as Prometheus documents it."""
        at, rank = self.bounds.index(self.bound), quantile * (fast + slow)
        if rank <= fast:
            return self.bounds[at - 1] + (self.bound - self.bounds[at - 1]) * rank / fast
        return self.bound + (self.bounds[at + 1] - self.bound) * (rank - fast) / slow


# Python clients write 1.0, Go writes 1 and 3.6e+06, Envoy 1 and 3600000.
PYTHON = Buckets(
    tuple(map(float, (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))), 1.0
)
GO = PYTHON._replace(spelling="{:g}")
GO_MILLISECONDS = Buckets(
    (5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900, 1000, 2000, 5000)
    + (10000, 20000, 50000, 100000),
    1000,
    "{:g}",
)
ENVOY = Buckets(
    (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000),
    1000,
)
VLLM = Buckets((0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0), 1.0)
VLLM_FIRST = Buckets((0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0), 1.0)


def line(name: str, value: float, labels: Labels) -> str:
    """Write one sample."""
    return f"{name}{{{','.join(f'{label}={chr(34)}{text}{chr(34)}' for label, text in labels.items())}}} {value!r}"


def summary(name: str, labels: Labels, count: int, total: float) -> list[str]:
    """Write count and sum."""
    return [line(f"{name}_sum", total, labels), line(f"{name}_count", count, labels)]


def kserve(counted: Counted) -> list[str]:
    labels = {"model_name": "shop"}
    answered = counted.total - counted.failed
    return [
        *PYTHON.lines("request_preprocess_seconds", labels, counted.total, 0, 1),
        *PYTHON.lines("request_predict_seconds", labels, counted.total - counted.slow, counted.slow, counted.seconds),
        *PYTHON.lines("request_postprocess_seconds", labels, answered, 0, 1),
        *PYTHON.lines("request_explain_seconds", labels, 0, 0, 0),
    ]


def mlserver(counted: Counted) -> list[str]:
    labels = {"model": "shop", "version": "None"}
    failure = [line("model_infer_request_failure_total", counted.failed, labels)] if counted.failed else []
    served = {"app_name": "mlserver", "method": "POST"}
    infer = served | {"path": "/v2/models/{model_name}/infer"}
    other = served | {"path": "/v2/models/{model_name}/versions/{model_version}/infer", "status_code": "200"}
    named = "rest_server_request_duration_seconds"
    return [
        line("model_infer_request_success_total", counted.total - counted.failed, labels),
        *failure,
        *summary("model_infer_request_duration", labels, counted.total, counted.seconds),
        *PYTHON.lines(named, infer | {"status_code": "200"}, counted.total - counted.slow - counted.failed, 0, 1),
        *PYTHON.lines(named, infer | {"status_code": "500"}, counted.failed, 0, 1),
        *PYTHON.lines(named, other, 0, counted.slow, 1),
        *PYTHON.lines(named, served | {"path": "/v2/repository/index", "status_code": "200"}, 7, 77, 1),
    ]


def _vllm_times(counted: Counted) -> list[str]:
    labels = {"engine": "0", "model_name": "shop"}
    return [
        *VLLM.lines(
            "vllm:e2e_request_latency_seconds", labels, counted.total - counted.slow, counted.slow, counted.seconds
        ),
        *VLLM_FIRST.lines(
            "vllm:time_to_first_token_seconds", labels, counted.total - counted.late, counted.late, 1
        ),
    ]


def vllm(counted: Counted) -> list[str]:
    def answered(status: str, count: int, handler: str = "/v1/chat/completions") -> str:
        return line("http_requests_total", count, {"handler": handler, "method": "POST", "status": status})

    failed = [answered("5xx", counted.failed)] if counted.failed else []
    return [
        answered("2xx", counted.total - counted.failed - 20),
        answered("2xx", 10, "/v1/completions"),
        answered("4xx", 10, "/v1/embeddings"),
        answered("2xx", 1234, "/v1/models"),
        answered("5xx", 99, "none"),
        *failed,
        *_vllm_times(counted),
    ]


def vllm_engine(counted: Counted) -> list[str]:
    ends = {
        "stop": counted.total - counted.failed - 30,
        "length": 20,
        "repetition": 10,
        "abort": counted.failed - counted.failed // 3,
        "error": counted.failed // 3,
    }
    labels = {"engine": "0", "model_name": "shop"}
    finished = [
        line("vllm:request_success_total", count, labels | {"finished_reason": reason})
        for reason, count in ends.items()
    ]
    return [*finished, *_vllm_times(counted)]


def triton(counted: Counted) -> list[str]:
    labels = {"model": "shop", "version": "1"}
    return [
        line("nv_inference_request_success", counted.total - counted.failed, labels),
        line("nv_inference_request_failure", counted.failed - counted.failed // 4, labels | {"reason": "BACKEND"}),
        line("nv_inference_request_failure", counted.failed // 4, labels | {"reason": "OTHER"}),
        line("nv_inference_count", 9 * counted.total, labels),
    ]


def torchserve(counted: Counted) -> list[str]:
    labels = {"model_name": "shop", "model_version": "default", "hostname": "pod"}
    return [line("ts_inference_requests_total", counted.total, labels)]


def knative(counted: Counted) -> list[str]:
    name, scope = "kn_serving_invocation_duration_seconds", "knative.dev/serving/pkg/queue"
    labels = {"otel_scope_name": scope, "otel_scope_version": "", "otel_scope_schema_url": ""}
    fine = labels | {"http_response_status_code": "200"}
    failed = labels | {"http_response_status_code": "503"}
    fast = counted.total - counted.slow - counted.failed
    return [
        *GO.lines(name, fine, fast, counted.slow, counted.seconds - counted.failed),
        *(GO.lines(name, failed, counted.failed, 0, counted.failed) if counted.failed else ()),
    ]


def knative_legacy(counted: Counted) -> list[str]:
    name = "shop-predictor"
    labels = {"namespace_name": NAMESPACE, "service_name": name, "configuration_name": name}
    labels |= {"revision_name": f"{name}-00001", "pod_name": "pod", "container_name": "kserve-container"}
    fine = labels | {"response_code": "200", "response_code_class": "2xx"}
    failed = labels | {"response_code": "503", "response_code_class": "5xx"}
    fast, times = counted.total - counted.slow - counted.failed, "revision_app_request_latencies"
    return [
        line("revision_app_request_count", fast + counted.slow, fine),
        line("revision_app_request_count", counted.failed, failed),
        *GO_MILLISECONDS.lines(times, fine, fast, counted.slow, 1000 * (counted.seconds - counted.failed)),
        *GO_MILLISECONDS.lines(times, failed, counted.failed, 0, 1000 * counted.failed),
    ]


def istio(name: str, counted: dict[str, Counted]) -> list[str]:
    found = []
    services = {f"{name}-{variant}-predictor": one for variant, one in counted.items()}
    services |= {"shop-v1-predictor": Counted(9, 9, 9, 9, 9.0), f"{name}-v1-predictor-default": Counted(9, 9, 9, 9, 9.0)}
    for service, one in services.items():
        for reporter, share in (("source", 1), ("destination", 3)):
            labels = {
                "reporter": reporter,
                "source_workload": "gateway",
                "destination_service": f"{service}.{NAMESPACE}.svc.cluster.local",
                "destination_service_name": service,
                "destination_service_namespace": NAMESPACE,
                "request_protocol": "http",
                "connection_security_policy": "unknown",
            }
            fine = labels | {"response_code": "200", "response_flags": "-"}
            failed = labels | {"response_code": "503", "response_flags": "UH"}
            fast, times = share * (one.total - one.slow - one.failed), "istio_request_duration_milliseconds"
            found += [
                line("istio_requests_total", fast + share * one.slow, fine),
                line("istio_requests_total", share * one.failed, failed),
                *ENVOY.lines(times, fine, fast, share * one.slow, share * 1000 * (one.seconds - one.failed)),
                *ENVOY.lines(times, failed, share * one.failed, 0, share * 1000 * one.failed),
            ]
    return found


def envoy_gateway(name: str, counted: dict[str, Counted]) -> list[str]:
    rule = f"httproute/{NAMESPACE}/{name}-experiment/rule"
    # One rule for each variant's header comes first; the split is behind them.
    clusters = {f"{rule}/{len(counted)}/backend/{index}": one for index, one in enumerate(counted.values())}
    noise = Counted(77, 7, 7, 7, 7.0)
    clusters |= {f"{rule}/{index}/backend/0": noise for index in range(len(counted))}
    clusters |= {f"{rule}/{len(counted)}-mirror-0": noise, f"httproute/{NAMESPACE}/shop-experiment/rule/3/backend/0": noise}
    found = []
    for cluster, one in clusters.items():
        labels = {"envoy_cluster_name": cluster}
        fine, failed = labels | {"envoy_response_code_class": "2"}, labels | {"envoy_response_code_class": "5"}
        found += [
            line("envoy_cluster_upstream_rq_xx", one.total - one.failed, fine),
            # Envoy makes a series with the first response of its class.
            *([line("envoy_cluster_upstream_rq_xx", one.failed, failed)] if one.failed else []),
            *ENVOY.lines("envoy_cluster_upstream_rq_time", labels, one.total - one.slow, one.slow, 1000 * one.seconds),
        ]
    return found


class Exposed(NamedTuple):
    """How a source is exposed: by pods of a runtime at a port, or by a gateway for all variants at once."""

    pod: Callable[[Counted], list[str]] | None = None
    gateway: Callable[[str, dict[str, Counted]], list[str]] | None = None
    buckets: Buckets = PYTHON
    first: Buckets = VLLM_FIRST
    model: tuple[str, str, str] = ("sklearn", "kserve-sklearnserver", "v2")
    port: tuple[str, int] = ("http1", 8080)
    factor: int = 1
    default: bool = True  # whether it is what control's server counts, and needs no naming


EXPOSED = {
    "kserve": Exposed(kserve),
    "mlserver": Exposed(mlserver, model=("sklearn", "kserve-mlserver", "v2"), port=("metrics", 8082)),
    "vllm": Exposed(vllm, buckets=VLLM, model=("vLLM", "kserve-vllmserver", "openai")),
    "vllm-engine": Exposed(vllm_engine, buckets=VLLM, model=("huggingface", "kserve-huggingfaceserver", "openai")),
    "triton": Exposed(triton, model=("onnx", "triton", "v2"), port=("metrics", 8002)),
    "torchserve": Exposed(torchserve, model=("pytorch", "torchserve", "v2"), port=("metrics", 8082)),
    "knative": Exposed(knative, buckets=GO, port=("http-usermetric", 9091), default=False),
    "knative-legacy": Exposed(
        knative_legacy, buckets=GO_MILLISECONDS, port=("http-usermetric", 9091), factor=1000, default=False
    ),
    "istio": Exposed(gateway=istio, buckets=ENVOY, factor=1000, default=False),
    "envoy-gateway": Exposed(gateway=envoy_gateway, buckets=ENVOY, factor=1000, default=False),
}


def documents(source: str) -> tuple[Document, Document]:
    """Return an environment, and an experiment with every ready-made metric of a source."""
    exposed = EXPOSED[source]
    place = environment(knative=SOURCES[source].knative, interval="1s")
    place["spec"]["runtimes"] = {
        name: {"like": like, "modelNameFromArtifact": True}
        for name, like in (("triton", "kserve-tritonserver"), ("torchserve", "kserve-torchserve"))
    }
    metrics: Document = {}
    for name, preset in SOURCES[source].presets.items():
        metrics[name] = {"role": "guardrail", "use": f"{source}/{name}", "margin": 0.2}
        if preset.kind == "latencyShare":
            metrics[name]["above"] = "1s"
    document = experiment(f"with-{source}", {"v1": 50, "v2": 30, "faultless": 20}, metrics)
    form, runtime, protocol = exposed.model
    document["spec"]["model"] |= {"format": form, "runtime": runtime, "protocol": protocol}
    if not exposed.default:
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
    """A Prometheus that has scraped everything often enough; `scrapes` is how often at least."""

    server: Server
    folder: Path
    shop: Monitoring
    logs: dict[str, Log]
    births: dict[str, Log]
    sources: dict[str, Monitoring]
    scrapes: float

    def counts(self, expr: str, truth: Vector, seconds: float = 1.0) -> None:
        """Compare counts in a window, or rates over so many seconds, with what was counted.

        Prometheus extends what it saw by up to 1.1 scrape intervals at the end of a window and half of one at its start.
        """
        found = self.server.vector(expr)
        assert found.keys() == truth.keys(), expr
        for variant, count in truth.items():
            assert count <= found[variant] * seconds * (1 + 1e-9), (expr, found, truth)
            assert found[variant] * seconds <= count * (1 + self.slack), (expr, found, truth)

    def shares(self, expr: str, counts: Vector) -> None:
        """Compare shares, which are quotients of counts."""
        found, total = self.server.vector(expr), sum(counts.values())
        assert found == pytest.approx({one: count / total for one, count in counts.items()}, rel=self.slack)
        assert sum(found.values()) == pytest.approx(1)

    @property
    def slack(self) -> float:
        """How much too high a count may be, relative to itself."""
        return 1.6 / (self.scrapes - 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with ExitStack() as stack:
        found = rendered(folder / "shop", environment(interval="1s"), SHOP)
        servers = {variant: ModelServer(stack, variant) for variant in SPLIT}
        pods = [_pod("shop", variant, found, servers[variant].address) for variant in SPLIT]
        stranger = pods[0]._replace(
            name="stranger", labels={**pods[0].labels, "penstock.dev/experiment": "another"}, ports={("http1", 8080): ""}
        )
        configs = scrape_configs(found.monitor, [*pods, stranger])
        factor = 0

        def counted() -> int:
            return factor

        sources = {source: rendered(folder / source, *documents(source)) for source in SOURCES}
        for source, watched in sources.items():
            configs += _source(stack, source, watched, counted)
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [
                write(folder / f"{name}.yml", one.rules) for name, one in {"rules": found, **sources}.items()
            ],
            "scrape_configs": configs,
        }
        running = stack.enter_context(server(folder, config))
        seen = 'sum by (variant) (request_preprocess_seconds_count{experiment="shop"})'

        def settled() -> bool:
            logged = {variant: float(one.log.requests) for variant, one in servers.items() if one.log.requests}
            quiet = {variant: 0.0 for variant in SPLIT if variant not in ("late", *logged)}
            return running.vector(seen) == logged | quiet

        targets = sum(len(one["static_configs"]) for one in configs)
        until(lambda: running.query("count(up == 1) > 0") and _all_up(running), "all exporters are scraped")
        until(settled, "all series begin at zero")
        assert len(running.targets()) < targets
        factor = 1
        for turn in range(4):
            for variant, one in servers.items():
                if variant == "late" and turn < 2:
                    continue
                if variant == "dead" and turn > 1:
                    one.stop()
                    continue
                one.serve(12 * SPLIT[variant])
            if turn < 2:
                until(settled, f"turn {turn} was scraped")
                continue
            if turn == 2:
                until(lambda: running.query('up{variant="dead"} == 0'), "a variant is dead")
                until(lambda: _late(running, servers["late"]), "a variant was born")
                servers["late"].birth = servers["late"].log
                continue
            until(lambda: _late(running, servers["late"]), "the last turn was scraped")
        yield World(
            running,
            folder,
            found,
            {variant: one.log for variant, one in servers.items()},
            {variant: one.birth for variant, one in servers.items()},
            sources,
            until(lambda: _scrapes(running), "enough scrapes"),
        )
