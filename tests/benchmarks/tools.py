"""Everything that is timed, by name: the commands, and what has to be ready before the clock starts."""

from __future__ import annotations

import itertools
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import documents
import inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Commands = list[list[str]]

_SHORT = 7  # short runs take several turns in a round, which then counts their median
_NAIVE = Path(__file__).with_name("naive.py")
KUSTOMIZE_ROOT = 300  # one root of 1,000 takes minutes


@dataclass(frozen=True)
class Tool:
    """`commands` prepares a new, empty folder and returns what is to be timed there.

    `cache` is the folder for caches, else one inside of that folder. `results` is a pattern of the files that it makes
    and that must say what Penstock's say, where that is to be checked.
    """

    name: str
    commands: Callable[[Path], Commands]
    one_core: bool = False
    repeats: int = 1
    cache: Path | None = None
    results: str = ""
    reference: Path | None = None


@dataclass(frozen=True)
class Workspace:
    """Where things are: repositories by number of experiments, rendered or not, and the inputs of peers."""

    root: Path
    experiments: int

    def plain(self, experiments: int) -> Path:
        """Return the repository of so many experiments with nothing rendered."""
        return self.root / "plain" / str(experiments)

    def rendered(self, experiments: int) -> Path:
        """Return the same repository with everything rendered."""
        return self.root / "rendered" / str(experiments)

    @property
    def caches(self) -> Path:
        """The cache folder of the rendered repositories."""
        return self.root / "caches"

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


def kustomize_build() -> list[str]:
    """Return the command that builds a kustomize root: kustomize, or the one within kubectl."""
    if find("kustomize"):
        return [find("kustomize"), "build"]
    return [find("kubectl"), "kustomize"] if find("kubectl") else []


def every(space: Workspace, *, long: bool) -> dict[str, Tool]:
    """Return all tools that are installed."""
    found = [*_start_up(space), *_incremental(space), *_penstock(space), *_limits(space), *_peers(space, long=long)]
    return {tool.name: tool for tool in found}


def _start_up(space: Workspace) -> Iterator[Tool]:
    yield Tool("python", lambda _: [[sys.executable, "-c", "pass"]], repeats=_SHORT)
    yield Tool("help", lambda _: [[find("penstock"), "--help"]], repeats=_SHORT)
    yield Tool("first", _render(space, 1, compiled=False), repeats=_SHORT)
    yield Tool("cold", _render(space, 1), repeats=_SHORT)


def _incremental(space: Workspace) -> Iterator[Tool]:
    """Runs on a repository that an earlier run has rendered."""
    repository = space.rendered(space.experiments)
    changed = repository / "environments" / inputs.ENVIRONMENT / "experiments" / f"{inputs.name(0)}.yaml"
    percentages = itertools.cycle(range(10, 40))
    command = [[find("penstock"), "render", "-C", str(repository)]]

    def change_one(_: Path) -> Commands:
        changed.write_text(inputs.text(0, next(percentages)), encoding="utf-8")
        return command

    yield Tool("unchanged", lambda _: command, repeats=_SHORT, cache=space.caches)
    yield Tool("changed", change_one, repeats=_SHORT, cache=space.caches)


def _penstock(space: Workspace) -> Iterator[Tool]:
    n = space.experiments
    yield Tool("penstock", _render(space, n))
    yield Tool("penstock-1", _render(space, n, "--jobs", "1"), one_core=True)
    yield Tool("penstock-root", _render(space, min(n, KUSTOMIZE_ROOT), "--jobs", "1"), one_core=True)
    yield Tool("penstock-10n", _render(space, 10 * n))


def _limits(space: Workspace) -> Iterator[Tool]:
    rendered = space.rendered(space.experiments)
    manifests = str(rendered / documents.MANIFESTS)
    yield Tool("cp", lambda folder: [["cp", "-r", manifests, str(folder / "copy")]])
    yield Tool(
        "naive",
        lambda folder: [[sys.executable, str(_NAIVE), str(rendered), str(folder / "naive")]],
        results="naive/**/*.yaml",
        reference=rendered,
    )


def _peers(space: Workspace, *, long: bool) -> Iterator[Tool]:
    rendered = space.rendered(space.experiments)
    if find("helm"):
        helm = [[find("helm"), "template", "experiments", str(space.chart)]]
        yield Tool("helm", lambda _: helm, results="stdout-*", reference=rendered)
        yield Tool("helm-1", lambda _: helm, one_core=True, results="stdout-*", reference=rendered)
    build = kustomize_build()
    if build:
        roots = space.kustomize / "roots"
        yield Tool(
            "kustomize",
            lambda _: [[*build, str(root)] for root in sorted(roots.iterdir())],
            results="stdout-*",
            reference=rendered,
        )
        yield Tool("kustomize-root", lambda _: [[*build, str(space.kustomize / "one" / "root")]])


def _render(space: Workspace, experiments: int, *options: str, compiled: bool = True) -> Callable[[Path], Commands]:
    """Render a copy of a repository that no run has seen, with templates compiled by an earlier run or not."""

    def commands(folder: Path) -> Commands:
        shutil.copytree(space.plain(experiments), folder / "repository")
        if compiled:
            templates = Path("penstock", "templates")
            shutil.copytree(space.caches / templates, folder / "cache" / templates)
        return [[find("penstock"), "render", "-C", str(folder / "repository"), *options]]

    return commands
