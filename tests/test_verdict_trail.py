"""The verdict on evidence, from its publication to whoever asks later: trailers, status, report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from evidence import RATES, Truth, count, ramp
from repositories import ENVIRONMENT, EXPERIMENT
from rollouts import BETTER, World

from generator.publishing.publish import publish
from generator.repository import evidence_folder
from generator.steering import steering

if TYPE_CHECKING:
    from pathlib import Path

    from histories import History

pytestmark = pytest.mark.needs("git")

WORSE = Truth(RATES, {"v2": {"errors": 2.0}}, rps=0.5)
LABEL = f"{ENVIRONMENT}/{EXPERIMENT}"


@pytest.fixture
def counted(tmp_path: Path) -> History:
    """A repository in which all is published but the evidence that lies in the work tree."""
    made = ramp(tmp_path / "repository")
    told(made, "publish", EXPERIMENT, "-e", ENVIRONMENT)
    count(made, WORSE, 10)
    return made


def told(history: History, command: str, *arguments: str) -> str:
    done = history.invoke(command, *arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.stdout


def trailers(history: History) -> list[str]:
    return history.git("log", "-1", "--format=%(trailers:only,unfold)").split("\n")


def shown(history: History) -> list[dict[str, str] | None]:
    return [one["verdict"] for one in json.loads(told(history, "status", "-o", "json"))["experiments"]]


def test_what_is_published_with_evidence_is_what_analyzing_it_says(counted: History) -> None:
    assert shown(counted) == [None]
    told(counted, "publish", EXPERIMENT, "-e", ENVIRONMENT)
    assert trailers(counted) == [
        f"Penstock-Experiment: {LABEL}",
        "Penstock-Traffic-Before: v1=50,v2=50",
        "Penstock-Traffic-After: v1=50,v2=50",
        "Penstock-Action: record",
        "Penstock-Verdict: rollback",
    ]
    assert json.loads(told(counted, "analyze", EXPERIMENT, "-e", ENVIRONMENT, "--evidence", "-o", "json"))[
        "decision"
    ] == ("rollback")
    (verdict,) = shown(counted)
    assert verdict is not None
    assert (verdict["verdict"], verdict["commit"]) == ("rollback", counted.head)
    assert "  rollback  recsys" in told(counted, "status")


def test_each_experiment_has_its_own_verdict(counted: History) -> None:
    counted.add("search", 50)
    told(counted, "publish", "search", EXPERIMENT, "-e", ENVIRONMENT)
    assert [line for line in trailers(counted) if "Traffic" not in line] == [
        f"Penstock-Experiment: {LABEL}",
        "Penstock-Action: record",
        "Penstock-Verdict: rollback",
        f"Penstock-Experiment: {ENVIRONMENT}/search",
    ]
    assert [one and one["verdict"] for one in shown(counted)] == ["rollback", None]


def test_a_step_with_its_evidence_is_no_mere_record(counted: History) -> None:
    counted.commit("Not counted")
    counted.git("reset", "--quiet", "HEAD~")
    with counted.experiment() as document:
        document["spec"]["traffic"] = {"v1": 90, "v2": 10}
    told(counted, "publish", EXPERIMENT, "-e", ENVIRONMENT)
    assert [line for line in trailers(counted) if "Traffic" not in line] == [
        f"Penstock-Experiment: {LABEL}",
        "Penstock-Verdict: rollback",
    ]


def test_evidence_of_something_else_goes_without_a_verdict_and_says_so(counted: History) -> None:
    with counted.experiment() as document:
        document["spec"]["metrics"]["click-through"]["events"] = {"metric": "taps_total"}
    file = f"{evidence_folder(ENVIRONMENT, EXPERIMENT)}/attempt-1.jsonl"
    note = (
        f"{LABEL}: its evidence goes without a verdict: {file}:1: metric `click-through` is not what was counted here: "
        "it has been changed since the experiment began; take the change back, or give the changed metric another name"
    )
    assert told(counted, "publish", EXPERIMENT, "-e", ENVIRONMENT, "--dry-run").splitlines()[-1] == note
    assert told(counted, "publish", EXPERIMENT, "-e", ENVIRONMENT).splitlines()[-1] == note
    assert [line for line in trailers(counted) if "Traffic" not in line] == [f"Penstock-Experiment: {LABEL}"]


def test_evidence_that_holds_no_window_of_this_attempt_says_nothing(counted: History) -> None:
    counted.git("clean", "--quiet", "-fd")
    counted.write(f"{evidence_folder(ENVIRONMENT, EXPERIMENT)}/note.md", "Seen by eye.")
    told(counted, "publish", EXPERIMENT, "-e", ENVIRONMENT)
    assert trailers(counted)[-1] == "Penstock-Action: record"
    assert shown(counted) == [None]


def test_a_report_tells_evidence_only_where_it_changed_the_verdict(counted: History) -> None:
    ledger = counted.root / evidence_folder(ENVIRONMENT, EXPERIMENT) / "attempt-1.jsonl"
    looks = ledger.read_text().splitlines(keepends=True)
    for number in (1, 2, 10, 12):
        ledger.write_text("".join(looks[:number]))
        told(counted, "publish", EXPERIMENT, "-e", ENVIRONMENT)
    report = told(counted, "report", EXPERIMENT, "-e", ENVIRONMENT, "-o", "markdown").splitlines()
    rows = [line.split("|") for line in report if "`evidence" in line or "`published" in line]
    what = [[row[2].strip(), row[5].strip()] for row in rows]
    assert what == [["`published`", "-"], ["`evidence recorded`", "`continue`"], ["`evidence recorded`", "`rollback`"]]


def test_evidence_goes_on_under_a_new_name(counted: History) -> None:
    told(counted, "publish", EXPERIMENT, "-e", ENVIRONMENT)
    asked = ("-e", ENVIRONMENT, "--evidence", "-o", "json")
    before = json.loads(told(counted, "analyze", EXPERIMENT, *asked))
    counted.rename(EXPERIMENT, "recommender")
    told(counted, "publish", EXPERIMENT, "recommender", "-e", ENVIRONMENT)
    assert counted.git("status", "--porcelain") == ""
    after = json.loads(told(counted, "analyze", "recommender", *asked))
    new = {"experiment": "recommender", "evidence": f"{evidence_folder(ENVIRONMENT, 'recommender')}/attempt-1.jsonl"}
    assert after | {"until": ""} == before | {"until": ""} | new
    (verdict,) = shown(counted)
    assert verdict is not None
    assert verdict["verdict"] == "rollback"


def test_an_end_that_has_begun_goes_on_past_recorded_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch)
    world.change("Compare halves", traffic={"v1": 50, "v2": 50}, rollout={"steps": [50], "soak": "1h", "mode": "auto"})
    world.wait(2 * 3600)
    world.verdict = BETTER
    world.steer(steering.conclusion(world.known(), EXPERIMENT, "v2", "", ""))
    world.mine.write(f"{evidence_folder(ENVIRONMENT, EXPERIMENT)}/note.md", "Seen by eye.")
    publish(str(world.mine.root), ENVIRONMENT, (EXPERIMENT,), push=True)
    world.wait(3600)
    assert [done.subject for done in world.advance()] == [f"{LABEL}: concluded with v2, v1 removed"]
