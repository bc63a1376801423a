"""What a reviewer should know of a change, in words: pure, from facts that were found out elsewhere.

Words are made of our own text and of quotations of what users wrote. Only who knows the form of the output may write a
quotation: `markdown` and `printed` do, each by its own rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator.documents.wording import dotted, listed, span
from generator.repository import experiment_file
from generator.reviews import addresses
from generator.reviews.diff import traffic, value
from generator.reviews.transitions import is_at, relaxed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from generator.domain.model import Experiment, Metric, Rollout, Step
    from generator.problems import Problem
    from generator.reviews.departures import Departure
    from generator.reviews.differences import Difference
    from generator.reviews.meaning import EnvironmentChange, ExperimentChange, Wrong
    from generator.reviews.restarts import Pods
    from generator.reviews.reversal import Reversal
    from generator.reviews.transitions import Evidence
    from generator.versions.stages import Standing


class Quote(NamedTuple):
    """Text that somebody else wrote."""

    text: str


class Versus(NamedTuple):
    """What somebody else wrote, before and after a change."""

    before: str
    after: str


Words = tuple[str | Quote | Versus, ...]


class Row(NamedTuple):
    """A line of the table: what it is about, and what is to be said, each on a line of its own."""

    label: str
    cells: tuple[Words, ...]


class Share(NamedTuple):
    """What a variant gets, for the picture: percent before and after, None where it is not declared."""

    variant: str
    control: bool
    before: int | None
    after: int | None


class Facts(NamedTuple):
    """What was found out about a change.

    `pods` is None where manifests cannot be made, or could not before. `objects` are the manifests that differ, by
    path; `stale` how those committed depart from them. `standing` is None where no candidate gets
    more. `soak_known` is False where history is cut off. `models` are other experiments that serve one of its models,
    `hosts` those that take its hostname. `verdict` and `override` are what commits of the change say last, "" if they
    say nothing. `evidence` is what becomes of that of an experiment with another name.
    """

    pods: tuple[Pods, ...] | None
    objects: tuple[str, ...]
    reversal: Reversal | None
    standing: Standing | None
    soak_known: bool
    stale: tuple[Departure, ...]
    models: tuple[str, ...]
    hosts: tuple[str, ...]
    verdict: str = ""
    override: str = ""
    evidence: Evidence = "none"


class Review(NamedTuple):
    """All that is said about one experiment, or about an environment's own file.

    `gravest` is the severity of the gravest problem that the change makes, "" if it makes none.
    """

    title: str
    file: str
    sentence: Words
    rows: tuple[Row, ...] = ()
    picture: tuple[Share, ...] = ()
    gravest: str = ""


class Report(NamedTuple):
    """A whole review; `base` and `head` are how people call the revisions.

    `unknown` is what could not be found out though it decides, `notes` what should be known beside.
    """

    base: str
    head: str
    reviews: tuple[Review, ...]
    problems: tuple[Problem, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def silence(self) -> str:
        """What to say where there is no review."""
        return "no experiment changes" if self.problems else "nothing changes"


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
    rows = [_differences(change.differences)] if change.differences else []
    return Review(f"environment {change.name}", file, said[change.kind], tuple(rows))


def of_experiment(change: ExperimentChange, facts: Facts, today: str) -> Review:
    """Say what a change does to users, to the cluster and to the experiment."""
    if change.before is None and change.after is None:
        return unreadable(change)
    file = experiment_file(change.environment, change.name)
    clauses, follows = [*_headline(change, facts)], [*_pods_clause(change, facts), *_revert_clause(facts)]
    if any(one.matters for one in facts.stale):
        clauses += [("once rendered, ", *_joined(follows, ", and a ")), _committed(facts)]
    else:
        clauses += follows
    rows = [row for row in _rows(change, facts, today) if row.cells]
    return Review(change.label, file, _joined(clauses, "; "), tuple(rows), _picture(change))


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


_MOST_FIELDS = 4
_SHORT = 40


def _fields(differences: Sequence[Difference]) -> Words:
    """Say which fields change, with their values where these are short."""
    said = [_field(one) for one in differences[:_MOST_FIELDS]]
    more = len(differences) - _MOST_FIELDS
    if more > 0:
        said.append((f"{more} more field{'s' if more > 1 else ''} in the table",))
    return _joined(said, ", ")


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
    return ("what is committed ", *_joined(said, ", "))


_DEPARTS = {
    "gone": ("lacks", ", which is deleted, or keeps all from being applied while kustomization.yaml lists it"),
    "missing": ("lacks", ""),
    "left": ("still holds", ""),
    "other": ("holds another", ""),
}


def _departure(departure: Departure) -> Words:
    name = Quote(departure.path)
    if departure.kind != "other":
        return name, " is left" if departure.kind == "left" else " is missing"
    causes: list[Words] = [
        (Quote(dotted(one.path)), " ", Versus(value(one.before), value(one.after)))
        for one in departure.causes[:_MOST_FIELDS]
    ]
    listing = (", as rendered and as committed: ", *_joined(causes, ", ")) if causes else ()
    return name, " is out of date", *listing


def _revert_clause(facts: Facts) -> Iterator[Words]:
    if facts.reversal:
        yield (f"revert {_CLASSES[facts.reversal.kind]}",)


_CLASSES = {
    "nothing": "changes no request and no pod",
    "weights": "is a pure weight change",
    "route": "changes the route and no pod",
    "stops": "stops pods without requests",
    "scales": "loads no model",
    "reloads": "reloads a model",
    "unsafe": "is unsafe",
}


def _rows(change: ExperimentChange, facts: Facts, today: str) -> Iterator[Row]:
    experiment = (change.after or change.before).experiment  # type: ignore[union-attr]
    reserve: tuple[Words, ...] = (("all of this once `penstock render` has run",),)
    yield Row("Pods", tuple(_pods(one) for one in facts.pods or ()) + reserve * any(one.matters for one in facts.stale))
    if not change.wrong:
        yield Row("Capacity", _capacity(change))
    if change.after:
        yield Row("Rollout", tuple(_rollout(change, experiment, facts)))
        yield Row("Gates", tuple(_gates(change, experiment, facts)))
    if change.former:
        yield Row("Evidence", ((_EVIDENCE[facts.evidence].format(change.former),),))
    yield Row("Owner", ((Quote(experiment.owner),),))
    if change.after:
        yield Row("Expires", ((f"{experiment.expires}{_days(experiment.expires, today)}",),))
    if facts.reversal:
        yield Row("Revert", ((f"{_CLASSES[facts.reversal.kind]}: {facts.reversal.reason}",),))
    yield Row("Overlaps", tuple(_overlaps(facts)))
    yield Row("Objects", tuple(_objects(facts)))
    if facts.stale:
        yield Row("Manifests", tuple(map(_departure, facts.stale)))
    if change.differences:
        yield _differences(change.differences)


_EVIDENCE: dict[Evidence, str] = {
    "none": "none is recorded under the name {}",
    "kept": "goes on: what is recorded under the name {} counts for the new one",
    "lost": "is deleted: it begins with none",
}


def _pods(pods: Pods) -> Words:
    said = {
        "new": "start, with a new InferenceService",
        "moves": "stop, with their InferenceService, and others start, because of ",
        "gone": "stop, with their InferenceService",
        "restarts": "restart, because of ",
        "scales": "keep running; their number may change, because of ",
        "kept": "are not touched",
    }[pods.effect]
    causes: list[Words] = [
        (Quote(dotted(one.path)), " ", Versus(value(one.before), value(one.after)))
        for one in pods.causes[:_MOST_FIELDS]
    ]
    if len(pods.causes) > _MOST_FIELDS:
        causes.append((f"{len(pods.causes) - _MOST_FIELDS} more fields",))
    named = pods.effect in {"restarts", "scales", "moves"}
    return f"{pods.variant}: pods {said}", *(_joined(causes, ", ") if named else ())


def _capacity(change: ExperimentChange) -> tuple[Words, ...]:
    before, after = (side.experiment if side else None for side in (change.before, change.after))
    if before and after and _demands(before) == _demands(after):
        return (("as before",),)
    from generator.reviews import capacity  # noqa: PLC0415 (start-up time: most changes need no sums)

    words: list[Words] = [(", ".join(capacity.words(capacity.of(before), capacity.of(after))) or "as before",)]
    silent = capacity.of(after or before).silent
    if silent:
        words.append((f"not counted: what runtimes request for {', '.join(silent)} by themselves",))
    return tuple(words)


def _demands(experiment: Experiment) -> list[object]:
    return [(one.name, one.requests, one.limits, one.replicas) for one in experiment.variants]


def _rollout(change: ExperimentChange, experiment: Experiment, facts: Facts) -> Iterator[Words]:
    where = facts.standing
    rollout = experiment.rollout if where is None else change.rollout
    if rollout is None:
        yield ("none is declared: every step is this review's to judge",)
        return
    yield (_stages(change, experiment, rollout),)
    if where is None:
        return
    if where.following is None:
        yield ("no further step is declared",)
    else:
        taken = is_at(experiment, where.following)
        yield (f"the declared next step {'is this one' if taken else f'is {_step(where.following)}'}",)
    if not facts.soak_known:
        yield ("how long the stage before has lasted cannot be known",)
    elif where.stage is not None and where.where in {"stage", "bake"}:
        met = "met" if where.soaked >= where.needed else "not met"
        yield (f"soak {met}: stage {where.stage + 1} has lasted {span(where.soaked)} of at least {span(where.needed)}",)
    if relaxed(change):
        yield (f"this step is held against the rollout{relaxed(change)}",)


def _stages(change: ExperimentChange, experiment: Experiment, rollout: Rollout) -> str:
    """Say at which stage the change begins and ends; stages are those of one control."""
    after = _stage(experiment, rollout)
    if change.before is None:
        return after
    old = change.before.experiment
    if old.control.name != experiment.control.name:
        begun = _stage(old, old.rollout) if old.rollout else "at no declared stage"
        return f"control {old.control.name}: {begun} → control {experiment.control.name}: {after}"
    before = _stage(old, rollout)
    return f"{before} → {after}" if before != after else after


def _stage(experiment: Experiment, rollout: Rollout) -> str:
    copied = experiment.shadow is not None
    for number, step in enumerate(rollout.steps, 1):
        if is_at(experiment, step):
            return f"stage {number} of {len(rollout.steps)}"
    return "all traffic with control" if experiment.control.traffic == 100 and not copied else "at no declared stage"


def _step(step: Step) -> str:
    shown = ", ".join(f"{name} {percent} %" for name, percent in step.traffic)
    return f"{shown}, {step.shadow} % copied" if step.shadow else shown


_OPENS = {
    "evidence": "this step needs evidence: the verdict of `penstock analyze`",
    "time": "this step needs nothing but the soak",
    "manual": "this step needs a person's decision: this review",
}


def _gates(change: ExperimentChange, experiment: Experiment, facts: Facts) -> Iterator[Words]:
    if facts.standing and facts.standing.gate:
        yield (_OPENS[facts.standing.gate],)
    if facts.verdict:
        yield "the commit records the verdict ", Quote(facts.verdict)
    if facts.override:
        yield "the commit gives a reason to pass closed gates: ", Quote(facts.override)
    before = change.before.experiment.metrics if change.before and facts.standing else ()
    for metric in before or experiment.metrics:
        yield (_metric(metric),)
    if before and before != experiment.metrics:
        verb = "changes" if experiment.metrics else "removes"
        yield (f"this step is held against the metrics as they were before this change, which {verb} them",)
    if not before and not experiment.metrics:
        yield ("no metric is declared: nothing guards users but this review",)


def _metric(metric: Metric) -> str:
    unit = "" if metric.kind == "mean" else " %"
    limit = metric.limit if metric.limit is None or unit == "" else metric.limit * 100
    bounds = [f"limit {limit:.4g}{unit}"] if limit is not None else []
    bounds += [
        f"{name} {bound * 100:.4g} %"
        for name, bound in (("margin", metric.margin), ("floor", metric.floor), ("detectable effect", metric.mde))
        if bound is not None
    ]
    return f"{metric.role} {metric.name}: {', '.join(bounds)}"


def _objects(facts: Facts) -> Iterator[Words]:
    for path in facts.objects[:_MOST_OBJECTS]:
        yield (Quote(path.split("/", 2)[2].removeprefix("manifests/")),)
    if len(facts.objects) > _MOST_OBJECTS:
        yield (f"{len(facts.objects) - _MOST_OBJECTS} more",)


_MOST_OBJECTS = 20


def _days(expires: str, today: str) -> str:
    import datetime  # noqa: PLC0415 (start-up time)

    days = (datetime.date.fromisoformat(expires) - datetime.date.fromisoformat(today)).days
    return f", in {days} days" if days > 0 else ", which is today" if days == 0 else f", {-days} days ago"


def _overlaps(facts: Facts) -> Iterator[Words]:
    if facts.models:
        yield "its models are served too by ", Quote(listed(facts.models))
    if facts.hosts:
        yield "its hostname is taken too by ", Quote(listed(facts.hosts))
    if not facts.models and not facts.hosts:
        yield ("no other experiment names its models or its hostname",)


def _differences(differences: tuple[Difference, ...]) -> Row:
    return Row(
        "Fields",
        tuple((Quote(dotted(one.path)), ": ", Versus(value(one.before), value(one.after))) for one in differences),
    )


def _picture(change: ExperimentChange) -> tuple[Share, ...]:
    sides = [side.experiment if side else None for side in (change.before, change.after)]
    old, new = ({one.name: one.traffic for one in side.variants} if side else {} for side in sides)
    if old == new or change.wrong:
        return ()
    control = (sides[1] or sides[0]).control.name  # type: ignore[union-attr]
    return tuple(
        Share(name, name == control, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys(), key=lambda name: (name != control, name))
    )


def _joined(parts: Iterable[Words], separator: str) -> Words:
    words: list[str | Quote | Versus] = []
    for part in parts:
        words += [separator, *part] if words else part
    return tuple(words)
