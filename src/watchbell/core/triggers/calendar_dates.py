"""The dates of a calendar interval, as `pattern` asks for them: days are integers, days since 1970-01-01.

The periods of a rule are numbered: 0 is the one that holds its start, and number k begins k times `every` periods
later. The calendar repeats every 400 years, so does what is empty among the periods of a rule, and a search through
one such round that finds nothing proves that there is nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date
from functools import lru_cache
from math import gcd
from typing import Final

from watchbell.core.triggers.calendar_rule import LAST, MONTHS_IN, DayChoice, ShortMonth, Unit
from watchbell.core.units import FIRST_DAY, LAST_DAY

_EPOCH_ORDINAL: Final = 719_163
_CYCLE_MONTHS: Final = 400 * 12
_LAST_MONTH: Final = 9_999 * 12 + 11
_KEPT_DAYS: Final = 512
_KEPT_PERIODS: Final = 512
_FILLED: Final = 64  # days looked up at once on the way to the next match


class CalendarDates:
    """The matching dates; its tables fill as they are asked."""

    __slots__ = ("_choice", "_every", "_first", "_per_cycle", "_periods", "_short", "_start", "_unit", "near")

    def __init__(
        self, every: int, unit: Unit, choice: DayChoice | None, start: date, short: ShortMonth
    ) -> None:
        self._every, self._unit, self._choice, self._short = every, unit, choice, short
        self._start = start.toordinal() - _EPOCH_ORDINAL
        self._first = self._period_of(self._start)
        self._periods: dict[int, tuple[int, ...]] = {}
        self._per_cycle: int | None = None
        self.near: dict[int, tuple[int | None, int | None]] = {}
        """For days asked lately: the first match on or after the day, and the first after it."""

    def around(self, day: int) -> tuple[int | None, int | None]:
        """The first matching day on or after a day, and the first after it; None where there is none."""
        found = self.near.get(day)
        if found is not None:
            return found
        here = self._at_or_after(day)
        if here is None or not FIRST_DAY <= day <= LAST_DAY:
            return here, here
        if len(self.near) >= _KEPT_DAYS:
            self.near.clear()
        for each in range(day, min(here, day + _FILLED)):
            self.near[each] = here, here
        if here < day + _FILLED:
            self.near[here] = here, self._at_or_after(here + 1)
        return self.near[day]

    def at_or_before(self, day: int, floor: int) -> int | None:
        """The last matching day that is not after `day` and not before `floor`."""
        day, floor = min(day, LAST_DAY), max(floor, self._start)
        if day < floor:
            return None
        last = self._number_of(day)
        for number in range(last, max(self._number_of(floor), last - self._cycle()) - 1, -1):
            days = self._days(number)
            if days and days[0] <= day:
                found = days[bisect_right(days, day) - 1]
                return found if found >= floor else None
        return None

    def count(self, first: int, end: int) -> int:
        """How many matching days there are from `first` on, before `end`."""
        first, end = max(first, self._start), min(end, LAST_DAY + 1)
        if first >= end:
            return 0
        low, high = self._number_of(first), self._number_of(end - 1)
        if low == high:
            return _between(self._days(low), first, end)
        edges = _between(self._days(low), first, end) + _between(self._days(high), first, end)
        return edges + self._whole(low + 1, high)

    def _whole(self, low: int, high: int) -> int:
        """The matching days of the periods from one number on, before another; neither is the first one."""
        if self._unit == "day":
            return high - low
        if self._unit == "week":
            return (high - low) * len(self._days(low)) if high > low else 0
        if self._is_in_each():
            return max(0, high - low)
        rounds, rest = divmod(high - low, self._cycle())
        total = sum(len(self._days(number)) for number in range(low, low + rest))
        if rounds:
            if (
                self._per_cycle is None
            ):  # any round is like any other, but for the start within the first period
                self._per_cycle = sum(len(self._choose(number)) for number in range(1, self._cycle() + 1))
            total += rounds * self._per_cycle
        return total

    def _is_in_each(self) -> bool:
        """Whether there is no month so short that it has not got the chosen day."""
        choice = self._choice
        assert choice is not None
        if choice.kind == "day":
            return choice.n <= 28 or self._short == "clamp"
        return choice.n <= (4 if choice.kind == "weekday" else 20)

    def _at_or_after(self, day: int) -> int | None:
        day = max(day, self._start)
        if day > LAST_DAY:
            return None
        number = self._number_of(day)
        for each in range(number, number + self._cycle() + 2):
            days = self._days(each)
            if days and days[-1] >= day:
                return days[bisect_left(days, day)]
        return None

    # --- periods --------------------------------------------------------------------------------------------

    def _cycle(self) -> int:
        """After how many of its periods the rule repeats itself."""
        if self._unit in ("day", "week"):
            return 1
        step = self._every * MONTHS_IN[self._unit]
        return _CYCLE_MONTHS // gcd(_CYCLE_MONTHS, step)

    def _period_of(self, day: int) -> int:
        """The calendar's number of the period that holds a day."""
        if self._unit == "day":
            return day
        if self._unit == "week":
            return (day + 3) // 7  # 1970-01-01 was a Thursday
        return _month_of(day) // MONTHS_IN[self._unit]

    def _number_of(self, day: int) -> int:
        """The number of the last period of the rule that begins at or before a day."""
        return (self._period_of(day) - self._first) // self._every

    def _days(self, number: int) -> tuple[int, ...]:
        """The matching days of a period of the rule."""
        found = self._periods.get(number)
        if found is None:
            found = self._choose(number)
            if len(self._periods) >= _KEPT_PERIODS:
                self._periods.clear()
            self._periods[number] = found
        return found

    def _choose(self, number: int) -> tuple[int, ...]:
        period = self._first + number * self._every
        if self._unit == "day":
            days: tuple[int, ...] = (period,)
        elif self._unit == "week":
            assert self._choice is not None
            days = tuple(period * 7 - 3 + weekday for weekday in self._choice.weekdays)
        else:
            days = self._of_months(period * MONTHS_IN[self._unit], MONTHS_IN[self._unit])
        if days and not self._start <= days[0] <= days[-1] <= LAST_DAY:
            return tuple(day for day in days if self._start <= day <= LAST_DAY)
        return days

    def _of_months(self, month: int, months: int) -> tuple[int, ...]:
        """The chosen day of so many months from one on, if they have it."""
        choice = self._choice
        assert choice is not None
        if choice.month is not None:
            month, months = month + choice.month - 1, 1
        if month > _LAST_MONTH:
            return ()
        first = _first_of(month)
        length = _first_of(month + months) - first
        if choice.kind == "day":
            if choice.n <= length:
                return (first + (choice.n or length) - 1,)
            return (first + length - 1,) if self._short == "clamp" else ()
        begins = (first + 3) % 7  # the weekday of the first day, Monday = 0
        if choice.kind == "weekday":
            offset = _nth_weekday(choice.weekdays[0], choice.n, begins, length)
        else:
            offset = _nth_business(choice.n, begins, length)
        return () if offset is None else (first + offset,)


def _nth_weekday(weekday: int, n: int, begins: int, length: int) -> int | None:
    """The place of the n-th such weekday among so many days."""
    first = (weekday - begins) % 7
    place = first + (n - 1) * 7 if n != LAST else first + (length - 1 - first) // 7 * 7
    return place if place < length else None


def _nth_business(n: int, begins: int, length: int) -> int | None:
    """The place of the n-th day from Monday to Friday among so many days."""
    if n == LAST:
        return length - 1 - max(0, (begins + length - 1) % 7 - 4)
    # Counted from the Monday of the first week: five of them in every seven days.
    before = n - 1 + min(begins, 5)
    place = before // 5 * 7 + before % 5 - begins
    return place if place < length else None


def _between(days: tuple[int, ...], first: int, end: int) -> int:
    return bisect_left(days, end) - bisect_left(days, first)


def _month_of(day: int) -> int:
    found = date.fromordinal(day + _EPOCH_ORDINAL)
    return found.year * 12 + found.month - 1


def _first_of(month: int) -> int:
    """The first day of a month, by its number."""
    if month > _LAST_MONTH:
        return LAST_DAY + 1
    return date(month // 12, month % 12 + 1, 1).toordinal() - _EPOCH_ORDINAL


@lru_cache(maxsize=2048)
def calendar_dates(
    every: int, unit: Unit, choice: DayChoice | None, start: date, short: ShortMonth
) -> CalendarDates:
    """The dates of a rule; schedules that say the same share them."""
    return CalendarDates(every, unit, choice, start, short)
