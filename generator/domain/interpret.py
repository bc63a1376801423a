"""Files become the domain: load, overlay, validate, model. What an experiment means, before anything is made of it."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from generator.documents import load, validate
from generator.documents.document import Document, Layer
from generator.domain import environments, experiments
from generator.domain.model import Environment, Experiment
from generator.problems import Problem, ProblemsError, errors
from generator.repository import BASE, environment_file, experiment_file


class Place(NamedTuple):
    """An environment and the document that it was read from; `problems` are warnings only."""

    environment: Environment
    document: Document
    problems: tuple[Problem, ...]


class Reading(NamedTuple):
    """An experiment and the document that it was read from; `problems` are warnings only, unless `read` says else."""

    experiment: Experiment
    document: Document
    problems: tuple[Problem, ...]


def environment(files: load.Files, name: str) -> Place:
    """Read an environment; ProblemsError if it is wrong."""
    document = Document((_layer(files, environment_file(name)),))
    refused = validate.problems(document, "environment")
    if refused:
        from generator.domain import partial  # noqa: PLC0415 (start-up time: only mistakes need it)

        raise ProblemsError((*refused, *partial.of_environment(document, refused, name)))
    read, problems = environments.read(document, name)
    refuse(problems)
    return Place(read, document, problems)


def experiment(files: load.Files, place: Environment, defaults: Document, name: str, *, in_base: bool) -> Reading:
    """Read an experiment: its file over the base's, and that over the defaults of its environment's document.

    ProblemsError if anything in it is wrong.
    """
    reading = read(files, place, defaults, name, in_base=in_base)
    refuse(reading.problems)
    return reading


def read(files: load.Files, place: Environment, defaults: Document, name: str, *, in_base: bool) -> Reading:
    """Read an experiment as `experiment` does, though it may be wrong: what is in doubt then raises UnsoundError.

    ProblemsError if no sense can be made of it at all.
    """
    document = Document((_defaults(*defaults.layers), *_layers(files, place.name, name, in_base=in_base)))
    refused = validate.problems(document, "experiment")
    if refused:
        return _partial(document, place, refused)
    found, problems = experiments.read(document, place)
    return _partial(document, place, ()) if problems else Reading(found, document, problems)


def unplaced(files: load.Files, environment: str, name: str, *, in_base: bool) -> tuple[Environment, Reading]:
    """Read an experiment whose environment is wrong: what that decides on raises UnsoundError, of either.

    ProblemsError if no sense can be made of it at all.
    """
    from generator.domain import partial  # noqa: PLC0415 (start-up time: only mistakes need it)

    own = tuple(_layers(files, environment, name, in_base=in_base))
    document = Document((_defaults(_layer(files, environment_file(environment))), *own))
    plain, doubted = partial.nowhere(environment)
    return doubted, _partial(document, plain, validate.problems(document, "experiment"), placed=False)


def _partial(document: Document, place: Environment, refused: tuple[Problem, ...], *, placed: bool = True) -> Reading:
    from generator.domain import partial  # noqa: PLC0415 (start-up time: only mistakes need it)

    document, doubts = partial.sound(document, refused) if refused else (document, frozenset())
    found, problems = experiments.read(document, place)
    found, problems = partial.of(found, document, doubts, problems, placed=placed)
    return Reading(found, document, refused + problems)


def spelled(files: load.Files, environment: str, name: str, *, in_base: bool, defaults: bool) -> dict[str, Any] | None:
    """Return the spec that the files of an experiment spell out, though it may be wrong; None if they cannot be read.

    `defaults` tells whether to lay it over those of its environment's file.
    """
    try:
        beneath = (_defaults(_layer(files, environment_file(environment))),) if defaults else ()
        data = Document((*beneath, *_layers(files, environment, name, in_base=in_base))).data
    except ProblemsError:
        return None
    spec = data.get("spec", {}) if isinstance(data, dict) else None
    return spec if isinstance(spec, dict) else None


def _defaults(own: Layer) -> Layer:
    """Return what an environment's file lays under every experiment."""
    return own._replace(origin=("spec", "defaults"), target=("spec",))


def _layers(files: load.Files, environment: str, name: str, *, in_base: bool) -> Iterator[Layer]:
    if in_base:
        yield _layer(files, experiment_file(BASE, name))
    yield _layer(files, experiment_file(environment, name))


def _layer(files: load.Files, file: str) -> Layer:
    raw = load.read(files, file)
    data, problems = load.parse(raw, file)
    refuse(problems)
    return Layer(file, raw, data)


def refuse(problems: Iterable[Problem]) -> None:
    """Raise a ProblemsError with all problems if one of them is an error."""
    found = tuple(problems)
    if errors(found):
        raise ProblemsError(found)
