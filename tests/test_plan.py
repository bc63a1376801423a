"""Plans: how long experiments take, and whether they can finish. The formulas have their own tests in statistics/."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import evidence
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repositories import EXPERIMENT, Repository, holding, recommendation

from generator.analysis import planning, power
from generator.analysis.design import design
from generator.analysis.planning import Basis, Number
from generator.domain import interpret

if TYPE_CHECKING:
    from generator.analysis.planning import Plan
    from generator.domain.model import Experiment

DAY = 86400
METRICS = {"ctr": evidence.METRICS["click-through"], "errors": evidence.METRICS["errors"]}
RATES = {"ctr": 0.05, "errors": 0.005}


def declared(**spec: Any) -> Experiment:
    """Return an experiment with other fields in its spec; None removes one."""
    case = recommendation()
    rollout = {"steps": [10, 50, 100], "mode": "auto"}
    case.experiment["spec"] |= {"metrics": METRICS, "rollout": rollout, "analysis": {"settle": "2m"}} | spec
    case.experiment["spec"] = {key: value for key, value in case.experiment["spec"].items() if value is not None}
    with holding(case) as repository:
        place = interpret.environment(str(repository.root), case.names[0])
        return interpret.experiment(
            str(repository.root), place.environment, place.document, case.names[1], in_base=False
        ).experiment


def basis(rps: float | None = 50, **rates: float) -> Basis:
    numbers = {name: Number(value, "test") for name, value in (RATES | rates).items()}
    return Basis(None if rps is None else Number(rps, "test"), numbers)


def planned(rps: float | None = 50, left: int = 100 * DAY, rates: dict[str, float] | None = None, **spec: Any) -> Plan:
    return planning.plan(declared(**spec), basis(rps, **(rates or {})), left)


def test_a_stage_that_needs_evidence_waits_for_its_guardrails_and_the_last_one_for_everything() -> None:
    first, second, last = planned().stages
    assert first.waits == "errors of v2"
    safe = next(one for one in first.asks if one.need.purpose == "safe")
    assert safe.takes is not None
    assert first.lasts == pytest.approx(120 + safe.takes)
    assert safe.gathered == 1
    better = [next(one for one in stage.asks if one.need.purpose == "better") for stage in (first, second)]
    assert better[0].gathered < better[1].gathered == 1
    assert better[1].takes is not None
    assert second.lasts == pytest.approx(max(3600, 120 + better[1].takes * (1 - better[0].gathered)))
    assert (last.asks, last.cost, last.lasts) == ((), 0, 3600)


def test_requests_are_those_of_the_planning_formula() -> None:
    experiment = declared()
    second = planned().stages[1]
    asked = design(experiment)
    expected = [
        need for question in asked.questions for need in power.needs(asked, question, RATES[question.name], 0.5)
    ]
    assert [one.need for one in second.asks] == expected
    assert second.cost == 1
    assert planned().stages[0].cost == pytest.approx(power.split_cost(0.1))


@given(rps=st.floats(0.1, 1e5), steps=st.lists(st.integers(1, 99), min_size=1, max_size=6, unique=True).map(sorted))
def test_more_requests_never_take_longer_and_no_split_is_faster_than_the_fastest(rps: float, steps: list[int]) -> None:
    experiment = declared()._replace(rollout=None)
    slow, fast = (planning.plan(experiment, basis(one), 100 * DAY) for one in (rps, 2 * rps))
    assert slow.takes is not None
    assert fast.takes is not None
    assert slow.alone is not None
    assert fast.takes <= slow.takes
    for percent in steps:
        traffic = ((experiment.variants[0].name, 100 - percent), (experiment.variants[1].name, percent))
        variants = tuple(
            one._replace(traffic=share) for one, (_, share) in zip(experiment.variants, traffic, strict=True)
        )
        one = planning.plan(experiment._replace(variants=variants), basis(rps), 100 * DAY)
        assert one.takes is not None
        # A better candidate brings more events than control, so a few more requests for it may pay by a hair.
        assert one.takes >= 0.99 * slow.alone


def test_three_candidates_leave_control_more_than_an_even_split() -> None:
    names = ("v1", "v2", "v3", "v4")
    variants = {name: {"storageUri": f"gs://my-bucket/models/{name}"} for name in names}
    traffic = {"v1": 25, "v2": 25, "v3": 25, "v4": 25}
    plan = planned(variants=variants, traffic=traffic, rollout=None)
    assert plan.fastest == (("v1", 37), ("v2", 21), ("v3", 21), ("v4", 21))
    assert plan.alone is not None
    assert plan.takes is not None
    assert plan.alone < plan.takes
    assert {one.candidate for one in plan.stages[0].asks} == {"v2", "v3", "v4"}


@pytest.mark.parametrize(
    ("spec", "rates", "said"),
    [
        (
            {"metrics": METRICS | {"errors": {"role": "guardrail", "use": "kserve/errors", "limit": 0.01}}},
            {},
            "errors has neither margin nor floor, so it is never shown to be safe: declare one.",
        ),
        ({}, {"errors": 0.0}, "errors has no events, so two variants are never told apart: declare a floor."),
        (
            {"analysis": {"assignment": "sticky"}},
            {},
            "Users are sticky and only requests are counted, so nothing is ever promoted: declare bucketLabel.",
        ),
        (
            {"analysis": {"assignment": "header"}},
            {},
            "Users choose their variant by a header, so nothing is ever promoted.",
        ),
        (
            {"rollout": {"steps": [100]}},
            {},
            "No stage gives traffic to both control and a candidate, so nothing is ever compared.",
        ),
        (
            {"metrics": {}},
            {},
            "No metric that can decide is declared: a mean is shown, and decides nothing.",
        ),
    ],
)
def test_what_no_time_mends(spec: dict[str, Any], rates: dict[str, float], said: str) -> None:
    plan = planned(rates=rates, **spec)
    assert (plan.answer, plan.never) == ("no", (said,))


def test_a_floor_passes_where_there_are_no_errors_at_all() -> None:
    metrics = METRICS | {"errors": {"role": "guardrail", "use": "kserve/errors", "margin": 0.5, "floor": 0.001}}
    plan = planned(rates={"errors": 0.0}, metrics=metrics)
    assert plan.answer == "yes"
    floor = next(one.need for one in plan.stages[1].asks if one.need.purpose == "floor")
    assert floor.sequential == pytest.approx(2 * 4_224, rel=0.01)  # facts of the engine: 4,224 requests without errors


@pytest.mark.parametrize(
    ("left", "spec", "said"),
    [
        (6 * 3600, {}, "It takes 8 h 53 min, but expires in 6 h, at the end of 2099-12-31."),
        (-5, {}, "It expired at the end of 2099-12-31."),
        (100 * DAY, {"rollout": {"steps": [50, 100], "maxDuration": "3h"}}, "longer than its maxDuration of 3 h."),
    ],
)
def test_what_takes_too_long(left: int, spec: dict[str, Any], said: str) -> None:
    plan = planned(rps=10, left=left, **spec)
    assert plan.answer == "no"
    assert plan.late[0].endswith(said)


@pytest.mark.parametrize(
    ("rollout", "late"),
    [
        ({"gate": "time", "mode": "auto"}, True),
        ({"gate": "evidence", "mode": "propose"}, True),
        ({"gate": "time", "mode": "manual"}, False),
        ({"gate": "manual", "mode": "auto"}, False),
    ],
)
def test_a_stage_that_is_left_before_all_is_shown(rollout: dict[str, Any], late: bool) -> None:
    plan = planned(rps=5, rollout={"steps": [50, 100], "soak": "1h"} | rollout)
    said = (
        "Stage 1 (v1 50 %, v2 50 %) may be left before ctr of v2 is shown, and afterwards nothing is compared: give it "
        "`soak: 7h`, or `gate: manual`."
    )
    assert plan.late == ((said,) if late else ())


def test_nothing_is_known_of_durations_without_requests_or_rates() -> None:
    plan = planned(rps=None)
    assert (plan.answer, plan.takes, plan.alone) == ("unknown", None, None)
    assert [one.takes for one in plan.stages[0].asks] == [None] * 4
    without = planning.plan(declared(), Basis(Number(50, "test"), {}), DAY)
    assert (without.answer, without.takes) == ("unknown", None)
    assert without.unknown == (
        "What control shows of ctr, errors is not known: declare `baseline`, or give `--rate ctr=0.05`.",
    )


def test_the_design_effect_of_sticky_users_multiplies_everything() -> None:
    once, more = (
        planned(analysis={"assignment": "sticky", "designEffect": effect}).stages[1].asks for effect in (1, 6)
    )
    for one, other in zip(once, more, strict=True):
        assert other.need.sequential == pytest.approx(6 * one.need.sequential, rel=1e-4)


def test_with_a_bucket_label_alone_the_plan_says_that_requests_count_as_independent() -> None:
    sticky = {"assignment": "sticky", "bucketLabel": "bucket"}
    (said,) = planned(analysis=sticky).assumed
    assert said == (
        "Requests are reckoned as independent, for what bucketLabel will show of users is not known yet: declare the "
        "designEffect that you expect, which everything is multiplied by."
    )
    assert not planned(analysis=sticky | {"designEffect": 2}).assumed
    assert not planned().assumed


def test_planned_looks_need_a_little_more_than_one_and_far_less_than_all() -> None:
    for ask in planned().stages[0].asks:
        assert ask.need.fixed < planning.planned_looks(ask.need) < 1.15 * ask.need.fixed < ask.need.sequential


# The command


GIVEN = ("--rps", "50", "--rate", "ctr=0.05", "--rate", "errors=0.005")


@pytest.fixture
def declaring(repository: Repository) -> Repository:
    with repository.experiment() as document:
        document["spec"] |= {"metrics": METRICS, "rollout": {"steps": [20, 100]}, "traffic": {"v1": 80, "v2": 20}}
    return repository


def test_the_plan_in_words(declaring: Repository) -> None:
    done = declaring.invoke("plan", EXPERIMENT, "-e", "production", *GIVEN)
    assert done.exit_code == 0, done.output
    assert "production/recommendation-model: it can finish after" in done.stdout
    assert "  The fastest split, v1 50 %, v2 50 %, would show everything after " in done.stdout
    assert "\n50 requests per second (--rps)\nctr: 5 % of control's chances (--rate)\n" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-1])) < 150


def test_the_plan_for_a_pull_request(declaring: Repository) -> None:
    done = declaring.invoke("plan", EXPERIMENT, "-e", "production", *GIVEN, "-o", "markdown")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("### production/recommendation-model: it can finish after ")
    rows = [line for line in lines if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert any("ctr better by 10 %" in row for row in rows)


def test_the_plan_for_programs(declaring: Repository) -> None:
    done = declaring.invoke("plan", EXPERIMENT, "-e", "production", *GIVEN, "-o", "json")
    found = json.loads(done.stdout)
    assert (found["environment"], found["experiment"], found["answer"]) == ("production", EXPERIMENT, "yes")
    assert found["rates"]["ctr"] == {"value": 0.05, "source": "--rate"}
    assert [one["shows"] for one in found["stages"][0]["questions"]] == ["better", "harm", "safe", "harm"]
    assert found["stages"][1]["questions"] == []


def test_the_command_takes_what_the_file_declares(declaring: Repository) -> None:
    with declaring.experiment() as document:
        for name, rate in RATES.items():
            document["spec"]["metrics"][name]["baseline"] = rate
        document["spec"]["rps"] = 1e-5
    done = declaring.invoke("plan", EXPERIMENT, "-e", "production")
    assert done.exit_code == 1, done.output
    assert "ctr: 5 % of control's chances (spec.metrics.ctr.baseline)" in done.stdout
    assert "years, but expires in" in done.stdout


def test_the_command_says_what_is_missing(declaring: Repository) -> None:
    done = declaring.invoke("plan", EXPERIMENT, "-e", "production", "--rate", "ctr=0.05")
    assert done.exit_code == 3
    assert done.stdout.splitlines()[:3] == [
        "production/recommendation-model: unknown whether it can finish",
        "  Requests per second are not known: declare `rps`, or give `--rps`.",
        "  What control shows of errors is not known: declare `baseline`, or give `--rate errors=0.05`.",
    ]


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_nothing_known_leaves_no_empty_paragraph(declaring: Repository, form: str) -> None:
    done = declaring.invoke("plan", EXPERIMENT, "-e", "production", "-o", form)
    assert done.exit_code == 3
    assert "\n\n\n" not in done.stdout


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("clicks=0.1", "--rate clicks=0.1: 'clicks' is no metric that decides; ctr, errors is"),
        ("ctr", "--rate ctr: write a fraction of at least 0 and below 1, such as ctr=0.05"),
        ("ctr=5%", "--rate ctr=5%: write a fraction of at least 0 and below 1, such as ctr=0.05"),
        ("ctr=nan", "--rate ctr=nan: write a fraction of at least 0 and below 1, such as ctr=0.05"),
    ],
)
def test_a_rate_that_is_none(rate: str, said: str, declaring: Repository) -> None:
    done = declaring.invoke("plan", EXPERIMENT, "-e", "production", "--rate", rate)
    assert done.exit_code == 2
    assert said in done.output
