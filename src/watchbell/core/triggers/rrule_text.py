"""The text of a recurrence rule (RFC 5545), read into what it allows.

    FREQ=MONTHLY;BYDAY=-1FR                                  one rule
    RRULE:FREQ=DAILY;COUNT=10 RDATE:20261224T180000 EXDATE:20261225T090000    a rule with more and fewer times

Lines are kept apart by line breaks or spaces. What the RFC forbids, and what it leaves without a meaning, is refused
with what to write instead. Times are wall-clock times, written as in the RFC; one in UTC (…Z) is read as what the clock
on the wall of the schedule's zone shows then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from watchbell.errors import BadTrigger

FREQUENCIES: Final = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MOST_COUNT: Final = 10_000
_MOST_DATES: Final = 1_000
_LONGEST: Final = 40_000
_LARGEST_INTERVAL: Final = 100_000
_TIME: Final = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(Z?)")
# name → (lowest, highest, may be negative)
_NUMBERS: Final = {
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 59, False),
    "BYSETPOS": (1, 366, True),
}
_ORDER: Final = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", *_NUMBERS, "BYDAY")
_EXAMPLE: Final = "'FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;BYMINUTE=0'"


@dataclass(frozen=True, slots=True)
class WallTime:
    """A time as the RFC writes it: µs since 1970 as read on the wall, or (`utc`) as an instant."""

    at: int
    utc: bool = False


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What a text allows. Empty tuples are what was not written."""

    freq: str
    interval: int = 1
    count: int | None = None
    until: WallTime | None = None
    wkst: int = 0
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    weekdays: tuple[tuple[int, int], ...] = ()
    """(weekday, n): Monday is 0; n is 0 for every one, -1 for the last."""
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    more: tuple[WallTime, ...] = ()
    fewer: tuple[WallTime, ...] = ()
    text: str = field(default="", compare=False)
    """The text in one form: upper case, the parts in one order, the lists sorted."""

    @property
    def rhythm(self) -> bool:
        """Whether it repeats within a day, so that real time is meant rather than times on the wall."""
        return FREQUENCIES.index(self.freq) > FREQUENCIES.index("DAILY")


@lru_cache(maxsize=2048)
def parse_rrule(text: str) -> Recurrence:
    """What a text allows. Raises BadTrigger with the part and what to write instead."""
    if len(text) > _LONGEST:
        raise BadTrigger(f"the rule has {len(text):,} characters; write at most {_LONGEST:,}")
    rule: dict[str, str] | None = None
    more: set[WallTime] = set()
    fewer: set[WallTime] = set()
    for word in text.upper().split():
        name, colon, rest = word.partition(":")
        if not colon:
            name, rest = "RRULE", word
        if name == "RRULE":
            if rule is not None:
                raise BadTrigger(
                    "there are two rules; write each as an rrule of its own, joined by any_of(…)"
                )
            rule = _parts(rest)
        elif name in ("RDATE", "EXDATE"):
            (more if name == "RDATE" else fewer).update(_times(name, rest))
        else:
            raise BadTrigger(f"{_short(word)}: {_advice(name)}")
    if rule is None:
        raise BadTrigger(f"there is no rule in {_short(text)}; write {_EXAMPLE}")
    if len(more) + len(fewer) > _MOST_DATES:
        raise BadTrigger(f"RDATE and EXDATE name more than {_MOST_DATES:,} times; a rule says that better")
    return _recurrence(rule, tuple(sorted(more, key=_by_time)), tuple(sorted(fewer, key=_by_time)))


def _by_time(time: WallTime) -> tuple[int, bool]:
    return time.at, time.utc


def _advice(name: str) -> str:
    if name.startswith("DTSTART"):
        return "the start is said beside the rule: start=2026-11-21T09:00:00, with tz="
    if name == "EXRULE":
        return "the RFC has taken EXRULE back; write except_for(rule, rule to leave out)"
    if name.startswith(("RDATE;", "EXDATE;")):
        return "the times are in the zone of tz=; write them without parameters, as RDATE:20261224T180000"
    return f"only RRULE:, RDATE: and EXDATE: are read; write {_EXAMPLE}"


def _parts(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.strip(";").split(";"):
        name, sign, value = part.partition("=")
        if not sign or not value:
            raise BadTrigger(f"{_short(part)} is no part of a rule; write NAME=VALUE, as in {_EXAMPLE}")
        if name not in _ORDER:
            raise BadTrigger(f"{_short(name)} is no part of a rule; there are {', '.join(_ORDER)}")
        if name in found:
            raise BadTrigger(f"{name} is written twice; write its values as one list, {name}=1,2")
        found[name] = value
    if found.get("FREQ") not in FREQUENCIES:
        raise BadTrigger(f"FREQ={found.get('FREQ', '')} is not known; write one of {', '.join(FREQUENCIES)}")
    return found


def _recurrence(parts: dict[str, str], more: tuple[WallTime, ...], fewer: tuple[WallTime, ...]) -> Recurrence:
    freq = parts["FREQ"]
    numbers = {name: _list(name, parts[name]) if name in parts else () for name in _NUMBERS}
    weekdays = (
        tuple(sorted({_weekday(term) for term in parts["BYDAY"].split(",")})) if "BYDAY" in parts else ()
    )
    _refuse_pairs(parts, freq, weekdays)
    until = parts.get("UNTIL")
    made = Recurrence(
        freq=freq,
        interval=_number("INTERVAL", parts.get("INTERVAL", "1"), 1, _LARGEST_INTERVAL),
        count=_number("COUNT", parts["COUNT"], 1, MOST_COUNT) if "COUNT" in parts else None,
        until=None if until is None else _time("UNTIL", until),
        wkst=_plain_weekday(parts.get("WKST", "MO")),
        months=numbers["BYMONTH"],
        month_days=numbers["BYMONTHDAY"],
        year_days=numbers["BYYEARDAY"],
        weeks=numbers["BYWEEKNO"],
        weekdays=weekdays,
        hours=numbers["BYHOUR"],
        minutes=numbers["BYMINUTE"],
        seconds=numbers["BYSECOND"],
        positions=numbers["BYSETPOS"],
        more=more,
        fewer=fewer,
    )
    object.__setattr__(made, "text", _text(made))
    return made


def _refuse_pairs(parts: dict[str, str], freq: str, weekdays: tuple[tuple[int, int], ...]) -> None:
    """What the RFC forbids beside something else."""
    numbered = any(n for _, n in weekdays)
    refused = (
        (
            "COUNT" in parts and "UNTIL" in parts,
            "COUNT and UNTIL both say where the rule ends; write one of them",
        ),
        ("BYWEEKNO" in parts and freq != "YEARLY", f"BYWEEKNO goes with FREQ=YEARLY, not with {freq}"),
        (
            "BYYEARDAY" in parts and freq in ("DAILY", "WEEKLY", "MONTHLY"),
            f"BYYEARDAY goes with FREQ=YEARLY, not with {freq}",
        ),
        (
            "BYMONTHDAY" in parts and freq == "WEEKLY",
            "BYMONTHDAY goes with FREQ=MONTHLY or DAILY, not with WEEKLY",
        ),
        (
            numbered and freq not in ("MONTHLY", "YEARLY"),
            f"a numbered weekday such as 1MO goes with FREQ=MONTHLY or YEARLY, not with {freq}",
        ),
        (
            "BYWEEKNO" in parts and "BYDAY" not in parts,
            "BYWEEKNO alone does not say which days of the week are meant; add BYDAY=MO, or BYDAY=MO,TU,WE,TH,FR,SA,SU",
        ),
        (
            numbered and "BYWEEKNO" in parts,
            "a numbered weekday such as 1MO does not go with BYWEEKNO; write MO",
        ),
        (
            numbered and (freq == "MONTHLY" or "BYMONTH" in parts) and any(abs(n) > 5 for _, n in weekdays),
            "a month has no 6th weekday; write 1 to 5, or -1 for the last",
        ),
        (
            "BYSETPOS" in parts and not any(name.startswith("BY") and name != "BYSETPOS" for name in parts),
            "BYSETPOS chooses among what other BY… parts give; write one of them too, such as BYDAY",
        ),
    )
    for wrong, said in refused:
        if wrong:
            raise BadTrigger(said)


def _list(name: str, text: str) -> tuple[int, ...]:
    low, high, negative = _NUMBERS[name]
    return tuple(sorted({_number(name, term, low, high, negative) for term in text.split(",")}))


def _number(name: str, text: str, low: int, high: int, negative: bool = False) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,6}", text):
        value = int(text)
        if low <= (abs(value) if negative else value) <= high:
            return value
    also = f" or -{high} to -{low}" if negative else ""
    raise BadTrigger(f"{name}={_short(text)} cannot be read; write {low} to {high}{also}")


def _weekday(term: str) -> tuple[int, int]:
    match = re.fullmatch(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", term)
    n = int(match[1] or 0) if match else 0
    if match is None or abs(n) > 53 or (match[1] and n == 0):
        raise BadTrigger(
            f"BYDAY={_short(term)} is no weekday; write MO, 1MO for the first or -1FR for the last"
        )
    return WEEKDAYS.index(match[2]), n


def _plain_weekday(text: str) -> int:
    if text not in WEEKDAYS:
        raise BadTrigger(f"WKST={_short(text)} is no weekday; write one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _times(name: str, text: str) -> list[WallTime]:
    return [_time(name, term) for term in text.split(",")]


def _time(name: str, text: str) -> WallTime:
    match = _TIME.fullmatch(text)
    if match is None:
        day = f"{text}T235959" if re.fullmatch(r"\d{8}", text) else "20261224T180000"
        raise BadTrigger(f"{name}={_short(text)} is no time; write date and time, {name}={day}")
    try:
        year, month, day_, hour, minute, second = map(int, match.groups()[:6])
        moment = datetime(year, month, day_, hour, minute, second)  # noqa: DTZ001  a reading of the wall
    except ValueError as error:
        raise BadTrigger(f"{name}={text} is no time: {error}") from error
    return WallTime(reading_of(moment), bool(match[7]))


def reading_of(moment: datetime) -> int:
    """A naive datetime as a local reading, µs since 1970 on that wall."""
    days = moment.toordinal() - 719_163
    return ((days * 24 + moment.hour) * 60 + moment.minute) * 60_000_000 + moment.second * 1_000_000


def _text(rule: Recurrence) -> str:
    values = {
        "FREQ": rule.freq,
        "INTERVAL": "" if rule.interval == 1 else str(rule.interval),
        "COUNT": "" if rule.count is None else str(rule.count),
        "UNTIL": "" if rule.until is None else _stamp(rule.until),
        "WKST": "" if rule.wkst == 0 else WEEKDAYS[rule.wkst],
        "BYMONTH": _join(rule.months),
        "BYMONTHDAY": _join(rule.month_days),
        "BYYEARDAY": _join(rule.year_days),
        "BYWEEKNO": _join(rule.weeks),
        "BYHOUR": _join(rule.hours),
        "BYMINUTE": _join(rule.minutes),
        "BYSECOND": _join(rule.seconds),
        "BYSETPOS": _join(rule.positions),
        "BYDAY": ",".join(f"{n or ''}{WEEKDAYS[day]}" for day, n in rule.weekdays),
    }
    own = ";".join(f"{name}={value}" for name, value in values.items() if value)
    if not rule.more and not rule.fewer:
        return own
    words = [f"RRULE:{own}"]
    words += [
        f"{name}:{','.join(map(_stamp, times))}"
        for name, times in (("RDATE", rule.more), ("EXDATE", rule.fewer))
        if times
    ]
    return " ".join(words)


def _join(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def _stamp(time: WallTime) -> str:
    days, rest = divmod(time.at // 1_000_000, 86_400)
    day = datetime.fromordinal(days + 719_163)
    return (
        f"{day.year:04d}{day.month:02d}{day.day:02d}"
        f"T{rest // 3600:02d}{rest // 60 % 60:02d}{rest % 60:02d}{'Z' if time.utc else ''}"
    )


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:57] + "...")
