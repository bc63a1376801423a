"""Gates: each is closed by something that no other gate minds, so that a missing gate is a failing test."""

from __future__ import annotations

from typing import Any

import pytest
from analysis_values import judged, row, verdict

from generator.domain.model import Authors, Freeze, Policy, Step
from generator.steering.gates import FRESH, Gate, Known, closed, gates, opening, overridable
from generator.versions.stages import Standing

NOW = 1_900_000_000
HOUR = 3600
WINDOW, SETTLE = 600, 120
FIFTY = Step((("v1", 50), ("v2", 50)), 0, HOUR, "evidence")
ALL = Step((("v1", 0), ("v2", 100)), 0, HOUR, "evidence")
POLICY = Policy(None, None, None, None, None, (), Authors(None, None, None), overrides=False)
STAGE = Standing("stage", 0, NOW - 2 * HOUR, 2 * HOUR, HOUR, FIFTY, "evidence", NOW - HOUR)
BAKE = Standing("bake", 2, NOW - 2 * HOUR, 2 * HOUR, HOUR, None, "evidence", NOW - HOUR)
GOOD = verdict("continue", judged("v2", "continue"), rows=(row("errors", "v2", "guardrail", "non-inferior"),))
BETTER = verdict("promote", judged("v2", "promote"), winner="v2", rows=GOOD.rows)

STEP = Known(
    standing=STAGE,
    traffic={"v1": 80, "v2": 20},
    deployed={"v1": 80, "v2": 20},
    target=FIFTY,
    ends=False,
    removes=False,
    gate="evidence",
    measured=True,
    verdict=GOOD,
    unknown="",
    counted=NOW - SETTLE,
    window=WINDOW,
    settle=SETTLE,
    sync=300,
    policy=POLICY,
    owner="recsys",
    author="ada@example.com",
    expires="2099-12-31",
    stale=(),
    alone=True,
    now=NOW,
)
END = STEP._replace(
    standing=BAKE,
    traffic={"v1": 0, "v2": 100},
    deployed={"v1": 0, "v2": 100},
    target=ALL,
    ends=True,
    removes=True,
    verdict=BETTER,
)
FROZEN = Freeze((), NOW - 60, NOW + 60, "UTC", "year end")


def policy(**changes: Any) -> dict[str, Any]:
    return {"policy": POLICY._replace(**changes)}


def standing(**changes: Any) -> dict[str, Any]:
    return {"standing": STAGE._replace(**changes)}


# What only one gate closes: its name, what else is so, what it says, and when it opens.
CLOSED: tuple[tuple[str, Known, str, int | None], ...] = (
    (
        "manifests",
        STEP._replace(stale=("a/b.yaml",)),
        "not up to date: a/b.yaml; run `penstock render` and publish",
        None,
    ),
    (
        "deployed",
        STEP._replace(deployed={"v1": 100, "v2": 0}),
        "the traffic in the file is not what is deployed: publish it, and let it soak",
        None,
    ),
    (
        "owner",
        STEP._replace(**policy(owners=("search",))),
        "the environment does not know the owner recsys",
        None,
    ),
    (
        "author",
        STEP._replace(**policy(authors=Authors(("*@ops.example.com", "bob@example.com"), None, None))),
        "ada@example.com may not change traffic here; these may: *@ops.example.com, bob@example.com",
        None,
    ),
    (
        "policy",
        STEP._replace(**policy(largest_step=29)),
        "v2 gets 30 percentage points more at once, and 29 are allowed",
        None,
    ),
    ("freeze", STEP._replace(**policy(freeze=(FROZEN,))), "freeze: year end", NOW + 60),
    (
        "expiry",
        STEP._replace(expires="2030-03-16"),
        "the experiment expired on 2030-03-16: move expires, or conclude it",
        None,
    ),
    (
        "duration",
        STEP._replace(**standing(remaining=-90)),
        "maxDuration is over since 1 min 30 s: conclude it, or roll it back",
        None,
    ),
    (
        "soak",
        STEP._replace(**standing(soaked=60, opens_at=NOW + 30)),
        "the stage has lasted 1 min, and is to last 1 h",
        NOW + 30,
    ),
    (
        "released",
        END._replace(standing=BAKE._replace(since=NOW - 419, soaked=419)),
        "what goes has had no traffic only for 6 min 59 s",
        NOW + 1,
    ),
    (
        "plan",
        STEP._replace(target=ALL, verdict=BETTER),
        "the next declared step is v1 50 %, v2 50 %",
        None,
    ),
    (
        "plan",
        END._replace(standing=STAGE, traffic={"v1": 50, "v2": 50}, deployed={"v1": 50, "v2": 50}, removes=False),
        "the declared steps are not all taken",
        None,
    ),
    (
        "person",
        STEP._replace(gate="manual"),
        "this step is taken by a person: run `penstock promote`",
        None,
    ),
    (
        "counts",
        STEP._replace(verdict=GOOD._replace(decision="invalid", reason="The counts decide nothing: the split is off.")),
        "The counts decide nothing: the split is off.",
        None,
    ),
    (
        "harm",
        STEP._replace(verdict=GOOD._replace(candidates=(judged("v2", "rollback"),))),
        "v2: rollback.",
        None,
    ),
    (
        "harm",
        STEP._replace(gate="time", verdict=verdict("rollback", judged("v3", "rollback"))),
        "rollback.",
        None,
    ),
    (
        "fresh",
        STEP._replace(counted=NOW - FRESH * WINDOW - SETTLE - 1),
        "the last count is 32 min 1 s old: Prometheus has nothing newer",
        None,
    ),
    (
        "fresh",
        STEP._replace(
            counted=NOW - SETTLE,
            standing=STAGE._replace(since=NOW - SETTLE - 300, opens_at=NOW - 100),
        ),
        "nothing has been counted in this stage yet",
        NOW + 300,
    ),
    (
        "evidence",
        STEP._replace(verdict=GOOD._replace(rows=(row("errors", "v2", "guardrail", "nothing"),))),
        "not shown to be within its margin: errors of v2",
        None,
    ),
    (
        "evidence",
        STEP._replace(target=ALL, standing=STAGE._replace(following=ALL)),
        "the verdict is continue: continue.",
        None,
    ),
    (
        "evidence",
        END._replace(verdict=GOOD),
        "the verdict is continue: continue.",
        None,
    ),
    (
        "evidence",
        END._replace(verdict=BETTER._replace(winner="v3")),
        "the verdict is promote: promote.",
        None,
    ),
    (
        "evidence",
        STEP._replace(verdict=None),
        "nothing was analyzed: the environment names no Prometheus",
        None,
    ),
)


@pytest.mark.parametrize("open_", [STEP, END, END._replace(traffic={"v1": 50, "v2": 50}, removes=False)])
def test_all_gates_are_open_where_nothing_closes_them(open_: Known) -> None:
    assert closed(gates(open_._replace(deployed=open_.traffic))) == ()


@pytest.mark.parametrize("case", CLOSED, ids=lambda case: case[0])
def test_a_gate_is_closed_by_what_only_it_minds(case: tuple[str, Known, str, int | None]) -> None:
    name, known, reason, opens_at = case
    (gate,) = closed(gates(known))
    assert gate[:4] == (name, False, reason, opens_at)


def test_every_gate_has_such_a_case() -> None:
    every = {gate.name for known in (STEP, END) for gate in gates(known)}
    assert every == {name for name, *_ in CLOSED}


def test_a_person_may_take_what_waits_for_one() -> None:
    assert closed(gates(STEP._replace(gate="manual", alone=False, verdict=None, counted=None))) == ()


def test_time_alone_asks_for_no_evidence_but_minds_harm() -> None:
    assert closed(gates(STEP._replace(gate="time", verdict=None, counted=None))) == ()
    assert "evidence" not in {gate.name for gate in gates(STEP._replace(gate="time"))}


def test_copies_answer_nobody_so_a_first_share_needs_no_guardrail() -> None:
    copied = STEP._replace(traffic={"v1": 100, "v2": 0}, deployed={"v1": 100, "v2": 0}, verdict=None, counted=None)
    assert closed(gates(copied)) == ()


def test_only_candidates_that_gain_are_asked_for_their_guardrails() -> None:
    three = STEP._replace(
        traffic={"v1": 60, "v2": 20, "v3": 20},
        deployed={"v1": 60, "v2": 20, "v3": 20},
        target=Step((("v1", 40), ("v2", 40), ("v3", 20)), 0, HOUR, "evidence"),
        verdict=GOOD._replace(rows=(*GOOD.rows, row("errors", "v3", "guardrail", "nothing"))),
    )
    three = three._replace(standing=STAGE._replace(following=three.target))
    assert closed(gates(three)) == ()
    both = three.target._replace(traffic=(("v1", 30), ("v2", 40), ("v3", 30)))
    (gate,) = closed(gates(three._replace(target=both, standing=STAGE._replace(following=both))))
    assert gate.reason == "not shown to be within its margin: errors of v3"


def test_keeping_control_needs_no_proof() -> None:
    kept = END._replace(
        standing=BAKE._replace(where="back"),
        traffic={"v1": 100, "v2": 0},
        deployed={"v1": 100, "v2": 0},
        target=Step((("v1", 100), ("v2", 0)), 0, 0, "manual"),
        verdict=None,
        counted=None,
    )
    assert closed(gates(kept)) == ()


def test_an_expired_experiment_may_end() -> None:
    assert closed(gates(END._replace(expires="2020-01-01", standing=BAKE._replace(remaining=-1)))) == ()


def test_a_reason_opens_all_but_the_firm_gates() -> None:
    frozen = gates(STEP._replace(**policy(freeze=(FROZEN,))))
    assert overridable(frozen)
    assert not overridable(gates(STEP._replace(stale=("a",))))
    firm = {gate.name for gate in (*gates(STEP), *gates(END)) if gate.firm}
    assert firm == {"manifests", "deployed", "owner", "author", "policy", "expiry", "released"}


def test_it_opens_when_the_last_gate_does_if_time_opens_all() -> None:
    one, two, never = Gate("a", False, "", 5), Gate("b", False, "", 9), Gate("c", False, "")
    assert [opening(found) for found in ((one, two), (one, never), (), (Gate("d", True, ""),))] == [9, None, None, None]
