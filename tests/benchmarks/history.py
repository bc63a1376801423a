"""Measure `penstock status` over a long history. README.md says what of."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

_START = 1_700_000_000
_MINUTE = 60


def main() -> None:
    """Make a repository of that size, and time the command in it: first without a cache of renders, then with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000, metavar="N", help="1000 if left out")
    parser.add_argument("--commits", type=int, default=10_000, metavar="N", help="10000 if left out")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="5 if left out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        root = Path(folder) / "repository"
        make(root, arguments.experiments, arguments.commits)
        cold, *warm = (_timed(root) for _ in range(arguments.rounds + 1))
    line = f"{arguments.experiments} experiments, {arguments.commits} commits"
    sys.stdout.write(f"{line}: first {cold:.2f} s, then {', '.join(f'{one:.2f}' for one in warm)} s\n")


def make(root: Path, experiments: int, commits: int) -> None:
    """Make a rendered repository: every commit changes one experiment, each tenth is a merge, the last ones end it."""
    inputs.write(root, experiments)
    _run(root, sys.executable, "-P", "-m", "generator", "render")
    _run(root, "git", "init", "--quiet", "--initial-branch=main")
    stream = b"".join(_stream(root, experiments, commits))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=root, input=stream, check=True)
    _run(root, "git", "reset", "--quiet", "--mixed", "main")
    found = _run(root, "git", "rev-list", "--count", "main"), _run(root, "git", "status", "--porcelain")
    assert found == (str(commits), ""), found


def _stream(root: Path, experiments: int, commits: int) -> Iterator[bytes]:
    """Yield what git-fast-import(1) reads."""
    everything = sorted(path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)
    yield _commit(1, "Begin")
    for path in everything:
        yield _file(path.relative_to(root).as_posix(), path.read_bytes())
    previous, first = 1, max(2, commits - experiments + 1)
    for number in range(2, commits + 1):
        index = number % experiments
        if number % 10 == 0 and number < first:
            yield _commit(number, f"Merge branch 'change-{number - 1}'", previous - 1, previous)
        else:
            yield _commit(number, f"Change {inputs.name(index)}", previous)
        share = 0 if number >= first else 5 + number * 7 % 90
        yield _file(inputs.file(index).as_posix(), inputs.text(index, share).encode())
        route = f"{inputs.MANIFESTS}/traffic/{inputs.name(index)}/httproute-{inputs.name(index)}-experiment.yaml"
        final = (root / route).read_bytes()
        yield _file(route, final if number >= first else final + f"# {share}\n".encode())
        previous = number


def _commit(number: int, message: str, *parents: int) -> bytes:
    when = f"Benchmark <benchmark@example.com> {_START + number * _MINUTE} +0000"
    lines = [f"commit refs/heads/main\nmark :{number}\ncommitter {when}\ndata {len(message)}\n{message}\n"]
    lines += [f"{'merge' if place else 'from'} :{parent}\n" for place, parent in enumerate(parents)]
    return "".join(lines).encode()


def _file(path: str, content: bytes) -> bytes:
    return f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n"


def _timed(root: Path) -> float:
    start = time.perf_counter()
    _run(root, sys.executable, "-P", "-m", "generator", "status")
    return time.perf_counter() - start


def _run(root: Path, *command: str) -> str:
    return subprocess.run(command, cwd=root, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout.strip()


if __name__ == "__main__":
    main()
