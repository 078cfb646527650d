"""Cron expressions for the recount: each field read into a set, each date looked at on its own.

A part of `recount` and, like it, without a line in common with `cron` and `pattern`. The expressions it meets have been
accepted by those when they were written; what it cannot read it refuses all the same.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

_MONTHS = {
    "JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6,
    "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
}  # fmt: skip
_WEEK = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
_NICKNAMES = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * SUN",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 JAN *",
    "@ANNUALLY": "0 0 1 JAN *",
}
_ORDINAL_1970 = date(1970, 1, 1).toordinal()
_LAST = 0


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """What an expression allows. `times` are seconds of the day, in order; dates are days since 1970-01-01."""

    times: tuple[int, ...]
    every_hour: bool
    has_date: Callable[[int], bool]


@lru_cache(maxsize=4096)
def read_expression(text: str) -> Expression:
    """Read an expression; ValueError where it cannot be read."""
    words = text.upper().split()
    if len(words) == 1:
        words = _NICKNAMES[words[0]].split()
    if len(words) == 5:
        words = ["0", *words]
    second, minute, hour, day, month, weekday = words
    times = sorted(
        3600 * h + 60 * m + s
        for h in _numbers(hour, 0, 23)
        for m in _numbers(minute, 0, 59)
        for s in _numbers(second, 0, 59)
    )
    return Expression(
        times=tuple(times),
        every_hour=hour == "*" or re.fullmatch(r"[*H]/\d+", hour) is not None,
        has_date=lru_cache(maxsize=2048)(_date_test(day, month, weekday)),
    )


def _numbers(word: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The numbers that a field allows; `names` may stand for some of them."""
    found: set[int] = set()
    for term in word.split(","):
        span, slash, each = term.partition("/")
        step = int(each) if slash else 1
        if step < 1:
            raise ValueError(f"a step of {step} in {word!r}")
        if span.startswith("H"):  # nominal: where the range begins, and each step from there
            first, _, last = span[1:].strip("()").partition("-") if span != "H" else (low, "", high)
            found.update(range(int(first), int(last) + 1, step) if slash else {int(first)})
            if not (low <= min(found) and max(found) <= int(last) <= high):
                raise ValueError(f"{term!r} is outside {low}-{high}")
            continue
        if span in ("*", "?"):
            found.update(range(low, high + 1, step))
            continue
        start_text, dash, end_text = span.partition("-")
        start = _number(start_text, names)
        if dash:
            end = _number(end_text, names)
        else:
            end = high + (names is _WEEK) if slash else start
        highest = high + (names is _WEEK)  # Sunday is 0 and 7
        if not (low <= start <= highest and low <= end <= highest):
            raise ValueError(f"{term!r} is outside {low}-{high}")
        size = high - low + 1
        length = end - start if end >= start else (end - start) % size
        found.update((start + step_on - low) % size + low for step_on in range(0, length + 1, step))
    return found


def _number(text: str, names: dict[str, int] | None) -> int:
    return names[text] if names is not None and text in names else int(text)


def _date_test(day: str, month: str, weekday: str) -> Callable[[int], bool]:
    """A test of one date against the three date fields."""
    months = _numbers(month, 1, 12, _MONTHS)
    plain_days = [term for term in day.split(",") if not re.fullmatch(r"L(-\d+)?W?|\d+W", term)]
    special_days = [term for term in day.split(",") if term not in plain_days]
    highest = 28 if day.startswith("H") else 31
    days = _numbers(",".join(plain_days), 1, highest) if plain_days else set()
    plain_week, numbered = [], set()
    for term in weekday.split(","):
        name, hash_sign, nth = term.partition("#")
        if hash_sign:
            numbered.add((_number(name, _WEEK) % 7, int(nth)))
        elif term.endswith("L"):
            numbered.add((_number(term[:-1], _WEEK) % 7, _LAST))
        else:
            plain_week.append(term)
    week = _numbers(",".join(plain_week), 0, 6, _WEEK) if plain_week else set()
    both_needed = day.startswith(("*", "?")) or weekday.startswith(("*", "?"))

    def has(number: int) -> bool:
        when = date.fromordinal(number + _ORDINAL_1970)
        if when.month not in months:
            return False
        length = monthrange(when.year, when.month)[1]
        of_week = when.isoweekday() % 7
        by_day = when.day in days or any(_is_special(term, when, length) for term in special_days)
        by_week = of_week in week or any(
            of_week == wanted and (when.day + 7 > length if nth == _LAST else (when.day + 6) // 7 == nth)
            for wanted, nth in numbered
        )
        return (by_day and by_week) if both_needed else (by_day or by_week)

    return has


def _is_special(term: str, when: date, length: int) -> bool:
    """Whether a date is what `L`, `L-3`, `15W`, `LW` or `L-3W` says of its month."""
    wanted = term.removesuffix("W")
    target = length - int(wanted[2:] or 0) if wanted.startswith("L") else int(wanted)
    if not 1 <= target <= length:
        return False
    if term == wanted:
        return when.day == target
    # Of the month's weekdays the one nearest to the target; there is none that is as near on both sides of a weekend.
    working = [day for day in range(1, length + 1) if date(when.year, when.month, day).isoweekday() <= 5]
    return when.day == min(working, key=lambda day: abs(day - target))
