"""Metric sources that Penstock knows, as data: what they count, how they time, and the bounds of their buckets.

A ready-made metric is chosen as `<source>/<metric>`. Bucket bounds are facts of each exporter; a share over a bound
is exact, a quantile between bounds is not (an error of 21 to 89 % was measured with these very buckets).
"""

from functools import cache
from typing import NamedTuple

from generator.domain.model import Direction, Kind, Scope, Series

# prometheus_client/metrics.py, Histogram.DEFAULT_BUCKETS; OpenTelemetry's semantic conventions use the same.
_DEFAULT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_PYTHON_SECONDS = _DEFAULT_SECONDS
# envoyproxy/envoy: source/common/stats/histogram_impl.cc, default buckets; Istio's gateways keep them.
_ENVOY_MILLISECONDS = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
)  # fmt: skip
# knative/serving v1.18: pkg/queue/request_metric.go, defaultLatencyDistribution.
_KNATIVE_MILLISECONDS = (
    5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900,
    1000, 2000, 5000, 10000, 20000, 50000, 100000,
)  # fmt: skip
# vllm-project/vllm: vllm/v1/metrics/buckets.py.
_VLLM_REQUEST_SECONDS = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0,
    960.0, 1920.0, 7680.0,
)  # fmt: skip
_VLLM_FIRST_TOKEN_SECONDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    80.0, 160.0, 640.0, 2560.0,
)  # fmt: skip


class Preset(NamedTuple):
    """A ready-made metric: the fields of `model.Metric` that a source fixes. No `total` means the source's requests."""

    kind: Kind
    summary: str
    direction: Direction = "lower"
    events: tuple[Series, ...] = ()
    good: tuple[Series, ...] = ()
    total: tuple[Series, ...] = ()
    histogram: Series | None = None
    buckets: tuple[float, ...] = ()
    unit: str = "seconds"


class Source(NamedTuple):
    """An exporter: how its series name the variant, its counter of requests, its ready-made metrics."""

    summary: str
    scope: Scope
    requests: tuple[Series, ...]
    presets: dict[str, Preset]
    knative: bool = False  # exists only where Knative's queue-proxy does

    @property
    def by_server(self) -> bool:
        """Whether model servers expose it: what counts beside them counts for all of them."""
        return self.scope.kind == "variant" and not self.knative


def _series(metric: str, **labels: str | tuple[str, ...]) -> Series:
    return Series(
        metric,
        tuple((name, (v,) if isinstance(v, str) else v) for name, v in sorted(labels.items())),
    )


_PODS = Scope("variant")


def _latency(
    metric: str,
    buckets: tuple[float, ...],
    summary: str,
    unit: str = "seconds",
    **labels: str | tuple[str, ...],
) -> dict[str, Preset]:
    """Both readings of one histogram: the share over a bound, and the mean."""
    series = _series(metric, **labels)
    return {
        "latency": Preset(
            "latencyShare", f"share of {summary} over a bound", histogram=series, buckets=buckets, unit=unit
        ),
        "mean-latency": Preset("mean", f"mean of {summary}", histogram=series, unit=unit),
    }


_COMPLETIONS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
_VLLM_TIMES = {
    **_latency("vllm:e2e_request_latency_seconds", _VLLM_REQUEST_SECONDS, "time of a whole request"),
    "first-token": Preset(
        "latencyShare",
        "share of requests whose first token came after a bound",
        histogram=_series("vllm:time_to_first_token_seconds"),
        buckets=_VLLM_FIRST_TOKEN_SECONDS,
    ),
}

SOURCES: dict[str, Source] = {
    "kserve": Source(
        "KServe's Python model servers",
        _PODS,
        (_series("request_preprocess_seconds_count"),),
        {
            # The servers count no failures; their timers observe also when the block raises, so requests that
            # began but did not reach postprocessing failed. Blind to errors before the model is called.
            "errors": Preset(
                "ratio",
                "requests that began in the model server but raised before postprocessing",
                good=(_series("request_postprocess_seconds_count"),),
            ),
            **_latency("request_predict_seconds", _PYTHON_SECONDS, "time in the model's predict"),
        },
    ),
    "mlserver": Source(
        "MLServer",
        _PODS,
        (_series("model_infer_request_success_total"), _series("model_infer_request_failure_total")),
        {
            "errors": Preset("ratio", "failed inferences", events=(_series("model_infer_request_failure_total"),)),
            # A Summary without quantiles: it has a sum and a count, and no buckets.
            "mean-latency": Preset(
                "mean", "mean time of an inference", histogram=_series("model_infer_request_duration")
            ),
            "latency": Preset(
                "latencyShare",
                "share of inference requests over a bound",
                histogram=_series("rest_server_request_duration_seconds", path="*/infer"),
                buckets=_PYTHON_SECONDS,
            ),
        },
    ),
    "vllm": Source(
        "vLLM's OpenAI-compatible server",
        _PODS,
        (_series("http_requests_total", handler=_COMPLETIONS),),
        {
            "errors": Preset(
                "ratio",
                "requests answered with 5xx",
                events=(_series("http_requests_total", handler=_COMPLETIONS, status="5*"),),
            ),
            **_VLLM_TIMES,
        },
    ),
    "vllm-engine": Source(
        "vLLM's engine inside another server, such as KServe's Hugging Face server",
        _PODS,
        # Counts every finished request, those that ended in an abort or error included.
        (_series("vllm:request_success_total"),),
        {
            "errors": Preset(
                "ratio",
                "requests that ended in an abort or error",
                events=(_series("vllm:request_success_total", finished_reason=("abort", "error")),),
            ),
            **_VLLM_TIMES,
        },
    ),
    "triton": Source(
        "Triton Inference Server",
        _PODS,
        (_series("nv_inference_request_success"), _series("nv_inference_request_failure")),
        {
            "errors": Preset("ratio", "failed inferences", events=(_series("nv_inference_request_failure"),)),
        },
    ),
    "torchserve": Source("TorchServe", _PODS, (_series("ts_inference_requests_total"),), {}),
    "knative": Source(
        "Knative's queue-proxy, 1.21 and newer",
        _PODS,
        (_series("kn_serving_invocation_duration_seconds_count"),),
        {
            "errors": Preset(
                "ratio",
                "requests answered with 5xx",
                events=(_series("kn_serving_invocation_duration_seconds_count", http_response_status_code="5*"),),
            ),
            **_latency(
                "kn_serving_invocation_duration_seconds",
                _DEFAULT_SECONDS,
                "time at the queue-proxy",
            ),
        },
        knative=True,
    ),
    "knative-legacy": Source(
        "Knative's queue-proxy, up to 1.18",
        _PODS,
        (_series("revision_app_request_count"),),
        {
            "errors": Preset(
                "ratio",
                "requests answered with 5xx",
                events=(_series("revision_app_request_count", response_code_class="5xx"),),
            ),
            **_latency(
                "revision_app_request_latencies",
                _KNATIVE_MILLISECONDS,
                "time at the queue-proxy",
                "milliseconds",
            ),
        },
        knative=True,
    ),
    "istio": Source(
        "Istio's gateways and sidecars",
        Scope("istio"),
        (_series("istio_requests_total", reporter="source"),),
        {
            "errors": Preset(
                "ratio",
                "requests answered with 5xx, timeouts and missing pods included",
                events=(_series("istio_requests_total", reporter="source", response_code="5*"),),
            ),
            **_latency(
                "istio_request_duration_milliseconds",
                _ENVOY_MILLISECONDS,
                "time at the gateway",
                "milliseconds",
                reporter="source",
            ),
        },
    ),
    "envoy-gateway": Source(
        "Envoy Gateway; needs filters on backends, which give each variant a cluster of its own",
        Scope("envoy"),
        (_series("envoy_cluster_upstream_rq_xx"),),
        {
            "errors": Preset(
                "ratio",
                "requests answered with 5xx",
                events=(_series("envoy_cluster_upstream_rq_xx", envoy_response_code_class="5"),),
            ),
            **_latency("envoy_cluster_upstream_rq_time", _ENVOY_MILLISECONDS, "time at the gateway", "milliseconds"),
        },
    ),
}


def exposed(server: str, protocol: str) -> tuple[str, ...]:
    """Return the sources that a model server exposes itself, first the one that counts its requests.

    `server` is what `kserve.Runtime.source` says; without one, Penstock knows of no metrics. The OpenAI endpoints of
    KServe's own servers pass by their timers (kserve/kserve: python/kserve/kserve/model.py), and vLLM counts them.
    """
    if server == "kserve" and protocol == "openai":
        return ("vllm-engine",)
    return {"": (), "vllm": ("vllm", "vllm-engine")}.get(server, (server,))


@cache
def presets() -> dict[str, tuple[Source, Preset]]:
    """Return all ready-made metrics by their full name."""
    return {
        f"{name}/{metric}": (source, preset)
        for name, source in SOURCES.items()
        for metric, preset in source.presets.items()
    }
