"""What an experiment takes for itself in a cluster, so that two experiments never fight over it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from generator import kserve, names
from generator.problems import Place, Problem
from generator.routing import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from generator.model import Environment, Experiment

HOST = "the hostname"
ROUTE = "the route"
SERVICE = "the InferenceService"
DASHBOARD = "the dashboard"
_CODES = {HOST: "PS420", ROUTE: "PS421", SERVICE: "PS421", DASHBOARD: "PS422"}
_FIXES = {
    HOST: "give one of them another hostname",
    ROUTE: "rename one of the experiments or variants",
    SERVICE: "rename one of the experiments or variants",
    DASHBOARD: "rename one of the experiments, or give the environments different clusters or namespaces",
}


def of(experiment: Experiment, environment: Environment) -> tuple[str, ...]:
    """Return what is taken, each as `<kind> <cluster>|<name>`; KServe's own objects count as the experiment's."""
    return tuple(f"{kind} {environment.cluster}|{name}" for kind, name in _of(experiment, environment))


def _of(experiment: Experiment, environment: Environment) -> Iterator[tuple[str, str]]:
    namespace = environment.namespace
    for host in BACKENDS[environment.routing.backend].hostnames(experiment, environment):
        yield HOST, host
    yield DASHBOARD, f"{namespace}/{experiment.name}"
    yield ROUTE, f"{namespace}/{names.route(experiment.name)}"
    for variant in experiment.variants:
        service = names.isvc(experiment.name, variant.name)
        yield SERVICE, f"{namespace}/{service}"
        # KServe makes routes of these names for every InferenceService, and overwrites whatever has them.
        yield ROUTE, f"{namespace}/{service}"
        yield ROUTE, f"{namespace}/{kserve.service(service)}"
        if environment.routing.variant_hosts:
            yield ROUTE, f"{namespace}/{names.route(experiment.name, variant.name)}"


def conflicts(claimed: Iterable[tuple[str, str]]) -> list[Problem]:
    """Return a problem for what two files claim, one of each code for a pair of files; `claimed` holds the claim and the claiming file."""
    first: dict[str, str] = {}
    found = []
    said = set()
    for claim, file in claimed:
        other = first.setdefault(claim, file)
        kind, _, rest = claim.rpartition(" ")
        if other == file or (file, other, _CODES[kind]) in said:
            continue
        said.add((file, other, _CODES[kind]))
        cluster, _, name = rest.partition("|")
        found.append(
            Problem(
                _CODES[kind],
                Place(file),
                f"{kind} `{name}` in cluster {cluster} is also taken by {other}",
                _FIXES[kind],
            )
        )
    return found


_DIGITS = 8
_BITS = 22


def fingerprint(claimed: Iterable[str]) -> str:
    """Return eight hexadecimal digits a claim: enough to see that two may be equal, small enough to keep for all."""
    return "".join(f"{zlib.crc32(claim.encode()):08x}" for claim in claimed)


def suspects(fingerprints: Callable[[], Iterable[str]]) -> frozenset[int]:
    """Return what occurs more than once, from an iteration that can be repeated.

    A bitmap finds what may have been seen before, and a second pass counts only that: 10,000 experiments with eleven
    claims each take half a megabyte instead of ten.
    """
    bitmap = bytearray(1 << (_BITS - 3))
    maybe = set()
    for value in _values(fingerprints()):
        index, bit = value >> (32 - _BITS + 3), 1 << (value >> (32 - _BITS) & 7)
        if bitmap[index] & bit:
            maybe.add(value)
        bitmap[index] |= bit
    once: set[int] = set()
    twice: set[int] = set()
    for value in _values(fingerprints()):
        if value in maybe:
            (twice if value in once else once).add(value)
    return frozenset(twice)


def any_of(fingerprint_: str, values: frozenset[int]) -> bool:
    """Tell whether a fingerprint holds one of the values."""
    return bool(values) and any(value in values for value in _values((fingerprint_,)))


def _values(fingerprints: Iterable[str]) -> Iterator[int]:
    for text in fingerprints:
        for start in range(0, len(text), _DIGITS):
            yield int(text[start : start + _DIGITS], 16)
