"""Requests that a change loses: what goes while it is called, and what is called before it can answer."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from generator import kserve
from generator.problems import WARNING, Problem
from generator.reviews import addresses
from generator.reviews.addresses import Address
from generator.reviews.meaning import ExperimentChange, Side
from generator.reviews.restarts import Pods


class Called(NamedTuple):
    """Where the experiments of the whole change are called, before and after it."""

    before: tuple[Address, ...]
    after: tuple[Address, ...]


def called(changes: Sequence[ExperimentChange]) -> Called:
    """Say where the experiments of a change are called."""
    before = tuple(_address(one.before) for one in changes if one.before)
    return Called(before, tuple(_address(one.after) for one in changes if one.after))


def check(change: ExperimentChange, pods: Iterable[Pods], called: Called) -> Iterator[Problem]:
    """Yield what loses requests."""
    if "after" in change.wrong:
        return
    if change.before is None:
        yield from _unknown(change) if change.wrong else _inherited(change, pods, called.before)
        return
    ended = _ended(change.before, change.after, called.after)
    if ended:
        yield _ending(change, change.before, ended)
    if change.after:
        yield from _removed(change, change.before, change.after)
        shares = {one.name: one.traffic for one in change.after.experiment.serving}
        serving = [one for one in pods if one.variant in shares]
        if not (change.former and ended):  # nobody calls it yet where it is now
            yield from _moved(change, [one for one in serving if one.effect == "moves"], shares)
        yield from _cold(change, {one.name for one in change.before.experiment.serving}, serving, shares)


def _unknown(change: ExperimentChange) -> Iterator[Problem]:
    if change.after is None:
        yield change.problem(
            "PS713",
            (),
            "an experiment is deleted that could not be read before: who called it gets no answer any more",
            "mend it first, so that it can be told what it serves",
            WARNING,
        )


def _inherited(change: ExperimentChange, pods: Iterable[Pods], before: Iterable[Address]) -> Iterator[Problem]:
    """Nobody calls what is new, unless it takes over the hostname of another experiment."""
    if change.after and change.after.experiment.hostname in {one.host for one in before}:
        shares = {one.name: one.traffic for one in change.after.experiment.serving}
        fix = "add it at an address of its own first, and let it take over the hostname in a later change"
        for one in _cold(change, set(), [one for one in pods if one.variant in shares], shares):
            yield one._replace(fix=fix)


def _ended(before: Side, after: Side | None, others: Iterable[Address]) -> str:
    """Say which calls end; another experiment may answer in the place of one that goes."""
    old = _address(before)
    if after:
        return addresses.ended(old, _address(after))
    heir = next((one for one in others if one.host == old.host), None)
    return addresses.ended(old, heir) if heir else f"the hostname {old.host} stops answering"


def _address(side: Side) -> Address:
    return addresses.of(side.experiment, side.environment)


def _ending(change: ExperimentChange, before: Side, ended: str) -> Problem:
    shares = _shares({one.name: one.traffic for one in before.experiment.serving})
    if change.after is None:
        return change.problem(
            "PS713",
            (),
            f"an experiment is deleted that serves ({shares}): {ended}",
            "to keep one variant serving, run `penstock conclude`; else let clients call another address first",
            WARNING,
        )
    keep = f"keep `hostname: {before.experiment.hostname}`, or " if _may_stay(change.after, before) else ""
    return change.problem(
        "PS713",
        ("spec", "hostname"),
        f"{ended}: who calls it gets {before.experiment.name} ({shares}) no more",
        f"{keep}add an experiment at the new address, move clients, and delete this one last",
        WARNING,
    )


def _may_stay(after: Side, before: Side) -> bool:
    """Tell whether a hostname that ends could be kept: Knative gives every Route its own."""
    return after.experiment.hostname != before.experiment.hostname and after.environment.mode == kserve.STANDARD


def _removed(change: ExperimentChange, before: Side, after: Side) -> Iterator[Problem]:
    kept = {variant.name for variant in after.experiment.variants}
    for variant in before.experiment.serving if change.kind != "renamed" else ():
        if variant.name not in kept:
            yield change.problem(
                "PS705",
                ("spec", "variants"),
                f"{variant.name} is removed while it gets {variant.traffic} % of the requests, which fail if its "
                "InferenceService goes before every gateway has let go of it",
                f"set its traffic to 0 first, and remove {variant.name} in a later change",
            )


def _moved(change: ExperimentChange, moved: list[Pods], shares: dict[str, int]) -> Iterator[Problem]:
    """Nothing answers where an experiment goes to until its models are loaded, and what runs where it was stops."""
    if not moved:
        return
    spaces = [one for one in moved[0].causes if one.path == ("metadata", "namespace")]
    place = f"in the namespace {spaces[0].after}" if spaces else "under another name"
    gets = {one.variant: shares[one.variant] for one in moved}
    yield change.problem(
        "PS710",
        ("spec", "traffic"),
        f"all pods stop, and others start {place}: {sum(gets.values())} % of the requests ({_shares(gets)}) fail until "
        "their models are loaded",
        "add an experiment there beside this one, move clients to it, and delete this one last",
        WARNING,
    )


def _cold(change: ExperimentChange, had: set[str], serving: list[Pods], shares: dict[str, int]) -> Iterator[Problem]:
    """What nobody has loaded yet cannot answer; `had` are those that got requests before."""
    for name, effect in ((one.variant, one.effect) for one in serving):
        if effect == "new":
            said = (
                f"{name} is new and gets {shares[name]} % of the requests, which fail until its model is loaded unless "
                "the route waits for it, as Argo CD's waves do"
            )
            verb = "add"
        elif effect == "restarts" and name not in had:
            said = (
                f"{name} gets {shares[name]} % of the requests in the change that replaces its pods: until the new "
                "ones have loaded, requests reach the old ones, with what they served before"
            )
            verb = "change"
        else:
            continue
        fix = f"{verb} {name} at 0 % first, and give it traffic in a later change"
        yield change.problem("PS710", ("spec", "traffic", name), said, fix, WARNING)


def _shares(shares: dict[str, int]) -> str:
    return ", ".join(f"{name} {percent} %" for name, percent in shares.items())
