"""Where an experiment stands in its rollout."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.domain.model import Rollout, Step
from generator.versions.lives import Life, Period
from generator.versions.stages import Standing, standing

STEPS = (
    Step((("v1", 80), ("v2", 20)), 0, 60, "time"),
    Step((("v1", 50), ("v2", 50)), 0, 300, "evidence"),
    Step((("v1", 0), ("v2", 100)), 0, 60, "manual"),
)
PLAN = Rollout("auto", "", STEPS, 7200, None)
BLUE_GREEN = PLAN._replace(steps=(Step((("v1", 100), ("v2", 0)), 0, 60, "manual"), STEPS[2]))
SHADOW_FIRST = PLAN._replace(steps=(Step((("v1", 100), ("v2", 0)), 100, 60, "time"), *STEPS))


@dataclass
class Deployed:
    """Control's share, percent copied, and when: as `life` writes a period."""

    control: int
    start: int
    shadow: int = 0
    names: tuple[str, str] = ("v1", "v2")


def life(*deployed: Deployed, end: int | None = None) -> Life:
    ends = [*(one.start for one in deployed[1:]), end]
    periods = [
        Period(
            tuple(zip(one.names, (one.control, 100 - one.control), strict=True)),
            one.shadow,
            one.start,
            end,
            "c",
            "a",
            "s",
        )
        for one, end in zip(deployed, ends, strict=True)
    ]
    return Life("production", "model", tuple(periods), 1, (), ())


def test_what_was_never_deployed_stands_nowhere() -> None:
    assert standing(None, PLAN, 10) == Standing("absent")
    assert standing(life(Deployed(80, 3), end=9), PLAN, 10) == Standing("over", since=9)


def test_without_a_rollout_there_is_only_time() -> None:
    assert standing(life(Deployed(80, 3)), None, 10) == Standing("fixed", since=3, soaked=7)


def test_a_stage_waits_for_its_soak_and_then_its_gate() -> None:
    assert standing(life(Deployed(100, 0), Deployed(80, 10)), PLAN, 50) == Standing(
        "stage", 0, since=10, soaked=40, needed=60, following=STEPS[1], gate="time", opens_at=70
    )
    assert standing(life(Deployed(80, 10), Deployed(50, 90)), PLAN, 1000) == Standing(
        "stage", 1, since=90, soaked=910, needed=300, following=STEPS[2], gate="evidence", opens_at=390
    )


def test_the_last_stage_bakes() -> None:
    assert standing(life(Deployed(50, 0), Deployed(0, 10)), PLAN, 20) == Standing(
        "bake", 2, since=10, soaked=10, needed=7200, gate="manual", opens_at=7210
    )


def test_before_the_first_step_only_time_passes() -> None:
    waiting = Standing("waiting", since=5, soaked=5, following=STEPS[0], gate="time", opens_at=5)
    assert standing(life(Deployed(100, 5)), PLAN, 10) == waiting
    retrained = life(Deployed(80, 0), Deployed(100, 3), Deployed(100, 5))
    assert standing(retrained, PLAN, 10) == waiting
    replaced = life(Deployed(80, 0, names=("v1", "v0")), Deployed(100, 5))
    assert standing(replaced, PLAN, 10) == waiting


@pytest.mark.parametrize(
    ("plan", "before", "stage", "following"),
    [
        (PLAN, Deployed(50, 0), None, STEPS[0]),
        (BLUE_GREEN, Deployed(0, 0), 0, STEPS[2]),
        (SHADOW_FIRST, Deployed(100, 0, 100), None, SHADOW_FIRST.steps[0]),
    ],
)
def test_after_a_rollback_a_person_decides(plan: Rollout, before: Deployed, stage: int | None, following: Step) -> None:
    """Else a rollout that runs by itself would begin again with what has just failed."""
    assert standing(life(before, Deployed(100, 5)), plan, 10) == Standing(
        "back", stage, since=5, soaked=5, following=following, gate="manual", opens_at=5
    )


def test_a_step_back_to_an_earlier_stage_soaks_anew() -> None:
    assert standing(life(Deployed(80, 0), Deployed(50, 100), Deployed(80, 200)), PLAN, 210).opens_at == 260


def test_a_new_control_ends_the_plan() -> None:
    found = standing(life(Deployed(0, 0), Deployed(100, 5, names=("v2", "v1"))), PLAN, 10)
    assert (found.where, found.following, found.gate) == ("swapped", None, "manual")


def test_off_the_steps_a_person_decides() -> None:
    assert standing(life(Deployed(67, 5)), PLAN, 10) == Standing(
        "off", since=5, soaked=5, following=STEPS[1], gate="manual", opens_at=5
    )


def test_copies_are_a_stage_of_their_own() -> None:
    at_rest = standing(life(Deployed(100, 5)), SHADOW_FIRST, 10)
    assert (at_rest.where, at_rest.following) == ("waiting", SHADOW_FIRST.steps[0])
    copied = standing(life(Deployed(100, 5, 100)), SHADOW_FIRST, 10)
    assert (copied.where, copied.stage, copied.following) == ("stage", 0, STEPS[0])


def test_the_longest_duration_counts_from_the_first_traffic_of_these_candidates() -> None:
    plan = PLAN._replace(max_duration=100)
    strangers = Deployed(50, 0, names=("v1", "v0"))
    assert standing(life(strangers, Deployed(100, 5)), plan, 10).remaining is None
    periods = (strangers, Deployed(100, 5), Deployed(80, 20), Deployed(50, 30), Deployed(100, 40))
    assert standing(life(*periods), plan, 50).remaining == 70
    assert standing(life(*periods), plan, 130).remaining == -10


@given(st.lists(st.tuples(st.sampled_from((0, 33, 50, 80, 100)), st.integers(0, 50)), min_size=1), st.integers(0, 9999))
def test_more_time_never_closes_what_was_open(shares: list[tuple[int, int]], later: int) -> None:
    """And no soak is longer than the time since the last change."""
    start, deployed = 0, []
    for share, hours in shares:
        start += hours
        deployed.append(Deployed(share, start))
    first, second = (standing(life(*deployed), PLAN, now) for now in (start, start + later))
    assert first._replace(soaked=0) == second._replace(soaked=0)
    assert (first.soaked, second.soaked) == (0, later)
    assert first.opens_at == start + first.needed
