"""Calendar intervals for the recount: each date asked on its own whether a rule chooses it.

A part of `recount` and, like it, without a line in common with the calendar rooms of the planner. A period is written
out day by day, and the wanted day counted off.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from .recount_cron import Expression

_MONTH_NAMES = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAY_NAMES = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_PLACES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}
_ORDINAL_1970 = date(1970, 1, 1).toordinal()
_MONTHS_LONG = {"month": 1, "quarter": 3, "year": 12}


def read_calendar(data: Mapping[str, Any]) -> Expression:
    """Read a stored calendar interval; ValueError or KeyError where it cannot be read."""
    hour, minute, second = [*map(int, data["at"].split(":")), 0][:3]
    start = date.fromisoformat(data["start"])
    every, unit, on = int(data["every"]), data["unit"], data.get("on", "")
    if every < 1 or not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        raise ValueError(f"every {every} {unit} at {data['at']}")

    def has(number: int) -> bool:
        when = date.fromordinal(number + _ORDINAL_1970)
        if when < start:
            return False
        if unit == "day":
            return (when - start).days % every == 0
        if unit == "week":
            monday, first_monday = (day - timedelta(day.weekday()) for day in (when, start))
            return (monday - first_monday).days // 7 % every == 0 and _DAY_NAMES[when.weekday()] in on
        months = _MONTHS_LONG[unit]
        period, first_period = ((day.year * 12 + day.month - 1) // months for day in (when, start))
        if (period - first_period) % every:
            return False
        return when == _chosen(period * months, months, on, data.get("short_month", "clamp"))

    return Expression(
        times=(3600 * hour + 60 * minute + second,),
        every_hour=False,
        has_date=lru_cache(maxsize=2048)(has),
    )


@lru_cache(maxsize=4096)
def _chosen(month: int, months: int, on: str, short: str) -> date | None:
    """The day that a text chooses among so many months from one on; months are numbered through from year 0."""
    words = on.split()
    if words[-1] in _MONTH_NAMES and months == 12:
        month, months = month + _MONTH_NAMES.index(words[-1]), 1
        words = ["day", words[0]] if len(words) == 2 else words[:-2]
    days = _days_of(month, months)
    if words[0] == "day":
        n = int(words[1])
        if n > len(days):
            return days[-1] if short == "clamp" else None
        return days[n - 1]
    if words[1:] == ["business", "day"]:
        days = [day for day in days if day.isoweekday() <= 5]
    elif words[1:] != ["day"]:
        days = [day for day in days if day.weekday() == _DAY_NAMES.index(words[1])]
    place = _PLACES[words[0]] if words[0] in _PLACES else int(words[0][:-2]) - 1
    return days[place] if place < len(days) else None


def _days_of(month: int, months: int) -> list[date]:
    """Every date of so many months."""
    day = date(month // 12, month % 12 + 1, 1)
    found = []
    while day.year * 12 + day.month - 1 < month + months:
        found.append(day)
        if day == date.max:
            break
        day += timedelta(1)
    return found
