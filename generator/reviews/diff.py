"""The difference of two states as text, JSON or YAML: what `penstock diff` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator.documents.wording import dotted, flow
from generator.report import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from generator.reviews.differences import Difference
    from generator.reviews.meaning import EnvironmentChange, ExperimentChange, Meaning

    Paint = Callable[[str, str], str]

SIGNS = {"added": "+", "removed": "-", "renamed": ">", "changed": "~", "unreadable": "!"}


def text(meaning: Meaning, paint: Paint) -> str:
    """Write a block for each thing that changed; `paint` colours a line by its sign."""
    lines = [
        line
        for environment in meaning.environments
        for line in _block(environment.kind, _place(environment), environment.differences, paint)
    ]
    for change in meaning.experiments:
        lines += _block(change.kind, _title(change), change.differences, paint, traffic(change))
    return "".join(f"{line}\n" for line in lines)


def traffic(change: ExperimentChange) -> str:
    """Say how the shares change, candidates first: `v2 20 → 40 %, v1 80 → 60 %`; "" if they do not, or who knows."""
    if change.kind == "unreadable":
        return ""
    before, after = (
        {v.name: v.traffic for v in side.experiment.variants} if side else {} for side in (change.before, change.after)
    )
    control = (change.after or change.before).experiment.control.name  # type: ignore[union-attr]
    order = sorted(before.keys() | after.keys(), key=lambda name: (name == control, name))
    return ", ".join(
        f"{name} {before.get(name, 0)} → {after.get(name, 0)} %"
        for name in order
        if before.get(name, 0) != after.get(name, 0)
    )


def _place(change: EnvironmentChange) -> str:
    return f"environment {change.name}" + (f" (was {change.former})" if change.former else "")


def _title(change: ExperimentChange) -> str:
    was = f"{change.origin}/{change.name}" if change.origin != change.environment else change.former
    return f"{change.label} (was {was})" if was else change.label


def _block(kind: str, title: str, differences: tuple[Difference, ...], paint: Paint, shares: str = "") -> Iterator[str]:
    if kind == "same":
        return
    yield paint(SIGNS[kind], f"{SIGNS[kind]} {printable(title)}")
    if shares:
        yield f"    {'traffic':<12}{shares}"
    for one in differences:
        if one.path[:2] != ("spec", "traffic"):
            yield f"    {one.aspect:<12}{dotted(one.path)}: {value(one.before)} → {value(one.after)}"


def value(data: Any) -> str:
    """Write a value in a line, whole."""
    return printable("not set" if data is None else flow(data))


def plain(meaning: Meaning) -> dict[str, Any]:
    """Return everything as data for JSON."""
    return {
        "environments": [
            {"name": one.name, "kind": one.kind, "former": one.former, "differences": _plain(one.differences)}
            for one in meaning.environments
            if one.kind != "same"
        ],
        "experiments": [
            {
                "environment": one.environment,
                "name": one.name,
                "kind": one.kind,
                "former": one.former,
                "differences": _plain(one.differences),
            }
            for one in meaning.experiments
            if one.kind != "same"
        ],
    }


def _plain(differences: tuple[Difference, ...]) -> list[dict[str, Any]]:
    return [
        {"aspect": one.aspect, "path": dotted(one.path), "before": one.before, "after": one.after}
        for one in differences
    ]
