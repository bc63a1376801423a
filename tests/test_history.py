"""The lives of experiments, read from real histories of every shape."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest
from histories import HOUR, START, History, begun, environment
from repositories import ENVIRONMENT, EXPERIMENT, recommendation

from generator.repository import BASE, environment_file, experiment_file
from generator.versions import git, history
from generator.versions.lives import Life, dated

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("git")

KEY = (ENVIRONMENT, EXPERIMENT)
NOW = START + 1000 * HOUR


@pytest.fixture
def past(tmp_path: Path) -> History:
    return begun(tmp_path / "repository")


class Span(NamedTuple):
    """A period in short: percent for the candidate, hours from the first commit, None while it lasts."""

    candidate: int
    start: int
    end: int | None = None


def lived(past: History, name: str = EXPERIMENT, ref: str = "refs/heads/main", place: str = ENVIRONMENT) -> Life:
    return history.lives(str(past.root), ref, [(place, name)], NOW)[place, name]


def spans(life: Life) -> list[Span]:
    return [
        Span(
            dict(one.traffic)["v2"], (one.start - START) // HOUR, None if one.end is None else (one.end - START) // HOUR
        )
        for one in life.periods
    ]


def test_a_period_begins_with_the_commit_that_changes_traffic(past: History) -> None:
    first = past.head
    second = past.weigh(50)
    past.weigh(50, hypothesis="traffic stays")
    life = lived(past)
    assert spans(life) == [Span(20, 0, 1), Span(50, 1)]
    assert [one.commit for one in life.periods] == [first, second]
    assert life.periods[1].traffic == (("v1", 50), ("v2", 50))
    assert life.periods[1].author == "Test Author"
    assert life.periods[1].subject == "recommendation-model: v2 50 %"
    assert (life.attempts, life.former) == (1, ())


def test_a_merge_counts_from_when_it_was_merged(past: History) -> None:
    with past.branch("half"):
        past.weigh(50)
    merged = past.merge("half", at=9)
    life = lived(past)
    assert spans(life) == [Span(20, 0, 9), Span(50, 9)]
    assert life.periods[1].commit == merged


def test_steps_within_a_branch_were_never_deployed(past: History) -> None:
    with past.branch("hasty"):
        past.weigh(50)
        past.weigh(100)
        past.weigh(20)
    past.merge("hasty", at=9)
    assert spans(lived(past)) == [Span(20, 0)]


def test_a_squash_merge_counts_from_its_commit(past: History) -> None:
    with past.branch("half"):
        past.weigh(50)
    past.merge("half", "--squash")
    past.commit(at=7)
    assert spans(lived(past)) == [Span(20, 0, 7), Span(50, 7)]


def test_a_rebased_branch_counts_from_its_rebase(past: History) -> None:
    with past.branch("half"):
        past.weigh(50)
    (past.root / "README.md").write_text("elsewhere\n")
    past.commit(at=5)
    past.git("switch", "--quiet", "half")
    past.tick(8)
    past.git("rebase", "--quiet", "main")
    past.git("switch", "--quiet", "main")
    past.merge("half", "--ff-only", at=8)
    assert spans(lived(past)) == [Span(20, 0, 8), Span(50, 8)]


def test_a_rebase_that_keeps_old_dates_counts_from_what_it_was_put_upon(past: History) -> None:
    with past.branch("half"):
        past.weigh(50)
    (past.root / "README.md").write_text("nothing that the experiment reads\n")
    past.commit(at=5)
    past.git("switch", "--quiet", "half")
    past.git("rebase", "--quiet", "--committer-date-is-author-date", "main")
    past.git("switch", "--quiet", "main")
    past.merge("half", "--ff-only")
    assert spans(lived(past)) == [Span(20, 0, 5), Span(50, 5)]


def test_a_revert_begins_the_stage_anew(past: History) -> None:
    past.weigh(50)
    past.tick()
    past.git("revert", "--no-edit", "HEAD")
    life = lived(past)
    assert spans(life) == [Span(20, 0, 1), Span(50, 1, 2), Span(20, 2)]
    assert life.periods[2].subject == 'Revert "recommendation-model: v2 50 %"'


def test_a_revert_of_a_merge_and_the_revert_of_that(past: History) -> None:
    with past.branch("half"):
        past.weigh(50)
    past.merge("half", at=3)
    for hour, options in ((4, ("-m1",)), (6, ())):
        past.tick(hour)
        past.git("revert", "--no-edit", *options, "HEAD")
    assert spans(lived(past)) == [Span(20, 0, 3), Span(50, 3, 4), Span(20, 4, 6), Span(50, 6)]


def test_main_merged_into_a_branch_that_main_then_follows(past: History) -> None:
    """A "foxtrot" merge: what was main becomes the second parent, and its line no longer tells when it was deployed."""
    with past.branch("side"):
        (past.root / "README.md").write_text("side\n")
        past.commit()
    past.weigh(50, at=2)
    past.git("switch", "--quiet", "side")
    past.merge("main", at=6)
    past.git("switch", "--quiet", "main")
    past.git("merge", "--quiet", "--ff-only", "side")
    assert spans(lived(past)) == [Span(20, 0, 6), Span(50, 6)]


def test_a_renamed_experiment_lives_on_under_its_new_name(past: History) -> None:
    past.weigh(50)
    past.rename(EXPERIMENT, "recommender")
    past.commit()
    past.weigh(100, name="recommender")
    life = lived(past, "recommender")
    assert spans(life) == [Span(20, 0, 1), Span(50, 1, 3), Span(100, 3)]
    assert (life.attempts, life.former) == (1, ((EXPERIMENT, 1),))
    assert history.lives(str(past.root), "HEAD", [KEY], NOW) == {}


def test_a_rename_on_a_branch_counts_when_it_is_merged(past: History) -> None:
    with past.branch("named"):
        past.git("mv", experiment_file(*KEY), experiment_file(ENVIRONMENT, "recommender"))
        past.commit("only the file, as nobody should")
        with past.experiment("recommender") as document:
            document["metadata"]["name"] = "recommender"
        past.commit()
    past.merge("named")
    assert spans(lived(past, "recommender")) == [Span(20, 0)]


def test_a_rename_that_also_changes_traffic_begins_a_period(past: History) -> None:
    past.rename(EXPERIMENT, "recommender")
    past.weigh(50, name="recommender")
    assert spans(lived(past, "recommender")) == [Span(20, 0, 1), Span(50, 1)]


def test_another_experiment_in_place_of_one_is_no_rename(past: History) -> None:
    past.git("rm", "--quiet", experiment_file(*KEY))
    past.add("ranking")
    past.commit()
    life = lived(past, "ranking")
    assert spans(life) == [Span(20, 1)]
    assert (life.attempts, life.former) == (1, ())
    assert spans(lived(past)) == [Span(20, 0, 1)]


@pytest.mark.parametrize("wanted", [["left"], ["right"], ["left", "right"]])
def test_one_that_becomes_two_is_no_rename(past: History, wanted: list[str]) -> None:
    """Whoever asks for what: each is a new experiment."""
    document = past.read(experiment_file(*KEY))
    past.git("rm", "--quiet", experiment_file(*KEY))
    for name in ("left", "right"):
        past.write(experiment_file(ENVIRONMENT, name), document | {"metadata": {"name": name}})
    past.commit()
    found = history.lives(str(past.root), "HEAD", [(ENVIRONMENT, name) for name in wanted], NOW)
    assert [(spans(life), life.former) for life in found.values()] == [([Span(20, 1)], ())] * len(wanted)


def test_names_are_swapped(past: History) -> None:
    past.add("ranking", 40)
    past.commit()
    past.rename(EXPERIMENT, "spare")
    past.rename("ranking", EXPERIMENT)
    past.rename("spare", "ranking")
    past.commit()
    # Both files stay, so to Git and to Argo CD these are two experiments that changed their models.
    assert spans(lived(past)) == [Span(20, 0, 2), Span(40, 2)]
    assert spans(lived(past, "ranking")) == [Span(40, 1, 2), Span(20, 2)]


def test_deleted_and_created_again_is_a_new_attempt(past: History) -> None:
    past.git("rm", "--quiet", experiment_file(*KEY))
    past.commit()
    assert spans(lived(past)) == [Span(20, 0, 1)]
    past.tick()
    past.git("revert", "--no-edit", "HEAD")
    life = lived(past)
    assert spans(life) == [Span(20, 2)]
    assert life.attempts == 2


def test_a_name_used_again_counts_all_attempts_under_it(past: History) -> None:
    past.rename(EXPERIMENT, "recommender")
    past.commit()
    past.add(EXPERIMENT)
    past.commit()
    assert lived(past).attempts == 2
    past.git("rm", "--quiet", experiment_file(ENVIRONMENT, "recommender"))
    past.commit()
    past.rename(EXPERIMENT, "recommender")
    past.commit()
    life = lived(past, "recommender")
    assert (life.attempts, life.former, spans(life)) == (3, ((EXPERIMENT, 2),), [Span(20, 2)])


@pytest.mark.parametrize(
    "text",
    [
        "spec: [\n",
        "nothing: else\n",
        "spec: {traffic: {v1: 1}}\n",
        "spec: {traffic: no}\n",
        "spec:\n  control: v9\n",
        "",
        "just a text\n",
        "spec: {variants: {v1: {}}, control: v1, traffic: {v1: true}}\n",
        "spec: {variants: {v1: {}}, control: v1, traffic: {v1: 100}, shadow: {variant: v7}}\n",
        "spec: {variants: {v1: {}}, control: v1, traffic: {v1: 100}, shadow: 7}\n",
    ],
)
def test_a_file_that_says_nothing_holds_what_was_deployed(past: History, text: str) -> None:
    file = past.root / experiment_file(*KEY)
    before = file.read_text()
    file.write_text(text)
    past.commit()
    file.write_text(before)
    past.commit()
    past.weigh(50)
    assert spans(lived(past)) == [Span(20, 0, 3), Span(50, 3)]


def test_an_environment_or_base_that_cannot_be_read_holds_what_was_deployed(past: History) -> None:
    files = [past.root / environment_file(ENVIRONMENT), past.root / experiment_file(BASE, EXPERIMENT)]
    past.write(experiment_file(BASE, EXPERIMENT), {"spec": {"model": {"args": ["--fast"]}}})
    past.commit()
    texts = [file.read_text() for file in files]
    for file in files:
        file.write_text("spec: {")
    past.commit()
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    past.commit()
    assert spans(lived(past)) == [Span(20, 0, 1), Span(20, 1)]


def test_a_link_in_place_of_a_file_is_not_followed(past: History) -> None:
    file = past.root / experiment_file(*KEY)
    file.rename(past.root / "elsewhere.yaml")
    file.symlink_to("../../../elsewhere.yaml")
    past.commit()
    assert spans(lived(past)) == [Span(20, 0)]


def test_base_and_defaults_decide_too(past: History) -> None:
    """The file of the environment says nothing of traffic or control here."""
    with past.experiment() as document:
        spec = document["spec"]
        below = {name: spec.pop(name) for name in ("traffic", "control")}
    past.write(experiment_file(BASE, EXPERIMENT), {"spec": {"traffic": below["traffic"]}})
    past.write(*environment(ENVIRONMENT, {"control": "v1"}))
    past.commit("laid apart")
    past.write(experiment_file(BASE, EXPERIMENT), {"spec": {"traffic": {"v1": 60, "v2": 40}}})
    past.commit("base")
    past.write(*environment(ENVIRONMENT, {"control": "v2"}))
    past.commit("defaults")
    past.write(*environment(ENVIRONMENT, {"control": "v2", "owner": "somebody"}))
    past.commit("nothing that counts")
    life = lived(past)
    assert spans(life) == [Span(20, 0, 2), Span(40, 2, 3), Span(40, 3)]
    assert life.periods[-1].traffic == (("v2", 40), ("v1", 60))


def test_one_base_is_deployed_in_many_environments(past: History) -> None:
    past.write(*environment("staging", {}))
    past.add(environment=BASE, candidate=30)
    past.write(experiment_file("staging", EXPERIMENT), {"metadata": {"name": EXPERIMENT}, "spec": {}})
    past.commit()
    past.add(environment=BASE, candidate=70)
    past.commit()
    assert spans(lived(past, place="staging")) == [Span(30, 1, 2), Span(70, 2)]
    assert spans(lived(past)) == [Span(20, 0)]


def test_another_model_begins_a_period_and_more_memory_does_not(past: History) -> None:
    past.weigh(20, model={**recommendation().experiment["spec"]["model"], "resources": {"requests": {"cpu": "2"}}})
    assert spans(lived(past)) == [Span(20, 0)]
    with past.experiment() as document:
        document["spec"]["variants"]["v2"]["storageUri"] += "-retrained"
    past.commit()
    assert spans(lived(past)) == [Span(20, 0, 2), Span(20, 2)]


def test_a_shadow_is_part_of_what_users_get(past: History) -> None:
    past.weigh(0, shadow={"variant": "v2"})
    past.weigh(0, shadow={"variant": "v2", "percent": 50})
    assert [(one.shadow, one.end is None) for one in lived(past).periods] == [(0, False), (100, False), (50, True)]


def test_an_environment_that_goes_takes_its_experiments_with_it(past: History) -> None:
    file = past.root / environment_file(ENVIRONMENT)
    text = file.read_text()
    file.unlink()
    past.commit()
    assert spans(lived(past)) == [Span(20, 0, 1)]
    file.write_text(text)
    past.commit()
    assert (spans(lived(past)), lived(past).attempts) == ([Span(20, 2)], 2)


def test_what_is_not_committed_or_not_on_the_branch_is_not_deployed(past: History) -> None:
    with past.branch("half"):
        past.weigh(50)
    with past.experiment() as document:
        document["spec"]["traffic"] = {"v1": 0, "v2": 100}
    past.git("add", "--all")
    assert spans(lived(past)) == [Span(20, 0)]
    assert spans(lived(past, ref="refs/heads/half")) == [Span(20, 0, 1), Span(50, 1)]


def test_a_repository_below_the_top_of_git(tmp_path: Path) -> None:
    top = History(tmp_path / "top")
    within = begun(tmp_path / "top" / "teams" / "recsys")
    shutil.rmtree(within.root / ".git")
    top.commit("one level down")
    within.weigh(50, at=4)
    assert spans(lived(within)) == [Span(20, 0, 4), Span(50, 4)]


def test_a_linked_worktree(past: History, tmp_path: Path) -> None:
    past.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "other")
    past.weigh(50)
    linked = History.__new__(History)
    linked.root = tmp_path / "linked"
    assert spans(lived(linked)) == [Span(20, 0, 1), Span(50, 1)]


def test_the_user_s_configuration_changes_nothing(past: History) -> None:
    past.weigh(50)
    past.rename(EXPERIMENT, "recommender")
    past.commit()
    expected = lived(past, "recommender")
    for name, value in (
        ("log.showRoot", "false"),
        ("log.showSignature", "true"),
        ("log.follow", "true"),
        ("log.date", "relative"),
        ("log.diffMerges", "combined"),
        ("diff.renames", "copies"),
        ("diff.relative", "true"),
        ("diff.noprefix", "true"),
        ("color.ui", "always"),
        ("core.quotePath", "true"),
        ("core.abbrev", "7"),
        ("i18n.logOutputEncoding", "latin1"),
        ("format.pretty", "fuller"),
        ("grep.patternType", "fixed"),
    ):
        past.git("config", name, value)
    assert lived(past, "recommender") == expected


def test_odd_subjects_and_names_of_files_forge_nothing(past: History) -> None:
    (past.root / "environments/production/experiments/new\nline.yaml").write_text("spec: {}\n")
    (past.root / "environments/production/experiments/.hidden.yaml").write_text("spec: {}\n")
    (past.root / "environments/production/experiments/note.txt").write_text("none\n")
    below = past.root / "environments/production/experiments/sub"
    below.mkdir()
    for name in ("environment.yaml", f"{EXPERIMENT}.yaml"):
        (below / name).write_text("spec: {}\n")
    past.commit("\x01:100644 100644 0 0 M")
    past.weigh(50)
    life = lived(past)
    assert spans(life) == [Span(20, 0, 2), Span(50, 2)]


def test_nothing_committed_is_nothing_deployed(tmp_path: Path) -> None:
    past = History(tmp_path / "repository")
    past.put(recommendation())
    assert history.lives(str(past.root), "HEAD", [KEY], NOW) == {}


def test_a_shallow_clone_is_refused_with_the_remedy(past: History, tmp_path: Path) -> None:
    past.weigh(50)
    git.run(str(tmp_path), "clone", "--quiet", "--depth=1", f"file://{past.root}", "shallow")
    with pytest.raises(history.ShallowError) as caught:
        history.lives(str(tmp_path / "shallow"), "HEAD", [KEY], NOW)
    assert str(caught.value) == (
        f"the history in {tmp_path / 'shallow'} is cut off, and how long a stage has lasted is read from it; run "
        "`git fetch --unshallow`, or set `fetch-depth: 0` for the checkout in CI"
    )
    git.run(str(tmp_path / "shallow"), "fetch", "--quiet", "--unshallow")
    assert history.lives(str(tmp_path / "shallow"), "HEAD", [KEY], NOW)


def test_a_detached_head_names_no_branch(past: History) -> None:
    past.git("switch", "--quiet", "--detach")
    with pytest.raises(history.DetachedError) as caught:
        lived(past, ref="HEAD")
    assert str(caught.value) == (
        f"HEAD is detached in {past.root}, so nothing says which branch is deployed; name it with --branch, or as "
        "spec.gitops.branch of the environment"
    )
    assert spans(lived(past)) == [Span(20, 0)]


def test_replaced_objects_are_not_believed(past: History) -> None:
    past.weigh(50, at=500)
    forged = past.git("commit-tree", "HEAD^{tree}", "-p", "HEAD~1", "-m", "forged")
    past.git("replace", past.head, forged)
    assert spans(lived(past)) == [Span(20, 0, 500), Span(50, 500)]


def test_decisions_are_read_from_trailers_also_behind_merges(past: History) -> None:
    with past.branch("half"):
        with past.experiment() as document:
            document["spec"]["traffic"] = {"v1": 50, "v2": 50}
        made = past.commit(
            "promote\n\nPenstock-Verdict: in the body, not a trailer\n\n"
            "Penstock-Experiment: production/other\nPenstock-Experiment: production/recommendation-model\n"
            "Penstock-Action: promote\nPenstock-Verdict: better\nPenstock-Override: the fair\n is tomorrow\n"
        )
    past.merge("half")
    (decision,) = lived(past).decisions
    assert decision == (made, START + HOUR, "promote", "better", "the fair is tomorrow")


def test_decisions_about_an_earlier_life_of_a_name_are_not_of_this_one(past: History) -> None:
    said = "Penstock-Experiment: production/recommendation-model\nPenstock-Action:"
    past.commit(f"first\n\n{said} promote")
    past.git("rm", "--quiet", experiment_file(*KEY))
    past.commit(f"over\n\n{said} conclude")
    assert [one.kind for one in lived(past).decisions] == ["promote", "conclude"]
    past.add()
    past.commit(f"again\n\n{said} publish")
    past.rename(EXPERIMENT, "recommender")
    past.commit()
    past.commit(f"of a stranger\n\n{said} promote")
    assert [one.kind for one in lived(past, "recommender").decisions] == ["publish"]


def test_a_clock_that_goes_backwards_makes_no_soak_longer(past: History) -> None:
    past.weigh(50, at=10)
    past.weigh(100, at=3)
    assert spans(lived(past)) == [Span(20, 0, 10), Span(50, 10, 10), Span(100, 10)]


def test_a_date_that_is_still_to_come_counts_as_the_next_possible_one(past: History) -> None:
    past.weigh(50, at=5000)
    past.weigh(100, at=20)
    past.weigh(50, at=9000)
    now = (NOW - START) // HOUR
    assert spans(lived(past)) == [Span(20, 0, 20), Span(50, 20, 20), Span(100, 20, now), Span(50, now)]


def test_dates_are_monotone() -> None:
    assert dated([], 5) == []
    assert dated([1, 2, 3], 5) == [1, 2, 3]
    assert dated([3, 1, 2], 5) == [3, 3, 3]
    assert dated([1, 9, 2, 4, 7], 5) == [1, 2, 2, 4, 5]
