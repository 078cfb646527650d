"""Calendar intervals: what is read and refused, which dates they choose, where the clocks change, and how they are told."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core import oracle
from tests.core.oracle import CalendarFields
from tests.core.test_cron_dst import HOUR, NAMED, change_at, check
from watchbell import calendar
from watchbell.core.audit.recount import implied, implied_count
from watchbell.core.instants import DAY, LATEST, SECOND, parse_instant, to_text
from watchbell.core.triggers import Calendar, parse_trigger, trigger_from_json
from watchbell.core.triggers.english import from_english
from watchbell.core.wallclock import zone_rules
from watchbell.errors import BadInput, BadTrigger, NeverMatches

START = parse_instant("2026-11-21T09:17:03Z")


def following(trigger: Calendar, count: int, after: int = START) -> list[str]:
    found: list[str] = []
    at: int | None = after
    while len(found) < count and at is not None:
        at = trigger.next_after(at)
        if at is not None:
            found.append(to_text(at).removesuffix(":00Z"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "every 3 months on the last business day at 09:00 tz=Europe/Berlin",
            ["2026-11-30T08:00", "2027-02-26T08:00", "2027-05-31T07:00", "2027-08-31T07:00"],
        ),
        ("3 months on last business day start=2026-01-15", ["2027-01-29T00:00", "2027-04-30T00:00"]),
        (
            "quarter on last business day at 17:30",
            ["2026-12-31T17:30", "2027-03-31T17:30", "2027-06-30T17:30"],
        ),
        ("2 quarters on the first Monday", ["2027-04-05T00:00", "2027-10-04T00:00"]),
        ("month on 31", ["2026-11-30T00:00", "2026-12-31T00:00", "2027-01-31T00:00", "2027-02-28T00:00"]),
        ("month on 31 short_month=skip", ["2026-12-31T00:00", "2027-01-31T00:00", "2027-03-31T00:00"]),
        ("month on first business day at 8:05", ["2026-12-01T08:05", "2027-01-01T08:05", "2027-02-01T08:05"]),
        ("month on 3rd business day", ["2026-12-03T00:00", "2027-01-05T00:00", "2027-02-03T00:00"]),
        ("month on 23rd business day", ["2026-12-31T00:00", "2027-03-31T00:00", "2027-07-01T00:00"][:2]),
        ("month on fifth monday", ["2026-11-30T00:00", "2027-03-29T00:00", "2027-05-31T00:00"]),
        ("month on last Fri", ["2026-11-27T00:00", "2026-12-25T00:00", "2027-01-29T00:00"]),
        ("month on the last day", ["2026-11-30T00:00", "2026-12-31T00:00"]),
        ("month", ["2026-12-21T00:00", "2027-01-21T00:00"]),
        ("2 weeks", ["2026-12-05T00:00", "2026-12-19T00:00"]),
        ("2 weeks on mon, thu and Sunday", ["2026-11-22T00:00", "2026-11-30T00:00", "2026-12-03T00:00"]),
        ("2 weeks on Monday start=2026-11-23", ["2026-11-23T00:00", "2026-12-07T00:00"]),
        ("day at 09:17:04", ["2026-11-21T09:17:04Z", "2026-11-22T09:17:04Z"]),
        ("10 days start=2026-11-01", ["2026-12-01T00:00", "2026-12-11T00:00"]),
        ("10 days start=2030-11-01", ["2030-11-01T00:00", "2030-11-11T00:00"]),
        ("year", ["2027-11-21T00:00", "2028-11-21T00:00"]),
        ("year on 29 February", ["2027-02-28T00:00", "2028-02-29T00:00"]),
        ("year on feb 29 short_month=skip", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("2 years on 24 December at 18:00", ["2026-12-24T18:00", "2028-12-24T18:00"]),
        ("year on last Friday of November", ["2026-11-27T00:00", "2027-11-26T00:00"]),
        ("year on the last business day", ["2026-12-31T00:00", "2027-12-31T00:00", "2028-12-29T00:00"]),
        ("year on day 366 short_month=skip", ["2028-12-31T00:00", "2032-12-31T00:00"]),
        ("year on 100", ["2027-04-10T00:00", "2028-04-09T00:00"]),
        ("year on last day of February", ["2027-02-28T00:00", "2028-02-29T00:00"]),
        ("12 months on 31 start=2026-02-01", ["2027-02-28T00:00", "2028-02-29T00:00"]),
    ],
)
def test_a_calendar_interval_is_due_where_it_says(text: str, expected: list[str]) -> None:
    trigger = parse_trigger(f"calendar {text}").bound("UTC", START)
    assert isinstance(trigger, Calendar)
    assert following(trigger, len(expected)) == expected
    assert parse_trigger(trigger.to_text()) == trigger
    recounted = implied(json.dumps(trigger.to_json()), START, START + 20 * 366 * DAY)
    assert [to_text(next(recounted)).removesuffix(":00Z") for _ in expected] == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a calendar interval says how often; write 'calendar every 3 months on last day at 09:00'"),
        ("5", "every='5' is no calendar period; write a number of days, weeks, months, quarters or years"),
        ("5 hours", "every='5 hours' is no calendar period"),
        ("0 months", "every=0: a calendar interval is every 1 to 1,000 of its periods"),
        ("2000 months", "every=2000: a calendar interval is every 1 to 1,000"),
        ("month on 32", "on='32': a month has at most 31 of these; write 1 to 31, or 'last'"),
        ("month on 0", "on='0' cannot be read for a month; write 'last business day', 'first Monday'"),
        ("month on 0th Monday", "cannot be read for a month"),
        ("month on 6th Monday", "a month has at most 5 of these"),
        ("month on 24th business day", "a month has at most 23 of these"),
        ("month on last weekday", "for Monday to Friday say 'business day'"),
        ("month on 24 December", "on='24 December' cannot be read for a month"),
        ("year on last day of Smarch", "on='last day of Smarch' cannot be read for a year"),
        ("year on last Friday of", "cannot be read for a year"),
        (
            "week on payday",
            "on='payday' cannot be read for a week; write the weekdays, such as 'Monday and Thu",
        ),
        ("week on first Monday", "cannot be read for a week"),
        ("day on Monday", "on='Monday': a rule of days has no day to choose; leave on= out"),
        ("quarter", "a rule of quarters must say on which day; write on= with 'last business day'"),
        ("month at 24:00", "at='24:00' is no time of day; write one from '00:00' to '23:59:59'"),
        ("month at noon", "at='noon' is no time of day"),
        ("month start=2026-02-30", "start='2026-02-30' is no date; write one such as '2026-11-21'"),
        ("month start=tomorrow", "start='tomorrow' is no date"),
        ("month short_month=last", "short_month='last' is not known; write short_month= clamp or skip"),
        ("month gap=forward", "gap='forward' is not known; write gap= one of end, shift, skip"),
        (
            "month every=2",
            "every= is no option of 'calendar'; it has tz=, start=, short_month=, dst=, gap=, fold=",
        ),
        ("month tz=Europe/Berln", "did you mean 'Europe/Berlin'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_write(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_trigger(f"calendar {text}")
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "data",
    [
        {"every": True, "unit": "day"},
        {"every": "3", "unit": "day"},
        {"every": 3, "unit": "moon"},
        {"every": 3, "unit": "month", "on": 5},
        {"every": 3, "unit": "month", "at": 9},
        {"every": 3, "unit": "month", "start": 20261121},
        {"every": 3},
        {"every": 3, "unit": "month", "colour": "red"},
    ],
)
def test_data_that_is_no_calendar_interval_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(BadTrigger):
        trigger_from_json({"kind": "calendar", **data})


@pytest.mark.parametrize(
    "trigger",
    [
        calendar("year", "30 February", short_month="skip"),
        calendar("12 months", "31", start="2026-02-01", short_month="skip"),
        calendar("4 quarters", "day 91", start="2026-01-01", short_month="skip", tz="Asia/Tokyo"),
        calendar("4 quarters", "day 92", start="2026-01-01", short_month="skip", tz="Asia/Tokyo"),
        calendar("12 months", "23rd business day", start="2026-02-01"),
        calendar("1000 years", "1 January", start="9400-01-02"),
    ],
)
def test_F61_a_calendar_interval_without_any_date_is_refused_when_it_is_written(trigger: Calendar) -> None:
    if trigger.on == "day 91":  # a leap year has them
        assert following(trigger.bound("UTC", START), 1) == ["2028-03-30T15:00"]
        return
    with pytest.raises(NeverMatches, match="meets no date of the calendar"):
        trigger.bound("Europe/Berlin", START)


def test_a_fifth_monday_in_february_is_found_decades_ahead() -> None:
    trigger = calendar("12 months", "fifth Monday", start="2052-02-01", tz="UTC")
    assert following(trigger, 3) == ["2072-02-29T00:00", "2112-02-29T00:00", "2140-02-29T00:00"]


def test_nothing_is_due_before_the_start_and_after_the_end_of_the_calendar() -> None:
    trigger = calendar("2 weeks", "Monday and Friday", "09:00", start="2026-11-25", tz="UTC")
    assert following(trigger, 3, -LATEST) == ["2026-11-27T09:00", "2026-12-07T09:00", "2026-12-11T09:00"]
    assert trigger.last_in(0, parse_instant("2026-11-27T08:59Z")) is None
    last = calendar("7 years", "last day", "23:00", start="2001-01-01", tz="America/New_York")
    final = last.last_in(0, LATEST)
    assert final is not None
    assert last.next_after(final) is None
    assert last.next_after(final - 1) == final
    assert last.count(0, LATEST) == len(range(2001, 10_000, 7)) - (9_999 in range(2001, 10_000, 7))


def test_what_is_left_open_is_filled_when_a_schedule_is_written() -> None:
    open_rule = calendar("3 months")
    with pytest.raises(BadTrigger, match="has no start yet"):
        open_rule.next_after(START)
    # Late on the 21st in UTC is the 22nd in Tokyo.
    bound = open_rule.bound("Asia/Tokyo", parse_instant("2026-11-21T20:00Z"))
    assert (bound.tz, bound.start, bound.on) == ("Asia/Tokyo", "2026-11-22", "day 22")
    assert bound.bound("UTC", 0) == bound
    assert bound.start_at is not None
    assert open_rule.bound("Asia/Tokyo", bound.start_at) == bound
    assert calendar("month", start=date(2026, 1, 31)).on == "day 31"


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        (
            "every 3 months on the last business day at 09:00",
            calendar("3 months", "last business day", "09:00"),
        ),
        (
            "Every quarter on the first Monday at 9:30, Asia/Tokyo",
            calendar("quarter", "first Monday", "09:30", tz="Asia/Tokyo"),
        ),
        ("every year on 24 December at 18:00", calendar("year", "24 December", "18:00")),
        (
            "every 2 years on the last Friday of November at 18:00",
            calendar("2 years", "last Friday of November", "18:00"),
        ),
    ],
)
def test_what_cron_cannot_say_is_understood_as_a_phrase(phrase: str, expected: Calendar) -> None:
    assert from_english(phrase) == expected


def test_a_day_number_where_there_are_fewer_days_is_told() -> None:
    assert calendar("month", "31", "09:00", tz="UTC").describe() == (
        "every month on day 31 at 09:00, on the last day where there are fewer days, UTC"
    )
    assert calendar("year", "29 February", short_month="skip").describe() == (
        "every year on 29 February at 00:00, left out where there are fewer days"
    )
    told = calendar("2 weeks", "thu, Mon", "9:00", start="2026-11-21", gap="skip", fold="both").describe()
    assert told == (
        "every 2 weeks on Monday and Thursday at 09:00, counted from 2026-11-21, "
        "left out where the clocks skip a time, at both where the clocks repeat a time"
    )
    assert calendar("day", dst="rhythm", start="2026-11-21").describe() == (
        "every day at 00:00, from 2026-11-21 on, in real time"
    )


# --- against the oracle and the recount -------------------------------------------------------------------------------

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
MOST = {"month": (31, 5, 23), "quarter": (92, 14, 66), "year": (366, 53, 262)}


def ordinal(n: int) -> str:
    return "last" if n == 0 else f"{n}th"


@st.composite
def rules(draw: st.DrawFn) -> tuple[str, str | None, CalendarFields]:
    """Every, on, and the same for the oracle."""
    unit = draw(st.sampled_from(("day", "week", "month", "month", "quarter", "year")))
    every = draw(st.one_of(st.integers(1, 5), st.integers(1, 40)))
    start = draw(st.dates(date(1990, 1, 1), date(2040, 12, 31)))
    month, short, on = None, draw(st.sampled_from(("clamp", "skip"))), None
    choice: tuple[object, ...] = ()
    if unit == "week":
        chosen = draw(st.sets(st.integers(0, 6), min_size=1, max_size=4))
        choice, on = ("week", frozenset(chosen)), " and ".join(WEEKDAYS[day] for day in chosen)
    elif unit != "day":
        if unit == "year" and draw(st.booleans()):
            month = draw(st.integers(1, 12))
        days, weeks, business = MOST["month" if month else unit]
        kind = draw(st.sampled_from(("day", "weekday", "business")))
        if kind == "day":
            n = draw(st.integers(0, days))
            choice, on = ("day", n), f"day {n}" if n else "last day"
        elif kind == "weekday":
            choice = ("weekday", draw(st.integers(0, weeks)), draw(st.integers(0, 6)))
            on = f"{ordinal(choice[1])} {WEEKDAYS[choice[2]]}"  # type: ignore[arg-type,index]
        else:
            choice = ("business", draw(st.integers(0, business)))
            on = f"{ordinal(choice[1])} business day"  # type: ignore[arg-type]
        if month is not None:
            on = f"{on} of {MONTHS[month - 1]}"
    minute = draw(st.sampled_from((0, 90, 150, 150, 180, 23 * 60 + 59)))
    fields = CalendarFields(every, unit, choice, start, minute, short, month)
    return f"{every} {unit}", on, fields


def made(rule: tuple[str, str | None, CalendarFields], tz: str = "UTC", **clocks: str) -> Calendar:
    every, on, fields = rule
    at = f"{fields.minute // 60:02d}:{fields.minute % 60:02d}"
    return calendar(
        every,
        on,
        at,
        tz=tz,
        start=fields.start,
        short_month=fields.short,
        **clocks,  # type: ignore[arg-type]
    )


@settings(max_examples=200)
@given(rules(), st.dates(date(1988, 1, 1), date(2080, 1, 1)))
def test_the_dates_are_those_of_the_calendar(
    rule: tuple[str, str | None, CalendarFields], begin: date
) -> None:
    trigger, fields = made(rule), rule[2]
    first = (begin - date(1970, 1, 1)).days * DAY
    upto = first + 900 * DAY
    expected = [
        first + day * DAY + fields.minute * 60 * SECOND
        for day in range(900)
        if fields.has_date(begin + timedelta(day))
    ]
    found: list[int] = []
    at = trigger.next_after(first - 1)
    while at is not None and at < upto:
        found.append(at)
        at = trigger.next_after(at)
    assert found == expected
    assert trigger.count(first - 1, upto - 1) == len(expected)
    assert trigger.last_in(first - 1, upto - 1) == (expected[-1] if expected else None)
    text = json.dumps(trigger.to_json())
    assert list(implied(text, first - 1, upto - 1)) == expected
    assert implied_count(text, first - 1, upto - 1) == len(expected)


@given(
    rules(),
    st.sampled_from(NAMED),
    st.integers(-30 * HOUR, 30 * HOUR),
    st.tuples(
        st.sampled_from(("auto", "wall", "rhythm")),
        st.sampled_from(("end", "shift", "skip")),
        st.sampled_from(("first", "second", "both")),
    ),
    st.booleans(),
)
def test_any_calendar_interval_across_a_change_is_what_the_walk_finds(
    rule: tuple[str, str | None, CalendarFields],
    named: tuple[str, str],
    shift: int,
    choices: tuple[str, str, str],
    daily: bool,
) -> None:
    tz, text = named
    second, before, after = change_at(tz, text)
    if daily:  # most other rules are not due that day
        local = datetime.fromtimestamp(second + min(before, after), UTC)
        minute = (local.hour * 60 + local.minute + 30) % 1440
        rule = ("1 day", None, CalendarFields(1, "day", (), date(2001, 1, 1), minute))
    start = second + shift - 8 * HOUR
    due = oracle.due(rule[2], tz, start, start + 16 * HOUR, *choices)
    trigger = made(rule, tz, dst=choices[0], gap=choices[1], fold=choices[2])
    check(trigger, start, start + 16 * HOUR, due)
    stored, known = json.dumps(trigger.to_json()), json.dumps(zone_rules(tz).to_json())
    for transitions in (None, known):
        recounted = implied(stored, start * SECOND, (start + 16 * HOUR) * SECOND, transitions)
        assert [at // SECOND for at in recounted] == list(due)


@given(rules(), st.integers(0, 4 * 10**15), st.integers(0, 10**16), st.integers(0, 10**17))
def test_counts_add_up_over_any_span(
    rule: tuple[str, str | None, CalendarFields], start: int, first: int, second: int
) -> None:
    trigger = made(rule, "Europe/Berlin")
    middle, end = start + first, start + first + second
    assert trigger.count(start, end) == trigger.count(start, middle) + trigger.count(middle, end)
    assert (trigger.last_in(start, end) is None) == (trigger.first_in(start, end) is None)
    assert (trigger.first_in(start, end) is None) == (trigger.count(start, end) == 0)


@given(rules(), st.sampled_from(("UTC", "Europe/Berlin")), st.sampled_from(("auto", "wall", "rhythm")))
def test_every_calendar_interval_is_told_and_reads_back_exactly(
    rule: tuple[str, str | None, CalendarFields], tz: str, dst: str
) -> None:
    trigger = made(rule, tz, dst=dst, fold="both")
    for back in (
        parse_trigger(trigger.to_text()),
        trigger_from_json(json.loads(json.dumps(trigger.to_json()))),
        pickle.loads(pickle.dumps(trigger)),
    ):
        assert back == trigger
        assert hash(back) == hash(trigger)
    told = trigger.describe()
    assert " ".join(told.split()) == told
    # What is said behind "every" is read as the same rule.
    words = told[: told.index(f" at {trigger.at}")] + f" at {trigger.at}"
    assert parse_trigger(f"calendar {words} start={trigger.start} short_month={trigger.short_month}") == made(
        rule,
        tz=None,  # type: ignore[arg-type]
    )


@given(st.text(alphabet="0123456789 endaymothlsfirtquweksycabupj:onat=", max_size=60))
def test_F61_garbage_is_read_or_refused(text: str) -> None:
    with suppress(BadInput):
        trigger = parse_trigger(f"calendar {text}").bound("UTC", START)
        assert trigger.next_after(START) is not None


def test_stored_rules_win_over_those_of_this_machine() -> None:
    trigger = calendar("day", at="02:30", tz="Europe/Berlin", start="2026-01-01")
    then = trigger.with_rules({"Europe/Berlin": zone_rules("Asia/Tokyo")})
    assert then == trigger
    assert then.next_after(START) == parse_instant("2026-11-21T17:30Z")
    read = trigger_from_json(trigger.to_json(), {"Europe/Berlin": zone_rules("Asia/Tokyo")})
    assert read.next_after(START) == then.next_after(START)
    rules_text = json.dumps(zone_rules("Asia/Tokyo").to_json())
    found = implied(json.dumps(trigger.to_json()), START, START + DAY, rules_text)
    assert list(found) == [then.next_after(START)]
