"""Publishing against others and against death: two at once on a real remote, and a kill at any moment.

A plain run does a part of it; with PENSTOCK_TEST_ALL, as CI sets it, all.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from gitrepos import git, start
from repositories import ENVIRONMENT, EXPERIMENT, Repository, production, recommendation

from generator.publishing.publish import publish
from generator.repository import experiment_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("git")

WHOLE = os.environ.get("PENSTOCK_TEST_ALL") == "1"
ROUNDS, KILLS = (50, 200) if WHOLE else (4, 12)
NAMES = (EXPERIMENT, "search")
ROUTE = "environments/{}/manifests/traffic/{}/httproute-{}-experiment.yaml"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository with two experiments published."""
    first = production(tmp_path / "first")
    document = recommendation().experiment
    document["metadata"]["name"] = NAMES[1]
    first.write(experiment_file(ENVIRONMENT, NAMES[1]), document)
    start(first.root)
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    git(first.root, "remote", "add", "origin", "../remote.git")
    publish(str(first.root), ENVIRONMENT, NAMES, push=True)
    return tmp_path / "remote.git"


def clone(remote: Path, name: str) -> Repository:
    git(remote.parent, "clone", "--quiet", str(remote), name)
    return Repository(remote.parent / name)


def shift(repository: Repository, name: str, v2: int) -> None:
    with repository.experiment(name) as document:
        document["spec"]["traffic"] = {"v1": 100 - v2, "v2": v2}


def launched(repository: Repository, name: str, *options: str) -> subprocess.Popen[bytes]:
    command = ["publish", name, "-e", ENVIRONMENT, *options]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "generator", *command],
        cwd=repository.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def test_two_publishers_race(remote: Path) -> None:
    """Each of them publishes another experiment: both land, whoever comes first, and no round is lost."""
    both = [clone(remote, name) for name in NAMES]
    for number in range(ROUNDS):
        for repository, name in zip(both, NAMES, strict=True):
            shift(repository, name, 1 + number)
        running = [launched(one, name, "--push") for one, name in zip(both, NAMES, strict=True)]
        for process in running:
            said, _ = process.communicate()
            assert process.returncode == 0, said.decode()
        for name in NAMES:
            committed = git(remote, "show", f"main:{ROUTE.format(ENVIRONMENT, name, name)}")
            assert f"weight: {1 + number}\n" in committed + "\n"
    told = git(remote, "log", "--format=%(trailers:key=Penstock-Experiment,valueonly,separator=;)", "main").split("\n")
    assert {name: told.count(f"{ENVIRONMENT}/{name}") for name in NAMES} == dict.fromkeys(NAMES, ROUNDS)
    git(remote, "fsck", "--strict")
    for repository in both:
        git(repository.root, "pull", "--quiet", "--ff-only")
        assert git(repository.root, "status", "--porcelain") == ""


def test_two_publishers_race_for_one_experiment(remote: Path) -> None:
    """One of them lands, and the other is told what both made of it."""
    for number in range(ROUNDS // 2):
        both = [clone(remote, f"{number}-{name}") for name in NAMES]
        for one, v2 in zip(both, (2 * number + 1, 2 * number + 2), strict=True):
            shift(one, EXPERIMENT, v2)
        running = [launched(one, EXPERIMENT, "--push") for one in both]
        said = [process.communicate()[0].decode() for process in running]
        assert sorted(process.returncode for process in running) == [0, 1], said
        loser = next(text for text, process in zip(said, running, strict=True) if process.returncode)
        assert "was changed both here and on origin/main" in loser


@pytest.mark.parametrize("push", [False, True], ids=["commit", "push"])
def test_killed_at_any_moment(remote: Path, push: bool) -> None:
    """Nothing of the user's is lost, every file and entry is old or new, and a second run finishes the work."""
    chance = random.Random(7)  # noqa: S311
    options = ("--push",) if push else ()
    repository = clone(remote, "ours")
    (repository.root / "staged").write_text("foreign\n")
    git(repository.root, "add", "staged")
    (repository.root / "untracked").write_text("foreign\n")
    shift(repository, EXPERIMENT, 90)
    began = time.monotonic()
    launched(repository, EXPERIMENT, *options).communicate()
    duration = time.monotonic() - began
    hits = 0
    for number in range(KILLS // 2):
        before = snapshot(repository, "HEAD")
        shift(repository, EXPERIMENT, 1 + number % 80)
        edited = (repository.root / experiment_file(ENVIRONMENT, EXPERIMENT)).read_bytes()
        process = launched(repository, EXPERIMENT, *options)
        time.sleep(chance.uniform(0, duration))
        if process.poll() is None:
            hits += 1
            os.killpg(process.pid, signal.SIGKILL)
        else:
            duration *= 0.8  # the machine is less busy than it was
        process.communicate()
        between = snapshot(repository, "")
        git(repository.root, "fsck", "--strict")
        assert (repository.root / experiment_file(ENVIRONMENT, EXPERIMENT)).read_bytes() == edited
        finished = launched(repository, EXPERIMENT, *options)
        said, _ = finished.communicate()
        assert finished.returncode == 0, said.decode()
        after = snapshot(repository, "HEAD")
        for path in between.keys() | before.keys():
            assert between.get(path) in (before.get(path), after.get(path)), path
        assert git(repository.root, "status", "--porcelain") == "A  staged\n?? untracked"
        assert git(repository.root, "show", f"HEAD:{experiment_file(ENVIRONMENT, EXPERIMENT)}").encode() in edited
        assert not [*repository.root.glob("environments/.penstock*")]
        assert git(repository.root, "worktree", "list").count("\n") == 0
        if push:
            assert git(remote, "rev-parse", "main") == git(repository.root, "rev-parse", "HEAD")
    git(remote, "fsck", "--strict")
    assert hits > KILLS // 12


def snapshot(repository: Repository, commit: str) -> dict[str, str]:
    """Return entries of the index, and rendered files of the work tree, by path; those of a commit if one is given."""
    if commit:
        assert git(repository.root, "diff", "--name-only", "--", "environments/*/manifests") == ""
    index = {
        f"index {row.split(chr(9))[1]}": row.split()[1] for row in git(repository.root, "ls-files", "-s").split("\n")
    }
    return index | {path: repr(hash(text)) for path, text in repository.manifests().items() if "staging" not in path}
