"""What can be wrong, as values: a stable code, a place, a sentence and a way to mend it.

Nothing here prints or exits; `report` turns problems into text and `cli` into an exit code.
"""

from collections.abc import Iterable
from typing import NamedTuple

ERROR = "error"
WARNING = "warning"


class Place(NamedTuple):
    """Where something stands: a path relative to the repository, line and column from 1 (0: the whole file)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problem(NamedTuple):
    """One finding. `path` is the field as a user writes it (`spec.traffic.v2`) or an object's path in a manifest."""

    code: str
    place: Place
    message: str
    fix: str
    path: str = ""
    severity: str = ERROR


class PenstockError(Exception):
    """Anything that a user can cause. `exit_code` is 1 for "no" and 3 for "could not find out"."""

    exit_code = 3


class ProblemsError(PenstockError):
    """The input is wrong; carries every problem found, never only the first."""

    exit_code = 1

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} problem(s)")
        self.problems = problems


def errors(problems: tuple[Problem, ...] | list[Problem]) -> tuple[Problem, ...]:
    """Return those that stop the work."""
    return tuple(p for p in problems if p.severity == ERROR)


def status(problems: Iterable[Problem], *, fail_on_warn: bool = False) -> int:
    """Return the exit code that problems stand for: 0 or 1."""
    return int(any(fail_on_warn or problem.severity != WARNING for problem in problems))
