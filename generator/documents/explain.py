"""Says what a colleague would say about a document that breaks a JSON Schema: where, what, how to mend it.

jsonschema-rs gives the verdict, `faults` finds what is behind a no, and this module has the words for it.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from generator.documents.faults import Fault, Path, Schema, faults, matcher
from generator.documents.wording import (
    AMBIGUOUS,
    LONGEST,
    TYPES,
    counted,
    dotted,
    flow,
    inside,
    kind,
    listed,
    nearest,
    quoted,
    shown,
    state,
    subject,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Finding", "dotted", "findings"]

_REFERENCES = 32  # followed one after another; more of them are a circle
_GUESSED = 20  # unknown keys of one object that are worth comparing with the known ones
_ODD = {
    "deep": "is nested too deeply",
    "broken": "holds a character that no file can hold",
    "huge": "is not a number of a usual size",
    "foreign": "is no plain value",
    "key": "has a key that is no text",
}
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
}
_UNITS = {
    "Length": ("character", "characters"),
    "Items": ("entry", "entries"),
    "Properties": ("entry", "entries"),
}


class Finding(NamedTuple):
    """One mistake. `path` leads to the wrong value, to the unknown key, or to what lacks the key `lacking`.

    `known` are the keys that may stand where an unknown one does, if it is worth while to guess which is meant.
    """

    path: Path
    message: str
    fix: str
    about_key: bool
    code: str
    lacking: str = ""
    known: tuple[str, ...] = ()


class _Note(NamedTuple):
    """A finding, and the key that it says is missing or was meant."""

    finding: Finding
    name: str = ""


def findings(document: object, schema: Schema) -> tuple[Finding, ...]:
    """Return every mistake, one for each place, sorted by path.

    There is none exactly where jsonschema-rs says yes, but for what is odd in itself: more than 64 levels, a
    number like NaN, a key that is no text.
    """
    return _tidy([note for fault in sorted(faults(document, schema), key=_rank) for note in _said(fault)])


def _tidy(notes: Iterable[_Note]) -> tuple[Finding, ...]:
    """Keep one finding for each place, and none about a missing key that stands there misspelt."""
    meant = {(finding.path[:-1], name) for finding, name in notes if name and finding.about_key}
    kept: dict[object, Finding] = {}
    for finding, name in notes:
        if finding.about_key or (finding.path, name) not in meant:
            kept.setdefault((finding.path, finding.about_key or name), finding)
    return tuple(sorted(kept.values(), key=_position))


def _position(finding: Finding) -> tuple[object, ...]:
    steps = [(1, 0, step) if isinstance(step, str) else (0, step, "") for step in finding.path]
    return steps, finding.about_key, finding.message


# Which alternative was meant


def _said(fault: Fault) -> Iterator[_Note]:
    return _choice(fault) if fault.branches else _WORDS.get(fault.rule, _other)(fault)


def _choice(fault: Fault) -> Iterator[_Note]:
    """Speak of the alternative that was probably meant, or of all of them where nothing tells."""
    types = _types(fault)
    if types:
        return _type(fault._replace(rule="type", limit=types))
    fitting = [branch for branch in fault.branches if not any(map(_types, _beside(fault, branch)))]
    shared = _shared(fitting)
    if shared:
        return _enum(shared)
    if len(fitting) > 1 and all(f.rule == "required" and f.path == fault.path for b in fitting for f in b):
        return _none_of(fault, [_absent(branch[0])[0] for branch in fitting])
    best = min(fitting, key=lambda branch: (sum(f.rule in {"const", "enum"} for f in branch), len(branch)))
    return (note for f in sorted(best, key=_rank) for note in _said(f))


def _types(fault: Fault) -> list[str]:
    """Return the types that were possible, if nothing but the type is wrong."""
    if fault.rule == "type":
        return [fault.limit] if isinstance(fault.limit, str) else list(fault.limit)
    found = [next(filter(None, map(_types, _beside(fault, branch))), []) for branch in fault.branches]
    return list(dict.fromkeys(chain.from_iterable(found))) if all(found) else []


def _beside(fault: Fault, branch: Iterable[Fault]) -> Iterator[Fault]:
    return (inner for inner in branch if inner.path == fault.path)


def _shared(branches: list[tuple[Fault, ...]]) -> Fault | None:
    """Return one fault for all branches if each wants another value at the same place, as of a kind."""
    fixed = [{f.path: f for f in branch if f.rule in {"const", "enum"}} for branch in branches]
    places = set.intersection(*map(set, fixed)) if len(fixed) > 1 else set()
    if not places:
        return None
    place = min(places, key=lambda path: (len(path), dotted(path)))
    options = [option for faults in fixed for option in _options(faults[place])]
    return fixed[0][place]._replace(limit=options)


def _options(fault: Fault) -> list[Any]:
    return list(fault.limit) if fault.rule == "enum" else [fault.limit]


# What the schema says of a field


def _resolved(schema: object, root: Schema) -> Schema:
    """Follow references inside the schema; what stands beside a reference wins."""
    for _ in range(_REFERENCES):
        if not isinstance(schema, dict):
            break
        if not str(schema.get("$ref", "")).startswith("#"):
            return schema
        schema = {**_pointed(schema["$ref"], root), **{k: v for k, v in schema.items() if k != "$ref"}}
    return {}


def _pointed(reference: str, root: Schema) -> Schema:
    target: object = root
    for part in reference.split("/")[1:]:
        target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
    return target if isinstance(target, dict) else {}


def _reached(schema: object, path: Path, root: Schema) -> Schema:
    """Follow a document's path through its schema: the first way that leads to the end."""
    here = _resolved(schema, root)
    if not path:
        return here
    child = here.get("items") if isinstance(path[0], int) else here.get("properties", {}).get(path[0])
    ways = [(child or here.get("additionalProperties"), path[1:])]
    ways += [(sub, path) for key in ("allOf", "anyOf", "oneOf") for sub in here.get(key, ())]
    ways += [(here.get(key), path) for key in ("then", "else")]
    return next(filter(None, (_reached(sub, rest, root) for sub, rest in ways if sub)), {})


def _example(schema: Schema) -> str:
    options = [
        *schema.get("examples", ()),
        *([schema["const"]] if "const" in schema else schema.get("enum", ())),
    ]
    text = flow(options[0]) if options else ""
    return text if len(text) <= LONGEST else ""


def _sentence(schema: Schema) -> str:
    return re.split(r"(?<=[.!?])\s", str(schema.get("description", "")).strip(), maxsplit=1)[0]


# Words


def _about(fault: Fault, phrase: str, fix: str) -> Iterator[_Note]:
    place = f"{quoted(str(fault.path[-1]))} in {inside(fault.path[:-1])}" if fault.is_key else subject(fault.path)
    code = "PS201" if fault.is_key else "PS203" if fault.rule == "type" else "PS204"
    yield _Note(Finding(fault.path, f"{place} {phrase}", fix, fault.is_key, code))


def _is_not(fault: Fault, what: str) -> str:
    told = not fault.is_key and not _is_secret(fault)
    return f"is {state(fault.value)}, which is not {what}" if told else f"is not {what}"


def _is_secret(fault: Fault) -> bool:
    """Say whether the schema marks the value as one that nobody is shown (JSON Schema Validation 2020-12, 9.4)."""
    return bool(fault.schema.get("writeOnly"))


def _instead(fault: Fault, otherwise: str) -> str:
    example = _example(fault.schema)
    named = fault.path and isinstance(fault.path[-1], str) and not fault.is_key
    key = f"{shown(flow(fault.path[-1]))}: " if named else ""
    return f"write for example `{key}{example}`" if example else otherwise


def _type(fault: Fault) -> Iterator[_Note]:
    wanted = " or ".join(TYPES.get(name, name) for name in _types(fault))
    if _is_secret(fault):
        return _about(fault, f"must be {wanted}, but is none", _instead(fault, f"write {wanted}"))
    return _about(fault, f"must be {wanted}, but is {kind(fault.value)}", _retyped(fault, wanted))


def _retyped(fault: Fault, wanted: str) -> str:
    value = fault.value
    if "a text" in wanted and isinstance(value, float):
        return "write it in quotes, just as it stands"  # 0.20 is 0.2 by now
    if "a text" in wanted and isinstance(value, bool | int):
        return f'write it in quotes: "{shown(json.dumps(value))}"'
    if "number" in wanted and isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return f"write it without quotes: {shown(value)}"
    if "true" in wanted and isinstance(value, str) and value.lower() in AMBIGUOUS:
        return "write true or false, without quotes"
    return _instead(fault, f"write {wanted}")


def _const(fault: Fault) -> Iterator[_Note]:
    same_type = isinstance(fault.limit, str) == isinstance(fault.value, str)
    wanted = quoted(flow(fault.limit))
    is_now = state(fault.value) if same_type else kind(fault.value)
    return _about(fault, f"must be {wanted}, but is {is_now}", f"write {wanted}")


def _enum(fault: Fault) -> Iterator[_Note]:
    options = [option if isinstance(option, str) else flow(option) for option in fault.limit]
    near = nearest(fault.value, options) if isinstance(fault.value, str) else ""
    return _about(fault, _is_not(fault, f"one of {listed(options)}"), meant(near) or "write one of them")


def meant(near: str) -> str:
    """Ask whether a name was meant; "" if it is none."""
    return near and f"did you mean {quoted(near)}?"


def _pattern(fault: Fault) -> Iterator[_Note]:
    form = f"of the form {quoted(fault.limit)}" if len(fault.limit) <= LONGEST else "of the form it needs"
    what = fault.schema.get("title") or form
    return _about(
        fault, _is_not(fault, what), _instead(fault, "rename it" if fault.is_key else "write it in that form")
    )


def _bound(fault: Fault) -> Iterator[_Note]:
    phrase = f"is {shown(json.dumps(fault.value))}, but must be {_BOUNDS[fault.rule]} {flow(fault.limit)}"
    limits = [f"{words} {flow(fault.schema[rule])}" for rule, words in _BOUNDS.items() if rule in fault.schema]
    return _about(fault, phrase, f"write a number that is {' and '.join(limits)}")


def _size(fault: Fault) -> Iterator[_Note]:
    unit, count, limit = _UNITS[fault.rule[3:]], len(fault.value), int(fault.limit)
    if fault.rule.startswith("max"):
        phrase = f"has {counted(count, unit)}, but may have at most {limit}"
        return _about(fault, phrase, f"remove {counted(count - limit, unit)}")
    lack = f"has {counted(count, unit)}, but needs at least {limit}"
    phrase = lack if count else f"is empty, but needs at least {counted(limit, unit)}"
    return _about(fault, phrase, _instead(fault, f"add {counted(limit - count, unit)}"))


def _repeated(fault: Fault) -> Iterator[_Note]:
    return _about(fault, f"is {state(fault.value)} once more, but each entry may stand only once", "remove it")


def _unknown(fault: Fault) -> Iterator[_Note]:
    known = fault.schema.get("properties", {})
    patterns = [matcher(pattern) for pattern in fault.schema.get("patternProperties", ())]
    extra = [key for key in fault.value if key not in known and not any(matches(key) for matches in patterns)]
    worth = (*known,) if len(extra) <= _GUESSED else ()
    for key in extra:
        near = nearest(key, [name for name in worth if name not in fault.value])
        fix = meant(near) or (f"known fields: {listed(sorted(known))}" if known else "remove it")
        message = f"{quoted(key)} is not a field of {inside(fault.path)}"
        yield _Note(Finding((*fault.path, key), message, fix, about_key=True, code="PS201", known=worth), near)


def _missing(fault: Fault) -> Iterator[_Note]:
    return (_lacking(fault, name, "") for name in _absent(fault))


def _absent(fault: Fault) -> list[str]:
    return [name for name in fault.limit if name not in fault.value]


def _dependent(fault: Fault) -> Iterator[_Note]:
    for trigger, names in fault.limit.items():
        for name in names if trigger in fault.value else ():
            if name not in fault.value:
                yield _lacking(fault, name, f", and {quoted(trigger)} needs it")


def _lacking(fault: Fault, name: str, reason: str) -> _Note:
    message = f"{quoted(name)} is missing in {inside(fault.path)}{reason}"
    return _Note(
        Finding(fault.path, message, _addition(fault, name), about_key=False, code="PS202", lacking=name), name
    )


def _addition(fault: Fault, name: str) -> str:
    """Say how to add a field, in the words of its schema; a bare condition has none: the whole is asked."""
    own = _resolved(fault.schema.get("properties", {}).get(name), fault.root)
    field = own if _example(own) else _reached(fault.root, (*fault.path, name), fault.root)
    example = f", for example `{name}: {_example(field)}`" if _example(field) else ""
    sentence = _sentence(field)
    return f"add {name}{example}" + (f". {sentence}" if sentence else "")


def _none_of(fault: Fault, names: list[str]) -> Iterator[_Note]:
    either = " or ".join(dict.fromkeys(map(quoted, names)))
    message = f"{either} is missing in {inside(fault.path)}"
    yield _Note(Finding(fault.path, message, "add one of them", about_key=False, code="PS202"), either)


def _ambiguous(fault: Fault) -> Iterator[_Note]:
    """Speak of a value that fits several alternatives where just one may fit."""
    wanted = [name for part in fault.limit for name in _resolved(part, fault.root).get("required", ())]
    return _exclusive(fault, list(dict.fromkeys(wanted)))


def _excluded(fault: Fault) -> Iterator[_Note]:
    """Speak of `not`: mostly of a field that must not be there."""
    names = _resolved(fault.limit, fault.root).get("required", [])
    alone = len(names) == 1 and isinstance(fault.value, dict)
    return _forbidden(fault, names[0]) if alone else _exclusive(fault, names)


def _exclusive(fault: Fault, names: list[str]) -> Iterator[_Note]:
    present = [name for name in names if isinstance(fault.value, dict) and name in fault.value]
    if len(present) < 2:
        return _other(fault)
    return _about(fault, f"may have only one of {listed(present)}", "remove the others")


def _never(fault: Fault) -> Iterator[_Note]:
    """Speak of the schema `false`: of a field whose mere presence is wrong."""
    if fault.path and isinstance(fault.path[-1], str):
        return _forbidden(fault._replace(path=fault.path[:-1]), fault.path[-1])
    return _about(fault, "is not allowed here", "remove it")


def _forbidden(fault: Fault, name: str) -> Iterator[_Note]:
    message = f"{quoted(name)} is not allowed in {inside(fault.path)}"
    yield _Note(Finding((*fault.path, name), message, "remove it", about_key=True, code="PS201"))


def _odd(fault: Fault) -> Iterator[_Note]:
    return _about(fault, _ODD[fault.rule], "write something simpler")


def _other(fault: Fault) -> Iterator[_Note]:
    return _about(fault, f"is {state(fault.value)}, which is not allowed here", "write something else")


# At one place the first of these is worth a finding, the others follow from it.
_WORDS: dict[str, Callable[[Fault], Iterator[_Note]]] = {
    **dict.fromkeys(_ODD, _odd),
    "false": _never,
    "type": _type,
    "const": _const,
    "enum": _enum,
    "required": _missing,
    "additionalProperties": _unknown,
    "dependentRequired": _dependent,
    "not": _excluded,
    "oneOf": _ambiguous,
    "pattern": _pattern,
    **dict.fromkeys(_BOUNDS, _bound),
    **{end + what: _size for end in ("min", "max") for what in _UNITS},
    "uniqueItems": _repeated,
}
_ORDER = list(_WORDS)


def _rank(fault: Fault) -> int:
    return _ORDER.index(fault.rule) if fault.rule in _WORDS else len(_ORDER)
