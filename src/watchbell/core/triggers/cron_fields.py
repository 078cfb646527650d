"""Cron expressions: the text, read into what each field allows.

    second  minute  hour  day-of-month  month  day-of-week     (the seconds only where six fields are written)

Read: `*`, `?` in the day fields, values, names (JAN, MON, in any case), ranges, ranges that wrap around
(FRI-MON, 22-2), lists, steps, `L` (the last day of the month; `L-3`: three days before it; `FRIL` or `5L`: the
last Friday), `15W` (the weekday, Monday to Friday, nearest to the 15th within its month; `LW`: the last one),
`MON#2` (the second Monday), Sunday as 0 and 7, and @hourly @daily @midnight @weekly @monthly @yearly @annually.
Day-of-month and day-of-week, when both are restricted, are joined by OR; by AND when one of them starts with
`*`, as in Debian's cron.

`H`, `H/15`, `H(0-29)` and `H(9-17)/2` leave the choice to a hash of the schedule. Here they mean the least
values there are; `hash_span_us` is how much later a start may then be moved without leaving the range.

`parse_cron` knows nothing of time zones and instants: `pattern` finds the matching local times, `walk` the
instants. Each kind of term is one entry of `_TERMS`; a further one is a pattern and a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from watchbell.core.units import DAY, HOUR, MINUTE, SECOND
from watchbell.errors import BadTrigger

_LONGEST_TEXT: Final = 2_000
MONTH_NAMES: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAY_NAMES: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class CronFields:
    """What a cron expression allows, field by field; the tuples are sorted and hold each value once."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    dates: DateFields
    rhythm: bool
    """The hour field is `*`, `*/n` or `H/n`: real time is meant, not a time on the wall."""
    texts: tuple[str, ...]
    """The six fields as written, macros spelt out, "0" where no seconds were written."""
    hashed: tuple[Hashed, ...] = ()
    """The fields that are written with `H`, the widest first."""
    hash_span_us: int = 0
    """In which span the hash of a schedule moves its starts; 0 without `H`."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A field with `H`: from which values the hash may choose, and in which steps (0: one value)."""

    field: str
    low: int
    high: int
    step: int


@dataclass(frozen=True, slots=True)
class DateFields:
    """The part of an expression that chooses dates. Weekdays count from Sunday = 0."""

    months: tuple[int, ...]
    days: tuple[int, ...]
    from_last: tuple[int, ...]
    """Days counted back from the last of the month, which is 0."""
    nearest: tuple[int, ...]
    """Days whose nearest weekday is meant; 0 and below are counted back from the last of the month."""
    weekdays: tuple[int, ...]
    nth_weekdays: tuple[tuple[int, int], ...]
    """(weekday, n): the n-th one of the month, 0 for the last."""
    both: bool
    """Day-of-month and day-of-week must both match; else either is enough."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: its name, and the values it may have, in order."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def example(self) -> str:
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{names}"


_SECOND: Final = _Field("second", 0, 59)
_MINUTE: Final = _Field("minute", 0, 59)
_HOUR: Final = _Field("hour", 0, 23)
_DAY: Final = _Field("day-of-month", 1, 31)
_MONTH: Final = _Field("month", 1, 12, MONTH_NAMES)
_WEEKDAY: Final = _Field("day-of-week", 0, 7, DAY_NAMES)
_FIELDS: Final = (_SECOND, _MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


class _Bad(Exception):
    """What is wrong with a term, without where it stands."""


@dataclass(slots=True)
class _Chosen:
    """What the terms of one field have chosen so far."""

    values: set[int] = field(default_factory=set)
    from_last: set[int] = field(default_factory=set)
    nearest: set[int] = field(default_factory=set)
    nth: set[tuple[int, int]] = field(default_factory=set)
    hashed: Hashed | None = None


@lru_cache(maxsize=4096)
def parse_cron(expression: str) -> CronFields:
    """What an expression allows. Raises BadTrigger with the field, the position and what to write instead."""
    text = " ".join(expression.split())
    if not text:
        raise BadTrigger("the cron expression is empty; write five fields, such as '30 2 * * MON-FRI'")
    if len(text) > _LONGEST_TEXT:
        raise BadTrigger(f"the cron expression has {len(text):,} characters; write at most {_LONGEST_TEXT:,}")
    if text.startswith("@"):
        text = _macro(text)
    words = text.split(" ")
    if len(words) not in (5, 6):
        raise BadTrigger(
            f"{_short(text)} has {len(words)} fields; write 5 (minute hour day-of-month month day-of-week), "
            "or 6 with seconds first"
        )
    if len(words) == 5:
        words.insert(0, "0")
    chosen = [_read(field, word, text) for field, word in zip(_FIELDS, words, strict=True)]
    second, minute, hour, day, month, weekday = chosen
    if day.hashed is not None and words[5][0] not in "*?":
        raise BadTrigger(
            f"day-of-month {words[3]!r} leaves the day to the schedule's hash, and day-of-week {words[5]!r} names "
            "others; write '*' in one of the two"
        )
    return CronFields(
        seconds=tuple(sorted(second.values)),
        minutes=tuple(sorted(minute.values)),
        hours=tuple(sorted(hour.values)),
        dates=DateFields(
            months=tuple(sorted(month.values)),
            days=tuple(sorted(day.values)),
            from_last=tuple(sorted(day.from_last)),
            nearest=tuple(sorted(day.nearest)),
            weekdays=tuple(sorted({value % 7 for value in weekday.values})),
            nth_weekdays=tuple(sorted(weekday.nth)),
            both=words[3][0] in "*?" or words[5][0] in "*?",
        ),
        rhythm=re.fullmatch(r"\*(/[0-9]+)?|[Hh]/[0-9]+", words[2]) is not None,
        texts=tuple(words),
        hashed=tuple(one.hashed for one in (day, hour, minute, second) if one.hashed is not None),
        hash_span_us=_hash_span((day, hour, minute, second)),
    )


def _hash_span(chosen: tuple[_Chosen, ...]) -> int:
    """How much later the last of the values may be without leaving the range of the widest `H`."""
    span = 0
    for one, unit, low in zip(chosen, (DAY, HOUR, MINUTE, SECOND), (1, 0, 0, 0), strict=True):
        last = max(one.values, default=low)
        if span:  # a narrower field: what it takes of the room
            span -= (last - low) * unit
        elif one.hashed is not None:
            room = one.hashed.high - last + 1
            span = min(one.hashed.step or room, room) * unit
    return span


def _macro(text: str) -> str:
    found = MACROS.get(text.lower())
    if found is not None:
        return found
    if text.lower().startswith("@every"):
        raise BadTrigger(f"{_short(text)} is an interval, not a cron expression; write every('10m')")
    if text.lower() == "@reboot":
        raise BadTrigger("@reboot is no time; write a time, or start the run from what starts the machine")
    raise BadTrigger(f"{_short(text)} is no name for a cron expression; there are {', '.join(MACROS)}")


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:57] + "...")


# --- one field ----------------------------------------------------------------------------------------------


def _read(field: _Field, word: str, expression: str) -> _Chosen:
    chosen = _Chosen()
    place = 0
    terms = word.split(",")
    for term in terms:
        try:
            _read_term(field, term.upper(), chosen)
            if chosen.hashed is not None and len(terms) > 1:
                raise _Bad("'H' stands alone in its field; write 'H(0-29)' to choose from a range")
        except _Bad as error:
            number = _FIELDS.index(field) + (1 if expression.count(" ") == 5 else 0)
            where = f"{field.name} (field {number}), position {place + 1} of {_short(word)}"
            raise BadTrigger(f"{where}: {error}") from None
        place += len(term) + 1
    return chosen


def _read_term(field: _Field, term: str, chosen: _Chosen) -> None:
    for pattern, fields, read in _TERMS:
        if field.name in fields and (match := pattern.fullmatch(term)):
            read(field, match, chosen)
            return
    raise _Bad(_advice(field, term))


def _every(field: _Field, match: re.Match[str], chosen: _Chosen) -> None:
    step = _step(match["step"])
    high = 6 if field is _WEEKDAY else field.high
    chosen.values.update(range(field.low, high + 1, step))


def _single(field: _Field, match: re.Match[str], chosen: _Chosen) -> None:
    low = _value(field, match["low"])
    if match["step"]:  # from a value on to the end of the field
        chosen.values.update(range(low, field.high + 1, _step(match["step"])))
    else:
        chosen.values.add(low)


def _range(field: _Field, match: re.Match[str], chosen: _Chosen) -> None:
    low, high = _value(field, match["low"]), _value(field, match["high"])
    step = _step(match["step"])
    if low > high:  # around the end of the field; of the two numbers of Sunday only 0 counts on the way
        size = 7 if field is _WEEKDAY else field.high - field.low + 1
        span = range(low, high + size + 1, step)
        chosen.values.update((value - field.low) % size + field.low for value in span)
    else:
        chosen.values.update(range(low, high + 1, step))


def _from_last(_field: _Field, match: re.Match[str], chosen: _Chosen) -> None:
    back = 0
    if match["back"] is not None:
        back = int(match["back"][:4])
        if not 1 <= back <= 30:
            raise _Bad(f"{_short(match[0])}: write 'L-1' to 'L-30', or 'L' for the last day of the month")
    if match["nearest"]:
        chosen.nearest.add(-back)
    else:
        chosen.from_last.add(back)


def _nearest(field: _Field, match: re.Match[str], chosen: _Chosen) -> None:
    chosen.nearest.add(_value(field, match["low"]))


def _hash(field: _Field, match: re.Match[str], chosen: _Chosen) -> None:
    highest = 28 if field is _DAY else field.high  # every month has 28 days
    low, high, step = field.low, highest, _step(match["step"]) if match["step"] else 0
    if match["low"]:
        low, high = int(match["low"][:4]), int(match["high"][:4])
    if not field.low <= low <= high <= highest:
        raise _Bad(f"{_short(match[0])}: write a range of {field.low}-{highest} behind 'H', the lower first")
    chosen.values.update(range(low, high + 1, step) if step else (low,))
    chosen.hashed = Hashed(field.name, low, high, step)


def _last_weekday(field: _Field, match: re.Match[str], chosen: _Chosen) -> None:
    chosen.nth.add((_value(field, match["low"]) % 7, 0))


def _nth_weekday(field: _Field, match: re.Match[str], chosen: _Chosen) -> None:
    n = int(match["n"][:4])
    if not 1 <= n <= 5:
        raise _Bad(
            f"{_short(match[0])}: write 1 to 5 behind '#', or '{match['low']}L' for the last of the month"
        )
    chosen.nth.add((_value(field, match["low"]) % 7, n))


_V: Final = r"(?P<low>[0-9]+|[A-Z]+)"
_STEP: Final = r"(?:/(?P<step>[0-9]+))?"
_ALL: Final = tuple(field.name for field in _FIELDS)
_HASHED: Final = ("second", "minute", "hour", "day-of-month")
_Term = tuple[re.Pattern[str], tuple[str, ...], Callable[[_Field, re.Match[str], _Chosen], None]]
_TERMS: Final[tuple[_Term, ...]] = (
    (re.compile(rf"\*{_STEP}"), _ALL, _every),
    (re.compile(r"\?(?P<step>)"), ("day-of-month", "day-of-week"), _every),
    (re.compile(r"L(?:-(?P<back>[0-9]+))?(?P<nearest>W)?"), ("day-of-month",), _from_last),
    (re.compile(r"(?P<low>[0-9]+)W"), ("day-of-month",), _nearest),
    (re.compile(rf"H(?:\((?P<low>[0-9]+)-(?P<high>[0-9]+)\))?{_STEP}"), _HASHED, _hash),
    (re.compile(r"(?P<low>[0-9]|[A-Z]{3})L"), ("day-of-week",), _last_weekday),
    (re.compile(r"(?P<low>[0-9]|[A-Z]{3})#(?P<n>[0-9]+)"), ("day-of-week",), _nth_weekday),
    (re.compile(rf"{_V}{_STEP}"), _ALL, _single),
    (re.compile(rf"{_V}-(?P<high>[0-9]+|[A-Z]+){_STEP}"), _ALL, _range),
)


def _value(field: _Field, text: str) -> int:
    if not text.isdigit():
        for i, name in enumerate(field.names):
            if text == name:
                return i + field.low
        raise _Bad(_advice(field, text))
    value = int(text[:4])
    if not field.low <= value <= field.high:
        raise _Bad(f"{text[:20]} is not in {field.low}-{field.high}; write {field.example}")
    return value


def _step(text: str | None) -> int:
    if not text:
        return 1
    step = int(text[:4])
    if step == 0:
        raise _Bad("a step of 0 would never end; write a step of 1 or more, such as '*/5'")
    return step


def _advice(field: _Field, term: str) -> str:
    """What to write instead of a term that cannot be read."""
    shown = _short(term)
    if not term:
        return "there is nothing between two commas or at an end; write a value, or leave the comma out"
    if (re.fullmatch(r"H.*", term) and not term.isalpha()) or term == "H":
        return _advice_on_hash(field, shown)
    if re.fullmatch(r"[0-9L-]*WL?|[A-Z]{3}W", term) and term not in field.names:
        return _advice_on_nearest(field, term)
    if field is _WEEKDAY and re.fullmatch(r"L|L-[0-9]*", term):
        return "'L' needs its weekday; write 'FRIL' for the last Friday of the month, 'SAT' for Saturdays"
    if field is _DAY and "L" in term and re.fullmatch(r"[0-9L/*-]*", term):
        return f"{shown}: write 'L' for the last day of the month, 'L-3' for three days before it"
    if "L" in term and field is not _WEEKDAY and re.fullmatch(r"[0-9]*L|L-[0-9]*", term):
        return f"{shown}: 'L' has a meaning in day-of-month and day-of-week only; write {field.example}"
    if "#" in term:
        return f"{shown}: write one weekday and its number in the month, 'MON#2', in day-of-week"
    if "?" in term:
        return f"{shown}: '?' stands alone, in the day fields; write '*'"
    if term.startswith("-") or term.endswith("-"):
        return f"{shown} has one end of a range only; write both, such as {field.low}-{field.high}"
    if term.endswith("/") or term.count("/") > 1:
        return f"{shown} has no step that can be read; write one number behind one '/', such as '*/5'"
    if field.names and term.isalpha():
        near = [name for name in field.names if term.startswith(name)]
        hint = f"write {near[0]!r}" if near else f"the names are {', '.join(field.names)}"
        return f"{shown} is no {field.name}; {hint}"
    return f"{shown} cannot be read; write '*', {field.example}, a list, a range or a step such as '*/5'"


def _advice_on_hash(field: _Field, shown: str) -> str:
    if field.name in _HASHED:
        high = 28 if field is _DAY else field.high
        return (
            f"{shown} cannot be read; write 'H', 'H/7', 'H({field.low}-{high})' or 'H({field.low}-{high})/7'"
        )
    return f"{shown}: 'H' chooses a second, minute, hour or day-of-month; write {field.example}"


def _advice_on_nearest(field: _Field, term: str) -> str:
    """What to write instead of a `W` that stands where it says nothing."""
    shown = _short(term)
    if field is not _DAY:
        return f"{shown}: 'W' (nearest weekday) has a meaning in day-of-month only; write {field.example}"
    if term == "W":
        return "'W' needs its day; write '15W' for the weekday nearest to the 15th, 'LW' for the last of the month"
    return f"{shown}: 'W' stands behind one day; write '15W', or 'LW' for the last weekday of the month"
