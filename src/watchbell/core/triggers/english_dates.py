"""The dates of a phrase: "every weekday", "on monday and thursday", "the 1st and the 15th of the month", "in July"."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_SHORT_DAYS: Final = {"tues": 2, "wednes": 3, "weds": 3, "thurs": 4, "thur": 4}
_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_NUMBERS: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
_PLACE: Final = r"(first|second|third|fourth|fifth|last|1st|2nd|3rd|4th|5th)"
_OF_MONTH: Final = r" (?:of|in) (?:the|every|each|a) month"


@dataclass(frozen=True, slots=True)
class Dates:
    """The date fields of a cron expression; `business` instead, for a day that cron cannot say. `whole_day`: a phrase
    that means midnight when it names no time."""

    day: str = "*"
    month: str = "*"
    weekday: str = "*"
    business: str = ""
    whole_day: bool = False


def read_dates(text: str) -> Dates | None:
    """The dates that a phrase means; None where it cannot be read."""
    plain = re.sub(r"^(?:on |every |each )*(?:the )?", "", text.strip())
    if text.strip() in ("every day", "daily", "each day", "day") or plain in ("day", "days"):
        return Dates(whole_day=True)
    months = re.fullmatch(r"(?:(.*?) )?(?:in|of) ((?:[a-z]+(?:, and |, | and )?)+)", plain)
    if months and (chosen := _months(months[2])) is not None:
        before = months[1] or "every day"
        found = read_dates(f"{before} of the month" if _numbered(before) else before)
        return None if found is None or found.business else replace(found, month=chosen)
    return _weekdays(plain) or _of_month(plain)


def _numbered(text: str) -> bool:
    plain = re.sub(r"^(?:on |every |each )*(?:the )?", "", text)
    return bool(re.match(rf"{_PLACE} |\d", plain))


def _weekdays(plain: str) -> Dates | None:
    if plain in (
        "weekday",
        "weekdays",
        "workday",
        "workdays",
        "working day",
        "business day",
        "business days",
    ):
        return Dates(weekday="1-5")
    if plain in ("weekend", "weekends", "weekend day"):
        return Dates(weekday="0,6")
    if match := re.fullmatch(r"(?:from )?([a-z]+) ?(?:to|through|until|-) ?([a-z]+)", plain):
        first, last = _weekday(match[1]), _weekday(match[2])
        return None if first is None or last is None else Dates(weekday=f"{first}-{last}")
    days = [
        _weekday(part.removeprefix("every ").removeprefix("on "))
        for part in re.split(r", and |, | and |,", plain)
    ]
    known = sorted({day for day in days if day is not None})
    return Dates(weekday=",".join(map(str, known))) if None not in days and known else None


def _weekday(word: str) -> int | None:
    for name in (word, word.removesuffix("s")):
        if name in _SHORT_DAYS:
            return _SHORT_DAYS[name]
        for number, day in enumerate(_DAYS):
            if name == day or (len(name) == 3 and day.startswith(name)):
                return number
    return None


def _months(text: str) -> str | None:
    numbers = []
    for part in re.split(r", and |, | and ", text):
        found = [
            n
            for n, name in enumerate(_MONTHS, 1)
            if part == name or (len(part) == 3 and name.startswith(part))
        ]
        if not found:
            return None
        numbers += found
    return ",".join(map(str, sorted(set(numbers))))


def _of_month(plain: str) -> Dates | None:
    if match := re.fullmatch(rf"{_PLACE} (?:business day|working day|workday|weekday){_OF_MONTH}", plain):
        word = match[1]
        names = {n: name for name, n in _NUMBERS.items()}
        return Dates(business=f"{word if not word[0].isdigit() else names[int(word[0])]} business day")
    if match := re.fullmatch(rf"{_PLACE} ([a-z]+){_OF_MONTH}", plain):
        number = None if match[1] == "last" else _NUMBERS.get(match[1]) or int(match[1][0])
        if match[2] == "day":
            return Dates(day="L" if number is None else str(number))
        day = _weekday(match[2])
        if day is None:
            return None
        return Dates(weekday=f"{day}L" if number is None else f"{day}#{number}")
    if match := re.fullmatch(
        rf"((?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?:(?:, and |, | and )(?:the )?\d{{1,2}}(?:st|nd|rd|th)?)*){_OF_MONTH}",
        plain,
    ):
        days = sorted({int(each) for each in re.findall(r"\d+", match[1])})
        return Dates(day=",".join(map(str, days))) if days[0] >= 1 and days[-1] <= 31 else None
    return None
