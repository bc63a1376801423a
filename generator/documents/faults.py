"""Finds every rule of a JSON Schema that a document breaks, in the few terms that a sentence about it needs.

jsonschema takes a tenth of a second to import; it is loaded only here, for what is known to be wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from generator.documents import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Path: TypeAlias = tuple[str | int, ...]
Schema: TypeAlias = Mapping[str, Any]

_DEEPEST = 64  # levels; real documents end at about 20
_WIDEST = 1024  # bits of a whole number; beyond it there is no float to compare it with
_BROKEN = re.compile("[\ud800-\udfff]")  # halves of surrogate pairs, which UTF-8 cannot say


class Fault(NamedTuple):
    """A broken rule: `rule` with its `limit` in `schema`, itself within `root`, refuses `value` at `path`.

    With `is_key` the value is the last key of the path. Where none of several alternatives fits, `branches`
    holds the faults of each. Rules of JSON Schema apart, there are those of `_odd`.
    """

    rule: str
    limit: Any
    value: Any
    schema: Schema
    path: Path
    is_key: bool
    root: Schema
    branches: tuple[tuple[Fault, ...], ...]


def faults(document: Any, schema: Schema) -> Iterator[Fault]:
    """Find all faults; what cannot be explained, even if the schema allows it, has only those of `_odd`."""
    odd = [Fault(rule, None, value, schema, path, False, schema, ()) for rule, value, path in _odd(document)]
    yield from odd
    for error in _validator(schema).iter_errors(document) if not odd else ():
        yield from _faults(error, schema)


def _odd(document: object) -> Iterator[tuple[str, object, Path]]:
    """Find what is no JSON at all, or too much of it: jsonschema recurses, and prints what it meets."""
    rest: list[tuple[Path, object]] = [((), document)]
    while rest:
        path, value = rest.pop()
        rule = _oddity(value) if len(path) <= _DEEPEST else "deep"
        if rule:
            yield rule, value, path
        elif isinstance(value, dict):
            if not all(map(_is_text, value)):
                yield "key", value, path
            rest.extend(((*path, key), item) for key, item in value.items() if _is_text(key))
        elif isinstance(value, list):
            rest.extend(((*path, index), item) for index, item in enumerate(value))


def _oddity(value: object) -> str:
    if isinstance(value, str):
        return "" if _is_text(value) else "broken"
    if isinstance(value, float):
        return "" if math.isfinite(value) else "huge"
    if isinstance(value, int):
        return "" if value.bit_length() <= _WIDEST else "huge"
    return "" if value is None or isinstance(value, dict | list) else "foreign"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not _BROKEN.search(value)


@cache
def matcher(pattern: str) -> Callable[[str], bool]:
    """Return what says whether a text matches, by the engine that gives the verdict."""
    return compiled.validator({"pattern": pattern}).is_valid


def _validator(schema: Schema) -> Validator:
    """Build a validator that takes patterns as jsonschema-rs does, and knows which key or entry is wrong."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - see above

    rules = {
        "pattern": _pattern_errors,
        "properties": _property_errors,
        "propertyNames": _key_errors,
        "uniqueItems": _repeats,
    }
    validator: Validator = validators.extend(Draft202012Validator, rules)(schema)  # type: ignore[no-untyped-call]
    return validator


def _error(**facts: Any) -> ValidationError:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - see above

    return ValidationError("", **facts)


def _pattern_errors(_: Validator, pattern: str, value: object, __: Schema) -> Iterator[ValidationError]:
    if isinstance(value, str) and not matcher(pattern)(value):
        yield _error()


def _property_errors(validator: Any, fields: Schema, value: Any, _: Schema) -> Iterator[ValidationError]:
    for name, schema in fields.items() if isinstance(value, dict) else ():
        if name in value and schema is False:  # jsonschema itself forgets the path here
            yield _error(path=[name], instance=value[name], validator="false", schema=schema)
        elif name in value:
            yield from validator.descend(value[name], schema, path=name, schema_path=name)


def _key_errors(validator: Any, names: Schema, value: object, _: Schema) -> Iterator[ValidationError]:
    for key in value if isinstance(value, dict) else ():
        errors = list(validator.descend(key, names))
        if errors:
            yield _error(path=[key], context=errors)


def _repeats(_: Validator, unique: bool, value: object, __: Schema) -> Iterator[ValidationError]:
    seen: set[Hashable] = set()
    for index, item in enumerate(value) if unique and isinstance(value, list) else ():
        token = _token(item)
        if token in seen:
            yield _error(path=[index], instance=item)
        seen.add(token)


def _token(value: Any) -> Hashable:
    """Return what is hashable, and equal where JSON Schema says equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return "{", tuple(sorted((key, _token(item)) for key, item in value.items()))
    if isinstance(value, list):
        return "[", tuple(map(_token, value))
    return (bool, value) if isinstance(value, bool) else value


def _faults(error: ValidationError, root: Schema, *, is_key: bool = False) -> Iterator[Fault]:
    if error.validator == "propertyNames":
        for inner in error.context:
            yield from _faults(inner, root, is_key=True)
        return
    # An alternative that is the schema `false` has no number, and nothing to say.
    numbered = [inner for inner in error.context if inner.relative_schema_path]
    groups = groupby(numbered, lambda inner: inner.relative_schema_path[0])
    yield Fault(
        rule=str(error.validator or "false"),
        limit=error.validator_value,
        value=error.instance,
        schema=error.schema if isinstance(error.schema, dict) else {},
        path=tuple(error.absolute_path),
        is_key=is_key,
        root=root,
        branches=tuple(tuple(f for e in group for f in _faults(e, root, is_key=is_key)) for _, group in groups),
    )
