"""What is due for an experiment, from where it stands and what was found: before any gate is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from generator.domain.model import Step

if TYPE_CHECKING:
    from generator.analysis.verdict import Verdict
    from generator.domain.model import Experiment
    from generator.versions.stages import Standing

Kind = Literal["promote", "rollback", "conclude", "wait"]


class Due(NamedTuple):
    """What is to be done, and why; `target` is where traffic is to go, `winner` whom a conclusion keeps."""

    kind: Kind
    reason: str
    target: Step | None = None
    winner: str = ""


_PEOPLE = {
    "absent": "It is not deployed yet.",
    "over": "It is deployed no more.",
    "fixed": "Nothing is left to decide.",
    "back": "It was rolled back: to try again, run `penstock promote`.",
    "off": "Its traffic is at no declared step: a person decides.",
    "swapped": "Another variant has become control: a person decides.",
}


def due(experiment: Experiment, standing: Standing, verdict: Verdict | None, last: str) -> Due:
    """Say what is due: first what must stop, then the next step, and at the last one the end.

    `last` is what Penstock's last commit did. An end that has begun goes on, also where no step gives one variant all.
    """
    harmed = [one for one in verdict.candidates if one.decision == "rollback"] if verdict else []
    live = {one.name for one in experiment.candidates if one.traffic} & {one.candidate for one in harmed}
    if live and verdict is not None and standing.where not in {"absent", "over"}:
        reason = next(one.reason for one in harmed if one.candidate in live)
        return Due("rollback", reason, without(experiment, live))
    if standing.following is not None and standing.where in {"waiting", "stage"}:
        return Due("promote", "The next step is due.", standing.following)
    if standing.where == "bake":
        winner = leader(experiment, verdict)
        return Due("conclude", f"The last stage is over: {winner} stays.", everything(experiment, winner), winner)
    winners = [one.name for one in experiment.candidates if one.traffic == 100]
    if standing.where == "off" and last == "conclude" and winners:
        (winner,) = winners
        return Due("conclude", f"{winner} has had all traffic: the others go.", everything(experiment, winner), winner)
    return Due("wait", _PEOPLE.get(standing.where, "The rollout has no next step."))


def leader(experiment: Experiment, verdict: Verdict | None) -> str:
    """Return the winner of a verdict that has one, else the candidate with the largest share."""
    if verdict is not None and verdict.winner:
        return verdict.winner
    return max(experiment.candidates, key=lambda one: one.traffic).name


def everything(experiment: Experiment, winner: str) -> Step:
    """Return the state in which one variant gets all requests."""
    return Step(tuple((one.name, 100 * (one.name == winner)) for one in experiment.variants), 0, 0, "manual")


def without(experiment: Experiment, names: set[str]) -> Step:
    """Return the state in which some candidates get nothing, and control what they had."""
    kept = {one.name: 0 if one.name in names else one.traffic for one in experiment.candidates}
    control = (experiment.control.name, 100 - sum(kept.values()))
    return Step((control, *kept.items()), 0, 0, "manual")


def at(experiment: Experiment, percent: int) -> Step | None:
    """Return the declared step at which the candidates get `percent` together; steps shrink control's share."""
    steps = experiment.rollout.steps if experiment.rollout else ()
    return next((step for step in steps if 100 - step.traffic[0][1] == percent), None)
