"""Freeze windows of an environment's policy: reading them, and asking whether a moment lies in one.

Every moment is in seconds since 1970 (UTC). Hours of weekdays follow the clocks of their time zone, with summer time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from generator.domain.model import Freeze

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = 86400
_MINUTES = 24 * 60


def read(declared: dict[str, Any]) -> Freeze:
    """Build a freeze window that `mistakes` finds nothing in."""
    reason, zone = declared["reason"], declared.get("timezone", "UTC")
    if "weekdays" in declared:
        days = tuple(sorted({_WEEKDAYS.index(day) for day in declared["weekdays"]}))
        return Freeze(
            days, _minute(declared.get("from", "00:00")), _minute(declared.get("until", "24:00")), zone, reason
        )
    return Freeze((), _moment(declared["from"], 0), _moment(declared["until"], _DAY), "UTC", reason)


def mistakes(declared: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the field, what is wrong and a way to mend it, of a window that its schema accepts."""
    weekly = "weekdays" in declared
    for key in ("from", "until"):
        if key not in declared and not weekly:
            yield (
                "",
                f"this freeze has no `{key}`",
                f"add {key}, for example `{key}: 2026-12-20` in quotes, or weekdays",
            )
        elif key in declared and not _readable(declared[key], weekly=weekly):
            wanted = (
                "a time of day such as 16:00" if weekly else "a day or moment that exists, such as 2026-12-20T16:00Z"
            )
            yield key, f"`{declared[key]}` is not {wanted}", f"write {wanted}"
    if "timezone" in declared and not weekly:
        yield "timezone", "a period is in UTC, so a time zone means nothing here", "remove timezone, or add weekdays"
    if not _known(declared.get("timezone", "UTC")):
        yield "timezone", f"there is no time zone `{declared['timezone']}`", "use an IANA name such as Europe/Berlin"
    elif not weekly and all(_readable(declared.get(key, ""), weekly=False) for key in ("from", "until")):
        window = read(declared)
        if window.start >= window.end:
            yield "until", f"the freeze ends at {declared['until']}, before it begins", "let it end after `from`"


def within(windows: Iterable[Freeze], moment: int) -> Freeze | None:
    """Return the window that `moment` lies in, if any."""
    return next((one for one in windows if _holds(one, moment)), None)


def free(windows: tuple[Freeze, ...], moment: int) -> int | None:
    """Return the first moment from `moment` on that lies in no window; None if there is none within a year."""
    end = moment + 366 * _DAY
    while moment < end:
        window = within(windows, moment)
        if window is None:
            return moment
        moment = window.end if not window.weekdays else _until(window, moment)
    return None


def _holds(window: Freeze, moment: int) -> bool:
    if not window.weekdays:
        return window.start <= moment < window.end
    return _part(window, _local(window, moment)) is not None


def _part(window: Freeze, local: datetime) -> int | None:
    """Return the minute of the day at which the window around `local` ends; None outside of it."""
    minute = local.hour * 60 + local.minute
    over_midnight = window.end <= window.start
    if local.weekday() in window.weekdays and window.start <= minute and (over_midnight or minute < window.end):
        return _MINUTES if over_midnight else window.end
    if over_midnight and (local.weekday() - 1) % 7 in window.weekdays and minute < window.end:
        return window.end
    return None


def _until(window: Freeze, moment: int) -> int:
    """Return the moment at which the hours around `moment` end, by the clock on the wall."""
    local = _local(window, moment)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    minute = _part(window, local) or _MINUTES
    end = midnight + timedelta(days=minute // _MINUTES)
    later = int(end.replace(hour=minute % _MINUTES // 60, minute=minute % 60).timestamp())
    return max(later, moment + 60)


def _local(window: Freeze, moment: int) -> datetime:
    return datetime.fromtimestamp(moment, ZoneInfo(window.timezone))


def _readable(written: str, *, weekly: bool) -> bool:
    try:
        if weekly:
            return _minute(written) <= _MINUTES
        _moment(written, 0)
    except ValueError:
        return False
    return True


def _minute(written: str) -> int:
    hours, minutes = written.split(":")
    return int(hours) * 60 + int(minutes)


def _moment(written: str, day: int) -> int:
    """Read a day, to which `day` seconds are added, or a moment."""
    if "T" not in written:
        return int(datetime.strptime(written, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) + day
    return int(datetime.strptime(written, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC).timestamp())


def _known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
