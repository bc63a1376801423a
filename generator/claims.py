"""What an experiment takes for itself in a cluster, so that two experiments never fight over it."""

from __future__ import annotations

import zlib
from array import array
from typing import TYPE_CHECKING

from generator import kserve, names
from generator.problems import Place, Problem
from generator.routing import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    """Return a problem for what two files claim, one of each code for a pair of files.

    `claimed` holds pairs of a claim and the file that makes it.
    """
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


def fingerprint(claimed: Iterable[str]) -> str:
    """Return eight hexadecimal digits a claim: enough to see that two may be equal, small enough to keep for all."""
    return "".join(f"{zlib.crc32(claim.encode()):08x}" for claim in claimed)


class Register:
    """Fingerprints of all experiments, in four bytes a claim."""

    def __init__(self) -> None:
        self._values = array("L" if array("L").itemsize == 4 else "I")

    def add(self, fingerprint_: str) -> None:
        """Take in what one experiment claims."""
        self._values.extend(_values(fingerprint_))

    def repeated(self) -> frozenset[int]:
        """Return what occurs more than once; equal claims, or rarely two that only look alike."""
        found: set[int] = set()
        parts = len(self._values) // 16_384 + 1  # a set of all at once would take forty times the room
        for part in range(parts):
            seen: set[int] = set()
            for value in self._values:
                if value % parts == part:
                    (found if value in seen else seen).add(value)
        return frozenset(found)


def any_of(fingerprint_: str, values: frozenset[int]) -> bool:
    """Tell whether a fingerprint holds one of the values."""
    return any(value in values for value in _values(fingerprint_))


def _values(fingerprint_: str) -> Iterator[int]:
    for start in range(0, len(fingerprint_), _DIGITS):
        yield int(fingerprint_[start : start + _DIGITS], 16)
