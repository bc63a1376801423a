"""What each source exposes: names, labels and bounds as its own project writes them, for counts that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from prometheus import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus import Monitoring

INFINITY = float("inf")
Labels = dict[str, str]


class Counted(NamedTuple):
    """What an exporter counts for a variant. Failures are fast; `late` is how often the first token came late.

    So that all parts of it are whole, `total` is a multiple of 12, and `failed` too.
    """

    total: int
    failed: int
    slow: int
    late: int
    seconds: float

    def times(self, number: int) -> Counted:
        """Return what it counts if all this happens so often."""
        total, failed, slow, late, seconds = self
        return Counted(number * total, number * failed, number * slow, number * late, number * seconds)


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
PYTHON = Buckets(tuple(map(float, (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))), 1.0)
GO = PYTHON._replace(spelling="{:g}")
GO_MILLISECONDS = Buckets(
    (
        *(5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900),
        *(1000, 2000, 5000, 10000, 20000, 50000, 100000),
    ),
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


# What pods expose


def kserve(counted: Counted) -> list[str]:
    """KServe's own servers (kserve/kserve: python/kserve/kserve/metrics.py); failures end before postprocessing."""
    labels = {"model_name": "shop"}
    answered = counted.total - counted.failed
    return [
        *PYTHON.lines("request_preprocess_seconds", labels, counted.total, 0, 1),
        *PYTHON.lines("request_predict_seconds", labels, counted.total - counted.slow, counted.slow, counted.seconds),
        *PYTHON.lines("request_postprocess_seconds", labels, answered, 0, 1),
        *PYTHON.lines("request_explain_seconds", labels, 0, 0, 0),
    ]


def mlserver(counted: Counted) -> list[str]:
    """MLServer's data plane (mlserver/handlers/dataplane.py), and starlette_exporter, whose paths are the routes'.

    Each inference makes the counter of failures, at 0.
    """
    labels = {"model": "shop", "version": "None"}
    served = {"app_name": "mlserver", "method": "POST"}
    infer = served | {"path": "/v2/models/{model_name}/infer"}
    other = served | {"path": "/v2/models/{model_name}/versions/{model_version}/infer", "status_code": "200"}
    named = "rest_server_request_duration_seconds"
    return [
        line("model_infer_request_success_total", counted.total - counted.failed, labels),
        line("model_infer_request_failure_total", counted.failed, labels),
        *summary("model_infer_request_duration", labels, counted.total, counted.seconds),
        *PYTHON.lines(named, infer | {"status_code": "200"}, counted.total - counted.slow - counted.failed, 0, 1),
        *PYTHON.lines(named, infer | {"status_code": "500"}, counted.failed, 0, 1),
        *PYTHON.lines(named, other, 0, counted.slow, 1),
        *PYTHON.lines(named, served | {"path": "/v2/repository/index", "status_code": "200"}, 7, 77, 1),
    ]


def _vllm_times(counted: Counted) -> list[str]:
    """vllm/v1/metrics/loggers.py."""
    labels = {"engine": "0", "model_name": "shop"}
    return [
        *VLLM.lines(
            "vllm:e2e_request_latency_seconds", labels, counted.total - counted.slow, counted.slow, counted.seconds
        ),
        *VLLM_FIRST.lines("vllm:time_to_first_token_seconds", labels, counted.total - counted.late, counted.late, 1),
    ]


def vllm(counted: Counted) -> list[str]:
    """vLLM's API server: prometheus-fastapi-instrumentator, which groups statuses, and the engine's own."""

    def answered(status: str, count: int, handler: str = "/v1/chat/completions") -> str:
        return line("http_requests_total", count, {"handler": handler, "method": "POST", "status": status})

    part = counted.total // 12
    failed = [answered("5xx", counted.failed)] if counted.failed else []
    return [
        answered("2xx", counted.total - counted.failed - 2 * part),
        answered("2xx", part, "/v1/completions"),
        answered("4xx", part, "/v1/embeddings"),
        answered("2xx", 1234 * part, "/v1/models"),
        answered("5xx", 99 * part, "none"),
        *failed,
        *_vllm_times(counted),
    ]


def vllm_engine(counted: Counted) -> list[str]:
    """The engine inside another server: every end of a request by its reason, which are all there from the start."""
    ends = {
        "stop": counted.total - counted.failed - counted.total // 12,
        "length": counted.total // 12,
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
    """Triton (docs/user_guide/metrics.md); its failures have a reason since 24.05."""
    labels = {"model": "shop", "version": "1"}
    reasons = {"BACKEND": counted.failed - counted.failed // 4, "OTHER": counted.failed // 4, "CANCELED": 0}
    return [
        line("nv_inference_request_success", counted.total - counted.failed, labels),
        *(line("nv_inference_request_failure", n, labels | {"reason": reason}) for reason, n in reasons.items()),
        line("nv_inference_count", 9 * counted.total, labels),
    ]


def torchserve(counted: Counted) -> list[str]:
    """TorchServe (docs/metrics.md)."""
    labels = {"model_name": "shop", "model_version": "default", "hostname": "pod"}
    return [line("ts_inference_requests_total", counted.total, labels)]


def knative(counted: Counted) -> list[str]:
    """Knative's queue-proxy from 1.21 on, by OpenTelemetry's exporter."""
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
    """Knative's queue-proxy up to 1.18 (knative/docs: docs/serving/metrics.md), by OpenCensus."""
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


# What gateways expose of all variants at once, and of others


def istio(watched: Monitoring, variants: Mapping[str, Counted]) -> list[str]:
    """What goes to variants, seen from either end, and beside it what goes elsewhere."""
    found = []
    services = {f"{watched.name}-{variant}-predictor": one for variant, one in variants.items()}
    noise = next(iter(variants.values()))
    services |= dict.fromkeys(("another-v1-predictor", f"{watched.name}-v1-predictor-default"), noise)
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


def envoy_gateway(watched: Monitoring, variants: Mapping[str, Counted]) -> list[str]:
    """Backends of the split and, beside it, what testers ask for by header, copies, and another experiment."""
    noise = next(iter(variants.values()))
    clusters = dict.fromkeys(watched.clusters, noise)
    clusters |= {cluster: variants[variant] for cluster, (variant, split) in watched.clusters.items() if split}
    clusters |= {
        f"httproute/{NAMESPACE}/{name}/rule/3-mirror-0": noise for name in (f"{watched.name}-experiment", "another")
    }
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
    gateway: Callable[[Monitoring, Mapping[str, Counted]], list[str]] | None = None
    buckets: Buckets = PYTHON
    first: Buckets = VLLM_FIRST
    port: tuple[str, int] = ("http1", 8080)
    factor: int = 1
    default: bool = True  # whether it is what control's server counts, and needs no naming

    def lines(self, watched: Monitoring, variants: Mapping[str, Counted]) -> list[str]:
        """Write what one exporter exposes: a pod of its only variant, or a gateway of all."""
        if self.gateway:
            return self.gateway(watched, variants)
        assert self.pod
        (counted,) = variants.values()
        return self.pod(counted)


EXPOSED = {
    "kserve": Exposed(kserve),
    "mlserver": Exposed(mlserver, port=("metrics", 8082)),
    "vllm": Exposed(vllm, buckets=VLLM),
    "vllm-engine": Exposed(vllm_engine, buckets=VLLM),
    "triton": Exposed(triton, port=("metrics", 8002)),
    "torchserve": Exposed(torchserve, port=("metrics", 8082)),
    "knative": Exposed(knative, buckets=GO, port=("http-usermetric", 9091), default=False),
    "knative-legacy": Exposed(
        knative_legacy, buckets=GO_MILLISECONDS, port=("http-usermetric", 9091), factor=1000, default=False
    ),
    "istio": Exposed(gateway=istio, buckets=ENVOY, factor=1000, default=False),
    "envoy-gateway": Exposed(gateway=envoy_gateway, buckets=ENVOY, factor=1000, default=False),
}
