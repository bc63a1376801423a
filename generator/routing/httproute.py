"""What the template of an HTTPRoute is told. Annotations as they are: `model` says why."""

from typing import NamedTuple


class Match(NamedTuple):
    """One path, matched exactly or by whole segments from its start."""

    type: str
    path: str


class Target(NamedTuple):
    """A variant's Service and its weight."""

    variant: str
    service: str
    weight: int


class Rule(NamedTuple):
    """One rule of a route; `forced` is the variant that a tester's header asks for, `mirror` gets copies."""

    targets: tuple[Target, ...]
    forced: str = ""
    mirror: Target | None = None
    percent: int = 100
