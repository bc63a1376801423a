"""Files become the domain: load, overlay, validate, model. What an experiment means, before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator.documents import load, validate
from generator.documents.document import Document, Layer
from generator.domain import environments, experiments
from generator.problems import Problem, ProblemsError, errors
from generator.repository import BASE, environment_file, experiment_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.domain.model import Environment, Experiment


class Place(NamedTuple):
    """An environment and the document that it was read from; `problems` are warnings only."""

    environment: Environment
    document: Document
    problems: tuple[Problem, ...]


class Reading(NamedTuple):
    """An experiment and the document that it was read from; `problems` are warnings only."""

    experiment: Experiment
    document: Document
    problems: tuple[Problem, ...]


def environment(root: str, name: str) -> Place:
    """Read an environment; ProblemsError if it is wrong."""
    document = Document((_layer(root, environment_file(name)),))
    refuse(validate.problems(document, "environment"))
    read, problems = environments.read(document, name)
    refuse(problems)
    return Place(read, document, problems)


def experiment(root: str, place: Environment, defaults: Document, name: str, *, in_base: bool) -> Reading:
    """Read an experiment: its file over the base's, and that over the defaults of its environment's document.

    ProblemsError if anything in it is wrong.
    """
    (own,) = defaults.layers
    layers = [own._replace(origin=("spec", "defaults"), target=("spec",))]
    if in_base:
        layers.append(_layer(root, experiment_file(BASE, name)))
    layers.append(_layer(root, experiment_file(place.name, name)))
    document = Document(tuple(layers))
    refuse(validate.problems(document, "experiment"))
    read, problems = experiments.read(document, place)
    refuse(problems)
    assert read is not None  # noqa: S101 (no problems, hence an experiment)
    return Reading(read, document, problems)


def _layer(root: str, file: str) -> Layer:
    raw = load.read(root, file)
    data, problems = load.parse(raw, file)
    refuse(problems)
    return Layer(file, raw, data)


def refuse(problems: Iterable[Problem]) -> None:
    """Raise a ProblemsError with all problems if one of them is an error."""
    found = tuple(problems)
    if errors(found):
        raise ProblemsError(found)
