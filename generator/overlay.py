"""Laying one document over another: JSON merge patch (RFC 7386)."""

from __future__ import annotations

from typing import Any


def merge(target: Any, patch: Any) -> Any:
    """Return `target` with `patch` over it: maps merge, null deletes, everything else replaces. Inputs stay.

    Recurses into a missing target against an empty map, as the RFC does: else a null nested in a new map would
    survive, and applying a patch twice would differ from applying it once.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge(merged.get(key), value)
        else:
            merged[key] = value
    return merged
