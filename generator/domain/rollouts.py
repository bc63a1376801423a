"""The declared rollout of an experiment as `model.Rollout`: presets written out, percentages as full maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generator.domain.environments import seconds
from generator.domain.model import Gate, Rollout, Step, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

PRESETS: dict[str, tuple[Any, ...]] = {
    "canary": (5, 25, 50, 100),
    "ab": ({"percent": 50, "gate": "manual"},),
    "blueGreen": ({"percent": 0, "gate": "manual"}, 100),
    "shadowFirst": ({"percent": 0, "shadow": 100}, 5, 25, 50, 100),
}
"""Steps of each preset, as a user would write them."""
_SOAK = 3600


def read(spec: dict[str, Any], variants: Sequence[Variant], *, measured: bool) -> Rollout | None:
    """Build the rollout of an experiment's spec, None without one. `measured`: whether the experiment has metrics.

    A step that the variants do not fit comes out with the traffic as it is written: `rules` refuses it.
    """
    declared = spec.get("rollout")
    if declared is None:
        return None
    soak = seconds(declared.get("soak"), _SOAK)
    gate: Gate = declared.get("gate", "evidence" if measured else "manual")
    written = declared.get("steps") or PRESETS[declared["preset"]]
    return Rollout(
        mode=declared.get("mode", "manual"),
        preset=declared.get("preset", ""),
        steps=tuple(_step(one, variants, soak, gate) for one in written),
        bake=seconds(declared.get("bake"), soak),
        max_duration=seconds(declared["maxDuration"], 0) if "maxDuration" in declared else None,
    )


def _step(written: Any, variants: Sequence[Variant], soak: int, gate: Gate) -> Step:
    step: dict[str, Any] = {"percent": written} if isinstance(written, int) else written
    return Step(
        traffic=_traffic(step, variants),
        shadow=step.get("shadow", 0),
        soak=seconds(step.get("soak"), soak),
        gate=step.get("gate", gate),
    )


def _traffic(step: dict[str, Any], variants: Sequence[Variant]) -> tuple[tuple[str, int], ...]:
    """Return percent by variant, control first. A percentage is the first candidate's, and the rest is control's."""
    if "traffic" in step:
        order = {variant.name: number for number, variant in enumerate(variants)}
        return tuple(sorted(step["traffic"].items(), key=lambda item: (order.get(item[0], len(order)), item[0])))
    percent = step.get("percent", 0)
    shares = [100 - percent, percent, *(0 for _ in variants[2:])]
    return tuple(zip((variant.name for variant in variants), shares, strict=False))
