"""The local times that a rule matches, without time zones: dates, and times of day.

Everything that can be known beforehand is: the matching times of a day are a sorted tuple, the matching
dates of a month are found once and kept. So the next match is one look into a table and one bisect, and a
count over years is a sum.

A local time is written as in `wallclock`, as microseconds since 1970-01-01T00:00 on the wall. The calendar
repeats every 400 years, so a search through one such cycle that finds nothing proves that there is nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date
from functools import lru_cache
from typing import Final, Protocol

from watchbell.core.triggers.cron_fields import DateFields, parse_cron
from watchbell.core.units import DAY, FIRST_DAY, HOUR, LAST_DAY, MINUTE, SECOND

_EPOCH_ORDINAL: Final = 719_163
_CYCLE_MONTHS: Final = 400 * 12
_KEPT_DAYS: Final = 512
_KEPT_MONTHS: Final = 240
_FEW_MONTHS: Final = 48  # up to so many are looked at one by one
_SUNDAY: Final = 0
_SATURDAY: Final = 6
_NO_MONTH: Final[tuple[int, ...]] = ()


class Matching(Protocol):
    """The dates of a rule; a day is an integer, days since 1970-01-01."""

    near: dict[int, tuple[int | None, int | None]]

    def around(self, day: int) -> tuple[int | None, int | None]: ...
    def at_or_before(self, day: int, floor: int) -> int | None: ...
    def count(self, first: int, end: int) -> int: ...


class Dates:
    """The dates that match; a day is an integer, days since 1970-01-01. Its tables fill as they are asked."""

    __slots__ = ("_fields", "_months", "_per_shape", "_shapes", "near")

    def __init__(self, fields: DateFields) -> None:
        self._fields = fields
        self._months: dict[int, tuple[int, ...]] = {}
        self._per_shape: list[int] = []
        # A month is told by the weekday it begins on and its length: there are 28 of them.
        self._shapes: dict[tuple[int, int], tuple[int, ...]] = {}
        self.near: dict[int, tuple[int | None, int | None]] = {}
        """For days asked lately: the first match on or after the day, and the first after it."""

    def around(self, day: int) -> tuple[int | None, int | None]:
        """The first matching day on or after a day, and the first after it; None where there is none."""
        found = self.near.get(day)
        return found if found is not None else self._fill(day)

    def _fill(self, day: int) -> tuple[int | None, int | None]:
        if not FIRST_DAY <= day <= LAST_DAY:
            first = self._at_or_after(day)
            return first, first
        # The whole month at once: whoever asks for a day soon asks for its neighbour.
        number = _month_of(day)
        first = date(number // 12, number % 12 + 1, 1).toordinal() - _EPOCH_ORDINAL
        end = first + _length(number // 12, number % 12 + 1)
        after = self._at_or_after(end)
        matching = frozenset(self._month(number))
        near: dict[int, tuple[int | None, int | None]] = {}
        for each in range(end - 1, first - 1, -1):
            here = each if each in matching else after
            near[each] = here, after
            after = here
        if len(self.near) >= _KEPT_DAYS:
            self.near.clear()
        self.near.update(near)
        return near[day]

    def _at_or_after(self, day: int) -> int | None:
        day = max(day, FIRST_DAY)
        if day > LAST_DAY:
            return None
        month = _month_of(day)
        for number in range(month, min(month + _CYCLE_MONTHS + 1, 9_999 * 12 + 12)):
            if number % 12 + 1 not in self._fields.months:
                continue
            days = self._month(number)
            if days and days[-1] >= day:
                return days[bisect_left(days, day)]
        return None

    def at_or_before(self, day: int, floor: int) -> int | None:
        """The last matching day that is not after `day` and not before `floor`."""
        day, floor = min(day, LAST_DAY), max(floor, FIRST_DAY)
        if day < floor:
            return None
        month = _month_of(day)
        for number in range(month, max(_month_of(floor), month - _CYCLE_MONTHS) - 1, -1):
            days = self._month(number)
            if days and days[0] <= day:
                found = days[bisect_right(days, day) - 1]
                return found if found >= floor else None
        return None

    def count(self, first: int, end: int) -> int:
        """How many matching days there are from `first` on, before `end`."""
        first, end = max(first, FIRST_DAY), min(end, LAST_DAY + 1)
        if first >= end:
            return 0
        low, high = _month_of(first), _month_of(end - 1)
        if low == high:
            return _between(self._month(low), first, end)
        if high - low < _FEW_MONTHS:
            whole = sum(len(self._month(number)) for number in range(low + 1, high))
        else:
            whole = self._count_months(low + 1, high)
        return _between(self._month(low), first, end) + whole + _between(self._month(high), first, end)

    def _count_months(self, low: int, high: int) -> int:
        """The matching days of the months from one on, before another, without looking at their dates."""
        if not self._per_shape:
            of_shape = [len(self._choose(*divmod(shape, 4))) for shape in range(28)]
            self._per_shape = [
                count if month in self._fields.months else 0 for month in range(1, 13) for count in of_shape
            ]
        rounds, rest = divmod(high - low, _CYCLE_MONTHS)
        shapes, place = _shapes_of_months(), low % _CYCLE_MONTHS
        some = shapes[place : place + rest] + shapes[: max(0, place + rest - _CYCLE_MONTHS)]
        found = sum(map(self._per_shape.__getitem__, some))
        return found + rounds * sum(map(self._per_shape.__getitem__, shapes)) if rounds else found

    def _month(self, number: int) -> tuple[int, ...]:
        """The matching days of a month; months are numbered through, year · 12 + month − 1."""
        found = self._months.get(number)
        if found is None:
            if number % 12 + 1 not in self._fields.months:
                return _NO_MONTH
            found = self._find(number)
            if len(self._months) >= _KEPT_MONTHS:
                self._months.clear()
            self._months[number] = found
        return found

    def _find(self, number: int) -> tuple[int, ...]:
        year, month = divmod(number, 12)
        start = date(year, month + 1, 1).toordinal() - _EPOCH_ORDINAL
        shape = (start + _EPOCH_ORDINAL) % 7, _length(year, month + 1) - 28
        chosen = self._shapes.get(shape)
        if chosen is None:
            chosen = self._shapes[shape] = self._choose(*shape)
        return tuple([start + day - 1 for day in chosen]) if chosen else _NO_MONTH

    def _choose(self, weekday: int, beyond: int) -> tuple[int, ...]:
        """The matching days of a month that begins on a weekday and has so many days beyond 28."""
        fields, length = self._fields, 28 + beyond
        by_day = {day for day in fields.days if day <= length}
        by_day.update(length - back for back in fields.from_last if back < length)
        for wanted in fields.nearest:
            day = wanted if wanted > 0 else length + wanted
            if 1 <= day <= length:
                by_day.add(_nearest_weekday(day, (weekday + day - 1) % 7, length))
        by_weekday = {day for day in range(1, length + 1) if (weekday + day - 1) % 7 in fields.weekdays}
        for wanted, n in fields.nth_weekdays:
            of_month = range((wanted - weekday) % 7 + 1, length + 1, 7)
            if n == 0:
                by_weekday.add(of_month[-1])
            elif n <= len(of_month):
                by_weekday.add(of_month[n - 1])
        chosen = by_day & by_weekday if fields.both else by_day | by_weekday
        return tuple(sorted(chosen))


def _nearest_weekday(day: int, weekday: int, length: int) -> int:
    """The day itself, or the Friday before or the Monday after it, whichever is nearer and in its month."""
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _between(days: tuple[int, ...], first: int, end: int) -> int:
    return bisect_left(days, end) - bisect_left(days, first)


def _month_of(day: int) -> int:
    found = date.fromordinal(day + _EPOCH_ORDINAL)
    return found.year * 12 + found.month - 1


def _length(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@lru_cache(maxsize=1)
def _shapes_of_months() -> tuple[int, ...]:
    """Month of the year, first weekday and length in one number, for the 400 years from the year 0 on; the 9,999 years
    of the calendar are these over and over."""
    found = []
    for number in range(_CYCLE_MONTHS):
        year, month = divmod(number, 12)
        first = date(year + 400, month + 1, 1).toordinal() % 7
        found.append(month * 28 + first * 4 + _length(year, month + 1) - 28)
    return tuple(found)


@lru_cache(maxsize=2048)
def dates_of(fields: DateFields) -> Dates:
    """The dates of an expression; expressions that differ only in the time of day share them."""
    return Dates(fields)


@lru_cache(maxsize=2048)
def pattern_of(expression: str) -> Pattern:
    """The local times of a cron expression."""
    fields = parse_cron(expression)
    first = fields.seconds[0]
    seconds = tuple((second - first) * SECOND for second in fields.seconds)
    return Pattern(dates_of(fields.dates), _starts_of(fields.hours, fields.minutes, first), seconds)


@lru_cache(maxsize=1024)
def _starts_of(hours: tuple[int, ...], minutes: tuple[int, ...], second: int) -> tuple[int, ...]:
    return tuple(hour * HOUR + minute * MINUTE + second * SECOND for hour in hours for minute in minutes)


class Pattern:
    """The local times that a rule matches.

    `times` are the starts of the matching minutes, each moved to its first matching second, as µs of the
    day; with one second per minute, the usual case, they are the matching times themselves.
    """

    __slots__ = ("dates", "per_day", "seconds", "times")

    def __init__(self, dates: Matching, times: tuple[int, ...], seconds: tuple[int, ...]) -> None:
        self.dates = dates
        self.times = times
        self.seconds = seconds
        """Matching seconds of a minute, in µs after the first of them."""
        self.per_day = len(self.times) * len(self.seconds)

    def after(self, local: int) -> int | None:
        """The first match after a local time, or None when the calendar ends before it."""
        day = max(local // DAY, FIRST_DAY)
        here, after = self.dates.around(day)
        if here == day:
            rest = local - day * DAY
            time = self._time_after(rest)
            if time is not None:
                return day * DAY + time
            here = after
        return None if here is None else here * DAY + self.times[0]

    def _time_after(self, rest: int) -> int | None:
        """The first matching time of day after `rest`."""
        times, seconds = self.times, self.seconds
        i = bisect_right(times, rest)
        if i and rest < times[i - 1] + seconds[-1]:
            return times[i - 1] + seconds[bisect_right(seconds, rest - times[i - 1])]
        return times[i] if i < len(times) else None

    def at_or_before(self, local: int, floor: int) -> int | None:
        """The last match that is not after `local` and not before `floor`."""
        day = local // DAY
        found = self.dates.at_or_before(day, floor // DAY)
        if found is not None and found == day:
            before = self._times_until(local - day * DAY + 1)
            if before:
                match = day * DAY + self._time(before - 1)
                return match if match >= floor else None
            found = self.dates.at_or_before(day - 1, floor // DAY)
        if found is None:
            return None
        match = found * DAY + self._time(self.per_day - 1)
        return match if match >= floor else None

    def _time(self, place: int) -> int:
        """The matching time of day at a place in their order."""
        minute, second = divmod(place, len(self.seconds))
        return self.times[minute] + self.seconds[second]

    def _times_until(self, rest: int) -> int:
        """How many matching times of day lie before `rest`."""
        times, seconds = self.times, self.seconds
        i = bisect_left(times, rest)
        if not i:
            return 0
        return (i - 1) * len(seconds) + bisect_left(seconds, rest - times[i - 1])

    def count(self, first: int, end: int) -> int:
        """How many matches there are from `first` on, before `end`."""
        if first >= end:
            return 0
        day, last = first // DAY, end // DAY
        whole = self.dates.count(day, last) * self.per_day
        if self.dates.around(day)[0] == day:
            whole -= self._times_until(first - day * DAY)
        if self.dates.around(last)[0] == last:
            whole += self._times_until(end - last * DAY)
        return whole

    def has(self, local: int) -> bool:
        """Whether a local time matches."""
        return self.count(local, local + 1) == 1
