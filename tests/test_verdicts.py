"""A verdict as users and jobs read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args

import pytest
from histories import History
from repositories import ENVIRONMENT, EXPERIMENT, production, recommendation

from generator.analysis.counts import Quality, Stage, Window
from generator.analysis.design import design
from generator.analysis.verdict import Decision, verdict
from generator.domain import interpret
from generator.evidence import verdicts
from generator.evidence.examine import Examination
from generator.evidence.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "Prometheus remarks: `</td>@all ![x](http://x) |\x1b[2J\n::error::"


def examined(root: Path) -> Examination:
    """Examine the example by counts that are made up; the last metric of it counts errors."""
    production(root)
    place = interpret.environment(str(root), ENVIRONMENT)
    found = interpret.experiment(str(root), place.environment, place.document, EXPERIMENT, in_base=False).experiment
    stages = (Stage(0, 0, None, {"v1": 80, "v2": 20}),)
    counts = {one.name: {"v1": (80, 8000), "v2": (60, 2000)} for one in found.metrics}
    windows = (Window(0, 120, 720, {"v1": 8000, "v2": 2000}, counts),)
    quality = Quality(coverage={"v1": 1.0, "v2": 0.96}, resets={"v2": 2}, gateway_gap=0.002, warnings=(HOSTILE,))
    designed = design(found, 0, 3, 2)
    judged = verdict(designed, stages, windows, quality)
    ledger = Ledger("evidence.jsonl", (), "", "evidence.jsonl")
    return Examination(found, ENVIRONMENT, 900, stages, windows, quality, designed, judged, ledger, None, sound=True)


def test_exit_codes_never_change() -> None:
    assert verdicts.EXIT_CODES == {"promote": 0, "rollback": 1, "continue": 4, "inconclusive": 5, "invalid": 6}
    assert verdicts.EXIT_CODES.keys() == set(get_args(Decision))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--until", "noon"), "'noon' is no time like 2026-11-21T12:00:00Z"),
        (("--until", "2999-01-01T00:00:00Z"), "is still to come, so nothing can be known as of it"),
        (("--evidence", "--record"), "--evidence asks no Prometheus, so there is nothing to --record"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake_of_usage(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = production(tmp_path).invoke("analyze", EXPERIMENT, "-e", ENVIRONMENT, *options)
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.needs("git")
def test_what_is_not_deployed_or_has_no_prometheus_cannot_be_known(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.put(recommendation())
    call = ("analyze", EXPERIMENT, "-e", ENVIRONMENT)
    done = history.penstock(*call, "--evidence")
    assert done.returncode == 3
    assert done.stderr == (
        f"penstock: {EXPERIMENT} is not deployed in {ENVIRONMENT}: nothing on the deployed branch declares it; merge "
        "it first, or name another branch with --branch\n"
    )
    history.commit("begin")
    done = history.penstock(*call)
    assert done.returncode == 3
    assert done.stderr == (
        f"penstock: environments/{ENVIRONMENT}/environment.yaml: no Prometheus is declared; add spec.prometheus.url, "
        "or use --evidence with what is recorded\n"
    )


def test_each_form_says_the_same_and_nothing_of_it_is_syntax(tmp_path: Path) -> None:
    one = examined(tmp_path)
    text, markdown = verdicts.written(one, "text"), verdicts.written(one, "markdown")
    said = json.loads(verdicts.written(one, "json"))
    assert one.verdict.decision == said["decision"]
    assert one.verdict.reason in text
    assert one.verdict.reason in markdown
    for fact in (
        "coverage: v1 100.0%, v2 96.0%",
        "counters restarted: v2 2 times",
        "differ by 0.20%",
        "stages: 1 from",
    ):
        assert fact in text
        assert fact in markdown
    assert said["quality"]["coverage"] == {"v1": 1.0, "v2": 0.96}
    assert (said["looks"], said["attempts"], said["exitCode"]) == (3, 2, verdicts.EXIT_CODES[one.verdict.decision])
    for form in (text, markdown):
        assert "\x1b" not in form
        assert not [line for line in form.splitlines() if line.startswith("::")]
    (warned,) = [line for line in markdown.splitlines() if "@all" in line]
    assert warned.count("`") == 2
