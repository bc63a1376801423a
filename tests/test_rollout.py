"""Rollouts on real repositories with a real remote: by people, and by runs of advance."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from gitrepos import git
from repositories import ENVIRONMENT, EXPERIMENT, Repository
from rollouts import BETTER, FILE, GOOD, HOUR, START, UNSURE, WORSE, World, check

from generator.names import TRAILER_ACTION, TRAILER_OVERRIDE, TRAILER_VERDICT
from generator.problems import PenstockError
from generator.steering import advance, course, steering
from generator.steering.steering import Examined

if TYPE_CHECKING:
    from pathlib import Path

    from generator.analysis.verdict import Verdict

pytestmark = pytest.mark.needs("git")
LABEL = f"{ENVIRONMENT}/{EXPERIMENT}"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def at(world: World, candidate: int, verdict: Verdict | None = GOOD) -> World:
    """Let an experiment be at a stage that has soaked."""
    world.change(f"At {candidate} %", traffic={"v1": 100 - candidate, "v2": candidate})
    world.wait(HOUR)
    world.verdict = verdict
    return world


def refused(world: World, to: int | None = None, reason: str = "") -> str:
    """Return why a step is not taken, and see that nothing has changed."""
    before = world.log("%H")
    with pytest.raises(PenstockError) as caught:
        world.steer(steering.promotion(world.known(), EXPERIMENT, to, reason, ""))
    assert world.log("%H") == before
    assert git(world.mine.root, "status", "--short") == ""
    return str(caught.value)


# People


def test_a_step_is_one_line_of_the_file_for_each_number_and_says_what_was_known(world: World) -> None:
    at(world, 20)
    raw = (world.mine.root / FILE).read_text().replace('"v2": 20\n', '"v2": 20  # careful\n')
    (world.mine.root / FILE).write_text(raw)
    world.mine.penstock("render")
    world.commit(world.mine, "Warn")
    git(world.mine.root, "push", "--quiet")
    done = world.steer(steering.promotion(world.known(), EXPERIMENT, None, "", ""))
    assert done.published.pushed
    assert git(world.mine.root, "diff", "--unified=0", "HEAD~", "--", FILE).split("\n")[4:] == [
        "@@ -20,2 +20,2 @@",
        '-    "v1": 80',
        '-    "v2": 20  # careful',
        '+    "v1": 50',
        '+    "v2": 50  # careful',
    ]
    assert world.log("%B")[:18] == [
        f"{LABEL}: v2 20 → 50 %",
        "",
        "The next step, to v1 50 %, v2 50 %.",
        "",
        "    soak: the stage has lasted 1 h of 1 h",
        "    counts: nothing voids the counts",
        "    harm: no candidate is shown to be worse",
        "    fresh: counted up to 2030-03-17 18:44 UTC",
        "    evidence: every guardrail is within its bounds",
        "",
        f"Penstock-Experiment: {LABEL}",
        "Penstock-Traffic-Before: v1=80,v2=20",
        "Penstock-Traffic-After: v1=50,v2=50",
        "Penstock-Action: promote",
        "Penstock-Verdict: continue",
        "",
        "Warn",
        "",
    ]


def test_closed_gates_say_why_and_when_they_open(world: World) -> None:
    at(world, 20, UNSURE)
    world.clock -= 1
    assert refused(world) == (
        f"{LABEL}: not now\n"
        "    soak: the stage has lasted 59 min 59 s, and is to last 1 h (opens 2030-03-17 18:46 UTC)\n"
        "    evidence: not shown to be within its margin: errors of v2\n"
        'To go on anyway, give a reason with --override "…".'
    )


def test_a_reason_passes_what_policy_lets_it_pass_and_is_recorded(world: World) -> None:
    at(world, 20, UNSURE)
    world.steer(steering.promotion(world.known(), EXPERIMENT, None, "the sale\nbegins", ""))
    assert world.traffic() == {"v1": 50, "v2": 50}
    assert world.log(f"%(trailers:key={TRAILER_OVERRIDE},valueonly)")[0] == "the sale begins"
    assert "    evidence: not shown to be within its margin: errors of v2" in world.log("%B")


def test_a_reason_passes_nothing_where_policy_does_not_say_so(world: World) -> None:
    at(world, 20, UNSURE)
    world.policy(overrides=False)
    assert refused(world, reason="now").split("\n")[-1] == (
        "production allows no override: spec.policy.overrides is not set."
    )


def test_a_reason_passes_no_firm_gate(world: World) -> None:
    at(world, 20)
    world.policy(largestStep=20)
    said = refused(world, reason="now")
    assert said.split("\n")[1:] == [
        "    policy: v2 gets 30 percentage points more at once, and 20 are allowed",
        "These gates cannot be overridden.",
    ]


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (30, f"30 % is no declared step of {EXPERIMENT}; steps are declared at 20, 50, 100"),
        (20, f"{EXPERIMENT} is beyond 20 %; to go back, run `penstock rollback`"),
    ],
)
def test_only_a_declared_step_further_on_can_be_promoted_to(world: World, to: int, said: str) -> None:
    assert refused(at(world, 50), to) == said


def test_stale_manifests_are_not_carried_along(world: World) -> None:
    at(world, 20)
    with world.mine.experiment() as document:
        document["spec"]["owner"] = "search"
    world.commit(world.mine, "Forget to render")
    git(world.mine.root, "push", "--quiet")
    assert "manifests: not up to date: environments/production/manifests/monitoring" in refused(world)


def test_a_soak_is_not_proved_by_commits_that_nobody_has(world: World) -> None:
    with world.mine.experiment() as document:
        document["spec"]["traffic"] = {"v1": 50, "v2": 50}
    world.mine.penstock("render")
    world.commit(world.mine, "Keep it to myself")
    world.wait(HOUR)
    world.verdict = GOOD
    assert "deployed: the traffic in the file is not what is deployed" in refused(world)


def test_history_that_is_cut_off_proves_nothing(world: World) -> None:
    at(world, 20)
    git(world.folder, "clone", "--quiet", "--depth=1", f"file://{world.remote}", "shallow")
    with pytest.raises(PenstockError, match="fetch --unshallow"):
        world.advance(where=Repository(world.folder / "shallow"))


def test_a_rollback_asks_for_nothing(world: World) -> None:
    at(world, 50, None)
    with world.mine.environment() as document:
        document["spec"]["policy"]["freeze"] = [{"from": "2000-01-01", "until": "2099-12-31", "reason": "always"}]
    with world.mine.experiment() as document:
        document["spec"]["expires"] = "2020-01-01"
    world.commit(world.mine, "Expired, frozen and not rendered")
    done = world.mine.penstock("rollback", EXPERIMENT, "-e", ENVIRONMENT, "--push", "--reason", "too `slow`")
    assert (done.returncode, done.stderr) == (0, "")
    assert world.traffic() == {"v1": 100, "v2": 0}
    assert world.log("%B")[:3] == [f"{LABEL}: v2 50 → 0 %", "", "Rolled back: too `slow`"]
    again = world.mine.penstock("rollback", EXPERIMENT, "-e", ENVIRONMENT, "--push")
    assert (again.returncode, again.stdout) == (0, "nothing to do: main has it already\n")


def test_a_rollback_may_stop_at_a_step(world: World) -> None:
    at(world, 100)
    done = world.mine.penstock("rollback", EXPERIMENT, "-e", ENVIRONMENT, "--to", "20", "--push")
    assert (done.returncode, world.traffic()) == (0, {"v1": 80, "v2": 20})
    wrong = world.mine.penstock("rollback", EXPERIMENT, "-e", ENVIRONMENT, "--to", "50")
    assert (wrong.returncode, wrong.stderr) == (
        1,
        f"penstock: 50 % is no declared step below where {EXPERIMENT} stands; steps are declared at 20, 50, 100\n",
    )


def test_a_rollback_leaves_other_changes_of_the_file_where_they_are(world: World) -> None:
    at(world, 50)
    with world.mine.experiment() as document:
        document["spec"]["owner"] = "search"
    mine = (world.mine.root / FILE).read_bytes()
    assert world.mine.penstock("rollback", EXPERIMENT, "-e", ENVIRONMENT).returncode == 0
    assert (world.mine.root / FILE).read_bytes() == mine
    assert git(world.mine.root, "show", "--format=%s", "--stat", "HEAD", "--", FILE).split("\n")[0].endswith("50 → 0 %")
    refusal = world.mine.penstock("promote", EXPERIMENT, "-e", ENVIRONMENT)
    assert refusal.returncode == 1
    assert refusal.stderr == (
        f"penstock: {FILE} has changes that are not committed; publish them first, or drop them (`git checkout -- "
        f"{FILE}`)\n"
    )


def test_a_rehearsal_shows_the_change_and_makes_none(world: World) -> None:
    at(world, 50)
    before = world.mine.files()
    done = world.mine.penstock("rollback", EXPERIMENT, "-e", ENVIRONMENT, "--dry-run")
    assert '-    "v1": 50\n-    "v2": 50\n+    "v1": 100\n+    "v2": 0\n' in done.stdout
    assert f"would be committed to main:\n{FILE}\n" in done.stdout
    assert f"\n{LABEL}: v2 50 → 0 %" in done.stdout
    assert "50 % of all requests go back from v2 to v1" in done.stdout
    assert {path: raw for path, raw in world.mine.files().items() if not path.startswith(".git/")} == {
        path: raw for path, raw in before.items() if not path.startswith(".git/")
    }


def test_on_knative_a_rollback_and_a_revert_change_percent_of_the_route_only(world: World) -> None:
    with world.mine.environment() as document:
        document["spec"]["kserve"]["deploymentMode"] = "Knative"
        document["spec"]["routing"] = {"backend": "knative-route", "domain": "models.example.com"}
        document["spec"]["monitoring"]["monitor"] = "PodMonitor"
    world.mine.penstock("render")
    world.commit(world.mine, "Serve on Knative")
    git(world.mine.root, "push", "--quiet")
    at(world, 50)
    done = world.mine.penstock("rollback", EXPERIMENT, "-e", ENVIRONMENT, "--push")
    assert done.returncode == 0, done.stderr
    changed = git(world.mine.root, "diff", "--name-only", "HEAD~").split("\n")
    assert not [path for path in changed if "/models/" in path]
    route = [path for path in changed if "/traffic/" in path]
    lines = git(world.mine.root, "diff", "--unified=0", "HEAD~", "--", *route).split("\n")
    assert {line.strip("+- ").split(":")[0] for line in lines if line[:2] in {"+ ", "- "}} <= {
        "percent",
        "- configurationName",
        "configurationName",
        "tag",
    }
    git(world.mine.root, "revert", "--no-edit", "HEAD")
    assert world.mine.penstock("render", "--check").returncode == 0


# The end


def test_an_end_takes_traffic_first_and_models_later(world: World) -> None:
    at(world, 50, BETTER)

    def conclude(winner: str = "v2", reason: str = "") -> str:
        try:
            return world.steer(
                steering.conclusion(world.known(), EXPERIMENT, winner, reason, ""), expired=True
            ).published.subject
        except steering.ClosedError as error:
            return ", ".join(gate.name for gate in error.gates if not gate.open)

    assert conclude() == "plan"
    assert conclude(reason="decided by hand") == f"{LABEL}: v2 50 → 100 %"
    assert conclude() == "soak, released"
    world.wait(HOUR)
    assert conclude() == f"{LABEL}: concluded with v2, v1 removed"
    assert conclude() == ""
    spec = world.show(FILE)["spec"]
    assert (spec["control"], [*spec["variants"]], spec["traffic"], "rollout" in spec) == (
        "v2",
        ["v2"],
        {"v2": 100},
        False,
    )
    assert [*spec["metrics"]] == ["errors"]
    record = git(world.remote, "show", f"main:environments/{ENVIRONMENT}/evidence/{EXPERIMENT}/decision-1.md")
    assert record.split("\n") == [
        f"# {LABEL}: v2 stays",
        "",
        "- decided: 2030-03-17 19:46 UTC",
        "- hypothesis: `v2 lifts click-through by 5 % without slowing answers`",
        "- owner: `recsys`",
        "- control: v1; compared with v2",
        "- attempt: 1",
        "- reason: `promote.`",
        "- verdict: promote",
        "",
        "### Stages",
        "",
        "| from | traffic | copied | commit |",
        "|---|---|---|---|",
        *(line for line in record.split("\n") if " UTC | v1 " in line),
        "",
        "### Decisions",
        "",
        "| when | what | verdict | override | commit |",
        "|---|---|---|---|---|",
        record.split("\n")[-1],
    ]
    assert "| `conclude` | `promote` | `decided by hand` |" in record
    git(world.mine.root, "pull", "--quiet")
    assert world.mine.penstock("render", "--check").returncode == 0


def test_what_has_ended_expires_no_more(world: World) -> None:
    with world.mine.experiment() as document:
        document["spec"] |= {"variants": {"v1": document["spec"]["variants"]["v1"]}, "traffic": {"v1": 100}}
        document["spec"] |= {"expires": "2020-01-01"}
        del document["spec"]["rollout"]
    assert world.mine.problems("validate") == []


def test_keeping_control_ends_it_too(world: World) -> None:
    at(world, 50, WORSE)
    known = world.known()
    world.steer(steering.conclusion(known, EXPERIMENT, "v1", "", ""))
    assert world.traffic() == {"v1": 100, "v2": 0}
    world.wait(HOUR)
    world.steer(steering.conclusion(world.known(), EXPERIMENT, "v1", "", ""))
    assert world.traffic() == {"v1": 100}


# Runs


def test_a_better_candidate_goes_all_the_way_and_the_log_tells_it(world: World) -> None:
    seen = []
    for verdict in (None, UNSURE, GOOD, GOOD, BETTER, BETTER, BETTER):
        world.verdict = verdict
        seen += [(done.action, done.subject or [gate.name for gate in done.closed]) for done in world.advance()]
        world.wait(HOUR)
    assert seen == [
        ("promote", f"{LABEL}: v2 0 → 20 %"),
        ("wait", ["evidence"]),
        ("promote", f"{LABEL}: v2 20 → 50 %"),
        ("wait", ["evidence"]),
        ("promote", f"{LABEL}: v2 50 → 100 %"),
        ("conclude", f"{LABEL}: concluded with v2, v1 removed"),
    ]
    assert world.log() == [*(text for _, text in seen[::-1] if isinstance(text, str)), "Begin"]
    said = f"%(trailers:key={TRAILER_ACTION},key={TRAILER_VERDICT},valueonly,separator=%x20)"
    assert world.log(said)[:3] == ["conclude promote", "promote promote", "promote continue"]
    check(world.remote, world.folder / "checked")


def test_a_plan_that_ends_before_100_is_ended_in_two_steps(world: World) -> None:
    world.change("Compare halves", rollout={"steps": [50], "soak": "1h", "mode": "auto"})
    world.verdict = BETTER
    seen = []
    for _ in range(5):
        seen += [done.subject or [gate.name for gate in done.closed] for done in world.advance()]
        world.wait(HOUR if len(seen) == 1 else 200)
    assert seen == [
        f"{LABEL}: v2 0 → 50 %",
        f"{LABEL}: v2 50 → 100 %",
        ["released"],
        ["released"],
        f"{LABEL}: concluded with v2, v1 removed",
    ]


def test_an_end_that_people_began_needs_no_plan(world: World) -> None:
    world.change("Compare halves", rollout={"steps": [50], "soak": "1h"})
    at(world, 50, BETTER)
    for subject in (f"{LABEL}: v2 50 → 100 %", f"{LABEL}: concluded with v2, v1 removed"):
        world.steer(steering.conclusion(world.known(), EXPERIMENT, "v2", "", ""))
        assert world.log()[0] == subject
        world.wait(HOUR)


def test_a_worse_candidate_goes_back_and_stays_back(world: World) -> None:
    world.advance()
    world.verdict = WORSE
    world.wait(60)
    (done,) = world.advance()
    assert (done.action, done.subject) == ("rollback", f"{LABEL}: v2 20 → 0 %")
    world.verdict = GOOD
    world.wait(HOUR)
    (after,) = world.advance()
    assert (after.action, after.reason) == ("wait", "It was rolled back: to try again, run `penstock promote`.")
    assert world.log() == [f"{LABEL}: v2 20 → 0 %", f"{LABEL}: v2 0 → 20 %", "Begin"]
    check(world.remote, world.folder / "checked")


def test_only_the_candidate_that_is_worse_loses_its_traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = [{"traffic": {"v1": 60, "v2": 20, "v3": 20}}, {"traffic": {"v1": 0, "v2": 50, "v3": 50}}]
    world = World(
        tmp_path,
        monkeypatch,
        variants={name: {"storageUri": f"gs://my-bucket/models/{name}"} for name in ("v1", "v2", "v3")},
        traffic={"v1": 60, "v2": 20, "v3": 20},
        rollout={"steps": maps, "mode": "auto"},
    )
    world.verdict = WORSE
    (done,) = world.advance()
    assert (done.subject, world.traffic()) == (f"{LABEL}: v2 20 → 0 %", {"v1": 80, "v2": 0, "v3": 20})


def test_a_proposal_is_one_branch_for_each_stage(world: World) -> None:
    world.change("Propose", rollout={"steps": [20, 50, 100], "soak": "1h", "mode": "propose"})
    (first,) = world.advance()
    (again,) = world.advance(where=world.clone("other"))
    assert first.proposed
    assert again == first._replace(commit="")
    assert first.branch.startswith(f"penstock/{ENVIRONMENT}/{EXPERIMENT}/promote-")
    assert (world.traffic(), world.traffic(branch=first.branch)) == ({"v1": 100, "v2": 0}, {"v1": 80, "v2": 20})
    git(world.mine.root, "fetch", "--quiet")
    git(world.mine.root, "merge", "--quiet", "--no-ff", "--no-edit", f"origin/{first.branch}")
    git(world.mine.root, "push", "--quiet")
    world.wait(HOUR)
    world.verdict = GOOD
    (second,) = world.advance()
    assert second.branch != first.branch
    assert world.traffic(branch=second.branch) == {"v1": 50, "v2": 50}


def test_one_broken_experiment_stops_no_other(world: World) -> None:
    world.add("alpha", rollout={"steps": [20, 100], "mode": "auto"})
    world.mine.penstock("render")
    with world.mine.experiment() as document:
        document["spec"]["traffic"] = {"v1": 70, "v2": 20}
    world.add("zeta", rollout={"steps": [20, 100], "mode": "auto", "gate": "manual"})
    world.mine.penstock("render", "zeta")
    world.commit(world.mine, "Break one")
    git(world.mine.root, "push", "--quiet")
    alpha, broken, zeta = world.advance()
    assert (alpha.action, alpha.subject) == ("promote", f"{ENVIRONMENT}/alpha: v2 0 → 20 %")
    assert (broken.action, broken.status) == ("failed", 1)
    assert broken.reason == f"{FILE}:19:3: traffic sums to 90, not to 100: v1 70 + v2 20"
    assert (zeta.name, zeta.action) == ("zeta", "promote")


def test_what_could_not_be_analyzed_is_said_and_counts_as_a_failure(world: World) -> None:
    at(world, 20)
    with world.mine.environment() as document:
        document["spec"]["prometheus"] = {"url": "http://127.0.0.1:1", "timeout": "1s"}
    world.mine.penstock("render")
    world.commit(world.mine, "Ask nobody")
    git(world.mine.root, "push", "--quiet")
    world.wait(HOUR)
    examine = course.examining(str(world.mine.root))
    run = advance.begin(str(world.mine.root), ENVIRONMENT, "", examine, world.clock, push=True)
    (done,) = advance.advance(run)
    assert (done.action, done.status) == ("wait", 3)
    (fresh, _) = done.closed
    assert fresh.reason.startswith("it could not be analyzed: environments/production/environment.yaml: ")
    back = world.mine.penstock("rollback", EXPERIMENT, "-e", ENVIRONMENT, "--push")
    assert (back.returncode, world.traffic()) == (0, {"v1": 100, "v2": 0})


def test_a_run_takes_no_step_on_stale_manifests(world: World) -> None:
    with world.mine.experiment() as document:
        document["spec"]["owner"] = "search"
    world.commit(world.mine, "Forget to render")
    git(world.mine.root, "push", "--quiet")
    (done,) = world.advance()
    assert (done.action, [gate.name for gate in done.closed]) == ("wait", ["manifests"])


def test_a_freeze_holds_up_steps_and_no_rollback(world: World) -> None:
    world.policy(freeze=[{"from": "2000-01-01", "until": "2099-12-31", "reason": "always"}])
    (waits,) = world.advance()
    assert [gate.reason for gate in waits.closed] == ["freeze: always"]
    world.policy(freeze=[])
    at(world, 20, WORSE)
    world.policy(freeze=[{"from": "2000-01-01", "until": "2099-12-31", "reason": "always"}])
    (done,) = world.advance()
    assert (done.action, world.traffic()) == ("rollback", {"v1": 100, "v2": 0})


def test_after_a_rollback_a_person_begins_again(world: World) -> None:
    at(world, 20, WORSE)
    world.advance()
    world.verdict = GOOD
    world.steer(steering.promotion(world.known(), EXPERIMENT, None, "", ""))
    assert world.log()[:2] == [f"{LABEL}: v2 0 → 20 %", f"{LABEL}: v2 20 → 0 %"]


def test_the_program_sums_up_what_it_did(world: World) -> None:
    text = world.mine.penstock("advance", "-e", ENVIRONMENT)
    assert (text.returncode, text.stderr) == (0, "")
    assert text.stdout.startswith(f"{LABEL}: promote in ")
    data = json.loads(world.mine.penstock("advance", "-e", ENVIRONMENT, "-o", "json").stdout)
    assert [(one["name"], one["action"], one["opens_at"]) for one in data] == [(EXPERIMENT, "wait", None)]
    table = world.mine.penstock("advance", "-e", ENVIRONMENT, "-o", "markdown").stdout
    assert table.startswith(
        "| experiment | action | what happened |\n|---|---|---|\n| `production/recommendation-model` |"
    )
    unknown = world.mine.penstock("advance", "-e", ENVIRONMENT, "nobody")
    assert (unknown.returncode, unknown.stdout) == (
        2,
        f"{ENVIRONMENT}/nobody: there is no such experiment on main\n",
    )


# At once, and killed

DRIVER = """
import pickle, sys
from generator.steering import advance
root, environment, clock, examined = pickle.load(sys.stdin.buffer)
run = advance.begin(root, environment, "", lambda *known: examined, clock, push=True)
print([one.action for one in advance.advance(run)])
"""


def driven(world: World, where: Repository, **environment: str) -> subprocess.Popen[bytes]:
    """Start a run in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    pickle.dump((str(where.root), ENVIRONMENT, world.clock, Examined(GOOD, world.clock - 120)), process.stdin)
    process.stdin.flush()
    return process


@pytest.mark.parametrize("shared", [False, True], ids=["clones", "one checkout"])
def test_runs_at_once_take_one_step(world: World, *, shared: bool) -> None:
    places = [world.mine] * 3 if shared else [world.mine, world.clone("second"), world.clone("third")]
    for subject in (f"{LABEL}: v2 0 → 20 %", f"{LABEL}: v2 20 → 50 %"):
        before = world.log()
        running = [driven(world, place, GIT_COMMITTER_NAME=f"run {number}") for number, place in enumerate(places)]
        said = [process.communicate(timeout=120) for process in running]
        assert sorted(out for out, _ in said) == [b"['promote']\n", b"['wait']\n", b"['wait']\n"], said
        assert world.log() == [subject, *before]
        world.wait(HOUR)


@pytest.mark.needs("PENSTOCK_TEST_LONG")
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(world: World) -> None:
    """The n-th start of git kills the run that started it."""
    wrapper = world.folder / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(
        "#!/bin/sh\n"
        'printf x >>"$COUNTER"\n'
        'read -r started <"$COUNTER"\n'
        'if [ "${#started}" -eq "$DEADLY" ]; then kill -9 $PPID; exit 1; fi\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
    world.advance()
    world.wait(HOUR)
    world.verdict = GOOD
    start = git(world.remote, "rev-parse", "main")
    killed, landed, total = 0, 0, 0
    for share in range(15):  # the first is not killed, and counts
        git(world.remote, "update-ref", "refs/heads/main", start)
        deadly = 1 + total * share // 15 if share else 0
        place = world.clone(f"at-{deadly}")
        counter = world.folder / f"counter-{deadly}"
        process = driven(world, place, PATH=path, COUNTER=str(counter), DEADLY=str(deadly))
        process.communicate(timeout=120)
        total = total or counter.stat().st_size
        killed += process.returncode < 0
        landed += share > 0 and git(world.remote, "rev-parse", "main") != start
        (done,) = world.advance(where=place)
        assert done.action in {"promote", "wait"}
        assert world.log()[:2] == [f"{LABEL}: v2 20 → 50 %", f"{LABEL}: v2 0 → 20 %"], deadly
    assert killed >= 12
    assert 0 < landed < killed


def test_the_clock_of_the_world_is_the_one_of_its_commits(world: World) -> None:
    world.advance()
    assert world.log("%ct")[0] == str(START)
