"""What plans and reports take from a real Prometheus: recent rates, and histograms."""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from gitrepos import commit, git
from hypothesis import given
from hypothesis import strategies as st
from prometheus import METRICS, NAMESPACE, NOBODY, environment, experiment, server
from repositories import Case, Repository
from scrapes import backfill

from generator.evidence import distributions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "shop"
HOURS = 4
STEP = 30
RATE = {"v1": 3, "v2": 1}
BOUNDS = {"0.1": {"v1": 0.5, "v2": 0.1}, "0.25": {"v1": 0.9, "v2": 0.8}, "1.0": {"v1": 1.0, "v2": 0.99}, "+Inf": {}}


def samples(begin: int, end: int) -> list[str]:
    """Return what was scraped: every hundredth request fails, and answers fall into buckets by their shares."""
    lines = []
    for name, values in (
        ("shop_requests_total", lambda _, count: {"": count}),
        ("shop_errors_total", lambda _, count: {"": count // 100}),
        ("request_predict_seconds_count", lambda _, count: {"": count}),
        (
            "request_predict_seconds_bucket",
            lambda one, count: {f',le="{le}"': int(count * shares.get(one, 1.0)) for le, shares in BOUNDS.items()},
        ),
    ):
        for variant, rate in RATE.items():
            labels = f'namespace="{NAMESPACE}",experiment="{NAME}",variant="{variant}",pod="{variant}-a"'
            made: dict[str, list[str]] = {}
            for at in range(begin, end, STEP):
                for more, value in values(variant, rate * (at - begin)).items():
                    made.setdefault(more, []).append(f"{name}{{{labels}{more}}} {value} {at}")
            lines += [line for series in made.values() for line in series]
    return lines


@contextmanager
def shop(folder: Path) -> Iterator[Repository]:
    """Run a Prometheus that has watched an experiment for some hours, until now."""
    now = int(time.time())
    served = folder / "prometheus"
    served.mkdir()
    backfill(served, samples(now - HOURS * 3600, now))
    with server(served, {"global": {"scrape_interval": "1h"}}) as running:
        repository = Repository(folder / "repository")
        place = environment()
        place["spec"]["prometheus"] = {"url": f"http://{running.address}"}
        requests = {"metric": "shop_requests_total"}
        repository.put(Case(place, experiment(NAME, {"v1": 75, "v2": 25}, METRICS, requests=requests)))
        yield repository


@pytest.mark.needs("prometheus", "promtool")
def test_a_plan_takes_from_prometheus_what_nobody_says(tmp_path: Path) -> None:
    with shop(tmp_path) as repository:
        done = repository.penstock("plan", NAME, "-e", "production", "--rate", "slow=0.05", "-o", "json")
        found = json.loads(done.stdout)
        assert found["rps"]["source"] == found["rates"]["errors"]["source"] == "Prometheus, last 24 h"
        assert found["rps"]["value"] == pytest.approx(sum(RATE.values()), rel=0.05)
        assert found["rates"]["errors"]["value"] == pytest.approx(0.01, rel=0.05)
        assert found["rates"]["slow"] == {"value": 0.05, "source": "--rate"}
        found = json.loads(repository.penstock("plan", NAME, "-e", "production", "-o", "json").stdout)
        assert found["rates"]["slow"]["value"] == pytest.approx(0.1, rel=0.05)


def test_a_plan_does_not_need_a_prometheus_that_answers(repository: Repository) -> None:
    with repository.environment() as document:
        document["spec"]["prometheus"] = {"url": f"http://127.0.0.1:{NOBODY}"}
    done = repository.penstock("plan", "recommendation-model", "-e", "production")
    assert done.returncode in {1, 3}
    assert done.stderr.startswith("penstock: warning: environments/production/environment.yaml: Prometheus at ")
    assert "Requests per second are not known" in done.stdout or "nothing is ever compared" in done.stdout


@pytest.mark.needs("prometheus", "promtool", "git")
def test_a_report_shows_how_answers_are_distributed(tmp_path: Path) -> None:
    with shop(tmp_path) as repository:
        begun(repository)
        done = repository.penstock("report", NAME, "-e", "production", "--prometheus", "-o", "markdown")
        page = repository.penstock("report", NAME, "-e", "production", "--prometheus")
    assert done.returncode == page.returncode == 0, done.stderr + page.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| slow | v2 | p")]
    assert [row.split(" | ")[2:5] for row in rows] == [
        ["p50", "v1", "up to 0.25 seconds"],
        ["p50", "v2", "0.1 to 0.25 seconds"],
        ["p95", "v1", "0.25 to 1 seconds"],
        ["p95", "v2", "0.25 to 1 seconds"],
        ["p99", "v1", "above 0.25 seconds"],
        ["p99", "v2", "above 0.25 seconds"],
    ]
    assert all("it moved far: evidence 10" in row for row in rows)
    assert "Latencies and scores" in page.stdout
    assert "up to 0.1: 50.0 % and 10.0 %" in page.stdout


def begun(repository: Repository) -> None:
    """Commit everything, as of soon after the samples begin."""
    git(repository.root, "init", "--quiet", "--initial-branch=main")
    at = time.gmtime(time.time() - (HOURS - 0.5) * 3600)
    commit(repository.root, "Begin", at=time.strftime("%Y-%m-%dT%H:%M:%SZ", at))


Counts = st.lists(st.integers(0, 50), min_size=4, max_size=4)


@given(st.lists(st.tuples(Counts, Counts), min_size=1, max_size=5))
def test_shares_of_a_distribution_sum_to_one(pieces: list[tuple[list[int], list[int]]]) -> None:
    bounds = (0.1, 0.5, 1.0, math.inf)
    made = [
        {
            name: {bound: sum(counts[: place + 1]) for place, bound in enumerate(bounds)}
            for name, counts in zip(("a", "b"), piece, strict=True)
        }
        for piece in pieces
    ]
    filled = all(sum(sum(piece[side]) for piece in pieces) for side in (0, 1))
    found = [*distributions.describe("m", "seconds", ["a", "b"], made)]
    assert len(found) == int(filled)
    for one in found:
        assert math.fsum(one.control_shares) == pytest.approx(1)
        assert math.fsum(one.candidate_shares) == pytest.approx(1)
        assert all(spread.low < spread.high for spread in one.spreads)
