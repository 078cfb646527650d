"""Instants and spans of time: integers inside, texts and datetimes at the edges.

An instant is an integer, microseconds UTC since 1970; a span is an integer of microseconds. What people and
programs write ("2026-11-21 09:00", "+10m", "1h30m", a timedelta, seconds) is turned into these here, once,
and back for reading. Nothing here reads a clock: a text relative to now is read with the `now` that was
given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

from watchbell.core.units import (
    DAY,
    EARLIEST,
    HOUR,
    LATEST,
    MILLISECOND,
    MINUTE,
    SECOND,
    US,
    WEEK,
    Instant,
)
from watchbell.core.wallclock import aware, zone_rules
from watchbell.errors import BadDuration, BadInput, BadTrigger, NaiveTime

__all__ = [
    "DAY",
    "EARLIEST",
    "HOUR",
    "LATEST",
    "MILLISECOND",
    "MINUTE",
    "SECOND",
    "US",
    "WEEK",
    "Instant",
    "duration_text",
    "from_datetime",
    "human_age",
    "human_ago",
    "human_duration",
    "local_text",
    "parse_duration",
    "parse_instant",
    "read_time",
    "reading_text",
    "stored_text",
    "to_datetime",
    "to_text",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL: Final = 719_163
_TIME: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?)?"
    r"(?: ?(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)
_RELATIVE: Final = re.compile(r"(?P<sign>[+-])\s*(?P<span>\S.*)")

_DAYS_DOWN: Final = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", MILLISECOND), ("us", US))
_UNIT_NAMES: Final = {
    **dict.fromkeys(("w", "week", "weeks"), WEEK),
    **dict.fromkeys(("d", "day", "days"), DAY),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), HOUR),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), SECOND),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), MILLISECOND),
    **dict.fromkeys(("us", "µs", "microsecond", "microseconds"), US),
}
_PART: Final = re.compile(r"\s*([0-9]{1,15})(?:\.([0-9]{1,15}))?\s*([A-Za-zµ]+)\s*")
_LONGEST: Final = 10_000 * 366 * DAY
_HOW: Final = "write a number and a unit, such as '90s', '10m', '1h30m', '2d' or '500ms'"


# --- instants -----------------------------------------------------------------------------------------------


def from_datetime(dt: datetime) -> Instant:
    """The instant of an aware datetime. Raises NaiveTime when it has no zone."""
    if dt.tzinfo is None or dt.utcoffset() is None:
        raise NaiveTime(
            f"{dt.isoformat(sep=' ')} has no time zone, so it says no instant; "
            "write datetime(..., tzinfo=ZoneInfo('Europe/Berlin')), or tzinfo=UTC"
        )
    return (dt - _EPOCH) // timedelta(microseconds=1)


def to_datetime(instant: Instant, tz: str = "UTC") -> datetime:
    """The instant as an aware datetime in a zone. Raises BadZone; BadInput outside the years 1 to 9999."""
    _within(instant)
    try:
        return aware(instant, tz)
    except OverflowError as error:  # the last hours of the calendar, read in a zone east of UTC
        raise BadInput(f"the instant {instant} has no date in {tz}") from error


def to_text(instant: Instant) -> str:
    """The instant as RFC 3339 in UTC, "2026-11-21T08:00:00Z"; the fraction only where there is one."""
    _within(instant)
    return reading_text(instant, "T") + "Z"


def stored_text(instant: Instant) -> str:
    """The same of one that nobody has checked, for a line of the log: it may be in no year that there is."""
    return to_text(instant) if EARLIEST <= instant <= LATEST else "outside of the calendar"


def local_text(instant: Instant, tz: str) -> str:
    """The instant as RFC 3339 in a zone, "2026-11-21T09:00:00+01:00". Raises BadZone."""
    offset = zone_rules(tz).offset_at(instant)
    local = instant + offset * SECOND
    _within(local)
    minutes, seconds = divmod(abs(offset), 60)
    tail = f":{seconds:02d}" if seconds else ""  # one zone had an offset with seconds until 1972
    sign = "-" if offset < 0 else "+"
    return f"{reading_text(local, 'T')}{sign}{minutes // 60:02d}:{minutes % 60:02d}{tail}"


def reading_text(local: int, between: str = " ") -> str:
    """A local reading as text, "2026-11-21 09:00:00", with a fraction only where there is one."""
    days, rest = divmod(local, DAY)
    seconds, fraction = divmod(rest, SECOND)
    text = f"{date.fromordinal(days + _EPOCH_ORDINAL).isoformat()}{between}"
    text += f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def _within(instant: Instant) -> None:
    if not EARLIEST <= instant <= LATEST:
        raise BadInput(f"the instant {instant} is outside the years 1 to 9999")


def parse_instant(text: str, tz: str | None = None, now: Instant | None = None) -> Instant:
    """The instant that a text says.

    "2026-11-21T09:00:00+01:00" and "2026-11-21 08:00Z" say it themselves; "2026-11-21 09:00" (or the date
    alone, for midnight) is read in `tz`: in a gap it is the first instant after it, of two the first.
    "+10m", "-2h" and "now" are counted from `now`. Raises NaiveTime where the zone is missing, BadTrigger
    where the text is no time, BadZone.
    """
    stripped = text.strip()
    relative = _RELATIVE.fullmatch(stripped)
    if relative or stripped.lower() == "now":
        if now is None:
            raise BadTrigger(
                f"{_short(text)} is relative to now and cannot be used here; write '2026-11-21T09:00:00Z'"
            )
        span = parse_duration(relative["span"]) if relative else 0
        instant = now - span if relative and relative["sign"] == "-" else now + span
        _within(instant)
        return instant
    local, offset = read_time(text)
    if offset is not None:
        return local - offset * SECOND
    if tz is None:
        raise NaiveTime(
            f"{text!r} has no time zone, so it says no instant; write it with an offset, "
            f"'{reading_text(local, 'T')}Z' or '{reading_text(local, 'T')}+01:00', or name the zone"
        )
    return zone_rules(tz).from_local(local).chosen()[0]


def read_time(text: str) -> tuple[int, int | None]:
    """The local reading (µs) and the offset (s) that a text says; the offset is None where there is none.

    Raises BadTrigger when the text is no date and time of the years 1 to 9999.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise BadTrigger(f"{_short(text)} is no time; write '2026-11-21T09:00:00Z' or '2026-11-21 09:00'")
    try:
        days = date.fromisoformat(match["date"]).toordinal() - _EPOCH_ORDINAL
    except ValueError as error:
        raise BadTrigger(f"{match['date']} is no date: {error}") from error
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 59:
        raise BadTrigger(f"{_short(text)} is no time of day; the last one is 23:59:59")
    fraction = int((match["fraction"] or "").ljust(6, "0")[:6])  # what is finer than a microsecond is cut off
    local = days * DAY + hour * HOUR + minute * MINUTE + second * SECOND + fraction
    offset = _offset(text, match["zone"])
    _within(local - (offset or 0) * SECOND)
    return local, offset


def _offset(text: str, zone: str | None) -> int | None:
    if zone is None:
        return None
    if zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise BadTrigger(f"{zone} in {_short(text)} is no offset from UTC; write +01:00 or Z")
    return (hours * 60 + minutes) * (-60 if zone[0] == "-" else 60)


def _short(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


# --- spans --------------------------------------------------------------------------------------------------


def parse_duration(value: str | int | float | timedelta) -> int:
    """A span of time in microseconds, 0 or more.

    Takes "1h30m", "10 minutes", "1.5h", "500ms" (units w d h m s ms us, each once, the longest first),
    seconds as a number, or a timedelta. What is finer than a microsecond is rounded. Raises BadDuration.
    """
    if isinstance(value, str):
        span = _duration_from_text(value)
    elif isinstance(value, timedelta):
        span = value // timedelta(microseconds=1)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise BadDuration(f"{_short(value)} is no span of time; {_HOW}, seconds as a number, or a timedelta")
    elif abs(value) > _LONGEST // SECOND or math.isnan(value):
        raise BadDuration(f"{_short(value)} seconds is no span of time that can be kept; {_HOW}")
    else:
        span = value * SECOND if isinstance(value, int) else round(value * SECOND)
    if span < 0:
        raise BadDuration(f"the span {_short(value)} is negative; a span of time is 0 or more")
    if span > _LONGEST:
        raise BadDuration(f"the span {_short(value)} is longer than 10,000 years")
    return span


@lru_cache(maxsize=1024)
def _duration_from_text(text: str) -> int:
    if re.fullmatch(r"\s*[0-9]+(\.[0-9]*)?\s*", text):
        raise BadDuration(
            f"{_short(text)} has no unit; write '{text.strip()[:15]}s' for seconds, or 'm', 'h', 'd'"
        )
    if text.lstrip().startswith("-"):
        raise BadDuration(f"the span {_short(text)} is negative; a span of time is 0 or more")
    total, place, last = 0, 0, _LONGEST
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            raise BadDuration(f"{_short(text)} is no span of time; {_HOW}")
        whole, decimals, name = match[1], match[2] or "", match[3]
        unit = _UNIT_NAMES.get(name if name == "µs" else name.lower())
        if unit is None:
            raise BadDuration(f"{name[:20]!r} in {_short(text)} is no unit of time; {_HOW}")
        if unit >= last:
            raise BadDuration(f"{_short(text)}: write each unit once, the longest first, such as '1h30m'")
        scale = 10 ** len(decimals)
        # Integers all the way: 0.1s must be 100,000 µs, not what a float makes of it.
        total += (int(whole + decimals) * unit + scale // 2) // scale
        place, last = match.end(), unit
    if last == _LONGEST:
        raise BadDuration(f"an empty text is no span of time; {_HOW}")
    return total


def duration_text(us: int) -> str:
    """A span as the shortest text that `parse_duration` reads back exactly: "1h30m", "0s"; negative ones with
    "-".
    """
    if us < 0:
        return "-" + duration_text(-us)
    if us == 0:
        return "0s"
    if us % WEEK == 0:  # weeks only where nothing else is left: "8d" says more than "1w1d"
        return f"{us // WEEK}w"
    return "".join(f"{count}{name}" for count, name in _split(us, _DAYS_DOWN))


def _split(us: int, units: Iterable[tuple[str, int]]) -> list[tuple[int, str]]:
    parts = []
    for name, unit in units:
        count, us = divmod(us, unit)
        if count:
            parts.append((count, name))
    return parts


def human_duration(us: int) -> str:
    """A span for people, rounded to its two longest units: "1 h 30 min", "2 d 4 h"; below a second to one: "340 ms";
    negative ones with "-".
    """
    if us < 0:
        return "-" + human_duration(-us)
    names = (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND), ("ms", MILLISECOND), ("µs", US))
    for (_, unit), (_, finer) in pairwise(names):
        if us >= unit:
            finer = unit if unit < SECOND else finer
            rounded = (us + finer // 2) // finer * finer  # 59 min 59.9 s becomes 1 h
            return " ".join(f"{count:,} {name}" for count, name in _split(rounded, names)[:2])
    return f"{us} µs" if us else "0 s"


def human_age(us: int) -> str:
    """For how long something has gone on, or how far off it is, for people, who do not count milliseconds there:
    "2 d 4 h", "1 s"; "under 1 s" for less, and for what is negative.
    """
    return human_duration(us // SECOND * SECOND) if us >= SECOND else "under 1 s"


def human_ago(us: int) -> str:
    """How long ago something was: "6 h ago", "1 s ago"; "just now" for less than a second, and for what is negative."""
    return f"{human_age(us)} ago" if us >= SECOND else "just now"
