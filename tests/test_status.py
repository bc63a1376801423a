"""How every experiment stands, as people and programs read it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from gitrepos import git
from histories import HOUR, START, History, begun, environment
from repositories import ENVIRONMENT, EXPERIMENT

from generator import repository
from generator.documents.wording import lasting
from generator.overview import board, status
from generator.repository import environment_file, experiment_file

if TYPE_CHECKING:
    from pathlib import Path

    from generator.overview.status import Row

pytestmark = pytest.mark.needs("git")


@pytest.fixture
def past(tmp_path: Path) -> History:
    return begun(tmp_path / "repository")


def survey(past: History, now: int, branch: str = "") -> list[Row]:
    inventory = repository.take(str(past.root))
    return status.survey(inventory, inventory.environments, branch, START + now * HOUR)


def table(past: History, now: int, width: int = board.WIDTH) -> str:
    return board.table(survey(past, now), START + now * HOUR, lambda text, style: f"<{style}>{text}", width)


def render(past: History) -> None:
    assert past.invoke("render").exit_code == 0


def test_every_standing_has_words(past: History) -> None:
    names = {"absent": 20, "back": 50, "bake": 50, "fixed": 20, "off": 20, "over": 20, "waiting": 0}
    for name, percent in names.items():
        if name != "absent":
            past.add(name, percent)
    with past.experiment("fixed") as document:
        del document["spec"]["rollout"]
    render(past)
    past.commit(at=1)
    past.weigh(0, name="back", at=2)
    past.weigh(100, name="bake", at=3)
    past.weigh(33, name="off", at=4)
    (past.root / experiment_file(ENVIRONMENT, "over")).unlink()
    past.commit(at=5)
    past.add("over")
    past.add("absent")
    render(past)
    assert table(past, 30) == (
        "production <faint>(deployed from the current branch)\n"
        "<head>EXPERIMENT          TRAFFIC %    STAGE         FOR      NEXT                VERDICT  OWNER   EXPIRES\n"
        "absent              v1 80 v2 20  not deployed                                        recsys  25490 d\n"
        "<faint>    it has changes that are not committed\n"
        "back                v1 100 v2 0  rolled back   1 d 4 h  v2 20, by a person           recsys  25490 d\n"
        "<faint>    it has changes that are not committed\n"
        "bake                v1 0 v2 100  3/3           1 d 3 h  conclude, by evid…           recsys  25490 d\n"
        "<faint>    it has changes that are not committed\n"
        "fixed               v1 80 v2 20  no rollout    1 d 5 h                               recsys  25490 d\n"
        "off                 v1 67 v2 33  at no step    1 d 2 h  v2 50, by a person           recsys  25490 d\n"
        "<faint>    it has changes that are not committed\n"
        "over                v1 80 v2 20  deleted                                             recsys  25490 d\n"
        "<faint>    it has changes that are not committed\n"
        "recommendation-mo…  v1 80 v2 20  1/3           1 d 6 h  v2 50, by evidence           recsys  25490 d\n"
        "waiting             v1 100 v2 0  not started   1 d 5 h  v2 20 now                    recsys  25490 d\n"
    )


def test_notes_say_what_is_out_of_step(past: History) -> None:
    render(past)
    past.commit()
    past.git("rm", "--quiet", "-r", "environments/production/manifests", experiment_file(ENVIRONMENT, EXPERIMENT))
    past.commit()
    past.add()
    past.commit()
    past.rename(EXPERIMENT, "recommender")
    with past.experiment("recommender") as document:
        document["spec"]["rollout"]["maxDuration"] = "2h"
    past.commit()
    with past.experiment("recommender") as document:
        document["spec"]["traffic"] = {"v1": 50, "v2": 50}
        document["spec"]["expires"] = "2030-03-01"
    said = "Penstock-Experiment: production/recommender\nPenstock-Verdict:"
    past.git("commit", "--quiet", "--allow-empty", f"--message=decide\n\n{said} worse\x1b[31m")
    past.write(*environment("staging", {}))
    past.write(experiment_file("staging", "broken"), {"spec": 7})
    assert table(past, 30) == (
        "production <faint>(deployed from the current branch)\n"
        "<head>EXPERIMENT   TRAFFIC %    STAGE         FOR      NEXT                VERDICT        OWNER   EXPIRES\n"
        "recommender  v1 50 v2 50  1/3           1 d 3 h  v2 50, by evidence  worse\\x1b[31m  recsys  expired\n"
        "<wrong>    something is wrong with it: run `penstock validate`\n"
        "<wrong>    it has gone on 1 d 1 h longer than its maxDuration\n"
        "<faint>    it has changes that are not committed\n"
        "<faint>    what is deployed is v1 80 v2 20\n"
        "<faint>    it was called recommendation-model before\n"
        "<faint>    this is attempt 2 under its name\n"
        "\n"
        "staging <faint>(deployed from the current branch)\n"
        "<head>EXPERIMENT   TRAFFIC %    STAGE         FOR      NEXT                VERDICT        OWNER   EXPIRES\n"
        "broken                    not deployed\n"
        "<wrong>    something is wrong with it: run `penstock validate`\n"
        "<faint>    it has changes that are not committed\n"
    )


def test_a_table_gives_way_where_there_is_no_room(past: History) -> None:
    past.add("a-name-as-long-as-a-name-may-be-in-a-file")
    with past.experiment("a-name-as-long-as-a-name-may-be-in-a-file") as document:
        document["spec"]["owner"] = "a-team-with-a-name-as-long-as-any-owner-of-an-experiment-may-have"
    past.commit()
    for width in (90, 100, 120):
        lines = [line for line in table(past, 3, width).splitlines() if not line.startswith(("<head>", "    <"))]
        assert max(map(len, lines[1:])) <= width


@pytest.mark.parametrize("file", [environment_file(ENVIRONMENT), experiment_file(ENVIRONMENT, EXPERIMENT)])
def test_what_cannot_be_read_stands_where_nobody_knows(past: History, file: str) -> None:
    (past.root / file).write_text("spec: [\n")
    assert table(past, 3).splitlines()[2:] == [
        "recommendation-model  v1 80 v2 20  unknown  3 h",
        "<wrong>    something is wrong with it: run `penstock validate`",
        "<faint>    it has changes that are not committed",
    ]
    (plain,) = json.loads(board.document(survey(past, 3), 0))["experiments"]
    assert plain["standing"] == "unknown"
    assert [plain[name] for name in ("owner", "traffic", "daysLeft", "fresh", "valid")] == [
        None,
        None,
        None,
        False,
        False,
    ]
    assert plain["deployed"]["traffic"] == {"v1": 80, "v2": 20}


def test_json_holds_everything(past: History) -> None:
    with past.experiment() as document:
        document["spec"]["rollout"] |= {"steps": [{"percent": 0, "shadow": 100}, 20, 50], "maxDuration": "3d"}
    render(past)
    commit = past.commit("step\n\nPenstock-Experiment: production/recommendation-model\nPenstock-Verdict: wait")
    rows = survey(past, 3)
    assert json.loads(board.document(rows, START + 3 * HOUR)) == {
        "now": "2030-03-17T20:46:40Z",
        "experiments": [
            {
                "environment": "production",
                "name": "recommendation-model",
                "formerly": [],
                "owner": "recsys",
                "expires": "2099-12-31",
                "daysLeft": 25491,
                "traffic": {"v1": 80, "v2": 20},
                "copied": 0,
                "deployed": {
                    "from": "HEAD",
                    "traffic": {"v1": 80, "v2": 20},
                    "copied": 0,
                    "since": "2030-03-17T17:46:40Z",
                    "commit": past.git("rev-parse", "HEAD~"),
                },
                "attempts": 1,
                "standing": "stage",
                "stage": 2,
                "stages": 3,
                "soaked": 10800,
                "needed": 3600,
                "opensAt": "2030-03-17T18:46:40Z",
                "gate": "evidence",
                "next": {"traffic": {"v1": 50, "v2": 50}, "copied": 0},
                "remaining": 248400,
                "verdict": {"verdict": "wait", "commit": commit, "time": "2030-03-17T18:46:40Z"},
                "valid": True,
                "fresh": True,
                "committed": True,
            }
        ],
    }


def test_the_branch_of_each_environment_counts(past: History, tmp_path: Path) -> None:
    past.write(*environment("staging", {}))
    past.add(environment="staging", candidate=50)
    with past.environment() as document:
        gitops = {"tool": "argocd", "repository": "https://git.example.com/gitops.git", "branch": "release"}
        document["spec"]["gitops"] = gitops
    past.commit()
    past.git("branch", "release")
    past.weigh(50)
    assert [(row.ref, row.standing.stage) for row in survey(past, 9)] == [("refs/heads/release", 0), ("HEAD", 1)]
    assert [row.standing.stage for row in survey(past, 9, "main")] == [1, 1]
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin")
    past.git("remote", "add", "origin", str(tmp_path / "origin"))
    past.git("push", "--quiet", "origin", "main", "release~:refs/heads/release")
    past.git("remote", "set-head", "origin", "main")
    rows = survey(past, 9)
    assert [row.ref for row in rows] == ["refs/remotes/origin/release", "refs/remotes/origin/main"]


def test_what_was_not_committed_is_found_below_the_top_of_git(tmp_path: Path) -> None:
    top = History(tmp_path / "top")
    past = begun(tmp_path / "top" / "team")
    git(past.root, "rev-parse", "HEAD")
    for file in sorted((past.root / ".git").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    (past.root / ".git").rmdir()
    past.add("another")
    top.commit()
    assert [row.committed for row in survey(past, 1)] == [True, True]
    past.add("another", 50)
    assert [row.committed for row in survey(past, 1)] == [False, True]


def test_the_command_on_a_terminal_and_off_it(past: History) -> None:
    plain = past.penstock("status")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert "\x1b" not in plain.stdout
    assert plain.stdout.startswith("production (deployed from the current branch)\nEXPERIMENT ")
    assert on_a_terminal(past).startswith(
        "production \x1b[2m(deployed from the current branch)\x1b[0m\r\n\x1b[1mEXPERIMENT "
    )
    assert "\x1b" not in on_a_terminal(past, NO_COLOR="1")


def test_nothing_is_cut_in_a_file(past: History) -> None:
    name = "the-recommendations-of-the-start-page"
    past.add(name)
    assert name in past.penstock("status").stdout
    assert f"{name[:20]}…" not in past.penstock("status").stdout
    assert name not in on_a_terminal(past)


def on_a_terminal(past: History, **variables: str) -> str:
    """Return what the command prints on a terminal of 80 columns."""
    here, there = pty.openpty()
    command = [sys.executable, "-P", "-m", "generator", "status"]
    done = subprocess.run(
        command, cwd=past.root, stdout=there, env={**os.environ, "COLUMNS": "80", **variables}, check=True
    )
    assert done.returncode == 0
    os.close(there)
    text = os.read(here, 1 << 16).decode()
    os.close(here)
    return text


@pytest.mark.parametrize("output", ["text", "json"])
def test_the_command_chooses(past: History, output: str) -> None:
    past.add("another")
    said = past.invoke("status", "another", "-e", ENVIRONMENT, "-o", output)
    assert said.exit_code == 0
    assert "another" in said.stdout
    assert EXPERIMENT not in said.stdout
    assert past.invoke("status", "nothing").exit_code == 2


def test_without_git_it_cannot_be_found_out(past: History) -> None:
    (past.root / ".git").rename(past.root / "elsewhere")
    said = past.penstock("status")
    assert (said.returncode, said.stdout) == (3, "")
    assert said.stderr.startswith("penstock: git ")
    assert "not a git repository" in said.stderr


def test_a_detached_head_is_told_what_to_do(past: History) -> None:
    past.git("switch", "--quiet", "--detach")
    said = past.penstock("status")
    assert (said.returncode, said.stdout) == (3, "")
    assert said.stderr == (
        f"penstock: HEAD is detached in {past.root}, so nothing says which branch is deployed; name it with --branch, "
        "or as spec.gitops.branch of the environment\n"
    )
    assert past.penstock("status", "--branch", "main").returncode == 0
    assert past.penstock("status", "--branch", "--all").returncode == 3


def test_history_is_read_once_however_many_experiments_there_are(
    past: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "trace"
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))
    runs = []
    for name in ("second", "third", "fourth"):
        past.add(name)
        past.commit()
        trace.unlink()
        rows = survey(past, 9)
        runs.append(trace.read_text().count('"event":"start"'))
        assert [row.standing.where for row in rows] == ["stage"] * len(rows)
    assert len(set(runs)) == 1


def test_soak_by_the_clock_of_now(tmp_path: Path) -> None:
    past = begun(tmp_path / "repository", int(time.time()) - 5 * HOUR)
    document: dict[str, Any] = json.loads(past.invoke("status", "-o", "json").stdout)
    assert 5 * HOUR <= document["experiments"][0]["soaked"] < 5 * HOUR + 600


def test_spans_are_told_by_two_units() -> None:
    spans = {0: "0 s", 59: "59 s", 60: "1 min", 3599: "59 min", 3600: "1 h", 86400 * 2 + 7200 + 60: "2 d 2 h"}
    spans |= {86400 * 400 + 59: "400 d", 3605: "1 h"}
    assert {seconds: lasting(seconds) for seconds in spans} == spans
