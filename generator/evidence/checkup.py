"""Findings of a diagnosis for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from generator.documents.wording import counted
from generator.report import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from generator.evidence.diagnosis import Finding


def text(found: Mapping[str, Sequence[Finding]]) -> str:
    """Write findings by what they are about."""
    return "".join(f"{printable(line)}\n" for line in _lines(found))


def _lines(found: Mapping[str, Sequence[Finding]]) -> Iterator[str]:
    width = max((len(one.check) for findings in found.values() for one in findings), default=0)
    for subject, findings in found.items():
        yield subject
        for one in findings:
            yield f"  {one.outcome:7}  {one.check:{width}}  {one.message}"
            if one.remedy:
                yield f"  {'':7}  {'':{width}}  -> {one.remedy}"
    number = lacking(found)
    yield f"{counted(number, ('step is', 'steps are'))} missing" if number else "nothing is missing"


def document(found: Mapping[str, Sequence[Finding]]) -> str:
    """Write findings as JSON."""
    data = [
        {"subject": subject, "check": one.check, "outcome": one.outcome, "message": one.message, "remedy": one.remedy}
        for subject, findings in found.items()
        for one in findings
    ]
    return json.dumps({"missing": lacking(found), "findings": data}, indent=2) + "\n"


def lacking(found: Mapping[str, Sequence[Finding]]) -> int:
    """Count what is missing."""
    return sum(one.outcome == "missing" for findings in found.values() for one in findings)
