"""Rules of time as people say them: "every weekday at 9:00", "every hour at :30", "first monday of the month at 10:00".

What is understood becomes a trigger like any other, cron wherever that can say it, and is always read back; what could
mean two things is refused with the nearest that is understood. The description of a cron trigger whose times fit one
clause ("at 09:00 on Monday to Friday, Europe/Berlin") is understood as well, and means the same trigger.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from watchbell.core.instants import HOUR, MINUTE, SECOND, duration_text
from watchbell.core.triggers.calendar_trigger import Calendar, calendar_from_text
from watchbell.core.triggers.cron_trigger import Cron
from watchbell.core.triggers.english_dates import Dates, read_dates
from watchbell.core.triggers.plain_triggers import Interval
from watchbell.errors import BadTrigger

if TYPE_CHECKING:
    from watchbell.core.triggers import Trigger

EXAMPLES: Final = (
    "every weekday at 9:00",
    "every day at 02:00",
    "every monday at 08:30",
    "every 15 minutes",
    "every hour at :30",
    "first monday of the month at 10:00",
    "on the last business day of every month at 17:00",
    "on the 1st and the 15th of the month at 06:00",
    "weekends at noon",
)
_LONGEST: Final = 300
_ZONE: Final = re.compile(r"(?:,| in)\s+((?:[A-Za-z_]+/[A-Za-z0-9_+/-]+)|UTC)$")
_CLOCK: Final = re.compile(r"(\d{1,2})(?::(\d\d))?(?::(\d\d))?\s*(am|pm)?")
_UNITS: Final = {"second": SECOND, "minute": MINUTE, "hour": HOUR}
# What cron cannot say, with its day and its time: a calendar interval, in the words of its own text.
_CALENDAR: Final = re.compile(
    r"every (?:\d+ months|(?:\d+ )?(?:quarter|year)s?) on .+ at \d\d?:\d\d(?::\d\d)?"
)
_AMBIGUOUS: Final = (
    (r"(twice|two times|three times|\w+ times) (a|per|every|each) .*", "it does not say when",
     "every day at 09:00 and 21:00"),
    (r"(every|each) (other|second|2nd|third|3rd) .*|(bi-?weekly|fortnightly)( .*)?", "it does not say counted from when",
     "rrule FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=9 start=2026-11-23T00:00:00' or 'calendar 2 weeks on monday at 09:00"),
    (r"(every week|weekly|once a week)( at .*)?", "it does not say on which day", "every monday at 09:00"),
    (r"(every month|monthly|once a month)( at .*)?", "it does not say on which day",
     "on the first day of the month at 09:00"),
    (r"(every (quarter|year)|quarterly|yearly|annually)( .*)?", "it does not say on which day",
     "calendar 1 quarter on last business day at 09:00"),
    (r".*\b(morning|evening|night|afternoon|lunch)\b.*", "it does not say at what time", "every day at 08:00"),
    (r"(every )?(\d+) (days|weeks|months) at .*", "it does not say counted from when", "calendar 3 days at 09:00"),
    (r".*\b(sunrise|sunset|random\w*|sometimes|often)\b.*", "it is no time of the clock", "every day at 06:00"),
)  # fmt: skip


def from_english(text: str) -> Trigger:
    """The trigger that a phrase means. Raises BadTrigger with the nearest that is understood."""
    if len(text) > _LONGEST:
        raise BadTrigger(f"the phrase has {len(text):,} characters; write at most {_LONGEST}")
    stripped = " ".join(text.split()).rstrip(".")
    zone = _ZONE.search(stripped)
    tz = zone[1] if zone else None
    plain = (stripped[: zone.start()] if zone else stripped).lower()
    if _CALENDAR.fullmatch(plain):
        return calendar_from_text(plain, {} if tz is None else {"tz": tz})
    for pattern, why, instead in _AMBIGUOUS:
        if re.fullmatch(pattern, plain):
            raise BadTrigger(f"{text!r} is not clear: {why}; write '{instead}'")
    found = _rhythm(plain, tz) or _moments(plain, tz)
    if found is None:
        near = get_close_matches(plain, EXAMPLES, 2, 0.4) or list(EXAMPLES[:2])
        raise BadTrigger(f"{text!r} is not understood; write a phrase such as {' or '.join(map(repr, near))}")
    return found


# --- rhythms ------------------------------------------------------------------------------------------------


def _rhythm(plain: str, tz: str | None) -> Trigger | None:
    """ "every 15 minutes", "every hour at :30", "hourly"."""
    if match := re.fullmatch(r"(?:every|each) (\d{1,6}) (second|minute|hour)s?", plain):
        return None if tz else Interval(int(match[1]) * _UNITS[match[2]])
    if re.fullmatch(r"(?:every|each) second", plain):
        return None if tz else Interval(SECOND)
    if re.fullmatch(r"(?:every|each) minute", plain):
        return Cron("* * * * *", tz)
    match = re.fullmatch(
        r"(?:every hour|each hour|hourly)(?:,? (?:on the hour|at (?:minute )?:?(?P<minutes>\d\d?(?:(?:, | and |, and ):?\d\d?)*)))?",
        plain,
    )
    if match:
        minutes = sorted({int(each) for each in re.findall(r"\d+", match["minutes"] or "0")})
        _within(plain, minutes[-1], 59, "every hour at :30")
        return Cron(f"{','.join(map(str, minutes))} * * * *", tz)
    if match := re.fullmatch(r"every (\d\d?) (minute|hour)s?(?:, on the hour| from midnight)?", plain):
        step, unit = int(match[1]), match[2]
        if unit == "hour" and step and 24 % step == 0:
            return Cron(f"0 */{step} * * *", tz)
    return _between(plain, tz)


def _between(plain: str, tz: str | None) -> Trigger | None:
    """ "every 15 minutes from 09:00 to 17:45 on weekdays"."""
    match = re.fullmatch(
        r"every (?:(\d\d?) minutes|(hour|minute)) (?:from|between) (\S+(?: [ap]m)?) (?:to|and|until) (\S+(?: [ap]m)?)(?: (.*))?",
        plain,
    )
    if match is None:
        return None
    step = int(match[1]) if match[1] else {"hour": 60, "minute": 1}[match[2]]
    first, last = _clock(match[3], plain), _clock(match[4], plain)
    dates = read_dates(match[5] or "every day")
    if dates is None or dates.business or first is None or last is None or first[0] > last[0]:
        return None
    begin = 0 if step < 60 else first[1]
    wanted = (60 - step if step < 60 else first[1]) if step > 0 and 60 % step == 0 else None
    if wanted is None or first[1:] != (begin, 0) or last[1:] != (wanted, 0):
        end = f"{last[0]:02d}:{wanted if wanted is not None else 59:02d}"
        raise BadTrigger(
            f"{plain!r} does not fit one cron expression; write 'every 15 minutes from 09:00 to 16:45' (the first and the "
            f"last time themselves, such as {end}), or 'cron */15 9-16 * * *'"
        )
    minute = str(begin) if step == 60 else "*" if step == 1 else f"*/{step}"
    hours = str(first[0]) if first[0] == last[0] else f"{first[0]}-{last[0]}"
    return Cron(f"{minute} {hours} {dates.day} {dates.month} {dates.weekday}", tz)


# --- times on dates -----------------------------------------------------------------------------------------


def _moments(plain: str, tz: str | None) -> Trigger | None:
    """A date phrase with "at 09:00" before or behind it; a date phrase alone means midnight, as @daily does."""
    match = re.fullmatch(
        r"(?:(?P<before>.*?),? )?at (?P<times>.+?)(?:,? (?P<behind>(?:on|every|each|in|daily|week|of) ?.*))?",
        plain,
    )
    if match is None:
        dates, times = read_dates(plain), [(0, 0, 0)]
        if dates is not None and not dates.whole_day:
            raise BadTrigger(
                f"{plain!r} is not clear: it does not say at what time; write '{plain} at 09:00'"
            )
    else:
        said = " ".join(part for part in (match["before"], match["behind"]) if part)
        dates, read = read_dates(said or "every day"), _times(match["times"], plain)
        if read is None:
            return None
        times = read
    if dates is None:
        return None
    if dates.business:
        if len(times) > 1:
            raise BadTrigger(f"{plain!r} has more than one time; write one of them for each schedule")
        return Calendar(1, "month", dates.business, "{:02d}:{:02d}:{:02d}".format(*times[0]), tz)
    return _joined(times, dates, tz)


def _joined(times: list[tuple[int, int, int]], dates: Dates, tz: str | None) -> Trigger:
    """One expression where the times are every hour of some with every minute of some; else a union."""
    hours, minutes, seconds = (sorted({time[place] for time in times}) for place in range(3))
    tail = f"{dates.day} {dates.month} {dates.weekday}"
    if len(hours) * len(minutes) * len(seconds) == len(set(times)):
        head = "" if seconds == [0] else ",".join(map(str, seconds)) + " "
        return Cron(f"{head}{','.join(map(str, minutes))} {','.join(map(str, hours))} {tail}", tz)
    from watchbell.core.triggers.compound import any_of

    return any_of(*(Cron(f"{f'{s} ' if s else ''}{m} {h} {tail}", tz) for h, m, s in sorted(set(times))))


def _times(text: str, plain: str) -> list[tuple[int, int, int]] | None:
    found = [_clock(part, plain) for part in re.split(r", and |, | and ", text)]
    return [time for time in found if time is not None] if all(time is not None for time in found) else None


def _clock(text: str, plain: str) -> tuple[int, int, int] | None:
    """A time of day; an hour alone is refused, since nobody knows whether 9 is in the evening."""
    if text in ("noon", "midnight"):
        return (12, 0, 0) if text == "noon" else (0, 0, 0)
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    if match[4]:
        _within(plain, hour, 12, "at 9am")
        if hour == 0:
            raise BadTrigger(f"{text!r} in {plain!r} is no time; write '12{match[4]}' or '00:{minute:02d}'")
        hour = hour % 12 + (12 if match[4] == "pm" else 0)
    elif match[2] is None:
        raise BadTrigger(
            f"'at {text}' in {plain!r} is not clear; write 'at {hour % 24:02d}:00', or '{text}am' or '{text}pm'"
        )
    _within(plain, hour, 23, "at 23:00")
    _within(plain, max(minute, second), 59, "at 09:30")
    return hour, minute, second


def _within(plain: str, value: int, most: int, instead: str) -> None:
    if value > most:
        raise BadTrigger(f"{value} in {plain!r} is more than {most}; write '{instead}'")


def shown(trigger: Trigger) -> str:
    """What a phrase became, in the form that other tools know: a cron expression, an interval, or a trigger's text."""
    if isinstance(trigger, Interval):
        return f"every {duration_text(trigger.period_us)}"
    return trigger.to_text()
