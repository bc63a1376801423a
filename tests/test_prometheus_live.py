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
        """Return multiples: none for the first scrape."""
        return Counted(*(factor * count for count in self[:4]), factor * self.seconds)  # type: ignore[misc]


COUNTED = {
    "v1": Counted(1000, 50, 200, 100, 700.0),
    "v2": Counted(600, 90, 24, 12, 480.0),
    "faultless": Counted(400, 0, 0, 0, 60.5),
}
Text = Iterable = "list[str]"


def line(name: str, value: float, **labels: str) -> str:
    """Write one sample."""
    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}"


def histogram(
    name: str, bounds: tuple[float, ...], bound: float, counts: tuple[int, int], total: float, go: bool, **labels: str
) -> list[str]:
    """Write a histogram of so many observations at or just below a bound, and so many in the bucket after it."""
    fast, slow = counts
    after = min(one for one in (*bounds, float("inf")) if one > bound)
    found = []
    for one in (*bounds, float("inf")):
        le = "+Inf" if one == float("inf") else f"{one:g}" if go else f"{float(one)}"
        count = (fast if one >= bound else 0) + (slow if one >= after else 0)
        found.append(line(f"{name}_bucket", count, **labels, le=le))
    return [*found, line(f"{name}_sum", total, **labels), line(f"{name}_count", fast + slow, **labels)]
