"""Times commands from outside: wall clock, processor time, and the peak memory of the largest process."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_KIB = 1024


class Usage(NamedTuple):
    """What a run cost: seconds, seconds on processors, and bytes."""

    wall: float
    cpu: float
    peak: int


class FailedError(Exception):
    """A measured command failed, so its time means nothing."""


def timed(commands: Sequence[Sequence[str]], folder: Path, *, cache: Path, cores: int) -> Usage:
    """Run commands one after the other, each writing to a new `stdout-<number>` of `folder`."""
    environment = {**_environment(cache), "GOMAXPROCS": str(cores)}
    with _pinned(cores):
        runs = [_run(one, folder / f"stdout-{index}", environment) for index, one in enumerate(commands)]
    return Usage(sum(run.wall for run in runs), sum(run.cpu for run in runs), max(run.peak for run in runs))


def _environment(cache: Path) -> dict[str, str]:
    """Keep every tool's caches and settings to the run: what the user's home holds changes nothing."""
    places = {f"XDG_{kind}_HOME": str(cache / kind.lower()) for kind in ("CONFIG", "DATA", "STATE")}
    return {**os.environ, **places, "XDG_CACHE_HOME": str(cache)}


def _run(command: Sequence[str], stdout: Path, environment: Mapping[str, str]) -> Usage:
    """Run one command. `wait4` also counts what its own children used, and their peak if it is larger.

    Linux takes the memory of the process that starts another one for that one's peak, until it needs more. So
    this process parses nothing and stays small.
    """
    with stdout.open("wb") as out, stdout.with_name("stderr").open("wb") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        errors = stdout.with_name("stderr").read_text(encoding="utf-8", errors="replace")
        raise FailedError(f"{' '.join(command)} exited with {process.returncode}\n{errors[-2000:]}")
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * _KIB)


@contextmanager
def _pinned(cores: int) -> Iterator[None]:
    """Give this process, and so what it starts, at most so many cores while the block runs."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, sorted(allowed)[-cores:])
        yield
    finally:
        os.sched_setaffinity(0, allowed)
