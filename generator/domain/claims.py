"""What an experiment takes for itself in a cluster, so that two experiments never fight over it."""

from __future__ import annotations

import zlib
from array import array
from typing import TYPE_CHECKING

from generator import kserve, names
from generator.routing import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.documents.document import Document
    from generator.documents.load import Path
    from generator.domain.model import Environment, Experiment
    from generator.problems import Problem

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
    return tuple(f"{kind} {environment.cluster}|{name}" for kind, name, _path in _of(experiment, environment))


def _of(experiment: Experiment, environment: Environment) -> Iterator[tuple[str, str, Path]]:
    """Yield what is taken: kind, name, and the field that it comes from."""
    namespace, own = environment.namespace, ("metadata", "name")
    for host in BACKENDS[environment.routing.backend].hostnames(experiment, environment):
        yield HOST, host, ("spec", "hostname")
    yield DASHBOARD, f"{namespace}/{experiment.name}", own
    yield ROUTE, f"{namespace}/{names.route(experiment.name)}", own
    for variant in experiment.variants:
        path = ("spec", "variants", variant.name)
        service = names.isvc(experiment.name, variant.name)
        yield SERVICE, f"{namespace}/{service}", path
        # KServe makes routes of these names for every InferenceService, and overwrites whatever has them.
        yield ROUTE, f"{namespace}/{service}", path
        yield ROUTE, f"{namespace}/{kserve.service(service)}", path
        if environment.routing.variant_hosts:
            yield ROUTE, f"{namespace}/{names.route(experiment.name, variant.name)}", path


def clashes(document: Document, experiment: Experiment, environment: Environment) -> tuple[Problem, ...]:
    """Return a problem for what one experiment takes twice: a variant may be called like an object of another."""
    seen: set[tuple[str, str]] = set()
    found = []
    for kind, name, path in _of(experiment, environment):
        if (kind, name) in seen:
            message = f"{kind} `{name}` would be made twice by this experiment, and one would overwrite the other"
            fix = "give it another hostname" if kind == HOST else "rename the variant"
            found.append(document.problem(_CODES[kind], path, message, fix, key=kind != HOST))
        seen.add((kind, name))
    return tuple(found)


def conflicts(claimed: Iterable[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Return what two files claim, one of each code for a pair of them: the claim, who makes it, and who made it first.

    `claimed` holds pairs of a claim and the file that makes it.
    """
    first: dict[str, str] = {}
    found = []
    said = set()
    for claim, file in claimed:
        other = first.setdefault(claim, file)
        pair = (file, other, _CODES[claim.rpartition(" ")[0]])
        if other != file and pair not in said:
            said.add(pair)
            found.append((claim, file, other))
    return found


def conflict(document: Document, experiment: Experiment, environment: Environment, claim: str, other: str) -> Problem:
    """Say that an experiment claims what the file `other` claims too, at the field that leads to the claim."""
    kind, _, rest = claim.rpartition(" ")
    cluster, _, name = rest.partition("|")
    path = next(path for *what, path in _of(experiment, environment) if what == [kind, name])
    if kind == HOST and (name != experiment.hostname or not document.has(path)):
        path = ("metadata", "name")
    message = f"{kind} `{name}` in cluster {cluster} is also taken by {other}"
    if document.place(path).file != document.file:
        message = f"in environment {environment.name}, {message}"
    return document.problem(_CODES[kind], path, message, _FIXES[kind], key=path[1] == "variants")


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
