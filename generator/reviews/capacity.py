"""What an experiment needs of a cluster: replicas, and what they request, at least and at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator import kserve
from generator.quantities import ONE, value

if TYPE_CHECKING:
    from generator.domain.model import Experiment, Variant

_GIB = 1024**3 * ONE


class Capacity(NamedTuple):
    """Sums over all variants; `requests` are of the least replicas, in billionths, by resource in order of name.

    `most` is None where a variant may grow without bound. `silent` are variants that leave a request to their runtime.
    """

    least: int
    most: int | None
    requests: tuple[tuple[str, int], ...]
    silent: tuple[str, ...]


NOTHING = Capacity(0, 0, (), ())


def of(experiment: Experiment | None) -> Capacity:
    """Add up what an experiment declares; NOTHING without one."""
    if experiment is None:
        return NOTHING
    sums: dict[str, int] = {}
    for variant in experiment.variants:
        for name, amount in _requested(variant).items():
            sums[name] = sums.get(name, 0) + (value(amount) or 0) * variant.replicas.minimum
    bounds = [_most(variant) for variant in experiment.variants]
    return Capacity(
        sum(variant.replicas.minimum for variant in experiment.variants),
        None if None in bounds else sum(filter(None, bounds)),
        tuple(sorted(sums.items())),
        tuple(variant.name for variant in experiment.variants if kserve.RUNTIME_RESOURCES.keys() - _requested(variant)),
    )


def _requested(variant: Variant) -> dict[str, str]:
    """A limit without a request becomes the request (Kubernetes, pkg/apis/core/v1/defaults.go, SetDefaults_Pod).

    But not where the runtime has a request of its own, which stays beside the limit.
    """
    limits = {name: amount for name, amount in variant.limits if name not in kserve.RUNTIME_RESOURCES}
    return limits | dict(variant.requests)


def _most(variant: Variant) -> int | None:
    """KServe takes the least for the most where none is given (reconcilers/hpa/hpa_reconciler.go)."""
    return max(variant.replicas.maximum or variant.replicas.minimum, variant.replicas.minimum)


def words(before: Capacity, after: Capacity) -> list[str]:
    """Say what comes or goes: `+2 replicas at least (2 → 4)`, `+4 CPU`, `-8 Gi memory`; nothing if nothing does."""
    said = []
    if before.least != after.least:
        more = after.least - before.least
        noun = "replica" if abs(more) == 1 else "replicas"
        said.append(f"{_signed(more)} {noun} at least ({before.least} → {after.least})")
    if before.most != after.most:
        said.append(f"{_bound(before.most)} → {_bound(after.most)} replicas at most")
    old, new = dict(before.requests), dict(after.requests)
    for name in sorted(old.keys() | new.keys()):
        change = new.get(name, 0) - old.get(name, 0)
        if change:
            said.append(_amount(name, change))
    return said


def _bound(most: int | None) -> str:
    return "any number of" if most is None else str(most)


def _amount(name: str, change: int) -> str:
    if name == "memory" or name.endswith("storage"):
        return f"{_signed(change / _GIB)} GiB {name}"
    unit = {"cpu": "CPU"}.get(name, "GPU" if name.endswith("/gpu") else name)
    return f"{_signed(change / ONE)} {unit}"


def _signed(amount: float) -> str:
    return f"{amount:+.6g}"
