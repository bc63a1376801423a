"""A run over all experiments of an environment that advance by themselves: each takes the step that is due, or waits.

A run keeps no notes. What is due follows from what is deployed, so that it may be killed anywhere and started again, or
run beside another: whoever pushes second sees the other's step and decides anew. One broken experiment stops no other.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal, NamedTuple

from generator import repository
from generator.domain import interpret
from generator.names import RECORDED
from generator.problems import PenstockError, ProblemsError
from generator.publishing import checkout, remote
from generator.steering import course, moves, steering
from generator.steering import gates as gating
from generator.versions import git, history, revisions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from generator.domain.interpret import Place
    from generator.publishing.publication import Revision
    from generator.steering.gates import Gate
    from generator.steering.moves import Due
    from generator.steering.steering import Case, Circumstances, Decided, Examine
    from generator.versions.lives import Life

Action = Literal["promote", "rollback", "conclude", "wait", "failed"]


class Advanced(NamedTuple):
    """What became of an experiment.

    `closed` are the gates that it waits for. `branch` is where the `commit` with the step is: the deployed one, or, if
    `proposed`, one of its own. `commit` is "" where the step was there already. `status` is an exit code.
    """

    name: str
    action: Action
    reason: str
    closed: tuple[Gate, ...] = ()
    proposed: bool = False
    branch: str = ""
    commit: str = ""
    subject: str = ""
    status: int = 0


class SettledError(PenstockError):
    """On this tip nothing is to be done: somebody else was faster, or a gate has closed."""


class Run(NamedTuple):
    """What a run works on: the deployed branch by name, and the commit that it stands at."""

    root: str
    environment: str
    branch: str
    tip: str
    push: bool
    examine: Examine
    author: str
    now: int


def begin(root: str, environment: str, branch: str, examine: Examine, now: int, *, push: bool) -> Run:
    """Find out what is deployed, at the remote itself if that is to be pushed to."""
    ref = course.deployment(root, environment, branch)
    name = course.named(root, ref)
    tip = remote.tip(root, remote.of(root, name), f"refs/heads/{name}") if push else ""
    return Run(root, environment, name, tip or git.resolve(root, ref), push, examine, git.author(root), now)


def advance(run: Run, names: Collection[str] = ()) -> Iterator[Advanced]:
    """Yield what becomes of each experiment with `rollout.mode` auto or propose; of those named only, if any are."""
    with ExitStack() as stack:
        tree = stack.enter_context(revisions.laid(run.root, run.tip, run.environment))
        place = interpret.environment(tree, run.environment)
        declared = repository.take(tree).environments.get(run.environment, ())
        wanted = [name for name in declared if not names or name in names]
        keys = {(run.environment, name) for name in wanted}
        lives = history.lives(run.root, run.tip, keys, run.now)
        for name in wanted:
            try:
                done = _one(run, tree, place, name, lives.get((run.environment, name)))
            except ProblemsError as error:
                first = error.problems[0]
                done = Advanced(name, "failed", f"{first.place}: {first.message}", status=error.exit_code)
            except PenstockError as error:
                done = Advanced(name, "failed", str(error), status=error.exit_code)
            if done is not None:
                yield done
        for name in sorted({*names} - {*declared}):
            yield Advanced(name, "failed", f"there is no such experiment on {run.branch}", status=2)


def _one(run: Run, tree: str, place: Place, name: str, life: Life | None) -> Advanced | None:
    known = steering.Circumstances(
        run.root, run.environment, lambda seen: seen or run.tip, run.examine, run.author, alone=True, now=run.now
    )
    found = steering.read(tree, place, name)
    mode = found.experiment.rollout.mode if found.experiment.rollout else "manual"
    if mode == "manual":
        return None
    case = steering.examined(known, tree, place.environment, found, life)
    chosen = _chosen(known, case, "")
    if not chosen.edits or gating.closed(chosen.gates):
        return _waiting(name, chosen.due, chosen.gates, unknown=case.examined.unknown)
    if mode == "propose":
        return _proposed(run, known._replace(deployed=lambda _: run.tip), case, chosen.due)
    return _taken(run, known, name, chosen.due, run.branch)


def _chosen(known: Circumstances, case: Case, tree: str) -> Decided:
    done = [one.kind for one in case.life.decisions if one.kind != RECORDED] if case.life else []
    last = done[-1] if done else ""
    return steering.decided(known, case, moves.due(case.experiment, case.standing, case.examined.verdict, last), tree)


def _waiting(name: str, due: Due, found: tuple[Gate, ...], *, unknown: str) -> Advanced:
    """Say what it waits for; that nothing could be found out about it is a failure of the run."""
    return Advanced(name, "wait", due.reason, gating.closed(found), status=3 if unknown else 0)


def _proposed(run: Run, known: Circumstances, case: Case, due: Due) -> Advanced:
    """Prepare a branch for the step: named by the stage that it leaves, so that a stage has one proposal of a kind."""
    name = case.experiment.name
    since = case.life.periods[-1].commit if case.life else run.tip
    branch = f"penstock/{run.environment}/{name}/{due.kind}-{git.short(since)}"
    ref = f"refs/heads/{branch}"
    place = checkout.find(run.root)
    there = remote.tip(place.top, remote.of(place.top, branch), ref) if run.push else ""
    if there or (not run.push and not git.attempt(run.root, "rev-parse", "--verify", "--quiet", ref).status):
        subject = git.line(place.top, *git.LOG, "-1", "--format=%s", there or ref)
        return Advanced(name, due.kind, due.reason, proposed=True, branch=branch, subject=subject)
    return _taken(run, known, name, due, branch)._replace(proposed=True)


def _taken(run: Run, known: Circumstances, name: str, due: Due, branch: str) -> Advanced:
    """Publish the step, decided anew on each tip."""
    met: list[tuple[Case, Decided]] = []

    def revise(seen: str, root: str) -> Revision:
        case = steering.look(known, root, name, steering.lived(known, name, seen))
        chosen = _chosen(known, case, root)
        met[:] = [(case, chosen)]
        if not chosen.edits or gating.closed(chosen.gates):
            raise SettledError
        return steering.revised(case, chosen, root, known.now)

    try:
        done = course.steer(
            *(run.root, run.environment, name, revise),
            branch=branch,
            start=run.tip,
            expired=due.kind != "promote",
            push=run.push,
        ).published
    except SettledError:
        ((case, last),) = met
        return _waiting(name, last.due, last.gates, unknown=case.examined.unknown)
    ((_, last),) = met
    reason = " ".join([last.due.reason, *done.notes])
    kind = last.due.kind
    return Advanced(name, kind, reason, branch=branch, commit=done.commit, subject=done.subject)


def summary(one: Advanced) -> str:
    """Say in a sentence what became of an experiment."""
    if one.action == "failed":
        return one.reason
    if one.action == "wait":
        moment = gating.opening(one.closed)
        return f"waits{f' until {gating.moment(moment)}' if moment else ''}. {one.reason}"
    if one.proposed:
        return f"{one.action} proposed on {one.branch}: {one.subject}"
    return f"{one.action} in {git.short(one.commit)} on {one.branch}: {one.subject}"
