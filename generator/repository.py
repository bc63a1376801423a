"""The repository that Penstock stands in: where it begins, which environments and experiments it has."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from generator.problems import WARNING, PenstockError, Place, Problem

ENVIRONMENTS = "environments"
BASE = "base"
AREAS = ("models", "traffic", "monitoring")
"""What is rendered lies in one folder for each: what Argo CD or Flux applies together, and in order."""
LISTING = "kustomization.yaml"
DELIVERY = "gitops"


class NotARepositoryError(PenstockError):
    """There is no `environments` folder here or above."""

    exit_code = 2


class UnknownEnvironmentError(PenstockError):
    """An environment is named that is not there."""

    exit_code = 2


class Inventory(NamedTuple):
    """What a repository holds: experiment names by environment, names of base files, and stray files."""

    root: str
    environments: dict[str, tuple[str, ...]]
    base: frozenset[str]
    problems: tuple[Problem, ...]


def find(start: str) -> str:
    """Return the nearest folder from `start` upwards with an `environments` folder, within one Git repository."""
    here = os.path.realpath(start)
    while True:
        if os.path.isdir(os.path.join(here, ENVIRONMENTS)):
            return here
        parent = os.path.dirname(here)
        if parent == here or os.path.exists(os.path.join(here, ".git")):
            raise NotARepositoryError(
                f"there is no `{ENVIRONMENTS}` folder in {start} or above it; run `penstock init`, or name the "
                "repository with -C"
            )
        here = parent


def take(root: str) -> Inventory:
    """List environments and experiments, in order of name."""
    problems: list[Problem] = []
    environments: dict[str, tuple[str, ...]] = {}
    base: frozenset[str] = frozenset()
    for name in _folders(os.path.join(root, ENVIRONMENTS)):
        place = f"{ENVIRONMENTS}/{name}"
        experiments = _experiments(root, f"{place}/experiments", problems)
        if name == BASE:
            base = frozenset(experiments)
        elif os.path.lexists(os.path.join(root, environment_file(name))):
            environments[name] = experiments
        elif experiments:
            problems.append(
                Problem(
                    "PS408",
                    Place(place),
                    f"the folder `{name}` has experiments, but no environment.yaml",
                    f"add {environment_file(name)}, or move the experiments to {ENVIRONMENTS}/{BASE}",
                )
            )
    return Inventory(root, environments, base, (*problems, *_unused(environments, base)))


def unknown(noun: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no such environment or experiment, and which one may be meant."""
    import difflib  # noqa: PLC0415 (start-up time)

    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names) or 'none'}"
    return f"there is no {noun} {name!r}; {hint}"


def is_experiment(file: str) -> bool:
    """Tell by its name whether a file in a folder of experiments declares one."""
    return file.endswith(".yaml") and not file.startswith(".")


def environment_file(environment: str) -> str:
    """Path of an environment's own file."""
    return f"{ENVIRONMENTS}/{environment}/environment.yaml"


def experiment_file(environment: str, experiment: str) -> str:
    """Path of an experiment's file in an environment, or in the base."""
    return f"{ENVIRONMENTS}/{environment}/experiments/{experiment}.yaml"


def folder(environment: str, area: str = "", experiment: str = "") -> str:
    """Folder of an environment's manifests, of one area of them, or of one experiment's in it."""
    return "/".join(filter(None, (ENVIRONMENTS, environment, "manifests", area, experiment)))


def delivery(environment: str, experiment: str = "") -> str:
    """Folder of what makes Argo CD or Flux apply an environment, or of what one experiment adds to it.

    Beside the manifests and not among them, for it goes to the tool's own namespace, and often to another cluster.
    """
    return "/".join(filter(None, (ENVIRONMENTS, environment, DELIVERY, experiment)))


def evidence_folder(environment: str, experiment: str) -> str:
    """Folder of what decisions about an experiment rest on, and of their records."""
    return f"{ENVIRONMENTS}/{environment}/evidence/{experiment}"


def folders(environment: str, experiment: str) -> tuple[str, ...]:
    """Return every folder that holds rendered files of an experiment, and nothing else."""
    areas = (folder(environment, area, experiment) for area in AREAS)
    return (*areas, delivery(environment, experiment))


def delivered(root: str, environment: str) -> bool:
    """Say whether something was rendered for Argo CD or Flux; without it, a folder `gitops` is the user's own."""
    return os.path.lexists(f"{root}/{delivery(environment)}/{LISTING}")


def _folders(path: str) -> list[str]:
    return sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))


def _experiments(root: str, folder: str, problems: list[Problem]) -> tuple[str, ...]:
    names = []
    try:
        files = sorted(os.listdir(os.path.join(root, folder)))
    except OSError as error:
        if os.path.lexists(os.path.join(root, folder)):
            problems.append(_no_folder(folder, error))
        return ()
    for file in files:
        if is_experiment(file):
            names.append(file[:-5])
        elif not file.startswith("."):
            problems.append(_stray(root, f"{folder}/{file}", files))
    return tuple(names)


def _stray(root: str, path: str, beside: list[str]) -> Problem:
    message = "this is not an experiment file: experiments end in .yaml"
    stem, ending = os.path.splitext(path.rpartition("/")[2])
    fix = "move it elsewhere"
    if os.path.isdir(f"{root}/{path}"):
        message = "this is a folder: experiments are files, and no folder among them is looked into"
    elif ending.lower() in {".yml", ".yaml"} and f"{stem}.yaml" not in beside:
        fix = f"rename it to {stem}.yaml, or move it elsewhere"
    return Problem("PS409", Place(path), message, fix, severity=WARNING)


def _no_folder(path: str, error: OSError) -> Problem:
    return Problem(
        "PS415",
        Place(path),
        f"this is where experiments stand, but it cannot be read as a folder ({(error.strerror or 'unknown').lower()})",
        "make it a folder that this user may read, or remove it",
    )


def _unused(environments: dict[str, tuple[str, ...]], base: frozenset[str]) -> list[Problem]:
    used = {name for names in environments.values() for name in names}
    return [
        Problem(
            "PS410",
            Place(experiment_file(BASE, name)),
            f"no environment uses the base `{name}`, so it renders nothing",
            f"add {ENVIRONMENTS}/<environment>/experiments/{name}.yaml, or delete it",
            severity=WARNING,
        )
        for name in sorted(base - used)
    ]
