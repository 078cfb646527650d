"""Every zone of the IANA database from 1970 to 2037 with 200 rules, against the oracle: all of it with `--release`.

Around every change of offset each rule is walked minute by minute by the oracle and must agree to the instant; between
two changes, where a wall clock is simple, it must agree in the count. The normal run takes a sample of zones and rules.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest

from tests.core import oracle
from tests.core.oracle import CalendarFields, Fields
from watchbell import calendar
from watchbell.core.instants import to_text
from watchbell.core.triggers import Calendar, Cron
from watchbell.core.wallclock import zone_rules

SECOND = 1_000_000
HOUR = 3600
FIRST, LAST = 1970, 2037
RULES = 200
PARTS = 24  # of the zones, so that several processes can share them
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Rule:
    """One rule with its choices, for the product and for the oracle."""

    cron: str | None
    calendar: tuple[str, str | None, str] | None  # every, on, at
    fields: Fields | CalendarFields
    rhythm: bool
    gap: str
    fold: str

    def trigger(self, tz: str) -> Cron | Calendar:
        dst = "rhythm" if self.rhythm else "wall"
        if self.cron is not None:
            return Cron(self.cron, tz, dst, self.gap, self.fold)  # type: ignore[arg-type]
        assert self.calendar is not None
        assert isinstance(self.fields, CalendarFields)
        start, short = self.fields.start, self.fields.short
        clocks = {"dst": dst, "gap": self.gap, "fold": self.fold}
        return calendar(*self.calendar, tz=tz, start=start, short_month=short, **clocks)  # type: ignore[arg-type]


def cron_text(draw: random.Random) -> str:
    """Mostly rules that are due at night, where clocks change, with every kind of term."""
    minute = draw.choice(("0", "30", "*/15", "*/20", "15", "59", "H", "H/30", "7-50/13", "0,45", "*"))
    hour = draw.choice(("0", "1", "2", "3", "2", "0-3", "23-2", "1,2,3", "*", "*/2", "22/1", "H(0-4)", "4"))
    day = draw.choice(
        ("*", "*", "*", "1-7", "L", "LW", "15W", "1W,L-2", "*/2", "L-5", "25-31", "31W", "H(20-28)")
    )
    month = draw.choice(("*", "*", "*", "MAR,OCT", "9-4", "SEP-NOV", "*/3", "4"))
    week = draw.choice(("*", "*", "SUN", "SAT-MON", "7#1", "SUNL", "1-5", "0/3", "?", "5L,SUN#2"))
    return f"{minute} {hour} {day} {month} {'*' if day.startswith('H') else week}"


def calendar_rule(draw: random.Random) -> tuple[tuple[str, str | None, str], CalendarFields]:
    unit = draw.choice(("day", "day", "week", "month", "month", "quarter", "year"))
    every, minute = draw.randint(1, 3), draw.choice((0, 60, 90, 120, 150, 179, 1410))
    start, short = (
        date(1969 + draw.randint(0, 6), draw.randint(1, 12), draw.randint(1, 28)),
        draw.choice(("clamp", "skip")),
    )
    choice: tuple[object, ...] = ()
    on = None
    if unit == "week":
        days = frozenset(draw.sample(range(7), 2))
        choice, on = ("week", days), " and ".join(WEEKDAYS[day] for day in sorted(days))
    elif unit != "day":
        kind, n = draw.choice(("day", "weekday", "business")), draw.choice((0, 1, 2, 4, 5))
        which = "last" if n == 0 else f"{n}th"
        if kind == "day":
            n = draw.choice((0, 1, 25, 29, 30, 31))
            choice, on = ("day", n), f"day {n}" if n else "last day"
        elif kind == "weekday":
            choice, on = ("weekday", n, 6), f"{which} Sunday"
        else:
            choice, on = ("business", n), f"{which} business day"
    fields = CalendarFields(every, unit, choice, start, minute, short)
    return (f"{every} {unit}", on, f"{minute // 60:02d}:{minute % 60:02d}"), fields


@cache
def all_rules() -> tuple[Rule, ...]:
    """The same 200 at every run, in an order in which the first ones are a mixture."""
    draw, found = random.Random(20_261_121), []
    while len(found) < RULES:
        gap, fold = draw.choice(("end", "shift", "skip")), draw.choice(("first", "second", "both"))
        if len(found) % 3 == 2:
            given, calendar_fields = calendar_rule(draw)
            found.append(Rule(None, given, calendar_fields, draw.random() < 0.2, gap, fold))
            continue
        text = cron_text(draw)
        fields = Fields.read(text)
        rhythm = fields.rhythm if draw.random() < 0.8 else draw.random() < 0.5
        found.append(Rule(text, None, fields, rhythm, gap, fold))
    return tuple(found)


# --- what the oracle says -----------------------------------------------------------------------------------


@cache
def minutes_of(rule: Rule) -> tuple[int, ...]:
    at = datetime(2000, 1, 1)
    return tuple(n for n in range(1440) if rule.fields.of_time(at + timedelta(minutes=n)))


@cache
def days_until(rule: Rule) -> list[int]:
    """How many days match, from 1969-12-29 up to each day."""
    found, total, first = [0], 0, date(1969, 12, 29)
    for n in range((date(2038, 1, 5) - first).days):
        total += oracle.matches_date.__wrapped__(rule.fields, first + timedelta(n))
        found.append(total)
    return found


_FIRST_DAY = (date(1969, 12, 29) - date(1970, 1, 1)).days


def locals_in(rule: Rule, after: int, upto: int) -> int:
    """How many times on the wall match in (after, upto], both in seconds since 1970 on that wall."""

    def until(local: int) -> int:  # up to and with a local second
        day, rest = divmod(local, 86_400)
        days, minutes = days_until(rule), minutes_of(rule)
        place = day - _FIRST_DAY
        whole = days[place] * len(minutes)
        today = days[place + 1] - days[place]
        return whole + today * bisect_right(minutes, rest // 60)

    return until(upto) - until(after)


Key = tuple[int, int, int]


def window(key: Key) -> tuple[int, int]:
    second, before, after = key
    wide = abs(after - before) + 2 * HOUR
    return (second - wide) // 60 * 60, (second + wide) // 60 * 60


@dataclass
class Walked:
    """What the minutes around one change are, worked out once for all rules."""

    real: dict[int, list[tuple[int, date]]]  # minute of the day → real seconds and their dates on the wall
    walls: dict[
        tuple[str, str], dict[int, list[tuple[int, date]]]
    ]  # the same for times on the wall, by gap and fold


def walk(tz: str, key: Key) -> Walked:
    zone = ZoneInfo(tz)
    start, end = window(key)
    real: dict[int, list[tuple[int, date]]] = defaultdict(list)
    for second in range(start + 60, end + 1, 60):
        local = oracle._reading(second, zone)
        if local.second == 0:
            real[local.hour * 60 + local.minute].append((second, local.date()))
    walls: dict[tuple[str, str], dict[int, list[tuple[int, date]]]] = {}
    jump = abs(key[2] - key[1])
    naive = oracle._reading(start, zone) - timedelta(seconds=jump + HOUR)
    naive -= timedelta(seconds=naive.second)
    last = oracle._reading(end, zone) + timedelta(seconds=jump + HOUR)
    while naive <= last:
        early, late = (oracle._second(naive, zone, fold) for fold in (0, 1))
        plain = early == late and oracle._reading(early, zone) == naive
        for gap in ("end", "shift", "skip"):
            for fold in ("first", "second", "both"):
                seconds = [early] if plain else oracle.real_seconds(naive, zone, gap, fold)
                of_minute = walls.setdefault((gap, fold), {}).setdefault(naive.hour * 60 + naive.minute, [])
                of_minute.extend((second, naive.date()) for second in seconds if start < second <= end)
        naive += timedelta(minutes=1)
    return Walked(real, walls)


def expected(walked: Walked, rule: Rule) -> tuple[int, ...]:
    minutes = walked.real if rule.rhythm else walked.walls[rule.gap, rule.fold]
    found = {
        second
        for minute in minutes_of(rule)
        for second, day in minutes.get(minute, ())
        if oracle.matches_date(rule.fields, day)
    }
    return tuple(sorted(found))


# --- what the triggers say ----------------------------------------------------------------------------------


def check_change(trigger: Cron | Calendar, rule: Rule, key: Key, due: tuple[int, ...]) -> None:
    start, end = window(key)
    found, at = [], trigger.next_after(start * SECOND)
    while at is not None and at <= end * SECOND:
        found.append(at // SECOND)
        at = trigger.next_after(at)
    assert tuple(found) == due, (trigger, to_text(key[0] * SECOND))
    assert trigger.count(start * SECOND, end * SECOND) == len(due), (trigger, to_text(key[0] * SECOND))
    last = due[-1] * SECOND if due else None
    assert trigger.last_in(start * SECOND, end * SECOND) == last, (trigger, to_text(key[0] * SECOND))


def check_between(trigger: Cron | Calendar, rule: Rule, after: int, upto: int, offset: int) -> None:
    due = locals_in(rule, after + offset, upto + offset)
    assert trigger.count(after * SECOND, upto * SECOND) == due, (trigger, to_text(after * SECOND))
    middle = (after + upto) // 2
    at = trigger.next_after(middle * SECOND)
    if at is None or at > upto * SECOND:
        assert locals_in(rule, middle + offset, upto + offset) == 0, (trigger, to_text(middle * SECOND))
    else:
        assert at % SECOND == 0
        second = at // SECOND
        assert locals_in(rule, middle + offset, second + offset) == 1, (trigger, to_text(middle * SECOND))
        assert locals_in(rule, middle + offset, second - 1 + offset) == 0, (trigger, to_text(middle * SECOND))


def quiet(tz: str, keys: list[Key]) -> list[tuple[int, int, int]]:
    """The stretches between the windows of the changes: after, up to, and the offset that holds in them."""
    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (FIRST, LAST + 1))
    edges = [first, *(edge for key in keys for edge in window(key)), last]
    found = []
    for after, upto in zip(edges[::2], edges[1::2], strict=True):
        if upto - after > 60:
            offset = datetime.fromtimestamp((after + upto) // 2, ZoneInfo(tz)).utcoffset()
            assert offset is not None
            found.append((after, upto, offset // timedelta(seconds=1)))
    return found


def judge(
    tz: str, rules: tuple[Rule, ...], years: tuple[int, int], known: dict[Key, list[tuple[int, ...]]]
) -> int:
    """Hold every rule in one zone against the oracle; how many windows and stretches there were."""
    keys = oracle.changes(tz, *years)
    # Changes within a minute, or close to one another, are for the walk in test_cron_dst.
    plain = [key for key in keys if all(part % 60 == 0 for part in key)]
    apart = [
        key
        for i, key in enumerate(keys)
        if all(abs(key[0] - other[0]) > 60 * HOUR for other in keys[max(0, i - 1) : i + 2] if other != key)
    ]
    judged = [key for key in plain if key in set(apart)]
    for key in judged:
        if key not in known:
            walked = walk(tz, key)
            known[key] = [expected(walked, rule) for rule in rules]
    stretches = quiet(tz, keys) if years == (FIRST, LAST) else []
    for place, rule in enumerate(rules):
        trigger = rule.trigger(tz)
        for key in judged:
            check_change(trigger, rule, key, known[key][place])
        for after, upto, offset in stretches:
            check_between(trigger, rule, after, upto, offset)
    return len(rules) * (len(judged) + len(stretches))


def zones() -> list[str]:
    return sorted(available_timezones() - {"localtime", "posixrules", "Factory"})


def groups() -> list[list[str]]:
    """The zones, those together that are one zone under several names."""
    found: dict[str, list[str]] = defaultdict(list)
    for tz in zones():
        found[zone_rules(tz).digest].append(tz)
    return list(found.values())


@pytest.mark.release
@pytest.mark.parametrize("part", range(PARTS))
def test_S1_12_every_zone_and_every_year_with_200_rules(part: int) -> None:
    known: dict[Key, list[tuple[int, ...]]] = {}
    total = 0
    for names in groups()[part::PARTS]:
        for alias in names[1:]:
            assert oracle.changes(alias, FIRST, LAST) == oracle.changes(names[0], FIRST, LAST)
        total += judge(names[0], all_rules(), (FIRST, LAST), known)
    assert total > RULES


def test_S1_12_a_sample_of_zones_and_rules() -> None:
    known: dict[Key, list[tuple[int, ...]]] = {}
    total = 0
    for tz in (
        "Europe/Berlin",
        "America/Santiago",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Kolkata",
    ):
        total += judge(tz, all_rules()[:60], (2024, 2028), known)
    total += judge("Asia/Tehran", all_rules()[60:66], (FIRST, LAST), known)
    assert total > 1_500
