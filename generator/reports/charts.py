"""Where things stand in a picture: scales, ticks and paths, as numbers and texts that templates only place.

A picture is stretched to its frame, so positions are in percent of it: x from the left, y from the top. Labels are no
part of it but stand over it, so that they are as readable on a phone as on paper.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SPANS = (
    *(number * _MINUTE for number in (1, 5, 15, 30)),
    *(number * _HOUR for number in (1, 3, 6, 12)),
    *(number * _DAY for number in (1, 2, 3, 7, 14, 28, 91, 365)),
)
_MOST_TICKS = 5
_RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
_CHANGES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 9.0, 99.0)


class Tick(NamedTuple):
    """A place on an axis, in percent, and its label; `second` is a smaller line below it."""

    at: float
    label: str
    second: str = ""


class Scale(NamedTuple):
    """A linear axis: `low` is at 0 %, `high` at 100 %; what lies beyond is drawn at the edge."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        return round(100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low), 3)


def times(begins: int, ends: int) -> Scale:
    """Return the axis of time; at least a minute long."""
    return Scale(begins, max(ends, begins + _MINUTE))


def time_ticks(scale: Scale) -> tuple[Tick, ...]:
    """Return few round moments in UTC, by date and by time of day."""
    span = next((one for one in _SPANS if (scale.high - scale.low) / one <= _MOST_TICKS), _SPANS[-1])
    first = math.ceil(scale.low / span) * span
    found = []
    for at in range(int(first), int(scale.high) + 1, span):
        moment = time.gmtime(at)
        day = f"{moment.tm_mday} {MONTHS[moment.tm_mon - 1]}"
        clock = f"{moment.tm_hour:02}:{moment.tm_min:02}"
        found.append(Tick(scale.at(at), *((day, "") if span >= _DAY else (clock, day))))
    return tuple(found)


def ratios(logs: Iterable[float], wider: Iterable[float]) -> Scale:
    """Return an axis of log ratios about 0 that holds all of `logs`, and of `wider` what is less than twice as far."""
    least = 1.15 * max((abs(one) for one in logs), default=0.0) or math.log(1.1)
    far = [abs(one) for one in wider if abs(one) < 2 * least]
    return Scale(-max(least, *far) if far else -least, max(least, *far) if far else least)


def ratio_ticks(scale: Scale, sign: int) -> tuple[Tick, ...]:
    """Return round changes on both sides of none; with `sign` -1 the axis is that of the inverse ratio."""
    step = max((one for one in _CHANGES if math.log1p(one) <= 0.8 * scale.high), default=_CHANGES[0])
    logs = (-math.log1p(step), 0.0, math.log1p(step))
    if step <= 0.5:
        logs = (
            math.log1p(-step) if sign > 0 else -math.log1p(step),
            0.0,
            math.log1p(step) if sign > 0 else -math.log1p(-step),
        )
    return tuple(Tick(scale.at(one), change(math.exp(sign * one))) for one in logs if abs(one) <= scale.high)


def change(ratio: float | None) -> str:
    """Write a ratio as a change: `+4.2 %`, `-10 %`, `x 3.1`."""
    if ratio is None:
        return "-"
    if ratio >= 2.995:
        return f"\u00d7 {ratio:,.3g}"
    percent = 100 * (ratio - 1)
    if abs(percent) < 0.005:
        return "0 %"
    digits = 0 if abs(percent) >= 99.5 else 1 if abs(percent) >= 9.95 else 2 if abs(percent) >= 0.0995 else 3
    text = f"{abs(percent):.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    sign = "+" if percent > 0 else "\u2212"
    return f"{sign}{text} %"


def line(points: Sequence[tuple[float, float]]) -> str:
    """Return the path of a line through points."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""


def band(points: Sequence[tuple[float, float, float]]) -> str:
    """Return the path around a band of (x, upper y, lower y)."""
    if not points:
        return ""
    edge = [(x, upper) for x, upper, _ in points] + [(x, lower) for x, _, lower in reversed(points)]
    return f"{line(edge)}Z"


def evidence_ticks(scale: Scale) -> tuple[Tick, ...]:
    """Return powers of ten of an axis of log10 E, as many as are readable."""
    step = max(1, math.ceil((scale.high - scale.low) / _MOST_TICKS))
    return tuple(
        Tick(scale.at(one), f"{10**one:,}" if 0 <= one <= 4 else power(one))
        for one in range(math.ceil(scale.low), math.floor(scale.high) + 1)
        if one % step == 0
    )


def power(exponent: int) -> str:
    """Write a power of ten."""
    return "10" + str(exponent).translate(_RAISED)
