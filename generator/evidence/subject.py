"""One experiment of one environment: what its files declare, and its life on the branch that is deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator.domain import interpret
from generator.problems import PenstockError
from generator.repository import environment_file
from generator.versions import git, history

if TYPE_CHECKING:
    from generator.documents.document import Document
    from generator.domain.model import Environment, Experiment
    from generator.evidence.prometheus import Client
    from generator.repository import Inventory
    from generator.versions.lives import Life


class Subject(NamedTuple):
    """`document` is what the experiment was read from."""

    root: str
    environment: Environment
    experiment: Experiment
    document: Document


def read(inventory: Inventory, environment: str, name: str) -> Subject:
    """Read an experiment that the inventory has; ProblemsError if it or its environment is wrong."""
    place = interpret.environment(inventory.root, environment)
    found = interpret.experiment(
        inventory.root, place.environment, place.document, name, in_base=name in inventory.base
    )
    return Subject(inventory.root, place.environment, found.experiment, found.document)


def life(root: str, environment: Environment, name: str, branch: str, now: int) -> Life | None:
    """Return its life on the deployed branch, which `branch` names unless it is ""; None if it was never deployed."""
    key = (environment.name, name)
    ref = git.deployed(root, branch or (environment.gitops.branch if environment.gitops else ""))
    return history.lives(root, ref, [key], now).get(key)


def client(environment: Environment, root: str, otherwise: str) -> Client:
    """Return a client of the environment's Prometheus; `otherwise` says what to do without one."""
    file = environment_file(environment.name)
    if environment.prometheus is None:
        raise PenstockError(f"{file}: no Prometheus is declared; add spec.prometheus.url, or {otherwise}")
    from generator.evidence.prometheus import Client  # noqa: PLC0415 (start-up time: loads HTTP and TLS)

    return Client(environment.prometheus, root, file)
