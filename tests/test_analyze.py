"""`penstock analyze` on histories with known truth, against a real Prometheus: what it counts, and what it says."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from histories import HOUR, History
from prometheus import environment, experiment, server
from repositories import Case
from scrapes import INTERVAL, Pod, backfill, simulate

from generator.evidence import ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scrapes import World

pytestmark = pytest.mark.needs("git", "prometheus", "promtool")

NAME = "shop"
# A while ago, so that everything is in the past, and at a full two hours, as blocks are.
BEGIN = int(time.time()) // 7200 * 7200 - 12 * HOUR
METRICS = {
    "clicks": {
        "kind": "ratio",
        "role": "success",
        "direction": "higher",
        "events": {"metric": "shop_clicks_total"},
        "mde": 0.2,
    },
    "errors": {
        "kind": "ratio",
        "role": "guardrail",
        "direction": "lower",
        "events": {"metric": "shop_errors_total"},
        "margin": 0.5,
    },
}


class Shop(NamedTuple):
    """A repository whose experiment ran from BEGIN on, and a Prometheus that watched it."""

    history: History
    world: World

    def analyze(self, hours: float, *options: str, code: int) -> Any:
        """Analyze as of some hours after the beginning."""
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN + int(hours * HOUR)))
        done = self.history.penstock(
            *("analyze", NAME, "-e", "production", "--until", until, "-o", "json", *options), cwd=self.history.root
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    def windows(self) -> tuple[Any, ...]:
        """Return the windows that are recorded."""
        file = ledger.file_of("production", NAME, 1)
        lines = (self.history.root / file).read_text(encoding="utf-8").splitlines()
        return tuple(window for one in lines for window in json.loads(one)["windows"])


@contextmanager
def shop(folder: Path, pods: list[Pod], **simulated: Any) -> Iterator[Shop]:
    world = simulate(pods, NAME, **simulated)
    served = folder / "prometheus"
    served.mkdir()
    backfill(served, world.text)
    with server(served, {"global": {"scrape_interval": "1h"}}) as running:
        history = History(folder / "repository")
        place = environment()
        place["spec"]["prometheus"] = {"url": f"http://{running.address}"}
        requests = {"metric": "shop_requests_total"}
        analysis = {"settle": "2m"}
        history.put(Case(place, experiment(NAME, {"v1": 50, "v2": 50}, METRICS, requests=requests, analysis=analysis)))
        history.clock = BEGIN - HOUR
        history.commit("begin")
        yield Shop(history, world)


def lasting(variant: str, rate: float = 4.0, **traits: Any) -> Pod:
    return Pod(f"{variant}-a", variant, rate, BEGIN - HOUR, BEGIN + 9 * HOUR, **traits)


def split(history: History, at: int, **traffic: int) -> None:
    """Change traffic at a time."""
    history.clock = at - HOUR
    with history.experiment(NAME) as document:
        document["spec"]["traffic"] = traffic
    history.commit("traffic")


CHANGED = BEGIN + 3 * HOUR
DIED = BEGIN + 2 * HOUR + 10


def eventful(folder: Path) -> Any:
    """A pod restarts, one is replaced, a label is born late, nothing is scraped for a while, and weights change."""
    pods = [
        lasting("v1", restarts=(BEGIN + 4800,)),
        Pod("v2-a", "v2", 4.0, BEGIN + 20, DIED, created=False),
        Pod("v2-b", "v2", 4.0, DIED + 4, BEGIN + 9 * HOUR, created=False),
    ]
    after = {"v1": 1.6, "v2": 0.4}
    return shop(
        folder,
        pods,
        share=lambda variant, at: after[variant] if at >= CHANGED else 1.0,
        blind=(BEGIN + 4 * HOUR, BEGIN + 4 * HOUR + 240),
    )


def test_counts_are_whole_and_lose_only_what_no_scrape_saw(tmp_path: Path) -> None:
    with eventful(tmp_path) as found:
        split(found.history, CHANGED, v1=80, v2=20)
        said = found.analyze(6, "--record", code=4)
        windows = found.windows()
    for stage, start, end, requests, events in windows:
        for variant in ("v1", "v2"):
            truth = found.world.counted(variant, start, end)
            counted = (requests[variant], events["errors"][variant][0], events["clicks"][variant][0])
            assert counted == truth, (stage, start - BEGIN, variant)
            assert events["errors"][variant][1] == events["clicks"][variant][1] == truth[0]
    assert {window[0] for window in windows} == {0, 1}
    assert next(window[1] - BEGIN for window in windows if window[0] == 1) == 3 * HOUR + 120
    assert not [window for window in windows if window[0] == 0 and window[2] > CHANGED]
    assert said["quality"]["resets"] == {"v1": 1}
    assert 0 < sum(found.world.lost.values()) < 4 * 3 * INTERVAL * 2
    assert said["quality"]["coverage"].keys() == {"v1", "v2"}
    assert said["srm"]["verdict"] == "ok"


def test_looks_add_up_to_what_one_look_finds(tmp_path: Path) -> None:
    with eventful(tmp_path) as found:
        split(found.history, CHANGED, v1=80, v2=20)
        file = found.history.root / ledger.file_of("production", NAME, 1)
        for hours in (0.5, 1.9, 2.05, 4.05, 4.1, 6):
            found.analyze(hours, "--record", code=4)
        often, said = found.windows(), found.analyze(6, "--evidence", code=4)
        file.unlink()
        once = found.analyze(6, "--record", code=4)
        assert found.windows() == often
        assert found.analyze(6, "--evidence", code=4) == once | {"looks": 1}
        same = ("decision", "reason", "metrics", "srm", "windows")
        assert {key: said[key] for key in same} == {key: once[key] for key in same}
        assert said["quality"]["coverage"] == once["quality"]["coverage"]


VERDICTS = {
    "promote": (0, {"clicks": 0.14}, "v2 may take over"),
    "rollback": (1, {"errors": 0.03}, "v2 is worse than v1"),
    "continue": (4, {}, "is not shown to be better"),
}


@pytest.mark.parametrize("decision", VERDICTS)
def test_the_verdict_is_right(decision: str, tmp_path: Path) -> None:
    code, traits, reason = VERDICTS[decision]
    with shop(tmp_path, [lasting("v1"), lasting("v2", **traits)]) as found:
        said = found.analyze(6, code=code)
    assert said["decision"] == decision
    assert reason in said["reason"]
    assert said["quality"] == {
        "coverage": {"v1": 1.0, "v2": 1.0},
        "resets": {},
        "missing": [],
        "gatewayGap": None,
        "invalid": [],
    }


def test_at_the_planned_end_nothing_is_promoted(tmp_path: Path) -> None:
    with shop(tmp_path, [lasting("v1"), lasting("v2")]) as found:
        with found.history.experiment(NAME) as document:
            document["spec"]["rollout"] = {"steps": [50], "maxDuration": "2h"}
        found.history.commit("until then")
        assert found.analyze(6, code=5)["decision"] == "inconclusive"


def test_a_variant_that_dies_makes_the_counts_invalid(tmp_path: Path) -> None:
    pods = [lasting("v1"), Pod("v2-a", "v2", 4.0, BEGIN - HOUR, BEGIN + 4 * HOUR, clicks=0.2)]
    with shop(tmp_path, pods) as found:
        found.analyze(3.9, code=0)
        said = found.analyze(6, code=6)
        assert "v2 has not been seen for the last 11 windows" in said["reason"]
        found.analyze(6, "--record", code=6)
        assert not (found.history.root / "environments/production/evidence").exists()


def test_absent_zero_and_unknown_are_told_apart(tmp_path: Path) -> None:
    pods = [lasting("v1"), lasting("v2", errors=0.0, clicks=0.0, created=False)]
    with shop(tmp_path, pods) as found:
        said = found.analyze(6, code=6)
        assert said["quality"]["missing"] == ["v2 clicks", "v2 errors"]
        with found.history.experiment(NAME) as document:
            document["spec"]["requests"]["metric"] = "shop_request_total"
        assert found.analyze(6, code=6)["quality"]["missing"] == ["v1", "v2"]
    done = found.history.penstock("analyze", NAME, "-e", "production", cwd=found.history.root)
    assert done.returncode == 3
    assert done.stderr.startswith("penstock: environments/production/environment.yaml: Prometheus at http://127.0.0.1:")
    assert "cannot be reached (Connection refused); check spec.prometheus.url" in done.stderr


def test_zero_events_of_a_counter_that_exists_are_counted(tmp_path: Path) -> None:
    with shop(tmp_path, [lasting("v1", errors=0.0), lasting("v2", errors=0.0)]) as found:
        said = found.analyze(6, code=4)
    (errors,) = [row for row in said["metrics"] if row["metric"] == "errors"]
    assert errors["candidateCounts"][0] == errors["controlCounts"][0] == 0
    assert said["quality"]["missing"] == []


def test_evidence_that_was_touched_is_refused(tmp_path: Path) -> None:
    with shop(tmp_path, [lasting("v1"), lasting("v2")]) as found:
        for hours in (1, 2, 3):
            found.analyze(hours, "--record", code=4)
    file = found.history.root / ledger.file_of("production", NAME, 1)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    number = next(iter(json.loads(lines[1])["windows"][0][3].values()))
    for forged, place in (
        ([lines[0], lines[1].replace(f":{number}", f":{number + 1}", 1), lines[2]], 2),
        ([lines[0], lines[2]], 2),
        ([lines[1], lines[0], lines[2]], 1),
        ([*lines, lines[2]], 4),
        ([lines[0][:-9]], 1),
    ):
        file.write_text("".join(forged), encoding="utf-8")
        done = found.history.penstock("analyze", NAME, "-e", "production", "--evidence", cwd=found.history.root)
        assert done.returncode == 1
        assert done.stderr == (
            f"penstock: environments/production/evidence/{NAME}/attempt-1.jsonl:{place}: this line of evidence is not "
            "what was written, or one before it is missing; restore the file from Git, for example with `git checkout "
            "-- <file>`\n"
        )
