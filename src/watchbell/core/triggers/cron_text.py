"""Cron expressions in plain English.

Common expressions get the sentence a person would say ("every 15 minutes from 09:00 to 17:45 on Monday to
Friday"); every other one gets a longer sentence that is still exact. The words are made from what the fields
allow, not from how they were written, so `*/60` reads as the "every hour" that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from watchbell.core.instants import human_duration
from watchbell.core.triggers.cron_fields import CronFields, DateFields

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MOST_TIMES: Final = 6  # more times of day than this are said as a rule, not as a list


def describe_cron(fields: CronFields) -> str:
    """What an expression means, as a fragment of a sentence: "at 02:30 on Monday to Friday"."""
    if fields.hashed:
        return _hashed(fields)
    return _plain(fields)


def _plain(fields: CronFields) -> str:
    time, date = _time(fields), _date(fields.dates)
    if not date and time.startswith("at ") and len(fields.hours) < 24:
        date = "every day"
    return f"{time} {date}".rstrip()


# --- left to the hash of the schedule -----------------------------------------------------------------------


def _hashed(fields: CronFields) -> str:
    """What `H` chooses for each schedule: said as a rule where it is a usual one, else as a span to begin in."""
    widest, narrower = fields.hashed[0], fields.hashed[1:]
    date = _date(fields.dates)
    often = own = ""
    size = {"minute": 60, "hour": 24}.get(widest.field, 0)
    if widest.step > widest.high - widest.low or (
        widest.high - widest.low + 1 == size and size % (widest.step or 1)
    ):
        size = 0  # the distances are not even, so no short sentence is true
    if size == 60 and len(fields.hours) == 24 and len(fields.seconds) == 1:
        often = f"every {widest.step} minutes" if widest.step else "once an hour"
        own = "minutes" if widest.step else "a minute"
        own += " of its own" + (
            f" from {widest.low} to {widest.high}" if widest.high - widest.low < 59 else ""
        )
    elif size == 24 and len(fields.minutes) == len(fields.seconds) == 1:
        often = f"every {widest.step} hours" if widest.step else "once a day"
        own = "times" if widest.step else "a time"
        span = f" from {_clock(widest.low, 0)} to {_clock(widest.high, 59)}"
        own += " of its own" + (span if widest.high - widest.low < 23 else "")
    elif (
        widest.field == "day-of-month"
        and not widest.step
        and [one.field for one in narrower if not one.step]
        == [
            "hour",
            "minute",
        ]
    ):
        often, own = "once a month", "a time of its own"
        date = f"from the {_ordinal(widest.low)} to the {_ordinal(widest.high)}" + (
            "" if len(fields.dates.months) == 12 else f" of {_months(fields.dates)}"
        )
    if not often:
        return f"{_plain(fields)}, each at a moment of its own within {human_duration(fields.hash_span_us)}"
    return f"{often}, at {own}" + (f", {date}" if date else "")


# --- time of day --------------------------------------------------------------------------------------------


def _time(fields: CronFields) -> str:
    seconds, minutes, hours = fields.seconds, fields.minutes, fields.hours
    if len(seconds) > 1:
        return _several_seconds(seconds, minutes, hours)
    second = seconds[0]
    if len(hours) * len(minutes) <= _MOST_TIMES:
        tail = f":{second:02d}" if second else ""
        return "at " + _join(f"{_clock(hour, minute)}{tail}" for hour in hours for minute in minutes)
    return _minutes(minutes, hours) + (f", at second {second}" if second else "")


def _minutes(minutes: Sequence[int], hours: Sequence[int]) -> str:
    every = _every(minutes, 60, "minute")
    if len(hours) == 24:
        if every:
            return every
        return "every hour, on the hour" if minutes == (0,) else f"every hour, at {_named('minute', minutes)}"
    if _contiguous(hours):
        span = f"from {_clock(hours[0], minutes[0])} to {_clock(hours[-1], minutes[-1])}"
        if every:
            return f"{every} {span}"
        if len(minutes) == 1:
            return f"every hour {span}"
    every_hours = _every(hours, 24, "hour")
    if every_hours and len(minutes) == 1:
        return f"{every_hours}, on the hour" if minutes == (0,) else f"{every_hours}, at minute {minutes[0]}"
    return f"{every or 'at ' + _named('minute', minutes)} of {_named('hour', hours)}"


def _several_seconds(seconds: Sequence[int], minutes: Sequence[int], hours: Sequence[int]) -> str:
    every = _every(seconds, 60, "second")
    text = every or f"at {_named('second', seconds)}"
    if len(minutes) == 60:
        if len(hours) == 24:
            return every or f"{text} of every minute"
        if every and _contiguous(hours):
            return f"{every} from {_clock(hours[0], 0)} to {_clock(hours[-1], 59)}"
    which = "every minute" if len(minutes) == 60 else _named("minute", minutes)
    return f"{text} of {which} of {'every hour' if len(hours) == 24 else _named('hour', hours)}"


def _every(values: Sequence[int], size: int, unit: str) -> str:
    """ "every 5 minutes" when the values are an even rhythm around the clock, else nothing."""
    if len(values) == size:
        return f"every {unit}"
    step = size // len(values)
    if len(values) > 1 and tuple(values) == tuple(range(0, size, step)) and size % step == 0:
        return f"every {step} {unit}s"
    return ""


def _contiguous(values: Sequence[int]) -> bool:
    return values[-1] - values[0] == len(values) - 1


def _clock(hour: int, minute: int) -> str:
    return f"{hour:02d}:{minute:02d}"


def _named(unit: str, values: Sequence[int]) -> str:
    return f"{unit} {values[0]}" if len(values) == 1 else f"{unit}s {_list(values, str)}"


# --- date ---------------------------------------------------------------------------------------------------


def _date(dates: DateFields) -> str:
    every_month = len(dates.months) == 12
    months = "" if every_month else _months(dates)
    every_day, every_weekday = len(dates.days) == 31, len(dates.weekdays) == 7
    if (every_day and every_weekday) or (not dates.both and (every_day or every_weekday)):
        return f"in {months}" if months else ""
    of_month = f"of {months}" if months else "of the month"
    in_month = f" in {months}" if months else ""
    if every_weekday:
        return f"on {_days(dates, of_month)}"
    if every_day:
        return f"on {_join(_weekdays(dates, of_month, in_month))}"
    if dates.both:
        weekdays = _join(_weekdays(dates, of_month, "", "or"), "or")
        return f"on {_days(dates, of_month)}, only if that is {weekdays}"
    return f"on {_days(dates, of_month)} and also on {_join(_weekdays(dates, of_month, in_month))}"


def _months(dates: DateFields) -> str:
    return _list(dates.months, lambda month: _MONTHS[month - 1])


def _days(dates: DateFields, of_month: str) -> str:
    parts = [f"the {_list(dates.days, _ordinal)}"] if dates.days else []
    parts += [_from_last(back) for back in reversed(dates.from_last)]
    for day in sorted(dates.nearest, key=lambda day: (day <= 0, day)):
        near = f"the {_ordinal(day)}" if day > 0 else _from_last(-day)
        parts.append(f"the weekday nearest to {near}" if day else "the last weekday")
    return f"{_join(parts)} {of_month}"


def _from_last(back: int) -> str:
    if not back:
        return "the last day"
    return f"the {_ordinal(back)} day before the last" if back > 1 else "the day before the last"


def _weekdays(dates: DateFields, of_month: str, in_month: str, word: str = "and") -> list[str]:
    parts = []
    if dates.weekdays:
        parts.append(_week(dates.weekdays, word) + in_month)
    for weekday, n in dates.nth_weekdays:
        parts.append(f"the {_ordinal(n) if n else 'last'} {_WEEKDAYS[weekday]} {of_month}")
    return parts


def _week(weekdays: Sequence[int], word: str) -> str:
    """Weekdays as a list that starts on Monday, or as one stretch around the weekend."""
    chosen = set(weekdays)
    starts = [day for day in chosen if (day - 1) % 7 not in chosen]
    if len(starts) == 1 and len(chosen) > 2:
        return f"{_WEEKDAYS[starts[0]]} to {_WEEKDAYS[(starts[0] + len(chosen) - 1) % 7]}"
    return _join((_WEEKDAYS[day % 7] for day in range(1, 8) if day % 7 in chosen), word)


# --- lists --------------------------------------------------------------------------------------------------


def _list(values: Sequence[int], name: Callable[[int], str]) -> str:
    """ "1, 5 and 9", "1 to 5 and 9", and "1, 3, … 31" for what goes on evenly."""
    step = values[1] - values[0] if len(values) > 4 else 1
    if step > 1 and tuple(values) == tuple(range(values[0], values[-1] + 1, step)):
        return f"{name(values[0])}, {name(values[1])}, … {name(values[-1])}"
    parts, start = [], 0
    for i in range(1, len(values) + 1):
        if i < len(values) and values[i] == values[i - 1] + 1:
            continue
        if i - start > 2:
            parts.append(f"{name(values[start])} to {name(values[i - 1])}")
        else:
            parts.extend(name(value) for value in values[start:i])
        start = i
    return _join(parts)


def _join(parts: Iterable[str], word: str = "and") -> str:
    *head, last = parts
    return f"{', '.join(head)} {word} {last}" if head else last


def _ordinal(n: int) -> str:
    ending = "th" if n in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
