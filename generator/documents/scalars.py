"""Texts as YAML scalars on one line that every parser reads back as the same text, and back again."""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring  # the C function behind json.dumps
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

# Plain scalars that YAML 1.1, YAML 1.2 and Kubernetes' parser all read as text; `null`, `on` or `1e3` are not.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)*|--[a-z][A-Za-z0-9_=./-]*|[0-9]{1,9}[KMGT]i")
_RESERVED = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"})
_MOST = 2_000
_LONGEST_KEPT = 80
_T = TypeVar("_T")

encode: Callable[[str], str] = encode_basestring
"""Write a text as a JSON string with nothing escaped but quotes, backslashes and controls; YAML reads it too."""


class _Scalars(dict[str, str]):
    """Scalars by text: a dict, for a look-up is all that most calls need."""

    def __missing__(self, text: str) -> str:
        return _kept(self, text, _scalar(text))


def _scalar(text: str) -> str:
    """Plain where that is safe, single-quoted where double quotes would need escapes, else double-quoted."""
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    if ('"' in text or "\\" in text) and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return encode(text)


scalar: Callable[[str], str] = _Scalars().__getitem__
"""Write a text as a YAML scalar."""


class _Values(dict[str, str | int]):
    """Values by scalar: the other way round."""

    def __missing__(self, written: str) -> str | int:
        return _kept(self, written, _value(written))


def _value(written: str) -> str | int:
    if written[0] == '"':
        return str(json.loads(written))
    if written[0] == "'":
        return written[1:-1].replace("''", "'")
    return int(written) if written.isdigit() else written  # a text of digits is never plain


def _kept(cache: dict[str, _T], key: str, value: _T) -> _T:
    """Remember what recurs: long texts are queries, which hold the experiment's name and never do."""
    if len(key) <= _LONGEST_KEPT:
        if len(cache) > _MOST:
            cache.clear()
        cache[key] = value
    return value


value_of: Callable[[str], str | int] = _Values().__getitem__
"""Return the text that `scalar` wrote, or the whole number that stands there plainly."""
