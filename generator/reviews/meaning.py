"""What a comparison of two states means: both sides of each experiment, read, and who was renamed to whom."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from generator.documents.load import Path
from generator.domain import interpret
from generator.domain.interpret import Place as Site
from generator.domain.interpret import Reading
from generator.domain.model import Environment, Experiment, Rollout
from generator.problems import ERROR, Place, Problem, ProblemsError
from generator.repository import experiment_file
from generator.reviews import differences
from generator.reviews.differences import Difference
from generator.versions import lives
from generator.versions.revisions import Comparison, State

Kind = Literal["added", "removed", "renamed", "changed", "same", "unreadable"]
Wrong = tuple[Literal["before", "after"], ...]


class Side(NamedTuple):
    """An experiment as one state has it."""

    place: Site
    reading: Reading

    @property
    def experiment(self) -> Experiment:
        """The experiment itself."""
        return self.reading.experiment

    @property
    def environment(self) -> Environment:
        """The environment that it runs in."""
        return self.place.environment


class Kept(NamedTuple):
    """What a state before that is wrong spells out just as the state after does: all, its traffic, its control."""

    spec: bool
    traffic: bool
    control: bool


class ExperimentChange(NamedTuple):
    """What became of an experiment; `former` is its name before, if it is another one.

    A side is None where the experiment is not declared, or wrong. kind `same`: nothing that it means differs, but files
    that it is made of or its manifests do; `unreadable`: one of the sides is wrong, and `wrong` says which. What
    changes with the environment alone has no differences.

    `ruled` is the environment whose policy holds: the one before, but where that is new or wrong the one after. `kept`
    is None where both sides could be read, and where one cannot be made out at all.
    """

    environment: str
    name: str
    kind: Kind
    former: str
    before: Side | None
    after: Side | None
    differences: tuple[Difference, ...]
    wrong: Wrong = ()
    ruled: Environment | None = None
    kept: Kept | None = None

    @property
    def origin(self) -> str:
        """The environment that it was in before, under which its own now stands if that was renamed."""
        return self.before.environment.name if self.before else self.environment

    @property
    def label(self) -> str:
        """How people call it."""
        return f"{self.environment}/{self.name}"

    def problem(self, code: str, path: Path, message: str, fix: str, severity: str = ERROR) -> Problem:
        """Make a problem about a field of the state after; about the whole file where that has none."""
        if self.after is None:
            return Problem(code, Place(experiment_file(self.environment, self.name)), message, fix, "", severity)
        return self.after.reading.document.problem(code, path, message, fix, severity=severity)

    @property
    def rollout(self) -> Rollout | None:
        """The rollout that a step is held against: the one before, for a change must not relax it for itself."""
        sides = [side.experiment.rollout for side in (self.before, self.after) if side]
        return next((one for one in sides if one), None)


class EnvironmentChange(NamedTuple):
    """What became of an environment's own file; `wrong` are the sides that cannot be read.

    `former` is its name before, if it is another one.
    """

    name: str
    kind: Kind
    differences: tuple[Difference, ...]
    wrong: Wrong = ()
    former: str = ""


class Meaning(NamedTuple):
    """All that changed, in order, and what is wrong in the state before and in the one after."""

    environments: tuple[EnvironmentChange, ...]
    experiments: tuple[ExperimentChange, ...]
    wrong_before: tuple[Problem, ...]
    wrong_after: tuple[Problem, ...]


def of(found: Comparison) -> Meaning:
    """Read what a comparison laid out."""
    before, after = _Reader(found.before), _Reader(found.after)
    experiments = _renamed([_experiment(before, after, *place) for place in found.affected])
    environments = [_environment(before, after, name) for name in found.environments]
    moved = _moved(environments, before, after)
    return Meaning(
        tuple(_rejoined(environments, moved, before, after)),
        tuple(_followed(experiments, moved)),
        tuple(before.problems),
        tuple(after.problems),
    )


class _Reader:
    """Reads one state; what is wrong with an environment is said once."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.problems: list[Problem] = []
        self._places: dict[str, Site | None] = {}

    def place(self, name: str) -> Site | None:
        """Return an environment; None if it is not there, or wrong."""
        if name not in self._places:
            self._places[name] = None
            if name in self.state.environments:
                try:
                    self._places[name] = interpret.environment(self.state.files, name)
                except ProblemsError as error:
                    self.problems += map(self._explained, error.problems)
        return self._places[name]

    def side(self, environment: str, name: str) -> Side | None:
        """Return an experiment; None if it is not declared, or wrong."""
        place = self.place(environment)
        if place is None or not self.state.declares(environment, name):
            return None
        in_base = name in self.state.base
        try:
            reading = interpret.experiment(self.state.files, place.environment, place.document, name, in_base=in_base)
        except ProblemsError as error:
            self.problems += map(self._explained, error.problems)
            return None
        return Side(place, reading)

    def spelled(self, environment: str, name: str, *, defaults: bool) -> dict[str, Any] | None:
        """Return what an experiment spells out; None if that cannot be made out."""
        in_base = name in self.state.base
        return interpret.spelled(self.state.files, environment, name, in_base=in_base, defaults=defaults)

    def _explained(self, problem: Problem) -> Problem:
        """Say why a file cannot be read that Git has, but that is none."""
        instead = self.state.instead(problem.place.file)
        message = f"this is {instead} in the commit, and no file; what it leads to is not read"
        return problem._replace(message=message, fix="commit the file itself in its place") if instead else problem


def _experiment(before: _Reader, after: _Reader, environment: str, name: str) -> ExperimentChange:
    declared = [reader.state.declares(environment, name) for reader in (before, after)]
    old, new = before.side(environment, name), after.side(environment, name)
    found: tuple[Difference, ...] = ()
    wrong = _wrong(declared, old, new)
    if wrong:
        kind: Kind = "unreadable"
    elif old and new:
        found = differences.of_experiment(old.reading, new.reading)
        kind = "changed" if differences.differ(old.reading, new.reading) else "same"
    else:
        kind = "added" if new else "removed"
    ruling = before.place(environment) or after.place(environment)
    kept = _kept(before, after, environment, name) if wrong and all(declared) else None
    return ExperimentChange(
        environment, name, kind, "", old, new, found, wrong, ruling.environment if ruling else None, kept
    )


def _kept(before: _Reader, after: _Reader, environment: str, name: str) -> Kept | None:
    """Compare what both sides spell out: with the environment's defaults, unless these are what cannot be read."""
    for defaults in (True, False):
        old, new = (reader.spelled(environment, name, defaults=defaults) for reader in (before, after))
        if old is not None and new is not None:
            same = {key for key in ("traffic", "shadow", "control") if old.get(key) == new.get(key)}
            return Kept(old == new, {"traffic", "shadow"} <= same, "control" in same)
    return None


def _wrong(declared: list[bool], before: object | None, after: object | None) -> Wrong:
    """Return the sides that are there, but could not be read."""
    sides: tuple[tuple[Literal["before", "after"], object | None], ...] = (("before", before), ("after", after))
    return tuple(side for there, (side, read) in zip(declared, sides, strict=True) if there and read is None)


def _renamed(changes: list[ExperimentChange]) -> list[ExperimentChange]:
    """Join what went and what came in one environment where only the name tells them apart, and no other fits."""
    gone = [one for one in changes if one.kind == "removed"]
    come = [one for one in changes if one.kind == "added"]
    joined = {(one.environment, one.name): one for one in changes}
    for new in come:
        old = [one for one in gone if _alike(one, new)]
        if len(old) == 1 == sum(_alike(one, new) for one in come) and old[0].before and new.after:
            found = differences.of_experiment(old[0].before.reading, new.after.reading)
            del joined[new.environment, old[0].name]
            joined[new.environment, new.name] = new._replace(
                kind="renamed", former=old[0].name, before=old[0].before, differences=found
            )
    return [*joined.values()]


def _alike(one: ExperimentChange, other: ExperimentChange) -> bool:
    return one.environment == other.environment and _identity(one) == _identity(other)


def _identity(change: ExperimentChange) -> str:
    """Return what stays when an experiment is renamed, by the rule by which its life goes on."""
    side = change.before or change.after
    assert side is not None  # noqa: S101 (it was added or removed)
    return lives.identity(side.reading.document.data)


def _environment(before: _Reader, after: _Reader, name: str) -> EnvironmentChange:
    declared = [name in reader.state.environments for reader in (before, after)]
    old, new = before.place(name), after.place(name)
    wrong = _wrong(declared, old, new)
    if wrong:
        return EnvironmentChange(name, "unreadable", (), wrong)
    if old and new:
        found = differences.of_environment(old, new)
        return EnvironmentChange(name, "changed" if found else "same", found)
    return EnvironmentChange(name, "added" if new else "removed", ())


def _moved(changes: list[EnvironmentChange], before: _Reader, after: _Reader) -> dict[str, str]:
    """Return the former names of environments that are renamed: the same place in the cluster, and the same domain."""
    gone = {one.name: _ground(before.place(one.name)) for one in changes if one.kind == "removed"}
    come = {one.name: _ground(after.place(one.name)) for one in changes if one.kind == "added"}
    alone = [
        ground for ground in come.values() if [*gone.values()].count(ground) == [*come.values()].count(ground) == 1
    ]
    return {new: old for new, on in come.items() for old, was in gone.items() if on == was and on in alone}


def _ground(site: Site | None) -> tuple[str, str, str]:
    assert site is not None  # noqa: S101 (it was added or removed)
    one = site.environment
    return site.document.spec.get("cluster", ""), one.namespace, one.routing.domain


def _rejoined(
    changes: list[EnvironmentChange], moved: dict[str, str], before: _Reader, after: _Reader
) -> Iterator[EnvironmentChange]:
    for one in changes:
        old, new = before.place(moved.get(one.name, "")), after.place(one.name)
        if one.name in moved and old and new:
            found = differences.of_environment(old, new)
            yield one._replace(kind="renamed", former=moved[one.name], differences=found)
        elif one.name not in moved.values():
            yield one


def _followed(changes: list[ExperimentChange], moved: dict[str, str]) -> Iterator[ExperimentChange]:
    """Join experiments that have gone with their environment to its new name."""
    gone = {(one.environment, one.name): one for one in changes if one.kind == "removed"}
    came = {(moved[one.environment], one.name) for one in changes if one.kind == "added" and one.environment in moved}
    for one in changes:
        old = gone.get((moved.get(one.environment, ""), one.name)) if one.kind == "added" else None
        if old and old.before and one.after:
            found = differences.of_experiment(old.before.reading, one.after.reading)
            kind: Kind = "changed" if differences.differ(old.before.reading, one.after.reading) else "same"
            yield one._replace(kind=kind, before=old.before, differences=found, ruled=old.ruled)
        elif not (one.kind == "removed" and (one.environment, one.name) in came):
            yield one
