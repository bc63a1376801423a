"""The doctor at real servers: one that sees all, and those to which one step is missing each."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from prometheus import (
    METRICS,
    NAMESPACE,
    NOBODY,
    Document,
    Pod,
    Server,
    environment,
    experiment,
    exporter,
    rendered,
    scrape_configs,
    server,
    until,
    write,
)
from repositories import Outcome, Repository

from generator.evidence import diagnosis
from generator.evidence.prometheus import PrometheusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("prometheus", "PENSTOCK_TEST_LONG")

NAME = "shop"
BOUNDS = ("0.1", "0.25", "0.5", "+Inf")


def exposed(bounds: tuple[str, ...] = BOUNDS, errors: str = "shop_errors_total") -> str:
    buckets = "".join(f'request_predict_seconds_bucket{{model_name="m",le="{bound}"}} 1\n' for bound in bounds)
    return (
        f"shop_requests_total 1\n{errors} 0\n{buckets}"
        'request_predict_seconds_count{model_name="m"} 1\nrequest_predict_seconds_sum{model_name="m"} 0.1\n'
    )


class Clinic(NamedTuple):
    """A repository, and the server that its environment names."""

    repository: Repository
    running: Server

    def doctor(self, *options: str) -> Outcome:
        return self.repository.penstock("doctor", "-e", "production", NAME, *options)

    def missing(self) -> dict[str, tuple[str, str]]:
        """Return what is missing, by check; the exit code tells whether anything is."""
        done = self.doctor("-o", "json")
        assert done.returncode in {0, 1}, done.stderr
        found = json.loads(done.stdout)
        lacking = {one["check"]: one for one in found["findings"] if one["outcome"] == "missing"}
        assert (done.returncode, found["missing"]) == (int(bool(lacking)), len(lacking))
        return {check: (one["message"], one["remedy"]) for check, one in lacking.items()}


def everything(configs: list[Document]) -> list[Document]:
    return configs


@contextmanager
def clinic(
    folder: Path,
    *,
    expose: Callable[[str], str] = lambda _: exposed(),
    pods: Callable[[list[Pod]], list[Pod]] = lambda pods: pods,
    scraped: Callable[[list[Document]], list[Document]] = everything,
    rules: bool = True,
    interval: str = "1s",
) -> Iterator[Clinic]:
    """Run what is rendered against exporters; each option breaks one thing."""
    with ExitStack() as stack:
        addresses = {name: stack.enter_context(exporter(lambda name=name: expose(name))) for name in ("v1", "v2")}  # type: ignore[misc]
        place = environment(interval="1s", labels={"release": "prometheus"})
        shop = experiment(NAME, {"v1": 80, "v2": 20}, METRICS, requests={"metric": "shop_requests_total"})
        made = rendered(folder / "repository", place, shop)
        own = [
            Pod(
                f"{name}-pod",
                {"penstock.dev/experiment": NAME, "penstock.dev/variant": name},
                {("http1", 8080): address},
            )
            for name, address in addresses.items()
        ]
        configs = scrape_configs(made.monitor, pods(own))
        for config in configs:
            config["job_name"] = f"serviceMonitor/{config['job_name']}"
            config |= {"scrape_interval": interval, "scrape_timeout": interval}
        served = folder / "prometheus"
        served.mkdir()
        group = made.group | {"interval": "1s"}
        files = [write(served / "rules.json", {"groups": [group]})] if rules else []
        config = {"global": {"evaluation_interval": "1s"}, "rule_files": files, "scrape_configs": scraped(configs)}
        running = stack.enter_context(server(served, config))
        repository = Repository(folder / "repository")
        with repository.environment() as document:
            document["spec"]["prometheus"] = {"url": f"http://{running.address}"}
        yield Clinic(repository, running)


def watched(one: Clinic, series: int = 2) -> None:
    """Wait until all is scraped, and rules have been evaluated."""
    until(lambda: len(one.running.query("shop_requests_total")) >= series, "exporters are scraped")
    until(lambda: all(rule["health"] != "unknown" for rule in one.running.rules()), "rules are evaluated")


def test_all_is_well(tmp_path: Path) -> None:
    with clinic(tmp_path) as one:
        watched(one)
        until(lambda: one.running.query("variant:penstock_weight:configured"), "weights are recorded")
        done = one.doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == TEXT


TEXT = """\
production
  ok       clock         within 10 s of this machine's
  ok       retention     samples are kept for 15 d
production/shop
  ok       targets       2 targets, none of them down
  ok       requests      series by variant: v1 1, v2 1
  ok       errors (of)   series by variant: v1 1, v2 1
  ok       errors        series by variant: v1 1, v2 1
  ok       slow (of)     series by variant: v1 1, v2 1
  ok       slow (bound)  250ms is one of 3 bounds
  ok       rules         17 rules loaded
  ok       weights       as declared
nothing is missing
"""


def test_a_monitor_that_the_operator_does_not_take(tmp_path: Path) -> None:
    with clinic(tmp_path, scraped=lambda _: []) as one:
        found = one.missing()
    message, remedy = found["targets"]
    assert message == f"Prometheus does not know the ServiceMonitor {NAMESPACE}/shop-experiment"
    assert remedy == (
        "apply it; give it the labels that serviceMonitorSelector of the Prometheus resource asks for (it has release: "
        f"prometheus: set spec.monitoring.labels); let serviceMonitorNamespaceSelector take in {NAMESPACE}; and look "
        "at its Events, for the operator refuses a wrong one silently"
    )
    assert found["requests"][0].startswith("no series of v1, v2 now: shop_requests_total{")


def test_a_port_that_pods_do_not_declare(tmp_path: Path) -> None:
    with clinic(tmp_path, pods=lambda pods: [one._replace(ports={("other", 9999): ""}) for one in pods]) as one:
        until(one.running.dropped, "targets are dropped")
        found = one.missing()
    assert found["targets"] == (
        "pods of the experiment are found, but none has the port that the monitor selects (they declare 9999)",
        "declare the container port in the runtime, and its metricsPort in spec.runtimes of the environment",
    )


def test_pods_that_are_not_found(tmp_path: Path) -> None:
    with clinic(tmp_path, pods=lambda _: []) as one:
        found = one.missing()
    assert found["targets"][0] == "Prometheus knows the monitor, but finds no pod of the experiment"
    assert "RBAC" in found["targets"][1]


def test_a_target_at_which_nothing_listens(tmp_path: Path) -> None:
    with clinic(
        tmp_path, pods=lambda pods: [pods[0], pods[1]._replace(ports={("http1", 8080): f"127.0.0.1:{NOBODY}"})]
    ) as one:
        watched(one, 1)
        until(lambda: any(target["health"] == "down" for target in one.running.targets()), "a target is down")
        found = one.missing()
    message, remedy = found["targets"]
    assert message.startswith("1 of 2 targets cannot be scraped: Get ")
    assert message.endswith("connection refused")
    assert remedy == "nothing listens there: check the port on which the runtime has its metrics"
    assert found["requests"][0].startswith("no series of v2 now: ")


def test_a_variant_without_pods(tmp_path: Path) -> None:
    with clinic(tmp_path, pods=lambda pods: pods[:1]) as one:
        watched(one, 1)
        found = one.missing()
    assert found["variants"][0] == "no target is of v2"
    assert {"variants", "requests", "errors (of)", "slow (of)"} <= found.keys()


@pytest.mark.parametrize(
    ("other", "lacking", "shared"),
    [
        (("0.1", "0.3", "1.0", "+Inf"), "v1, v2", "100ms, 300ms, 1s"),
        (("0.1", "0.25", "1.0", "+Inf"), "v2", "100ms, 1s"),
    ],
)
def test_a_bound_that_no_bucket_has(other: tuple[str, ...], lacking: str, shared: str, tmp_path: Path) -> None:
    servers = {"v1": exposed(other), "v2": exposed(("0.1", "0.3", "1.0", "+Inf"))}
    with clinic(tmp_path, expose=lambda name: servers[name]) as one:
        watched(one)
        until(lambda: one.running.query("variant:penstock_weight:configured"), "weights are recorded")
        found = one.missing()
    assert found == {
        "slow (bound)": (
            f"250ms is no bound of a bucket of {lacking}, and nothing is ever interpolated",
            f"set `above` to one of {shared}, or add the bound in the server",
        )
    }


def test_a_counter_that_is_called_otherwise(tmp_path: Path) -> None:
    with clinic(tmp_path, expose=lambda _: exposed(errors="shop_failures_total")) as one:
        watched(one)
        until(lambda: one.running.query("variant:penstock_weight:configured"), "weights are recorded")
        found = one.missing()
    assert [*found] == ["errors"]
    assert found["errors"][0].startswith("no series of v1, v2 now: shop_errors_total{")
    assert found["errors"][1].startswith("check the metric's name and labels, and that the server exposes")


def test_rules_that_are_not_loaded(tmp_path: Path) -> None:
    with clinic(tmp_path, rules=False) as one:
        watched(one)
        found = one.missing()
    assert [*found] == ["rules", "weights"]
    assert found["rules"][1].startswith("apply the PrometheusRule; give it the labels that ruleSelector of the")


def test_weights_of_an_older_commit(tmp_path: Path) -> None:
    with clinic(tmp_path) as one:
        watched(one)
        until(lambda: one.running.query("variant:penstock_weight:configured"), "weights are recorded")
        with one.repository.experiment(NAME) as document:
            document["spec"]["traffic"] = {"v1": 50, "v2": 50}
        found = one.missing()
    assert found == {
        "weights": (
            "Prometheus has other weights than the file: v1 80 %, declared 50 %; v2 20 %, declared 50 %",
            "publish the change, or wait until the rules of the last one are loaded",
        )
    }


def test_another_interval_than_the_declared_one(tmp_path: Path) -> None:
    with clinic(tmp_path, interval="2s") as one:
        watched(one)
        until(lambda: one.running.query("variant:penstock_weight:configured"), "weights are recorded")
        found = one.missing()
    assert found["interval"][0] == "targets are scraped every 2s, not every 1 s as declared"


def twice(configs: list[Document]) -> list[Document]:
    """Scrape everything as two servers would whose samples are read together."""
    made: list[Document] = []
    for replica, kind in (("a", "serviceMonitor"), ("b", "copy")):
        for config in configs:
            labels = [
                {"target_label": "prometheus_replica", "replacement": replica},
                {"target_label": "job", "replacement": "shop"},
            ]
            name = config["job_name"].replace("serviceMonitor", kind)
            made.append(config | {"job_name": name, "relabel_configs": [*config["relabel_configs"], *labels]})
    return made


def test_copies_of_a_pair_of_servers(tmp_path: Path) -> None:
    with clinic(tmp_path, scraped=twice) as one:
        watched(one, 4)
        done = one.doctor("-o", "json")
    notes = {found["check"]: found["message"] for found in json.loads(done.stdout)["findings"]}
    assert notes["copies"].startswith("2 of 4 series are copies of a pair of servers: the verdict counts each once")


def test_a_server_that_does_not_answer(repository: Repository) -> None:
    done = repository.penstock("doctor", "-e", "production")
    assert done.returncode == 3
    assert done.stderr == (
        "penstock: environments/production/environment.yaml: no Prometheus is declared; add spec.prometheus.url, or "
        "choose an environment that has one with -e\n"
    )
    with repository.environment() as document:
        document["spec"]["prometheus"] = {"url": f"http://127.0.0.1:{NOBODY}"}
    done = repository.penstock("doctor", "-e", "production")
    assert done.returncode == 3
    assert "Prometheus at http://127.0.0.1:1 cannot be reached" in done.stderr


class Answers:
    """A server with answers of our choice, for what no real one says on demand: other clocks, other servers."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def ask(self, path: str, _form: Any = None) -> Any:
        name = path.replace("/", "_")
        if name not in self._answers:
            raise PrometheusError("not here")
        return self._answers[name]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"query": {"result": [5000, "5000"]}}, "the server's is 1 h 6 min ahead of this machine's"),
        ({"query": {"result": [10, "10"]}}, "the server's is 16 min behind this machine's"),
        ({"query": "?"}, "the server does not tell its time"),
        ({"status_runtimeinfo": {"storageRetention": "2h"}}, "samples are kept for 2 h only"),
        ({"status_runtimeinfo": {"storageRetention": "2w or 1GiB"}}, "samples are kept for 14 d"),
        ({"status_runtimeinfo": {"storageRetention": "10GiB"}}, "samples are kept by size (10GiB)"),
        ({"status_runtimeinfo": {"reloadConfigSuccess": False}}, "the last reload failed, so Prometheus runs"),
        ({}, "the server does not tell how long it keeps samples"),
    ],
)
def test_what_a_server_says_of_itself(answers: dict[str, Any], said: str) -> None:
    client: Any = Answers(**({"query": {"result": [1000, "1000"]}} | answers))
    found = diagnosis.of_server(client, diagnosis.clock(client), 1000)
    assert any(one.message.startswith(said) for one in found), found
