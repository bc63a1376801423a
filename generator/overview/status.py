"""How every experiment stands: what its files declare, what is deployed, what was decided, and what is out of date."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

from generator.domain import interpret
from generator.problems import ProblemsError, errors
from generator.repository import BASE, ENVIRONMENTS, environment_file, experiment_file, folders
from generator.runs import run
from generator.versions import git, history, stages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.domain.interpret import Place
    from generator.domain.model import Experiment
    from generator.repository import Inventory
    from generator.versions.lives import Key, Life
    from generator.versions.stages import Standing

Chosen = dict[str, tuple[str, ...]]


class Row(NamedTuple):
    """One experiment of one environment. `experiment` is None if its files cannot be read as one.

    `ref` is what is deployed there. `valid`: nothing is wrong with it; `fresh`: it is valid, and its manifests are what
    would be rendered; `committed`: neither its files nor its manifests differ from what is checked out. `days_left`
    counts from today until it expires, less than 0 once it has.
    """

    environment: str
    name: str
    ref: str
    experiment: Experiment | None
    days_left: int | None
    life: Life | None
    standing: Standing
    valid: bool
    fresh: bool
    committed: bool


def survey(inventory: Inventory, chosen: Chosen, branch: str, now: int) -> list[Row]:
    """Look at the chosen experiments, in order of environment and name; `branch` is deployed, or "" for the usual one.

    GitError and what `history.lives` raises if Git does not say what is deployed.
    """
    root = inventory.root
    places = dict(_places(root, chosen))
    refs = {name: git.deployed(root, branch or _branch(places.get(name))) for name in chosen}
    lives: dict[Key, Life] = {}
    for ref in sorted(set(refs.values())):
        lives |= history.lives(root, ref, [key for key in _keys(chosen) if refs[key[0]] == ref], now)
    wrong, stale = _checked(inventory, chosen, _day(now))
    changed = _changed(root)
    return [
        _row(inventory, key, refs[key[0]], places.get(key[0]), lives.get(key), now)._replace(
            valid=key not in wrong, fresh=key not in stale, committed=_files(key).isdisjoint(changed)
        )
        for key in _keys(chosen)
    ]


def _keys(chosen: Chosen) -> Iterator[Key]:
    return ((environment, name) for environment, names in chosen.items() for name in names)


def _places(root: str, chosen: Chosen) -> Iterator[tuple[str, Place]]:
    """Yield the environments that can be read."""
    for name in chosen:
        try:
            yield name, interpret.environment(root, name)
        except ProblemsError:
            continue


def _branch(place: Place | None) -> str:
    return place.environment.gitops.branch if place and place.environment.gitops else ""


def _row(inventory: Inventory, key: Key, ref: str, place: Place | None, life: Life | None, now: int) -> Row:
    environment, name = key
    experiment = None
    if place:
        try:
            read = interpret.experiment(
                inventory.root, place.environment, place.document, name, in_base=name in inventory.base
            )
            experiment = read.experiment
        except ProblemsError:
            experiment = None
    standing = stages.standing(life, experiment.rollout if experiment else None, now)
    left = _days_left(experiment.expires, now) if experiment else None
    return Row(environment, name, ref, experiment, left, life, standing, valid=True, fresh=True, committed=True)


def _days_left(expires: str, now: int) -> int | None:
    try:
        return (date.fromisoformat(expires) - _day(now)).days
    except ValueError:
        return None


def _day(now: int) -> date:
    return datetime.fromtimestamp(now, UTC).date()


def _checked(inventory: Inventory, chosen: Chosen, today: date) -> tuple[set[Key], set[Key]]:
    """Return the experiments with which something is wrong, and those whose manifests are not fresh."""
    wrong: set[Key] = set()
    stale: set[Key] = set()
    result = run.run(inventory, chosen, run.Options(today.isoformat()))
    blamed = {problem.place.file for problem in errors(result.problems)}
    for outcome in result:
        key = outcome.job.environment, outcome.job.name
        if errors(outcome.problems):
            wrong.add(key)
        if any(change.action != "same" for change in outcome.changes):
            stale.add(key)
    wrong |= {key for key in _keys(chosen) if {experiment_file(*key), environment_file(key[0])} & blamed}
    return wrong, stale | wrong


def _changed(root: str) -> set[str]:
    """Return the files that differ from what is checked out, and the folders around them."""
    out = git.run(
        root, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", f"{ENVIRONMENTS}/"
    )
    below = git.line(root, "rev-parse", "--show-prefix")
    found: set[str] = set()
    for entry in out.split(b"\0")[:-1]:
        path = os.fsdecode(entry[3:]).removeprefix(below)
        while path:
            found.add(path)
            path = path.rpartition("/")[0]
    return found


def _files(key: Key) -> set[str]:
    """Return the files that an experiment is read from, and the folders of its manifests."""
    environment, name = key
    rendered = folders(environment, name)
    return {environment_file(environment), experiment_file(BASE, name), experiment_file(environment, name), *rendered}
