"""The lives of experiments, replayed from the deployments of a branch.

Each commit of the branch is one deployment. An experiment is what its files say once they are laid over each other, so
a change of the base or of an environment's defaults counts as one of every experiment that it concerns.

- An experiment is its name. One that goes in the commit in which exactly one other with the same control and the same
  models comes has been renamed: its life goes on.
- One that is deleted and comes back begins a new life, and a new attempt, also if a revert brought it back.
- A file that cannot be read, or whose traffic makes no sense, changes nothing: `render` refuses it, so what was
  deployed last stays deployed.
- Time is the committer's date, made monotone by `dated`.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from generator.documents.load import Data
from generator.documents.overlay import merge
from generator.names import RECORDED
from generator.repository import BASE

Key = tuple[str, str]
"""An environment and the name of an experiment."""
Part = dict[str, Any]
"""What decides on traffic and models in a file."""

# What of a model decides on its answers: where one of these changes, what was observed before is of another model.
MODEL = ("args", "env", "format", "formatVersion", "protocol", "runtime", "runtimeVersion", "storage", "storageUri")


class Period(NamedTuple):
    """A time without a change of what users get: of traffic, of the share that is copied, or of a variant's model.

    `traffic` is percent by variant, control first; `shadow` is percent of requests copied. `start` and `end` are in
    seconds since 1970; `end` is None while it lasts. `commit` is what began it on the deployed branch; `author` and
    `subject` are its, and as untrusted.
    """

    traffic: tuple[tuple[str, int], ...]
    shadow: int
    start: int
    end: int | None
    commit: str
    author: str
    subject: str


class Decision(NamedTuple):
    """What a commit of Penstock says of itself: `kind` is what it did, `reason` is that of an override.

    `time` is the committer's date. What the commit does not say is an empty text.
    """

    commit: str
    time: int
    kind: str
    verdict: str
    reason: str


def turns(decisions: Iterable[Decision]) -> Iterator[Decision]:
    """Leave out commits that only record evidence, but for those that changed the verdict."""
    known = ""
    for one in decisions:
        if one.kind != RECORDED or one.verdict not in {"", known}:
            yield one
        known = one.verdict or known


class Former(NamedTuple):
    """An earlier name of an experiment, and its `attempts` while it had that name."""

    name: str
    attempts: int


class Life(NamedTuple):
    """An experiment from its first deployment on, periods oldest first; it is over if the last one has an end.

    `attempts` counts the lives under its names up to this one. `former` are its earlier names, oldest first.
    """

    environment: str
    name: str
    periods: tuple[Period, ...]
    attempts: int
    former: tuple[Former, ...]
    decisions: tuple[Decision, ...]


class Change(NamedTuple):
    """A file: whether it is new, and its blob; None if it is gone, "" if it is no regular file."""

    key: Key
    new: bool
    blob: str | None


class Commit(NamedTuple):
    """A deployment. The key of an environment's own file has no name."""

    id: str
    time: int
    author: str
    subject: str
    changes: list[Change]


def dated(dates: Sequence[int], now: int) -> list[int]:
    """Return when each of a line of commits, oldest first, is taken to be made: never earlier than one before it.

    A clock that goes backwards can so only shorten how long something seems to have lasted. A date after `now` is of a
    wrong clock: the commit is taken to be as old as the next one with a possible date, or made now if there is none;
    else one wrong clock would keep everything after it from ever lasting.
    """
    known = now
    found = []
    for date in reversed(dates):
        known = date if date <= now else known
        found.append(known)
    latest = 0
    for number in range(len(found) - 1, -1, -1):
        latest = found[number] = max(latest, found[number])
    return found[::-1]


def followed(commits: Sequence[Commit], wanted: Iterable[Key]) -> set[Key]:
    """Return the wanted experiments, and all that a commit may have renamed to or from one of them."""
    found = set(wanted)
    for commit in reversed(commits):
        come = {one.key for one in commit.changes if one.new}
        gone = {one.key for one in commit.changes if one.blob is None}
        for environment in {environment for environment, _ in come} & {environment for environment, _ in gone}:
            moved = {key for key in come | gone if key[0] == environment}
            if moved & found:
                found |= moved
    return found


def part(data: Data, *, defaults: bool) -> Part | None:
    """Return what decides on traffic and models in an experiment, or in an environment's defaults; None if nothing."""
    spec = data.get("spec") if isinstance(data, dict) else None
    if defaults and isinstance(spec, dict):
        spec = spec.get("defaults", {})
    if not isinstance(spec, dict):
        return None
    found = {key: spec[key] for key in ("control", "traffic", "shadow") if key in spec}
    if "model" in spec:
        found["model"] = _model(spec["model"])
    if "variants" in spec:
        variants = spec["variants"]
        found["variants"] = (
            {name: _model(one) for name, one in variants.items()} if isinstance(variants, dict) else variants
        )
    return found


def _model(settings: Any) -> Any:
    return {key: settings[key] for key in MODEL if key in settings} if isinstance(settings, dict) else settings


class _State(NamedTuple):
    """What users get."""

    traffic: tuple[tuple[str, int], ...]
    shadow: tuple[str, int]
    models: dict[str, Any]

    @property
    def identity(self) -> str:
        """What stays when an experiment is renamed."""
        return json.dumps([self.traffic[0][0], self.models], sort_keys=True)


def identity(data: Data) -> str:
    """Return what stays when an experiment is renamed, from its whole document; "" if that makes no sense."""
    read = part(data, defaults=False)
    state = _state(read) if read is not None else None
    return state.identity if state else ""


def _state(part: Part) -> _State | None:
    """Return what users get of a merged document; None if that makes no sense."""
    traffic, variants, control = part.get("traffic"), part.get("variants"), part.get("control")
    if not isinstance(traffic, dict) or not isinstance(variants, dict) or traffic.keys() != variants.keys():
        return None
    if control not in variants or not all(_is_percent(percent) for percent in traffic.values()):
        return None
    shadow = part.get("shadow", {"variant": "", "percent": 0})
    if not isinstance(shadow, dict) or not _is_percent(shadow.get("percent", 100)):
        return None
    copied = (str(shadow.get("variant")), int(shadow.get("percent", 100)))
    if sum(traffic.values()) != 100 or copied[0] not in {"", *variants}:
        return None
    order = sorted(traffic, key=lambda name: (name != control, name))
    models = {name: merge(part.get("model"), one) for name, one in variants.items()}
    return _State(tuple((name, traffic[name]) for name in order), copied, models)


def _is_percent(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100


class _Name(NamedTuple):
    """A name that a life has had, after the end of the last life of that name, until it was renamed."""

    name: str
    after: int
    until: int | None
    attempts: int = 0


class _Life:
    """A life as it is read. `deployed` are the states and the commits that began them."""

    def __init__(self, attempts: int, name: str, after: int) -> None:
        self.attempts = attempts
        self.names = [_Name(name, after, None)]
        self.deployed: list[tuple[_State, Commit]] = []
        self.end: int | None = None

    def rename(self, name: str, after: int, time: int, attempts: int) -> None:
        """Go on under another name, under which there were some attempts before."""
        self.names[-1] = self.names[-1]._replace(until=time, attempts=self.attempts)
        self.attempts += attempts
        self.names.append(_Name(name, after, None))
        self.end = None

    def periods(self) -> Iterator[Period]:
        """Yield its periods; each ends where the next one starts."""
        ends = [commit.time for _, commit in self.deployed[1:]]
        for (state, commit), end in zip(self.deployed, [*ends, self.end], strict=True):
            yield Period(state.traffic, state.shadow[1], commit.time, end, commit.id, commit.author, commit.subject)


class Line:
    """The deployed branch as it is read: the files that count, laid over each other, and the lives so far."""

    def __init__(self, keys: Collection[Key]) -> None:
        self.lives: dict[Key, _Life] = {}
        self._keys = keys
        self._defaults: dict[str, Part] = {}
        self._base: dict[str, Part] = {}
        self._own: dict[str, dict[str, Part]] = defaultdict(dict)
        self._attempts: Counter[Key] = Counter()

    def deploy(self, commit: Commit, parts: dict[tuple[str, bool], Part]) -> None:
        """Take in a commit."""
        touched: set[Key] = set()
        for change in commit.changes:
            part = parts.get((change.blob, not change.key[1])) if change.blob is not None else None
            if change.blob is None or part is not None:
                touched |= self._lay(change.key, part)
        ended = {key for key in touched if self._ends(key)}
        for key in ended:
            self.lives[key].end = commit.time
        states = {key: state for key in sorted(touched - ended) if (state := self._merged(key))}
        born = {key: state for key, state in states.items() if not self._alive(key)}
        self._bear(born, commit, {one.key for one in commit.changes if one.blob is None} & ended)
        for key, state in states.items():
            life = self.lives[key]
            if not life.deployed or life.deployed[-1][0] != state:
                life.deployed.append((state, commit))

    def life(self, key: Key, decisions: dict[Key, list[Decision]]) -> Life:
        """Return the latest life of an experiment."""
        found = self.lives[key]
        environment, name = key
        made = [
            decision
            for one in found.names
            for decision in decisions.get((environment, one.name), ())
            if one.after < decision.time <= (one.until if one.until is not None else decision.time)
        ]
        former = tuple(Former(one.name, one.attempts) for one in found.names[:-1])
        return Life(environment, name, tuple(found.periods()), found.attempts, former, tuple(made))

    def _lay(self, key: Key, part: Part | None) -> set[Key]:
        """Put a file's part in its place, None to take it away; return the experiments that this may change."""
        environment, name = key
        if not name:
            table, place = self._defaults, environment
            touched = {(environment, one) for one in self._own[environment]}
        elif environment == BASE:
            table, place = self._base, name
            touched = {(one, name) for one, own in self._own.items() if name in own}
        else:
            table, place = self._own[environment], name
            touched = {key}
            if key not in self._keys:
                return set()
        if table.get(place) == part:
            return set()
        if part is None:
            del table[place]
        else:
            table[place] = part
        return touched

    def _merged(self, key: Key) -> _State | None:
        environment, name = key
        if environment not in self._defaults or name not in self._own[environment]:
            return None
        below = merge(self._defaults[environment], self._base.get(name, {}))
        return _state(merge(below, self._own[environment][name]))

    def _alive(self, key: Key) -> bool:
        return key in self.lives and self.lives[key].end is None

    def _ends(self, key: Key) -> bool:
        environment, name = key
        gone = environment not in self._defaults or name not in self._own[environment]
        return gone and self._alive(key)

    def _bear(self, born: dict[Key, _State], commit: Commit, gone: Iterable[Key]) -> None:
        """Begin a life for each, unless it is one that is gone, under another name."""
        left: dict[tuple[str, str], list[Key]] = defaultdict(list)
        come: dict[tuple[str, str], list[Key]] = defaultdict(list)
        for key in gone:
            left[key[0], self.lives[key].deployed[-1][0].identity].append(key)
        for key, state in born.items() if left else ():
            come[key[0], state.identity].append(key)
        renamed = {come[one][0]: left[one][0] for one in come if len(come[one]) == len(left[one]) == 1}
        for key in born:
            end = self.lives[key].end if key in self.lives else None
            after = -1 if end is None else end
            if key in renamed:
                life = self.lives.pop(renamed[key])
                life.rename(key[1], after, commit.time, self._attempts[key])
            else:
                life = _Life(self._attempts[key] + 1, key[1], after)
            self._attempts[key] = life.attempts
            self.lives[key] = life
