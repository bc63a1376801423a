"""The generated parts of docs/: tables of fields, ready-made metrics and codes, from the schemas and the code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from generator import codes, kserve
from generator.documents import validate
from generator.domain import sources

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEPTH = 7


def fields(kind: str) -> str:
    """Return the table of all fields of `experiment` or `environment`."""
    schema = validate.schema(kind)
    rows = ["| field | type | meaning |", "|---|---|---|"]
    rows += [
        f"| `{path}`{'' if not required else ' *'} | {what} | {_cell(meaning)} |"
        for path, required, what, meaning in _fields(schema, schema, "", ())
    ]
    return "\n".join(rows)


def metrics() -> str:
    """Return the table of ready-made metrics."""
    rows = ["| name | what | kind | bounds of `above` |", "|---|---|---|---|"]
    for name, (source, preset) in sources.presets().items():
        factor = 1 if preset.unit == "milliseconds" else 1000
        bounds = ", ".join(f"{edge * factor:.10g}" for edge in preset.buckets) if preset.kind == "latencyShare" else ""
        summary = f"{preset.summary} ({source.summary})"
        rows.append(f"| `{name}` | {_cell(summary)} | {preset.kind} | {bounds and bounds + ' ms'} |")
    return "\n".join(rows)


def runtimes() -> str:
    """Return the table of bundled serving runtimes."""
    rows = [
        "| runtime | formats | protocols | the model's name is set by | from KServe |",
        "|---|---|---|---|---|",
    ]
    for runtime in kserve.RUNTIMES.values():
        formats = ", ".join(f"{name} {'/'.join(versions)}" for name, versions in runtime.formats.items())
        knob = runtime.name_argument or runtime.name_env
        named = f"`{knob}`" if knob else "its artifact (PS346)"
        rows.append(
            f"| `{runtime.name}` | {formats} | {', '.join(runtime.protocols)} | {named} "
            f"| {runtime.since[0]}.{runtime.since[1]} |"
        )
    return "\n".join(rows)


def problems() -> str:
    """Return the table of codes."""
    return "\n".join(
        [
            "| code | meaning |",
            "|---|---|",
            *(f"| {code} | {text} |" for code, text in codes.MEANINGS.items()),
        ]
    )


def _fields(
    root: dict[str, Any], node: dict[str, Any], path: str, seen: tuple[str, ...]
) -> Iterator[tuple[str, bool, str, str]]:
    for name, child in node.get("properties", {}).items():
        reference = child.get("$ref", "")
        if reference in seen and reference.endswith(("variant", "settings")):
            continue
        resolved = {**_resolve(root, child), **{k: v for k, v in child.items() if k != "$ref"}}
        here = f"{path}.{name}" if path else name
        yield here, name in node.get("required", ()), _type(resolved), resolved.get("description", "")
        deeper = (*seen, reference) if reference else seen
        if len(here.split(".")) < _DEPTH and name != "variants":
            yield from _fields(root, resolved, here, deeper)
            values = resolved.get("additionalProperties")
            if isinstance(values, dict):
                inner = {**_resolve(root, values), **values}
                yield from _fields(root, inner, f"{here}.<name>", deeper)
            items = resolved.get("items")
            if isinstance(items, dict):
                yield from _fields(root, {**_resolve(root, items), **items}, f"{here}[]", deeper)


def _resolve(root: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    name = node.get("$ref", "").removeprefix("#/$defs/")
    resolved: dict[str, Any] = root["$defs"][name] if name else {}
    return resolved


def _type(node: dict[str, Any]) -> str:
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    kind = node.get("type", "")
    names = {
        "object": "map",
        "string": "text",
        "array": "list",
        "integer": "whole number",
        "boolean": "true or false",
    }
    return " or ".join(names.get(one, one) for one in ([kind] if isinstance(kind, str) else kind))


def _cell(text: str) -> str:
    """Return the text for a cell of a table; Markdown shows entities within code as they are written."""
    outside = re.compile(r"(`[^`]*`)").split(text.replace("|", "\\|"))
    outside[::2] = [part.replace("<", "&lt;") for part in outside[::2]]
    return "".join(outside)
