"""The wall-clock times of a recurrence rule: dates from python-dateutil, times of day from the rule's own numbers.

dateutil goes forward from a start and from there only, and it does not stop where nothing matches. So it is asked for
dates alone, one calendar year at a time, from the last period in step with DTSTART before that year: every year is as
quick to reach as the first, with INTERVAL as well; BYMONTHDAY and its like, which a rule takes from DTSTART, are written
out first, so that the start says nothing more than which periods count. A COUNT is turned into the time it ends at.

A local time is written as in `wallclock`. `Readings` has the questions of `pattern.Pattern`, so that `walk` lays both
over the timeline of a zone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from math import gcd
from typing import Any, Final, NamedTuple

from watchbell.core.triggers.rrule_text import FREQUENCIES, Recurrence
from watchbell.core.units import DAY, LAST_DAY, SECOND

_EPOCH_ORDINAL: Final = 719_163
_KEPT: Final = 64
_MOST_EMPTY_DAYS: Final = 150_000
"""A cycle of the calendar: a rule with no time on so many of its days in a row has none on any."""
_DAY_S: Final = 86_400
_UNITS_S: Final = {"HOURLY": 3_600, "MINUTELY": 60, "SECONDLY": 1}


class _Year(NamedTuple):
    """The matching days of a calendar year, the first one behind it, and the times of each where they differ."""

    days: tuple[int, ...]
    behind: int | None
    times: dict[int, tuple[int, ...]]


class Dates:
    """The matching dates of a rule, days since 1970-01-01, from `start` on."""

    def __init__(self, rule: Recurrence, start: datetime) -> None:
        self._rule, self._start = rule, start
        self._by_times = bool(rule.positions) and not rule.rhythm
        self._years: dict[int, _Year] = {}

    def year(self, number: int) -> _Year:
        """One calendar year."""
        found = self._years.get(number)
        if found is None:
            if len(self._years) >= _KEPT:
                self._years.clear()
            found = self._years[number] = self._expand(number)
        return found

    def _expand(self, number: int) -> _Year:
        first = date(number, 1, 1).toordinal() - _EPOCH_ORDINAL
        last = date(number, 12, 31).toordinal() - _EPOCH_ORDINAL
        times: dict[int, list[int]] = {}
        behind = None
        for moment in self._moments(self._in_step(number)):
            day = moment.toordinal() - _EPOCH_ORDINAL
            if day > last:
                behind = day
                break
            if day >= first:
                second = moment.hour * 3_600 + moment.minute * 60 + moment.second
                times.setdefault(day, []).append(second * SECOND)
        kept = {day: tuple(sorted(each)) for day, each in times.items()} if self._by_times else {}
        return _Year(tuple(times), behind, kept)

    def _in_step(self, number: int) -> datetime:
        """The start of the last period that counts and begins no later than a year does."""
        rule, start = self._rule, self._start
        interval = 1 if rule.rhythm else rule.interval
        if rule.freq == "YEARLY":
            return datetime(number - (number - start.year) % interval, 1, 1)  # noqa: DTZ001
        if rule.freq == "MONTHLY":
            months = number * 12 - (number * 12 - start.year * 12 - start.month + 1) % interval
            return datetime(months // 12, months % 12 + 1, 1)  # noqa: DTZ001
        begin = datetime(start.year, start.month, start.day)  # noqa: DTZ001
        unit = 1
        if rule.freq == "WEEKLY":
            begin, unit = begin - timedelta((begin.weekday() - rule.wkst) % 7), 7
        ahead = (datetime(number, 1, 1) - begin).days  # noqa: DTZ001
        return begin + timedelta(ahead // (unit * interval) * unit * interval)

    def _moments(self, begin: datetime) -> Iterator[datetime]:
        """What dateutil gives from a period's start on, with everything that DTSTART would say written out."""
        from dateutil import rrule as library  # type: ignore[import-untyped]  # only where there is such a rule

        rule, start = self._rule, self._start
        freq = "DAILY" if rule.rhythm else rule.freq
        months, days, weekdays = rule.months, rule.month_days, rule.weekdays
        if not (rule.weeks or rule.year_days or days or weekdays):
            if freq == "YEARLY":
                months, days = months or (start.month,), (start.day,)
            elif freq == "MONTHLY":
                days = (start.day,)
            elif freq == "WEEKLY":
                weekdays = ((start.weekday(), 0),)
        given: dict[str, Any] = {
            "bymonth": months,
            "bymonthday": days,
            "byyearday": rule.year_days,
            "byweekno": rule.weeks,
            "byweekday": [library.weekday(day, n or None) for day, n in _alike(weekdays, freq, bool(months))],
        }
        if self._by_times:
            hours, minutes, seconds = times_of_fields(rule, start)
            given |= {"byhour": hours, "byminute": minutes, "bysecond": seconds, "bysetpos": rule.positions}
        return iter(
            library.rrule(
                getattr(library, freq),
                dtstart=begin,
                interval=1 if rule.rhythm else rule.interval,
                wkst=rule.wkst,
                **{name: value for name, value in given.items() if value},
            )
        )


def _alike(weekdays: tuple[tuple[int, int], ...], freq: str, monthly: bool) -> list[tuple[int, int]]:
    """Weekdays all numbered or all not: of a mixture ("every Monday and the first Tuesday") dateutil takes the common
    part, the RFC the sum."""
    if not any(n for _, n in weekdays):
        return list(weekdays)
    most = 5 if freq == "MONTHLY" or monthly else 53
    return [(day, each) for day, n in weekdays for each in ((n,) if n else range(1, most + 1))]


def times_of_fields(
    rule: Recurrence, start: datetime
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The hours, minutes and seconds of a rule; what it does not say is that of its start."""
    return rule.hours or (start.hour,), rule.minutes or (start.minute,), rule.seconds or (start.second,)


class Readings:
    """The wall-clock times of a rule from its start on, as µs since 1970 on that wall.

    `start`, `until`, `more` and `fewer` are such times as well: RDATE and EXDATE are `more` and `fewer`.
    """

    def __init__(
        self, rule: Recurrence, start: int, until: int | None, more: tuple[int, ...], fewer: tuple[int, ...]
    ) -> None:
        moment = datetime(1970, 1, 1) + timedelta(seconds=start // SECOND)  # noqa: DTZ001
        self._rule, self._start, self._moment = rule, start, moment
        self._dates = Dates(rule, moment)
        self._daily = self._constant()
        self._some: dict[int, tuple[int, ...]] = {}
        self._hopeless = self._has_no_times()
        self._end = (LAST_DAY + 1) * DAY - 1 if until is None else until
        if rule.count is not None:
            self._end = self._nth(rule.count)
        gone = frozenset(fewer)
        self._gone = tuple(at for at in sorted(gone) if self._own_has(at))
        self._more = tuple(at for at in sorted(set(more)) if at not in gone and not self._own_has(at))

    # --- the questions of a pattern ---

    def after(self, local: int) -> int | None:
        """The first time after a local time; None when there is none."""
        found = self._own_after(local)
        while found is not None and _holds(self._gone, found):
            found = self._own_after(found)
        place = bisect_right(self._more, local)
        more = self._more[place] if place < len(self._more) else None
        return min((at for at in (found, more) if at is not None), default=None)

    def at_or_before(self, local: int, floor: int) -> int | None:
        """The last time that is not after `local` and not before `floor`."""
        found = self._own_before(local, floor)
        while found is not None and _holds(self._gone, found):
            found = self._own_before(found - 1, floor)
        place = bisect_right(self._more, local)
        more = self._more[place - 1] if place and self._more[place - 1] >= floor else None
        return max((at for at in (found, more) if at is not None), default=None)

    def count(self, first: int, end: int) -> int:
        """How many times there are from `first` on, before `end`."""
        if first >= end:
            return 0
        more = bisect_left(self._more, end) - bisect_left(self._more, first)
        gone = bisect_left(self._gone, end) - bisect_left(self._gone, first)
        return self._own_count(first, end) + more - gone

    def has(self, local: int) -> bool:
        """Whether it is one of the times."""
        return _holds(self._more, local) or (self._own_has(local) and not _holds(self._gone, local))

    # --- the rule by itself ---

    def _nth(self, n: int) -> int:
        at = self._start - 1
        day: int | None = self._day_from(self._start // DAY)
        seen = 0
        for _ in range(_MOST_EMPTY_DAYS):
            if day is None:
                break
            times = self._times(day)
            if day * DAY < self._start:
                times = times[bisect_left(times, self._start - day * DAY) :]
            if times:
                at = day * DAY + times[min(n - seen, len(times)) - 1]
                seen += len(times)
            if seen >= n:
                break
            day = self._day_from(day + 1)
        return at

    def _own_after(self, local: int) -> int | None:
        local = max(local, self._start - 1)
        day: int | None = self._day_from(local // DAY)
        for _ in range(_MOST_EMPTY_DAYS):
            if day is None or day * DAY > self._end:
                return None
            times = self._times(day)
            place = bisect_right(times, local - day * DAY)
            if place < len(times):
                found = day * DAY + times[place]
                return found if found <= self._end else None
            day = self._day_from(day + 1)
        return None

    def _own_before(self, local: int, floor: int) -> int | None:
        local, floor = min(local, self._end), max(floor, self._start)
        day = self._day_until(local // DAY, floor // DAY) if local >= floor else None
        while day is not None:
            times = self._times(day)
            place = bisect_right(times, local - day * DAY)
            if place:
                found = day * DAY + times[place - 1]
                return found if found >= floor else None
            day = self._day_until(day - 1, floor // DAY)
        return None

    def _own_has(self, local: int) -> bool:
        return self._own_before(local, local) == local

    def _own_count(self, first: int, end: int) -> int:
        first, end = max(first, self._start), min(end, self._end + 1)
        if first >= end:
            return 0
        low, high = first // DAY, end // DAY
        total = self._count_days(low, high)
        if self._is_day(low):
            total -= bisect_left(self._times(low), first - low * DAY)
        if self._is_day(high):
            total += bisect_left(self._times(high), end - high * DAY)
        return total

    def _count_days(self, low: int, high: int) -> int:
        """The times of the whole days from `low` on, before `high`."""
        total, number = 0, _year_of(low)
        while number <= _year_of(high):
            year = self._dates.year(number)
            days = year.days[bisect_left(year.days, low) : bisect_left(year.days, high)]
            if self._daily is None:
                total += sum(len(self._times(day)) for day in days)
            else:
                total += len(days) * len(self._daily)
            if year.behind is None:
                break
            number = _year_of(year.behind)
        return total

    # --- days ---

    def _day_from(self, day: int) -> int | None:
        """The first matching day that is not before `day`."""
        if day > LAST_DAY or self._hopeless:
            return None
        year = self._dates.year(_year_of(max(day, self._start // DAY)))
        place = bisect_left(year.days, day)
        return year.days[place] if place < len(year.days) else year.behind

    def _day_until(self, day: int, floor: int) -> int | None:
        """The last matching day that is not after `day` and not before `floor`."""
        if self._hopeless:
            return None
        day = min(day, LAST_DAY)
        for number in range(_year_of(day), _year_of(floor) - 1, -1):
            days = self._dates.year(number).days
            place = bisect_right(days, day)
            if place:
                return days[place - 1] if days[place - 1] >= floor else None
            # An empty year is found to be so by looking ahead for the next match; where there is none to come back to
            # from the floor on, that is asked once and not for every year.
            nearest = self._day_from(floor)
            if nearest is None or nearest > day:
                return None
        return None

    def _is_day(self, day: int) -> bool:
        return day <= LAST_DAY and _holds(self._dates.year(_year_of(day)).days, day)

    # --- times of a day ---

    def _has_no_times(self) -> bool:
        """Whether it can be seen beforehand that no day has a time, which a search would need long to find out: no period
        is large enough for a position, or the steps never reach an hour that is named."""
        rule = self._rule
        if rule.rhythm:
            step = _UNITS_S[rule.freq] * rule.interval
            cycle = min(step // gcd(step, _DAY_S), _MOST_EMPTY_DAYS)
            first = self._start // DAY
            return not any(self._within(first + day) for day in range(cycle))
        if not rule.positions:
            return False
        days = {"YEARLY": 366, "MONTHLY": 31, "WEEKLY": len(rule.weekdays) or 1, "DAILY": 1}[rule.freq]
        hours, minutes, seconds = times_of_fields(rule, self._moment)
        return min(map(abs, rule.positions)) > days * len(hours) * len(minutes) * len(seconds)

    def _constant(self) -> tuple[int, ...] | None:
        """The times of every matching day, where they are the same on each; else None."""
        rule = self._rule
        if not rule.rhythm:
            if rule.positions:
                return None
            hours, minutes, seconds = times_of_fields(rule, self._moment)
            return tuple((h * 3_600 + m * 60 + s) * SECOND for h in hours for m in minutes for s in seconds)
        if _DAY_S % (_UNITS_S[rule.freq] * rule.interval) == 0:
            return self._within(self._start // DAY)
        return None

    def _times(self, day: int) -> tuple[int, ...]:
        if self._daily is not None:
            return self._daily
        if not self._rule.rhythm:
            return self._dates.year(_year_of(day)).times.get(day, ())
        found = self._some.get(day)
        if found is None:
            if len(self._some) >= _KEPT:
                self._some.clear()
            found = self._some[day] = self._within(day)
        return found

    def _within(self, day: int) -> tuple[int, ...]:
        """The times of a day of a rule that repeats within it: its periods in step with the start, and in each what the
        smaller units give."""
        rule = self._rule
        unit = _UNITS_S[rule.freq]
        step, origin = unit * rule.interval, self._start // SECOND // unit * unit
        _, minutes, seconds = times_of_fields(rule, self._moment)
        small = {
            "HOURLY": [m * 60 + s for m in minutes for s in seconds],
            "MINUTELY": list(seconds),
            "SECONDLY": [0],
        }[rule.freq]
        if rule.positions:
            places = {n - 1 if n > 0 else len(small) + n for n in rule.positions}
            small = [second for place, second in enumerate(small) if place in places]
        found = []
        first = day * _DAY_S + (origin - day * _DAY_S) % step
        for begin in range(first - day * _DAY_S, _DAY_S, step):
            if self._allows(begin):
                found += [(begin + second) * SECOND for second in small]
        return tuple(found)

    def _allows(self, second: int) -> bool:
        """Whether the units of a period are among those that the rule names."""
        rule = self._rule
        level = FREQUENCIES.index(rule.freq)
        return (
            (not rule.hours or second // 3_600 in rule.hours)
            and (level < 5 or not rule.minutes or second // 60 % 60 in rule.minutes)
            and (level < 6 or not rule.seconds or second % 60 in rule.seconds)
        )


def _holds(values: tuple[int, ...], value: int) -> bool:
    place = bisect_left(values, value)
    return place < len(values) and values[place] == value


def _year_of(day: int) -> int:
    return date.fromordinal(min(day, LAST_DAY) + _EPOCH_ORDINAL).year
