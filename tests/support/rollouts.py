"""Rollouts in tests: a bare remote, clones of it, and a clock that commits and decisions go by."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from analysis_values import judged, row, verdict
from gitrepos import commit, git
from repositories import ENVIRONMENT, EXPERIMENT, Repository, parsed, recommendation

from generator.publishing import checkout
from generator.repository import experiment_file
from generator.reviews import reviewing
from generator.steering import advance, course, steering
from generator.steering.steering import Examined

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from generator.analysis.verdict import Verdict
    from generator.domain.model import Environment, Experiment
    from generator.publishing.publication import Revision
    from generator.steering.advance import Advanced
    from generator.versions.lives import Life

START = 1_900_000_000
HOUR = 3600
FILE = experiment_file(ENVIRONMENT, EXPERIMENT)
GOOD = verdict("continue", judged("v2", "continue"), rows=(row("errors", "v2", "guardrail", "non-inferior"),))
UNSURE = verdict("continue", judged("v2", "continue"), rows=(row("errors", "v2", "guardrail", "nothing"),))
BETTER = verdict("promote", judged("v2", "promote"), winner="v2", rows=GOOD.rows)
WORSE = verdict("rollback", judged("v2", "rollback"), rows=(row("errors", "v2", "guardrail", "harm"),))


class World:
    """A remote and a clone of it. Time passes only when a test says so; `verdict` is what analyzing comes to."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **spec: Any) -> None:
        self.folder = folder
        self._patch = patch
        self.verdict: Verdict | None = None
        self.clock = START
        self.wait(0)
        first = Repository(folder / "first")
        case = recommendation()
        case.environment["spec"]["policy"]["overrides"] = True
        case.experiment["spec"] |= {
            "traffic": {"v1": 100, "v2": 0},
            "rollout": {"steps": [20, 50, 100], "soak": "1h", "mode": "auto"},
            **spec,
        }
        first.put(case)
        first.penstock("render")
        git(first.root, "init", "--quiet", "--initial-branch=main")
        self.commit(first, "Begin")
        self.remote = folder / "remote.git"
        git(folder, "clone", "--quiet", "--bare", str(first.root), str(self.remote))
        self.mine = self.clone("mine")

    def clone(self, name: str) -> Repository:
        """Clone the remote once more."""
        git(self.folder, "clone", "--quiet", f"file://{self.remote}", str(self.folder / name))
        return Repository(self.folder / name)

    def wait(self, seconds: int) -> None:
        """Let time pass, for this process and for commits."""
        self.clock += seconds
        for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
            self._patch.setenv(name, f"{self.clock} +0000")

    def commit(self, where: Repository, message: str) -> str:
        """Commit all that differs by this world's clock."""
        return commit(where.root, message, at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock)))

    def examine(
        self, _root: str, _environment: Environment, _experiment: Experiment, _life: Life, now: int
    ) -> Examined:
        """Come to the verdict of this world, counted up to two minutes ago."""
        return Examined(self.verdict, now - 120)

    def advance(self, *names: str, where: Repository | None = None, push: bool = True) -> list[Advanced]:
        """Run once over all experiments."""
        root = str((where or self.mine).root)
        begun = advance.begin(root, ENVIRONMENT, "", self.examine, self.clock, push=push)
        return list(advance.advance(begun, names))

    def known(self, where: Repository | None = None) -> steering.Circumstances:
        """Return what a person's decision rests on here."""
        root = str((where or self.mine).root)
        return course.circumstances(root, ENVIRONMENT, "", checkout.find(root).branch, self.examine, self.clock)

    def steer(self, revise: Callable[[str, str], Revision], *, push: bool = True, **options: Any) -> course.Steered:
        """Publish what a person asked for."""
        return course.steer(str(self.mine.root), ENVIRONMENT, EXPERIMENT, revise, push=push, **options)

    def change(self, message: str = "Change", name: str = EXPERIMENT, **spec: Any) -> None:
        """Change the experiment by hand, render and push."""
        git(self.mine.root, "pull", "--quiet", "--rebase")
        with self.mine.experiment(name) as document:
            document["spec"] |= spec
        done = self.mine.penstock("render")
        assert done.returncode == 0, done.stdout
        self.commit(self.mine, message)
        git(self.mine.root, "push", "--quiet")

    def policy(self, **changes: Any) -> None:
        """Change the environment's policy by hand, and push."""
        git(self.mine.root, "pull", "--quiet", "--rebase")
        with self.mine.environment() as document:
            document["spec"]["policy"] |= changes
        self.commit(self.mine, "Change the policy")
        git(self.mine.root, "push", "--quiet")

    def add(self, name: str, **spec: Any) -> None:
        """Add an experiment, not rendered nor committed yet."""
        document = recommendation().experiment
        document["metadata"]["name"] = name
        document["spec"] |= {"traffic": {"v1": 100, "v2": 0}, **spec}
        self.mine.write(experiment_file(ENVIRONMENT, name), document)

    def traffic(self, name: str = EXPERIMENT, branch: str = "main") -> dict[str, int]:
        """Return the traffic that a branch of the remote declares."""
        shown = self.show(experiment_file(ENVIRONMENT, name), branch)
        return dict(shown["spec"]["traffic"])

    def show(self, path: str, branch: str = "main") -> Any:
        """Read a YAML file of a branch of the remote."""
        return parsed(git(self.remote, "show", f"{branch}:{path}"))

    def log(self, form: str = "%s", branch: str = "main") -> list[str]:
        """Return the history of the remote, newest first."""
        return git(self.remote, "log", f"--format={form}", branch).split("\n")


def check(remote: Path, to: Path) -> None:
    """See that every commit of a remote is valid, rendered, and passed its review when it was made."""
    git(remote, "clone", "--quiet", f"file://{remote}", str(to))
    place = Repository(to)
    commits = [line.split(" ") for line in git(remote, "log", "--reverse", "--format=%H %ct", "main").split("\n")]
    for (before, _), (after, time_) in pairwise(commits):
        git(to, "checkout", "--quiet", "--detach", after)
        git(to, "update-ref", "refs/remotes/origin/main", before)
        for command in (("validate",), ("render", "--check")):
            done = place.penstock(*command)
            assert done.returncode == 0, (after, command, done.stdout, done.stderr)
        report = reviewing.report(str(to), before, after, (), int(time_))
        assert (report.problems, report.unknown) == ((), ()), after
