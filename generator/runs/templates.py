"""The repository's own templates: where they stand, what must not be read, and what replaces nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from generator import resources
from generator.problems import WARNING, Place, Problem, ProblemsError, errors

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = "templates"
_ENDING = ".j2"


def own(root: str) -> tuple[str, list[Problem]]:
    """Return the folder of the repository's own templates, "" if there is none, and all that is wrong with its files.

    In Penstock's own checkout the folder is the shipped one. With an error, nothing in the folder may be read.
    """
    place = f"{root}/{_FOLDER}"
    if not os.path.isdir(place) or os.path.samefile(place, resources.directory(_FOLDER)):
        return "", []
    found = [*_leading_out(root)]
    return place, found or [*_replacing_nothing(place)]


def sound(root: str) -> str:
    """Return the folder of the repository's own templates, as `own` does; ProblemsError if it must not be read."""
    place, problems = own(root)
    if errors(problems):
        raise ProblemsError(tuple(problems))
    return place


def _leading_out(root: str) -> Iterator[Problem]:
    inside = os.path.realpath(root).rstrip("/") + "/"
    for path in (_FOLDER, *(f"{_FOLDER}/{name}" for name in _names(f"{root}/{_FOLDER}"))):
        if not f"{os.path.realpath(f'{root}/{path}')}/".startswith(inside):
            message = "this path leads out of the repository"
            yield Problem("PS103", Place(path), message, "put a real file or folder there")


def _replacing_nothing(place: str) -> Iterator[Problem]:
    shipped = [name for name in os.listdir(resources.directory(_FOLDER)) if name.endswith(_ENDING)]
    for name in _names(place):
        # Installed, Penstock may be used on its own checkout, where also what it does not render with is shipped.
        known = os.path.exists(f"{resources.directory(_FOLDER)}/{name}")
        if not known and (name.endswith(_ENDING) or name + _ENDING in shipped) and not _used(place, name):
            yield Problem(
                "PS417",
                Place(f"{_FOLDER}/{name}"),
                "this template replaces none that Penstock ships, and no other one names it, so nothing comes of it",
                _meant(name, shipped),
                severity=WARNING,
            )


def _used(place: str, name: str) -> bool:
    """Say whether another template names it, as one that includes or extends it does."""
    for other in _names(place):
        path = f"{place}/{other}"
        if other != name and other.endswith(_ENDING) and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                if name in file.read():
                    return True
    return False


def _meant(name: str, shipped: list[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 (start-up time: only mistakes need it)

    known = sorted(shipped)
    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else f"give it the name of one: {', '.join(known)}"


def _names(place: str) -> list[str]:
    """Return the paths of all files and links below a folder, in order; what a link leads to is not looked into."""
    found = []
    for here, folders, files in os.walk(place):
        links = [name for name in folders if os.path.islink(f"{here}/{name}")]
        found += [os.path.relpath(f"{here}/{name}", place).replace(os.sep, "/") for name in (*files, *links)]
    return sorted(found)
