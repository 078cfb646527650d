"""Calendar intervals as written: "every 3 months", "the last business day", "09:00", read into values and told again.

A rule counts periods of the calendar (days, weeks from Monday, months, quarters, years) from the period that holds
its start, and in every n-th of them chooses a day: by its number, the last one, the n-th or last of a weekday, the
n-th or last business day (Monday to Friday; holidays are a blackout's business). It knows nothing of time zones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from watchbell.core.units import HOUR, MINUTE, SECOND
from watchbell.errors import BadTrigger

Unit: TypeAlias = Literal["day", "week", "month", "quarter", "year"]
ShortMonth: TypeAlias = Literal["clamp", "skip"]
"""What becomes of day 31 where the month ends before it: the last day instead, or nothing."""
SHORT_MONTHS: Final[tuple[ShortMonth, ...]] = ("clamp", "skip")
UNITS: Final[tuple[Unit, ...]] = ("day", "week", "month", "quarter", "year")
MONTHS_IN: Final = {"month": 1, "quarter": 3, "year": 12}
LAST: Final = 0

_MOST_EVERY: Final = 1_000
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ORDINALS: Final = ("last", "first", "second", "third", "fourth", "fifth")
_EVERY: Final = re.compile(r"(?:every )?(?:(?P<n>[0-9]{1,9}) )?(?P<unit>day|week|month|quarter|year)s?")
_ORDINAL: Final = rf"(?P<n>{'|'.join(_ORDINALS)}|[0-9]{{1,4}}(?:st|nd|rd|th))"
_DAY: Final = re.compile(rf"(?:day )?(?P<number>[0-9]{{1,4}})|last|(?:{_ORDINAL})(?: day)?")
_NTH: Final = re.compile(rf"{_ORDINAL} (?P<what>business day|[a-z]+)")
_DATE: Final = re.compile(r"(?P<day>[0-9]{1,4}) (?P<month>[a-z]+)|(?P<month2>[a-z]+) (?P<day2>[0-9]{1,4})")
_TIME: Final = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_FORMS: Final = "'last business day', 'first Monday', 'third Friday', 'day 15' or 'last day'"
# How many there can be of each in a period.
_MOST: Final = {
    "month": {"day": 31, "weekday": 5, "business": 23},
    "quarter": {"day": 92, "weekday": 14, "business": 66},
    "year": {"day": 366, "weekday": 53, "business": 262},
}


@dataclass(frozen=True, slots=True)
class DayChoice:
    """Which day of a period: the n-th (`LAST`: the last) day, weekday or business day. Weekdays count from Monday = 0;
    there are several in a weekly rule only. `month` limits a yearly rule to one month."""

    kind: Literal["day", "weekday", "business"]
    n: int
    weekdays: tuple[int, ...] = ()
    month: int | None = None

    def to_text(self) -> str:
        """The choice as it is stored and told, "last business day", "day 15", "24 December"."""
        if self.kind == "day" and self.n != LAST:
            return f"day {self.n}" if self.month is None else f"{self.n} {_MONTHS[self.month - 1]}"
        if len(self.weekdays) > 1 or (self.weekdays and self.n == _EACH):
            return join([_WEEKDAYS[day] for day in self.weekdays])
        what = {"day": "day", "business": "business day"}.get(self.kind) or _WEEKDAYS[self.weekdays[0]]
        text = f"{_ordinal(self.n)} {what}"
        return text if self.month is None else f"{text} of {_MONTHS[self.month - 1]}"

    def describe(self) -> str:
        """The choice in a sentence, behind "on"."""
        text = self.to_text()
        bare = self.n == _EACH or (self.kind == "day" and self.n != LAST)
        return text if bare else f"the {text}"


_EACH: Final = -1  # of a weekly rule: each of its weekdays


def read_every(text: object) -> tuple[int, Unit]:
    """The number and the unit of "3 months". Raises BadTrigger."""
    match = _EVERY.fullmatch(" ".join(text.lower().split())) if isinstance(text, str) else None
    if match is None:
        raise BadTrigger(
            f"every={text!r} is no calendar period; write a number of days, weeks, months, quarters or years, such as "
            "'3 months'"
        )
    unit: Unit = next(unit for unit in UNITS if unit == match["unit"])
    return check_every(int(match["n"] or 1)), unit


def check_every(number: object) -> int:
    """The number, if there can be a rule of every so many. Raises BadTrigger."""
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _MOST_EVERY:
        raise BadTrigger(
            f"every={number!r}: a calendar interval is every 1 to {_MOST_EVERY:,} of its periods"
        )
    return number


def read_start(text: object) -> date:
    """The date that periods are counted from. Raises BadTrigger."""
    if isinstance(text, date):
        return date(text.year, text.month, text.day)
    try:
        if isinstance(text, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadTrigger(f"start={text!r} is no date; write one such as '2026-11-21'")


def read_time_of_day(text: object) -> tuple[int, str]:
    """A time on the wall: µs since midnight, and how it is written. Raises BadTrigger."""
    match = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    hour, minute, second = (int(part or 0) for part in match.groups()) if match else (24, 0, 0)
    if hour > 23 or minute > 59 or second > 59:
        raise BadTrigger(f"at={text!r} is no time of day; write one from '00:00' to '23:59:59'")
    written = f"{hour:02d}:{minute:02d}" + (f":{second:02d}" if second else "")
    return hour * HOUR + minute * MINUTE + second * SECOND, written


# --- the day ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def read_on(text: str, unit: Unit) -> DayChoice:
    """Which day of its period a text means. Raises BadTrigger."""
    plain = " ".join(text.lower().split()).removeprefix("on ").removeprefix("the ")
    if unit == "day":
        raise BadTrigger(
            f"on={text!r}: a rule of days has no day to choose; leave on= out, or count weeks or months"
        )
    choice = _weekdays(plain) if unit == "week" else _of_period(plain, unit)
    if choice is None:
        forms = "the weekdays, such as 'Monday and Thursday'" if unit == "week" else _FORMS
        hint = "; for Monday to Friday say 'business day'" if re.search(r"\b(week|work)", plain) else ""
        raise BadTrigger(f"on={text!r} cannot be read for a {unit}; write {forms}{hint}")
    most = 7 if unit == "week" else _MOST["month" if choice.month else unit][choice.kind]
    if choice.n > most:
        where = "month" if choice.month else unit
        raise BadTrigger(f"on={text!r}: a {where} has at most {most} of these; write 1 to {most}, or 'last'")
    return choice


def default_on(unit: Unit, start: date) -> DayChoice:
    """The day of the start itself, for a rule that names none. Raises BadTrigger where that says too little."""
    if unit == "week":
        return DayChoice("weekday", _EACH, (start.weekday(),))
    if unit == "quarter":
        raise BadTrigger(f"a rule of quarters must say on which day; write on= with {_FORMS}")
    return DayChoice("day", start.day, month=start.month if unit == "year" else None)


def _weekdays(plain: str) -> DayChoice | None:
    found = [_named(_WEEKDAYS, part) for part in re.split(r", and |, ?| and ", plain)]
    days = [day for day in found if day is not None]
    return DayChoice("weekday", _EACH, tuple(sorted(set(days)))) if len(days) == len(found) else None


def _of_period(plain: str, unit: Unit) -> DayChoice | None:
    month = None
    if unit == "year":
        match = _DATE.fullmatch(plain)
        month = _named(_MONTHS, match["month"] or match["month2"]) if match else None
        if match and month is not None:
            day = int(match["day"] or match["day2"])
            return DayChoice("day", day, month=month + 1) if day else None
        plain, of, name = plain.partition(" of ")
        if of:
            month = _named(_MONTHS, name)
            if month is None:
                return None
            month += 1
    if match := _DAY.fullmatch(plain):
        n = _number(match["number"] or match["n"] or "last")
        return None if n is None else DayChoice("day", n, month=month)
    match = _NTH.fullmatch(plain)
    n = _number(match["n"]) if match else None
    if match is None or n is None:
        return None
    if match["what"] == "business day":
        return DayChoice("business", n, month=month)
    weekday = _named(_WEEKDAYS, match["what"])
    return None if weekday is None else DayChoice("weekday", n, (weekday,), month)


def _named(names: tuple[str, ...], text: str) -> int | None:
    """The place of a name, written in full or with its first three letters."""
    return next((i for i, name in enumerate(names) if text in (name.lower(), name[:3].lower())), None)


def _number(text: str) -> int | None:
    """ "third", "3rd" or "3"; `LAST` for "last", None for a nought."""
    return _ORDINALS.index(text) if text in _ORDINALS else int(text.rstrip("stndrh")) or None


def _ordinal(n: int) -> str:
    if n < len(_ORDINALS):
        return _ORDINALS[n]
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def join(parts: list[str]) -> str:
    """ "a, b and c"."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
