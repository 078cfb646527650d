"""Recurrence rules: what the RFC says, what dateutil says, what the recount says; bounds, clock changes, exact forms."""

from __future__ import annotations

import json
import pickle
from datetime import datetime
from itertools import takewhile

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from watchbell.core.audit.recount import implied, implied_count
from watchbell.core.instants import DAY, HOUR, LATEST, parse_instant, to_text
from watchbell.core.triggers import RRule, parse_trigger, rrule, trigger_from_json
from watchbell.core.triggers.rrule_text import parse_rrule, reading_of
from watchbell.errors import BadTrigger, NeverMatches

NOW = parse_instant("2026-11-21T00:00:00Z")
BERLIN = "Europe/Berlin"


def due(rule: RRule, after: str, count: int) -> list[str]:
    found, at = [], parse_instant(after)
    for _ in range(count):
        following = rule.next_after(at)
        if following is None:
            break
        found.append(to_text(at := following))
    return found


# --- the examples of the RFC --------------------------------------------------------------------------------


RFC = [
    ("FREQ=DAILY;COUNT=10", ["0902", "0903", "0904"]),
    ("FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO,WE,FR", ["0903", "0905", "0915", "0917"]),
    ("FREQ=MONTHLY;BYDAY=1FR", ["0905", "1003", "1107"]),
    ("FREQ=MONTHLY;INTERVAL=2;BYDAY=1SU,-1SU", ["0907", "0928", "1102", "1130"]),
    ("FREQ=MONTHLY;BYMONTHDAY=-3", ["0928", "1029", "1128"]),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", ["0929", "1030", "1127"]),
    ("FREQ=YEARLY;BYDAY=20MO", []),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", []),
]


@pytest.mark.parametrize(("text", "days"), RFC)
def test_the_rfcs_examples_come_out_as_the_rfc_has_them(text: str, days: list[str]) -> None:
    rule = rrule(text, start="1997-09-02 09:00", tz="UTC")
    assert [day[5:7] + day[8:10] for day in due(rule, "1997-09-01T00:00:00Z", len(days))] == days
    first = due(rule, "1997-09-01T00:00:00Z", 1)[0]
    if text.endswith("20MO"):
        assert first == "1998-05-18T09:00:00Z"
    if text.endswith("=13"):
        assert first == "1998-02-13T09:00:00Z"


def test_weekdays_with_and_without_numbers_are_the_sum_of_both() -> None:
    rule = rrule("FREQ=MONTHLY;BYDAY=MO,1TU", start="2026-11-01 09:00", tz="UTC")
    days = [text[8:10] for text in due(rule, "2026-11-01T00:00:00Z", 6)]
    assert days == ["02", "03", "09", "16", "23", "30"]
    stored = json.dumps(rule.to_json())
    assert [to_text(at)[8:10] for at in implied(stored, NOW - 30 * DAY, NOW + 10 * DAY)] == days


def test_an_interval_of_weeks_keeps_its_step_however_far_from_the_start() -> None:
    rule = rrule("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", start="1990-01-01 09:00", tz="UTC")
    at = rule.next_after(NOW)
    assert at is not None
    assert (at - parse_instant("1990-01-01T09:00:00Z")) % (14 * DAY) == 0


# --- ends ---------------------------------------------------------------------------------------------------


def test_a_rule_with_a_count_has_a_last_instant() -> None:
    rule = rrule("FREQ=DAILY;COUNT=3", start="2026-11-20 09:00", tz=BERLIN)
    assert due(rule, "2020-01-01T00:00:00Z", 9) == [f"2026-11-2{n}T08:00:00Z" for n in (0, 1, 2)]
    assert rule.count(0, LATEST) == 3
    assert rule.last_in(0, LATEST) == parse_instant("2026-11-22T08:00:00Z")


def test_until_is_the_last_one_and_may_be_written_in_utc() -> None:
    for until in ("20261122T090000", "20261122T080000Z"):
        rule = rrule(f"FREQ=DAILY;UNTIL={until}", start="2026-11-20 09:00", tz=BERLIN)
        assert due(rule, "2020-01-01T00:00:00Z", 9)[-1] == "2026-11-22T08:00:00Z"


def test_dates_are_added_and_taken_away() -> None:
    rule = rrule(
        "RRULE:FREQ=DAILY;COUNT=3\nRDATE:20261121T110000,20261201T090000\nEXDATE:20261121T090000",
        start="2026-11-20 09:00",
        tz="UTC",
    )
    found = due(rule, "2020-01-01T00:00:00Z", 9)
    assert [text[5:16] for text in found] == ["11-20T09:00", "11-21T11:00", "11-22T09:00", "12-01T09:00"]
    assert rule.count(0, LATEST) == 4
    assert rule.last_in(0, NOW + 11 * HOUR) == NOW + 11 * HOUR
    assert list(implied(json.dumps(rule.to_json()), 0 + NOW - DAY, NOW + 30 * DAY)) == [
        parse_instant(t) for t in found
    ]


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2,4",
        "FREQ=WEEKLY;INTERVAL=1;BYDAY=MO;BYMONTH=2;BYSETPOS=3",
        "FREQ=MINUTELY;BYSECOND=1,2;BYSETPOS=3",
        "FREQ=HOURLY;INTERVAL=26;BYHOUR=1",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
    ],
)
def test_a_rule_that_never_matches_is_refused_at_creation_with_the_reason(text: str) -> None:
    with pytest.raises(NeverMatches, match="would never be due: no time of the calendar matches it"):
        rrule(text, start="2026-11-21 00:00").bound("UTC", NOW)


def test_a_rule_that_has_ended_may_be_declared_again() -> None:
    rule = rrule("FREQ=DAILY;COUNT=3", start="2020-01-01 09:00").bound("UTC", NOW)
    assert rule.next_after(NOW) is None


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no rule in ''"),
        ("FREQ=FORTNIGHTLY", "FREQ=FORTNIGHTLY is not known; write one of YEARLY"),
        ("FREQ=DAILY;EVERY=2", "'EVERY' is no part of a rule"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR='24' cannot be read; write 0 to 23"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20261122T090000", "COUNT and UNTIL both say where the rule ends"),
        ("FREQ=DAILY;UNTIL=20261122", "UNTIL=20261122T235959"),
        ("FREQ=DAILY;BYDAY=1MO", "goes with FREQ=MONTHLY or YEARLY"),
        ("FREQ=DAILY;BYDAY=XX", "is no weekday"),
        ("FREQ=MONTHLY;BYDAY=6MO", "a month has no 6th weekday"),
        ("FREQ=YEARLY;BYWEEKNO=20", "add BYDAY=MO"),
        ("FREQ=MONTHLY;BYWEEKNO=20;BYDAY=MO", "BYWEEKNO goes with FREQ=YEARLY"),
        ("FREQ=DAILY;BYSETPOS=1", "write one of them too"),
        ("FREQ=DAILY;BYSECOND=60", "write 0 to 59"),
        ("FREQ=DAILY FREQ=WEEKLY", "joined by any_of"),
        ("DTSTART:20261121T090000 RRULE:FREQ=DAILY", "start=2026-11-21T09:00:00"),
        ("RRULE:FREQ=DAILY EXRULE:FREQ=WEEKLY", "write except_for"),
        ("RRULE:FREQ=DAILY RDATE:20261324T090000", "is no time: month must be in 1..12"),
        ("FREQ=DAILY;COUNT=99999", "write 1 to 10000"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(BadTrigger) as refusal:
        rrule(text, start="2026-11-21 09:00")
    assert said in str(refusal.value)


def test_a_start_is_a_time_on_the_wall_and_a_count_needs_one() -> None:
    with pytest.raises(BadTrigger, match="has an offset"):
        rrule("FREQ=DAILY", start="2026-11-21T09:00:00Z")
    with pytest.raises(BadTrigger, match="COUNT counts from the start"):
        rrule("FREQ=DAILY;COUNT=2")
    with pytest.raises(BadTrigger, match="has no start yet"):
        rrule("FREQ=DAILY").next_after(NOW)
    assert rrule("FREQ=DAILY").bound(BERLIN, NOW + 5 * HOUR).start == "2026-11-21T00:00:00"
    assert rrule("FREQ=DAILY", start=datetime(2026, 11, 21, 9)).start == "2026-11-21T09:00:00"


# --- the clocks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
        ({"gap": "shift"}, ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]),
        ({"gap": "skip"}, ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]),
    ],
)
def test_a_time_in_a_gap_follows_the_houses_rule(options: dict[str, str], found: list[str]) -> None:
    rule = rrule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", start="2026-01-01 00:00", tz=BERLIN, **options)  # type: ignore[arg-type]
    assert due(rule, "2026-03-28T00:00:00Z", 3) == found


def test_times_in_a_gap_are_one_occurrence_that_names_them() -> None:
    rule = rrule("FREQ=DAILY;BYHOUR=2;BYMINUTE=0,30", start="2026-01-01 00:00", tz=BERLIN)
    at = parse_instant("2026-03-29T01:00:00Z")
    assert rule.stands_for(at) == ("2026-03-29 02:00", "2026-03-29 02:30")
    assert rule.stands_for(at + DAY) == ()


def test_a_rule_that_repeats_within_a_day_is_real_time() -> None:
    rule = rrule("FREQ=HOURLY", start="2026-01-01 00:00", tz=BERLIN)
    assert rule.rhythm
    for day in ("2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z"):
        at = parse_instant(day)
        assert rule.count(at - 1, at + DAY - 1) == 24
    assert not rrule("FREQ=HOURLY", start="2026-01-01 00:00", dst="wall").rhythm


# --- against dateutil itself, and against the recount -------------------------------------------------------

_FINE = ("HOURLY", "MINUTELY")


def some(low: int, high: int, most: int = 3, negative: bool = False) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    if negative:
        numbers = numbers | st.integers(-high, -low)
    return st.lists(numbers, min_size=1, max_size=most, unique=True).map(lambda v: ",".join(map(str, v)))


@st.composite
def rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", *_FINE]))
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 4))}"]

    def maybe(name: str, values: st.SearchStrategy[str]) -> bool:
        if len(parts) > 4 or not draw(st.booleans()):
            return False
        parts.append(f"{name}={draw(values)}")
        return True

    plain = st.lists(
        st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=3, unique=True
    )
    if freq in ("YEARLY", "MONTHLY") and draw(st.booleans()):
        signs = st.sampled_from(["1", "2", "-1", "-2", "5"])
        parts.append(f"BYDAY={','.join(draw(signs) + day for day in draw(plain))}")
        chosen = True
    else:
        chosen = maybe("BYDAY", plain.map(",".join))
        if freq == "YEARLY" and chosen:
            maybe("BYWEEKNO", some(1, 53, negative=True))
    chosen |= maybe("BYMONTH", some(1, 12))
    if freq != "WEEKLY":
        chosen |= maybe("BYMONTHDAY", some(1, 31, 8, negative=True))
    if freq in ("YEARLY", *_FINE) and draw(st.integers(0, 3)) == 0:
        chosen |= maybe("BYYEARDAY", some(1, 366, 8, negative=True))
    chosen |= maybe("BYHOUR", some(0, 23))
    chosen |= maybe("BYMINUTE", some(0, 59))
    if chosen and freq not in _FINE:
        maybe("BYSETPOS", some(1, 6, negative=True))
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(['SU', 'MO', 'WE']))}")
    if len(parts) <= 4 and draw(st.booleans()):  # a COUNT of what is rare reaches far beyond any window
        parts.append(f"COUNT={draw(st.integers(1, 30))}")
    return ";".join(parts)


starts = st.datetimes(datetime(2015, 1, 1), datetime(2026, 6, 1)).map(lambda at: at.replace(microsecond=0))


@settings(max_examples=30, deadline=None)
@given(rules(), starts, st.integers(-30 * DAY, 4_000 * DAY))
def test_it_says_what_dateutil_says_from_any_instant(text: str, start: datetime, ahead: int) -> None:
    # In the first week dateutil counts positions from the start on, and not from the week's first day.
    assume(not ("WEEKLY" in text and "BYSETPOS" in text))
    rule = rrule(text, start=start, tz="UTC")
    # The oracle walks from the start: through every hour, or every minute.
    after = reading_of(start) + ahead // (200 if "MINUTELY" in text else 10 if "HOURLY" in text else 1)
    upto = after + (20 if "MINUTELY" in text or "HOURLY" in text else 400) * DAY
    try:
        oracle = rrulestr(text, dtstart=start)
    except ValueError:  # it refuses what can never match
        assert rule.next_after(after) is None
        return
    assume("BYMONTHDAY" not in text or rule.next_after(reading_of(start) - 1) is not None)
    found, at = [], rule.next_after(after)
    while at is not None and at <= upto and len(found) < 60:
        found.append(at)
        at = rule.next_after(at)
    limit = upto if len(found) < 60 else found[-1]
    if rule.next_after(reading_of(start) - 1) is None:
        return  # dateutil looks for it up to the year 9999
    if not found and "COUNT" not in text:
        return
    readings = takewhile(lambda each: each <= limit, map(reading_of, oracle))
    assert found == [each for each in readings if each > after]


recounted = given(
    rules(), starts, st.integers(0, 3_000 * DAY), st.sampled_from(["UTC", BERLIN, "Australia/Lord_Howe"])
)


# Always the same draws: the end of a COUNT of what is rare is found by looking at every date of some millennia.
@settings(max_examples=30, derandomize=True, deadline=None)
@recounted
def test_the_recount_knows_the_same_instants(text: str, start: datetime, ahead: int, tz: str) -> None:
    recount_agrees(text, start, ahead, tz)


@pytest.mark.release
@settings(max_examples=60, deadline=None)
@recounted
def test_the_recount_knows_the_same_instants_of_any_rule(
    text: str, start: datetime, ahead: int, tz: str
) -> None:
    recount_agrees(text, start, ahead, tz)


def recount_agrees(text: str, start: datetime, ahead: int, tz: str) -> None:
    rule = rrule(text, start=start, tz=tz)
    stored = json.dumps(rule.to_json())
    after = reading_of(start) + ahead
    upto = after + (40 if "HOURLY" in text or "MINUTELY" in text else 400) * DAY
    if "MINUTELY" in text:
        upto = after + 2 * DAY
    expected = list(implied(stored, after, upto))
    assert rule.count(after, upto) == len(expected) == implied_count(stored, after, upto)
    at, found = after, []
    while (at := rule.next_after(at) or upto + 1) <= upto:  # type: ignore[assignment]
        found.append(at)
    assert found == expected
    assert rule.last_in(after, upto) == (expected[-1] if expected else None)
    assert rule.first_in(after, upto) == (expected[0] if expected else None)
    if len(expected) > 2:
        assert rule.last_in(after, expected[-1] - 1) == expected[-2]


@settings(max_examples=100, deadline=None)
@given(rules(), starts)
def test_every_form_reads_back_exactly(text: str, start: datetime) -> None:
    rule = rrule(text, start=start, tz=BERLIN, gap="shift", dst="wall")
    assert parse_trigger(rule.to_text()) == rule
    assert trigger_from_json(json.loads(json.dumps(rule.to_json()))) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert parse_rrule(rule.rule).text == rule.rule
    assert rule.describe()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FREQ=MONTHLY;BYDAY=-1FR", "every month on the last Friday, at 09:00, from 2026-11-21 09:00, UTC"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;BYHOUR=8,17;BYMINUTE=30",
         "every 2 weeks on Monday and Thursday, at 08:30 and 17:30, from 2026-11-21 09:00, UTC"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=12",
         ("every month on Monday, Tuesday, Wednesday, Thursday and Friday, of these the last, at 09:00, "
         "from 2026-11-21 09:00, 12 times, UTC")),
        ("FREQ=HOURLY;INTERVAL=3", "every 3 hours, from 2026-11-21 09:00, UTC"),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24;UNTIL=20301224T090000",
         "every year in December on the 24th, at 09:00, from 2026-11-21 09:00, until 2030-12-24 09:00, UTC"),
    ],
)  # fmt: skip
def test_it_is_described_in_words(text: str, said: str) -> None:
    assert rrule(text, start="2026-11-21 09:00", tz="UTC").describe() == said


def test_stored_zone_rules_are_used_in_place_of_todays() -> None:
    from watchbell.core.wallclock import rules_from_json

    still = rules_from_json({"name": BERLIN, "first_offset_s": 3600, "transitions": []})
    rule = rrule("FREQ=DAILY", start="2026-01-01 09:00", tz=BERLIN).with_rules({BERLIN: still})
    assert due(rule, "2026-07-01T00:00:00Z", 1) == ["2026-07-01T08:00:00Z"]
    stored = json.dumps(rule.to_json())
    at = parse_instant("2026-07-01T00:00:00Z")
    assert list(implied(stored, at, at + DAY, json.dumps(still.to_json()))) == [at + 8 * HOUR]
