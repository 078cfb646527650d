"""Recurrence rules for the recount: each date looked at on its own, each period listed where positions are counted.

A part of `recount` and, like it, without a line in common with what plans; no library either. The rules it meets have
been accepted when they were written. Times are wall-clock times, in seconds of a date; dates are days since 1970-01-01.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86_400
_WEEK = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
_FINE = {"HOURLY": 3_600, "MINUTELY": 60, "SECONDLY": 1}
_LONGEST_WALK = 800_000
"""So many dates are looked at for the last one of a COUNT; the planner's limits end long before."""


class Recurrence:
    """What a stored recurrence gives on each date. `to_local` reads an instant (s UTC) on the wall of its zone."""

    def __init__(self, data: Mapping[str, Any], to_local: Callable[[int], int]) -> None:
        lines = {"RRULE": "", "RDATE": "", "EXDATE": ""}
        for word in str(data["rule"]).split():
            name, colon, rest = word.partition(":")
            lines[name if colon else "RRULE"] = rest if colon else word
        self._parts = dict(part.split("=") for part in lines["RRULE"].split(";"))
        self._freq = self._parts["FREQ"]
        self._every = int(self._parts.get("INTERVAL", "1"))
        self._wkst = _WEEK[self._parts.get("WKST", "MO")]
        self._start = _seconds(datetime.fromisoformat(data["start"]))
        self._by = {
            name: [int(value) for value in self._parts[name].split(",")]
            for name in self._parts
            if name.startswith("BY") and name != "BYDAY"
        }
        self._days = [
            (_WEEK[term[-2:]], int(term[:-2] or 0)) for term in _words(self._parts.get("BYDAY", ""))
        ]
        self._from_start()
        self._more, self._fewer = (
            {_stamp(each, to_local) for each in _words(lines[name])} for name in ("RDATE", "EXDATE")
        )
        self._until = _stamp(self._parts["UNTIL"], to_local) if "UNTIL" in self._parts else None
        self.every_hour = self._freq in _FINE
        self._own = lru_cache(maxsize=4096)(self._find)
        if "COUNT" in self._parts:
            self._until = self._end_of(int(self._parts["COUNT"]))

    def times_on(self, day: int) -> list[int]:
        """The seconds of a date at which it falls due, in order."""
        found = {second for second in self._own(day) if self._counts(day * _DAY + second)}
        found.update(at % _DAY for at in self._more if at // _DAY == day)
        return sorted(second for second in found if day * _DAY + second not in self._fewer)

    def _counts(self, at: int) -> bool:
        return at >= self._start and (self._until is None or at <= self._until)

    def _end_of(self, count: int) -> int:
        """The COUNT-th time."""
        at, left, first = self._start - 1, count, self._start // _DAY
        for day in range(first, first + _LONGEST_WALK):
            if day + _EPOCH > date.max.toordinal():
                break
            for second in self._own(day):
                if day * _DAY + second >= self._start:
                    at, left = day * _DAY + second, left - 1
                    if not left:
                        return at
        return at

    def _from_start(self) -> None:
        """What the rule leaves open is that of its start."""
        first, rest = _date(self._start // _DAY), self._start % _DAY
        chooses = self._days or self._by.keys() & {"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"}
        if not chooses and self._freq == "YEARLY":
            self._by.setdefault("BYMONTH", [first.month])
        if not chooses and self._freq in ("YEARLY", "MONTHLY"):
            self._by["BYMONTHDAY"] = [first.day]
        if not chooses and self._freq == "WEEKLY":
            self._days = [(first.weekday(), 0)]
        step = _FINE.get(self._freq, _DAY)
        for name, unit, value in (
            ("BYHOUR", 3_600, rest // 3_600), ("BYMINUTE", 60, rest // 60 % 60), ("BYSECOND", 1, rest % 60)
        ):  # fmt: skip
            if unit < step:
                self._by.setdefault(name, [value])

    # --- one date ---

    def _find(self, day: int) -> list[int]:
        if day < self._start // _DAY or not self._has_date(day):
            return []
        if self.every_hour:
            return self._within(day)
        if not self._in_step(day):
            return []
        times = self._times()
        if "BYSETPOS" not in self._by:
            return times
        whole = [(each, time) for each in self._period(day) if self._has_date(each) for time in times]
        return [time for each, time in self._chosen(whole) if each == day]

    def _chosen(self, whole: list[Any]) -> list[Any]:
        if "BYSETPOS" not in self._by:
            return whole
        picked = {n - 1 if n > 0 else len(whole) + n for n in self._by["BYSETPOS"]}
        return [each for place, each in enumerate(whole) if place in picked]

    def _times(self) -> list[int]:
        by = self._by
        return sorted(
            3_600 * h + 60 * m + s for h in by["BYHOUR"] for m in by["BYMINUTE"] for s in by["BYSECOND"]
        )

    def _within(self, day: int) -> list[int]:
        """The times of a date of a rule that repeats within the day."""
        unit, by = _FINE[self._freq], self._by
        first = self._start // unit
        found: list[int] = []
        for number in range(_DAY // unit):
            second = number * unit
            if (day * _DAY // unit + number - first) % self._every:
                continue
            if second // 3_600 not in by.get("BYHOUR", range(24)):
                continue
            if unit < 3_600 and second // 60 % 60 not in by.get("BYMINUTE", range(60)):
                continue
            if unit == 1 and second % 60 not in by.get("BYSECOND", range(60)):
                continue
            small = [0]
            if unit == 60:
                small = sorted(by["BYSECOND"])
            elif unit == 3_600:
                small = sorted(60 * m + s for m in by["BYMINUTE"] for s in by["BYSECOND"])
            found += [second + each for each in self._chosen(small)]
        return found

    def _in_step(self, day: int) -> bool:
        """Whether the period that a date lies in is one of every INTERVAL."""
        start = self._start // _DAY
        now, then = _date(day), _date(start)
        if self._freq == "YEARLY":
            behind = now.year - then.year
        elif self._freq == "MONTHLY":
            behind = 12 * (now.year - then.year) + now.month - then.month
        elif self._freq == "WEEKLY":
            behind = (self._monday(day) - self._monday(start)) // 7
        else:
            behind = day - start
        return behind % self._every == 0

    def _monday(self, day: int) -> int:
        """The first day of a date's week."""
        return day - (_date(day).weekday() - self._wkst) % 7

    def _period(self, day: int) -> range:
        now = _date(day)
        if self._freq == "YEARLY":
            first = date(now.year, 1, 1)
            return range(_number(first), _number(first) + 365 + isleap(now.year))
        if self._freq == "MONTHLY":
            first = date(now.year, now.month, 1)
            return range(_number(first), _number(first) + monthrange(now.year, now.month)[1])
        if self._freq == "WEEKLY":
            return range(self._monday(day), self._monday(day) + 7)
        return range(day, day + 1)

    def _has_date(self, day: int) -> bool:
        """Whether every BY… part that chooses dates allows this one."""
        when, by = _date(day), self._by
        of_year, length = when.timetuple().tm_yday, 365 + isleap(when.year)
        of_month = monthrange(when.year, when.month)[1]
        for name, n, size in (("BYMONTHDAY", when.day, of_month), ("BYYEARDAY", of_year, length)):
            if name in by and n not in by[name] and n - size - 1 not in by[name]:
                return False
        if "BYMONTH" in by and when.month not in by["BYMONTH"]:
            return False
        if "BYWEEKNO" in by and not self._has_week(day):
            return False
        if not self._days:
            return True
        place, size = (
            (of_year, length) if self._freq == "YEARLY" and "BYMONTH" not in by else (when.day, of_month)
        )
        numbers = (0, (place + 6) // 7, -((size - place) // 7 + 1))
        return any(when.weekday() == weekday and n in numbers for weekday, n in self._days)

    def _has_week(self, day: int) -> bool:
        """Week 1 is the first with four days in its year, so a week belongs to the year of its fourth day."""
        middle = _date(self._monday(day) + 3)
        number = (middle.timetuple().tm_yday + 6) // 7
        last = date(middle.year, 12, 31)
        weeks = (_date(self._monday(_number(last)) + 3).year == middle.year) + (
            _date(self._monday(_number(last)) - 4).timetuple().tm_yday + 6
        ) // 7
        return number in self._by["BYWEEKNO"] or number - weeks - 1 in self._by["BYWEEKNO"]


def _words(text: str) -> list[str]:
    return text.split(",") if text else []


def _date(day: int) -> date:
    return date.fromordinal(day + _EPOCH)


def _number(when: date) -> int:
    return when.toordinal() - _EPOCH


def _seconds(when: datetime) -> int:
    return (when - datetime(1970, 1, 1)) // timedelta(seconds=1)  # noqa: DTZ001  readings of a wall


def _stamp(text: str, to_local: Callable[[int], int]) -> int:
    """A time as the RFC writes it, read on the wall."""
    at = _seconds(datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S"))  # noqa: DTZ007  readings of a wall
    return to_local(at) if text.endswith("Z") else at
