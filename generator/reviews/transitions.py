"""Policy over two states: what may change at once, when, and by whom.

What an environment allows and which rollout is declared are read from the state before: a pull request cannot relax
what it is held against. Without a state before, its own is all there is.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from generator.documents.wording import shown, span
from generator.domain import limits
from generator.domain.model import Experiment, Policy, Step, Variant
from generator.problems import WARNING, Problem
from generator.repository import evidence_folder
from generator.reviews import unheld
from generator.reviews.differences import Aspect
from generator.reviews.meaning import ExperimentChange, Side
from generator.versions.git import short
from generator.versions.lives import Life, Period
from generator.versions.stages import Standing, standing

if TYPE_CHECKING:
    from generator.documents.load import Path
    from generator.reviews.authorship import Edit

Evidence = Literal["none", "kept", "lost"]

AUTHORITY: dict[Aspect, str] = {
    "traffic": "traffic",
    "rollout": "traffic",
    "about": "traffic",
    "variants": "models",
    "model": "models",
    "routing": "models",
    "metrics": "metrics",
}
"""Whose leave a change needs, by `policy.authors`: every field of an experiment falls under one of its areas."""


class Circumstances(NamedTuple):
    """What a change is judged by besides itself. `life` is None where it was never deployed; `now` in seconds.

    `override` is the reason that a commit of the change gives for passing closed gates, "" where none does. `evidence`
    tells what becomes of that of an experiment with another name. `objects` are the manifests that differ, by path, and
    `around` tells whether the environment or templates do as well.
    """

    now: int
    life: Life | None
    edits: tuple["Edit", ...]
    override: str
    evidence: Evidence
    objects: tuple[str, ...]
    around: bool


def stand(change: ExperimentChange, known: Circumstances) -> Standing | None:
    """Say where the experiment stood, by the rollout that it is held against; None without a state before and after."""
    before, after = change.before, change.after
    if after is None:
        return None
    lives = known.life is not None and known.life.periods[-1].end is None
    life = known.life if lives else _begun(change, before, after, known.now)
    return standing(life, change.rollout, known.now)


def _begun(change: ExperimentChange, before: Side | None, after: Side, now: int) -> Life:
    """Make up a life that has just begun, where history knows of none: with the traffic before, or all for control."""
    shares = _shares(before.experiment) if before else {}
    names = [variant.name for variant in after.experiment.variants]
    traffic = (
        tuple(shares.items()) if shares else tuple((name, 100 * (not number)) for number, name in enumerate(names))
    )
    shadow = before.experiment.shadow.percent if before and before.experiment.shadow else 0
    return Life(change.environment, change.name, (Period(traffic, shadow, now, None, "", "", ""),), 1, (), ())


def check(change: ExperimentChange, known: Circumstances) -> list[Problem]:
    """Return what is wrong with a change."""
    if "after" in change.wrong or change.ruled is None:
        return []
    found = [*_overridden(_frozen(change, known), change, known)]
    if change.kind == "same":
        return found
    found += _authors(change, known.edits)
    if change.after is None:
        return found
    if change.wrong:
        return [*found, *_overridden(unheld.of_experiment(change, known.objects), change, known)]
    found += _forgotten(change, known.evidence)
    found += _control(change, change.after)
    found += _replaced(change, change.after)
    found += _largest(change, change.after)
    return [*found, *_overridden(_step(change, change.after, known), change, known)]


def _overridden(found: Iterable[Problem], change: ExperimentChange, known: Circumstances) -> Iterator[Problem]:
    """Warn of what a reason was given for, if the environment lets reasons count, as gates do (`gates`)."""
    counts = known.override and _policy(change).overrides
    for one in found:
        message = f"{one.message}; overridden: {shown(known.override)}"
        yield one._replace(severity=WARNING, message=message) if counts and one.severity != WARNING else one


def grows(change: ExperimentChange) -> bool:
    """Tell whether a candidate gets more than before, be it copies."""
    if change.after is None:
        return False
    before = _shares(change.before.experiment) if change.before else {}
    was = change.before.experiment.shadow if change.before else None
    more = any(one.traffic > before.get(one.name, 0) for one in _candidates(change, change.after))
    return more or _copies(change.after.experiment) > (was.percent if was else 0)


def is_at(experiment: Experiment, step: Step) -> bool:
    """Tell whether the traffic of an experiment is that of a step; variants without any make no difference."""
    shares = {name: percent for name, percent in _shares(experiment).items() if percent}
    return shares == {name: percent for name, percent in step.traffic if percent} and _copies(experiment) == step.shadow


def _candidates(change: ExperimentChange, after: Side) -> tuple[Variant, ...]:
    """Return who is compared with control: with the one before, for a candidate that becomes control grows as well."""
    control = (change.before or after).experiment.control.name
    return tuple(one for one in after.experiment.variants if one.name != control)


def _copies(experiment: Experiment) -> int:
    return experiment.shadow.percent if experiment.shadow else 0


def _shares(experiment: Experiment) -> dict[str, int]:
    return {variant.name: variant.traffic for variant in experiment.variants}


def _policy(change: ExperimentChange) -> Policy:
    assert change.ruled is not None  # noqa: S101 (`check` asks first)
    return change.ruled.policy


def _frozen(change: ExperimentChange, known: Circumstances) -> Iterator[Problem]:
    windows = _policy(change).freeze
    same = change.kind in {"same", "unreadable"}
    if not windows or (same and not known.objects) or _is_rollback(change, known):
        return
    from generator.domain import freezes  # noqa: PLC0415 (start-up time: time zones are needed by few)

    window = freezes.within(windows, known.now)
    if window:
        yield change.problem(
            "PS702",
            (),
            f"{'what is rendered of ' if same else ''}{change.label} changes within a freeze of {change.environment}: "
            f"{window.reason}",
            "merge it when the freeze is over; only a rollback to control may change now",
        )


def _is_rollback(change: ExperimentChange, known: Circumstances) -> bool:
    """A rollback takes traffic and copies from candidates, gives it to the same control, and changes nothing else."""
    if change.kind != "changed" or known.around or any("/models/" in path for path in known.objects):
        return False
    return {one.aspect for one in change.differences} == {"traffic"} and not grows(change)


def _authors(change: ExperimentChange, edits: tuple["Edit", ...]) -> Iterator[Problem]:
    if not edits:
        return
    allowed = _policy(change).authors
    said: set[tuple[str, str]] = set()
    for edit in edits:
        for aspect in sorted(edit.aspects):
            kind = "owner, hypothesis or expiry" if aspect == "about" else AUTHORITY[aspect]
            refused = limits.refusal(getattr(allowed, AUTHORITY[aspect]), edit.author, kind)
            if refused and (edit.author, kind) not in said:
                said.add((edit.author, kind))
                where = f"in {short(edit.commit)}" if edit.commit else "what is not committed yet"
                yield change.problem("PS703", (), f"{where}: {refused}", "let one of them author the change")


def _control(change: ExperimentChange, after: Side) -> Iterator[Problem]:
    if change.before is None or change.before.experiment.control.name == after.experiment.control.name:
        return
    running = [
        one.name for one in change.before.experiment.candidates if one.traffic or _copied(change.before, one.name)
    ]
    if running and change.before.experiment.control.traffic:
        beside = f"{' and '.join(running)} get{'' if running[1:] else 's'} requests beside"
        yield change.problem(
            "PS704",
            ("spec", "control"),
            f"control becomes {after.experiment.control.name} while {beside} {change.before.experiment.control.name}",
            "give control all traffic first, or conclude the experiment and begin another",
        )


def _copied(side: Side, name: str) -> bool:
    return side.experiment.shadow is not None and side.experiment.shadow.variant == name


def _replaced(change: ExperimentChange, after: Side) -> Iterator[Problem]:
    """What was measured of a model says nothing about another one that takes its place."""
    before = {one.name: one for one in change.before.experiment.variants} if change.before else {}
    for variant in after.experiment.variants:
        old = before.get(variant.name)
        if old is None or not (variant.traffic and old.traffic):
            continue
        if old.model != variant.model:
            yield change.problem(
                "PS709",
                ("spec", "variants", variant.name),
                f"{variant.name} gets another model under {variant.traffic} % of the requests: they reach it as soon "
                "as it is loaded, and all that was measured was of the old one",
                f"add it as a variant of its own at 0 %, or roll {variant.name} back to 0 % first",
                WARNING,
            )


def _forgotten(change: ExperimentChange, evidence: Evidence) -> Iterator[Problem]:
    if evidence == "lost":
        yield change.problem(
            "PS711",
            ("metadata", "name"),
            f"the evidence on {change.former} is deleted: nothing that was observed before counts any more",
            f"leave {evidence_folder(change.environment, change.former)} where it is: it goes on under the new name",
            WARNING,
        )


def _largest(change: ExperimentChange, after: Side) -> Iterator[Problem]:
    largest = _policy(change).largest_step or 0
    before = _shares(change.before.experiment) if change.before else {}
    shares = [(one.name, one.traffic) for one in _candidates(change, after)]
    for name, reason in limits.excess(_policy(change).largest_step, before, shares):
        fix = f"take smaller steps: at most {before.get(name, 0) + largest} % now"
        yield change.problem("PS701", ("spec", "traffic", name), reason, fix)


def _step(change: ExperimentChange, after: Side, known: Circumstances) -> list[Problem]:
    """The declared plan: the next step and no other, and not before the stage has lasted."""
    where = stand(change, known)
    if change.rollout is None or where is None or not grows(change) or where.where in {"swapped", "fixed"}:
        return []
    candidate = max(_candidates(change, after), key=lambda one: one.traffic)
    path: Path = ("spec", "traffic", candidate.name)
    was = relaxed(change)
    alone = "; change the rollout in a change of its own" if was else ""
    found = []
    following = where.following
    if following is None or not is_at(after.experiment, following):
        step = _shown(dict(following.traffic), following.shadow) if following else "none: the last one is taken"
        found.append(
            change.problem(
                "PS706",
                path,
                f"{_shown(_shares(after.experiment), _copies(after.experiment))} is not the next step of the declared "
                f"rollout{was}",
                f"the next step is {step}{'' if following or alone else '; declare another step'}{alone}",
            )
        )
    if where.opens_at is not None and where.where in {"stage", "bake"} and known.now < where.opens_at:
        found.append(
            change.problem(
                "PS707",
                path,
                where.too_short + (f" by the rollout{was}" if was else ""),
                f"wait {span(where.opens_at - known.now)} more",
            )
        )
    return found


def relaxed(change: ExperimentChange) -> str:
    """Say that a change also changes the rollout that it is held against; "" if it does not."""
    if change.before is None or change.before.experiment.rollout is None or change.after is None:
        return ""
    if change.after.experiment.rollout is None:
        return " as it was before this change, which removes it"
    changed = any(one.aspect == "rollout" for one in change.differences)
    return " as it was before this change, which changes it" if changed else ""


def _shown(shares: dict[str, int], copied: int) -> str:
    texts = [f"{name} {percent} %" for name, percent in shares.items()]
    return ", ".join([*texts, f"{copied} % copied"] if copied else texts)
