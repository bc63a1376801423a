"""What reverting a change would do to users.

Weights live on a route and every variant has an InferenceService of its own, so a revert is a pure change of weights
as long as everything that the state before sends requests to still runs, unchanged. Else it loads a model, and what
happens meanwhile depends on whether the route points at something that serves.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from generator.reviews import addresses, restarts
from generator.reviews.addresses import Address

Class = Literal["nothing", "weights", "route", "stops", "scales", "reloads", "unsafe"]


class Serving(NamedTuple):
    """What answers requests: where clients call, percent by variant, InferenceServices by variant, and route objects.

    InferenceServices are data as rendered, routes are texts by path.
    """

    address: Address
    traffic: Mapping[str, int]
    services: Mapping[str, Any]
    routes: Mapping[str, bytes]


class Reversal(NamedTuple):
    """How a revert would go, and why."""

    kind: Class
    reason: str


def of(before: Serving | None, after: Serving | None, mode: str) -> Reversal:
    """Classify the revert of a change from `before` to `after`; None where the experiment is not declared."""
    if before is None:
        return Reversal("unsafe", "it deletes the experiment: its hostname stops answering at once")
    if after is None:
        return Reversal("reloads", "it makes the experiment anew: nothing answers until its models are loaded")
    undone = {one.variant: one.effect for one in restarts.compare(after.services, before.services, mode)}
    loading = _loading(before, after, undone)
    ended = addresses.ended(after.address, before.address)
    if ended and (loading is None or loading.kind != "unsafe"):
        return Reversal("unsafe", f"{ended} at once")
    return loading or _moving(before, after, undone)


def _loading(before: Serving, after: Serving, undone: Mapping[str, restarts.Effect]) -> Reversal | None:
    """Return the class of a revert that loads a model; None if it loads none."""
    missing = [name for name, effect in undone.items() if effect in {"new", "moves"}]
    awaited = [name for name in missing if before.traffic.get(name)]
    if awaited:
        return Reversal(
            "unsafe",
            f"{_names(awaited)} would get {_share(before, awaited)} % of the requests while still being loaded; "
            "these fail unless the route waits for it, as Argo CD's waves do",
        )
    changed = [name for name, effect in undone.items() if effect == "restarts"]
    if changed:
        share = _share(after, changed)
        return Reversal(
            "reloads",
            f"{_names(changed)} {_verb(changed)} loaded again as before; "
            + (
                f"until then {share} % of the requests get what this change starts"
                if share
                else "no request goes there"
            ),
        )
    return (
        Reversal("reloads", f"{_names(missing)} {_verb(missing)} loaded again; no request goes there")
        if missing
        else None
    )


def _moving(before: Serving, after: Serving, undone: Mapping[str, restarts.Effect]) -> Reversal:
    gone = [name for name, effect in undone.items() if effect == "gone"]
    share = _share(after, gone)
    if share:
        reason = f"{_names(gone)} goes while {share} % of the requests get it; these fail until the gateway has let go"
        return Reversal("unsafe", reason)
    if before.traffic != {name: percent for name, percent in after.traffic.items() if name not in gone}:
        return Reversal("weights", "it changes weights of the route, and no pod" + _stopping(gone))
    return _resting(before, after, undone, gone)


def _resting(before: Serving, after: Serving, undone: Mapping[str, restarts.Effect], gone: list[str]) -> Reversal:
    """Return the class of a revert by which every request gets the same answer."""
    if gone:
        return Reversal("stops", f"it stops {_names(gone)}, which no request gets")
    if "scales" in undone.values():
        return Reversal("scales", "bounds of replicas go back")
    if before.routes != after.routes:
        return Reversal("route", "its manifests change, and with them no pod")
    return Reversal("nothing", "it changes neither routes nor pods")


def _stopping(gone: list[str]) -> str:
    return f" but those of {_names(gone)}, which no request gets" if gone else ""


def _names(variants: list[str]) -> str:
    return ", ".join(sorted(variants))


def _verb(variants: list[str]) -> str:
    return "is" if len(variants) == 1 else "are"


def _share(serving: Serving, variants: list[str]) -> int:
    return sum(serving.traffic.get(name, 0) for name in variants)
