"""What a reviewer should know of a change, in words: pure, from facts that were found out elsewhere.

One sentence says what it does to users and to the cluster; the rest is in the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.documents.wording import dotted
from generator.repository import experiment_file
from generator.reviews import addresses, table
from generator.reviews.diff import traffic, value
from generator.reviews.review import Quote, Review, Versus, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from generator.domain.model import Experiment
    from generator.reviews.differences import Difference
    from generator.reviews.meaning import EnvironmentChange, ExperimentChange, Wrong
    from generator.reviews.review import Facts, Words


def of_environment(change: EnvironmentChange, file: str, changed: int) -> Review:
    """Say what changes for all experiments of an environment; `changed` counts those that come out different."""
    follows = f"what is rendered changes for {changed} of its experiments" if changed else "nothing rendered changes"
    said: dict[str, Words] = {
        "added": ("new environment",),
        "renamed": (f"renamed from {change.former}, in the same namespace and domain: see the note",),
        "removed": ("removed, with all of its experiments",),
        "unreadable": (_unread(change.wrong),),
        "same": (f"only its defaults differ: {follows}",),
        "changed": (*_fields(change.differences), f": {follows}"),
    }
    rows = [table.fields(change.differences)] if change.differences else []
    return Review(f"environment {change.name}", file, said[change.kind], tuple(rows))


def of_experiment(change: ExperimentChange, facts: Facts, today: str) -> Review:
    """Say what a change does to users, to the cluster and to the experiment."""
    if change.before is None and change.after is None:
        return unreadable(change)
    file = experiment_file(change.environment, change.name)
    clauses, follows = [*_headline(change, facts)], [*_pods_clause(change, facts), *_revert_clause(facts)]
    if any(one.matters for one in facts.stale):
        clauses += [("once rendered, ", *joined(follows, ", and a ")), _committed(facts)]
    else:
        clauses += follows
    rows = [row for row in table.rows(change, facts, today) if row.cells]
    return Review(change.label, file, joined(clauses, "; "), tuple(rows), table.picture(change))


def unreadable(change: ExperimentChange) -> Review:
    """Say that an experiment cannot be read now, or could not where it is gone: the problems and notes tell more."""
    said = "removed; it could not be read before" if change.wrong == ("before",) else _unread(change.wrong)
    return Review(change.label, experiment_file(change.environment, change.name), (said,))


def _unread(wrong: Wrong) -> str:
    """Say which side is wrong; what is wrong before is in the notes, as it is none of the change's problems."""
    if wrong == ("before",):
        return "could not be read before: see the notes"
    return "cannot be read before nor after: see the problems" if wrong[1:] else "cannot be read now: see the problems"


def _headline(change: ExperimentChange, facts: Facts) -> Iterator[Words]:
    before = change.before.experiment if change.before else None
    after = change.after.experiment if change.after else None
    if after is None:
        assert before is not None  # noqa: S101 (one side is there)
        yield (f"removed: it answers no longer at {before.hostname}",)
        return
    if before is None:
        what = "new experiment" if change.kind == "added" else "could not be read before, and can now"
        yield (f"{what}: {_split(after)} of the requests to {after.hostname}",)
        return
    if change.origin != change.environment:
        yield (f"was {change.origin}/{change.name} before",)
    if change.former:
        yield (f"renamed from {change.former}: every object of it is made anew",)
    moved = _moved_address(change)
    if moved:
        yield (moved,)
    yield from _shares(change, before, after)
    yield from _variants(before, after)
    replaced, rest = _models(before, after), _settings(change)
    if replaced:
        yield (replaced, ": ", *_fields([one for one in rest if _is_of_model(one)]))
        rest = [one for one in rest if not _is_of_model(one)]
    if rest:
        yield _fields(rest)
    if not change.differences and change.origin == change.environment:
        yield from _unsaid(facts)


def _moved_address(change: ExperimentChange) -> str:
    old, new = (
        addresses.of(side.experiment, side.environment) if side else None for side in (change.before, change.after)
    )
    return addresses.moved(old, new) if old and new else ""


def _unsaid(facts: Facts) -> Iterator[Words]:
    """Say what differs where no field does."""
    told = {
        "/models/": "its InferenceServices",
        "/traffic/": "its route",
        "/monitoring/": "what measures it",
        "/gitops/": "what applies it",
    }
    said = [words for area, words in told.items() if any(area in path for path in facts.objects)]
    if said:
        yield (f"no field of it changes, but what is rendered does: {' and '.join(said)}",)
    elif facts.stale:
        yield ("no field of it changes, but its committed manifests are not what it says",)


def _split(experiment: Experiment) -> str:
    return ", ".join(f"{one.name} gets {one.traffic} %" for one in experiment.variants)


def _shares(change: ExperimentChange, before: Experiment, after: Experiment) -> Iterator[Words]:
    said = traffic(change)
    if said:
        *others, last = said.split(", ")
        control = after.control.name
        if others and last.startswith(f"{control} "):
            said = f"{', '.join(others)} ({last})"
        yield (f"{said}: {_moved(before, after)}",)
    old, new = before.shadow, after.shadow
    if old != new:
        if new is None:
            yield ("no requests are copied any more",)
        else:
            yield (f"{new.percent} % of the requests are copied to {new.variant}, whose answers nobody gets",)


def _moved(before: Experiment, after: Experiment) -> str:
    """Say whom how many requests reach more than before."""
    old = {one.name: one.traffic for one in before.variants}
    more = [(one.name, one.traffic - old.get(one.name, 0)) for one in after.variants]
    gains = [(name, points) for name, points in more if points > 0]
    if [name for name, _ in gains] == [after.control.name]:
        losers = sorted(name for name in old if old[name] > dict(_traffic(after)).get(name, 0))
        go = "go back" if before.control.name == after.control.name else "go"
        return f"{gains[0][1]} % of all requests {go} from {' and '.join(losers)} to {after.control.name}"
    candidates = [one for one in gains if one[0] != after.control.name]
    return ", ".join(f"{points} % more of all requests get {name}" for name, points in candidates)


def _traffic(experiment: Experiment) -> list[tuple[str, int]]:
    return [(one.name, one.traffic) for one in experiment.variants]


def _variants(before: Experiment, after: Experiment) -> Iterator[Words]:
    old, new = (({one.name: one for one in side.variants}) for side in (before, after))
    for name in sorted(new.keys() - old.keys()):
        yield (f"{name} is added at {new[name].traffic} %",)
    for name in sorted(old.keys() - new.keys()):
        yield (f"{name} is removed" + (f" while it gets {old[name].traffic} %" if old[name].traffic else ""),)
    if before.control.name != after.control.name:
        yield (f"control is {after.control.name}, and no longer {before.control.name}",)


def _models(before: Experiment, after: Experiment) -> str:
    """Say whom another model answers; "" if all models are those of before."""
    old = {one.name: one for one in before.variants}
    other = [one for one in after.variants if one.name in old and one.model != old[one.name].model]
    names = " and ".join(one.name for one in other)
    share = sum(one.traffic for one in other if old[one.name].traffic)
    if share:
        return f"{share} % of the requests get another model ({names})"
    return f"{names} become{'' if other[1:] else 's'} another model" if other else ""


def _settings(change: ExperimentChange) -> list[Difference]:
    """Return what else changes."""
    told = {"traffic", "shadow", "control", "hostname", *(["modelName"] if _moved_address(change) else ())}
    return [one for one in change.differences if one.path[1] not in told and not _is_variant(one)]


def _is_of_model(difference: Difference) -> bool:
    """Tell whether a field says which model it is: one of `spec.model`, or of a variant."""
    path = difference.path[2:] if difference.path[1] == "model" else difference.path[3:]
    return bool(path) and path[0] in {"storageUri", "storage", "format", "args"}


def _is_variant(difference: Difference) -> bool:
    return len(difference.path) == 3 and difference.path[1] == "variants"


_SHORT = 40


def _fields(differences: Sequence[Difference]) -> Words:
    """Say which fields change, with their values where these are short."""
    said = [_field(one) for one in differences[: table.MOST_FIELDS]]
    more = len(differences) - table.MOST_FIELDS
    if more > 0:
        said.append((f"{more} more field{'s' if more > 1 else ''} in the table",))
    return joined(said, ", ")


def _field(difference: Difference) -> Words:
    values = Versus(value(difference.before), value(difference.after))
    name = Quote(dotted(difference.path[1:]))
    if difference.before is None or difference.after is None:
        return name, " is added" if difference.before is None else " is removed"
    return (name, " changes") if max(map(len, values)) > _SHORT else (name, " ", values)


def _pods_clause(change: ExperimentChange, facts: Facts) -> Iterator[Words]:
    if facts.pods is None:
        yield ("what happens to pods cannot be told",)
    elif change.kind == "renamed":
        yield ("all models are loaded anew",)
    else:
        said = [
            f"pods of {' and '.join([', '.join(names[:-1]), names[-1]] if names[1:] else names)} {verb}"
            for effect, verb in _EFFECTS.items()
            if (names := [one.variant for one in facts.pods if one.effect == effect])
        ]
        restarting = any(one.effect in {"new", "moves", "gone", "restarts"} for one in facts.pods)
        yield (", ".join(said if restarting else ["no pod restarts", *said]),)


_EFFECTS = {
    "restarts": "restart",
    "new": "start",
    "moves": "stop, and others start in another place",
    "gone": "stop",
    "scales": "may change in number",
}


def _committed(facts: Facts) -> Words:
    """Say what would be applied instead; a build of kustomize fails where a file that it lists is missing."""
    departing = [one for one in facts.stale if one.matters]
    said = []
    for kind, verb in _DEPARTS.items():
        names = [one.path.rpartition("/")[2] for one in departing if one.kind == kind]
        more = (f" and {len(names) - 1} more",) if names[1:] else ()
        said += [(verb[0], " ", Quote(names[0]), *more, verb[1])] if names else []
    return ("what is committed ", *joined(said, ", "))


_DEPARTS = {
    "gone": ("lacks", ", which is deleted, or keeps all from being applied while kustomization.yaml lists it"),
    "missing": ("lacks", ""),
    "left": ("still holds", ""),
    "other": ("holds another", ""),
}


def _revert_clause(facts: Facts) -> Iterator[Words]:
    if facts.reversal:
        yield (f"revert {table.REVERTS[facts.reversal.kind]}",)
