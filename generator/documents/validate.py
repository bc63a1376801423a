"""A document against its schema: yes or no in microseconds, and the sentences only where the answer is no."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from generator import resources
from generator.documents import compiled

if TYPE_CHECKING:
    import jsonschema_rs

    from generator.documents.document import Document
    from generator.documents.explain import Finding
    from generator.problems import Problem

KINDS = ("experiment", "environment")


@cache
def schema(kind: str) -> dict[str, Any]:
    """Return the schema of `experiment` or `environment`."""
    loaded: dict[str, Any] = json.loads(_text(kind))
    return loaded


def _text(kind: str) -> str:
    with open(f"{resources.directory('schemas')}/{kind}.json", encoding="utf-8") as file:
        return file.read()


@cache
def _validator(kind: str) -> jsonschema_rs.Validator:
    return compiled.validator(_text(kind))


def is_name(kind: str, text: str) -> bool:
    """Say whether an experiment or environment may have this name."""
    return compiled.validator(schema(kind)["properties"]["metadata"]["properties"]["name"]).is_valid(text)


def problems(document: Document, kind: str) -> tuple[Problem, ...]:
    """Return everything that the schema of `kind` refuses in a document."""
    if _validator(kind).is_valid(document.data):
        return ()
    from generator.documents import explain, wording  # noqa: PLC0415 (jsonschema, which only a mistake needs)

    found = []
    for finding in explain.findings(document.data, schema(kind)):
        fix = finding.fix
        if finding.known and len(document.layers) > 1:  # a field that another file has may well be meant
            free = [name for name in finding.known if name not in document.beside(finding.path)]
            fix = explain.meant(wording.nearest(str(finding.path[-1]), free)) or fix
        found.append(_placed(document, finding._replace(fix=fix)))
    return tuple(found)


def _placed(document: Document, finding: Finding) -> Problem:
    missing = (*finding.path, finding.lacking)
    if finding.lacking and document.has(missing):  # as the null that took it away, maybe in another layer
        message = f"{finding.message}: null takes it away"
        return document.problem(finding.code, missing, message, finding.fix, key=True)
    return document.problem(finding.code, finding.path, finding.message, finding.fix, key=finding.about_key)
