"""What a step, a rollback or a conclusion changes in an experiment's own file, as edits.

What the file inherits, from the base or the environment's defaults, stays where it stands: a value that differs goes
into the experiment's own file, and an entry that is to go is set to null there (JSON merge patch, RFC 7386).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator.documents.document import Document
from generator.documents.edit import Remove, Set

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.documents.edit import Edit
    from generator.domain.model import Shadow


def traffic(document: Document, shares: Mapping[str, int], shadow: Shadow | None) -> tuple[Edit, ...]:
    """Give each variant its share, and copies to a shadow or to none: a change of weights, and of nothing else."""
    return (*_map(document, "traffic", shares, *shares), *_shadow(document, shadow))


def conclusion(document: Document, winner: str) -> tuple[Edit, ...]:
    """Make the winner control and all there is: the other variants go, and with them the plan.

    Metrics stay: their limits still hold, and the next candidate is measured by them.
    """
    here = own(document).get("variants") or {}
    edits: list[Edit] = [Set(("spec", "control"), winner)] if document.spec["control"] != winner else []
    edits += _map(document, "traffic", {winner: 100}, winner)
    edits += _map(document, "variants", {winner: here[winner]} if winner in here else {}, winner)
    return (*edits, *_without(document, "rollout"), *_without(document, "shadow"))


def _map(document: Document, key: str, wanted: Mapping[str, Any], *keep: str) -> Iterator[Edit]:
    """Yield what makes a map of the spec hold `wanted`, and of what it inherits only the names in `keep`."""
    below = inherited(document).get(key) or {}
    value = {**wanted, **{name: None for name in below if name not in keep}}
    if value:
        yield Set(("spec", key), value)
    elif key in own(document):
        yield Remove(("spec", key))


def _shadow(document: Document, shadow: Shadow | None) -> Iterator[Edit]:
    if shadow is None:
        yield from _without(document, "shadow")
    else:
        yield Set(("spec", "shadow"), {"variant": shadow.variant, "percent": shadow.percent})


def _without(document: Document, key: str) -> Iterator[Edit]:
    if key in inherited(document):
        yield Set(("spec", key), None)
    elif key in own(document):
        yield Remove(("spec", key))


def own(document: Document) -> dict[str, Any]:
    """Return the spec as the experiment's own file has it."""
    return _spec(document.layers[-1].data)


def inherited(document: Document) -> dict[str, Any]:
    """Return the spec as it would be without the experiment's own file."""
    return _spec(Document(document.layers[:-1]).data)


def _spec(data: Any) -> dict[str, Any]:
    spec = data.get("spec") if isinstance(data, dict) else None
    return spec if isinstance(spec, dict) else {}
