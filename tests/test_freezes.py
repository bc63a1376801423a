"""Freeze windows: when they hold, and when they are over."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from generator.domain import freezes

BERLIN = ZoneInfo("Europe/Berlin")
PERIOD: dict[str, Any] = {"from": "2026-12-20", "until": "2027-01-02", "reason": "year end"}
NIGHTS: dict[str, Any] = {
    "weekdays": ["Fri"],
    "from": "16:00",
    "until": "08:00",
    "timezone": "Europe/Berlin",
    "reason": "weekend",
}
DAYS: dict[str, Any] = {"weekdays": ["Sat", "Sun"], "timezone": "Europe/Berlin", "reason": "weekend"}


UTC = ZoneInfo("UTC")


def moment(text: str, zone: ZoneInfo = UTC) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def test_a_period_holds_from_its_first_day_to_the_end_of_its_last() -> None:
    window = freezes.read(PERIOD)
    held = [freezes.within([window], moment(text)) is not None for text in ("2026-12-19T23:59", "2026-12-20T00:00")]
    held += [freezes.within([window], moment(text)) is not None for text in ("2027-01-02T23:59", "2027-01-03T00:00")]
    assert held == [False, True, True, False]
    assert freezes.free((window,), moment("2026-12-24T12:00")) == moment("2027-01-03T00:00")


def test_hours_may_reach_over_midnight() -> None:
    window = freezes.read(NIGHTS)
    friday, saturday = "2026-11-20", "2026-11-21"
    for text, held in (
        (f"{friday}T15:59", 0),
        (f"{friday}T16:00", 1),
        (f"{saturday}T07:59", 1),
        (f"{saturday}T08:00", 0),
    ):
        assert (freezes.within([window], moment(text, BERLIN)) is not None) == bool(held), text
    assert freezes.free((window,), moment(f"{friday}T20:00", BERLIN)) == moment(f"{saturday}T08:00", BERLIN)


def test_days_follow_the_clock_on_the_wall_when_it_is_put_back() -> None:
    """On 2026-10-25 the day in Berlin has 25 hours."""
    window = freezes.read(DAYS)
    assert freezes.free((window,), moment("2026-10-24T00:30", BERLIN)) == moment("2026-10-26T00:00", BERLIN)


def test_a_freeze_of_every_day_never_ends() -> None:
    always = freezes.read({"weekdays": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "reason": "for ever"})
    assert freezes.free((always,), moment("2026-10-24T00:30")) is None


@given(st.integers(min_value=1_700_000_000, max_value=1_900_000_000))
def test_what_is_free_lies_in_no_window_and_nothing_before_it_does(now: int) -> None:
    windows = tuple(freezes.read(one) for one in (PERIOD, NIGHTS, DAYS))
    free = freezes.free(windows, now)
    assert free is not None
    assert freezes.within(windows, free) is None
    assert free == now or freezes.within(windows, free - 1) is not None
