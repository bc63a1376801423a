"""What a verdict is computed from: counts by window, and the questions that were fixed before the start.

All times are Unix seconds in UTC. Variants and metrics are named as in the experiment file.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.domain.model import Direction, Kind, Role

Assignment = Literal["perRequest", "sticky", "header"]

DEFAULT_EFFECT = 0.1

_NONE: Mapping[str, Any] = MappingProxyType({})


class Window(NamedTuple):
    """What was counted from `start` to before `end`, within one stage and outside its settle gap.

    `events` holds, by metric and variant, (x, n): events and what they are out of, whole numbers; for a metric of kind
    `mean`, (sum, count). n may differ from `requests`, as clicks are out of impressions. `buckets` holds, where the
    router labels users, the same pairs for each bucket of users that the variant serves.
    """

    stage: int
    start: int
    end: int
    requests: Mapping[str, int]
    events: Mapping[str, Mapping[str, tuple[float, int]]]
    buckets: Mapping[str, Mapping[str, tuple[tuple[int, int], ...]]] = _NONE


class Stage(NamedTuple):
    """A period of constant traffic weights, which are relative.

    `number` counts from 0 and is what a window's `stage` names; `end` is None while it lasts.
    """

    number: int
    start: int
    end: int | None
    traffic: Mapping[str, int]


class Quality(NamedTuple):
    """How far the counts can be trusted.

    `coverage` is the fraction of the due windows that were counted, by variant; `resets` the restarts of counters that
    were seen and bridged, by variant; `missing` names what has traffic and no series, such as `v2` or `v2 clicks`;
    `gateway_gap` is |gateway's requests / servers' requests - 1|, None where only one of them counts. `invalid` and
    `warnings` are sentences without a full stop: what else voids the counts, and what is worth a look.
    """

    coverage: Mapping[str, float] = _NONE
    resets: Mapping[str, int] = _NONE
    missing: tuple[str, ...] = ()
    gateway_gap: float | None = None
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Question(NamedTuple):
    """A metric and what was asked of it before the start.

    `mde` and `margin` are relative (0.1: ten percent of control's rate). `floor` is a rate: a guardrail also passes
    where the candidate's own rate is shown to be on the good side of it, whatever control's is.
    """

    name: str
    role: Role
    direction: Direction
    mde: float | None
    margin: float | None
    floor: float | None
    kind: Kind

    @property
    def effect(self) -> float:
        """The relative effect that the evidence is tuned to: MDE or margin, or 10 % where neither is declared."""
        declared = self.mde if self.role == "success" else self.margin
        return DEFAULT_EFFECT if declared is None else declared


class Design(NamedTuple):
    """What is fixed before the start; changing it on the way voids the error rates.

    `minimum_seconds` is the shortest time from the first to the last window before anything is promoted;
    `planned_end` when it is over whatever it shows, or None. `looks` and `attempts` are printed, not used.
    """

    control: str
    candidates: tuple[str, ...]
    questions: tuple[Question, ...]
    assignment: Assignment
    design_effect: float | None = None
    alpha_ship: float = 0.05
    alpha_harm: float = 0.05
    minimum_seconds: int = 0
    planned_end: int | None = None
    looks: int = 1
    attempts: int = 1
