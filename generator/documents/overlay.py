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


def compose(first: Any, second: Any) -> Any:
    """Return one patch that does what `first` and then `second` do: nulls stay, for what they delete is yet to come.

    What no merge patch can say: that a map which `first` deletes comes back without its old entries.
    """
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second
    composed = dict(first)
    for key, value in second.items():
        composed[key] = compose(composed.get(key), value)
    return composed
