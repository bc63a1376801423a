"""What is known to be up to date from an earlier run, so that a run with nothing to do does nothing.

A record per experiment holds the stamps (size, times, inode) of what it was made from and of what it became. The file
lies in the user's cache folder: it is no state of the repository, a pull request cannot bring one, and losing it costs
only time.
"""

# Thousands of stats a run: plain calls, since pathlib would triple their price.

from __future__ import annotations

import marshal
import os
import stat
import sys
import zlib
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, TypeVar

from generator import repository, resources
from generator.repository import AREAS, BASE, LISTING, delivered, environment_file, experiment_file

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""Where Penstock itself lies: all of it decides what is rendered, but for `BESIDE`."""
BESIDE = frozenset(["commands", "evidence", "overview", "publishing", "reports", "reviews", "steering", "versions"])
"""Packages that no byte of a manifest comes from, as the table of imports in `tests/test_layout.py` has it."""

Stamp = int
_Seen = TypeVar("_Seen")
_ABSENT = -1
_WORTH_FORKING = 256


def folder() -> str:
    """Return the user's cache folder for Penstock, by the XDG Base Directory Specification; "" if there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    return os.path.join(base, "penstock") if os.path.isabs(base) else ""


def compiled() -> str:
    """Return a private folder for compiled templates, or "" where none can be had."""
    place = f"{folder()}/templates" if folder() else ""
    try:
        if place:
            os.makedirs(place, mode=0o700, exist_ok=True)
    except OSError:
        return ""
    return place


class Freshness:
    """Records of one repository. Without a readable cache everything is stale, and nothing else changes."""

    def __init__(self, root: str, options: Iterable[str], today: str) -> None:
        """`options` are folders that the result depends on besides Penstock's own, such as templates and CRDs."""
        self._root = root
        self._today = today
        self._head = f"{_key(options)} {root!r}\n"
        self._file = os.path.join(folder(), f"{zlib.crc32(root.encode()):08x}") if folder() else ""
        self._records = self._load()
        self._sites: dict[str, Stamp] = {}
        self._areas: dict[str, int] = {}

    def look(self, experiments: list[tuple[str, str, bool]]) -> list[tuple[Stamp, int]]:
        """Stamp what each experiment is made of, before it is read, and count its files that are known to be right.

        `experiments` are environment, name, and whether the base has a part of it. The count is 0 if any file may
        not be right.
        """
        self._areas.clear()
        return _shared(self._look, experiments)

    def _look(self, environment: str, name: str, in_base: bool) -> tuple[Stamp, int]:
        if environment not in self._sites:
            self._sites[environment] = hash(_stat(f"{self._root}/{environment_file(environment)}"))
        base = _stat(f"{self._root}/{experiment_file(BASE, name)}") if in_base else (_ABSENT,)
        own = _stat(f"{self._root}/{experiment_file(environment, name)}")
        inputs = hash((self._sites[environment], *base, *own))
        record = self._records.get(f"{environment}/{name}")
        if record is None:
            return inputs, 0
        made_of, became, until, _ = record.split(" ")
        if made_of != str(inputs) or until < self._today:
            return inputs, 0
        stamp, count = self._outputs(environment, name)
        return inputs, count if became == str(stamp) else 0

    def claims(self, environment: str, name: str) -> str:
        """Return the fingerprint of what an experiment claims, as noted; "" if nothing is."""
        return self._records.get(f"{environment}/{name}", "").rpartition(" ")[2]

    def listing(self, environment: str, names: tuple[str, ...]) -> tuple[bool, int]:
        """Tell whether the environment's own files are known to list just these experiments, and how many there are."""
        record, count = self._listed(environment, names)
        return self._records.get(f"{environment}/") == record, count

    def notes(self, experiments: list[tuple[str, str, Stamp, str, str]]) -> list[tuple[str, str]]:
        """Make the records, for `save`, that the files on disk are right.

        `experiments` are environment, name, the stamp of what it is made of, the last day, and what it claims.
        """
        self._areas.clear()
        return _shared(self._note, experiments)

    def _note(self, environment: str, name: str, inputs: Stamp, until: str, claims: str) -> tuple[str, str]:
        became, _ = self._outputs(environment, name)
        return f"{environment}/{name}", f"{inputs} {became} {until} {claims}"

    def note_listing(self, environment: str, names: tuple[str, ...]) -> tuple[str, str]:
        """Make the record of the environment's own files, for `save`."""
        return f"{environment}/", self._listed(environment, names)[0]

    def save(self, notes: Iterable[tuple[str, str]]) -> None:
        """Write new records and what is left of the old ones, as they come, so that no run holds them all.

        Where that is impossible, the next run is slower and nothing else.
        """
        if not self._file:
            return
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._file), mode=0o700, exist_ok=True)
            draft = f"{self._file}.{os.getpid()}"
            with open(draft, "w", encoding="utf-8") as file:
                file.write(self._head)
                for key, record in notes:
                    self._records.pop(key, None)
                    file.write(f"{key}\t{record}\n")
                file.writelines(f"{key}\t{record}\n" for key, record in self._records.items())
            os.replace(draft, self._file)

    def _load(self) -> dict[str, str]:
        try:
            with open(self._file, encoding="utf-8") as file:
                if file.readline() == self._head:
                    return dict(line.rstrip("\n").split("\t") for line in file)
        except (OSError, ValueError):
            pass
        return {}

    def _outputs(self, environment: str, name: str) -> tuple[Stamp, int]:
        if environment not in self._areas:
            self._areas[environment] = len(AREAS) + delivered(self._root, environment)
        stamps: list[int] = []
        count = 0
        for number, one in enumerate(repository.folders(environment, name)[: self._areas[environment]]):
            place = f"{self._root}/{one}"
            try:
                files = sorted(os.listdir(place))
            except OSError:
                if number < len(AREAS):
                    return _ABSENT, 0
                continue  # of the tools that deliver, only Flux needs files of its own for an experiment
            count += len(files)
            for file in files:
                stamps += _stat(f"{place}/{file}")
        return hash(tuple(stamps)), count

    def _listed(self, environment: str, names: tuple[str, ...]) -> tuple[str, int]:
        files = [f"{repository.folder(environment)}/{LISTING}"]
        files += [f"{repository.folder(environment, area)}/{LISTING}" for area in AREAS]
        with suppress(OSError):
            place = repository.delivery(environment)
            files += sorted(f"{place}/{one}" for one in os.listdir(f"{self._root}/{place}") if one.endswith(".yaml"))
        stamps = [_stat(f"{self._root}/{one}") for one in (*files, environment_file(environment))]
        record = f"{zlib.crc32(chr(10).join(names).encode())} {hash(tuple(stamps))}"
        return record, sum(stamp != (_ABSENT,) for stamp in stamps[:-1])


def _shared(look: Callable[..., _Seen], experiments: list[tuple[Any, ...]]) -> list[_Seen]:
    """Look at each; if there are many, share them with a second process, for looking is nothing but system calls."""
    half = len(experiments) // 2 if len(experiments) >= _WORTH_FORKING and cores() > 1 else 0
    child, pipe = _delegate(look, experiments[:half]) if half else (0, None)
    seen = [look(*one) for one in experiments[half:]]
    if pipe is None:
        return seen
    with pipe:
        try:
            first: list[_Seen] = marshal.loads(pipe.read())  # noqa: S302 (our own pipe, from our own child)
        except EOFError:  # it died; whatever killed it does not matter here
            first = [look(*one) for one in experiments[:half]]
    os.waitpid(child, 0)
    return first + seen


def _delegate(look: Callable[..., _Seen], experiments: list[tuple[Any, ...]]) -> tuple[int, IO[bytes]]:
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, os.fdopen(reading, "rb")
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(marshal.dumps([look(*one) for one in experiments]))
    finally:
        os._exit(0)


def _stat(path: str) -> tuple[int, ...]:
    """Stamp one file; a link together with what it leads to, which may change by itself."""
    try:
        status = os.lstat(path)
        return _stamp(status) + (_stamp(os.stat(path)) if stat.S_ISLNK(status.st_mode) else ())
    except OSError:  # or a link that leads nowhere, which no reader takes either
        return (_ABSENT,)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def cores() -> int:
    """Return how many processes may run at once; 1 where there is no fork."""
    if not hasattr(os, "fork"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _key(options: Iterable[str]) -> str:
    """Stamp all that decides a byte besides the repository: Penstock, its templates and schemas, Python."""
    shipped = (resources.directory("templates"), resources.directory("schemas"))
    beside = [one for one in shipped if not one.startswith(PACKAGE)]  # in a checkout: a wheel has them in the package
    stamps = [_tree(PACKAGE, BESIDE), *(_tree(one) for one in (*beside, *options) if one)]
    return f"{sys.hexversion:x} {zlib.crc32(repr(stamps).encode()):08x}"


def _tree(place: str, without: Container[str] = ()) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    try:
        entries = sorted(os.scandir(place), key=lambda one: one.name)
    except OSError:  # what reads it says why
        return found
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            found.append((entry.path, *_stat(entry.path)))
        elif entry.name != "__pycache__" and entry.name not in without:
            found += _tree(entry.path)
    return found
