"""Cron expressions: what is read, what is refused and how, which dates and times match, how they are told."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.oracle import EPOCH, Fields, matches_date
from watchbell.core.instants import DAY, LATEST, SECOND, from_datetime, parse_instant, to_text
from watchbell.core.triggers import Cron, cron
from watchbell.core.triggers.cron_fields import MACROS, parse_cron
from watchbell.core.triggers.cron_text import describe_cron
from watchbell.errors import BadInput, BadTrigger, NeverMatches

START = parse_instant("2026-11-21T09:17:03Z")


def following(expression: str, count: int, start: str = "2026-11-21T09:17:03Z") -> list[str]:
    trigger, at, found = cron(expression), parse_instant(start), []
    for _ in range(count):
        at = trigger.next_after(at) or 0
        found.append(to_text(at).removesuffix("Z").removesuffix(":00"))
    return found


# --- what is read -------------------------------------------------------------------------------------------


def test_S1_12_runs_at_half_past_each_hour() -> None:
    assert following("30 * * * *", 2) == ["2026-11-21T09:30", "2026-11-21T10:30"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["2026-11-21T09:20", "2026-11-21T09:40", "2026-11-21T10:00"]),
        ("*/20 * * * * *", ["2026-11-21T09:17:20", "2026-11-21T09:17:40", "2026-11-21T09:18"]),
        ("7 30 2 * * *", ["2026-11-22T02:30:07", "2026-11-23T02:30:07"]),
        ("30 2 * * 1-5", ["2026-11-23T02:30", "2026-11-24T02:30"]),
        ("0 0 * * FRI-MON", ["2026-11-22T00:00", "2026-11-23T00:00", "2026-11-27T00:00"]),
        ("0 0 * * sun", ["2026-11-22T00:00", "2026-11-29T00:00"]),
        ("0 0 * * 7", ["2026-11-22T00:00", "2026-11-29T00:00"]),
        ("0 0 * * 5-7", ["2026-11-22T00:00", "2026-11-27T00:00", "2026-11-28T00:00"]),
        (
            "0 0 * * FRI-TUE/2",
            ["2026-11-22T00:00", "2026-11-24T00:00", "2026-11-27T00:00", "2026-11-29T00:00"],
        ),
        ("0 0 * * 7-2/2", ["2026-11-22T00:00", "2026-11-24T00:00", "2026-11-29T00:00"]),
        ("0 22-2 * * *", ["2026-11-21T22:00", "2026-11-21T23:00", "2026-11-22T00:00", "2026-11-22T01:00"]),
        (
            "50-10/10 9 * * *",
            ["2026-11-21T09:50", "2026-11-22T09:00", "2026-11-22T09:10", "2026-11-22T09:50"],
        ),
        ("0 0 1 nov-Feb *", ["2026-12-01T00:00", "2027-01-01T00:00", "2027-02-01T00:00", "2027-11-01T00:00"]),
        ("40/10 9 * * *", ["2026-11-21T09:40", "2026-11-21T09:50", "2026-11-22T09:40"]),
        ("0 0 L * *", ["2026-11-30T00:00", "2026-12-31T00:00", "2027-01-31T00:00", "2027-02-28T00:00"]),
        ("0 0 L,15 * ?", ["2026-11-30T00:00", "2026-12-15T00:00", "2026-12-31T00:00"]),
        ("0 0 L-3 * *", ["2026-11-27T00:00", "2026-12-28T00:00", "2027-01-28T00:00", "2027-02-25T00:00"]),
        ("0 0 L-30 * *", ["2026-12-01T00:00", "2027-01-01T00:00", "2027-03-01T00:00"]),
        ("0 0 15w * *", ["2026-12-15T00:00", "2027-01-15T00:00", "2027-02-15T00:00"]),
        ("0 0 1W * *", ["2026-12-01T00:00", "2027-01-01T00:00", "2027-02-01T00:00"]),
        ("0 0 1W 5,8 *", ["2027-05-03T00:00", "2027-08-02T00:00", "2028-05-01T00:00", "2028-08-01T00:00"]),
        ("0 0 31W * *", ["2026-12-31T00:00", "2027-01-29T00:00", "2027-03-31T00:00"]),
        ("0 0 LW * *", ["2026-11-30T00:00", "2026-12-31T00:00", "2027-01-29T00:00", "2027-02-26T00:00"]),
        ("0 0 L-1W,2 jan,Feb ?", ["2027-01-02T00:00", "2027-01-29T00:00", "2027-02-02T00:00"]),
        ("0 0 13W,LW * FRI#1", ["2026-11-30T00:00", "2026-12-04T00:00", "2026-12-14T00:00"]),
        ("0 0 * * 5L", ["2026-11-27T00:00", "2026-12-25T00:00", "2027-01-29T00:00"]),
        ("0 0 ? * fril", ["2026-11-27T00:00", "2026-12-25T00:00", "2027-01-29T00:00"]),
        ("0 0 * * MON#2", ["2026-12-14T00:00", "2027-01-11T00:00"]),
        ("0 0 * * 7#5", ["2026-11-29T00:00", "2027-01-31T00:00"]),
        ("0 0 13 * FRI", ["2026-11-27T00:00", "2026-12-04T00:00", "2026-12-11T00:00", "2026-12-13T00:00"]),
        ("0 0 */13 * FRI", ["2026-11-27T00:00", "2027-01-01T00:00", "2027-05-14T00:00"]),
        ("0 0 13 * */5", ["2026-12-13T00:00", "2027-06-13T00:00", "2027-08-13T00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("@hourly", ["2026-11-21T10:00"]),
        ("@daily", ["2026-11-22T00:00"]),
        ("@midnight", ["2026-11-22T00:00"]),
        ("@Weekly", ["2026-11-22T00:00", "2026-11-29T00:00"]),
        ("@monthly", ["2026-12-01T00:00"]),
        ("@yearly", ["2027-01-01T00:00"]),
        ("@annually", ["2027-01-01T00:00", "2028-01-01T00:00"]),
    ],
)
def test_an_expression_is_due_where_it_says(expression: str, expected: list[str]) -> None:
    assert following(expression, len(expected)) == expected


@pytest.mark.parametrize("day", ["*/2", "*", "?"])
def test_a_day_field_that_starts_with_a_star_is_joined_by_and(day: str) -> None:
    assert parse_cron(f"0 0 {day} * MON").dates.both
    assert parse_cron(f"0 0 1 * {day}").dates.both
    assert not parse_cron("0 0 1 * MON").dates.both


@pytest.mark.parametrize(
    ("expression", "nominal", "minutes"),
    [
        ("H * * * *", ["2026-11-21T10:00", "2026-11-21T11:00"], 60),
        ("H(20-39) * * * *", ["2026-11-21T09:20", "2026-11-21T10:20"], 20),
        ("h/15 * * * *", ["2026-11-21T09:30", "2026-11-21T09:45", "2026-11-21T10:00"], 15),
        ("H(0-29)/10 * * * *", ["2026-11-21T09:20", "2026-11-21T10:00", "2026-11-21T10:10"], 10),
        ("H/25 * * * *", ["2026-11-21T09:25", "2026-11-21T09:50", "2026-11-21T10:00"], 10),
        ("H 2 * * *", ["2026-11-22T02:00"], 60),
        ("0 H(0-7) * * *", ["2026-11-22T00:00", "2026-11-23T00:00"], 8 * 60),
        ("30 H(0-7) * * *", ["2026-11-22T00:30"], 8 * 60 - 30),
        ("H H * * *", ["2026-11-22T00:00", "2026-11-23T00:00"], 24 * 60),
        ("H(30-59) H(0-7) * * *", ["2026-11-22T00:30"], 8 * 60 - 30),
        ("H H(9-17)/2 * * MON-FRI", ["2026-11-23T09:00", "2026-11-23T11:00", "2026-11-23T13:00"], 60),
        ("H H H * *", ["2026-12-01T00:00", "2027-01-01T00:00"], 28 * 24 * 60),
        ("0 0 H/7 * *", ["2026-11-22T00:00", "2026-12-01T00:00", "2026-12-08T00:00"], 7 * 24 * 60),
        ("H * * * * *", ["2026-11-21T09:18", "2026-11-21T09:19"], 1),
        ("H/20 * * * * *", ["2026-11-21T09:17:20", "2026-11-21T09:17:40"], 20 / 60),
        ("*/5 * * * *", ["2026-11-21T09:20"], 0),
    ],
)
def test_what_is_left_to_the_hash_is_due_at_its_least_value(
    expression: str, nominal: list[str], minutes: float
) -> None:
    assert following(expression, len(nominal)) == nominal
    assert cron(expression).hash_span_us == minutes * 60 * SECOND


@given(
    st.sampled_from(("0", "H", "H/20", "H(10-49)", "H(3-50)/7", "*/9", "30")),
    st.sampled_from(("H", "H/20", "H(10-49)", "H(3-50)/7", "*/9", "30")),
    st.sampled_from(("H", "H/6", "H(2-20)", "H(2-20)/5", "*", "3,9")),
    st.sampled_from(("H", "H/5", "H(2-20)", "H(7-25)/4", "*", "L")),
)
def test_no_hash_moves_a_start_out_of_its_range(second: str, minute: str, hour: str, day: str) -> None:
    trigger = cron(f"{second} {minute} {hour} {day} * *")
    widest = next((text for text in (day, hour, minute, second) if text.startswith("H")), None)
    if widest is None:
        assert trigger.hash_span_us == 0
        return
    assert trigger.hash_span_us > 0
    size = {day: 28, hour: 24, minute: 60, second: 60}[widest] if widest in ("H",) else None
    unit = (
        DAY if widest is day else DAY // 24 if widest is hour else 60 * SECOND if widest is minute else SECOND
    )
    low, high = (int(part) for part in widest[2:].split(")")[0].split("-")) if "(" in widest else (None, None)
    at = trigger.next_after(START) or 0
    following_one = trigger.next_after(at) or 0
    for due in (at, following_one):
        last = due + trigger.hash_span_us - 1
        moments = (datetime.fromtimestamp(one // SECOND, UTC) for one in (due, last))
        values = [
            one.day
            if unit == DAY
            else one.hour
            if unit == DAY // 24
            else one.minute
            if unit > SECOND
            else one.second
            for one in moments
        ]
        assert values == sorted(values)
        if high is not None and low is not None:
            assert low <= values[0] <= values[1] <= high
        if size == 28:
            assert values[1] <= 28


@pytest.mark.parametrize(
    ("expression", "rhythm"),
    [
        ("0 * * * *", True),
        ("0 */2 * * *", True),
        ("H H/2 * * *", True),
        ("H H * * *", False),
        ("H H(0-9)/2 * * *", False),
        ("0 0 */2 * * *", True),
        ("@hourly", True),
        ("*/20 2 * * *", False),
        ("* 0-23 * * *", False),
        ("* 0/2 * * *", False),
        ("* */2,3 * * *", False),
        ("@daily", False),
    ],
)
def test_the_hour_field_says_whether_real_time_is_meant(expression: str, rhythm: bool) -> None:
    assert cron(expression).rhythm is rhythm
    assert cron(expression, dst="wall").rhythm is False
    assert cron(expression, dst="rhythm").rhythm is True


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("", "the cron expression is empty; write five fields, such as '30 2 * * MON-FRI'"),
        ("* * * *", "'* * * *' has 4 fields; write 5 (minute hour day-of-month month day-of-week)"),
        ("* * * * * * *", "has 7 fields; write 5"),
        ("60 * * * *", "minute (field 1), position 1 of '60': 60 is not in 0-59; write 0-59"),
        ("0 24 * * *", "hour (field 2), position 1 of '24': 24 is not in 0-23; write 0-23"),
        ("0 0 0 * *", "day-of-month (field 3), position 1 of '0': 0 is not in 1-31; write 1-31"),
        ("0 0 1 13 *", "month (field 4), position 1 of '13': 13 is not in 1-12; write 1-12 or JAN-DEC"),
        ("0 0 * * 8", "day-of-week (field 5), position 1 of '8': 8 is not in 0-7; write 0-7 or SUN-SAT"),
        ("99 * * * * *", "second (field 1), position 1 of '99': 99 is not in 0-59"),
        ("0 99 * * * *", "minute (field 2), position 1 of '99'"),
        ("0,5,61 * * * *", "minute (field 1), position 5 of '0,5,61': 61 is not in 0-59"),
        ("0,,5 * * * *", "minute (field 1), position 3 of '0,,5': there is nothing between two commas"),
        (
            "*/0 * * * *",
            "position 1 of '*/0': a step of 0 would never end; write a step of 1 or more, such as '*/5'",
        ),
        ("*/ * * * *", "'*/' has no step that can be read; write one number behind one '/', such as '*/5'"),
        ("5- * * * *", "'5-' has one end of a range only; write both, such as 0-59"),
        ("-5 * * * *", "'-5' has one end of a range only"),
        ("0 0 * * MONDAY", "'MONDAY' is no day-of-week; write 'MON'"),
        ("0 0 * * FOO", "'FOO' is no day-of-week; the names are SUN, MON, TUE, WED, THU, FRI, SAT"),
        ("0 0 1 MON *", "'MON' is no month; the names are JAN, FEB"),
        ("MON * * * *", "minute (field 1), position 1 of 'MON': 'MON' cannot be read; write '*', 0-59"),
        ("? * * * *", "'?': '?' stands alone, in the day fields; write '*'"),
        ("H,5 * * * *", "'H' stands alone in its field; write 'H(0-29)' to choose from a range"),
        ("5,H/5 * * * *", "minute (field 1), position 3 of '5,H/5': 'H' stands alone in its field"),
        ("0 0 1 H *", "month (field 4), position 1 of 'H': 'H': 'H' chooses a second, minute, hour or day"),
        ("0 0 * * H", "'H' chooses a second, minute, hour or day-of-month; write 0-7 or SUN-SAT"),
        ("H(30-10) * * * *", "'H(30-10)': write a range of 0-59 behind 'H', the lower first"),
        ("0 0 H(1-31) * *", "'H(1-31)': write a range of 1-28 behind 'H', the lower first"),
        ("H( * * * *", "'H(' cannot be read; write 'H', 'H/7', 'H(0-59)' or 'H(0-59)/7'"),
        ("H/0 * * * *", "a step of 0 would never end"),
        (
            "0 0 H * MON",
            "day-of-month 'H' leaves the day to the schedule's hash, and day-of-week 'MON' names",
        ),
        ("15W * * * *", "'15W': 'W' (nearest weekday) has a meaning in day-of-month only; write 0-59"),
        ("0 0 * * MONW", "'MONW': 'W' (nearest weekday) has a meaning in day-of-month only; write 0-7"),
        (
            "0 0 W * *",
            "'W' needs its day; write '15W' for the weekday nearest to the 15th, 'LW' for the last",
        ),
        ("0 0 1-5W * *", "'1-5W': 'W' stands behind one day; write '15W', or 'LW' for the last weekday"),
        ("0 0 WL * *", "'WL': 'W' stands behind one day; write '15W', or 'LW'"),
        ("0 0 32W * *", "32 is not in 1-31; write 1-31"),
        ("0 0 1,L-40 * *", "day-of-month (field 3), position 3 of '1,L-40': 'L-40': write 'L-1' to 'L-30'"),
        ("0 0 L-0 * *", "'L-0': write 'L-1' to 'L-30', or 'L' for the last day of the month"),
        ("0 0 L- * *", "'L-': write 'L' for the last day of the month, 'L-3' for three days before it"),
        ("0 0 * * L-3", "'L' needs its weekday"),
        ("L-3 * * * *", "'L' has a meaning in day-of-month and day-of-week only; write 0-59"),
        (
            "0 0 * * L",
            "'L' needs its weekday; write 'FRIL' for the last Friday of the month, 'SAT' for Saturdays",
        ),
        ("L * * * *", "'L': 'L' has a meaning in day-of-month and day-of-week only; write 0-59"),
        ("0 0 * * MON#6", "'MON#6': write 1 to 5 behind '#', or 'MONL' for the last of the month"),
        ("0 0 * * MON#", "'MON#': write one weekday and its number in the month, 'MON#2', in day-of-week"),
        ("0 0 1#2 * *", "'1#2': write one weekday and its number in the month"),
        ("0 0 * * 9L", "9 is not in 0-7"),
        ("@every 5m", "'@every 5m' is an interval, not a cron expression; write every('10m')"),
        ("@reboot", "@reboot is no time"),
        ("@noon", "'@noon' is no name for a cron expression; there are @hourly, @daily"),
        ("٣ * * * *", "cannot be read"),
        ("0x1 * * * *", "'0X1' cannot be read"),
        ("1" * 1500 + " * * * *", "is not in 0-59"),
        (",".join(["1"] * 1500) + " * * * *", "characters; write at most 2,000"),
        ("1--5 * * * *", "'1--5' cannot be read; write '*', 0-59, a list, a range or a step such as '*/5'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_field_place_and_advice(expression: str, sentence: str) -> None:
    with pytest.raises(BadTrigger) as caught:
        cron(expression)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "expression",
    ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 */31 * MON#5", "0 0 30,31 FEB ?", "59 59 23 */31 2 TUE#3"],
)
def test_F61_a_rule_without_any_instant_is_refused_when_it_is_written(expression: str) -> None:
    trigger = cron(expression)
    assert trigger.next_after(START) is None
    assert trigger.count(START, LATEST) == 0
    assert trigger.last_in(0, LATEST) is None
    with pytest.raises(NeverMatches, match="matches no date of the calendar"):
        trigger.bound("Europe/Berlin", START)


def test_a_rule_that_is_due_once_in_forty_years_is_found() -> None:
    trigger = cron("0 0 */28 2 MON#5")  # 29 February, if that is a Monday; 2100 is no leap year
    assert following(trigger.expression, 2, "2072-03-01T00:00Z") == ["2112-02-29T00:00", "2140-02-29T00:00"]
    assert trigger.bound("UTC", START).next_after(START) == parse_instant("2044-02-29T00:00Z")


def test_the_end_of_the_calendar_is_the_end() -> None:
    trigger = cron("0 0 1 1 *", tz="America/New_York")
    last = parse_instant("9999-01-01T05:00Z")
    assert trigger.next_after(last - 1) == last
    assert trigger.next_after(last) is None
    assert trigger.next_after(LATEST * 10) is None
    assert cron("59 23 31 12 *", tz="America/New_York").next_after(last) is None
    assert trigger.last_in(-LATEST * 10, LATEST * 10) == last
    assert cron("0 0 1 1 *").next_after(-LATEST * 10) == parse_instant("0001-01-01T00:00Z")
    assert cron("0 0 1 1 *").count(-LATEST * 10, LATEST * 10) == 9999


garbage = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="0123456789*/-,?LW#H@ MONFRIJAsec", max_size=60),
    st.lists(st.text(alphabet="019*/-,?LW#MONFRI", max_size=12), min_size=5, max_size=6).map(" ".join),
)


@given(garbage)
@example("0 0 99999999999999999999L * *")
@example("0-59/99999999999999999999 * * * *")
def test_F61_garbage_is_read_or_refused_and_never_hangs(expression: str) -> None:
    with suppress(BadTrigger):
        trigger = cron(expression).bound("Europe/Berlin", START)
        assert trigger.describe()
        found = trigger.next_after(START)
        assert found is not None
        assert found > START


def test_an_expression_that_is_no_text_and_an_unknown_option_are_refused() -> None:
    with pytest.raises(BadTrigger, match="a cron expression is a text such as '30 2 \\* \\* \\*', not 5"):
        cron(5)  # type: ignore[arg-type]
    with pytest.raises(BadTrigger, match="gap='forward' is not known; write gap= one of end, shift, skip"):
        cron("* * * * *", gap="forward")  # type: ignore[arg-type]
    with pytest.raises(BadTrigger, match="fold="):
        cron("* * * * *", fold="last")  # type: ignore[arg-type]
    with pytest.raises(BadTrigger, match="dst="):
        cron("* * * * *", dst="real")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="did you mean 'Europe/Berlin'"):
        cron("* * * * *", tz="Europe/Berln")


# --- dates and times against the oracle ---------------------------------------------------------------------


def terms(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """One field: stars, values, ranges (also around the end), steps and lists of them."""
    named = st.integers(low, high).map(lambda n: names[n - low] if names and n - low < len(names) else str(n))
    value = st.one_of(st.integers(low, high).map(str), named)
    step = st.integers(1, high + 5).map(str)
    spans = st.one_of(st.just("*"), st.tuples(value, value).map("-".join))
    term = st.one_of(value, spans, st.tuples(st.one_of(spans, value), step).map("/".join))
    return st.one_of(st.just("*"), value, term, st.lists(term, min_size=1, max_size=3).map(",".join))


weekdays = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
special_days = st.one_of(
    st.tuples(
        st.sampled_from((*weekdays, "0", "5", "7")), st.sampled_from(("#1", "#2", "#4", "#5", "L"))
    ).map("".join)
)
month_field = terms(1, 12, months)
nearest_days = st.one_of(
    st.sampled_from(("L", "LW")),
    st.integers(1, 31).map("{}W".format),
    st.integers(1, 30).map("L-{}".format),
    st.integers(1, 30).map("L-{}W".format),
)
day_field = st.one_of(
    terms(1, 31),
    nearest_days,
    st.lists(nearest_days, min_size=2, max_size=3).map(",".join),
    st.tuples(terms(1, 31), nearest_days).map(",".join),
    st.sampled_from(("?", "*", "H/9", "H(3-20)", "H")),
)
week_field = st.one_of(
    terms(0, 7, weekdays), special_days, st.tuples(special_days, terms(0, 7)).map(",".join), st.just("?")
)
time_fields = st.tuples(terms(0, 59), terms(0, 23)).map(" ".join)
date_fields = st.tuples(day_field, month_field, week_field).map(
    lambda words: " ".join((*words[:2], "*" if words[0].startswith("H") else words[2]))
)


@given(date_fields, st.dates(date(1970, 1, 1), date(2100, 1, 1)))
def test_the_dates_are_those_of_the_calendar(fields: str, start: date) -> None:
    trigger, oracle = cron(f"0 0 {fields}"), Fields.read(f"0 0 {fields}")
    first = from_datetime(datetime(start.year, start.month, start.day, tzinfo=UTC))
    expected = [
        first + day * DAY for day in range(1, 430) if matches_date(oracle, start + timedelta(days=day))
    ]
    found: list[int] = []
    at = trigger.next_after(first)
    while at is not None and at <= first + 429 * DAY:
        found.append(at)
        at = trigger.next_after(at)
    assert found == expected
    assert trigger.count(first, first + 429 * DAY) == len(expected)
    assert trigger.last_in(first, first + 429 * DAY) == (expected[-1] if expected else None)


@given(terms(0, 59), time_fields, st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1)))
def test_the_times_of_day_are_those_of_the_clock(seconds: str, times: str, start: datetime) -> None:
    oracle = Fields.read(f"{seconds} {times} * * *")
    trigger = cron(f"{seconds} {times} * * *")
    begin = start.replace(microsecond=0)
    expected = [
        (begin + timedelta(seconds=second) - EPOCH) // timedelta(microseconds=1)
        for second in range(1, 3 * 3600)
        if oracle.of_time(begin + timedelta(seconds=second))
    ]
    after = (begin - EPOCH) // timedelta(microseconds=1)
    upto = after + (3 * 3600 - 1) * SECOND
    found: list[int] = []
    at = trigger.next_after(after)
    while at is not None and at <= upto and len(found) <= len(expected):
        found.append(at)
        at = trigger.next_after(at)
    assert found == expected
    assert trigger.count(after, upto) == len(expected)
    assert trigger.last_in(after, upto) == (expected[-1] if expected else None)


def test_occurrences_of_a_long_time_are_counted_without_walking() -> None:
    month = 30 * DAY
    assert cron("* * * * * *", tz="Europe/Berlin").count(START, START + month) == 30 * 86_400
    assert cron("* * * * * *", dst="wall").count(START, START + month) == 30 * 86_400
    year = (parse_instant("2026-01-01T00:00Z") - 1, parse_instant("2027-01-01T00:00Z") - 1)
    # A wall clock in Berlin: an hour of seconds falls on one instant, another is there once.
    assert cron("* * * * * *", tz="Europe/Berlin", dst="wall").count(*year) == 365 * 86_400 - 3600
    assert cron("* * * * * *", tz="Europe/Berlin", dst="wall", fold="both").count(*year) == 365 * 86_400
    assert (
        cron("* * * * * *", tz="Europe/Berlin", dst="wall", gap="shift").count(*year) == 365 * 86_400 - 3600
    )
    assert cron("30 2 * * *", tz="Europe/Berlin").count(*year) == 365
    assert cron("30 2 * * *", tz="Europe/Berlin", gap="skip").count(*year) == 364
    assert cron("30 2 * * *", tz="Europe/Berlin", fold="both").count(*year) == 366
    assert cron("30 2 29 2 *").count(0, parse_instant("2100-01-01T00:00Z")) == 32


# --- how it is told -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("*/7 * * * *", "every hour, at minutes 0, 7, … 56"),
        ("30 * * * *", "every hour, at minute 30"),
        ("@hourly", "every hour, on the hour"),
        ("*/60 * * * *", "every hour, on the hour"),
        ("5,35 * * * *", "every hour, at minutes 5 and 35"),
        ("0 */2 * * *", "every 2 hours, on the hour"),
        ("10 */3 * * *", "every 3 hours, at minute 10"),
        ("10 */6 * * *", "at 00:10, 06:10, 12:10 and 18:10 every day"),
        ("30 2 * * *", "at 02:30 every day"),
        ("30 2 * * 1-5", "at 02:30 on Monday to Friday"),
        ("0 0 * * SAT,SUN", "at 00:00 on Saturday and Sunday"),
        ("0 0 * * FRI-MON", "at 00:00 on Friday to Monday"),
        ("*/15 9-17 * * MON-FRI", "every 15 minutes from 09:00 to 17:45 on Monday to Friday"),
        ("0 9-17 * * *", "every hour from 09:00 to 17:00"),
        ("* 3 * * *", "every minute from 03:00 to 03:59"),
        ("5,10,20 1-3 * * *", "at minutes 5, 10 and 20 of hours 1 to 3 every day"),
        ("0 0 1,15 * *", "at 00:00 on the 1st and 15th of the month"),
        ("0 0 1-7,L * *", "at 00:00 on the 1st to 7th and the last day of the month"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        ("0 0 * * MON#2", "at 00:00 on the 2nd Monday of the month"),
        ("0 0 * 1 5L", "at 00:00 on the last Friday of January"),
        ("0 0 13 * FRI", "at 00:00 on the 13th of the month and also on Friday"),
        (
            "0 0 */2 * MON,WED",
            "at 00:00 on the 1st, 3rd, … 31st of the month, only if that is Monday or Wednesday",
        ),
        ("0 0 1-31 * MON", "at 00:00 every day"),
        ("0 0 * JAN-MAR *", "at 00:00 in January to March"),
        ("0 0 * 1 MON", "at 00:00 on Monday in January"),
        ("0 0 22 11,12 *", "at 00:00 on the 22nd of November and December"),
        ("0 0 ? * MON,TUE,WED,THU,FRI,SAT,SUN,MON#1", "at 00:00 every day"),
        ("0 0 15W * *", "at 00:00 on the weekday nearest to the 15th of the month"),
        ("0 0 LW 3 *", "at 00:00 on the last weekday of March"),
        ("0 0 L-3 * *", "at 00:00 on the 3rd day before the last of the month"),
        ("0 0 L-1,L * *", "at 00:00 on the day before the last and the last day of the month"),
        ("0 0 L-2W * *", "at 00:00 on the weekday nearest to the 2nd day before the last of the month"),
        ("H * * * *", "once an hour, at a minute of its own"),
        ("H(0-29) * * * MON-FRI", "once an hour, at a minute of its own from 0 to 29, on Monday to Friday"),
        ("H/15 * * * *", "every 15 minutes, at minutes of its own"),
        ("H/7 * * * *", "every hour, at minutes 0, 7, … 56, each at a moment of its own within 4 min"),
        ("H H * * *", "once a day, at a time of its own"),
        ("0 H(0-7) * * *", "once a day, at a time of its own from 00:00 to 07:59"),
        ("H H(9-17)/2 * * *", "every 2 hours, at times of its own from 09:00 to 17:59"),
        ("H 2 * * SUN", "at 02:00 on Sunday, each at a moment of its own within 1 h"),
        ("H H H * *", "once a month, at a time of its own, from the 1st to the 28th"),
        ("H H H JAN *", "once a month, at a time of its own, from the 1st to the 28th of January"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("0 * * * * *", "every minute"),
        ("15 * * * * *", "every minute, at second 15"),
        ("15 30 2 * * *", "at 02:30:15 every day"),
        ("*/10 * 9-17 * * *", "every 10 seconds from 09:00 to 17:59"),
        ("1,2 * * * * *", "at seconds 1 and 2 of every minute"),
        ("0,20 0-10 3 * * *", "at seconds 0 and 20 of minutes 0 to 10 of hour 3 every day"),
        ("* 30 * * * *", "every second of minute 30 of every hour"),
    ],
)
def test_an_expression_is_told_in_plain_english(expression: str, sentence: str) -> None:
    assert describe_cron(parse_cron(expression)) == sentence


def test_the_zone_and_what_is_not_the_default_are_told() -> None:
    assert (
        cron("30 2 * * 1-5", tz="Europe/Berlin").describe() == "at 02:30 on Monday to Friday, Europe/Berlin"
    )
    told = Cron("30 2 * * *", "Europe/Berlin", "wall", "skip", "both").describe()
    assert told == (
        "at 02:30 every day, Europe/Berlin, by the clock on the wall, left out where the clocks skip a time, "
        "at both where the clocks repeat a time"
    )
    assert cron("30 2 * * *", dst="rhythm", gap="skip").describe() == "at 02:30 every day, in real time"


@given(terms(0, 59), time_fields, date_fields)
def test_every_expression_can_be_told(seconds: str, times: str, dates: str) -> None:
    for expression in (f"{times} {dates}", f"{seconds} {times} {dates}"):
        told = cron(expression).describe()
        assert told
        assert " ".join(told.split()) == told


def test_every_name_for_an_expression_is_read() -> None:
    for name, expression in MACROS.items():
        assert parse_cron(name) == parse_cron(expression)
