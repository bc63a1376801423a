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

    @property
    def key(self) -> tuple[str, str]:
        """Environment and name."""
        return self.environment.name, self.experiment.name


def read(inventory: Inventory, environment: str, name: str) -> Subject:
    """Read an experiment that the inventory has; ProblemsError if it or its environment is wrong."""
    place = interpret.environment(inventory.root, environment)
    found = interpret.experiment(
        inventory.root, place.environment, place.document, name, in_base=name in inventory.base
    )
    return Subject(inventory.root, place.environment, found.experiment, found.document)


def life(subject: Subject, branch: str, now: int) -> Life | None:
    """Return its life on the deployed branch, which `branch` names unless it is ""; None if it was never deployed."""
    gitops = subject.environment.gitops
    ref = git.deployed(subject.root, branch or (gitops.branch if gitops else ""))
    return history.lives(subject.root, ref, [subject.key], now).get(subject.key)


def client(environment: Environment, root: str, otherwise: str) -> Client:
    """Return a client of the environment's Prometheus; `otherwise` says what to do without one."""
    file = environment_file(environment.name)
    if environment.prometheus is None:
        raise PenstockError(f"{file}: no Prometheus is declared; add spec.prometheus.url, or {otherwise}")
    from generator.evidence.prometheus import Client  # noqa: PLC0415 (start-up time: loads HTTP and TLS)

    return Client(environment.prometheus, root, file)
