"""Problems and changes as text, JSON, workflow commands, SARIF or JUnit: every word that users and CI read of a run.

Values of experiment files end up in all of these. Each format escapes them, so that none can forge a line of another
one's syntax, and nothing unprintable reaches a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator.codes import MEANINGS
from generator.credentials import concealed
from generator.problems import ERROR, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from generator.runs.tree import Change

FORMATS = ("text", "json", "github", "sarif", "junit")


def printable(text: str) -> str:
    r"""Return the text with whatever a terminal would not print plainly written as `\x1b` or `\u202e`."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def problems(found: Sequence[Problem], form: str, *, fail_on_warn: bool = False) -> str:
    """Write problems in one of FORMATS, sorted by place; ends with a line end unless empty.

    With `fail_on_warn`, JUnit counts warnings among the failures: it has no other word for what fails a run.
    """
    told = _safe(found)
    if fail_on_warn and form == "junit":
        told = [problem._replace(severity=ERROR) for problem in told]
    return _WRITERS[form](told)


def document(found: Sequence[Problem], changes: Sequence[Change], same: int) -> str:
    """Write a whole run as JSON."""
    import json  # noqa: PLC0415 (start-up time)

    return (
        json.dumps(
            {
                "problems": [_plain(problem) for problem in _safe(found)],
                "changes": [change._asdict() for change in changes],
                "unchanged": same,
            },
            indent=2,
        )
        + "\n"
    )


def _safe(found: Sequence[Problem]) -> list[Problem]:
    """Return each problem once, in an order that nothing else decides, printable and without credentials."""
    return [
        problem._replace(
            message=printable(concealed(problem.message)),
            fix=printable(concealed(problem.fix)),
            path=printable(problem.path),
            place=problem.place._replace(file=printable(problem.place.file)),
        )
        for problem in sorted(set(found), key=lambda one: (one.place, one.code, one.message))
    ]


def count(found: Sequence[Problem]) -> str:
    """Say how many errors and warnings there are, or "" for none."""
    wrong = sum(problem.severity == ERROR for problem in set(found))
    warned = len(set(found)) - wrong
    parts = [_plural(wrong, "error")] * bool(wrong) + [_plural(warned, "warning")] * bool(warned)
    return ", ".join(parts)


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _text(found: Sequence[Problem]) -> str:
    return "".join(
        f"{problem.place}: {problem.severity} {problem.code}: {problem.message}\n"
        + (f"    at {problem.path}\n" if problem.path and not problem.place.line else "")
        + f"    {problem.fix}\n"
        for problem in found
    )


def _sentence(problem: Problem) -> str:
    """Return what is wrong and how to mend it where there is one line for both; a fix begins in lower case."""
    return f"{problem.message}; {problem.fix}"


def _plain(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "path": problem.path,
        "message": problem.message,
        "fix": problem.fix,
    }


def _json(found: Sequence[Problem]) -> str:
    return document(found, (), 0)


def _github(found: Sequence[Problem]) -> str:
    return "".join(
        f"::{problem.severity} file={_entry(problem.place.file)}"
        + (f",line={problem.place.line},col={problem.place.column}" if problem.place.line else "")
        + f",title={_entry('Penstock ' + problem.code)}::{_value(_sentence(problem))}\n"
        for problem in found
    )


def notice(file: str, message: str) -> str:
    """Write a workflow command that shows a message beside a file."""
    return f"::notice file={_entry(printable(file))},title=Penstock::{_value(printable(message))}\n"


# The escapes of workflow commands are those of actions/toolkit, packages/core/src/command.ts.
def _value(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _entry(text: str) -> str:
    return _value(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(found: Sequence[Problem]) -> str:
    """SARIF 2.1.0 (OASIS), as GitHub's code scanning reads it."""
    import json  # noqa: PLC0415
    from urllib.parse import quote  # noqa: PLC0415

    results = [
        {
            "ruleId": problem.code,
            "level": problem.severity,
            "message": {"text": _sentence(problem)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(problem.place.file)},
                        "region": {
                            "startLine": max(problem.place.line, 1),
                            "startColumn": max(problem.place.column, 1),
                        },
                    }
                }
            ],
        }
        for problem in found
    ]
    rules = [
        {"id": code, "shortDescription": {"text": MEANINGS[code]}}
        for code in sorted({problem.code for problem in found})
    ]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "Penstock", "rules": rules}}, "results": results}],
    }
    return json.dumps(log, indent=2) + "\n"


def _junit(found: Sequence[Problem]) -> str:
    """JUnit XML: a test case a problem, warnings among the passed ones, so that a green run stays green."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 (writes only)

    failures = sum(problem.severity == ERROR for problem in found)
    suite = ET.Element("testsuite", name="penstock", tests=str(max(len(found), 1)), failures=str(failures), errors="0")
    if not found:
        ET.SubElement(suite, "testcase", classname="penstock", name="no problems")
    for problem in found:
        case = ET.SubElement(suite, "testcase", classname=problem.place.file, name=f"{problem.code} {problem.place}")
        kind = "failure" if problem.severity == ERROR else "system-out"
        node = ET.SubElement(case, kind, {"message": problem.message} if kind == "failure" else {})
        node.text = f"{problem.place}: {problem.message}\n{problem.fix}"
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


_WRITERS: dict[str, Callable[[Sequence[Problem]], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "sarif": _sarif,
    "junit": _junit,
}
