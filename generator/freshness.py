"""What is known to be up to date from an earlier run, so that a run with nothing to do does nothing.

A record per experiment holds the stamps (size, times, inode) of what it was made from and of what it became. The file
lies in the user's cache folder: it is no state of the repository, a pull request cannot bring one, and losing it costs
only time.
"""

# Thousands of stats a run: plain calls, since pathlib would triple their price.

from __future__ import annotations

import os
import sys
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

from generator import resources
from generator.repository import AREAS, BASE, environment_file, experiment_file

if TYPE_CHECKING:
    from collections.abc import Iterable

Stamp = int
_ABSENT = -1


def folder() -> str:
    """Return the user's cache folder for Penstock, by the XDG Base Directory Specification; "" if there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    return os.path.join(base, "penstock") if os.path.isabs(base) else ""


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

    def inputs(self, environment: str, name: str, *, in_base: bool) -> Stamp:
        """Stamp what an experiment is made of; taken before it is read."""
        if environment not in self._sites:
            self._sites[environment] = hash(_stat(f"{self._root}/{environment_file(environment)}"))
        base = _stat(f"{self._root}/{experiment_file(BASE, name)}") if in_base else (_ABSENT,)
        own = _stat(f"{self._root}/{experiment_file(environment, name)}")
        return hash((self._sites[environment], *base, *own))

    def files(self, environment: str, name: str, inputs: Stamp) -> int:
        """Return how many rendered files of an experiment are known to be right, 0 if any may not be."""
        record = self._records.get(f"{environment}/{name}")
        if record is None:
            return 0
        made_of, became, until, _ = record.split(" ")
        if made_of != str(inputs) or until < self._today:
            return 0
        stamp, count = self._outputs(environment, name)
        return count if became == str(stamp) else 0

    def claims(self, environment: str, name: str) -> str:
        """Return the fingerprint of what an experiment claims, as noted."""
        return self._records[f"{environment}/{name}"].rpartition(" ")[2]

    def listing(self, environment: str, names: tuple[str, ...]) -> bool:
        """Tell whether the environment's own files are known to list just these experiments."""
        return self._records.get(f"{environment}/") == self._listed(environment, names)

    def note(self, environment: str, name: str, inputs: Stamp, until: str, claims: str) -> None:
        """Remember that an experiment's files on disk are right until that day."""
        became, _ = self._outputs(environment, name)
        self._records[f"{environment}/{name}"] = f"{inputs} {became} {until} {claims}"

    def note_listing(self, environment: str, names: tuple[str, ...]) -> None:
        """Remember the environment's own files."""
        self._records[f"{environment}/"] = self._listed(environment, names)

    def save(self) -> None:
        """Write the records; where that is impossible, the next run is slower and nothing else."""
        if not self._file:
            return
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._file), mode=0o700, exist_ok=True)
            draft = f"{self._file}.{os.getpid()}"
            with open(draft, "w", encoding="utf-8") as file:
                file.write(self._head)
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
        stamps: list[int] = []
        count = 0
        for area in AREAS:
            place = f"{self._root}/environments/{environment}/manifests/{area}/{name}"
            try:
                files = sorted(os.listdir(place))
            except OSError:
                return _ABSENT, 0
            count += len(files)
            for file in files:
                stamps += _stat(f"{place}/{file}")
        return hash(tuple(stamps)), count

    def _listed(self, environment: str, names: tuple[str, ...]) -> str:
        manifests = f"{self._root}/environments/{environment}/manifests"
        stamps = [
            _stat(f"{self._root}/{environment_file(environment)}"),
            _stat(f"{manifests}/kustomization.yaml"),
        ]
        stamps += [_stat(f"{manifests}/{area}/kustomization.yaml") for area in AREAS]
        return f"{zlib.crc32(chr(10).join(names).encode())} {hash(tuple(stamps))}"


def _stat(path: str) -> tuple[int, ...]:
    """Stamp one file, following no link: what a link leads to is refused elsewhere."""
    try:
        status = os.lstat(path)
    except OSError:
        return (_ABSENT,)
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _key(options: Iterable[str]) -> str:
    """Stamp all that decides a byte besides the repository: Penstock, its templates and schemas, Python."""
    folders = [
        os.path.dirname(os.path.abspath(__file__)),
        resources.directory("templates"),
        resources.directory("schemas"),
        *options,
    ]
    return f"{sys.hexversion:x} {zlib.crc32(repr([_tree(one) for one in folders if one]).encode()):08x}"


def _tree(place: str) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for path, folders, files in os.walk(place):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        found += [(path, name, *_stat(f"{path}/{name}")) for name in sorted(files)]
    return found
