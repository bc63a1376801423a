"""What documents say in spite of mistakes in them, so that one mistake hides no other and makes up none.

A mistake puts fields in doubt. They are taken out or replaced for the while, so that the rest can be read; what comes
out answers for the rest, and raises UnsoundError where a field in doubt is asked for. So every check runs that can.
Of an experiment a setting is in doubt by itself, of an environment a whole field of its spec.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from generator.documents import explain, validate
from generator.documents.document import Document, Layer
from generator.documents.wording import nearest
from generator.domain import environments
from generator.domain.experiments import UNKNOWN
from generator.domain.model import Environment, Experiment, UnsoundError, Variant
from generator.problems import ProblemsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.documents.load import Path
    from generator.problems import Problem

Doubts = frozenset[tuple[str, ...]]
"""Fields of a spec that tell nothing: `("traffic",)`, `("model", "runtime")`, `("variants", "v2", "runtime")`."""

_SPEC = "spec"
# Fields of a spec that are maps of parts, and how far down a part is that can be taken out by itself.
_DEPTH = {"model": 2, "metrics": 2, "variants": 3}
_MOST = 100  # mistakes of which it is worth while to tell what they leave


def sound(document: Document, found: tuple[Problem, ...]) -> tuple[Document, Doubts]:
    """Return the document without what its schema refuses in it, and what is in doubt for it.

    `found` are these mistakes: a ProblemsError with them where too little is left to make sense of.
    """
    if len(found) > _MOST:
        raise ProblemsError(found)
    values: dict[Path, Any] = {}
    doubts: set[tuple[str, ...]] = set()
    for finding in explain.findings(document.data, validate.schema("experiment")):
        name = document.file.rpartition("/")[2].removesuffix(".yaml")
        change = dict(
            _outside(document, "experiment", name) if finding.path[:1] != (_SPEC,) else _within(document, finding.path)
        )
        if not change:
            raise ProblemsError(found)
        values |= change
        if finding.about_key:
            doubts.update(_meant(document, finding.path))
        doubts.update(tuple(map(str, path[1:])) for path in change if path[0] == _SPEC)
    left = document.changed(values)
    if validate.problems(left, "experiment"):
        raise ProblemsError(found)
    return left, frozenset(doubts)


def _outside(document: Document, kind: str, name: str) -> Iterator[tuple[Path, Any]]:
    """Write what stands beside the spec of an experiment or environment as it must be."""
    data = document.data
    if not isinstance(data, dict) or not isinstance(data.get(_SPEC), dict):
        return
    fields = validate.schema(kind)["properties"]
    yield from (((key,), None) for key in data.keys() - fields.keys())
    yield from (((key,), fields[key]["const"]) for key in ("apiVersion", "kind"))
    yield ("metadata",), {"name": name}


def _within(document: Document, path: Path) -> Iterator[tuple[Path, Any]]:
    """Take out the part that the path leads into; what is required becomes what the schema has as an example."""
    schema = validate.schema("experiment")["properties"][_SPEC]
    spec = document.data[_SPEC]
    if len(path) == 1 and isinstance(spec, dict):
        parts: list[Path] = [(_SPEC, name) for name in schema["required"] if name not in spec]
    else:
        depth = 1 + _DEPTH.get(str(path[1]), 1) if len(path) > 1 else 2
        parts = [path[:depth]] if len(path) >= depth else []
    for part in parts:
        needed = len(part) == 2 and part[1] in schema["required"]
        if part[1] == "variants" and needed:
            return
        yield part, schema["properties"][part[1]]["examples"][0] if needed else None


def _meant(document: Document, path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the field that an unknown one is meant for, if one is near and not there in the same file."""
    fields = validate.schema("experiment")["properties"][_SPEC]["properties"]
    above: tuple[str, ...] = ()
    if path[0] == _SPEC and len(path) > 2:
        above = tuple(map(str, path[1:-1]))
        fields = validate.schema("experiment")["$defs"]["variant"]["properties"]
    if above[:1] not in {(), ("model",), ("variants",)} or len(above) > 2:
        return
    near = nearest(str(path[-1]), sorted(fields.keys() - document.beside(path)))
    if near:
        yield (*above, near)


def of_environment(document: Document, found: tuple[Problem, ...], folder: str) -> tuple[Problem, ...]:
    """Return what else is wrong with an environment than `found`, the mistakes that its schema refuses."""
    schema = validate.schema("environment")["properties"][_SPEC]
    spec = document.data.get(_SPEC) if isinstance(document.data, dict) else None
    if len(found) > _MOST or not isinstance(spec, dict):
        return ()
    wrong = {name for name in schema["required"] if name not in spec}
    for finding in explain.findings(document.data, validate.schema("environment")):
        if finding.path[:1] == (_SPEC,) and len(finding.path) > 1:
            wrong.add(str(finding.path[1]))
            if len(finding.path) == 2 and finding.about_key:
                wrong.add(nearest(str(finding.path[1]), sorted(schema["properties"].keys() - spec.keys())))
    values = dict(_outside(document, "environment", folder))
    for name in wrong - {""}:
        values[_SPEC, name] = _instead(name) if name in schema["required"] else None
    left = document.changed(values)
    if validate.problems(left, "environment"):
        return ()
    made = _Environment._make(environments.build(left))
    made.unsound = frozenset(attribute for name in wrong for attribute in _DECIDES.get(name, (name,)))
    return environments.problems(left, made, folder)


def _instead(field: str) -> Any:
    """Return a value for a field that the spec of an environment must have."""
    return validate.schema("environment")["properties"][_SPEC]["properties"][field]["examples"][0]


def nowhere(name: str) -> tuple[Environment, Environment]:
    """Return an environment to read experiments with when theirs is wrong, and one that nothing can be asked about."""
    fields = validate.schema("environment")["properties"]
    spec = {field: _instead(field) for field in fields[_SPEC]["required"]}
    plain = environments.build(Document((Layer("", b"", {"metadata": {"name": name}, _SPEC: spec}),)))
    doubted = _Environment._make(plain)
    doubted.unsound = frozenset(Environment._fields) - {"name"}
    return plain, doubted


# What else of an environment the field decides on.
_DECIDES = {"kserve": ("kserve", "mode", "runtimes", "routing")}


def of(
    experiment: Experiment, document: Document, doubts: Doubts, problems: Iterable[Problem], *, placed: bool = True
) -> tuple[Experiment, tuple[Problem, ...]]:
    """Return the experiment as far as it is sound, and the problems of reading it that follow from no doubt.

    Unless it is `placed`, all is in doubt that its environment decides on.
    """
    spec = document.spec
    kept = tuple(one for one in problems if not _follows(one, doubts) and (placed or not _is_of_place(one)))
    codes = {one.code for one in problems}
    unsound = {_attribute(field) for field, *_ in doubts if field not in _DEPTH}
    unsound |= {one.path.split(".")[1] for one in problems if one.path.startswith(("spec.metrics", "spec.requests"))}
    unsound |= {"metrics"} if any(field == "metrics" for field, *_ in doubts) else set()
    idle = "traffic" in unsound or bool(codes & {"PS301", "PS302", "PS303"})
    doubted = []
    for one in experiment.variants:
        variant = _Variant._make(one)
        variant.unsound = frozenset(_settings(one, spec, doubts) | ({"traffic"} if idle else set()))
        doubted.append(variant)
    if "control" in unsound or "PS304" in codes:
        unsound |= {"control", "candidates", "rollout"}
    if not placed:
        unsound |= {"analysis", "metrics", "requests", "rollout", *({"hostname"} - spec.keys())}
        for variant in doubted:
            variant.unsound |= {"runtime"}
    if "requests" not in spec and ("control" in unsound or doubted[0].unsound & {"runtime", "protocol"}):
        unsound.add("requests")
    made = _Experiment._make(experiment._replace(variants=tuple(doubted)))
    made.unsound = frozenset(unsound)
    return made, kept


def _is_of_place(problem: Problem) -> bool:
    return problem.code == "PS306" or problem.path.startswith(("spec.metrics", "spec.requests"))


def _follows(problem: Problem, doubts: Doubts) -> bool:
    if problem.code in {"PS301", "PS302", "PS303"}:
        return ("traffic",) in doubts
    if problem.code == "PS304":
        return ("control",) in doubts
    if problem.path.startswith("spec.metrics"):  # what they count may be a share of requests
        return ("requests",) in doubts
    if problem.code == "PS305":
        keys = {("model",), *(("model", key) for key in _NEEDED)}
        variant = problem.path.split(".")[2]
        return not doubts.isdisjoint(keys | {("variants", variant, key) for key in _NEEDED})
    return False


_NEEDED = ("format", "runtime", "protocol")
_ATTRIBUTES = {"resources": ("requests", "limits"), "logging": ("logger",), "serviceAccountName": ("service_account",)}


def _settings(variant: Variant, spec: dict[str, Any], doubts: Doubts) -> set[str]:
    """Return the attributes of a variant that are in doubt; a list or plain value of its own is as it stands."""
    own = spec["variants"][variant.name]
    found = {name for name in _NEEDED if getattr(variant, name) in ("", UNKNOWN)}
    for field, *rest in doubts:
        if field == "logging":
            found.add("logger")
        elif field == "model":
            keys = rest or validate.schema("experiment")["$defs"]["settings"]["properties"]
            found.update(name for key in keys if not isinstance(own.get(key), str | int | list) for name in _names(key))
        elif field == "variants" and rest[0] == variant.name:
            found.update(_names(rest[1]))
    return found | ({"model"} if found & {"storage_uri", "storage", "format"} else set())


def _names(key: str) -> tuple[str, ...]:
    return _ATTRIBUTES.get(key, (_attribute(key),))


def _attribute(field: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", field)


class _Doubted:
    """A value some of whose attributes are in doubt."""

    unsound: frozenset[str] = frozenset()

    def __getattribute__(self, name: str) -> Any:
        if name in super().__getattribute__("unsound"):
            raise UnsoundError(name)
        return super().__getattribute__(name)

    def _replace(self, **changes: Any) -> Any:
        made = super()._replace(**changes)  # type: ignore[misc]
        made.unsound = self.unsound - changes.keys()
        return made


class _Variant(_Doubted, Variant):
    pass


class _Experiment(_Doubted, Experiment):
    pass


class _Environment(_Doubted, Environment):
    pass
