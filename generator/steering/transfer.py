"""What was proved in one environment, as edits of the experiment's file in another.

Proved are the candidates' models and the metrics. What belongs to the place stays: control and its model, traffic,
rollout, hostname, owner, expiry; and of a variant what does not decide on its answers (resources, replicas, placement).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator.documents.edit import Remove, Set
from generator.documents.overlay import merge
from generator.steering.amend import inherited, own
from generator.versions.lives import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.documents.document import Document
    from generator.documents.edit import Edit

_OF_THE_PLACE = ("hostname", "shadow", "traffic", "rps")
_MEASURES = ("metrics", "requests", "hypothesis", "modelName")


def new(source: Document) -> tuple[Edit, ...]:
    """Return the edits that make all of an experiment, in a file that has none of it yet: all traffic is control's."""
    spec = {key: value for key, value in source.spec.items() if key not in _OF_THE_PLACE}
    return (*(Set(("spec", key), value) for key, value in spec.items()), *_at_rest(source.spec))


def edits(source: Document, target: Document) -> tuple[Edit, ...]:
    """Return the edits that bring what was proved into an experiment whose candidates get no traffic."""
    below, here = inherited(target), target.spec
    wanted = {key: source.spec[key] for key in _MEASURES if key in source.spec}
    variants = {here["control"]: here["variants"][here["control"]]}
    inherits = below.get("variants") or {}
    for name in source.spec["variants"].keys() - {source.spec["control"]}:
        known = here["variants"].get(name, {})
        variants[name] = _candidate(settings(source, name), known, here.get("model", {}), inherits.get(name) or {})
    wanted["variants"] = {name: variants[name] for name in sorted(variants)}
    found: list[Edit] = []
    for key in (*_MEASURES, "variants"):
        found += _laid(target, key, below, wanted)
    return (*found, *_at_rest({"control": here["control"], "variants": variants}))


def settings(document: Document, name: str) -> dict[str, Any]:
    """Return what decides on the answers of a variant."""
    merged = merge(document.spec.get("model", {}), document.spec["variants"][name])
    return {key: merged[key] for key in MODEL if key in merged}


def _candidate(
    proved: Mapping[str, Any], known: Mapping[str, Any], model: Mapping[str, Any], below: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a variant as a patch over the target's model: what was proved, and what else is known of it here."""
    found = {key: value for key, value in known.items() if key not in MODEL}
    for key in MODEL:
        if key in proved and (key in below or model.get(key) != proved[key]):
            found[key] = proved[key]
        elif key not in proved and (key in below or key in model):
            found[key] = None
    return found


def _laid(target: Document, key: str, below: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Edit]:
    """Yield what gives the target's own file the difference between what it inherits and what is wanted."""
    if key in wanted and below.get(key) != wanted[key]:
        yield Set(("spec", key), _patch(below.get(key), wanted[key]))
    elif key not in wanted and key in below:
        yield Set(("spec", key), None)
    elif key in own(target):
        yield Remove(("spec", key))


def _patch(below: Any, wanted: Any) -> Any:
    """Return the merge patch (RFC 7386) that makes one value of another."""
    if not isinstance(below, dict) or not isinstance(wanted, dict):
        return wanted
    changed = {key: _patch(below.get(key), value) for key, value in wanted.items() if below.get(key, ...) != value}
    return changed | {key: None for key in below if key not in wanted}


def _at_rest(spec: Mapping[str, Any]) -> Iterator[Edit]:
    yield Set(("spec", "traffic"), {name: 100 * (name == spec["control"]) for name in sorted(spec["variants"])})
