"""Repositories with a history, made by the real git; every commit says when it was made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gitrepos import git
from repositories import ENVIRONMENT, EXPERIMENT, Repository, recommendation

from generator.repository import environment_file, experiment_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from repositories import Document

START = 1_900_000_000
HOUR = 3600


class History(Repository):
    """A GitOps repository under Git. Each commit is made an hour after the last one, unless it is told otherwise."""

    def __init__(self, root: Path, start: int = START) -> None:
        super().__init__(root)
        root.mkdir(parents=True, exist_ok=True)
        self.start = start
        self.clock = start - HOUR
        self.git("init", "--quiet", "--initial-branch=main")

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git by the clock of this history; return what it prints."""
        date = f"{self.clock} +0000"
        return git(self.root, *arguments, GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)

    def tick(self, at: int | None = None) -> int:
        """Let an hour pass, or put the clock to `at` hours after the first commit; return the time."""
        self.clock = self.clock + HOUR if at is None else self.start + at * HOUR
        return self.clock

    def commit(self, message: str = "change", at: int | None = None) -> str:
        """Commit everything."""
        self.tick(at)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.head

    def weigh(self, candidate: int, *, name: str = EXPERIMENT, at: int | None = None, **changes: Any) -> str:
        """Commit another share for the candidate, and other changes of the spec."""
        with self.experiment(name) as document:
            document["spec"] |= {"traffic": {"v1": 100 - candidate, "v2": candidate}, **changes}
        return self.commit(f"{name}: v2 {candidate} %", at)

    def add(self, name: str = EXPERIMENT, candidate: int = 20, environment: str = ENVIRONMENT) -> None:
        """Write an experiment whose models are its own."""
        document = recommendation().experiment
        document["metadata"]["name"] = name
        for variant, settings in document["spec"]["variants"].items():
            settings["storageUri"] = f"gs://my-bucket/models/{name}-{variant}"
        document["spec"]["traffic"] = {"v1": 100 - candidate, "v2": candidate}
        self.write(experiment_file(environment, name), document)

    def rename(self, old: str, new: str) -> None:
        """Move an experiment's file, and call it so inside."""
        self.git("mv", experiment_file(ENVIRONMENT, old), experiment_file(ENVIRONMENT, new))
        with self.experiment(new) as document:
            document["metadata"]["name"] = new

    @contextmanager
    def branch(self, name: str) -> Iterator[None]:
        """Work on a new branch, and return to the one before."""
        self.git("switch", "--quiet", "--create", name)
        yield
        self.git("switch", "--quiet", "-")

    def merge(self, branch: str, *options: str, at: int | None = None) -> str:
        """Merge by a commit of its own, or as the options say."""
        self.tick(at)
        self.git("merge", "--quiet", "--no-edit", *(options or ("--no-ff",)), branch)
        return self.head


def begun(root: Path, start: int = START) -> History:
    """Make a history whose first commit has one environment with one experiment, at 20 %."""
    history = History(root, start)
    history.put(recommendation())
    history.commit("begin")
    return history


def environment(name: str, defaults: Document) -> tuple[str, Document]:
    """Return path and document of an environment with these defaults."""
    document = recommendation().environment
    document["metadata"]["name"] = name
    document["spec"]["defaults"] = defaults
    return environment_file(name), document
