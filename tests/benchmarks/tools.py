"""Everything that is timed, by name: the commands, and what has to be ready before the clock starts."""

from __future__ import annotations

import itertools
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Commands = list[list[str]]

_SHORT = 7  # turns that short runs take in a round; their median counts
_NAIVE = Path(__file__).with_name("naive.py")
_COMPILED = Path("penstock", "templates")  # below a cache folder


@dataclass(frozen=True)
class Tool:
    """`commands` is given a new, empty folder to prepare, and returns what is to be timed.

    `cache` is the folder for caches, else one inside of that folder. `results` is a pattern of files in the
    folder that must hold what the repository `reference` holds.
    """

    name: str
    commands: Callable[[Path], Commands]
    cores: int = 2
    turns: int = 1
    cache: Path | None = None
    results: str = ""
    reference: Path | None = None


@dataclass(frozen=True)
class Workspace:
    """Where things are: repositories by number of experiments, rendered or not, and the inputs of peers."""

    root: Path
    experiments: int
    one_root: int

    def plain(self, experiments: int) -> Path:
        """Return a repository of so many experiments with nothing rendered."""
        return self.root / "plain" / str(experiments)

    def rendered(self, experiments: int) -> Path:
        """Return the same repository with everything rendered."""
        return self.root / "rendered" / str(experiments)

    @property
    def settled(self) -> Path:
        """A rendered repository that runs may change and render again."""
        return self.root / "settled"

    @property
    def cache(self) -> Path:
        """The cache folder that rendered repositories share."""
        return self.root / "cache"

    @property
    def chart(self) -> Path:
        """The Helm chart."""
        return self.root / "chart"

    @property
    def kustomize(self) -> Path:
        """The kustomize tree."""
        return self.root / "kustomize"


def find(name: str) -> str:
    """Return the path of a command, beside this Python or on PATH; "" if there is none."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or ""


def every(space: Workspace) -> dict[str, Tool]:
    """Return all tools that are installed."""
    found = (*_start_up(space), *_incremental(space), *_penstock(space), *_limits(space), *_peers(space))
    return {tool.name: tool for tool in found}


def _start_up(space: Workspace) -> Iterator[Tool]:
    yield Tool("python", lambda _: [[sys.executable, "-c", "pass"]], turns=_SHORT)
    yield Tool("help", lambda _: [[find("penstock"), "--help"]], turns=_SHORT)
    yield Tool("first", _render(space, 1, compiled=False), turns=_SHORT)
    yield Tool("cold", _render(space, 1), turns=_SHORT)


def _incremental(space: Workspace) -> Iterator[Tool]:
    """Run on a repository that an earlier run has rendered."""
    percentages = itertools.cycle(range(10, 40))
    command = [[find("penstock"), "render", "-C", str(space.settled)]]

    def change_one(_: Path) -> Commands:
        (space.settled / inputs.file(0)).write_text(inputs.text(0, next(percentages)), encoding="utf-8")
        return command

    yield Tool("unchanged", lambda _: command, turns=_SHORT, cache=space.cache)
    yield Tool("changed", change_one, turns=_SHORT, cache=space.cache)


def _penstock(space: Workspace) -> Iterator[Tool]:
    yield Tool("penstock", _render(space, space.experiments))
    yield Tool("penstock-1", _render(space, space.experiments, "--jobs", "1"), cores=1)
    yield Tool("penstock-root", _render(space, space.one_root, "--jobs", "1"), cores=1)
    yield Tool("penstock-10n", _render(space, 10 * space.experiments))


def _limits(space: Workspace) -> Iterator[Tool]:
    rendered = space.rendered(space.experiments)
    manifests = str(rendered / inputs.MANIFESTS)
    yield Tool("cp", lambda folder: [["cp", "-r", manifests, str(folder / "copy")]], turns=_SHORT)
    yield Tool(
        "naive",
        lambda folder: [[sys.executable, str(_NAIVE), str(rendered), str(folder / "naive")]],
        results="naive/**/*.yaml",
        reference=rendered,
    )


def _peers(space: Workspace) -> Iterator[Tool]:
    rendered = space.rendered(space.experiments)
    helm = [[find("helm"), "template", "experiments", str(space.chart)]]
    if find("helm"):
        yield Tool("helm", lambda _: helm, results="stdout-*", reference=rendered)
        yield Tool("helm-1", lambda _: helm, cores=1, results="stdout-*", reference=rendered)
    build = [find("kustomize"), "build"] if find("kustomize") else [find("kubectl"), "kustomize"]
    if build[0]:
        roots = space.kustomize / "roots"
        yield Tool(
            "kustomize",
            lambda _: [[*build, str(root)] for root in sorted(roots.iterdir())],
            results="stdout-*",
            reference=rendered,
        )
        yield Tool(
            "kustomize-root",
            lambda _: [[*build, str(space.kustomize / "one" / "root")]],
            results="stdout-*",
            reference=space.rendered(space.one_root),
        )


def _render(space: Workspace, experiments: int, *options: str, compiled: bool = True) -> Callable[[Path], Commands]:
    """Render a repository that no run has seen, with templates compiled by an earlier run or not."""

    def commands(folder: Path) -> Commands:
        shutil.copytree(space.plain(experiments), folder / "repository")
        if compiled:
            shutil.copytree(space.cache / _COMPILED, folder / "cache" / _COMPILED)
        return [[find("penstock"), "render", "-C", str(folder / "repository"), *options]]

    return commands
