"""Rendered monitoring, and real Prometheus programs to judge it: `promtool`, a server, exporters to scrape."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import yaml
from processes import stop
from repositories import Case, Repository

from generator import pipeline
from generator.manifests.readback import Reader
from generator.manifests.render import Templates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

API = "penstock.dev/v1alpha1"
NAMESPACE = "ml-serving"
Document = dict[str, Any]
Vector = dict[str, float]
Value = TypeVar("Value")

# Format, runtime and protocol of the servers that expose a source themselves.
_SERVERS = {
    "kserve": ("sklearn", "kserve-sklearnserver", "v2"),
    "mlserver": ("sklearn", "kserve-mlserver", "v2"),
    "vllm": ("vLLM", "kserve-vllmserver", "openai"),
    "vllm-engine": ("huggingface", "kserve-huggingfaceserver", "openai"),
    "triton": ("onnx", "triton", "v2"),
    "torchserve": ("pytorch", "torchserve", "v2"),
}
_RUNTIMES = {
    name: {"like": like, "modelNameFromArtifact": True}
    for name, like in (("triton", "kserve-tritonserver"), ("torchserve", "kserve-torchserve"))
}

# What Grafana writes for a panel that shows an hour in steps of 15 s, scraped every 30 s.
MACROS = {"$__rate_interval": "5m", "$__range": "1h"}
NOBODY = 1  # a port at which nothing listens
# Metrics of an experiment on a server that counts errors of its own.
METRICS = {
    "errors": {
        "role": "guardrail",
        "kind": "ratio",
        "direction": "lower",
        "margin": 0.5,
        "events": {"metric": "shop_errors_total"},
    },
    "slow": {"role": "guardrail", "use": "kserve/latency", "above": "250ms", "margin": 0.2},
}

_PATIENCE = 60.0  # seconds; a busy machine is slow, a broken one is stuck


# What is rendered


class Target(NamedTuple):
    """A query of a dashboard: of the panel with this title, and of the table's column, if it is one."""

    panel: str
    ref: str
    column: str
    expr: str


class Monitoring(NamedTuple):
    """What is rendered to watch an experiment, as data; and of what is watched, the predictors by variant."""

    rules: Document
    monitor: Document
    dashboard: Document
    predictors: dict[str, Document]
    route: Document

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.monitor["metadata"]["name"]).removesuffix("-experiment")

    @property
    def group(self) -> Document:
        """The only group of rules."""
        (group,) = self.rules["groups"]
        return dict(group)

    @property
    def recordings(self) -> list[Document]:
        """Recording rules, in order."""
        return [rule for rule in self.group["rules"] if "record" in rule]

    @property
    def alerts(self) -> list[Document]:
        """Alerts, in order."""
        return [rule for rule in self.group["rules"] if "alert" in rule]

    @property
    def targets(self) -> tuple[Target, ...]:
        """Queries of all panels, as the dashboard holds them."""
        found = []
        for panel in self.dashboard["panels"]:
            titles = {
                override["matcher"]["options"]: override["properties"][0].get("value", "")
                for override in panel["fieldConfig"]["overrides"]
            }
            found += [
                Target(panel["title"], one["refId"], titles.get(f"Value #{one['refId']}", ""), one["expr"])
                for one in panel["targets"]
            ]
        return tuple(found)

    @property
    def clusters(self) -> dict[str, tuple[str, bool]]:
        """Clusters that Envoy Gateway makes of the route (internal/ir/xds.go): variant, and whether of the split."""
        place = f"httproute/{self.route['metadata']['namespace']}/{self.route['metadata']['name']}"
        start, end = len(self.route["metadata"]["name"].removesuffix("experiment")), len("-predictor")
        return {
            f"{place}/rule/{index}/backend/{number}": (backend["name"][start:-end], "headers" not in rule["matches"][0])
            for index, rule in enumerate(self.route["spec"]["rules"])
            for number, backend in enumerate(rule["backendRefs"])
        }

    @property
    def annotations(self) -> tuple[str, ...]:
        """Queries of the dashboard's annotations."""
        return tuple(one["target"]["expr"] for one in self.dashboard["annotations"]["list"])


def environment(*, knative: bool = False, interval: str = "30s", **monitoring: Any) -> Document:
    """Return an environment as data."""
    routing: Document = {"domain": "models.example.com"}
    if not knative:
        routing["gateway"] = {"name": "gateway", "namespace": "kserve"}
    return {
        "apiVersion": API,
        "kind": "Environment",
        "metadata": {"name": "production"},
        "spec": {
            "namespace": NAMESPACE,
            "kserve": {"version": "0.20", "deploymentMode": "Knative" if knative else "Standard"},
            "routing": routing,
            "runtimes": _RUNTIMES,
            "monitoring": {
                "interval": interval,
                "monitor": "PodMonitor" if knative else "ServiceMonitor",
                **monitoring,
            },
        },
    }


def experiment(name: str, traffic: dict[str, int], metrics: Document, source: str = "kserve", **spec: Any) -> Document:
    """Return an experiment as data, on servers that expose `source` if any do; the first variant is control."""
    form, runtime, protocol = _SERVERS.get(source, _SERVERS["kserve"])
    return {
        "apiVersion": API,
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {
            "owner": "recsys",
            "hypothesis": "the candidate is better",
            "expires": "2099-12-31",
            "model": {
                "format": form,
                "runtime": runtime,
                "protocol": protocol,
                "storageUri": "gs://bucket/model",
            },
            "control": next(iter(traffic)),
            "variants": {variant: {} for variant in traffic},
            "traffic": traffic,
            "metrics": metrics,
            **spec,
        },
    }


def rendered(root: Path, environment: Document, experiment: Document) -> Monitoring:
    """Write both documents into a repository at `root`, and return what Penstock makes of them."""
    case = Case(environment, experiment)
    Repository(root).put(case)
    return monitoring(root, *case.names)


def monitoring(root: Path, environment: str, experiment: str, *, in_base: bool = False) -> Monitoring:
    """Return the monitoring of an experiment of a repository."""
    built = pipeline.build(
        str(root),
        pipeline.site(str(root), environment),
        experiment,
        in_base=in_base,
        templates=Templates(),
        reader=Reader(),
        today="2027-01-01",
    )
    return _monitoring([yaml.safe_load(manifest.text) for manifest in built.manifests])


def _monitoring(objects: list[Document]) -> Monitoring:
    kinds: dict[str, Document] = {one["kind"]: one for one in reversed(objects)}
    monitor = kinds.get("ServiceMonitor") or kinds["PodMonitor"]
    (dashboard,) = kinds["ConfigMap"]["data"].values()
    predictors = [one["spec"]["predictor"] for one in objects if one["kind"] == "InferenceService"]
    by_variant = {one["labels"]["penstock.dev/variant"]: one for one in predictors}
    return Monitoring(
        kinds["PrometheusRule"]["spec"], monitor, json.loads(dashboard), by_variant, kinds.get("HTTPRoute", {})
    )


def instant(expr: str) -> str:
    """Put durations in the place of Grafana's macros."""
    for macro, duration in MACROS.items():
        expr = expr.replace(macro, duration)
    assert "$__" not in expr, expr
    return expr


# promtool


def promtool(*arguments: str, folder: Path) -> str:
    """Run promtool in `folder` and return what it says; a failure is an assertion."""
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def write(file: Path, document: Any) -> str:
    """Write data as YAML (which JSON is) and return the file's name."""
    file.write_text(json.dumps(document), encoding="utf-8")
    return file.name


# A server


class Sample(NamedTuple):
    """One series of an instant vector."""

    labels: dict[str, str]
    value: float


class Server:
    """A running Prometheus, which listens at `address`."""

    def __init__(self, address: str) -> None:
        self.address = address

    def query(self, expr: str, at: float | None = None) -> list[Sample]:
        """Return an instant vector; a warning of the server's is an assertion."""
        form = {"query": expr} | ({} if at is None else {"time": f"{at:.3f}"})
        found = self._ask("POST", "/api/v1/query", form)
        assert not found.get("warnings"), (expr, found["warnings"])
        assert found["data"]["resultType"] == "vector", expr
        return [Sample(one["metric"], float(one["value"][1])) for one in found["data"]["result"]]

    def vector(self, expr: str, at: float | None = None, by: str = "variant") -> Vector:
        """Return an instant vector whose series differ in one label, by its values; it must have no other label."""
        found = self.query(expr, at)
        for sample in found:
            assert sample.labels.keys() == {by}, (expr, sample)
        return {sample.labels[by]: sample.value for sample in found}

    def targets(self) -> list[Document]:
        """Return what is scraped."""
        found: list[Document] = self._ask("GET", "/api/v1/targets?state=active")["data"]["activeTargets"]
        return found

    def dropped(self) -> list[Document]:
        """Return what was discovered and is not scraped."""
        found: list[Document] = self._ask("GET", "/api/v1/targets?state=dropped")["data"]["droppedTargets"]
        return found

    def rules(self) -> list[Document]:
        """Return all rules with their health."""
        groups = self._ask("GET", "/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def reload(self) -> None:
        """Read configuration and rules again."""
        status, body = self._send("POST", "/-/reload")
        assert status == http.client.OK, body

    def ready(self) -> bool:
        """Tell whether the server answers queries."""
        try:
            return self._send("GET", "/-/ready")[0] == http.client.OK
        except OSError:
            return False

    def _ask(self, method: str, path: str, form: dict[str, str] | None = None) -> Document:
        status, body = self._send(method, path, form)
        assert status == http.client.OK, (path, form, body)
        answer: Document = json.loads(body)
        return answer

    def _send(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.address, timeout=_PATIENCE)
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request(method, path, urlencode(form or {}), headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


@contextmanager
def server(folder: Path, config: Document) -> Iterator[Server]:
    """Run Prometheus in `folder`, where its data stands below `data`, on a free port of the loopback interface."""
    log = folder / "prometheus.log"
    write(folder / "prometheus.yml", config)
    command = [
        "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--web.enable-lifecycle",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--web.listen-address=127.0.0.1:0"],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        # The server takes a port that is free, and says in its log which.
        address = until(lambda: _address(process, log), "the server listens")
        running = Server(address)
        until(running.ready, "the server is ready")
        yield running
    finally:
        stop(process)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    assert process.poll() is None, text
    found = re.search(r'msg="Listening on".* address=(127\.0\.0\.1:\d+)', text)
    return found[1] if found else ""


def until(probe: Callable[[], Value], what: str) -> Value:
    """Return the first true value of `probe`."""
    deadline = time.monotonic() + _PATIENCE
    while not (found := probe()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)
    return found


# Something to scrape


@contextmanager
def exporter(expose: Callable[[], str]) -> Iterator[str]:
    """Serve what `expose` returns in Prometheus' text format; the value is the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = expose().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


class Pod(NamedTuple):
    """A pod as Kubernetes shows it: its labels, and by name and number of each port what listens there, if anything."""

    name: str
    labels: dict[str, str]
    ports: dict[tuple[str, int], str]


def scrape_configs(monitor: Document, pods: list[Pod]) -> list[Document]:
    """Translate a monitor as the Prometheus Operator does (pkg/prometheus/promcfg.go), for pods that are known.

    Labels below `__meta_` stand where Kubernetes discovery would put them; there is a target for each port of a pod.
    """
    owner = "service" if monitor["kind"] == "ServiceMonitor" else "pod"
    name, namespace = monitor["metadata"]["name"], monitor["metadata"]["namespace"]
    selected = [
        {
            "action": "keep",
            "source_labels": [_meta(owner, label), _meta(owner, label, "labelpresent")],
            "regex": f"({re.escape(value)});true",
        }
        for label, value in monitor["spec"]["selector"]["matchLabels"].items()
    ]
    endpoints = monitor["spec"]["endpoints" if owner == "service" else "podMetricsEndpoints"]
    return [
        {
            "job_name": f"{namespace}/{name}/{index}",
            "scrape_interval": endpoint["interval"],
            "scrape_timeout": endpoint["interval"],
            "metrics_path": endpoint["path"],
            "scheme": endpoint["scheme"],
            "relabel_configs": [
                *selected,
                _port(endpoint),
                {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
                *map(_relabeling, endpoint["relabelings"]),
            ],
            "static_configs": [target for pod in pods for target in _discovered(pod, namespace)],
        }
        for index, endpoint in enumerate(endpoints)
    ]


def _port(endpoint: Document) -> Document:
    for field, label in (("targetPort", "number"), ("portNumber", "number"), ("port", "name")):
        if field in endpoint:
            source = f"__meta_kubernetes_pod_container_port_{label}"
            return {"action": "keep", "source_labels": [source], "regex": str(endpoint[field])}
    raise AssertionError(endpoint)


def _meta(owner: str, name: str, kind: str = "label") -> str:
    return f"__meta_kubernetes_{owner}_{kind}_{re.sub('[^a-zA-Z0-9_]', '_', name)}"


def _relabeling(rule: Document) -> Document:
    return {re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key): value for key, value in rule.items()}


def _discovered(pod: Pod, namespace: str) -> Iterator[Document]:
    labels = {"__meta_kubernetes_namespace": namespace, "__meta_kubernetes_pod_name": pod.name}
    # KServe puts a predictor's labels, and one of its own, on its pods and on their Service.
    for name, value in (pod.labels | {"component": "predictor"}).items():
        for owner in ("service", "pod"):
            labels[_meta(owner, name)] = value
            labels[_meta(owner, name, "labelpresent")] = "true"
    for (name, number), address in pod.ports.items():
        port = {"name": name, "number": str(number)}
        own = {f"__meta_kubernetes_pod_container_port_{key}": value for key, value in port.items()}
        yield {"targets": [address or f"127.0.0.1:{NOBODY}"], "labels": labels | own}
