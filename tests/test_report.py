"""Reports: every form is what its reader parses, and no value of a user's can forge a part of it."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import report
from generator.problems import WARNING, Place, Problem

PROBLEM = Problem(
    "PS303", Place("environments/p/experiments/x.yaml", 4, 2), "traffic sums to 90", "add 10", "spec.traffic"
)
HOSTILE = '::error::x\n::set-output name=a::b\r%0A\x1b[31m\u202e<b>&"]]>\x00 @team `x` |'
texts = st.text(max_size=40) | st.just(HOSTILE)
problems = st.builds(
    Problem,
    st.sampled_from(["PS101", "PS303"]),
    st.builds(Place, texts.map(lambda text: text or "x"), st.integers(0, 99), st.integers(0, 99)),
    texts,
    texts,
    texts,
    st.sampled_from(["error", WARNING]),
)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("text", "environments/p/experiments/x.yaml:4:2: error PS303: traffic sums to 90\n    add 10\n"),
        (
            "github",
            (
                "::error file=environments/p/experiments/x.yaml,line=4,col=2,title=Penstock PS303::"
                "traffic sums to 90; add 10\n"
            ),
        ),
    ],
)
def test_forms_for_people(form: str, expected: str) -> None:
    assert report.problems([PROBLEM], form) == expected


def test_sarif_names_the_place_and_explains_the_rule() -> None:
    log = json.loads(report.problems([PROBLEM], "sarif"))
    (run,) = log["runs"]
    assert run["tool"]["driver"]["rules"] == [
        {"id": "PS303", "shortDescription": {"text": "traffic does not sum to 100"}}
    ]
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 4,
        "startColumn": 2,
    }


def test_junit_fails_for_errors_only() -> None:
    suite = ET.fromstring(report.problems([PROBLEM, PROBLEM._replace(severity=WARNING, message="w")], "junit"))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert ET.fromstring(report.problems([], "junit")).get("failures") == "0"


@given(st.lists(problems, max_size=4))
def test_no_value_breaks_out_of_a_form(found: list[Problem]) -> None:
    text = report.problems(found, "text")
    assert all(character.isprintable() or character == "\n" for character in text)
    commands = report.problems(found, "github").splitlines()
    assert len(commands) == len(set(found))
    assert all(re.match(r"::(error|warning) file=", line) for line in commands)
    assert len(json.loads(report.problems(found, "json"))["problems"]) == len(set(found))
    assert len(json.loads(report.problems(found, "sarif"))["runs"][0]["results"]) == len(set(found))
    assert int(ET.fromstring(report.problems(found, "junit")).get("tests", "0")) == max(len(set(found)), 1)
