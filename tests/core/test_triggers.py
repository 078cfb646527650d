"""Triggers as values: intervals, single instants, manual ones; and every form reads back as written."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_cron import date_fields, terms, time_fields
from watchbell.core.instants import DAY, HOUR, LATEST, MILLISECOND, MINUTE, SECOND, parse_instant
from watchbell.core.triggers import (
    Cron,
    Interval,
    Manual,
    Once,
    Trigger,
    cron,
    every,
    manual,
    once,
    parse_trigger,
    trigger_from_json,
)
from watchbell.core.wallclock import zone_rules
from watchbell.errors import BadDuration, BadInput, BadTrigger, BadZone, NaiveTime

NINE = parse_instant("2026-11-21T09:00:00Z")


# --- intervals ----------------------------------------------------------------------------------------------


def test_an_interval_is_first_due_one_period_after_its_start() -> None:
    trigger = every("15m").bound("Europe/Berlin", NINE)
    assert trigger == Interval(15 * MINUTE, NINE)
    assert trigger.next_after(NINE - DAY) == NINE + 15 * MINUTE
    assert trigger.next_after(NINE) == NINE + 15 * MINUTE
    assert trigger.next_after(NINE + 15 * MINUTE) == NINE + 30 * MINUTE
    assert trigger.last_in(NINE - DAY, NINE + 14 * MINUTE) is None
    assert trigger.first_in(NINE, NINE + 14 * MINUTE) is None
    assert trigger.count(NINE, NINE + DAY) == 96
    assert trigger.count(NINE - DAY, NINE) == 0


def test_an_interval_keeps_the_start_it_was_given() -> None:
    start = "2026-11-21T10:00:00+01:00"
    trigger = every(900, start_at=start)
    assert trigger == every("15m", start_at=NINE)
    assert trigger == every(timedelta(minutes=15), start_at=datetime(2026, 11, 21, 9, tzinfo=UTC))
    assert trigger.bound("UTC", NINE + DAY) == trigger
    assert trigger.next_after(0) == NINE + 15 * MINUTE


@given(
    st.integers(MILLISECOND, 400 * DAY),
    st.integers(0, 4 * 10**15),
    st.integers(-(10**15), 10**15),
    st.integers(0, 40),
)
def test_an_interval_is_arithmetic_without_drift(period: int, start: int, ahead: int, steps: int) -> None:
    trigger = Interval(period, start)
    at = start + ahead
    first = trigger.next_after(at)
    assert first is not None
    assert first > at
    assert (first - start) % period == 0
    assert first > start
    assert first - period <= max(at, start)
    upto = first + steps * period
    assert trigger.count(at, upto) == steps + 1
    assert trigger.last_in(at, upto + period - 1) == upto
    assert trigger.last_in(at, first - 1) is None
    assert trigger.first_in(at, upto) == first
    assert trigger.next_after(first - 1) == first
    assert trigger.next_after(first) == first + period


def test_an_interval_ends_with_the_calendar() -> None:
    trigger = Interval(DAY, NINE)
    last = trigger.last_in(NINE, LATEST * 2)
    assert last is not None
    assert last <= LATEST
    assert trigger.next_after(last) is None
    assert trigger.count(NINE, LATEST * 2) == (last - NINE) // DAY


def test_an_interval_without_a_start_says_so() -> None:
    trigger = every("15m")
    with pytest.raises(BadTrigger, match="the interval has no start yet"):
        trigger.next_after(NINE)
    with pytest.raises(BadTrigger, match="the interval has no start yet"):
        trigger.last_in(0, NINE)
    with pytest.raises(BadTrigger, match="the interval has no start yet"):
        trigger.count(0, NINE)


@pytest.mark.parametrize("nothing", [0, "0s", timedelta(0), 0.0])
def test_S3_13_a_period_of_zero_is_a_manual_trigger(nothing: Any) -> None:
    assert every(nothing) == manual()


def test_a_period_that_is_too_short_or_none_is_refused() -> None:
    with pytest.raises(BadTrigger, match="an interval of 999us is too short; the shortest is 1ms"):
        every("999us")
    for nearly_nothing in ("0.0000001s", 1e-9):  # rounded to 0, it would be a trigger that is never due
        with pytest.raises(BadTrigger, match="is shorter than a microsecond; write at least '1ms'"):
            every(nearly_nothing)
    with pytest.raises(BadDuration, match="'minuts' in '10 minuts' is no unit of time"):
        every("10 minuts")
    with pytest.raises(BadDuration, match="negative"):
        every(-5)
    assert every("1ms") == Interval(MILLISECOND)


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(NaiveTime, match="has no time zone"):
        every("1h", start_at="2026-11-21 09:00")
    with pytest.raises(NaiveTime, match="has no time zone"):
        every("1h", start_at=datetime(2026, 11, 21, 9))
    with pytest.raises(BadTrigger, match="True is no instant"):
        every("1h", start_at=True)
    with pytest.raises(BadInput, match="outside the years 1 to 9999"):
        every("1h", start_at=LATEST + 1)


# --- once and manual ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at", ["2026-11-21T09:00:00Z", "2026-11-21T10:00+01:00", datetime(2026, 11, 21, 9, tzinfo=UTC), NINE]
)
def test_a_single_instant_is_due_once(at: Any) -> None:
    trigger = once(at)
    assert trigger == Once(NINE)
    assert (
        trigger.next_after(NINE - 1) == trigger.last_in(NINE - 1, NINE) == trigger.first_in(0, NINE) == NINE
    )
    assert trigger.next_after(NINE) is None
    assert trigger.last_in(NINE, NINE + 1) is None
    assert (trigger.count(NINE - 1, NINE), trigger.count(NINE, NINE + 1), trigger.count(0, NINE - 1)) == (
        1,
        0,
        0,
    )
    assert trigger.bound("Europe/Berlin", 0) == trigger


@pytest.mark.parametrize(
    ("at", "instant"),
    [
        ("2026-11-21 10:00", "2026-11-21T09:00:00Z"),
        (datetime(2026, 11, 21, 10), "2026-11-21T09:00:00Z"),
        ("2026-03-29 02:30", "2026-03-29T01:00:00Z"),  # left out: the first instant after the gap
        ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),  # twice: the first
    ],
)
def test_S1_3_a_wall_clock_time_is_read_in_the_zone_that_was_named(at: Any, instant: str) -> None:
    trigger = once(at, tz="Europe/Berlin")
    assert trigger.at == parse_instant(instant)
    assert trigger.zones() == ("Europe/Berlin",)
    assert trigger.next_after(0) == trigger.at


def test_S1_3_a_naive_time_without_a_zone_is_refused() -> None:
    for at in ("2026-11-21 09:00", datetime(2026, 11, 21, 9)):
        with pytest.raises(NaiveTime, match="has no time zone"):
            once(at)
    with pytest.raises(BadZone, match="did you mean 'Europe/Berlin'"):
        once(NINE, tz="Europe/Berln")
    with pytest.raises(BadTrigger, match="'soon' is no time"):
        once("soon", tz="Europe/Berlin")


def test_a_wall_clock_time_follows_the_stored_rules_and_an_instant_does_not() -> None:
    rules = {"Europe/Berlin": zone_rules("Asia/Tokyo")}
    assert once("2026-11-21 10:00", tz="Europe/Berlin").with_rules(rules).at == NINE - 8 * HOUR
    assert once(NINE, tz="Europe/Berlin").with_rules(rules).at == NINE
    assert once(NINE, tz="Europe/Berlin").zones() == ()
    assert once(NINE).with_rules(rules) == once(NINE)


def test_a_manual_trigger_is_never_due() -> None:
    trigger = manual()
    assert trigger == Manual()
    assert trigger.next_after(0) is trigger.last_in(0, LATEST) is trigger.first_in(0, LATEST) is None
    assert trigger.count(0, LATEST) == 0
    assert trigger.bound("UTC", 0) == trigger
    assert trigger.describe() == "only when run by hand"


def test_what_is_no_cron_has_no_wall_clock() -> None:
    for trigger in (every("1h"), once(NINE), manual()):
        assert trigger.stands_for(NINE) == trigger.zones() == ()
        assert trigger.with_rules({}) == trigger


@pytest.mark.parametrize(
    ("trigger", "sentence"),
    [
        (every("15m"), "every 15 min"),
        (every(5400), "every 1 h 30 min"),
        (every("1h1m1s"), "every 1h1m1s"),
        (every("1d", start_at=NINE), "every 1 d, counted from 2026-11-21T09:00:00Z"),
        (every("10s", after_completion=True), "10 s after the end of the run before"),
        (every("10s", run_at_start=True), "every 10 s, and once at the start"),
        (once(NINE), "once, at 2026-11-21T09:00:00Z"),
        (once("2026-11-21 10:00", tz="Europe/Berlin"), "once, at 2026-11-21T10:00:00+01:00, Europe/Berlin"),
    ],
)
def test_a_trigger_is_told_in_plain_english(trigger: Trigger, sentence: str) -> None:
    assert trigger.describe() == sentence


# --- binding ------------------------------------------------------------------------------------------------


def test_the_default_zone_is_filled_in_where_none_was_named() -> None:
    assert cron("30 2 * * *").bound("Europe/Berlin", NINE) == cron("30 2 * * *", tz="Europe/Berlin")
    assert cron("30 2 * * *", tz="UTC").bound("Europe/Berlin", NINE).zones() == ("UTC",)
    assert cron("30 2 * * *").zones() == ()
    with pytest.raises(BadZone):
        cron("30 2 * * *").bound("Europe/Berln", NINE)


# --- text and JSON ------------------------------------------------------------------------------------------

zones = st.sampled_from((None, "UTC", "Europe/Berlin", "America/St_Johns", "Etc/GMT+5"))
instants = st.integers(0, 4 * 10**15)
crons = st.builds(
    Cron,
    st.one_of(
        st.tuples(time_fields, date_fields).map(" ".join),
        st.tuples(terms(0, 59), time_fields, date_fields).map(" ".join),
        st.sampled_from(("@daily", "@HOURLY", "  0   2 * * * ")),
    ),
    zones,
    st.sampled_from(("auto", "wall", "rhythm")),
    st.sampled_from(("end", "shift", "skip")),
    st.sampled_from(("first", "second", "both")),
)
intervals = st.builds(
    Interval, st.integers(MILLISECOND, 1000 * DAY), st.none() | instants, st.booleans(), st.booleans()
)
onces = st.one_of(
    st.builds(once, instants, tz=zones),
    st.builds(
        once,
        st.datetimes(datetime(1970, 1, 2), datetime(2099, 1, 1)),
        tz=st.sampled_from(("UTC", "Europe/Berlin", "Pacific/Apia")),
    ),
)
triggers = st.one_of(crons, intervals, onces, st.just(manual()))


@given(triggers)
def test_every_trigger_reads_back_exactly(trigger: Trigger) -> None:
    from_text = parse_trigger(trigger.to_text())
    from_json = trigger_from_json(json.loads(json.dumps(trigger.to_json())))
    copied = pickle.loads(pickle.dumps(trigger))
    for again in (from_text, from_json, copied):
        assert again == trigger
        assert hash(again) == hash(trigger)
        assert again.to_text() == trigger.to_text()
        assert again.to_json() == trigger.to_json()
        assert again.describe() == trigger.describe()


@given(
    st.one_of(crons, onces, intervals.map(lambda interval: interval.bound("UTC", NINE))),
    st.lists(instants, max_size=5),
)
def test_a_trigger_answers_the_same_whatever_it_was_asked_before(trigger: Trigger, asked: list[int]) -> None:
    fresh = parse_trigger(trigger.to_text())
    for at in asked:
        trigger.next_after(at)
        trigger.count(at, at + DAY)
    for at in asked:
        assert trigger.next_after(at) == fresh.next_after(at)
        assert trigger.last_in(at - DAY, at) == fresh.last_in(at - DAY, at)


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("cron 30 2 * * 1-5 tz=Europe/Berlin", cron("30 2 * * 1-5", tz="Europe/Berlin")),
        ("cron @daily gap=skip fold=both dst=wall", cron("@daily", gap="skip", fold="both", dst="wall")),
        ("every 15m", every("15m")),
        ("every 1 h 30 min start_at=2026-11-21T09:00:00Z", every("1h30m", start_at=NINE)),
        ("every 15m run_at_start=true after_completion=false", every("15m", run_at_start=True)),
        ("every 0s", manual()),
        ("once 2026-11-21T09:00:00Z", once(NINE)),
        ("once 2026-11-21 10:00 tz=Europe/Berlin", once("2026-11-21 10:00", tz="Europe/Berlin")),
        (" manual ", manual()),
    ],
)
def test_a_trigger_is_read_from_what_a_person_types(text: str, trigger: Trigger) -> None:
    assert parse_trigger(text) == trigger


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is no trigger; write 'cron 30 2 * * 1-5 tz=Europe/Berlin', 'every 15m'"),
        ("hourrly", "'hourrly' is not understood; write a phrase such as"),
        ("cron", "the cron expression is empty"),
        ("cron 61 * * * *", "minute (field 1)"),
        ("cron 1 * * * * tz=Nowhere/City", "there is no time zone 'Nowhere/City'"),
        ("cron 1 * * * * zone=UTC", "zone= is no option of 'cron'; it has tz=, dst=, gap=, fold="),
        ("cron 1 * * * * gap=", "gap='' is not known"),
        ("cron 1 * * * * tz=UTC tz=UTC", "tz= is written twice"),
        ("every", "an empty text is no span of time"),
        ("every 15", "'15' has no unit; write '15s'"),
        (
            "every 15m run_at_start=yes",
            "run_at_start=yes cannot be read; write run_at_start=true or run_at_start=false",
        ),
        ("every 15m start_at=2026-11-21T09:00", "has no time zone"),
        ("once", "'' is no time"),
        ("once 2026-11-21 09:00", "has no time zone"),
        ("manual now", "'now' says nothing behind 'manual'; write 'manual' alone"),
        ("manual tz=UTC", "tz= is no option of 'manual'; it has none"),
    ],
)
def test_a_text_that_is_no_trigger_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_trigger(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "its kind must be one of cron, calendar, rrule, interval, once, manual, any, except"),
        ({"kind": "sunrise"}, "its kind must be one of"),
        ({"kind": "cron"}, "is no cron trigger"),
        ({"kind": "cron", "expression": 5}, "a cron expression is a text"),
        ({"kind": "cron", "expression": "* * * * *", "tz": 5}, "a time zone is a name"),
        ({"kind": "cron", "expression": "* * * * *", "colour": "red"}, "is no cron trigger"),
        ({"kind": "interval", "period_us": "15m"}, "period_us='15m' is not a whole number of microseconds"),
        ({"kind": "interval", "period_us": 10**9, "start_at": 1.5}, "start_at=1.5 is not a whole number"),
        (
            {"kind": "interval", "period_us": 10**9, "run_at_start": "yes"},
            "run_at_start='yes' cannot be read",
        ),
        ({"kind": "once", "at": None}, "at=None is not a whole number"),
        (
            {"kind": "once", "at": 5, "wall": "2026-11-21T09:00:00"},
            "a wall-clock time has a zone and no offset",
        ),
        ({"kind": "once", "at": 5, "tz": "Mars"}, "there is no time zone 'Mars'"),
        ({"kind": "manual", "at": 5}, "is no manual trigger"),
    ],
)
def test_data_that_is_no_trigger_is_refused_with_a_sentence(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        trigger_from_json(data)
    assert sentence in str(caught.value)


def test_stored_rules_stand_in_for_a_zone_this_machine_does_not_know() -> None:
    stored = {"kind": "cron", "expression": "0 9 * * *", "tz": "Mars/Base"}
    with pytest.raises(BadZone):
        trigger_from_json(stored)
    trigger = trigger_from_json(stored, {"Mars/Base": zone_rules("Asia/Tokyo")})
    assert trigger.zones() == ("Mars/Base",)
    assert trigger.next_after(NINE) == parse_instant("2026-11-22T00:00:00Z")


def test_options_with_their_default_value_are_not_written() -> None:
    assert cron("* * * * *").to_json() == {"kind": "cron", "expression": "* * * * *"}
    assert every("1s").to_json() == {"kind": "interval", "period_us": SECOND}
    assert once(NINE).to_json() == {"kind": "once", "at": NINE}
    assert manual().to_json() == {"kind": "manual"}


@given(st.text(max_size=60))
def test_any_text_is_a_trigger_or_refused(text: str) -> None:
    for start in ("", "cron ", "every ", "once "):
        with suppress(BadInput):
            assert parse_trigger(start + text).describe()
