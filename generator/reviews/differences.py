"""What differs between two readings of an experiment or an environment: by field and meaning, not by line.

The order of lines, comments, which file of an overlay says something, and a default that is written out make no
difference. A setting that changed alike for all variants is told once, as one of `spec.model`.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from generator.documents.load import Path
from generator.documents.overlay import merge
from generator.domain.interpret import Place, Reading

Aspect = Literal["traffic", "variants", "model", "routing", "metrics", "rollout", "about", "policy", "environment"]
ASPECTS: tuple[Aspect, ...] = (
    "traffic",
    "variants",
    "model",
    "routing",
    "metrics",
    "rollout",
    "about",
    "policy",
    "environment",
)
"""In the order in which a reader wants them: first what users notice."""

_ASPECTS: dict[str, Aspect] = {
    "traffic": "traffic",
    "shadow": "traffic",
    "control": "variants",
    "hostname": "routing",
    "metrics": "metrics",
    "requests": "metrics",
    "analysis": "metrics",
    "rps": "metrics",
    "rollout": "rollout",
    "owner": "about",
    "hypothesis": "about",
    "expires": "about",
}
_ABSENT = object()


class Difference(NamedTuple):
    """A field that differs: its path as a user writes it; None on a side that does not set it."""

    aspect: Aspect
    path: Path
    before: Any
    after: Any


def of_experiment(before: Reading, after: Reading) -> tuple[Difference, ...]:
    """Return what differs, ordered by aspect and path; nothing if both mean the same."""
    if not differ(before, after):
        return ()
    old, new = _effective(before.document.spec), _effective(after.document.spec)
    common = old["variants"].keys() & new["variants"].keys()
    found, settings = [], []
    for path, one, other in leaves(old, new, ()):
        if path[0] == "variants" and path[1] in common:
            settings.append((path, one, other))
        else:
            kind: Aspect = "variants" if path[0] == "variants" else aspect(path)
            found.append(Difference(kind, ("spec", *path), one, other))
    found += _shared(settings, len(common))
    hosts = before.experiment.hostname, after.experiment.hostname
    if hosts[0] != hosts[1] and all(one.aspect != "routing" for one in found):
        found.append(Difference("routing", ("spec", "hostname"), *hosts))  # by its name, or its environment's domain
    return _ordered(found)


def differ(before: Reading, after: Reading) -> bool:
    """Tell whether two readings mean something else; which file says it is no matter."""
    return before.experiment._replace(source="") != after.experiment._replace(source="")


def aspect(path: Path) -> Aspect:
    """Return what a field of an experiment's spec is about."""
    return _ASPECTS.get(str(path[0]), "model")


def of_environment(before: Place, after: Place) -> tuple[Difference, ...]:
    """Return what differs but for the defaults, which are told with each experiment that they change."""
    old, new = ({key: one for key, one in side.document.spec.items() if key != "defaults"} for side in (before, after))
    return _ordered(
        [
            Difference("policy" if path[0] == "policy" else "environment", ("spec", *path), one, other)
            for path, one, other in leaves(old, new, ())
        ]
    )


def _effective(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec in which each variant has all its settings."""
    model, logging = spec.get("model", {}), spec.get("logging")
    variants = {}
    for name, own in spec["variants"].items():
        settings = merge(model, own)
        sink = merge(logging, settings.get("logging", {}))
        variants[name] = settings | ({"logging": sink} if sink else {})
    return {key: one for key, one in spec.items() if key not in ("model", "logging")} | {"variants": variants}


def leaves(before: Any, after: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Yield what differs, at the greatest depth at which both sides are mappings; None where a side lacks it."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from leaves(before.get(key, _ABSENT), after.get(key, _ABSENT), (*path, key))
    elif before != after:
        yield path, None if before is _ABSENT else before, None if after is _ABSENT else after


def _shared(settings: list[tuple[Path, Any, Any]], variants: int) -> Iterator[Difference]:
    """Tell what changed alike for all variants as a change of what they share."""
    for path, before, after in settings:
        alike = [one for one in settings if (one[0][2:], *one[1:]) == (path[2:], before, after)]
        if len(alike) < variants or variants == 1:
            yield Difference("model", ("spec", *path), before, after)
        elif alike[0][0] == path:
            shared: Path = path[2:] if path[2] == "logging" else ("model", *path[2:])
            yield Difference("model", ("spec", *shared), before, after)


def _ordered(found: list[Difference]) -> tuple[Difference, ...]:
    return tuple(sorted(found, key=lambda one: (ASPECTS.index(one.aspect), [str(part) for part in one.path])))
