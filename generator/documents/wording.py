"""How keys, values and paths of a document look inside a sentence.

They are untrusted: each is shortened, and what could not be seen or could change how the text around it is
shown (control, bidirectional and zero-width characters, backticks) is written as an escape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from generator.credentials import concealed

LONGEST = 60  # characters of a quoted value
_MOST = 12  # names in a list of them

TYPES = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
}
AMBIGUOUS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})  # no texts in YAML 1.1

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PLAIN = re.compile(r"[A-Za-z_/](?:[A-Za-z0-9_./@:% -]*[A-Za-z0-9_/%])?|[0-9]+(?:ms|[smhd]|[KMGT]i)")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# A backtick would end a quotation. Unicode calls the others printable, but no eye can see them.
_UNSEEN = frozenset("`\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0").union(
    map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)


def dotted(path: tuple[str | int, ...]) -> str:
    """Write a path as a user would: `spec.steps[0]`, `spec.labels["a.b"]`."""
    return "".join(map(_step, path)).removeprefix(".")


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _WORD.fullmatch(part) and len(part) <= LONGEST:
        return f".{part}"
    escaped = part[: LONGEST + 1].replace("\\", "\\\\").replace('"', '\\"')
    return f'["{shown(escaped)}"]'


def subject(path: tuple[str | int, ...]) -> str:
    """Name the value at `path` at the start of a sentence."""
    return f"`{dotted(path)}`" if path else "the document"


def inside(path: tuple[str | int, ...]) -> str:
    """Name the object at `path` behind "in" or "of": bare, unless a key in it needs quotes."""
    text = dotted(path)
    return "this document" if not text else f"`{text}`" if '"' in text else text


def shown(text: str) -> str:
    """Return at most 60 visible characters of a text, without credentials of an address."""
    text = concealed(text)
    pieces = [_visible(character) for character in text[: LONGEST + 1]]
    if len("".join(pieces)) <= LONGEST:
        return "".join(pieces)
    while len("".join(pieces)) >= LONGEST:
        pieces.pop()
    return "".join(pieces) + "…"


def visible(text: str) -> str:
    """Return a text with all that no eye could see, or that would end a quotation, written as an escape."""
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable() and character not in _UNSEEN:
        return character
    number = ord(character)
    return _ESCAPES.get(character) or (f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}")


def quoted(text: str) -> str:
    """Put a text into backticks."""
    return f"`{shown(text)}`" if text else '`""`'


def flow(value: object) -> str:
    """Write a value as it stands in one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and ": " not in value and value.lower() not in AMBIGUOUS:
        return value
    return json.dumps(value, ensure_ascii=False)


def state(value: object) -> str:
    """Say what a value is, behind "is": empty, a list, a mapping, or the value itself."""
    if value is None or value == "":
        return "empty"
    if isinstance(value, Mapping | list):
        return TYPES["array" if isinstance(value, list) else "object"]
    return quoted(value if isinstance(value, str) else json.dumps(value))


def kind(value: object) -> str:
    """Say of what type a value is, for a sentence about types."""
    if isinstance(value, str) and value:
        return f"a text ({quoted(value)})"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"a number ({shown(json.dumps(value))})"
    return "an empty text" if value == "" else state(value)


def listed(texts: Iterable[str]) -> str:
    """List names, but not more than anyone would read."""
    names = [*texts]
    more = len(names) - _MOST
    shorter = ", ".join(map(shown, names if more <= 1 else names[:_MOST]))
    return shorter if more <= 1 else f"{shorter} and {more} more"


def counted(count: int, unit: tuple[str, str]) -> str:
    """Count things: `unit` is their name for one and for many."""
    return f"{count} {unit[count != 1]}"


def lasting(seconds: int) -> str:
    """Write a span of time by its two largest units, by seconds only below a minute: `2 d 3 h`, `5 min`, `40 s`."""
    if seconds < 60:
        return f"{seconds} s"
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    first = next(number for number, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, or an empty text."""
    import difflib  # noqa: PLC0415 (start-up time: only mistakes need it)

    folded = {option.lower(): option for option in known}
    return next((folded[match] for match in difflib.get_close_matches(name[:LONGEST].lower(), folded, 1)), "")


def span(seconds: int) -> str:
    """Write a span in its two largest units: `3 d 4 h`, `1 h`, `20 min`, `40 s`."""
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts[:2]) or "0 s"
