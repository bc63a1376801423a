"""Publishing: render experiments on the tip of a branch and commit exactly their files, here or in another repository.

All is made in a tree of our own. Then the remote takes the commit or not, as one; and then the user's checkout is
brought along, files first, index next, branch last, so that a second run finishes what a killed one began.
"""

from __future__ import annotations

import os
import random
import re
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from generator.problems import PenstockError
from generator.publishing import checkout, message, remote, workshop
from generator.publishing.message import Message, Reference
from generator.publishing.publication import DraftError, History, Job, UnknownError, drafted, lists_of, refuse_edits
from generator.versions import git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from generator.publishing.checkout import Checkout
    from generator.publishing.publication import Draft, Judge, Revision
    from generator.publishing.workshop import Workshop

_ROUNDS = 20
_PAUSE = 0.1  # seconds, at most, for each round that was lost
_KEPT = "refs/penstock/unpublished"
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_AGAIN = "then run the command again"


class Published(NamedTuple):
    """What became of it.

    `commit` is "" where there was nothing to commit; `draft`, of a course only tried, is one that no branch has.
    `files` are paths from the top of the repository that has the commit, `notes` tell what the user should know.
    """

    commit: str
    branch: str
    pushed: bool
    files: tuple[str, ...]
    subject: str
    notes: tuple[str, ...] = ()
    draft: str = ""


class Course(NamedTuple):
    """How to make files anew from each tip that a publication builds upon, instead of taking those of the work tree.

    `revise` gets the commit at which the branch stands at the remote ("" if it is not pushed to, or is not there), and
    the root of a tree of the tip. It may change files of the experiments there, or raise a PenstockError to publish
    nothing. A new branch begins at `start`. `expired` publishes also what has expired.
    """

    revise: Callable[[str, str], Revision]
    start: str = ""
    expired: bool = False


class PublishError(PenstockError):
    """It cannot be published as things are; says why, and what to do."""

    exit_code = 1


def publish(
    root: str,
    environment: str,
    names: tuple[str, ...],
    said: Message | None = None,
    *,
    branch: str = "",
    repository: str = "",
    path: str = "",
    push: bool = False,
    dry_run: bool = False,
    course: Course | None = None,
    judge: Judge | None = None,
) -> Published:
    """Commit the files of experiments as they are in the work tree of `root`, and what is rendered from them.

    With a `course`, as that makes them; what it says of it is then the message. Else `said` is, with the verdicts that
    `judge` finds on evidence.

    On `branch`, by default the current one. With `repository`, an address that `git clone` takes, in its folder `path`
    and pushed in any case. ProblemsError, PublishError and other PenstockErrors: then nothing has changed but what the
    error says.
    """
    for name in (environment, *names):
        if not _NAME.fullmatch(name):
            raise UnknownError(f"{name!r} cannot be the name of an experiment or environment; check its spelling")
    place = checkout.find(root)
    if branch and git.attempt(root, "check-ref-format", "--branch", branch).status:
        raise UnknownError(f"{branch!r} cannot be the name of a branch; give --branch another one")
    wanted = tuple(sorted(set(names)))
    if repository:
        job = Job(place, _below(path), environment, wanted, apart=True, judge=judge)
        return _elsewhere(job, said or Message(), repository, branch, dry_run=dry_run)
    job = Job(place, place.prefix, environment, wanted, apart=False, judge=judge)
    return _here(job, said or Message(), branch, course, push=push, dry_run=dry_run)


def _here(job: Job, said: Message, branch: str, course: Course | None, *, push: bool, dry_run: bool) -> Published:
    """Publish to a branch of this repository."""
    place = job.place
    target = branch or place.branch
    if not target:
        raise PublishError("HEAD is detached, so there is no current branch; name one with --branch")
    if not place.head:
        file = f"environments/{job.environment}/environment.yaml"
        raise PublishError(f"the branch {place.branch} has no commit yet; commit {file} first, {_AGAIN}")
    line = _line(place, target, remote.of(place.top, target) if push else "")
    with ExitStack() as stack:
        own = stack.enter_context(checkout.alone(place, (line.ref, line.tracking)))
        _refuse_held(place, line)
        shop = stack.enter_context(workshop.beside(place, own))
        lost = ""
        for round_ in range(_ROUNDS):
            job = job._replace(place=checkout.find(place.root))  # it may have moved
            local = _commit(place.top, line.ref)
            seen = remote.tip(place.top, line.server, line.upstream) if push else ""
            with _keeping(own, place, lost):
                tip = _tip(job.place, line, local, seen, course.start if course else "")
                history = _three_way(job, tip, line.name(tip == seen))
                revise = partial(course.revise, seen) if course else None
                draft = drafted(job, shop, tip, history, revise, expired=course is not None and course.expired)
                if line.current:
                    refuse_edits(job, draft)
            text = message.compose(job.environment, draft.moves, draft.said or said)
            done = _drafted(target, draft, text)
            if dry_run:
                return done._replace(draft=shop.rehearse(text, tip) if course and draft.files else "")
            commit = _committed(shop, job.place, line, text, tip) if draft.files else tip
            done = done._replace(commit=commit if draft.files else "")
            if push and commit != seen:
                with _keeping(own, place, done.commit):
                    # Not from the workshop: an address may be relative to the user's work tree.
                    landing = remote.push(place.top, line.server, commit, line.upstream, seen)
                if landing == "moved":
                    lost = done.commit or lost
                    _pause(round_)
                    continue
                done = done._replace(pushed=True)
            _remember(place, line, commit)
            with _telling(done, line):
                if _follow(job, draft, own, line, local, commit):
                    return done
            if push:
                return done._replace(notes=(*done.notes, line.behind))
            _pause(round_)
        with _keeping(own, place, lost):
            raise PublishError(f"{target} moved {_ROUNDS} times while this ran; run the command again")


def _committed(shop: Workshop, place: Checkout, line: _Line, text: str, tip: str) -> str:
    """Make the commit, unless the user's index could not be brought along to it."""
    if line.current:
        checkout.refuse_locked(place)
    return shop.commit(text, line.ref, tip)


def _drafted(target: str, draft: Draft, text: str) -> Published:
    subject = text.partition("\n")[0] if draft.files else ""
    return Published("", target, pushed=False, files=draft.files, subject=subject, notes=draft.notes)


class _Line(NamedTuple):
    """The branch that is published to: full names of its ref, here and at a server ("" without --push)."""

    target: str
    ref: str
    server: str
    upstream: str
    tracking: str
    current: bool

    def name(self, at_server: bool) -> str:
        """Name the branch for people, at the server or here."""
        return f"{self.server}/{self.target}" if at_server and self.server else self.target

    @property
    def behind(self) -> str:
        """Tell that the commit is on the remote, but not here."""
        return f"the branch {self.target} could not be moved here, where files are in the way; run `git pull --rebase`"


def _line(place: Checkout, target: str, server: str) -> _Line:
    """Look at a branch; PublishError if it is in a state that is not ours to change."""
    ref = upstream = f"refs/heads/{target}"
    if target == place.branch:
        checkout.refuse_unfinished(place)
    if server:
        own = git.attempt(place.top, "config", "--get", f"branch.{target}.remote").out.decode(errors="replace").strip()
        merge = os.fsdecode(git.attempt(place.top, "config", "--get", f"branch.{target}.merge").out).strip()
        upstream = merge if own == server and merge.startswith("refs/heads/") else ref
    tracking = f"refs/remotes/{server or 'origin'}/{upstream.removeprefix('refs/heads/')}"
    return _Line(target, ref, server, upstream, tracking, target == place.branch)


def _refuse_held(place: Checkout, line: _Line) -> None:
    """Raise PublishError if another work tree stands on the branch; what a killed run left is gone by now."""
    if not line.current and (other := checkout.holding(place, line.ref)):
        raise PublishError(
            f"the branch {line.target} is checked out in {other}; run this there, or name another branch"
        )


def _tip(place: Checkout, line: _Line, local: str, seen: str, start: str) -> str:
    """Return what to build upon: the remote's commit or ours, whichever is ahead; a new branch begins at `start`."""
    if not local or not seen or local == seen:
        return local or seen or _commit(place.top, line.tracking) or start or place.head
    if _is_ancestor(place.top, seen, local):
        return local
    if _is_ancestor(place.top, local, seen):
        return seen
    shallow = git.line(place.top, "rev-parse", "--is-shallow-repository") == "true"
    remedy = "fetch the whole history (`git fetch --unshallow`)" if shallow else "run `git pull --rebase`"
    raise PublishError(
        f"{line.target} has commits here that {line.server} lacks, and the other way round; {remedy}, {_AGAIN}"
    )


def _three_way(job: Job, tip: str, there: str) -> History:
    """Let a change here hold where the tip has what it began from: what both had when they parted."""
    top, prefix = job.place.top, job.place.prefix
    parted = git.attempt(top, "merge-base", job.place.head, tip).out.decode().split("\n")[0]
    wanted = [f"{prefix}{path}" for name in job.names for path in job.inputs(name)]
    base = checkout.entries(top, parted, *wanted)

    def earlier(path: str) -> frozenset[str]:
        entry = base.get(f"{prefix}{path}", checkout.ABSENT)
        return frozenset({entry.object})

    return History(earlier, follow=True, here=f"the work tree of {job.place.top}", there=there)


def _follow(job: Job, draft: Draft, own: str, line: _Line, local: str, commit: str) -> bool:
    """Move the branch here to a commit, with work tree and index if it is checked out; tell whether that was possible.

    Nothing is moved where something of the user's would be lost, or where the branch has moved meanwhile.
    """
    if commit == local:
        return True
    place = job.place
    if line.current:
        rendered = tuple(f"{job.prefix}{one}/" for one in draft.owned)
        # Lists on disk may name experiments that are rendered there and committed nowhere yet.
        lists = {f"{job.prefix}{one}" for one in lists_of(job.environment)}
        inputs = tuple(f"{job.prefix}{path}" for name in job.names for path in job.inputs(name))
        below = tuple(f"{path}/" for path in inputs)
        if place.head != local or not checkout.bring(
            place,
            own,
            commit,
            lambda path: path.startswith(rendered),
            lambda path: os.path.dirname(path) in lists or path in inputs or path.startswith(below),
        ):
            return False
    done = git.attempt(place.top, "update-ref", "-m", "penstock publish", line.ref, commit, local)
    if done.status and _commit(place.top, line.ref) == local:
        raise git.failure(place.top, ("update-ref",), done)
    return not done.status


def _remember(place: Checkout, line: _Line, commit: str) -> None:
    """Move the image of the remote's branch on, as a push does unless it is killed."""
    known = _commit(place.top, line.tracking) if line.server else ""
    if known and known != commit:
        git.run(place.top, "update-ref", "-m", "penstock publish", line.tracking, commit, known)


@contextmanager
def _keeping(own: str, place: Checkout, commit: str) -> Iterator[None]:
    """If this fails, keep a commit that was made, but not published, and say where."""
    try:
        yield
    except (PublishError, DraftError, remote.PushRefusedError) as error:
        if not commit:
            raise
        ref = f"{_KEPT}/{git.short(commit)}"
        checkout.note(own, f"{place.common}/{ref}.lock")
        git.run(place.top, "update-ref", ref, commit)
        raise type(error)(
            f"{error}\nThe commit is kept as {git.short(commit)} ({ref}); no branch was moved, and your files are as "
            "they were."
        ) from error


@contextmanager
def _telling(done: Published, line: _Line) -> Iterator[None]:
    """If this fails, tell also what has happened already."""
    try:
        yield
    except PenstockError as error:
        if not done.pushed:
            raise
        raise type(error)(f"{error}\nThe commit is at {line.name(at_server=True)} already, and stays there.") from error


def _elsewhere(job: Job, said: Message, repository: str, branch: str, *, dry_run: bool) -> Published:
    """Publish to another repository: what is committed here, so that its commit can be named there."""
    place = job.place
    if not place.head:
        raise PublishError(f"the branch {place.branch} has no commit yet, but the other repository is to name one")
    _refuse_uncommitted(job)
    with ExitStack() as stack:
        own = stack.enter_context(checkout.alone(place, ()))
        shop = stack.enter_context(workshop.cloned(place, own, repository))
        ref = f"refs/heads/{branch}" if branch else git.line(shop.top, "symbolic-ref", "HEAD")
        target = ref.removeprefix("refs/heads/")
        history = _known(job, f"{target} of that repository")
        for round_ in range(_ROUNDS):
            seen = remote.tip(shop.top, "origin", ref)
            tip = seen or _commit(shop.top, "refs/remotes/origin/HEAD")
            draft = drafted(job, shop, tip, history)
            text = message.compose(job.environment, draft.moves, said, _reference(place))
            done = _drafted(target, draft, text)
            if dry_run or not draft.files:
                return done
            commit = shop.commit(text, ref, tip)
            if remote.push(shop.top, "origin", commit, ref, seen) == "landed":
                return done._replace(commit=commit, pushed=True)
            _pause(round_)
        raise PublishError(f"{target} moved {_ROUNDS} times while this ran; run the command again")


def _refuse_uncommitted(job: Job) -> None:
    inputs = [path for name in job.names for path in (*job.inputs(name), f"environments/base/experiments/{name}.yaml")]
    wanted = [*inputs, f"environments/{job.environment}/environment.yaml", "templates"]
    command = ("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", *wanted)
    listing = os.fsdecode(git.run(job.place.root, *command))
    if files := [row[3:] for row in listing.split("\0")[:-1]]:
        raise PublishError(
            f"{', '.join(files)}: not committed here, so the other repository could not name the commit that it comes "
            "from; publish or commit here first, " + _AGAIN
        )


def _known(job: Job, there: str) -> History:
    """Let what is here hold where the other repository has nothing, or what a file was here at some time."""
    top, prefix = job.place.top, job.place.prefix
    wanted = [f"{prefix}{path}" for name in job.names for path in job.inputs(name)]
    command = (*git.LOG, "--format=", "--raw", "-m", "-z", "--no-abbrev", "--no-renames", job.place.head, "--", *wanted)
    words = os.fsdecode(git.run(top, *command)).split("\0")[:-1]
    known: dict[str, set[str]] = {}
    for head, path in zip(words[::2], words[1::2], strict=True):
        known.setdefault(path, {""}).update(head.split(" ")[2:4])

    def earlier(path: str) -> frozenset[str]:
        return frozenset(known.get(f"{prefix}{path}", {""}))

    return History(earlier, follow=False, here=f"the work tree of {top}", there=there)


def _reference(place: Checkout) -> Reference:
    form = "%H%x00%an%x00%ae%x00%aI%x00%s%x00%b"
    shown = git.run(place.top, *git.LOG, "-1", f"--format={form}", place.head).decode(errors="replace")
    commit, author, email, date, subject, body = shown.rstrip("\n").split("\0")
    url = git.attempt(place.top, "config", "--get", "remote.origin.url").out.decode(errors="replace").strip()
    return Reference(commit, author, email, date, subject, body, url)


def _below(path: str) -> str:
    """Return a folder within a repository with a slash at its end, "" for the top."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts or ".git" in (part.lower() for part in parts):
        raise UnknownError(f"{path!r} is no folder of the other repository; give --path one, relative to its top")
    return "".join(f"{part}/" for part in parts)


def _commit(root: str, ref: str) -> str:
    """Return the commit of a ref, "" if there is none."""
    return git.attempt(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").out.decode().strip()


def _is_ancestor(root: str, one: str, other: str) -> bool:
    return not git.attempt(root, "merge-base", "--is-ancestor", one, other).status


def _pause(lost: int) -> None:
    """Wait a moment, longer after each round that was lost and never alike, so that two do not go on colliding."""
    time.sleep(random.uniform(0, _PAUSE * (lost + 1)))  # noqa: S311 (no secret)
