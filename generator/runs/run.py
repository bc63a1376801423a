"""A run over many experiments: what is known to be up to date, and what is left to do.

Only what is left to do costs the imports of `batch`; a run with nothing to do is over before.
"""

# Thousands of paths a run: plain calls, since pathlib would triple their price. Annotations as they are: `model`.

import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from generator.problems import Problem
from generator.repository import AREAS, Inventory, delivered, delivery, folder
from generator.runs import templates
from generator.runs.freshness import Freshness

if TYPE_CHECKING:
    from generator.runs.tree import Change


class Options(NamedTuple):
    """What a run may do. Without `write` it compares, without `compare` it checks the input. `workers` 0: all cores."""

    today: str
    compare: bool = True
    write: bool = False
    force: bool = False
    use_cache: bool = True
    workers: int = 0
    crds: str = ""


class Job(NamedTuple):
    """One experiment of one environment; without a name, the environment's own files. `inputs` stamps its sources."""

    environment: str
    name: str
    in_base: bool = False
    inputs: int = 0


class Outcome(NamedTuple):
    """What became of a job: it holds until that day; `claims` is the fingerprint of what the experiment claims."""

    job: Job
    changes: list["Change"]
    problems: list[Problem]
    claims: str = ""
    until: str = ""


class Work(NamedTuple):
    """A run parted into what is known to be right (`files` of it) and what is to do.

    `problems` are those of the repository's own templates, which stand in the folder `overrides`. `listings` are
    environments whose own files may be out of date, or that hold files of experiments declared no more.
    """

    inventory: Inventory
    chosen: dict[str, tuple[str, ...]]
    options: Options
    known: Freshness
    overrides: str
    problems: list[Problem]
    fresh: list[Job]
    stale: list[Job]
    listings: list[str]
    files: int


class Result:
    """All problems of a run, and its outcomes, which may be iterated over again; `fresh` counts files not looked at."""

    def __init__(self, outcomes: Iterable[Iterable[Outcome]], problems: list[Problem], fresh: int) -> None:
        self._outcomes = outcomes
        self.problems = problems
        self.fresh = fresh

    def __iter__(self) -> Iterator[Outcome]:
        for outcomes in self._outcomes:
            yield from outcomes


def run(inventory: Inventory, chosen: dict[str, tuple[str, ...]], options: Options) -> Result:
    """Build the chosen experiments and, if wanted, write them: all, or none if anything is wrong.

    `chosen` maps environments to experiments. Files of experiments that are declared no more are deleted only in
    environments that are chosen whole.
    """
    return finish(prepare(inventory, chosen, options))


def finish(work: Work) -> Result:
    """Do what is left to do."""
    # Without experiments, nothing but its listing reads an environment.
    unread = not work.options.compare and not all(work.chosen.values())
    if not (work.stale or work.listings or unread):
        return Result((), work.problems, work.files)
    from generator.runs import batch  # noqa: PLC0415 (start-up time)

    return batch.do(work)


def today() -> str:
    """Return today's date in UTC: the same in every time zone, as the verdict on a commit must be."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def summary(counts: dict[str, int]) -> str:
    """Say in a line how many files of each kind there were: create, update, delete, same."""
    return ", ".join(f"{number} {action}" for action, number in counts.items())


def prepare(inventory: Inventory, chosen: dict[str, tuple[str, ...]], options: Options) -> Work:
    """Part the chosen experiments into fresh and stale ones."""
    overrides, problems = templates.own(inventory.root)
    known = Freshness(inventory.root, (overrides, options.crds), options.today)
    fresh: list[Job] = []
    stale: list[Job] = []
    count = 0
    experiments = [(place, name, name in inventory.base) for place, names in chosen.items() for name in names]
    for experiment, (inputs, files) in zip(experiments, known.look(experiments), strict=True):
        (fresh if files and options.use_cache else stale).append(Job(*experiment, inputs))
        count += files if options.use_cache else 0
    listings: list[str] = []
    for name in chosen if options.compare else ():
        right, files = known.listing(name, inventory.environments[name])
        if not (options.use_cache and right) or orphans(inventory, name):
            listings.append(name)
        else:
            count += files
    return Work(inventory, chosen, options, known, overrides, problems, fresh, stale, listings, count)


def orphans(inventory: Inventory, environment: str) -> list[str]:
    """Folders of experiments that the environment does not declare."""
    declared = set(inventory.environments[environment])
    found = []
    places = [folder(environment, area) for area in AREAS]
    if delivered(inventory.root, environment):
        places.append(delivery(environment))
    for place in places:
        try:
            present = os.scandir(f"{inventory.root}/{place}")
        except OSError:
            continue
        found += [f"{place}/{e.name}" for e in present if e.name not in declared and e.is_dir(follow_symlinks=False)]
    return sorted(found)
