"""Whatever an experiment or environment file holds, the answer is a report or manifests: never a traceback."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st
from mutations import broken, garbled
from repositories import Document, Repository, holding, recommendation
from strategies import cases

from generator import report
from generator.codes import MEANINGS
from generator.problems import Place, Problem


@given(st.data())
def test_damaged_data_is_reported_or_rendered(data: st.DataObject) -> None:
    case = data.draw(cases())
    with holding(case) as repository:
        path, document = data.draw(st.sampled_from([*zip(case.paths, case, strict=True)]))
        repository.write(path, data.draw(broken(document)))
        check(repository)


@given(st.data())
def test_damaged_text_is_reported_or_rendered(data: st.DataObject) -> None:
    case = recommendation()
    with holding(case) as repository:
        file = repository.root / data.draw(st.sampled_from(case.paths))
        file.write_bytes(data.draw(garbled(file.read_text(encoding="utf-8"))))
        check(repository)


COMMAND = re.compile(r"::(error|warning) file=[^:,]+,(line=\d+,col=\d+,)?title=Penstock PS\d{3}::.")


def check(repository: Repository) -> None:
    """Validate, and say nothing but what a user can act on; write nothing."""
    before = repository.files()
    found = repository.problems("validate")
    assert repository.files() == before
    for problem in found:
        well_formed(problem, repository)
    reportable([problem_of(one) for one in found])
    assert repository.problems("render") == found
    wrong = any(one["severity"] == "error" for one in found)
    assert repository.files() == before if wrong else repository.manifests()


def well_formed(problem: Document, repository: Repository) -> None:
    """A known code, a place inside of a file that exists, and a way to mend it."""
    assert problem["code"] in MEANINGS
    assert problem["message"].strip()
    assert problem["fix"].strip()
    if problem["file"].startswith("penstock:templates/"):
        return
    file = repository.root / problem["file"]
    assert file.exists()
    if not problem["line"]:
        assert problem["column"] == 0
        return
    lines = re.split(r"\r\n|\r|\n", file.read_text(encoding="utf-8-sig", errors="surrogateescape"))
    assert 1 <= problem["line"] <= len(lines)
    assert 1 <= problem["column"] <= len(lines[problem["line"] - 1]) + 1


def problem_of(one: Document) -> Problem:
    place = Place(one["file"], one["line"], one["column"])
    return Problem(one["code"], place, one["message"], one["fix"], one["path"], one["severity"])


def reportable(found: list[Problem]) -> None:
    """No problem breaks out of its line, its command or its document."""
    commands = report.problems(found, "github").splitlines()
    assert len(commands) == len(set(found))
    assert all(map(COMMAND.match, commands))
    assert len(json.loads(report.problems(found, "sarif"))["runs"][0]["results"]) == len(set(found))
