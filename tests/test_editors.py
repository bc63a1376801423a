"""The schemas for editors: they accept every file that Penstock does, and teach and refuse what the whole ones do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from repositories import Repository, parsed

from generator.documents import editors, validate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from repositories import Document

CASES = Path(__file__).parent / "cases"
FULL = CASES / "three-variants-every-setting/environments/production/experiments/pricing.yaml"
SCHEMAS: dict[str, Document] = {kind: json.loads(editors.text(kind)) for kind in validate.KINDS}
VALIDATORS = {kind: Draft202012Validator(schema) for kind, schema in SCHEMAS.items()}


def kinds(root: Path) -> Iterator[tuple[str, Path]]:
    yield from (("environment", file) for file in root.glob("environments/*/environment.yaml"))
    yield from (("experiment", file) for file in root.glob("environments/*/experiments/*.yaml"))


FILES = [one for case in sorted(CASES.iterdir()) for one in kinds(case)]


@pytest.mark.parametrize(("kind", "file"), FILES, ids=[file.relative_to(CASES).as_posix() for _, file in FILES])
def test_every_layer_of_a_case_is_accepted(kind: str, file: Path) -> None:
    assert [error.message for error in VALIDATORS[kind].iter_errors(parsed(file.read_text()))] == []


def test_a_new_repository_is_accepted_by_the_schemas_that_its_files_name(
    repository: Repository, tmp_path: Path
) -> None:
    assert repository.penstock("init", str(tmp_path / "new")).returncode == 0
    files = [*kinds(tmp_path / "new")]
    assert len(files) == 5
    for kind, file in files:
        named = file.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        schema = (file.parent / named).resolve()
        assert schema == tmp_path / f"new/schemas/{kind}.json"
        validator = Draft202012Validator(json.loads(schema.read_text()))
        assert [error.message for error in validator.iter_errors(parsed(file.read_text()))] == []


@pytest.mark.parametrize("kind", validate.KINDS)
def test_a_schema_is_valid_and_what_it_refers_to_is_there(kind: str, repository: Repository) -> None:
    schema = SCHEMAS[kind]
    Draft202012Validator.check_schema(schema)
    named = {one["$ref"].removeprefix("#/$defs/") for one in below(schema) if isinstance(one.get("$ref"), str)}
    assert named <= schema["$defs"].keys()
    assert json.loads(repository.penstock("schema", kind).stdout) == schema
    assert json.loads(repository.penstock("schema", kind, "--whole").stdout) == validate.schema(kind)


def test_all_that_the_whole_schema_teaches_is_taught() -> None:
    whole = validate.schema("experiment")
    assert taught(SCHEMAS["experiment"]) >= taught(whole)
    assert taught(SCHEMAS["environment"]) >= taught(whole["properties"]["spec"]["properties"])
    assert taught(SCHEMAS["environment"]) >= taught(validate.schema("environment"))


def taught(schema: Document) -> set[str]:
    """Return all descriptions and examples."""
    return {
        json.dumps(one[keyword]) for one in below(schema) for keyword in ("description", "examples") if keyword in one
    }


def below(schema: Any) -> Iterator[Document]:
    """Yield every map of a schema in which keywords stand."""
    if isinstance(schema, list):
        for one in schema:
            yield from below(one)
    elif isinstance(schema, dict):
        yield from [schema] if isinstance(schema.get("description", ""), str) else []
        for keyword, value in schema.items():
            yield from () if keyword in ("examples", "default", "const", "enum") else below(value)


def spec(kind: str, value: Document) -> Document:
    """Return a file of a kind that says something of an experiment's spec."""
    if kind == "experiment":
        return {"spec": value}
    environment = parsed((FULL.parents[1] / "environment.yaml").read_text())
    return {**environment, "spec": {**environment["spec"], "defaults": value}}


WHOLE = parsed(FULL.read_text())["spec"]


@pytest.mark.parametrize("kind", validate.KINDS)
def test_every_field_of_a_layer_may_be_left_out_or_be_null_but_not_be_misspelt(kind: str) -> None:
    changes = [*changed(WHOLE)]
    assert len(changes) > 200
    for change, well in changes:
        assert VALIDATORS[kind].is_valid(spec(kind, change)) is well, change


# Maps whose keys are names, and those that are free all the way down; `requests` is one of resources, too.
FREE = frozenset(["env", "labels", "podLabels", "podAnnotations", "nodeSelector", "parameters"])
FREE |= {"variants", "traffic", "metrics", "requests", "limits"}
DEEP = frozenset(["affinity", "patch"])


def changed(value: Document, *, free: bool = False) -> Iterator[tuple[Document, bool]]:
    """Yield copies with one change each, and whether it is one that a layer may have."""
    yield from () if free else [({**value, "unknown": {}}, False)]
    for key, inner in value.items():
        yield {one: kept for one, kept in value.items() if one != key}, True
        yield {**value, key: None}, True
        if isinstance(inner, dict) and key not in DEEP:
            yield from (({**value, key: change}, well) for change, well in changed(inner, free=key in FREE))
        if isinstance(inner, list):
            yield {**value, key: [*inner, None]}, False


@pytest.mark.parametrize("kind", validate.KINDS)
def test_what_stands_in_a_list_is_whole(kind: str) -> None:
    assert VALIDATORS[kind].is_valid(spec(kind, {"rollout": {"steps": [{"traffic": {"a": 1}, "soak": "1h"}]}}))
    for step in ({"traffic": {"a": 1}, "soak": None}, {"traffic": None}, {"traffic": {"a": None}}):
        assert not VALIDATORS[kind].is_valid(spec(kind, {"rollout": {"steps": [step]}}))
