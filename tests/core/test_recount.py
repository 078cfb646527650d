"""The recount: right by hand on the named cases, and in agreement with the triggers everywhere else."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchbell.core.audit import recount
from watchbell.core.audit.recount import chain_period, implied, implied_count, transitions_of
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND, parse_instant, to_text
from watchbell.core.triggers import cron, every, manual, once
from watchbell.core.wallclock import zone_rules
from watchbell.errors import BadTrigger

_ROOMS = ("recount.py", "recount_cron.py", "recount_calendar.py", "recount_rrule.py", "recount_combined.py")


def at(text: str) -> int:
    return parse_instant(text)


def of_cron(expression: str, tz: str = "UTC", **options: str) -> str:
    return json.dumps({"kind": "cron", "expression": expression, "tz": tz, **options})


def listed(trigger: str, after: str, upto: str) -> list[str]:
    return [to_text(instant) for instant in implied(trigger, at(after), at(upto))]


def test_it_shares_no_code_with_what_it_checks() -> None:
    for name in _ROOMS:
        tree = ast.parse((Path(recount.__file__).parent / name).read_text(encoding="utf-8"))
        ours = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level}
        named = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        named |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not n.level}
        assert ours <= {"errors", *(room.removesuffix(".py") for room in _ROOMS)}
        assert not any(module.startswith("watchbell") for module in named)


def test_the_span_is_open_below_and_closed_above() -> None:
    hourly = of_cron("0 * * * *")
    assert listed(hourly, "2026-11-21T08:00:00Z", "2026-11-21T10:00:00Z") == [
        "2026-11-21T09:00:00Z",
        "2026-11-21T10:00:00Z",
    ]
    assert listed(hourly, "2026-11-21T07:59:59.999999Z", "2026-11-21T08:00:00Z") == ["2026-11-21T08:00:00Z"]
    assert listed(hourly, "2026-11-21T10:00:00Z", "2026-11-21T08:00:00Z") == []


GAP = ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z")  # Berlin, 02:00 to 03:00 on the 29th
FOLD = ("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z")  # Berlin, 03:00 back to 02:00 on the 25th


@pytest.mark.parametrize(
    ("expression", "options", "span", "expected"),
    [
        ("30 2 * * *", {}, GAP, ["29T01:00:00Z", "30T00:30:00Z"]),
        ("30 2 * * *", {"gap": "shift"}, GAP, ["29T01:30:00Z", "30T00:30:00Z"]),
        ("30 2 * * *", {"gap": "skip"}, GAP, ["30T00:30:00Z"]),
        ("*/20 2 * * *", {}, GAP, ["29T01:00:00Z", "30T00:00:00Z", "30T00:20:00Z", "30T00:40:00Z"]),
        ("0 2,3 29 3 *", {}, GAP, ["29T01:00:00Z"]),
        ("30 2 * * *", {}, FOLD, ["25T00:30:00Z", "26T01:30:00Z"]),
        ("30 2 * * *", {"fold": "second"}, FOLD, ["25T01:30:00Z", "26T01:30:00Z"]),
        ("30 2 * * *", {"fold": "both"}, FOLD, ["25T00:30:00Z", "25T01:30:00Z", "26T01:30:00Z"]),
        ("30 2 * * *", {"dst": "rhythm"}, FOLD, ["25T00:30:00Z", "25T01:30:00Z", "26T01:30:00Z"]),
        ("30 2 * * *", {"dst": "rhythm"}, GAP, ["30T00:30:00Z"]),
        ("30 */12 25 10 *", {}, FOLD, ["24T22:30:00Z", "25T11:30:00Z"]),
    ],
)
def test_wall_clock_times_where_the_clocks_change(
    expression: str, options: dict[str, str], span: tuple[str, str], expected: list[str]
) -> None:
    trigger = of_cron(expression, "Europe/Berlin", **options)
    assert [text[8:] for text in listed(trigger, *span)] == expected
    assert implied_count(trigger, at(span[0]), at(span[1])) == len(expected)


def test_an_hourly_rhythm_has_23_and_25_occurrences_on_the_days_of_change() -> None:
    hourly = of_cron("0 * * * *", "Europe/Berlin")
    assert implied_count(hourly, at("2026-03-28T22:59:59Z"), at("2026-03-29T21:59:59Z")) == 23
    assert implied_count(hourly, at("2026-10-24T21:59:59Z"), at("2026-10-25T22:59:59Z")) == 25


def test_a_whole_day_left_out_is_one_occurrence_at_its_end() -> None:
    # Apia had no 30 December 2011.
    daily = of_cron("0 9 * * *", "Pacific/Apia")
    assert listed(daily, "2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z") == [
        "2011-12-29T19:00:00Z",
        "2011-12-30T10:00:00Z",
        "2011-12-30T19:00:00Z",
    ]


def test_half_an_hour_of_change_in_lord_howe() -> None:
    trigger = of_cron("15 2 * * *", "Australia/Lord_Howe")
    assert listed(trigger, "2026-10-03T00:00:00Z", "2026-10-05T00:00:00Z") == [
        "2026-10-03T15:30:00Z",
        "2026-10-04T15:15:00Z",
    ]


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("0 0 L * *", 12),
        ("0 0 31 * *", 7),
        ("0 0 * * 5L", 12),
        ("0 0 * * FRIL", 12),
        ("0 0 * * MON#2", 12),
        ("0 0 * * 0#5", 4),
        ("0 0 13 * FRI", 12 + 52 - 3),
        ("0 0 LW * *", 12),
        ("0 0 31W * *", 7),
        ("0 0 L-30 * *", 7),
        ("0 0 1W,L-2 * *", 24),
        ("H H H/7 * *", 48),
        ("H/20 H(3-6) 1 1 *", 3),
        ("0 0 */2 * MON", 26),
        ("0 0 1 1,JUL ?", 2),
        ("0 0 * * FRI-MON", 52 * 4),
        ("0 22-2 1 1 *", 5),
        ("0 0 * * 7", 52),
        ("*/30 * 0 1 1 *", 120),
        ("@weekly", 52),
        ("@Yearly", 1),
        ("0 0 30 2 *", 0),
    ],
)
def test_what_an_expression_implies_in_2026(expression: str, count: int) -> None:
    year = (at("2025-12-31T23:59:59Z"), at("2026-12-31T23:59:59Z"))
    assert implied_count(of_cron(expression), *year) == count
    assert sum(1 for _ in implied(of_cron(expression), *year)) == count


def test_an_interval_counts_from_its_anchor_and_not_with_it() -> None:
    trigger = json.dumps(
        {"kind": "interval", "period_us": 15 * MINUTE, "start_at": at("2026-11-21T08:00:00Z")}
    )
    assert listed(trigger, "2026-11-21T07:00:00Z", "2026-11-21T08:30:00Z") == [
        "2026-11-21T08:15:00Z",
        "2026-11-21T08:30:00Z",
    ]
    assert implied_count(trigger, at("2026-11-21T08:15:00Z"), at("2026-11-22T08:15:00Z")) == 96


def test_once_implies_one_instant_and_manual_none() -> None:
    instant = at("2026-11-21T08:00:00Z")
    text = json.dumps({"kind": "once", "at": instant})
    assert list(implied(text, instant - 1, instant)) == [instant]
    assert list(implied(text, instant, instant + DAY)) == []
    assert implied_count(json.dumps({"kind": "manual"}), 0, instant) == 0


def test_once_by_the_wall_follows_the_rules_that_were_stored_with_it() -> None:
    trigger = once("2026-07-01 09:00", tz="Europe/Berlin")
    other = json.dumps({"name": "Europe/Berlin", "first_offset_s": 3600, "transitions": []})
    found = list(implied(json.dumps(trigger.to_json()), 0, trigger.at + DAY, other))
    assert found == [at("2026-07-01T08:00:00Z")] == [trigger.at + HOUR]


def test_a_fixed_delay_is_a_chain_and_implies_nothing_by_itself() -> None:
    trigger = json.dumps(every("10m", start_at="2026-11-21T08:00:00Z", after_completion=True).to_json())
    assert chain_period(trigger) == 10 * MINUTE
    assert implied_count(trigger, 0, at("2027-01-01T00:00:00Z")) == 0
    assert chain_period(of_cron("@daily")) is None


def test_stored_zone_rules_are_used_in_place_of_todays() -> None:
    # A Berlin that never changes its clocks.
    rules = json.dumps({"name": "Europe/Berlin", "first_offset_s": 3600, "transitions": []})
    trigger = of_cron("30 2 * * *", "Europe/Berlin")
    assert transitions_of(trigger, {"Europe/Berlin": "b", "UTC": "u"}) == "b"
    found = list(implied(trigger, at("2026-06-30T12:00:00Z"), at("2026-07-01T12:00:00Z"), rules))
    assert found == [at("2026-07-01T01:30:00Z")]


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"kind": "moon"}',
        '{"kind": "cron", "expression": "61 * * * *"}',
        '{"kind": "cron", "expression": "* * *"}',
        '{"kind": "cron", "expression": "*/0 * * * *"}',
        '{"kind": "cron", "expression": "0 0 * * *", "tz": "Mars/Base"}',
        '{"kind": "interval", "period_us": 0, "start_at": 0}',
        '{"kind": "interval", "period_us": 1000}',
        '{"kind": "once"}',
    ],
)
def test_a_trigger_that_cannot_be_read_is_said_so(text: str) -> None:
    with pytest.raises(BadTrigger, match=r"cannot be evaluated|no JSON|no known kind"):
        implied_count(text, 0, DAY)


# --- two independent programs, one answer -----------------------------------------------------------------------------

ZONES = [
    "UTC", "Europe/Berlin", "Europe/Dublin", "Europe/London", "America/New_York", "America/Santiago", "Africa/Cairo",
    "Africa/Casablanca", "Asia/Gaza", "Asia/Tehran", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia",
    "Pacific/Kwajalein", "America/Havana", "America/Asuncion", "Antarctica/Troll", "Asia/Beirut", "America/Sao_Paulo",
    "America/Scoresbysund", "Atlantic/Azores",
]  # fmt: skip


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high).map(str)
    term = st.one_of(
        st.just("*"),
        value,
        st.builds("*/{}".format, st.integers(1, high + 3)),
        st.builds("{}-{}".format, value, value),
        st.builds("{}-{}/{}".format, value, value, st.integers(1, 9)),
        st.builds("{}/{}".format, value, st.integers(1, 40)),
    )
    return st.one_of(term, st.lists(term, min_size=2, max_size=3).map(",".join))


def weekdays() -> st.SearchStrategy[str]:
    name = st.sampled_from(["SUN", "mon", "Tue", "WED", "THU", "FRI", "SAT", "0", "3", "5"])
    special = st.one_of(
        st.builds("{}#{}".format, name, st.integers(1, 5)),
        name.map("{}L".format),
        st.builds("{}-{}".format, name, name),
        st.just("?"),
    )
    return st.one_of(st.just("*"), numbers(0, 7), special, st.builds("{},{}".format, special, numbers(0, 7)))


days = st.one_of(
    st.just("*"),
    numbers(1, 31),
    st.sampled_from(
        ["L", "?", "1,L", "*/2", "LW", "15W", "1w,31W", "L-3", "L-30,5", "L-2W,L", "H", "H(5-20)/6"]
    ),
)
months = st.one_of(st.just("*"), numbers(1, 12), st.sampled_from(["JAN", "mar,OCT", "SEP-APR", "*/3"]))
small_hours = st.sampled_from(
    ["*", "*/2", "*/1", "H", "H/3", "H(1-3)", "0", "1", "2", "3", "0-3", "23-2", "1,2,3", "0/2", "*,5", "2-2"]
)


def together(minute: str, hour: str, day: str, month: str, week: str) -> str:
    """Five fields; a day that is left to the hash goes with every day of the week only."""
    return f"{minute} {hour} {day} {month} {'*' if day.startswith('H') else week}"


expressions = st.one_of(
    st.builds("{} {} * * *".format, numbers(0, 59), small_hours),
    st.builds(
        together,
        numbers(0, 59),
        st.one_of(small_hours, numbers(0, 23)),
        days,
        months,
        weekdays(),
    ),
    st.builds(
        "{} {} {} * * *".format, st.sampled_from(["0", "*/15", "30", "7,50"]), numbers(0, 59), small_hours
    ),
    st.sampled_from(["@hourly", "@daily", "@weekly", "@monthly", "@midnight"]),
)


def changes(zone: str) -> list[int]:
    low, high = at("2005-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z")
    return [instant for instant, _ in zone_rules(zone).transitions if low < instant < high] or [
        at("2026-03-29T01:00:00Z")
    ]


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, str, dict[str, str], int, int]:
    zone = draw(st.sampled_from(ZONES))
    middle = (
        draw(st.sampled_from(changes(zone)))
        + draw(st.integers(-30, 30)) * HOUR
        + draw(st.sampled_from([0, 1, -1]))
    )
    options = {
        "dst": draw(st.sampled_from(["auto", "wall", "rhythm"])),
        "gap": draw(st.sampled_from(["end", "shift", "skip"])),
        "fold": draw(st.sampled_from(["first", "second", "both"])),
    }
    before, behind = draw(st.integers(0, 40)), draw(st.integers(0, 40))
    return draw(expressions), zone, options, middle - before * HOUR, middle + behind * HOUR


@settings(max_examples=200)
@given(questions())
def test_recount_and_triggers_agree_around_every_change(
    question: tuple[str, str, dict[str, str], int, int],
) -> None:
    expression, zone, options, after, upto = question
    trigger = cron(expression, tz=zone, **options)  # type: ignore[arg-type]
    text, rules = json.dumps(trigger.to_json()), json.dumps(zone_rules(zone).to_json())
    expected = []
    found = trigger.next_after(after)
    while found is not None and found <= upto:
        expected.append(found)
        found = trigger.next_after(found)
    assert list(implied(text, after, upto)) == expected
    assert list(implied(text, after, upto, rules)) == expected
    assert implied_count(text, after, upto) == len(expected) == trigger.count(after, upto)


@settings(max_examples=60)
@given(expressions, st.sampled_from(ZONES), st.integers(1, 900), st.integers(0, 30 * 365))
def test_recount_and_triggers_count_the_same_over_long_spans(
    expression: str, zone: str, length: int, day: int
) -> None:
    trigger = cron(expression, tz=zone)
    after = at("2005-01-01T03:17:00Z") + day * DAY
    assert implied_count(json.dumps(trigger.to_json()), after, after + length * DAY) == trigger.count(
        after, after + length * DAY
    )


@given(st.integers(1_000, 10**9), st.integers(0, 10**9), st.integers(-(10**9), 10**9), st.integers(0, 10**9))
def test_recount_and_triggers_agree_on_intervals(period: int, anchor: int, after: int, length: int) -> None:
    trigger = every(timedelta(microseconds=period), start_at=datetime.fromtimestamp(anchor // SECOND, UTC))
    text = json.dumps(trigger.to_json())
    assert implied_count(text, after, after + length) == trigger.count(after, after + length)
    assert next(iter(implied(text, after, after + length)), None) == trigger.first_in(after, after + length)


def test_a_manual_trigger_of_the_house_implies_nothing() -> None:
    assert list(implied(json.dumps(manual().to_json()), 0, DAY)) == []
