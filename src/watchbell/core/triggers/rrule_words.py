"""A recurrence rule in plain English: "every month on the last Friday, at 09:00"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from watchbell.core.instants import reading_text
from watchbell.core.triggers.rrule_text import Recurrence, WallTime

_UNITS: Final = {
    "YEARLY": "year",
    "MONTHLY": "month",
    "WEEKLY": "week",
    "DAILY": "day",
    "HOURLY": "hour",
    "MINUTELY": "minute",
    "SECONDLY": "second",
}
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_SHOWN: Final = 5


def describe_rrule(rule: Recurrence, start: str | None) -> str:
    """What a rule means, as a fragment of a sentence; `start` is its DTSTART."""
    unit = _UNITS[rule.freq]
    text = f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"
    text += "".join(f" {part}" for part in _dates(rule))
    if rule.positions:
        text += f", of these the {_join(map(_place, rule.positions))}"
    told = [text, *_times(rule, start)]
    if start is not None:
        told.append(f"from {start.replace('T', ' ').removesuffix(':00')}")
    if rule.count is not None:
        told.append("once" if rule.count == 1 else f"{rule.count:,} times")
    if rule.until is not None:
        told.append(f"until {_moment(rule.until)}")
    for word, times in (("and also at", rule.more), ("but not at", rule.fewer)):
        if times:
            shown = [_moment(time) for time in times[:_MOST_SHOWN]]
            rest = len(times) - len(shown)
            told.append(f"{word} {_join([*shown, f'{rest} more'] if rest else shown)}")
    return ", ".join(told)


def _dates(rule: Recurrence) -> list[str]:
    told = []
    if rule.months:
        told.append(f"in {_join(_MONTHS[month - 1] for month in rule.months)}")
    if rule.weeks:
        told.append(f"in week {_join(map(_counted, rule.weeks))}")
    if rule.year_days:
        told.append(f"on day {_join(map(_counted, rule.year_days))} of the year")
    if rule.month_days:
        told.append(f"on {_join(_of_month(day) for day in rule.month_days)}")
    if rule.weekdays:
        named = _join(_named(day, n, rule) for day, n in rule.weekdays)
        told.append(f"{'only if that is' if rule.month_days or rule.year_days else 'on'} {named}")
    return told


def _named(day: int, n: int, rule: Recurrence) -> str:
    name = _WEEKDAYS[day]
    if not n:
        return name
    whole = " of the year" if rule.freq == "YEARLY" and not rule.months else ""
    return f"the {_place(n)} {name}{whole}"


def _times(rule: Recurrence, start: str | None) -> list[str]:
    """The times of day; what the rule leaves open is its start's, and said by "from" where that is known."""
    if rule.rhythm:
        parts = (("hour", rule.hours), ("minute", rule.minutes), ("second", rule.seconds))
        return [
            f"{name}{'s' if len(values) > 1 else ''} {_join(map(str, values))}"
            for name, values in parts
            if values
        ]
    hour, minute, second = (0, 0, 0) if start is None else map(int, start[11:19].split(":"))
    hours, minutes, seconds = rule.hours or (hour,), rule.minutes or (minute,), rule.seconds or (second,)
    if len(hours) * len(minutes) * len(seconds) > _MOST_SHOWN:
        fields = (("hour", hours), ("minute", minutes), ("second", seconds))
        return ["at " + " of ".join(f"{name} {_join(map(str, values))}" for name, values in reversed(fields))]
    clocks = [f"{h:02d}:{m:02d}" + (f":{s:02d}" if s else "")
              for h in hours for m in minutes for s in seconds]  # fmt: skip
    return [f"at {_join(clocks)}"]


def _moment(time: WallTime) -> str:
    return reading_text(time.at).removesuffix(":00") + (" UTC" if time.utc else "")


def _place(n: int) -> str:
    if n == -1:
        return "last"
    return _ordinal(n) if n > 0 else f"{_ordinal(-n)} to last"


def _of_month(day: int) -> str:
    return "the last day" if day == -1 else f"the {_place(day)}" + (" day" if day < 0 else "")


def _counted(n: int) -> str:
    return str(n) if n > 0 else f"{_place(n)}"


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def _join(parts: Iterable[str]) -> str:
    *head, last = parts
    return f"{', '.join(head)} and {last}" if head else last
