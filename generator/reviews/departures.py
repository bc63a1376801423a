"""Where manifests that are committed depart from those that would be rendered: what is said of these is not applied."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from generator.documents import load
from generator.reviews.differences import leaves
from generator.reviews.restarts import Cause


class Departure(NamedTuple):
    """A manifest that departs: `missing`; `gone`, if it was there before; `left`, though none is to be; or `other`.

    `causes` are fields of an `other` one that decide what runs and who gets requests: as rendered, and as committed.
    """

    path: str
    kind: Literal["missing", "gone", "left", "other"]
    causes: tuple[Cause, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether it decides what runs and who gets requests."""
        return "/manifests/models/" in self.path or "/manifests/traffic/" in self.path


def of(
    committed: Mapping[str, bytes], rendered: Mapping[str, bytes], before: Mapping[str, bytes]
) -> tuple[Departure, ...]:
    """Compare texts by path, in order of path; `before` are those committed before the change."""
    return tuple(
        _departure(path, committed.get(path), rendered.get(path), before.get(path))
        for path in sorted(committed.keys() | rendered.keys())
        if committed.get(path) != rendered.get(path)
    )


def _departure(path: str, committed: bytes | None, rendered: bytes | None, before: bytes | None) -> Departure:
    if rendered is None:
        return Departure(path, "left")
    if committed is None:
        return Departure(path, "missing" if before is None else "gone")
    plain = Departure(path, "other")
    if not plain.matters:
        return plain
    meant, found = (load.parse(text, path)[0] for text in (rendered, committed))
    return plain._replace(causes=tuple(Cause(*one) for one in leaves(meant, found, ()) if one[0]))
