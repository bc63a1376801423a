"""The user's own checkout: what it stands on, keeping others out, and bringing it along to a new commit.

Killed at any moment, each file and each index entry is old or new, and the next run, which is then the only one, clears
what is left. Git's own lock of the index is taken with our mark in it, so that a stale one of ours is known as such.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from generator.problems import PenstockError
from generator.repository import ENVIRONMENTS
from generator.runs import tree
from generator.versions import git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MARK = b"held by penstock publish\n"
_OWN = "penstock"  # a folder of ours in the git folder: journal, drafts of indexes
_PATIENCE = 5.0  # seconds that another git may keep the index
_LOOK = 0.05
_STALE = 1.0  # seconds after which a lock of a ref, held for microseconds by a git that lives, is a dead one's
_UNDER_WAY = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


class CheckoutError(PenstockError):
    """The checkout is in a state that a person has to resolve first."""

    exit_code = 1


class Checkout(NamedTuple):
    """A work tree: `root` is Penstock's, `top` Git's; `prefix` leads from this to that and ends with a slash, or is "".

    `folder` is the git folder of this work tree, `common` that of the repository. `head` is "" before the first commit,
    `branch` where HEAD is detached.
    """

    root: str
    top: str
    prefix: str
    folder: str
    common: str
    head: str
    branch: str


class Entry(NamedTuple):
    """What a path is in a commit or an index: mode and name of the object; nothing is ABSENT."""

    mode: str
    object: str


ABSENT = Entry("000000", "")
_PLAIN = {ABSENT.mode, "100644", "100755"}


def find(root: str) -> Checkout:
    """Look at the work tree that holds `root`; GitError if there is none."""
    asked = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir", "--show-prefix")
    answer = os.fsdecode(git.run(root, "rev-parse", "--path-format=absolute", *asked)).split("\n")
    top, folder, common, prefix = answer[:4]
    head = git.attempt(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").out.decode().strip()
    branch = os.fsdecode(git.attempt(root, "symbolic-ref", "--quiet", "HEAD").out).strip()
    return Checkout(root, top, prefix, folder, common, head, branch.removeprefix("refs/heads/"))


def refuse_unfinished(place: Checkout) -> None:
    """Raise CheckoutError in the middle of a merge or the like: a commit now would be a part of it."""
    for sign, what in _UNDER_WAY.items():
        if os.path.lexists(f"{place.folder}/{sign}"):
            raise CheckoutError(
                f"a {what} is under way in {place.top}; finish it, or give it up with `git {what} --abort`, then run "
                "the command again"
            )


def refuse_locked(place: Checkout) -> None:
    """Raise CheckoutError if another git keeps the index, before anything has happened that a lock could cut short."""
    lock = f"{place.folder}/index.lock"
    deadline = time.monotonic() + _PATIENCE
    while os.path.lexists(lock):
        if time.monotonic() > deadline:
            raise _locked(lock)
        time.sleep(_LOOK)


def _locked(lock: str) -> CheckoutError:
    return CheckoutError(
        f"another git holds {lock}; let it finish or, if none runs, delete that file, then run the command again"
    )


def holding(place: Checkout, ref: str) -> str:
    """Return another work tree of the repository that has a branch checked out, "" if none has."""
    rows = os.fsdecode(git.run(place.top, "worktree", "list", "--porcelain")).split("\n")
    path = ""
    for row in rows:
        path = row.removeprefix("worktree ") if row.startswith("worktree ") else path
        if row == f"branch {ref}" and path != place.top:
            return path
    return ""


@contextmanager
def alone(place: Checkout, refs: tuple[str, ...]) -> Iterator[str]:
    """Keep other publications out of the whole repository, and yield a folder for what only this one needs.

    `refs` are those that git will move. Clears first what a killed run left. BusyError if another takes too long.
    """
    own = f"{place.common}/{_OWN}"
    with tree.lock(place.common):
        _recover(own)
        os.makedirs(own, exist_ok=True)
        places = [f"{place.folder}/index.lock", f"{place.folder}/HEAD.lock", f"{place.common}/shallow.lock"]
        places.append(f"{place.common}/reftable/tables.list.lock")
        note(own, *places, *(f"{place.common}/{ref}.lock" for ref in refs))
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)


def note(own: str, *places: str) -> None:
    """Note locks and folders that a kill from now on might leave."""
    with open(f"{own}/journal", "ab") as file:
        file.write(b"".join(os.fsencode(f"{place}\0") for place in places))


def _recover(own: str) -> None:
    """Remove what a killed run left. A live git holds the lock of a ref for so short that it is gone when we look."""
    try:
        with open(f"{own}/journal", "rb") as file:
            places = [os.fsdecode(one) for one in file.read().split(b"\0")[:-1]]
    except FileNotFoundError:
        return
    stamps = {place: _stamp(place) for place in places if place.endswith(".lock")}
    if any(stamp for place, stamp in stamps.items() if not _is_index(place)):
        time.sleep(_STALE)
    for place in places:
        if not place.endswith(".lock"):
            shutil.rmtree(place, ignore_errors=True)
        elif _is_ours(place) if _is_index(place) else stamps[place] and _stamp(place) == stamps[place]:
            os.unlink(place)
    shutil.rmtree(own, ignore_errors=True)


def _is_index(lock: str) -> bool:
    return lock.endswith("/index.lock")


def _stamp(file: str) -> tuple[int, ...]:
    with suppress(OSError):
        found = os.lstat(file)
        return found.st_ino, found.st_mtime_ns
    return ()


def _is_ours(lock: str) -> bool:
    with suppress(OSError), open(lock, "rb") as file:
        return file.read(len(_MARK) + 1) == _MARK
    return False


def entries(root: str, commit: str, *paths: str) -> dict[str, Entry]:
    """Return what a commit has at and below paths from the top of the repository; nothing for the commit ""."""
    if not commit:
        return {}
    listing = git.run(root, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
    found = {}
    for row in os.fsdecode(listing).split("\0")[:-1]:
        head, _, path = row.partition("\t")
        mode, _, name = head.split(" ")
        found[path] = Entry(mode, name)
    return found


def hashes(top: str, paths: list[str]) -> dict[str, str]:
    """Return the names that git would give to those of the paths that are regular files, as it would add them."""
    regular = [path for path in paths if not os.path.islink(f"{top}/{path}") and os.path.isfile(f"{top}/{path}")]
    plain = [path for path in regular if "\n" not in path and not path.startswith('"')]  # hash-object reads lines
    if not plain:
        return {}
    data = os.fsencode("".join(f"{path}\n" for path in plain))
    names = git.run(top, "-c", "core.safecrlf=false", "hash-object", "--stdin-paths", data=data).decode().split()
    return dict(zip(plain, names, strict=True))


def bring(place: Checkout, own: str, commit: str, rendered: Callable[[str], bool], kept: Callable[[str], bool]) -> bool:
    """Bring work tree and index from HEAD to a commit for what differs, and leave everything else alone.

    Of paths from the top, those `rendered` are written whatever is there, and those `kept` stay as they are on disk
    where they are neither of the two. Returns False, and does nothing, if something else is in the way. The branch is
    not moved.
    """
    changes = _changes(place, commit)
    paths = [*changes]
    index = _index(place)
    disk = hashes(place.top, paths)
    write: list[str] = []
    for path, (old, new) in changes.items():
        ours = rendered(path) or kept(path)
        if not ours and index.get(path, ABSENT) not in (old, new):
            return False
        found = disk.get(path, "other" if os.path.lexists(f"{place.top}/{path}") else ABSENT.object)
        if found == new.object or (kept(path) and found != old.object):
            continue
        if not rendered(path) and (found != old.object or not {old.mode, new.mode} <= _PLAIN):
            return False
        write.append(path)
    _write(place, own, commit, [path for path in write if changes[path][1] != ABSENT], rendered)
    _drop(place, own, [path for path in write if changes[path][1] == ABSENT])
    _enter(place, own, {path: new for path, (_, new) in changes.items()}, index)
    return True


def _changes(place: Checkout, commit: str) -> dict[str, tuple[Entry, Entry]]:
    """Return by path what HEAD has and what the commit has."""
    rows = git.run(place.top, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", place.head, commit)
    words = os.fsdecode(rows).split("\0")[:-1]
    found = {}
    for head, path in zip(words[::2], words[1::2], strict=True):
        old_mode, new_mode, old, new, _ = head.removeprefix(":").split(" ")
        found[path] = _entry(old_mode, old), _entry(new_mode, new)
    return found


def _entry(mode: str, name: str) -> Entry:
    return ABSENT if mode == ABSENT.mode else Entry(mode, name)


def _index(place: Checkout) -> dict[str, Entry]:
    """Return the index; what is in conflict, or left out of a sparse checkout, equals nothing."""
    listing = os.fsdecode(git.run(place.top, "ls-files", "--full-name", "-s", "-t", "-z", "--", ":/"))
    found = {}
    for row in listing.split("\0")[:-1]:
        head, _, path = row.partition("\t")
        tag, mode, name, stage = head.split(" ")
        found[path] = Entry(mode, name) if tag == "H" and stage == "0" else Entry("", tag)
    return found


def _write(place: Checkout, own: str, commit: str, paths: list[str], rendered: Callable[[str], bool]) -> None:
    """Put files of a commit into the work tree, each by one rename."""
    if not paths:
        return
    extra = {"GIT_INDEX_FILE": f"{own}/target"}
    git.run(place.top, "read-tree", commit, extra=extra)
    with _area(place, own) as area:
        # What is rendered has the line ends that its seal covers, whatever is configured for files that people edit.
        lines = ("-c", "core.autocrlf=false", "-c", "core.eol=lf")
        for settings, some in ((lines, filter(rendered, paths)), ((), (one for one in paths if not rendered(one)))):
            data = os.fsencode("".join(f"{path}\0" for path in some))
            if data:
                command = (*settings, "checkout-index", "-f", "-z", "--stdin", f"--prefix={area.mirror()}")
                git.run(place.top, *command, data=data, extra=extra)
        area.commit()


def _drop(place: Checkout, own: str, paths: list[str]) -> None:
    if not paths:
        return
    with _area(place, own) as area:
        for path in paths:
            area.delete(path)
        area.commit()


@contextmanager
def _area(place: Checkout, own: str) -> Iterator[tree.Staging]:
    with tree.lock(place.root) as sure:
        if sure:
            tree.recover(place.root, (ENVIRONMENTS,))
        with tree.Staging(place.top, tree.Staging.open(place.root, ENVIRONMENTS).area) as area:
            note(own, area.area)  # a run that finds nothing left to do opens none, and so clears none
            yield area


def _enter(place: Checkout, own: str, wanted: dict[str, Entry], index: dict[str, Entry]) -> None:
    """Set entries of the index, and no others, by one rename."""
    missing = {path: entry for path, entry in wanted.items() if index.get(path, ABSENT) != entry}
    if not missing:
        return
    draft = f"{own}/index"
    with _index_lock(place, own):
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{place.folder}/index", draft)
        extra = {"GIT_INDEX_FILE": draft}
        nothing = "0" * len(place.head)
        rows = "".join(
            f"0 {nothing}\t{path}\0" if entry == ABSENT else f"{entry.mode} {entry.object}\t{path}\0"
            for path, entry in missing.items()
        )
        git.run(place.top, "update-index", "-z", "--index-info", data=os.fsencode(rows), extra=extra)
        git.attempt(place.top, "update-index", "-q", "--refresh", extra=extra)  # its status tells of dirty files
        os.replace(draft, f"{place.folder}/index")


@contextmanager
def _index_lock(place: Checkout, own: str) -> Iterator[None]:
    """Hold git's own lock of the index, which appears with our mark in it or not at all."""
    lock, mark = f"{place.folder}/index.lock", f"{own}/mark"
    with open(mark, "wb") as file:
        file.write(_MARK)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            os.link(mark, lock)
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise _locked(lock) from None
            time.sleep(_LOOK)
    try:
        yield
    finally:
        os.unlink(lock)
