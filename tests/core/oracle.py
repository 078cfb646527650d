"""A second opinion on cron: slow, plain, and without a line of the product in it.

It reads the fields into sets with a parser of its own and then walks: every minute (or second) of a window,
through `zoneinfo` itself. What it says is compared with what the evaluator says; where they differ, one of
them is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_LIMITS = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "month": (1, 12),
    "dow": (0, 6),
}
EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = EPOCH.replace(tzinfo=UTC)


def _number(text: str, field: str) -> int:
    if field == "month" and text.upper() in _MONTHS:
        return _MONTHS.index(text.upper()) + 1
    if field == "dow" and text.upper() in _DAYS:
        return _DAYS.index(text.upper())
    return int(text)


@lru_cache(maxsize=10_000)
def _values(text: str, field: str) -> set[int]:
    """Counts upwards from the start of each term and comes round at the end of the field."""
    low, high = _LIMITS[field]
    found = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        if span.upper().startswith("H"):
            ends = span[2:-1].split("-") if "(" in span else (low, 28 if field == "day" else high)
            first, last = int(ends[0]), int(ends[1])
            last = last if step else first
        elif span in "*?":
            first, last = low, high
        elif "-" in span:
            first, last = (_number(part, field) for part in span.split("-"))
        else:
            first = _number(span, field)
            last = (7 if field == "dow" else high) if step else first
        if field == "dow" and first == 7 > last:
            first = 0  # one Sunday, whichever its number
        value, count = first, 0
        while True:
            if count % int(step or 1) == 0:
                found.add(0 if field == "dow" and value == 7 else value)
            if value == last or (field == "dow" and value == 7 and last == 0):
                break
            count += 1
            value += 1
            if value > (7 if field == "dow" and last == 7 else high):
                value = low
    return found


@dataclass(frozen=True)
class Fields:
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    day: str
    months: frozenset[int]
    dow: str
    hour_text: str

    @classmethod
    def read(cls, expression: str) -> Fields:
        words = expression.split()
        second, minute, hour, day, month, dow = words if len(words) == 6 else ["0", *words]
        return cls(
            frozenset(_values(second, "second")),
            frozenset(_values(minute, "minute")),
            frozenset(_values(hour, "hour")),
            day,
            frozenset(_values(month, "month")),
            dow,
            hour,
        )

    @property
    def rhythm(self) -> bool:
        return self.hour_text == "*" or (
            self.hour_text[:2].upper() in ("*/", "H/") and self.hour_text[2:].isdigit()
        )

    def of_time(self, at: datetime) -> bool:
        return at.hour in self.hours and at.minute in self.minutes and at.second in self.seconds

    def matches(self, at: datetime) -> bool:
        return self.of_time(at) and matches_date(self, at.date())


@lru_cache(maxsize=200_000)
def matches_date(fields: Fields | CalendarFields, at: date) -> bool:
    if isinstance(fields, CalendarFields):
        return fields.has_date(at)
    if at.month not in fields.months:
        return False
    by_day = any(_day_term(term, at) for term in fields.day.split(","))
    by_dow = any(_dow_term(term, at) for term in fields.dow.split(","))
    if fields.day[0] in "*?" or fields.dow[0] in "*?":
        return by_day and by_dow
    return by_day or by_dow


def _day_term(term: str, at: date) -> bool:
    plain = term.upper().removesuffix("W")
    if plain.startswith("L"):
        target = (at.replace(day=28) + timedelta(4)).replace(day=1) - timedelta(1 + int(plain[2:] or 0))
    elif plain != term.upper():
        target = _day_of(at, int(plain))
    else:
        return at.day in _values(term, "day")
    if target is None or target.month != at.month:
        return False
    if plain == term.upper():
        return at == target
    if target.weekday() == 5:
        target += timedelta(-1 if target.day > 1 else 2)
    elif target.weekday() == 6:
        target += timedelta(1 if (target + timedelta(1)).month == at.month else -2)
    return at == target


def _day_of(at: date, day: int) -> date | None:
    """That day in the month of a date."""
    try:
        return at.replace(day=day)
    except ValueError:
        return None


def _dow_term(term: str, at: date) -> bool:
    weekday = (at.weekday() + 1) % 7
    if "#" in term:
        name, n = term.split("#")
        return weekday == _number(name, "dow") % 7 and (at.day - 1) // 7 + 1 == int(n)
    if term.upper().endswith("L"):
        return weekday == _number(term[:-1], "dow") % 7 and (at + timedelta(7)).month != at.month
    return weekday in _values(term, "dow")


@dataclass(frozen=True)
class CalendarFields:
    """A calendar interval: `choice` is ("day", n), ("weekday", n, weekday), ("business", n) or ("week", weekdays), with
    n = 0 for the last; weekdays from Monday = 0; `month` limits a year to one month."""

    every: int
    unit: str
    choice: tuple[object, ...]
    start: date
    minute: int
    short: str = "clamp"
    month: int | None = None
    seconds: frozenset[int] = frozenset({0})
    rhythm: bool = False

    def of_time(self, at: datetime) -> bool:
        return at.hour * 60 + at.minute == self.minute and at.second == 0

    def matches(self, at: datetime) -> bool:
        return self.of_time(at) and matches_date(self, at.date())

    def has_date(self, at: date) -> bool:
        if at < self.start:
            return False
        if self.unit == "day":
            return (at - self.start).days % self.every == 0
        if self.unit == "week":
            weeks = (at.toordinal() - 1) // 7 - (self.start.toordinal() - 1) // 7
            return weeks % self.every == 0 and at.weekday() in self.choice[1]  # type: ignore[operator]
        months = {"month": 1, "quarter": 3, "year": 12}[self.unit]
        passed = _months(at) // months - _months(self.start) // months
        if passed % self.every:
            return False
        first = (
            _months(at) // months * months if self.month is None else _months(at) // 12 * 12 + self.month - 1
        )
        end = first + (months if self.month is None else 1)
        return at == _choose(self.choice, first, end, self.short)


def _months(at: date) -> int:
    return at.year * 12 + at.month - 1


@lru_cache(maxsize=100_000)
def _choose(choice: tuple[object, ...], first: int, end: int, short: str) -> date | None:
    """Counts through the days of the months from one to another, until it has the wanted one."""
    kind, n = choice[0], choice[1]
    count, found, at = 0, None, date(first // 12, first % 12 + 1, 1)
    while _months(at) < end:
        if kind == "day" or (at.weekday() < 5 if kind == "business" else at.weekday() == choice[2]):
            count, found = count + 1, at
            if count == n:
                return at
        at += timedelta(1)
    return found if n == 0 or (kind == "day" and short == "clamp") else None


# --- real time ----------------------------------------------------------------------------------------------


def us(at: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (at - _EPOCH_UTC) // timedelta(microseconds=1)


def _reading(second: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(second, zone).replace(tzinfo=None)


def _second(naive: datetime, zone: ZoneInfo, fold: int) -> int:
    return us(naive.replace(tzinfo=zone, fold=fold)) // 1_000_000


def real_seconds(naive: datetime, zone: ZoneInfo, gap: str, fold: str) -> list[int]:
    """The real seconds on which a time on the wall falls."""
    early, late = (_second(naive, zone, fold) for fold in (0, 1))
    there = sorted({second for second in (early, late) if _reading(second, zone) == naive})
    if there:
        return {"first": there[:1], "second": there[-1:], "both": there}[fold]
    if gap == "skip":
        return []
    if gap == "shift":
        return [early]  # fold 0 reads it with the offset from before the gap
    before = datetime.fromtimestamp(late, zone).utcoffset()
    walked = range(late - late % 60, early + 61, 60)  # clocks change on whole minutes since 1972
    return [next(second for second in walked if datetime.fromtimestamp(second, zone).utcoffset() != before)]


def due(
    rule: str | CalendarFields,
    tz: str,
    start: int,
    end: int,
    dst: str = "auto",
    gap: str = "end",
    fold: str = "first",
) -> dict[int, list[datetime]]:
    """Every due second in (start, end], with the times on the wall that it stands for."""
    fields, zone = Fields.read(rule) if isinstance(rule, str) else rule, ZoneInfo(tz)
    step = 60 if fields.seconds == {0} else 1
    found: dict[int, list[datetime]] = {}
    if dst == "rhythm" or (dst == "auto" and fields.rhythm):
        for second in range(start + 1 + -(start + 1) % step, end + 1, step):
            local = _reading(second, zone)
            if fields.matches(local):
                found[second] = [local]
        return found
    # Times on the wall may be real a day later (a day was left out in 2011), so the walk begins well before.
    for naive in _naive(
        _reading(start, zone) - timedelta(hours=26), _reading(end, zone) + timedelta(hours=3), step
    ):
        if fields.matches(naive):
            for second in real_seconds(naive, zone, gap, fold):
                if start < second <= end:
                    found.setdefault(second, []).append(naive)
    return dict(sorted(found.items()))


def _naive(start: datetime, end: datetime, step: int) -> Iterator[datetime]:
    at = start.replace(second=0, microsecond=0)
    while at <= end:
        yield at
        at += timedelta(seconds=step)


def changes(tz: str, first_year: int, last_year: int) -> list[tuple[int, int, int]]:
    """The changes of offset of a zone: (second, offset before, offset after)."""
    zone = ZoneInfo(tz)

    def offset(second: int) -> int:
        return int(datetime.fromtimestamp(second, zone).utcoffset().total_seconds())  # type: ignore[union-attr]

    day, found = 86_400, []
    low = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    while low < end:
        if offset(low) != offset(low + day):
            left, right = low, low + day
            while right - left > 1:
                middle = (left + right) // 2
                left, right = (middle, right) if offset(middle) == offset(low) else (left, middle)
            found.append((right, offset(left), offset(right)))
        low += day
    return found
