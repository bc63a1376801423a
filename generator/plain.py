"""Plain command lines, done without the library that reads arguments.

To load click takes as long as a render that finds nothing to do, and a tenth of a review. So a line of these two that
has nothing but whole options with a value, each once, is read here. Any other is click's, which alone knows help and
says what is wrong with a line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RENDER = {"-C": "directory"}
_REVIEW = {"-C": "directory", "--base": "base", "--head": "head", "-o": "output", "--output": "output"}


def run(words: Sequence[str]) -> int | None:
    """Do what the words after `penstock` ask for, and return the exit code; None if that is left to click."""
    match words:
        case ["render", *rest]:
            options = _options(rest, _RENDER)
            return None if options is None else _render(**options)
        case ["review", *rest]:
            options = _options(rest, _REVIEW)
            return None if options is None else _review(**options)
    return None


def _options(words: Sequence[str], names: Mapping[str, str]) -> dict[str, str] | None:
    """Read `--name value`, `--name=value` and `-n value`; None if there is anything else."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, joined, value = word.partition("=")
        if name not in names or names[name] in found or (joined and not name.startswith("--")):
            return None
        if not joined:
            try:
                value = next(rest)
            except StopIteration:
                return None
        found[names[name]] = value
    return found


def _render(directory: str = ".") -> int | None:
    """Render all that there is; where that is nothing, click's command says what to do."""
    from generator import repository  # noqa: PLC0415 (each of these loads only what it needs)
    from generator.runs import run  # noqa: PLC0415

    inventory = repository.take(repository.find(directory))
    if not inventory.environments:
        return None
    work = run.prepare(inventory, inventory.environments, run.Options(run.today(), write=True))
    if not (work.stale or work.listings or work.problems or inventory.problems):
        sys.stdout.write(f"{run.summary({'create': 0, 'update': 0, 'delete': 0, 'same': work.files})}\n")
        return 0
    from generator import problems  # noqa: PLC0415
    from generator.runs import changes  # noqa: PLC0415

    result = run.finish(work)
    found = [*inventory.problems, *result.problems]
    changes.show(result, found, "text", dry=False)
    return problems.status(found)


def _review(directory: str = ".", base: str = "", head: str = "", output: str = "text") -> int | None:
    from generator import repository  # noqa: PLC0415
    from generator.reviews import reviewing  # noqa: PLC0415

    if output not in reviewing.FORMS:
        return None
    return reviewing.show(repository.find(directory), base, head, (), output)
