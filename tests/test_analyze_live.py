"""`penstock analyze` while it happens: real exporters, scraped every second by a real Prometheus."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from histories import HOUR, History
from prometheus import NAMESPACE, environment, experiment, exporter, server
from repositories import Case

from generator.evidence import ledger

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("git", "prometheus", "PENSTOCK_TEST_LONG")


class Model:
    """A model server: a counter of requests and one of errors by kind, which exists from the first error on."""

    def __init__(self) -> None:
        self.requests = self.errors = 0
        self.lost: list[tuple[int, int]] = []
        self._shown = (0, 0)
        self._lock = threading.Lock()

    def serve(self, *, fails: bool) -> None:
        with self._lock:
            self.requests += 1
            self.errors += fails

    def restart(self) -> None:
        with self._lock:
            self.lost.append((self.requests - self._shown[0], self.errors - self._shown[1]))
            self.requests, self.errors, self._shown = 0, 0, (0, 0)

    def expose(self) -> str:
        with self._lock:
            self._shown = (self.requests, self.errors)
            late = f'answers_total{{status="error"}} {self.errors}\n' if self.errors else ""
            return f'answers_total{{status="ok"}} {self.requests - self.errors}\n{late}'


def test_a_running_experiment_is_counted_to_the_last_scrape(tmp_path: Path) -> None:
    models = {"v1": Model(), "v2": Model()}
    served = {name: [0, 0] for name in models}
    with ExitStack() as stack:
        addresses = {name: stack.enter_context(exporter(model.expose)) for name, model in models.items()}
        own = {"namespace": NAMESPACE, "experiment": "live"}
        targets = [{"targets": [at], "labels": own | {"variant": name}} for name, at in addresses.items()]
        scrape = {"job_name": "models", "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": targets}
        folder = tmp_path / "prometheus"
        folder.mkdir()
        running = stack.enter_context(server(folder, {"scrape_configs": [scrape]}))
        history = History(tmp_path / "repository")
        place = environment(interval="1s")
        place["spec"]["prometheus"] = {"url": f"http://{running.address}"}
        metrics = {
            "errors": {
                "kind": "ratio",
                "role": "guardrail",
                "direction": "lower",
                "events": {"metric": "answers_total", "labels": {"status": "error"}},
                "margin": 0.5,
            }
        }
        declared = experiment("live", {"v1": 50, "v2": 50}, metrics, requests={"metric": "answers_total"})
        declared["spec"]["analysis"] = {"window": "4s", "settle": "1s"}
        history.put(Case(place, declared))
        begun = int(time.time()) + 3
        history.clock = begun - HOUR
        time.sleep(max(0.0, begun - time.time()))
        history.commit("begin")
        for number in range(900):
            for name, model in models.items():
                fails = number > 400 and number % (50 if name == "v1" else 5) == 0
                model.serve(fails=fails)
                served[name][0] += 1
                served[name][1] += fails
            if number == 600:
                models["v2"].restart()
            time.sleep(0.02)
        time.sleep(12)
        done = history.penstock("analyze", "live", "-e", "production", "--record", "-o", "json", cwd=history.root)
    said = json.loads(done.stdout)
    assert said["quality"]["resets"] == {"v2": 2}, said  # of two label sets
    assert (done.returncode, said["decision"]) == (1, "rollback"), said
    lines = (history.root / ledger.file_of("production", "live", 1)).read_text(encoding="utf-8").splitlines()
    windows = [window for line in lines for window in json.loads(line)["windows"]]
    for name, model in models.items():
        lost = [sum(one) for one in zip((0, 0), *model.lost, strict=True)]
        settling = served[name][0] - lost[0] - sum(window[3][name] for window in windows)
        assert 0 <= settling <= 150, name  # what came before the first window, of 50 requests a second
        assert sum(window[4]["errors"][name][0] for window in windows) == served[name][1] - lost[1]
