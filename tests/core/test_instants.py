"""Instants and spans: what people write is read exactly, written back exactly, or refused with a sentence."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.instants import (
    DAY,
    EARLIEST,
    HOUR,
    LATEST,
    MILLISECOND,
    MINUTE,
    SECOND,
    WEEK,
    duration_text,
    from_datetime,
    human_age,
    human_ago,
    human_duration,
    local_text,
    parse_duration,
    parse_instant,
    to_datetime,
    to_text,
)
from watchbell.errors import BadDuration, BadInput, BadTrigger, BadZone, NaiveTime

NINE = 1_795_251_600 * SECOND  # 2026-11-21T09:00:00Z
instants = st.integers(EARLIEST, LATEST)


# --- instants -----------------------------------------------------------------------------------------------


@given(instants)
def test_an_instant_reads_back_from_its_text_and_its_datetime(at: int) -> None:
    assert parse_instant(to_text(at)) == at
    assert from_datetime(to_datetime(at)) == at


@given(
    st.integers(0, 4_102_444_800_000_000),
    st.sampled_from(("Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")),
)
def test_a_local_text_reads_back(at: int, tz: str) -> None:
    assert parse_instant(local_text(at, tz)) == at
    assert datetime.fromisoformat(local_text(at, tz)) == to_datetime(at, tz)
    assert datetime.fromisoformat(local_text(at, tz)).utcoffset() == to_datetime(at, tz).utcoffset()


def test_the_fraction_is_written_only_where_there_is_one() -> None:
    assert to_text(NINE) == "2026-11-21T09:00:00Z"
    assert to_text(NINE + 500 * MILLISECOND) == "2026-11-21T09:00:00.5Z"
    assert to_text(NINE + 1) == "2026-11-21T09:00:00.000001Z"
    assert to_text(-1) == "1969-12-31T23:59:59.999999Z"
    assert local_text(NINE, "Europe/Berlin") == "2026-11-21T10:00:00+01:00"
    assert local_text(NINE + 10, "America/St_Johns") == "2026-11-21T05:30:00.00001-03:30"
    assert local_text(0, "Africa/Monrovia") == "1969-12-31T23:15:30-00:44:30"


def test_a_datetime_of_any_zone_is_the_same_instant() -> None:
    assert from_datetime(datetime(2026, 11, 21, 9, tzinfo=UTC)) == NINE
    assert from_datetime(datetime(2026, 11, 21, 10, tzinfo=ZoneInfo("Europe/Berlin"))) == NINE
    assert from_datetime(datetime(2026, 11, 21, 4, tzinfo=timezone(timedelta(hours=-5)))) == NINE
    assert to_datetime(NINE, "Europe/Berlin").isoformat() == "2026-11-21T10:00:00+01:00"


def test_S1_3_a_naive_datetime_is_refused_with_what_to_write() -> None:
    with pytest.raises(NaiveTime) as caught:
        from_datetime(datetime(2026, 11, 21, 9))
    assert "2026-11-21 09:00:00 has no time zone" in str(caught.value)
    assert "tzinfo=ZoneInfo('Europe/Berlin')" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-21T09:00:00Z", NINE),
        ("2026-11-21t09:00:00z", NINE),
        (" 2026-11-21 09:00Z ", NINE),
        ("2026-11-21 09:00 Z", NINE),
        ("2026-11-21T10:00:00+01:00", NINE),
        ("2026-11-21T04:00-05:00", NINE),
        ("2026-11-21T09:00:00.25Z", NINE + 250 * MILLISECOND),
        ("2026-11-21T09:00:00.123456789Z", NINE + 123_456),
        ("1970-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00Z", EARLIEST),
        ("9999-12-31T23:59:59.999999Z", LATEST),
    ],
)
def test_a_text_with_an_offset_says_its_instant(text: str, instant: int) -> None:
    assert parse_instant(text) == instant
    assert parse_instant(text, tz="Asia/Tokyo") == instant


@pytest.mark.parametrize(
    ("text", "tz", "said"),
    [
        ("2026-11-21 10:00", "Europe/Berlin", "2026-11-21T09:00:00Z"),
        ("2026-11-21", "Europe/Berlin", "2026-11-20T23:00:00Z"),
        ("2026-03-29 02:30", "Europe/Berlin", "2026-03-29T01:00:00Z"),  # in a gap: its end
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30:00Z"),  # twice: the first
        ("2011-12-30 12:00", "Pacific/Apia", "2011-12-30T10:00:00Z"),
    ],
)
def test_a_wall_clock_time_is_read_in_its_zone(text: str, tz: str, said: str) -> None:
    assert to_text(parse_instant(text, tz=tz)) == said


@pytest.mark.parametrize(
    ("text", "after"),
    [("now", 0), ("+10m", 10 * MINUTE), ("-2h", -2 * HOUR), ("+ 1d 12h", 36 * HOUR), ("+0s", 0)],
)
def test_a_relative_time_counts_from_the_now_that_was_given(text: str, after: int) -> None:
    assert parse_instant(text, now=NINE) == NINE + after


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("2026-11-21 09:00", NaiveTime, "has no time zone, so it says no instant; write it with an offset"),
        ("2026-11-21 09:00", NaiveTime, "'2026-11-21T09:00:00Z' or '2026-11-21T09:00:00+01:00'"),
        (
            "+10m",
            BadTrigger,
            "'+10m' is relative to now and cannot be used here; write '2026-11-21T09:00:00Z'",
        ),
        ("tomorrow", BadTrigger, "'tomorrow' is no time; write '2026-11-21T09:00:00Z'"),
        ("", BadTrigger, "'' is no time"),
        ("2026-02-30T09:00Z", BadTrigger, "2026-02-30 is no date: day"),
        ("0000-01-01T00:00Z", BadTrigger, "0000-01-01 is no date: year"),
        ("2026-11-21T24:00Z", BadTrigger, "is no time of day; the last one is 23:59:59"),
        ("2026-11-21T23:59:60Z", BadTrigger, "is no time of day; the last one is 23:59:59"),
        ("2026-11-21T09:00+25:00", BadTrigger, "+25:00 in '2026-11-21T09:00+25:00' is no offset from UTC"),
        ("9999-12-31T23:59:59-01:00", BadInput, "is outside the years 1 to 9999"),
        ("٢٠٢٦-11-21T09:00Z", BadTrigger, "is no time"),
        ("9" * 10_000, BadTrigger, "is no time"),
    ],
)
def test_what_is_no_instant_is_refused_with_a_sentence(
    text: str, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        parse_instant(text)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 300


def test_an_unknown_zone_and_an_instant_outside_the_calendar_are_refused() -> None:
    with pytest.raises(BadZone):
        local_text(NINE, "Europe/Berln")
    for beyond in (LATEST + 1, EARLIEST - 1):
        with pytest.raises(BadInput, match="outside the years 1 to 9999"):
            to_text(beyond)
    with pytest.raises(BadInput, match="has no date in Asia/Tokyo"):
        to_datetime(LATEST, "Asia/Tokyo")
    with pytest.raises(BadInput, match="outside the years"):
        parse_instant("+1us", now=LATEST)


@given(st.text(max_size=40))
def test_any_text_is_an_instant_or_refused(text: str) -> None:
    with suppress(BadInput):
        assert EARLIEST <= parse_instant(text, tz="Europe/Berlin", now=NINE) <= LATEST


# --- spans --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("10m", 10 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("1 h 30 min", 90 * MINUTE),
        ("90s", 90 * SECOND),
        ("500ms", 500 * MILLISECOND),
        ("250us", 250),
        ("250µs", 250),
        ("2d", 2 * DAY),
        ("1w", WEEK),
        ("1w2d3h4m5s6ms7us", WEEK + 2 * DAY + 3 * HOUR + 4 * MINUTE + 5 * SECOND + 6 * MILLISECOND + 7),
        ("10 minutes", 10 * MINUTE),
        ("1 Hour 5 Seconds", HOUR + 5 * SECOND),
        ("1.5h", 90 * MINUTE),
        ("0.1s", 100_000),
        ("0s", 0),
        (90, 90 * SECOND),
        (0.1, 100_000),
        (1e-6, 1),
        (0, 0),
        (timedelta(days=1, microseconds=1), DAY + 1),
    ],
)
def test_a_span_is_read_from_text_number_and_timedelta(value: str | float | timedelta, span: int) -> None:
    assert parse_duration(value) == span


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("10 minuts", "'minuts' in '10 minuts' is no unit of time; write a number and a unit, such as '90s'"),
        ("90", "'90' has no unit; write '90s' for seconds"),
        ("", "an empty text is no span of time"),
        ("h", "'h' is no span of time"),
        ("30m1h", "'30m1h': write each unit once, the longest first, such as '1h30m'"),
        ("1h1h", "write each unit once"),
        ("-5m", "the span '-5m' is negative"),
        ("PT10M", "'PT10M' is no span of time"),
        ("1,5h", "is no span of time"),
        ("10m!", "is no span of time"),
        ("١٠m", "is no span of time"),
        ("99999999999w", "is longer than 10,000 years"),
        ("9" * 5000 + "s", "is no span of time"),
        (-1, "the span -1 is negative"),
        (timedelta(seconds=-1), "is negative"),
        (float("nan"), "nan seconds is no span of time that can be kept"),
        (float("inf"), "inf seconds is no span"),
        (10**400, "is no span of time that can be kept"),
        (True, "True is no span of time"),
        (None, "None is no span of time"),
        ([], "[] is no span of time"),
    ],
)
def test_what_is_no_span_is_refused_with_a_sentence(value: object, sentence: str) -> None:
    with pytest.raises(BadDuration) as caught:
        parse_duration(value)  # type: ignore[arg-type]
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.one_of(st.integers(0, WEEK * 520_000), st.builds(lambda n: n * WEEK, st.integers(0, 1000))))
def test_a_span_reads_back_from_its_text(span: int) -> None:
    assert parse_duration(duration_text(span)) == span
    assert duration_text(-span) == ("-" if span else "") + duration_text(span)


@pytest.mark.parametrize(
    ("span", "text", "human"),
    [
        (0, "0s", "0 s"),
        (7, "7us", "7 µs"),
        (1_500, "1ms500us", "2 ms"),
        (340 * MILLISECOND, "340ms", "340 ms"),
        (999_999, "999ms999us", "1 s"),
        (90 * SECOND, "1m30s", "1 min 30 s"),
        (90 * MINUTE, "1h30m", "1 h 30 min"),
        (HOUR - 1, "59m59s999ms999us", "1 h"),
        (HOUR - 20 * SECOND, "59m40s", "59 min 40 s"),
        (HOUR + 29 * SECOND, "1h29s", "1 h"),
        (2 * DAY + 4 * HOUR, "2d4h", "2 d 4 h"),
        (WEEK, "1w", "7 d"),
        (8 * DAY, "8d", "8 d"),
        (DAY - 1, "23h59m59s999ms999us", "1 d"),
        (400_000 * DAY, "400000d", "400,000 d"),
    ],
)
def test_a_span_is_written_exactly_and_for_people(span: int, text: str, human: str) -> None:
    assert duration_text(span) == text
    assert human_duration(span) == human
    assert human_duration(-span) == (f"-{human}" if span else human)


@pytest.mark.parametrize(
    ("span", "age", "ago"),
    [
        (-HOUR, "under 1 s", "just now"),
        (0, "under 1 s", "just now"),
        (999_999, "under 1 s", "just now"),
        (SECOND, "1 s", "1 s ago"),
        (1_541_000, "1 s", "1 s ago"),
        (59_999_999, "59 s", "59 s ago"),
        (MINUTE, "1 min", "1 min ago"),
        (90 * SECOND + 337_000, "1 min 30 s", "1 min 30 s ago"),
        (2 * DAY + 4 * HOUR, "2 d 4 h", "2 d 4 h ago"),
    ],
)
def test_an_age_has_no_milliseconds(span: int, age: str, ago: str) -> None:
    assert human_age(span) == age
    assert human_ago(span) == ago


@given(st.integers(0, WEEK * 1000))
def test_a_span_for_people_is_off_by_at_most_half_of_its_last_unit(span: int) -> None:
    units = (DAY, HOUR, MINUTE, SECOND, MILLISECOND, 1)
    longest = next((place for place, unit in enumerate(units) if span >= unit), len(units) - 1)
    finer = units[longest] if span < SECOND else units[longest + 1]  # one unit below a second, two above
    assert abs(parse_duration(human_duration(span).replace(",", "")) - span) <= finer // 2


@given(st.text(max_size=30))
def test_any_text_is_a_span_or_refused(text: str) -> None:
    with suppress(BadDuration):
        assert parse_duration(text) >= 0
