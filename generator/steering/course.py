"""Steering an experiment by publishing: the right branch, what is deployed, and a rehearsal without a commit."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, NamedTuple

from generator.domain import interpret
from generator.evidence import examine, verdicts
from generator.evidence.prometheus import Client
from generator.problems import PenstockError
from generator.publishing import checkout
from generator.publishing.publish import Course, Published, publish
from generator.repository import environment_file, experiment_file
from generator.reviews import printed, reviewing
from generator.steering.steering import Circumstances, Examined, RolloutError
from generator.versions import git

if TYPE_CHECKING:
    from collections.abc import Callable

    from generator.domain.model import Environment, Experiment
    from generator.publishing.publication import Revision
    from generator.steering.steering import Examine
    from generator.versions.lives import Life


class Steered(NamedTuple):
    """What became of it; `message` and the experiment file's `difference` are empty where nothing was to be done."""

    published: Published
    message: str
    difference: str


def steer(
    root: str,
    environment: str,
    name: str,
    revise: Callable[[str, str], Revision],
    *,
    branch: str = "",
    start: str = "",
    begins: bool = False,
    expired: bool = False,
    push: bool = False,
    dry_run: bool = False,
) -> Steered:
    """Publish what `revise` makes of an experiment, on `branch` ("": the current one); a new one begins at `start`.

    `begins` if the experiment may be new there; `expired` publishes also what has expired.
    """
    file = experiment_file(environment, name)
    seen: list[str] = ["", ""]

    def watched(at: str, tree: str) -> Revision:
        before = _text(f"{tree}/{file}")
        if before is None and not begins:
            raise RolloutError(f"there is no experiment `{name}` in {environment} on the branch that is published to")
        revision = revise(at, tree)
        after = _text(f"{tree}/{file}") or ""
        lines = [one.splitlines(keepends=True) for one in (before or "", after)]
        seen[:] = [revision.said.text, "".join(difflib.unified_diff(lines[0], lines[1], f"a/{file}", f"b/{file}", n=1))]
        return revision

    course = Course(watched, start, expired)
    done = publish(root, environment, (name,), branch=branch, push=push, dry_run=dry_run, course=course)
    return Steered(done, *seen)


def sentences(root: str, environment: str, done: Steered, now: int) -> str:
    """Say what was done; of what was only tried, the difference, the message and the review of it."""
    published = done.published
    pushed = [f"pushed {published.branch}"] if published.pushed else []
    if not published.files:
        return "\n".join([f"nothing to do: {published.branch} has it already", *pushed, *published.notes])
    if published.draft:
        report = reviewing.report(root, f"{published.draft}^", published.draft, (environment,), now)
        head = f"would be committed to {published.branch}:"
        return "\n".join(
            [done.difference, done.message, "", head, *published.files, "", printed.document(report, "text")]
        )
    line = f"{git.short(published.commit)} on {published.branch}: {published.subject}"
    return "\n".join([*published.files, line, *pushed, *published.notes])


def _text(path: str) -> str | None:
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        return file.read()


def refuse_changes(root: str, environment: str, name: str) -> None:
    """Raise RolloutError if the experiment's file has changes that are not committed: later, they would undo a step."""
    file = experiment_file(environment, name)
    if git.run(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", file):
        raise RolloutError(
            f"{file} has changes that are not committed; publish them first, or drop them (`git checkout -- {file}`)"
        )


def examining(root: str) -> Examine:
    """Return what analyzes an experiment: from its Prometheus, or by the ledger alone where the environment names none.

    What Prometheus' settings name lies in `root`. What could not be found out is said in place of a verdict.
    """

    def examined(tree: str, environment: Environment, experiment: Experiment, life: Life, now: int) -> Examined:
        try:
            place = environment_file(environment.name)
            client = Client(environment.prometheus, root, place) if environment.prometheus else None
            found = examine.examine(tree, experiment, environment, life, now, client)
        except PenstockError as error:
            return Examined(unknown=f"it could not be analyzed: {error}")
        if client is None and not found.windows:
            return Examined()
        last = found.windows[-1] if found.windows else None
        return Examined(
            found.verdict,
            last.end if last else None,
            last.end - last.start if last else 0,
            "",
            found.ledger,
            found.look if found.sound else None,
            verdicts.written(found, "markdown"),
        )

    return examined


def deployment(root: str, environment: str, branch: str) -> str:
    """Return the ref that is deployed: of `branch`, else of what the environment declares, else of what origin says."""
    delivery = interpret.environment(root, environment).environment.gitops
    return git.deployed(root, branch or (delivery.branch if delivery else ""))


def circumstances(
    root: str, environment: str, branch: str, target: str, examine: Examine, now: int, *, alone: bool = False
) -> Circumstances:
    """Return what decisions rest on; `branch` is deployed ("": find out), `target` is what is published to.

    What is deployed is where the branch stands at the remote at that very moment, if it is the one that is pushed.
    """
    ref = deployment(root, environment, branch)
    pushed = named(root, ref) == target

    def deployed(seen: str) -> str:
        return seen if seen and pushed else ref

    return Circumstances(root, environment, deployed, examine, git.author(root), alone, now)


def named(root: str, ref: str) -> str:
    """Return the name of the branch that a ref is of."""
    if ref == "HEAD":
        return checkout.find(root).branch
    return ref.removeprefix("refs/heads/").removeprefix("refs/remotes/origin/")
