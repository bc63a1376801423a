"""Two whole lives by nothing but `penstock advance`: real Git, real Prometheus, traffic that follows the routes."""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml
from gitrepos import git, start
from prometheus import NAMESPACE, environment, experiment, exporter, server
from repositories import ENVIRONMENT, Case, Repository
from rollouts import check

from generator.repository import evidence_folder, experiment_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("git", "prometheus", "PENSTOCK_TEST_LONG")
BETTER, WORSE = "better", "worse"
RATE = 4000
METRICS = {
    "clicks": {"kind": "ratio", "role": "success", "direction": "higher", "mde": 0.2, "events": "clicks"},
    "errors": {"kind": "ratio", "role": "guardrail", "direction": "lower", "margin": 0.5, "events": "errors"},
}
# Rates of clicks and errors by experiment and variant.
TRUTH = {
    (BETTER, "v1"): (0.10, 0.010),
    (BETTER, "v2"): (0.14, 0.008),
    (WORSE, "v1"): (0.10, 0.010),
    (WORSE, "v2"): (0.14, 0.060),
}
_PATIENCE = 400


class Cluster:
    """Applies what the remote's branch says, as Flux would, and counts what requests then come to."""

    def __init__(self, remote: Path) -> None:
        self._remote = remote
        self._weights: dict[str, dict[str, int]] = {BETTER: {}, WORSE: {}}
        self._counts = {key: [0, 0, 0] for key in TRUTH}
        self._draw = random.Random(7)  # noqa: S311 (a simulation, the same each time)
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._reconcile)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _reconcile(self) -> None:
        while not self._stop.wait(0.3):
            found = {name: self._route(name) for name in self._weights}
            with self._lock:
                self._serve()
                self._weights = found

    def _route(self, name: str) -> dict[str, int]:
        file = f"httproute-{name}-experiment.yaml"
        text = git(self._remote, "show", f"main:environments/{ENVIRONMENT}/manifests/traffic/{name}/{file}")
        (split,) = (rule for rule in yaml.safe_load(text)["spec"]["rules"] if "headers" not in rule["matches"][0])
        return {
            one["name"].removeprefix(f"{name}-").removesuffix("-predictor"): one["weight"]
            for one in split["backendRefs"]
        }

    def _serve(self) -> None:
        now = time.monotonic()
        number, self._last = round(RATE * (now - self._last)), now
        for name, weights in self._weights.items():
            left, rest = number, sum(weights.values())
            for variant, weight in weights.items():
                share = left if weight == rest else self._happened(left, weight / rest)
                left, rest = left - share, rest - weight
                clicks, errors = TRUTH[name, variant]
                counts = self._counts[name, variant]
                counts[0] += share
                counts[1] += self._happened(share, clicks)
                counts[2] += self._happened(share, errors)

    def _happened(self, number: int, chance: float) -> int:
        """Draw from a binomial distribution, by its normal approximation."""
        drawn = round(self._draw.gauss(number * chance, (number * chance * (1 - chance)) ** 0.5))
        return min(max(drawn, 0), number)

    def expose(self) -> str:
        with self._lock:
            self._serve()
            return "".join(
                f'{kind}_total{{namespace="{NAMESPACE}",experiment="{name}",variant="{variant}"}} {count}\n'
                for (name, variant), counts in self._counts.items()
                for kind, count in zip(("requests", "clicks", "errors"), counts, strict=True)
            )


def founded(folder: Path, prometheus: str) -> tuple[Repository, Path]:
    """Make a repository with both experiments at 0 %, and a remote of it."""
    repository = Repository(folder / "repository")
    place = environment(interval="1s")
    place["spec"]["prometheus"] = {"url": f"http://{prometheus}"}
    place["spec"]["gitops"] = {"tool": "flux", "repository": "https://git.example.com/models.git", "interval": "1s"}
    metrics = {name: {**one, "events": {"metric": f"{one['events']}_total"}} for name, one in METRICS.items()}
    for name in (BETTER, WORSE):
        document = experiment(name, {"v1": 100, "v2": 0}, metrics, requests={"metric": "requests_total"})
        document["spec"] |= {
            "analysis": {"window": "8s", "settle": "15s"},
            "rollout": {"mode": "auto", "steps": [20, 50, 100], "soak": "26s", "bake": "6s"},
        }
        repository.put(Case(place, document))
    done = repository.penstock("render")
    assert done.returncode == 0, done.stdout
    start(repository.root)
    remote = folder / "remote.git"
    git(folder, "clone", "--quiet", "--bare", str(repository.root), str(remote))
    git(repository.root, "remote", "add", "origin", str(remote))
    git(repository.root, "fetch", "--quiet")
    git(repository.root, "remote", "set-head", "origin", "main")
    return repository, remote


def test_a_better_candidate_takes_over_and_a_worse_one_goes_back(tmp_path: Path) -> None:
    served = tmp_path / "prometheus"
    served.mkdir()
    log: list[str] = []
    with ExitStack() as stack:
        cluster: list[Cluster] = []
        address = stack.enter_context(exporter(lambda: cluster[0].expose() if cluster else ""))
        scrape = {"job_name": "models", "honor_labels": True, "static_configs": [{"targets": [address]}]}
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
        running = stack.enter_context(server(served, config))
        repository, remote = founded(tmp_path, running.address)
        cluster.append(Cluster(remote))
        stack.enter_context(cluster[0].running())
        deadline = time.monotonic() + _PATIENCE
        while not any("concluded" in line for line in log):
            assert time.monotonic() < deadline, "\n".join(log)
            time.sleep(2)
            done = repository.penstock("advance", "-e", ENVIRONMENT, "--push")
            assert done.returncode == 0, (done.stdout, done.stderr)
            log += done.stdout.splitlines()
    told = [line.removeprefix(f"{ENVIRONMENT}/") for line in git(remote, "log", "--reverse", "--format=%s").split("\n")]
    assert [line for line in told if line.startswith(BETTER)] == [
        f"{BETTER}: v2 0 → 20 %",
        f"{BETTER}: v2 20 → 50 %",
        f"{BETTER}: v2 50 → 100 %",
        f"{BETTER}: concluded with v2, v1 removed",
    ]
    assert [line for line in told if line.startswith(WORSE)] == [f"{WORSE}: v2 0 → 20 %", f"{WORSE}: v2 20 → 0 %"]
    assert told[0] == "Begin"
    assert len(told) == 7
    spec = yaml.safe_load(git(remote, "show", f"main:{experiment_file(ENVIRONMENT, BETTER)}"))["spec"]
    assert (spec["control"], spec["traffic"]) == ("v2", {"v2": 100})
    kept = git(remote, "ls-tree", "--name-only", "main", f"{evidence_folder(ENVIRONMENT, BETTER)}/").split("\n")
    assert [one.rpartition("/")[2] for one in kept] == ["attempt-1.jsonl", "decision-1.md"]
    record = git(remote, "show", f"main:{kept[1]}")
    assert "- verdict: promote\n" in record
    assert "| clicks | v2 |" in record
    check(remote, tmp_path / "checked")
