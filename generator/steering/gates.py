"""Gates: what a step waits for. Each is a function of plain values; nothing here reads a clock, a file or the network.

A rollback passes no gate. For anything else all of them must be open, or overridden where that is allowed: a gate that
is `firm` is a rule of the environment's owner, or a doubt about what is deployed, and no reason opens it.

What evidence must show depends on how much is at stake (`evidence`). An e-value holds at every look (Ramdas et al.
2023, doi:10.1214/23-STS894), so that asking at each stage for the same guardrails costs nothing: over all stages and
looks together, the chance that a candidate beyond its margin ever passes a guardrail is at most the verdict's alpha.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from generator.documents.wording import listed, shown, span
from generator.domain import freezes, limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.analysis.verdict import Verdict
    from generator.domain import model
    from generator.domain.model import Authors, Freeze, Policy, Step
    from generator.versions.stages import Standing

FRESH = 3
"""Windows after which counts are too old to decide on."""

PROOF = ("soak", "counts", "harm", "fresh", "evidence")
"""Gates whose being open is a fact about the experiment, and worth keeping."""

_PASSED = {"non-inferior", "floor"}


class Gate(NamedTuple):
    """Whether a gate is open, and why; `opens_at` in seconds since 1970 where time alone opens it."""

    name: str
    open: bool
    reason: str
    opens_at: int | None = None
    firm: bool = False


class Known(NamedTuple):
    """What gates decide on.

    `target` is where traffic is to go, from `traffic`, which the file has; `deployed` is what is deployed. `ends` if
    that ends the comparison; `removes` if models go, `sync` seconds after traffic left them. `verdict` is None where
    nothing was analyzed, and `unknown` says why it could not be; `counted` is when its last window ended. `window` and
    `settle` are in seconds. `stale` are manifests that are not what the experiment says; `alone` if no person asked.
    """

    standing: Standing
    traffic: Mapping[str, int]
    deployed: Mapping[str, int]
    target: Step
    ends: bool
    removes: bool
    gate: model.Gate
    measured: bool
    verdict: Verdict | None
    unknown: str
    counted: int | None
    window: int
    settle: int
    sync: int
    policy: Policy
    owner: str
    author: str
    expires: str
    stale: tuple[str, ...]
    alone: bool
    now: int


def gates(known: Known) -> tuple[Gate, ...]:
    """Return all gates on the way to `known.target`, the firm ones first."""
    return tuple(_gates(known))


def _gates(known: Known) -> Iterator[Gate]:
    policy, standing = known.policy, known.standing
    gaining = tuple(name for name, percent in known.target.traffic[1:] if percent > known.traffic.get(name, 0))
    yield manifests(known.stale)
    yield arrived(known.traffic, known.deployed)
    yield owner(policy.owners, known.owner)
    yield author(policy.authors, known.author, "traffic")
    yield largest_step(policy.largest_step, known.traffic, known.target)
    yield freeze(policy.freeze, known.now)
    if not known.ends:
        yield expiry(known.expires, known.now)
        yield duration(standing.remaining)
    yield soak(standing, known.now)
    if known.removes:
        yield released(standing, known.settle + known.sync, known.now)
    if known.ends and known.target.traffic[0][1] == 100:
        return  # control is kept: there is nothing to prove
    yield plan(standing, known.target, ends=known.ends, removes=known.removes)
    if known.alone and not (known.removes and standing.where == "off"):
        yield person(known.gate)
    if known.measured:
        yield counts(known.verdict)
        yield harm(known.verdict, gaining)
    compared = [bool(known.traffic.get(name)) for name, _ in known.target.traffic]
    if known.gate == "evidence" and compared[0] and any(compared[1:]):
        yield fresh(known.counted, standing.since or 0, known.settle, known.window, known.now, known.unknown)
    decides = known.ends or known.target.traffic[0][1] == 0
    if known.gate == "evidence" and (decides or any(known.traffic.get(name) for name in gaining)):
        yield evidence(known.verdict, gaining or _largest(known.target), decides=decides, unknown=known.unknown)


def _largest(target: Step) -> tuple[str, ...]:
    """Return the variant that is to get most, where nobody gains."""
    return (max(target.traffic, key=lambda share: share[1])[0],)


def closed(found: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Return the gates that are not open."""
    return tuple(gate for gate in found if not gate.open)


def overridable(found: tuple[Gate, ...]) -> bool:
    """Tell whether a reason opens all that is closed."""
    return not any(gate.firm for gate in closed(found))


def opening(found: tuple[Gate, ...]) -> int | None:
    """Return when time alone will have opened all gates; None if it will not."""
    moments = [gate.opens_at for gate in closed(found)]
    known = [moment for moment in moments if moment is not None]
    return max(known) if known and len(known) == len(moments) else None


def plan(standing: Standing, target: Step, *, ends: bool, removes: bool = False) -> Gate:
    """The next declared step and no other; an end only from the last stage, or where it has begun."""
    if ends:
        done = removes or standing.where in {"bake", "fixed"}
        return Gate("plan", done, "the last stage is reached" if done else "the declared steps are not all taken")
    following = standing.following
    if following is None:
        return Gate("plan", False, "the rollout has no next step: the last one is taken")
    if following == target:
        return Gate("plan", True, "it is the next declared step")
    return Gate("plan", False, f"the next declared step is {shares(following)}")


def soak(standing: Standing, now: int) -> Gate:
    """The stage has been deployed for as long as it is to last, by the history of the deployed branch."""
    if standing.opens_at is None or not standing.needed:
        return Gate("soak", True, "nothing has to soak")
    if now >= standing.opens_at:
        return Gate("soak", True, f"the stage has lasted {span(standing.soaked)} of {span(standing.needed)}")
    return Gate("soak", False, standing.too_short, standing.opens_at)


def released(standing: Standing, wait: int, now: int) -> Gate:
    """Those that go have had no traffic for so long that every gateway knows it."""
    opens_at = (standing.since or 0) + wait
    if now >= opens_at:
        return Gate("released", True, "what goes has had no traffic for long enough", firm=True)
    return Gate(
        "released", False, f"what goes has had no traffic only for {span(standing.soaked)}", opens_at, firm=True
    )


def person(gate: model.Gate) -> Gate:
    """A step that waits for a person is not taken without one."""
    if gate == "manual":
        return Gate("person", False, "this step is taken by a person: run `penstock promote`")
    return Gate("person", True, f"the gate of this stage is {gate}")


def counts(verdict: Verdict | None) -> Gate:
    """The split is as declared, and nothing else voids the counts."""
    if verdict is not None and verdict.decision == "invalid":
        return Gate("counts", False, verdict.reason)
    return Gate("counts", True, "nothing voids the counts")


def harm(verdict: Verdict | None, gaining: tuple[str, ...]) -> Gate:
    """No candidate is shown to be worse, of those with traffic and of those that would get more."""
    for one in verdict.candidates if verdict is not None else ():
        if one.decision == "rollback" and one.candidate in gaining:
            return Gate("harm", False, one.reason)
    if verdict is not None and verdict.decision == "rollback":
        return Gate("harm", False, verdict.reason)
    return Gate("harm", True, "no candidate is shown to be worse")


def fresh(counted: int | None, since: int, settle: int, window: int, now: int, unknown: str = "") -> Gate:
    """The verdict is about this stage and about now: a window of the stage is in it, and the last one is not old."""
    first = since + settle + window
    if unknown:
        return Gate("fresh", False, unknown)
    if counted is None or counted < first:
        return Gate(
            "fresh", False, "nothing has been counted in this stage yet", max(first, now) if now < first else None
        )
    if now - counted > FRESH * window + settle:
        return Gate("fresh", False, f"the last count is {span(now - counted)} old: Prometheus has nothing newer")
    return Gate("fresh", True, f"counted up to {moment(counted)}")


def evidence(verdict: Verdict | None, gaining: tuple[str, ...], *, decides: bool, unknown: str = "") -> Gate:
    """The verdict allows it.

    A step on the way needs every guardrail of every candidate that gains to be shown within its bounds: more users are
    put at risk, and nothing is decided. What leaves control nothing, or ends the experiment, decides: there is nothing
    to compare with afterwards. It needs the verdict `promote` for the one that gets it all: success shown as well.
    """
    if verdict is None:
        return Gate("evidence", False, unknown or "nothing was analyzed: the environment names no Prometheus")
    if decides:
        if verdict.decision == "promote" and verdict.winner in gaining:
            return Gate("evidence", True, verdict.reason)
        return Gate("evidence", False, f"the verdict is {verdict.decision}: {verdict.reason}")
    lacking = [
        f"{row.metric} of {row.candidate}"
        for row in verdict.rows
        if row.role == "guardrail" and row.decides and row.candidate in gaining and row.shows not in _PASSED
    ]
    if lacking:
        return Gate("evidence", False, f"not shown to be within its margin: {listed(lacking)}")
    return Gate("evidence", True, "every guardrail is within its bounds")


def freeze(windows: tuple[Freeze, ...], now: int) -> Gate:
    """Nothing but a rollback changes within a freeze."""
    window = freezes.within(windows, now)
    if window is None:
        return Gate("freeze", True, "no freeze")
    return Gate("freeze", False, f"freeze: {shown(window.reason)}", freezes.free(windows, now))


def largest_step(largest: int | None, traffic: Mapping[str, int], target: Step) -> Gate:
    """No candidate gains more at once than the environment allows."""
    for _, reason in limits.excess(largest, traffic, target.traffic[1:]):
        return Gate("policy", False, reason, firm=True)
    return Gate("policy", True, "the step is not larger than allowed", firm=True)


def owner(owners: tuple[str, ...] | None, named: str) -> Gate:
    """The environment knows the owner."""
    if owners is None or named in owners:
        return Gate("owner", True, f"{shown(named)} is an owner here", firm=True)
    return Gate("owner", False, f"the environment does not know the owner {shown(named)}", firm=True)


def author(authors: Authors, address: str, kind: Literal["traffic", "models"]) -> Gate:
    """Whoever commits may change traffic here, or models."""
    reason = limits.refusal(getattr(authors, kind), address, kind)
    return Gate("author", not reason, reason or f"the author may change {kind}", firm=True)


def manifests(stale: tuple[str, ...]) -> Gate:
    """What is deployed is what the experiment says: else a step would carry out other changes as well."""
    if not stale:
        return Gate("manifests", True, "the manifests are up to date", firm=True)
    return Gate("manifests", False, f"not up to date: {listed(stale)}; run `penstock render` and publish", firm=True)


def arrived(traffic: Mapping[str, int], deployed: Mapping[str, int]) -> Gate:
    """What the file says is what is deployed: else the time and the counts are about something else."""
    if dict(traffic) == dict(deployed):
        return Gate("deployed", True, "what the file says is deployed", firm=True)
    return Gate(
        "deployed", False, "the traffic in the file is not what is deployed: publish it, and let it soak", firm=True
    )


def expiry(expires: str, now: int) -> Gate:
    """An expired experiment goes back or ends; it does not grow."""
    if expires >= datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d"):
        return Gate("expiry", True, f"it expires on {expires}", firm=True)
    return Gate("expiry", False, f"the experiment expired on {expires}: move expires, or conclude it", firm=True)


def duration(remaining: int | None) -> Gate:
    """The longest duration that was declared is not over."""
    if remaining is None or remaining >= 0:
        return Gate("duration", True, "within its duration")
    return Gate("duration", False, f"maxDuration is over since {span(-remaining)}: conclude it, or roll it back")


def proved(standing: Standing, verdict: Verdict | None, unknown: str, *, measured: bool) -> Gate:
    """It was proved where it comes from: by its verdict or, without metrics, by having lasted at the last stage."""
    if measured and verdict is None:
        return Gate("proved", False, unknown or "nothing was analyzed where it comes from")
    if verdict is not None and measured:
        return Gate("proved", verdict.decision == "promote", f"the verdict is {verdict.decision}: {verdict.reason}")
    lasted = standing.where == "bake" and standing.soaked >= standing.needed
    return Gate("proved", lasted, "the last stage is over there" if lasted else "the last stage is not over there")


def idle(moving: tuple[str, ...]) -> Gate:
    """No candidate serves where it goes to: a model is not exchanged under the requests that it answers."""
    if not moving:
        return Gate("idle", True, "no candidate gets traffic", firm=True)
    return Gate("idle", False, f"{listed(moving)} gets traffic there: conclude that first, or roll it back", firm=True)


def comparable(differing: tuple[str, ...]) -> Gate:
    """It was compared with what runs where it goes to."""
    if not differing:
        return Gate("control", True, "control is the same model on both sides")
    return Gate("control", False, f"control is another model there than here: {listed(differing)} differs")


def shares(step: Step) -> str:
    """Write a step for people: `v1 60 %, v2 40 %`."""
    copied = f", {step.shadow} % copied" if step.shadow else ""
    return ", ".join(f"{name} {percent} %" for name, percent in step.traffic) + copied


def moment(seconds: int) -> str:
    """Write a moment to the minute, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
