"""Time `diff` and `review` of a change of few experiments among many, beside a render that has nothing to do.

python tests/benchmarks/revisions.py [--experiments N] [--changed N] [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import inputs
import tools

_COMMANDS = {
    "render, nothing to do": ["render"],
    "diff of the working tree": ["diff", "--base=HEAD~1"],
    "diff of two commits": ["diff", "--base=HEAD~1", "--head=HEAD"],
    "review of the working tree": ["review", "--base=HEAD~1"],
    "review of two commits": ["review", "--base=HEAD~1", "--head=HEAD"],
    "render, nothing known of before": ["render", "--no-cache", "--check"],
}


def main() -> None:
    """Make the repository, let all commands take turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("experiments", 1000), ("changed", 10), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        root = Path(folder, "repository")
        inputs.write(root, arguments.experiments)
        _git(root, "init", "--quiet")
        _commit(root)
        for number in range(arguments.changed):
            (root / inputs.file(number)).write_text(inputs.text(number, 35), encoding="utf-8")
        _commit(root)
        _git(root, "gc", "--quiet")
        walls: dict[str, list[float]] = {name: [] for name in _COMMANDS}
        for _ in range(arguments.rounds):
            for name, command in _COMMANDS.items():
                walls[name].append(_timed(root, command))
    under = next(iter(walls.values()))
    sys.stdout.write("| command | median | of the render |\n|---|---|---|\n")
    for name, over in walls.items():
        ratio = median(one / other for one, other in zip(over, under, strict=True))
        sys.stdout.write(f"| {name} | {median(over) * 1000:.0f} ms | {ratio:.2f}x |\n")


def _git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com", "-c", "gc.auto=0")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True)


def _commit(root: Path) -> None:
    """Render and commit everything."""
    subprocess.run([tools.find("penstock"), "render"], cwd=root, check=True, stdout=subprocess.DEVNULL)
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message=A state")


def _timed(root: Path, command: list[str]) -> float:
    """Return seconds from start to exit; 1 is an answer."""
    start = time.perf_counter()
    done = subprocess.run([tools.find("penstock"), *command], cwd=root, capture_output=True, check=False)
    took = time.perf_counter() - start
    if done.returncode > 1:
        sys.exit(done.stderr.decode())
    return took


if __name__ == "__main__":
    main()
