"""The rendered files on disk: how they differ from the manifests, and writing the difference all or nothing.

All is first written beside the targets, where a full disk shows, and then renamed into place. A rename is
atomic: a run killed at any moment leaves each file old or new, and the next run finds and finishes the rest.

Nothing is synced to the platter: a kill does not need it, and after a power cut Git has what counts.
"""
# Plain calls, since pathlib doubles the price of a small file:

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, Self

from generator.problems import ERROR, PenstockError, Place, Problem
from generator.runs.seal import deleting, overwriting

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CREATE: Final = "create"
UPDATE: Final = "update"
SAME: Final = "same"
DELETE: Final = "delete"
_OUTDATED = {
    CREATE: "is not there, though it is declared",
    UPDATE: "is not what is declared",
    DELETE: "is declared no more",
}

_AREA = ".penstock-staging-"
_IGNORE = ".gitignore"
# A link in the place of a file is refused, a pipe does not block. Windows has neither, and needs O_BINARY.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)

_UNTOUCHED = "No file was changed."
_UNFINISHED = "Some files may be new already; the next run finishes the rest."
_AGAIN = "then run the command again."
_REASONS = {
    errno.EACCES: ("permission denied", f"Give this user read and write access to it, {_AGAIN}"),
    errno.EPERM: ("the system does not permit it", f"Check its owner and attributes, {_AGAIN}"),
    errno.EROFS: ("the file system is read-only", f"Mount it writable, {_AGAIN}"),
    errno.ENOSPC: ("the disk is full", f"Free some space, {_AGAIN}"),
    errno.EDQUOT: ("the disk quota is used up", f"Free some space or have the quota raised, {_AGAIN}"),
    errno.EFBIG: ("the file is larger than this process may write", f"Raise the limit (ulimit -f), {_AGAIN}"),
    errno.ENAMETOOLONG: ("the name is too long for this file system", f"Shorten it, {_AGAIN}"),
    errno.ENOTDIR: ("a file or link stands where a folder is needed", f"Move it away, {_AGAIN}"),
    errno.EISDIR: ("a folder stands where a file is needed", f"Move it away, {_AGAIN}"),
    errno.EXDEV: ("it is on another file system", f"Keep the repository on one file system, {_AGAIN}"),
    errno.EIO: ("the disk reports an input/output error", f"Check the disk, {_AGAIN}"),
}


class Change(NamedTuple):
    """What happens to one file: an action of this module and a POSIX path from the repository root."""

    action: str
    path: str


class WriteError(PenstockError):
    """The file system refused to read or write; says where, why and what helps."""

    def __init__(self, path: str, reason: str, fix: str) -> None:
        super().__init__(path, reason, fix)  # all three, so that a worker can send it to its parent
        self.path = path

    def __str__(self) -> str:
        return "{}: {}. {}".format(*self.args)


class BusyError(PenstockError):
    """Another run is writing."""


@contextmanager
def _explained(root: str, path: str = "", outcome: str = _UNTOUCHED) -> Iterator[None]:
    """Turn the system's refusal into a WriteError about *path* or, without one, the file that it names."""
    try:
        yield
    except OSError as error:
        named = os.fsdecode(error.filename2 or error.filename or root).removeprefix(f"{root}/")
        reason, fix = _REASONS.get(error.errno or 0, (error.strerror or str(error), f"Mend that, {_AGAIN}"))
        raise WriteError(path or named, reason, f"{fix} {outcome}") from error


def compare(
    root: str,
    owned: tuple[str, ...],
    manifests: Mapping[str, str],
    *,
    force: bool = False,
    beside: tuple[str, ...] = (),
) -> tuple[list[Change], list[Problem]]:
    """Return what is to happen to each file and what stands in the way, both by path; changes nothing.

    In the folders `owned`, every file that is no manifest is an orphan, but not the sub-folders `beside`, which
    somebody else compares; `manifests` are sealed texts by path.
    A path with a problem has no change. `force` gives up hand edits, and foreign files where a manifest is to
    be; it follows no link, replaces no folder and deletes nothing that Penstock did not write.
    """
    with _explained(root):
        findings = dict(_findings(root, owned, manifests, force, beside))
    ordered = [findings[path] for path in sorted(findings)]
    changes = [finding for finding in ordered if isinstance(finding, Change)]
    return changes, [finding for finding in ordered if isinstance(finding, Problem)]


def outdated(change: Change) -> Problem:
    """Say that a file is not what it should be by now: what `compare` found would change it."""
    return Problem("PS606", Place(change.path), _OUTDATED[change.action], "run `penstock render`")


def _findings(
    root: str, owned: tuple[str, ...], manifests: Mapping[str, str], force: bool, beside: tuple[str, ...]
) -> Iterator[tuple[str, Change | Problem]]:
    ways: dict[str, Problem | None] = {"": None}
    for folder in {*owned, *map(_parent, manifests)}:
        _way(root, folder, ways)
    yield from ((bar.place.file, bar) for bar in ways.values() if bar)
    present = _present(root, [folder for folder in owned if not ways[folder]])
    for path, text in manifests.items():
        if not ways[_parent(path)]:
            new = path not in present and _parent(path) in owned
            yield path, Change(CREATE, path) if new else _target(root, path, text.encode(), force)
    for path in present.keys() - manifests.keys() - ways.keys() - set(beside):
        yield path, _orphan(root, path, present[path], force)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _way(root: str, folder: str, ways: dict[str, Problem | None]) -> Problem | None:
    """Note what bars the way to *folder*, and to each folder above it."""
    if folder not in ways:
        ways[folder] = _way(root, _parent(folder), ways) or _bar(root, folder)
    return ways[folder]


def _bar(root: str, folder: str) -> Problem | None:
    if folder.rpartition("/")[2] in {"", ".", ".."}:
        return _astray(folder, "leads out of its folder")
    try:
        mode = os.lstat(f"{root}/{folder}").st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        return _astray(folder, "is a symbolic link")
    return None if stat.S_ISDIR(mode) else Problem("PS602", Place(folder), *_REASONS[errno.ENOTDIR])


def _astray(path: str, why: str) -> Problem:
    fix = "Put a real file or folder there: only that is sure to be inside the repository."
    return Problem("PS605", Place(path), f"{why}: nothing is written there", fix)


def _present(root: str, owned: Iterable[str]) -> dict[str, os.DirEntry[str]]:
    present: dict[str, os.DirEntry[str]] = {}
    for folder in owned:
        with suppress(FileNotFoundError), os.scandir(f"{root}/{folder}") as entries:
            present |= {f"{folder}/{entry.name}": entry for entry in entries if not _is_area(entry)}
    return present


def _is_area(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(_AREA) and entry.is_dir(follow_symlinks=False)


def _target(root: str, path: str, text: bytes, force: bool) -> Change | Problem:
    try:
        found = _read(f"{root}/{path}", text)
    except FileNotFoundError:
        return Change(CREATE, path)
    except IsADirectoryError:
        return Problem("PS602", Place(path), *_REASONS[errno.EISDIR])
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return _astray(path, "is a symbolic link")
    if found == text:
        return Change(SAME, path)
    return (None if force else overwriting(path, found)) or Change(UPDATE, path)


def _orphan(root: str, path: str, entry: os.DirEntry[str], force: bool) -> Change | Problem:
    found = _read(f"{root}/{path}") if entry.is_file(follow_symlinks=False) else b""
    problem = deleting(path, found)
    return problem if problem and not (force and problem.severity == ERROR) else Change(DELETE, path)


def _read(file: str, expected: bytes = b"") -> bytes:
    """Return the whole file, by one read where it is as expected."""
    descriptor = os.open(file, _READ)
    try:
        text = os.read(descriptor, len(expected) + 1)
        while text != expected and (more := os.read(descriptor, 1 << 20)):
            text += more
    except OSError as error:
        error.filename = file  # which a call on a descriptor does not know
        raise
    finally:
        os.close(descriptor)
    return text


class Staging:
    """Files and deletions that wait, on disk only, to become visible together.

    All its state is one dotted folder: forked workers together fill what their parent later commits, and
    memory does not grow with the files. It appears with the first file: a run that changes nothing writes
    nothing. Paths are those that `compare` let pass. As a context manager it drops what was not committed.
    """

    __slots__ = ("_mirror", "area", "root")

    def __init__(self, root: str, area: str) -> None:
        self.root = root
        self.area = area
        self._mirror = ""

    @classmethod
    def open(cls, root: str, folder: str) -> Self:
        """Choose a new area in *folder*, one above all targets: a rename has to stay on one file system."""
        return cls(root, f"{root}/{folder}/{_AREA}{os.urandom(8).hex()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    def stage(self, path: str, text: str) -> None:
        """Write the new text of *path* where nobody looks."""
        with _explained(self.root, path):
            self._enter(f"{self.area}/tree/{_parent(path)}")
            _put(f"{self.area}/tree/{path}", text.encode(), _NEW)

    def delete(self, path: str) -> None:
        """Note that *path* has to go."""
        with _explained(self.root, path):
            self._enter(f"{self.area}/tree/")
            _put(f"{self.area}/deletions", os.fsencode(f"{path}\0"), _APPEND)

    def mirror(self) -> str:
        """Return the folder, with a slash, that another program may fill with new texts by their paths."""
        with _explained(self.root):
            self._enter(f"{self.area}/tree/")
        return f"{self.area}/tree/"

    def commit(self) -> None:
        """Make it all visible: check it, rename all files, then delete; removes the area."""
        if not os.path.isdir(self.area):
            return
        try:
            for act, outcome in ((_check, _UNTOUCHED), (_publish, _UNFINISHED), (_prune, _UNFINISHED)):
                with _explained(self.root, outcome=outcome):
                    act(self)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Drop what waits. What resists is left to `recover`: usually an error is on its way already."""
        with suppress(OSError):
            _remove(self.area)

    def _enter(self, mirror: str) -> None:
        """Make the next file's folder; files come folder by folder, so remembering one is enough."""
        if mirror == self._mirror:
            return
        try:
            os.mkdir(mirror)
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(mirror, exist_ok=True)
            with suppress(FileExistsError):
                _put(f"{self.area}/{_IGNORE}", b"*\n", _NEW)  # `git add` passes by, even after a kill
        self._mirror = mirror


def _put(file: str, data: bytes, flags: int) -> None:
    descriptor = os.open(file, flags, 0o644)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _check(staging: Staging) -> None:
    """Find what can be found before the first visible change, and let updates keep their modes."""
    device = os.stat(staging.area).st_dev
    checked = None
    for staged, place in _arrivals(f"{staging.area}/tree", staging.root):
        with suppress(FileNotFoundError):
            os.chmod(staged, os.lstat(place).st_mode & 0o777)
        if _parent(place) != checked:
            checked = _parent(place)
            _check_access(checked, device)
    for folder in {_parent(path) for path in _deletions(staging)}:
        _check_access(f"{staging.root}/{folder}", device)


def _check_access(folder: str, device: int) -> None:
    if os.stat(folder).st_dev != device:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        number = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(number, os.strerror(number), folder)


def _publish(staging: Staging) -> None:
    for staged, place in _arrivals(f"{staging.area}/tree", staging.root):
        os.replace(staged, place)


def _arrivals(source: str, target: str) -> Iterator[tuple[str, str]]:
    """Yield what is to be renamed to what; a folder that does not exist yet arrives whole, by one rename."""
    for entry in _entries(source):
        place = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False) and _is_folder(place):
            yield from _arrivals(entry.path, place)
        else:
            yield entry.path, place


def _is_folder(path: str) -> bool:
    """Say whether a real folder is there. A link is none: to rename a folder onto it fails, as it should."""
    with suppress(FileNotFoundError):
        return stat.S_ISDIR(os.lstat(path).st_mode)
    return False


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """List *folder* in a fixed order: what hides an area from Git comes last, in case of a kill."""
    return sorted(os.scandir(folder), key=lambda entry: (entry.name == _IGNORE, entry.name))


def _prune(staging: Staging) -> None:
    """Delete, and remove folders that this empties. One that stays does no harm: Git does not see it."""
    for path in _deletions(staging):
        with suppress(FileNotFoundError):
            os.unlink(f"{staging.root}/{path}")
        with suppress(OSError):
            while path := _parent(path):
                os.rmdir(f"{staging.root}/{path}")


def _deletions(staging: Staging) -> list[str]:
    with suppress(FileNotFoundError):
        return os.fsdecode(_read(f"{staging.area}/deletions")).split("\0")[:-1]
    return []


def recover(root: str, folders: Iterable[str]) -> None:
    """Remove what killed runs left in *folders*. Only for a holder of the lock: else it may be in use."""
    for folder in folders:
        with _explained(root), suppress(FileNotFoundError):
            barred = _way(root, folder, {"": None})
            for area in filter(_is_area, () if barred else _entries(f"{root}/{folder}")):
                _remove(area.path)


def _remove(folder: str) -> None:
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            _remove(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(folder)


@contextmanager
def lock(root: str, *, wait: float = 60) -> Iterator[bool]:
    """Keep other writers out for the duration; BusyError after *wait* seconds of another's work.

    Yields whether that is sure: Windows has no such lock, nor have some network file systems for a folder.
    It is on the root folder itself: it leaves no file, and ends with the last process that inherited it.
    """
    if fcntl is None:
        yield False
        return
    with _explained(root, root):
        descriptor = os.open(root, os.O_RDONLY)
    try:
        yield _acquire(descriptor, time.monotonic() + wait)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BusyError("Another penstock is writing here. Let it finish, then run again.") from None
            time.sleep(0.02)
        except OSError:
            return False
        else:
            return True
