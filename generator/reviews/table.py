"""The table of a review: a row for each thing that a reviewer asks about, and the picture of the shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.documents.wording import dotted, listed, span
from generator.reviews.diff import value
from generator.reviews.review import Quote, Row, Share, Versus, joined
from generator.reviews.transitions import is_at, relaxed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.domain.model import Experiment, Metric, Rollout, Step
    from generator.reviews.departures import Departure
    from generator.reviews.differences import Difference
    from generator.reviews.meaning import ExperimentChange
    from generator.reviews.restarts import Pods
    from generator.reviews.review import Facts, Words
    from generator.reviews.transitions import Evidence

MOST_FIELDS = 4
REVERTS = {
    "nothing": "changes no request and no pod",
    "weights": "is a pure weight change",
    "route": "changes the route and no pod",
    "stops": "stops pods without requests",
    "scales": "loads no model",
    "reloads": "reloads a model",
    "unsafe": "is unsafe",
}


def rows(change: ExperimentChange, facts: Facts, today: str) -> Iterator[Row]:
    """Yield the rows; those without cells have nothing to say."""
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
        yield Row("Revert", ((f"{REVERTS[facts.reversal.kind]}: {facts.reversal.reason}",),))
    yield Row("Overlaps", tuple(_overlaps(facts)))
    yield Row("Objects", tuple(_objects(facts)))
    if facts.stale:
        yield Row("Manifests", tuple(map(departure, facts.stale)))
    if change.differences:
        yield fields(change.differences)


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
        (Quote(dotted(one.path)), " ", Versus(value(one.before), value(one.after))) for one in pods.causes[:MOST_FIELDS]
    ]
    if len(pods.causes) > MOST_FIELDS:
        causes.append((f"{len(pods.causes) - MOST_FIELDS} more fields",))
    named = pods.effect in {"restarts", "scales", "moves"}
    return f"{pods.variant}: pods {said}", *(joined(causes, ", ") if named else ())


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


def fields(differences: tuple[Difference, ...]) -> Row:
    """Return the row of the fields that differ."""
    return Row(
        "Fields",
        tuple((Quote(dotted(one.path)), ": ", Versus(value(one.before), value(one.after))) for one in differences),
    )


def picture(change: ExperimentChange) -> tuple[Share, ...]:
    """Return the shares of all variants, control first; nothing if none changes."""
    sides = [side.experiment if side else None for side in (change.before, change.after)]
    old, new = ({one.name: one.traffic for one in side.variants} if side else {} for side in sides)
    if old == new or change.wrong:
        return ()
    control = (sides[1] or sides[0]).control.name  # type: ignore[union-attr]
    return tuple(
        Share(name, name == control, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys(), key=lambda name: (name != control, name))
    )


def departure(departure: Departure) -> Words:
    """Say how a committed manifest departs from what would be rendered."""
    name = Quote(departure.path)
    if departure.kind != "other":
        return name, " is left" if departure.kind == "left" else " is missing"
    causes: list[Words] = [
        (Quote(dotted(one.path)), " ", Versus(value(one.before), value(one.after)))
        for one in departure.causes[:MOST_FIELDS]
    ]
    listing = (", as rendered and as committed: ", *joined(causes, ", ")) if causes else ()
    return name, " is out of date", *listing
