"""What a plan is made of: requests for each question, and how long they take."""

from __future__ import annotations

import math

import pytest

from generator.analysis import drift, power
from generator.analysis.counts import Design, Question

ERRORS = Question("errors", "guardrail", "lower", None, 0.5, None, "ratio")
CLICKS = Question("clicks", "success", "higher", 0.1, None, None, "ratio")
DESIGN = Design("v1", ("v2",), (ERRORS, CLICKS), "perRequest")


def test_a_success_metric_needs_what_the_planning_formula_says() -> None:
    better, harm = power.needs(DESIGN, CLICKS, rate=0.05, share=0.5)
    assert (better.purpose, harm.purpose) == ("better", "harm")
    assert better.events == pytest.approx(2_722, abs=1)
    assert better.fixed == pytest.approx(52_000, rel=0.01)
    assert better.sequential == pytest.approx(124_000, rel=0.01)
    assert power.seconds(better.sequential, rps=5) == pytest.approx(6.9 * 3600, rel=0.01)
    assert (better.level, harm.level) == (0.05, 0.025)


def test_a_guardrail_shares_the_chance_to_fail_with_the_success_metric() -> None:
    safe, _ = power.needs(DESIGN, ERRORS, rate=0.005, share=0.1)
    assert (safe.purpose, safe.level) == ("safe", 0.05)
    assert safe.power == pytest.approx(0.9)
    assert safe.events == pytest.approx((1.6449 + 1.2816) ** 2 / (0.09 * math.log(1.5) ** 2), rel=1e-3)


@pytest.mark.parametrize(("rate", "least", "most"), [(0.0, 4_223, 4_230), (0.0002, 7_312, 20_000)])
def test_a_floor_is_another_way_to_pass(rate: float, least: int, most: int) -> None:
    """4,224 and 7,312 requests are what the e-value needs with no and with one event."""
    guarded = ERRORS._replace(floor=0.001)
    found = {one.purpose: one for one in power.needs(DESIGN._replace(questions=(guarded, CLICKS)), guarded, rate, 0.5)}
    assert least <= found["floor"].sequential / 2 <= most
    assert found["floor"].level == 0.025
    assert ("safe" in found) == (rate > 0)


def test_a_rate_next_to_the_floor_is_never_shown_to_be_below_it() -> None:
    guarded = ERRORS._replace(floor=0.001)
    assert "floor" not in {one.purpose for one in power.needs(DESIGN, guarded, 0.00099, 0.5)}


def test_a_small_split_costs_traffic() -> None:
    assert power.split_cost(0.1) == pytest.approx(2.78, abs=0.01)
    assert power.split_cost(0.5) == 1


@pytest.mark.parametrize(("alpha", "wanted", "factor"), [(0.05, 0.8, 2.40), (0.05, 0.9, 2.18), (0.025, 0.8, 2.14)])
def test_looking_all_the_time_has_its_price(alpha: float, wanted: float, factor: float) -> None:
    assert power.sequential_inflation(0.1, alpha, wanted) == pytest.approx(factor, abs=0.01)


def test_what_cannot_be_planned_needs_nothing() -> None:
    assert power.needs(DESIGN, ERRORS, rate=0.0, share=0.5) == ()
    assert power.needs(DESIGN, CLICKS._replace(kind="mean"), rate=0.5, share=0.5) == ()
    assert power.seconds(100, rps=0) == math.inf


def test_scores_that_moved_are_said_to_have() -> None:
    same, moved = (1_000, 2_000, 4_000, 2_000, 1_000), (500, 1_500, 3_000, 3_000, 2_000)
    found = drift.drift([(same, moved)] * 5)
    assert found is not None
    assert found.level == "drift"
    assert found.psi > 10 * found.noise
    quiet = drift.drift([(same, same)] * 5)
    assert quiet is not None
    assert (quiet.level, quiet.psi) == ("none", 0)
    assert drift.drift([((0, 0), (0, 0))]) is None
