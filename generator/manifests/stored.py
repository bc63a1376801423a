"""The form in which a cluster stores an InferenceService, for parts whose shape Penstock does not know.

KServe's webhook decodes and encodes the whole object. Go's `omitempty` then drops texts, lists and maps that are empty
(what is behind a pointer stays, such as `labelSelector: {}`), and a quantity becomes canonical text. What is not in
that form, Argo CD reports as a difference for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator.quantities import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.documents.load import Path

# Maps in Go, which are dropped when they are empty; other mappings are structs, or maps behind a pointer.
_MAPS = frozenset({"annotations", "labels", "limits", "matchLabels", "nodeSelector", "requests"})
_FREE = _MAPS | {"parameters"}  # whose entries may be empty
# Texts behind a pointer, of `storage` (kserve: pkg/apis/serving/v1beta1, StorageSpec, ModelStorageSpec).
_POINTERS = frozenset({"path", "schemaPath", "key"})
_QUANTITIES = frozenset({"divisor", "sizeLimit"})


def texts(node: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text in a part, and where it stands."""
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from texts(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from texts(value, (*path, index))


def differences(node: Any, path: Path = ()) -> Iterator[tuple[Path, str, str]]:
    """Yield where a part is not in that form: the path, what happens to it, and how to write it. Nulls are none."""
    if isinstance(node, list):
        for index, value in enumerate(node):
            if isinstance(value, dict | list):
                yield from differences(value, (*path, index))
        return
    free = bool(path) and path[-1] in _FREE
    for key, value in node.items():
        place = (*path, key)
        if value in ("", []) or (value == {} and key in _MAPS):
            if not (free or (key in _POINTERS and path[-1:] == ("storage",))):
                yield place, f"`{key}` is empty, and the cluster stores it without", "remove it"
        elif isinstance(value, dict | list):
            yield from differences(value, place)
        elif key in _QUANTITIES or (path and path[-1] in ("limits", "requests")):
            yield from _quantity(place, value)


def _quantity(path: Path, amount: Any) -> Iterator[tuple[Path, str, str]]:
    written = canonical(str(amount))
    if amount is not None and written not in (amount, None):
        form = "no text" if written == str(amount) else "not in canonical form"
        yield path, f'`{amount}` is {form}, and the cluster stores `"{written}"`', f'write `"{written}"`'
