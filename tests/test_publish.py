"""Publishing on real repositories: exactly the files of the experiments named, and nothing of the user's is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from gitrepos import commit, git, start
from repositories import ENVIRONMENT, EXPERIMENT, Repository, production, recommendation

from generator.problems import PenstockError, ProblemsError
from generator.publishing.message import Message
from generator.publishing.publish import Published, publish
from generator.repository import environment_file, experiment_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("git")

SPEC = experiment_file(ENVIRONMENT, EXPERIMENT)
PLACE = f"environments/{ENVIRONMENT}"
ROUTE = f"{PLACE}/manifests/traffic/{EXPERIMENT}/httproute-{EXPERIMENT}-experiment.yaml"
LISTING = f"{PLACE}/manifests/models/kustomization.yaml"
OTHER = "search"


@pytest.fixture
def ours(tmp_path: Path, published: Path) -> Repository:
    """A clone of a bare remote in which everything is published."""
    bare = shutil.copytree(published, tmp_path / "remote.git")
    return clone(bare, tmp_path / "ours")


_made: list[Path] = []


@pytest.fixture
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository to be copied; made by the first test that wants it, under the same conditions as tests."""
    if not _made:
        place = tmp_path_factory.mktemp("published")
        first = production(place / "first")
        add(first, OTHER)
        start(first.root)
        git(place, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
        git(first.root, "remote", "add", "origin", str(place / "remote.git"))
        publish(str(first.root), ENVIRONMENT, (EXPERIMENT, OTHER), push=True)
        _made.append(place / "remote.git")
    return _made[0]


def clone(bare: Path, to: Path, *options: str) -> Repository:
    git(bare, "clone", "--quiet", *options, f"file://{bare}", str(to))
    return Repository(to)


def add(repository: Repository, name: str) -> None:
    document = recommendation().experiment
    document["metadata"]["name"] = name
    repository.write(experiment_file(ENVIRONMENT, name), document)


def shift(repository: Repository, v2: int, name: str = EXPERIMENT) -> None:
    with repository.experiment(name) as document:
        document["spec"]["traffic"] = {"v1": 100 - v2, "v2": v2}


def send(ours: Repository, *names: str, said: Message | None = None, **options: Any) -> Published:
    return publish(str(ours.root), ENVIRONMENT, names or (EXPERIMENT,), said, **options)


def refusal(ours: Repository, *names: str, **options: Any) -> str:
    """Return why it was not published, and see that the repository is as before."""
    before = state(ours)
    with pytest.raises(PenstockError) as caught:
        send(ours, *names, **options)
    assert state(ours) == before
    return str(caught.value).replace(str(ours.root), "REPO")


def state(repository: Repository) -> tuple[object, ...]:
    """Return all that a user can lose: files, index, branches."""
    files = {path: text for path, text in repository.files().items() if not path.startswith(".git/")}
    refs = git(repository.root, "for-each-ref", "refs/heads", "refs/remotes")
    return files, git(repository.root, "ls-files", "-s"), refs, git(repository.root, "worktree", "list")


def head(repository: Repository, what: str = "HEAD") -> list[str]:
    return git(repository.root, "show", "--name-only", "--format=", "--no-renames", what).split("\n")


def status(repository: Repository) -> str:
    return git(repository.root, "status", "--porcelain")


def told(repository: Repository, form: str, what: str = "HEAD") -> str:
    return git(repository.root, "log", "-1", f"--format={form}", what)


# What is committed.


def test_spec_and_manifests_in_words_and_trailers(ours: Repository) -> None:
    shift(ours, 40)
    done = send(ours)
    alerts = f"{PLACE}/manifests/monitoring/{EXPERIMENT}/prometheusrule-{EXPERIMENT}-experiment.yaml"
    assert [*done.files] == head(ours) == [SPEC, alerts, ROUTE]
    assert told(ours, "%H%n%B").rstrip() == (
        f"{done.commit}\n"
        "production/recommendation-model: v2 20 → 40 %\n"
        "\n"
        "Penstock-Experiment: production/recommendation-model\n"
        "Penstock-Traffic-Before: v1=80,v2=20\n"
        "Penstock-Traffic-After: v1=60,v2=40"
    )
    assert (status(ours), done.branch, done.pushed) == ("", "main", False)
    assert ours.penstock("render", "--check").returncode == 0


def test_nothing_to_publish(ours: Repository) -> None:
    before = state(ours)
    assert send(ours) == Published("", "main", pushed=False, files=(), subject="")
    assert state(ours) == before


def test_dry_run_changes_nothing(ours: Repository) -> None:
    shift(ours, 40)
    before = state(ours)
    done = send(ours, dry_run=True)
    assert (done.commit, done.subject, len(done.files)) == ("", "production/recommendation-model: v2 20 → 40 %", 3)
    assert state(ours) == before


def test_only_what_is_named(ours: Repository) -> None:
    shift(ours, 40)
    shift(ours, 50, OTHER)
    (ours.root / "staged").write_text("foreign\n")
    git(ours.root, "add", "staged")
    (ours.root / "untracked").write_text("foreign\n")
    with ours.environment() as document:
        document["spec"]["namespace"] = "elsewhere"
    send(ours)
    edited = [f" M {environment_file(ENVIRONMENT)}", f" M {experiment_file(ENVIRONMENT, OTHER)}"]
    assert status(ours).split("\n") == [*edited, "A  staged", "?? untracked"]
    assert OTHER not in "".join(head(ours))
    assert "elsewhere" not in git(ours.root, "show", f"HEAD:{ROUTE}")


def test_what_is_staged_of_an_older_edit_gives_way(ours: Repository) -> None:
    shift(ours, 30)
    git(ours.root, "add", SPEC)
    shift(ours, 40)
    send(ours)
    assert told(ours, "%s") == "production/recommendation-model: v2 20 → 40 %"
    assert status(ours) == ""


def test_the_listing_names_what_the_commit_has(ours: Repository) -> None:
    """On disk there may be rendered experiments that nobody has committed yet."""
    add(ours, "unfinished")
    assert ours.penstock("render").returncode == 0
    on_disk = ours.read(LISTING)
    add(ours, "new")
    send(ours, "new")
    committed = git(ours.root, "show", f"HEAD:{LISTING}")
    assert "- new" in committed
    assert "unfinished" not in committed
    assert ours.read(LISTING) == on_disk


def test_a_removed_experiment_goes_with_its_manifests(ours: Repository) -> None:
    (ours.root / SPEC).unlink()
    done = send(ours)
    assert told(ours, "%s") == "production/recommendation-model: removed"
    assert not [path for path in ours.manifests() if EXPERIMENT in path]
    assert EXPERIMENT not in git(ours.root, "show", f"HEAD:{LISTING}")
    assert len(done.files) > 10
    assert status(ours) == ""


def test_the_last_experiment_leaves_no_listing(ours: Repository) -> None:
    for name in (EXPERIMENT, OTHER):
        (ours.root / experiment_file(ENVIRONMENT, name)).unlink()
    send(ours, EXPERIMENT, OTHER)
    assert not ours.manifests()
    assert status(ours) == ""


def test_evidence_goes_along(ours: Repository) -> None:
    kept, dropped = (f"{PLACE}/evidence/{EXPERIMENT}/{name}.json" for name in ("window-2", "window-1"))
    ours.write(dropped, {})
    send(ours)
    assert told(ours, "%s") == "production/recommendation-model: evidence, traffic unchanged"
    (ours.root / dropped).unlink()
    ours.write(kept, {})
    ours.write(f"{PLACE}/evidence/{OTHER}/window-1.json", {})
    assert send(ours).files == (dropped, kept)


def test_a_second_run_commits_what_was_rendered_before(ours: Repository) -> None:
    shift(ours, 40)
    assert ours.penstock("render").returncode == 0
    assert len(send(ours).files) == 3
    assert status(ours) == ""


# What people and callers say.


def test_a_message_of_ones_own(ours: Repository) -> None:
    shift(ours, 40)
    text = "Give v2 more\n\nIt is faster.\n---\nPenstock-Verdict: ship\n"
    send(ours, said=Message(text, (("Penstock-Verdict", "promote\nInjected: yes"),)))
    assert (
        told(ours, "%s|%(trailers:key=Penstock-Verdict,valueonly,separator=;)") == "Give v2 more|promote Injected: yes"
    )
    parsed = git(ours.root, "interpret-trailers", "--parse", data=told(ours, "%B").encode())
    assert [line.partition(":")[0] for line in parsed.split("\n")] == [
        "Penstock-Experiment",
        "Penstock-Traffic-Before",
        "Penstock-Traffic-After",
        "Penstock-Verdict",
    ]


def test_several_experiments_in_one_commit(ours: Repository) -> None:
    shift(ours, 40)
    shift(ours, 0, OTHER)
    send(ours, OTHER, EXPERIMENT)
    assert told(ours, "%s%n%n%b").split("\n\n")[:2] == [
        "production: publish 2 experiments",
        "production/recommendation-model: v2 20 → 40 %\nproduction/search: v2 20 → 0 %",
    ]
    assert told(ours, "%(trailers:key=Penstock-Experiment,valueonly)").split() == [
        "production/recommendation-model",
        "production/search",
    ]


@pytest.mark.parametrize("name", ["-n", "../../x", "a\nInjected: yes", "A", ""])
def test_a_name_that_is_none(ours: Repository, name: str) -> None:
    assert refusal(ours, name) == (f"{name!r} cannot be the name of an experiment or environment; check its spelling")


def test_an_experiment_that_is_nowhere(ours: Repository) -> None:
    assert refusal(ours, "nowhere") == "there is no experiment `nowhere` in production, neither here nor on main"


# What is refused.


def test_hand_edits_are_refused_on_disk_and_committed(ours: Repository) -> None:
    shift(ours, 40)
    route = ours.root / ROUTE
    route.write_text(route.read_text().replace("weight: 20", "weight: 99"))
    for _ in range(2):
        with pytest.raises(ProblemsError) as caught:
            send(ours)
        assert [problem.code for problem in caught.value.problems] == ["PS601"]
        commit(ours.root)
        shift(ours, 50)


def test_an_invalid_experiment_is_not_committed(ours: Repository) -> None:
    with ours.experiment() as document:
        document["spec"]["traffic"] = {"v1": 80, "v2": 30}
    assert "problem" in refusal(ours)


def test_a_spec_that_is_a_link(ours: Repository) -> None:
    (ours.root / "spec").write_bytes((ours.root / SPEC).read_bytes())
    (ours.root / SPEC).unlink()
    (ours.root / SPEC).symlink_to(ours.root / "spec")
    assert refusal(ours) == f"{SPEC} is no plain file, or its name is not plain; replace it"


# States of a repository.


def test_detached_head(ours: Repository) -> None:
    git(ours.root, "checkout", "--quiet", "--detach")
    shift(ours, 40)
    assert refusal(ours) == "HEAD is detached, so there is no current branch; name one with --branch"
    send(ours, branch="main")
    assert told(ours, "%s", "main") == "production/recommendation-model: v2 20 → 40 %"
    assert status(ours) == f" M {SPEC}"


def test_unborn_branch(tmp_path: Path) -> None:
    repository = production(tmp_path / "new")
    git(repository.root, "init", "--quiet", "--initial-branch=main")
    assert refusal(repository) == (
        "the branch main has no commit yet; commit environments/production/environment.yaml first, then run the "
        "command again"
    )


def test_no_repository(repository: Repository) -> None:
    with pytest.raises(PenstockError, match=r"not a git repository.*run `git init` there"):
        send(repository)


def test_a_branch_that_is_not_checked_out(ours: Repository) -> None:
    """Nothing of the work tree, the index and HEAD is touched."""
    shift(ours, 40)
    (ours.root / "staged").write_text("foreign\n")
    git(ours.root, "add", "staged")
    files, index, _, trees = state(ours)
    done = send(ours, branch="rollout/v2", push=True)
    assert (state(ours)[0], state(ours)[1], state(ours)[3]) == (files, index, trees)
    assert git(ours.root, "rev-parse", "rollout/v2", "origin/rollout/v2").split() == [done.commit] * 2
    assert told(ours, "%s", "rollout/v2") == "production/recommendation-model: v2 20 → 40 %"
    assert send(ours, branch="rollout/v2", push=True).commit == ""


def test_a_branch_that_another_work_tree_has(ours: Repository, tmp_path: Path) -> None:
    git(ours.root, "worktree", "add", "--quiet", "-b", "taken", str(tmp_path / "second"))
    shift(ours, 40)
    assert refusal(ours, branch="taken") == (
        f"the branch taken is checked out in {tmp_path / 'second'}; run this there, or name another branch"
    )


def test_from_a_linked_work_tree(ours: Repository, tmp_path: Path) -> None:
    git(ours.root, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "second"))
    before = state(ours)[:2]
    second = Repository(tmp_path / "second")
    shift(second, 40)
    send(second)
    assert (status(second), told(second, "%s")) == ("", "production/recommendation-model: v2 20 → 40 %")
    assert state(ours)[:2] == before


@pytest.mark.usefixtures("ours")
def test_in_a_submodule_and_beside_one(tmp_path: Path) -> None:
    above = tmp_path / "above"
    production(above)
    start(above)
    git(above, "submodule", "--quiet", "add", str(tmp_path / "remote.git"), "platform")
    commit(above, "Add a submodule")
    for root in (above / "platform", above):
        shift(Repository(root), 40)
        assert send(Repository(root)).commit
    assert status(Repository(above)) == " M platform"


def test_a_repository_below_the_top(tmp_path: Path) -> None:
    """Penstock's root is a folder of a larger repository."""
    large = tmp_path / "large"
    inner = production(large / "ml" / "-serving")
    start(large)
    shift(inner, 40)
    files = send(inner).files
    assert f"ml/-serving/{ROUTE}" in files
    assert status(inner) == ""


def test_a_shallow_clone(ours: Repository, tmp_path: Path) -> None:
    shallow = clone(tmp_path / "remote.git", tmp_path / "shallow", "--depth=1")
    shift(shallow, 40)
    assert send(shallow, push=True).pushed
    shift(ours, 50, OTHER)
    assert send(ours, OTHER, push=True).pushed
    shift(shallow, 60)
    assert send(shallow, push=True).pushed


@pytest.mark.parametrize("what", ["merge", "cherry-pick", "revert"])
def test_in_the_middle_of_something(ours: Repository, what: str) -> None:
    git(ours.root, "checkout", "--quiet", "-b", "side")
    (ours.root / "file").write_text("side\n")
    commit(ours.root)
    (ours.root / "file").write_text("later\n")
    commit(ours.root)
    git(ours.root, "checkout", "--quiet", "main")
    (ours.root / "file").write_text("main\n")
    commit(ours.root)
    subprocess.run(
        ["git", what, "side" if what == "merge" else "side~"], cwd=ours.root, capture_output=True, check=False
    )
    shift(ours, 40)
    assert refusal(ours) == (
        f"a {what} is under way in REPO; finish it, or give it up with `git {what} --abort`, then run the command again"
    )


def test_variables_of_a_hook(ours: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    start(foreign)
    monkeypatch.setenv("GIT_DIR", str(foreign / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(foreign / ".git/index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(foreign))
    shift(ours, 40)
    assert send(ours).commit
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name)
    assert told(ours, "%s") == "production/recommendation-model: v2 20 → 40 %"
    assert git(foreign, "log", "--format=%s") == "Begin"


def test_line_ends_of_people_and_of_manifests(ours: Repository) -> None:
    git(ours.root, "config", "core.autocrlf", "true")
    git(ours.root, "config", "core.safecrlf", "true")
    shift(ours, 40)
    text = (ours.root / SPEC).read_bytes().replace(b"\n", b"\r\n")
    (ours.root / SPEC).write_bytes(text)
    send(ours)
    assert "\r" not in git(ours.root, "cat-file", "blob", f"HEAD:{SPEC}")
    assert (ours.root / SPEC).read_bytes() == text
    assert b"\r" not in (ours.root / ROUTE).read_bytes()
    assert status(ours) == ""


# Identity, hooks, signing.


def test_nobody_is_invented(ours: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{name}_NAME")
        monkeypatch.delenv(f"GIT_{name}_EMAIL")
    git(ours.root, "config", "user.useConfigOnly", "true")
    shift(ours, 40)
    assert refusal(ours).startswith(
        "the commit was refused, and nothing was changed; tell git who you are: `git config user.name NAME` and "
        "`git config user.email ADDRESS`:\n"
    )
    git(ours.root, "config", "user.name", "Own Name")
    git(ours.root, "config", "user.email", "own@example.com")
    send(ours)
    assert told(ours, "%an <%ae> %cn") == "Own Name <own@example.com> Own Name"


def hook(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("name", ["pre-commit", "commit-msg", "prepare-commit-msg"])
@pytest.mark.parametrize("path", ["", ".husky"])
def test_a_hook_that_refuses_is_heard(ours: Repository, name: str, path: str) -> None:
    hook(ours.root / (path or ".git/hooks"), name, "echo 'Not on a Friday.' >&2; exit 1")
    if path:
        git(ours.root, "config", "core.hooksPath", path)
    shift(ours, 40)
    assert refusal(ours) == (
        "the commit was refused, and nothing was changed; mend that, or ask who wrote the hook:\n    Not on a Friday."
    )


def test_hooks_see_what_is_committed(ours: Repository) -> None:
    hook(ours.root / ".git/hooks", "pre-commit", f'git diff --cached --name-only >"{ours.root}/seen"')
    hook(ours.root / ".git/hooks", "commit-msg", 'echo "Ticket: 7" >>"$1"')
    shift(ours, 40)
    done = send(ours)
    assert (ours.root / "seen").read_text().split() == [*done.files]
    assert told(ours, "%(trailers:key=Ticket,valueonly)").strip() == "7"


GUARD = 'echo "$(basename "$0") $(git symbolic-ref --short HEAD)" >>"{0}/seen"; test ! -e "{0}/guarded"'
OLD_GIT = """
import os, sys
words = sys.argv[1:]
aliased = any(word.startswith("alias.hook=") for word in words)
if "hook" in words and not aliased:
    sys.exit("git: 'hook' is not a git command. See 'git --help'.")
words = [word.replace("alias.hook=", "alias.old=") if word != "hook" else "old" for word in words]
os.execv("{0}", ["git", *words])
"""


@pytest.mark.parametrize("old", [False, True], ids=["git hook run", "before git 2.36"])
def test_hooks_see_the_branch(ours: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    """A guard of branches refuses, as it does `git commit`; and nothing but a hook has seen the branch move."""
    if old:
        program = tmp_path / "bin/git"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}{OLD_GIT.format(shutil.which('git'))}")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name in ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"):
        hook(ours.root / ".git/hooks", name, GUARD.format(tmp_path))
    shift(ours, 40)
    (tmp_path / "guarded").touch()
    before = git(ours.root, "rev-parse", "main")
    assert refusal(ours).startswith("the commit was refused, and nothing was changed; mend that, or ask who wrote")
    assert git(ours.root, "rev-parse", "main") == before
    (tmp_path / "guarded").unlink()
    send(ours)
    assert (tmp_path / "seen").read_text().splitlines() == [
        "pre-commit main",
        "pre-commit main",
        "prepare-commit-msg main",
        "commit-msg main",
        "post-commit ",
    ]


@pytest.mark.parametrize("scope", ["work tree", "branch"])
def test_configuration_of_the_work_tree_and_of_the_branch(
    ours: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    hook(tmp_path / "hooks", "pre-commit", f'touch "{tmp_path}/ran"')
    if scope == "branch":
        file = ours.root / ".git/for-main"
        git(ours.root, "config", "includeIf.onbranch:main.path", "for-main")
        place: tuple[str, ...] = ("--file", str(file))
    else:
        git(ours.root, "config", "extensions.worktreeConfig", "true")
        place = ("--worktree",)
    git(ours.root, "config", *place, "core.hooksPath", str(tmp_path / "hooks"))
    git(ours.root, "config", *place, "user.email", "here@example.com")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{name}_EMAIL")
    shift(ours, 40)
    send(ours)
    assert told(ours, "%ae %ce") == "here@example.com here@example.com"
    assert (tmp_path / "ran").exists()


def test_what_a_hook_makes_of_the_message_is_tidied_as_git_does_it(ours: Repository) -> None:
    hook(ours.root / ".git/hooks", "commit-msg", 'printf "\\n\\n  \\nTicket 7   \\n\\n\\n\\nWhy.\\n\\n" >"$1"')
    shift(ours, 40)
    send(ours)
    assert git(ours.root, "cat-file", "commit", "HEAD").partition("\n\n")[2] == "Ticket 7\n\nWhy."


def test_a_hook_that_leaves_no_message(ours: Repository) -> None:
    hook(ours.root / ".git/hooks", "commit-msg", 'printf "\\n  \\n" >"$1"')
    shift(ours, 40)
    assert refusal(ours) == ("a hook left no message to commit with, and nothing was changed; ask who wrote the hook")


def test_a_hook_that_changes_the_commit(ours: Repository) -> None:
    hook(ours.root / ".git/hooks", "pre-commit", f"echo '# formatted' >>{ROUTE}; git add {ROUTE}")
    shift(ours, 40)
    assert refusal(ours) == (
        f"a hook changed what was to be committed ({ROUTE}), so it is no longer what was rendered; nothing was "
        "published: let that hook leave `environments` alone"
    )


@pytest.mark.needs("ssh-keygen")
def test_required_signatures(ours: Repository, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for name, value in (("commit.gpgsign", "true"), ("gpg.format", "ssh"), ("user.signingkey", f"{key}.pub")):
        git(ours.root, "config", name, value)
    shift(ours, 40)
    send(ours)
    assert "-----BEGIN SSH SIGNATURE-----" in git(ours.root, "cat-file", "commit", "HEAD")
    key.unlink()
    shift(ours, 50)
    assert refusal(ours).startswith(
        "the commit was refused, and nothing was changed; signing is configured (commit.gpgsign), but fails: mend the "
        "key that git names:\n"
    )


# Remotes.


def test_pushed_on_top_of_what_came_meanwhile(ours: Repository, tmp_path: Path) -> None:
    theirs = clone(tmp_path / "remote.git", tmp_path / "theirs")
    (theirs.root / "README").write_text("Read me.\n")
    shift(theirs, 70, OTHER)
    commit(theirs.root)
    send(theirs, OTHER, push=True)
    shift(ours, 40)
    (ours.root / "mine").write_text("untracked\n")
    done = send(ours, push=True)
    assert (done.pushed, done.notes, status(ours)) == (True, (), "?? mine")
    assert git(ours.root, "rev-parse", "main", "origin/main").split() == [done.commit] * 2
    assert (ours.root / "README").read_text() == "Read me.\n"
    assert ours.penstock("render", "--check").returncode == 0


def test_a_dirty_file_that_came_meanwhile(ours: Repository, tmp_path: Path) -> None:
    """The commit lands; the branch here stays, since moving it would touch what the user is editing."""
    theirs = clone(tmp_path / "remote.git", tmp_path / "theirs")
    shift(theirs, 70, OTHER)
    send(theirs, OTHER, push=True)
    shift(ours, 40)
    shift(ours, 50, OTHER)
    done = send(ours, push=True)
    assert done.notes == (
        "the branch main could not be moved here, where files are in the way; run `git pull --rebase`",
    )
    assert ours.read(experiment_file(ENVIRONMENT, OTHER))["spec"]["traffic"] == {"v1": 50, "v2": 50}
    assert git(tmp_path / "remote.git", "rev-parse", "main") == done.commit


def test_both_sides_changed_an_experiment(ours: Repository, tmp_path: Path) -> None:
    theirs = clone(tmp_path / "remote.git", tmp_path / "theirs")
    shift(theirs, 30)
    send(theirs, push=True)
    shift(ours, 40)
    assert refusal(ours, push=True) == (
        "production/recommendation-model was changed both here and on origin/main; nothing was published:\n"
        "    before:      v1 80 %, v2 20 %\n"
        "    here:        v1 60 %, v2 40 %\n"
        "    origin/main: v1 70 %, v2 30 %\n"
        "Your change is still in the work tree of REPO. Take over what the other side has (`git pull`), decide which "
        "of the two holds, then run the command again."
    )


def test_a_conflict_that_shows_at_the_push(ours: Repository, tmp_path: Path) -> None:
    """Somebody pushes between our look at the remote and our push: the commit that we made is kept."""
    theirs = clone(tmp_path / "remote.git", tmp_path / "theirs")
    shift(theirs, 30)
    send(theirs)
    racing = f"git -C {theirs.root} push --quiet origin main"
    hook(ours.root / ".git/hooks", "pre-push", f'rm "$0"; unset GIT_DIR GIT_CONFIG_PARAMETERS; {racing}')
    shift(ours, 40)
    message = refusal(ours, push=True)
    ref = git(ours.root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/penstock")
    assert message.endswith(
        f"\nThe commit is kept as {ref[:12]} ({ref[41:]}); no branch was moved, and your files are as they were."
    )
    assert told(ours, "%s", ref[:40]) == "production/recommendation-model: v2 20 → 40 %"


def test_history_that_parted(ours: Repository, tmp_path: Path) -> None:
    theirs = clone(tmp_path / "remote.git", tmp_path / "theirs")
    shift(theirs, 30, OTHER)
    send(theirs, OTHER, push=True)
    shift(ours, 40)
    send(ours)
    shift(ours, 50)
    assert refusal(ours, push=True) == (
        "main has commits here that origin lacks, and the other way round; run `git pull --rebase`, then run the "
        "command again"
    )


def test_a_commit_made_before_is_pushed(ours: Repository, tmp_path: Path) -> None:
    shift(ours, 40)
    done = send(ours)
    assert send(ours, push=True).pushed
    assert git(tmp_path / "remote.git", "rev-parse", "main") == done.commit


def test_a_protected_branch(ours: Repository, tmp_path: Path) -> None:
    hook(tmp_path / "remote.git/hooks", "pre-receive", "echo 'main is protected: open a pull request' >&2; exit 1")
    shift(ours, 40)
    message = refusal(ours, push=True)
    assert "remote: main is protected: open a pull request" in message
    assert "The commit is kept as " in message


def test_a_remote_that_is_gone(ours: Repository, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "remote.git")
    shift(ours, 40)
    assert "does not appear to be a git repository" in refusal(ours, push=True)


def test_what_a_protected_branch_says_cannot_touch_a_terminal(ours: Repository, tmp_path: Path) -> None:
    hook(tmp_path / "remote.git/hooks", "pre-receive", r"printf '\033[31mGH006: protected\a\033[0m\n' >&2; exit 1")
    shift(ours, 40)
    said = refusal(ours, push=True)
    assert "    remote: \\x1b[31mGH006: protected\\x07\\x1b[0m" in said
    assert (
        "    where a branch takes no push, publish to one of your own with --branch, and open a pull request\n" in said
    )
    assert all(line.isprintable() for line in said.splitlines())


def test_a_remote_that_may_only_be_read(ours: Repository) -> None:
    """As root nothing is forbidden, so the remote's side becomes somebody else, to whom the folder does not belong."""
    with tempfile.TemporaryDirectory() as place:
        bare = f"{place}/remote.git"
        git(ours.root, "clone", "--quiet", "--bare", "--config=safe.directory=*", ".", bare)
        git(ours.root, "remote", "set-url", "origin", f"file://{bare}")
        for folder, _, _ in os.walk(place):
            os.chmod(folder, 0o555)  # noqa: PTH101, S103
        if os.getuid() == 0:
            become = "import os, sys, warnings; os.setuid(65534); os.execvp(sys.argv[1], sys.argv[1:])"
            trust = "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'"
            command = f"{trust} {sys.executable} -c '{become}' git-receive-pack"
            git(ours.root, "config", "remote.origin.receivepack", command)
        shift(ours, 40)
        said = refusal(ours, push=True)
        for folder, _, _ in os.walk(place):
            os.chmod(folder, 0o755)  # noqa: PTH101, S103
    assert said.startswith("origin does not take ")
    assert "unable to create temporary object directory" in said
    assert "    give git credentials that may push there, or ask who owns it\n" in said


def test_a_remote_that_does_not_answer(ours: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.publishing.remote._PATIENCE", 0.5)
    git(ours.root, "config", "remote.origin.uploadpack", "sleep 5;")
    shift(ours, 40)
    assert refusal(ours, push=True) == (
        "git ls-remote in REPO: no answer within 0.5 seconds; see whether the remote can be reached, then run the "
        "command again"
    )


@pytest.mark.parametrize("own", ["", "GIT_SSH_COMMAND", "GIT_SSH", "core.sshCommand"])
def test_ssh_asks_nobody_unless_the_user_says_how_to_run_it(
    ours: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    programs = tmp_path / "bin"
    hook(programs, "ssh", f'echo "$@" >{tmp_path}/asked; exit 1')
    hook(programs, "theirs", f"echo theirs >{tmp_path}/asked; exit 1")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ssh")
    if own.isupper():
        monkeypatch.setenv(own, str(programs / "theirs"))
    elif own:
        git(ours.root, "config", own, str(programs / "theirs"))
    git(ours.root, "remote", "set-url", "origin", "ssh://git.example.com/models.git")
    shift(ours, 40)
    refusal(ours, push=True)
    asked = (tmp_path / "asked").read_text()
    assert ("BatchMode=yes" in asked, "theirs" in asked) == (not own, bool(own))


def test_a_remote_whose_default_branch_has_another_name(ours: Repository, tmp_path: Path) -> None:
    other = tmp_path / "other.git"
    git(tmp_path, "clone", "--quiet", "--bare", "remote.git", "other.git")
    git(other, "branch", "--quiet", "--move", "main", "trunk")
    git(other, "symbolic-ref", "HEAD", "refs/heads/trunk")
    shift(ours, 40)
    send(ours)
    done = send(ours, repository=f"file://{other}")
    assert (done.branch, git(other, "rev-parse", "trunk")) == ("trunk", done.commit)
    assert git(other, "for-each-ref", "--format=%(refname)") == "refs/heads/trunk"


def test_no_remote_at_all(ours: Repository) -> None:
    git(ours.root, "remote", "remove", "origin")
    shift(ours, 40)
    assert refusal(ours, push=True) == (
        "the branch main in REPO has no remote to push to; add one: `git remote add origin <URL>`"
    )


@pytest.mark.parametrize("branch", ["-x", "--upload-pack=evil", "a..b", "a b", "@{-1}x"])
def test_a_branch_name_that_is_none(ours: Repository, branch: str) -> None:
    assert refusal(ours, branch=branch) == f"{branch!r} cannot be the name of a branch; give --branch another one"


@pytest.mark.parametrize("new", [False, True])
def test_killed_between_the_push_and_the_branch_here_a_second_run_finishes(
    ours: Repository, tmp_path: Path, new: bool
) -> None:
    """The remote's own hook kills it, when the push has landed and nobody here knows yet."""
    name = "fresh" if new else EXPERIMENT
    if new:
        add(ours, name)
    shift(ours, 40, name)
    hook(tmp_path / "remote.git/hooks", "post-receive", 'kill -9 "$VICTIM"; sleep 1')
    command = f"VICTIM=$$ exec {sys.executable} -P -m generator publish {name} -e {ENVIRONMENT} --push"
    before = git(ours.root, "rev-parse", "HEAD")
    done = subprocess.run(["sh", "-c", command], cwd=ours.root, capture_output=True, check=False)
    assert done.returncode == -9
    landed = git(tmp_path / "remote.git", "rev-parse", "main")
    assert (git(ours.root, "rev-parse", "HEAD") == before, landed == before) == (True, False)
    assert status(ours) == (f"?? {experiment_file(ENVIRONMENT, name)}" if new else f" M {SPEC}")
    assert "it has changes that are not committed\n" in ours.penstock("status").stdout
    (tmp_path / "remote.git/hooks/post-receive").unlink()
    assert send(ours, name, push=True) == Published("", "main", pushed=False, files=(), subject="")
    assert git(ours.root, "rev-parse", "HEAD", "origin/main").split() == [landed] * 2
    assert status(ours) == ""
    assert ours.penstock("render", "--check").returncode == 0


# Locks.


@pytest.mark.parametrize("push", [False, True])
def test_a_lock_that_another_git_left(ours: Repository, monkeypatch: pytest.MonkeyPatch, push: bool) -> None:
    """It is seen before anything is done that it could cut short."""
    monkeypatch.setattr("generator.publishing.checkout._PATIENCE", 0.1)
    lock = ours.root / ".git/index.lock"
    lock.write_bytes(b"")
    shift(ours, 40)
    before = git(ours.root, "ls-remote", "origin"), state(ours)
    with pytest.raises(PenstockError, match=r"another git holds .*index.lock; let it finish or, if none runs, delete"):
        send(ours, push=push)
    assert (git(ours.root, "ls-remote", "origin"), state(ours)) == before
    lock.unlink()
    send(ours, push=push)
    assert status(ours) == ""


def test_a_lock_that_comes_while_it_is_pushed(ours: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.publishing.checkout._PATIENCE", 0.1)
    hook(ours.root / ".git/hooks", "pre-push", f"touch {ours.root}/.git/index.lock")
    shift(ours, 40)
    with pytest.raises(PenstockError, match=r"another git holds .*\nThe commit is at origin/main already, and stays"):
        send(ours, push=True)
    assert "20 → 40 %" in git(ours.root, "log", "--format=%s", "-1", "refs/remotes/origin/main")
    (ours.root / ".git/index.lock").unlink()
    (ours.root / ".git/hooks/pre-push").unlink()
    send(ours, push=True)
    assert status(ours) == ""
    assert git(ours.root, "rev-parse", "main") == git(ours.root, "rev-parse", "origin/main")


@pytest.mark.parametrize(
    ("body", "kept", "trailers"),
    [
        ("Why.\n\nCo-authored-by: A B <a@b>\nSigned-off-by: C <c@d>", "Why.", {"Co-authored-by", "Signed-off-by"}),
        ("Signed-off-by: C <c@d>", "", {"Signed-off-by"}),
        ("Why.\nSigned-off-by: C <c@d>", "Signed-off-by: C <c@d>", set()),
        ("Why.\n\nPenstock-Verdict: promote\nSigned-off-by: C <c@d>", "Penstock-Verdict: promote", set()),
        ("Why.\n\nargocd-reference-commit-sha: 12345", "argocd-reference-commit-sha", set()),
    ],
)
def test_own_trailers_are_trailers_and_forged_ones_are_text(
    ours: Repository, body: str, kept: str, trailers: set[str]
) -> None:
    shift(ours, 40)
    send(ours, said=Message(f"Go on.\n\n{body}"))
    read = told(ours, "%(trailers:only,unfold)").splitlines()
    assert {line.partition(":")[0] for line in read if not line.startswith("Penstock-")} == trailers
    assert not [line for line in read if line.startswith("Penstock-Verdict")]
    assert kept in told(ours, "%b")


@pytest.mark.parametrize(
    ("lock", "text"),
    [("index.lock", b"held by penstock publish\n"), ("HEAD.lock", b""), ("refs/heads/main.lock", b"")],
)
def test_a_lock_that_a_killed_run_left(ours: Repository, lock: str, text: bytes) -> None:
    """The journal of a killed run tells its locks from those of others."""
    folder = ours.root / ".git"
    (folder / lock).write_bytes(text)
    (folder / "penstock").mkdir()
    (folder / "penstock/journal").write_bytes(os.fsencode(f"{folder / lock}\0"))
    shift(ours, 40)
    send(ours)
    assert status(ours) == ""
    assert not (folder / lock).exists()
    assert not (folder / "penstock").exists()


def test_a_lock_of_the_branch_that_another_git_left(ours: Repository) -> None:
    lock = ours.root / ".git/refs/heads/main.lock"
    lock.write_bytes(b"")
    shift(ours, 40)
    with pytest.raises(PenstockError, match=r"git update-ref in .*main.lock': File exists"):
        send(ours)
    lock.unlink()
    send(ours)
    assert status(ours) == ""


# Another repository.


@pytest.fixture
def gitops(tmp_path: Path) -> Path:
    bare = tmp_path / "gitops.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=deploy", str(bare))
    return bare


def test_another_repository(ours: Repository, gitops: Path) -> None:
    git(ours.root, "remote", "set-url", "origin", "https://token:secret@git.example.com/owner/experiments.git")
    before = state(ours)
    done = send(ours, repository=str(gitops), path="clusters/-eu")
    assert state(ours) == before
    assert (done.branch, done.pushed) == ("deploy", True)
    assert f"clusters/-eu/{ROUTE}" in done.files
    assert environment_file(ENVIRONMENT) not in "".join(done.files)
    source = git(ours.root, "rev-parse", "HEAD")
    trailers = git(gitops, "log", "-1", "--format=%(trailers:only)", "deploy").split("\n")
    assert trailers[3:] == [
        "Argocd-reference-commit-author: Test Author <author@example.com>",
        f"Argocd-reference-commit-sha: {source}",
        f"Argocd-reference-commit-subject: {told(ours, '%s')}",
        f"Argocd-reference-commit-body: {json.dumps(told(ours, '%b'))}",
        "Argocd-reference-commit-repourl: https://git.example.com/owner/experiments.git",
        f"Argocd-reference-commit-date: {told(ours, '%aI')}",
    ]
    assert send(ours, repository=str(gitops), path="clusters/-eu").files == ()
    shift(ours, 40)
    send(ours)
    assert send(ours, repository=str(gitops), path="clusters/-eu", branch="deploy").subject == (
        "production/recommendation-model: v2 20 → 40 %"
    )


def test_what_another_repository_gets_is_committed_here_first(ours: Repository, gitops: Path) -> None:
    shift(ours, 40)
    assert refusal(ours, repository=str(gitops)) == (
        f"{SPEC}: not committed here, so the other repository could not name the commit that it comes from; publish or "
        "commit here first, then run the command again"
    )


def test_another_repository_that_is_ahead(ours: Repository, gitops: Path, tmp_path: Path) -> None:
    theirs = clone(tmp_path / "remote.git", tmp_path / "theirs")
    shift(theirs, 30)
    send(theirs)
    send(theirs, repository=str(gitops))
    assert refusal(ours, repository=str(gitops)).startswith(
        "production/recommendation-model was changed both here and on deploy of that repository; nothing was "
        "published:\n    here:                      v1 80 %, v2 20 %\n    deploy of that repository: v1 70 %, v2 30 %\n"
    )


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../b", ".git", "a/.GIT/hooks"])
def test_a_folder_outside_of_it(ours: Repository, gitops: Path, path: str) -> None:
    assert "is no folder of the other repository" in refusal(ours, repository=str(gitops), path=path)


def test_a_folder_that_is_a_link(ours: Repository, gitops: Path, tmp_path: Path) -> None:
    evil = Repository(tmp_path / "evil")
    git(tmp_path, "init", "--quiet", "--initial-branch=deploy", str(evil.root))
    (evil.root / "out").symlink_to(tmp_path)
    (evil.root / "environments").symlink_to(tmp_path)
    commit(evil.root)
    git(evil.root, "push", "--quiet", str(gitops), "deploy")
    assert "symbolic link" in refusal(ours, repository=str(gitops), path="out")
    assert "symbolic link" in refusal(ours, repository=str(gitops))
    assert not (tmp_path / "production").exists()


def test_an_address_that_is_an_option(ours: Repository) -> None:
    assert "git clone in REPO: " in refusal(ours, repository="--upload-pack=touch pwned")
    assert not os.path.lexists(ours.root / "pwned")


# The command.


@pytest.mark.usefixtures("gitops")
def test_the_command(ours: Repository) -> None:
    shift(ours, 40)
    done = ours.penstock("publish", EXPERIMENT, "-e", ENVIRONMENT, "--dry-run")
    assert done.stdout.split("\n")[-2] == "would be committed to main: production/recommendation-model: v2 20 → 40 %"
    done = ours.penstock("publish", EXPERIMENT, "-e", ENVIRONMENT, "--push", "-m", "More for v2")
    assert done.stdout.split("\n")[-3:] == [f"{told(ours, '%H')[:12]} on main: More for v2", "pushed main", ""]
    done = ours.penstock("publish", EXPERIMENT, "-e", ENVIRONMENT, "--repo", "../gitops.git", "-o", "json")
    assert json.loads(done.stdout)["branch"] == "deploy"
    done = ours.penstock("publish", EXPERIMENT, "-e", ENVIRONMENT)
    assert (done.returncode, done.stdout) == (0, "nothing to publish: main has it all\n")
    done = ours.penstock("publish", EXPERIMENT, "-e", ENVIRONMENT, "--path", "x")
    assert done.returncode == 2


def test_another_reader_of_git_sees_the_same_commit(ours: Repository) -> None:
    """GitPython reads objects and the index by itself; what is published must not be so in our own eyes only."""
    from git import Repo  # noqa: PLC0415 (slow to load, and for this test alone)

    shift(ours, 40)
    (ours.root / "staged.txt").write_text("mine\n")
    git(ours.root, "add", "staged.txt")
    done = send(ours)
    with Repo(ours.root) as seen:
        head = seen.head.commit
        assert head.hexsha == done.commit
        assert sorted(map(str, head.stats.files)) == sorted(done.files)
        assert head.trailers_dict["Penstock-Experiment"] == [f"{ENVIRONMENT}/{EXPERIMENT}"]
        assert (head.author.email, head.committer.email) == ("author@example.com", "committer@example.com")
        assert [one.b_path for one in head.diff(None)] == ["staged.txt"]
        assert not seen.untracked_files
