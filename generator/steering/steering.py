"""Moving an experiment through its rollout by commits: what is due is read from a tree of the tip, and made there.

Each decision is taken anew on every tip that a publication builds upon: where another run was faster, its step is seen,
and none is taken twice. How long anything has lasted comes from the history of the deployed branch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from generator import pipeline
from generator.documents import edit, load
from generator.documents.wording import shown
from generator.domain import interpret
from generator.domain.model import Shadow
from generator.evidence import ledger
from generator.manifests.readback import Reader
from generator.manifests.render import Templates
from generator.names import TRAILER_ACTION, TRAILER_OVERRIDE, TRAILER_VERDICT
from generator.problems import PenstockError
from generator.publishing import message
from generator.publishing.message import Message, Move
from generator.publishing.publication import Revision, rendered_folders
from generator.repository import BASE, evidence_folder, experiment_file
from generator.runs import freshness, templates, tree
from generator.runs.seal import seal
from generator.steering import amend, moves, record, transfer
from generator.steering import gates as gating
from generator.versions import history, revisions
from generator.versions.stages import standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from generator.analysis.verdict import Verdict
    from generator.documents.document import Document
    from generator.documents.edit import Edit
    from generator.domain.interpret import Place, Reading
    from generator.domain.model import Environment, Experiment, Step
    from generator.evidence.ledger import Ledger, Look
    from generator.steering.gates import Gate
    from generator.steering.moves import Due
    from generator.versions.lives import Life
    from generator.versions.stages import Standing

_SYNC = 300
"""Seconds that a deployment is given to reach every gateway where no GitOps tool is declared."""


class Examined(NamedTuple):
    """What analyzing came to.

    The last window that was counted ended at `counted` and was `window` seconds long. `unknown` says why there is no
    verdict. `look` is what the `ledger` lacks, None if that is nothing, or must not be recorded. `report` tells all of
    it as Markdown.
    """

    verdict: Verdict | None = None
    counted: int | None = None
    window: int = 0
    unknown: str = ""
    ledger: Ledger | None = None
    look: Look | None = None
    report: str = ""


Examine: TypeAlias = "Callable[[str, Environment, Experiment, Life, int], Examined]"
"""Analyzes an experiment: root of the tree that it is declared in, environment, experiment, its life, and the time."""


class Circumstances(NamedTuple):
    """What a decision rests on besides the tree it is taken on.

    `root` is the user's repository; `deployed` returns the commit that is deployed, given where the branch that is
    published to stands at the remote ("" if it is not pushed). `author` is the address of whoever commits; `alone` if
    no person asked for the step.
    """

    root: str
    environment: str
    deployed: Callable[[str], str]
    examine: Examine
    author: str
    alone: bool
    now: int


class Case(NamedTuple):
    """An experiment in a tree, and where it stands."""

    environment: Environment
    experiment: Experiment
    document: Document
    life: Life | None
    standing: Standing
    examined: Examined

    @property
    def traffic(self) -> dict[str, int]:
        """Percent by variant, control first, as the file has it."""
        return {variant.name: variant.traffic for variant in self.experiment.variants}


class Decided(NamedTuple):
    """What is due, the gates on the way to it, and the edits that would make it; none where it is made already."""

    due: Due
    gates: tuple[Gate, ...]
    edits: tuple[Edit, ...]


class RolloutError(PenstockError):
    """What is asked for makes no sense for this experiment as it stands."""

    exit_code = 1


class ClosedError(PenstockError):
    """Gates are closed: says which, why, and when they open."""

    exit_code = 1

    def __init__(self, label: str, found: tuple[Gate, ...], remedy: str) -> None:
        super().__init__(label, remedy)
        self.gates = found

    def __str__(self) -> str:
        label, remedy = self.args
        return "\n".join([f"{label}: not now", *told(gating.closed(self.gates)), *([remedy] if remedy else [])])


def told(found: tuple[Gate, ...]) -> list[str]:
    """Write gates for people, a line for each."""
    return [
        f"    {gate.name}: {gate.reason}" + (f" (opens {gating.moment(gate.opens_at)})" if gate.opens_at else "")
        for gate in found
    ]


def read(root: str, place: Place, name: str) -> Reading:
    """Read an experiment of an environment in the tree at `root`; ProblemsError if it is wrong."""
    in_base = os.path.lexists(f"{root}/{experiment_file(BASE, name)}")
    return interpret.experiment(root, place.environment, place.document, name, in_base=in_base)


def look(known: Circumstances, root: str, name: str, life: Life | None) -> Case:
    """Read an experiment in the tree at `root`, and examine it; ProblemsError if it is wrong."""
    place = interpret.environment(root, known.environment)
    return examined(known, root, place.environment, read(root, place, name), life)


def examined(known: Circumstances, root: str, environment: Environment, found: Reading, life: Life | None) -> Case:
    """Say where an experiment stands that was read in the tree at `root`, and examine it."""
    experiment = found.experiment
    where = standing(life, experiment.rollout, known.now)
    came = Examined()
    if life is not None and experiment.metrics and experiment.candidates and where.where != "over":
        came = known.examine(root, environment, experiment, life, known.now)
    return Case(environment, experiment, found.document, life, where, came)


def lived(known: Circumstances, name: str, seen: str) -> Life | None:
    """Return the life of an experiment on the deployed branch."""
    key = (known.environment, name)
    return history.lives(known.root, known.deployed(seen), {key}, known.now).get(key)


def decided(known: Circumstances, case: Case, due: Due, root: str) -> Decided:
    """Ask all gates on the way to what is due; of manifests only if `root`, the tree that has them, is not ""."""
    experiment, target = case.experiment, due.target
    if target is None:
        return Decided(due, (), ())
    ends = due.kind == "conclude"
    removes = _removes(case, due)
    edits = amend.conclusion(case.document, due.winner) if removes else _step(case, target)
    if due.kind == "rollback" or not edits:
        return Decided(due, (), edits)
    stale = _stale(root, known.environment, experiment.name) if root else ()
    delivery = case.environment.gitops
    return Decided(
        due,
        gating.gates(
            gating.Known(
                standing=case.standing,
                traffic=case.traffic,
                deployed=dict(case.life.periods[-1].traffic) if case.life else {},
                target=target,
                ends=ends,
                removes=removes,
                gate=case.standing.gate or ("evidence" if experiment.metrics else "manual"),
                measured=bool(experiment.metrics),
                verdict=case.examined.verdict,
                unknown=case.examined.unknown,
                counted=case.examined.counted,
                window=max(experiment.analysis.window, case.examined.window),
                settle=experiment.analysis.settle,
                sync=delivery.interval if delivery else _SYNC,
                policy=case.environment.policy,
                owner=experiment.owner,
                author=known.author,
                expires=experiment.expires,
                stale=stale,
                alone=known.alone,
                now=known.now,
            )
        ),
        edits,
    )


def _step(case: Case, target: Step) -> tuple[Edit, ...]:
    """Return the edits that give a step's traffic; none where the file has it already."""
    shadow = Shadow(case.experiment.candidates[0].name, target.shadow) if target.shadow else None
    if case.traffic == dict(target.traffic) and case.experiment.shadow == shadow:
        return ()
    return amend.traffic(case.document, dict(target.traffic), shadow)


def _stale(root: str, environment: str, name: str) -> tuple[str, ...]:
    """Return the rendered files of an experiment that are not what it says."""
    site = pipeline.site(root, environment)
    in_base = os.path.lexists(f"{root}/{experiment_file(BASE, name)}")
    own = Templates(templates.sound(root), freshness.compiled())
    built = pipeline.build(root, site, name, in_base=in_base, templates=own, reader=Reader(), today="")
    texts = {one.planned.path: seal(one.planned.source, one.text) for one in built.manifests}
    changes, problems = tree.compare(root, rendered_folders(root, site.environment, name), texts)
    found = {change.path for change in changes if change.action != tree.SAME}
    return tuple(sorted(found | {problem.place.file for problem in problems}))


def revised(case: Case, chosen: Decided, root: str, now: int, text: str = "", reason: str = "") -> Revision:
    """Write what was decided into the tree at `root`, and say what it is; `reason` overrides closed gates."""
    if not chosen.edits:
        return Revision((), Message())
    file = case.document.file
    raw = edit.apply(load.read(root, file), chosen.edits, file)
    with open(f"{root}/{file}", "wb") as out:
        out.write(raw)
    paths = [file]
    examined = case.examined
    if examined.ledger is not None and examined.look is not None:
        ledger.append(root, examined.ledger, examined.look)
        paths.append(examined.ledger.file)
    if _removes(case, chosen.due):
        paths.append(_recorded(case, chosen.due, root, now))
    trailers: list[tuple[str, str]] = [(TRAILER_ACTION, chosen.due.kind)]
    trailers += [(TRAILER_VERDICT, examined.verdict.decision)] if examined.verdict else []
    trailers += [(TRAILER_OVERRIDE, reason)] if reason else []
    return Revision(tuple(paths), Message(text or _words(case, chosen, reason), tuple(trailers)))


def _removes(case: Case, due: Due) -> bool:
    """Tell whether it is time for models to go: traffic has gone before."""
    return due.kind == "conclude" and case.traffic.get(due.winner) == 100


def _recorded(case: Case, due: Due, root: str, now: int) -> str:
    """Write the record of the decision; return its path."""
    environment, experiment = case.environment.name, case.experiment
    place = evidence_folder(environment, experiment.name)
    os.makedirs(f"{root}/{place}", exist_ok=True)
    number = 1 + sum(name.startswith("decision-") for name in os.listdir(f"{root}/{place}"))
    text = record.document(
        environment, experiment, due.winner, case.life, case.examined.verdict, case.examined.report, due.reason, now
    )
    with open(f"{root}/{place}/decision-{number}.md", "x", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return f"{place}/decision-{number}.md"


def _words(case: Case, chosen: Decided, reason: str) -> str:
    """Say in the commit what was done, why, and what was known."""
    due, name = chosen.due, case.experiment.name
    if _removes(case, due):
        gone = ", ".join(variant for variant in case.traffic if variant != due.winner)
        subject = f"{case.environment.name}/{name}: concluded with {due.winner}, {gone} removed"
    else:
        assert due.target is not None  # noqa: S101 (there are edits)
        move = Move(name, tuple(case.traffic.items()), due.target.traffic)
        subject = message.sentence(case.environment.name, move)
    lines = [subject, "", due.reason, ""]
    if reason:
        lines += [f"Overridden: {shown(reason)}", *told(gating.closed(chosen.gates)), ""]
    lines += told(tuple(gate for gate in chosen.gates if gate.open and gate.name in gating.PROOF))
    return "\n".join(lines)


def promotion(
    known: Circumstances, name: str, to: int | None, reason: str, text: str
) -> Callable[[str, str], Revision]:
    """Return what takes the next step, or the one to `to` percent, on the tree of a tip; ClosedError if a gate is."""

    def revise(seen: str, root: str) -> Revision:
        case = look(known, root, name, lived(known, name, seen))
        target = _target(case, to)
        due = moves.Due("promote", f"The next step, to {gating.shares(target)}.", target)
        return _passed(known, case, decided(known, case, due, root), root, text, reason)

    return revise


def crossing(
    source: Circumstances, known: Circumstances, name: str, reason: str, text: str
) -> Callable[[str, str], Revision]:
    """Return what brings an experiment that was proved in one environment into another, where its rollout begins."""

    def revise(_: str, root: str) -> Revision:
        with revisions.laid(source.root, source.deployed(""), source.environment) as there:
            case = look(source, there, name, lived(source, name, ""))
        if not case.experiment.candidates:
            raise RolloutError(f"{name} has no candidate in {source.environment}: there is nothing to bring over")
        file = experiment_file(known.environment, name)
        place = interpret.environment(root, known.environment)
        proved = gating.proved(
            case.standing, case.examined.verdict, case.examined.unknown, measured=bool(case.experiment.metrics)
        )
        asked = [proved, gating.author(place.environment.policy.authors, known.author, "models")]
        asked += [gating.freeze(place.environment.policy.freeze, known.now)]
        if os.path.lexists(f"{root}/{file}"):
            here = read(root, place, name)
            asked += _fits(case.document, here)
            asked += [gating.manifests(_stale(root, known.environment, name))]
            edits = transfer.edits(case.document, here.document)
            raw = load.read(root, file)
        else:
            edits, raw = transfer.new(case.document), _BEGINNING.format(name=name).encode()
        written = edit.apply(raw, edits, file)
        if os.path.lexists(f"{root}/{file}") and written == raw:
            return Revision((), Message())
        why = f"What was proved in {source.environment}."
        closed = passed(place.environment, f"{known.environment}/{name}", tuple(asked), reason)
        os.makedirs(os.path.dirname(f"{root}/{file}"), exist_ok=True)
        with open(f"{root}/{file}", "wb") as out:
            out.write(written)
        lines = [f"{known.environment}/{name}: from {source.environment}", "", why, ""]
        lines += [f"Overridden: {shown(reason)}", *told(closed)] if closed else told((proved,))
        trailers = [(TRAILER_ACTION, "transfer")]
        trailers += [(TRAILER_VERDICT, case.examined.verdict.decision)] if case.examined.verdict else []
        trailers += [(TRAILER_OVERRIDE, reason)] if closed else []
        return Revision((file,), Message(text or "\n".join(lines), tuple(trailers)))

    return revise


_BEGINNING = """# yaml-language-server: $schema=../../../schemas/experiment.json
apiVersion: penstock.dev/v1alpha1
kind: Experiment
metadata: {{name: {name}}}
spec:
  traffic: {{}}
"""


def _fits(source: Document, here: Reading) -> list[Gate]:
    """Ask whether the experiment that is there can take in what was proved."""
    moving = tuple(one.name for one in here.experiment.candidates if one.traffic)
    control = here.experiment.control.name
    known = source.spec["control"] == control
    pair = [transfer.settings(one, control) for one in (source, here.document)] if known else [{}, {"control": ""}]
    differing = sorted(key for key in pair[0].keys() | pair[1].keys() if pair[0].get(key) != pair[1].get(key))
    return [gating.idle(moving), gating.comparable(tuple(differing))]


def conclusion(known: Circumstances, name: str, winner: str, reason: str, text: str) -> Callable[[str, str], Revision]:
    """Return what ends an experiment with a winner, as far as it may now: traffic first, models later."""

    def revise(seen: str, root: str) -> Revision:
        case = look(known, root, name, lived(known, name, seen))
        if winner not in case.traffic:
            raise RolloutError(f"{name} has no variant {winner!r}; there are {', '.join(case.traffic)}")
        if not case.experiment.candidates:
            return Revision((), Message())
        back = winner == case.experiment.control.name and case.traffic[winner] < 100
        verdict = case.examined.verdict
        due = moves.Due(
            "rollback" if back else "conclude",
            verdict.reason if verdict else f"{winner} is kept.",
            moves.everything(case.experiment, winner),
            winner,
        )
        return _passed(known, case, decided(known, case, due, root), root, text, reason)

    return revise


def rollback(environment: str, name: str, to: int, why: str, text: str) -> Callable[[str, str], Revision]:
    """Return what gives control the traffic back, or all but `to` percent of it. No gate, no history, no analysis."""

    def revise(_: str, root: str) -> Revision:
        place = interpret.environment(root, environment)
        found = read(root, place, name)
        case = Case(place.environment, found.experiment, found.document, None, standing(None, None, 0), Examined())
        target = moves.at(case.experiment, to) if to else None
        if to and (target is None or to >= 100 - case.experiment.control.traffic):
            raise RolloutError(f"{to} % is no declared step below where {name} stands; {_steps(case.experiment)}")
        target = target or moves.without(case.experiment, {one.name for one in case.experiment.candidates})
        due = moves.Due("rollback", f"Rolled back: {why}" if why else "Rolled back.", target)
        return revised(case, Decided(due, (), _step(case, target)), root, 0, text)

    return revise


def _target(case: Case, to: int | None) -> Step:
    experiment = case.experiment
    if experiment.rollout is None:
        raise RolloutError(f"{experiment.name} declares no rollout, so it has no next step; add spec.rollout")
    if to is None:
        target = case.standing.following
        if target is None:
            raise RolloutError(
                f"{experiment.name} has no next step: it is {_WHERE.get(case.standing.where, case.standing.where)}"
            )
        return target
    found = moves.at(experiment, to)
    if found is None:
        raise RolloutError(f"{to} % is no declared step of {experiment.name}; {_steps(experiment)}")
    if to < 100 - experiment.control.traffic:
        raise RolloutError(f"{experiment.name} is beyond {to} %; to go back, run `penstock rollback`")
    return found


_WHERE = {
    "absent": "not deployed yet: publish it first",
    "over": "deployed no more",
    "bake": "at its last stage, which `penstock conclude` ends",
    "swapped": "concluded, or about to be",
}


def _steps(experiment: Experiment) -> str:
    steps = experiment.rollout.steps if experiment.rollout else ()
    return f"steps are declared at {', '.join(str(100 - step.traffic[0][1]) for step in steps) or 'none'}"


def _passed(known: Circumstances, case: Case, chosen: Decided, root: str, text: str, reason: str) -> Revision:
    """Write what was decided if all gates are open, or overridden."""
    if not chosen.edits:
        return Revision((), Message())
    label = f"{known.environment}/{case.experiment.name}"
    overridden = reason if passed(case.environment, label, chosen.gates, reason) else ""
    return revised(case, chosen, root, known.now, text, overridden)


def passed(environment: Environment, label: str, found: tuple[Gate, ...], reason: str) -> tuple[Gate, ...]:
    """Return the closed gates that a reason passes, none if all are open; ClosedError if it passes them not."""
    shut = gating.closed(found)
    allowed = environment.policy.overrides and gating.overridable(found)
    if not shut or (reason and allowed):
        return shut
    remedy = 'To go on anyway, give a reason with --override "…".' if allowed else ""
    if reason:
        remedy = (
            "These gates cannot be overridden."
            if environment.policy.overrides
            else f"{environment.name} allows no override: spec.policy.overrides is not set."
        )
    raise ClosedError(label, found, remedy)
