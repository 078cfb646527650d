"""Cron where the clocks change: every change of every zone, and the cases that went wrong elsewhere, by name.

The judge is the walk in `oracle`, and cronsim where its rules are ours. cronsim differs in three things: it
counts a `*` minute as real time whatever the hour; it gives six-field expressions no rule for changes of the
clocks; and in `5 */2 * * *` it leaves out 02:05 when Lord Howe repeats half an hour, and invents a time where
Santiago and Cairo leave out midnight.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from tests.core import oracle
from tests.core.test_cron import terms
from tests.core.test_wallclock import ZONES, file_of, footer, listed_changes
from watchbell.core.instants import parse_instant, to_text
from watchbell.core.triggers import Cron, cron
from watchbell.core.wallclock import zone_rules

SECOND = 1_000_000
HOUR = 3600


@dataclass(frozen=True)
class Case:
    """One expression with its choices, around one change."""

    expression: str
    dst: str
    gap: str
    fold: str

    def trigger(self, tz: str) -> Cron:
        return Cron(self.expression, tz, self.dst, self.gap, self.fold)  # type: ignore[arg-type]


def cases(key: tuple[int, int, int]) -> list[Case]:
    """A handful of expressions that are due around a change, always the same for the same change."""
    second, before, after = key
    draw = random.Random(f"{second} {before} {after}")
    local = datetime.fromtimestamp(second + min(before, after), UTC)
    hour, minute = local.hour, draw.choice((0, 1, 15, 30, 59))
    around = [(hour + step) % 24 for step in (-1, 0, 1)]
    pool = [
        f"{minute} {hour} * * *",
        f"*/15 {hour} * * *",
        f"0,30 {around[0]}-{around[2]} * * *",
        f"{minute} {around[2]} * * {local.isoweekday() % 7}",
        f"*/{draw.choice((10, 20, 25))} * * * *",
        f"{minute} */{draw.choice((1, 2, 3))} * * *",
        f"0 {hour} {local.day} * *",
        "0 0 * * *",
    ]
    chosen = draw.sample(pool, 3)
    return [
        Case(
            expression,
            draw.choice(("auto", "auto", "wall", "rhythm")),
            draw.choice(("end", "shift", "skip")),
            draw.choice(("first", "second", "both")),
        )
        for expression in chosen
    ]


def window(second: int, before: int, after: int) -> tuple[int, int]:
    wide = abs(after - before) + 3 * HOUR
    return second - wide, second + wide


@cache
def expected(case: Case, key: tuple[int, int, int], tz: str) -> dict[int, list[datetime]]:
    return oracle.due(case.expression, tz, *window(*key), case.dst, case.gap, case.fold)


def enumerate_due(trigger: Cron, start: int, end: int) -> Iterator[int]:
    at = trigger.next_after(start * SECOND)
    while at is not None and at <= end * SECOND:
        yield at // SECOND
        following = trigger.next_after(at)
        assert following is None or following > at
        at = following


def check(trigger: Cron, start: int, end: int, due: dict[int, list[datetime]]) -> None:
    """Everything the trigger can be asked about a window, against what the oracle found there."""
    found = list(enumerate_due(trigger, start, end))
    assert found == list(due), (trigger, to_text(start * SECOND))
    after, upto = start * SECOND, end * SECOND
    assert trigger.count(after, upto) == len(found), trigger
    assert trigger.first_in(after, upto) == (found[0] * SECOND if found else None)
    backwards, last = [], trigger.last_in(after, upto)
    while last is not None:
        backwards.append(last // SECOND)
        last = trigger.last_in(after, last - 1)
    assert backwards[::-1] == found, trigger
    for place, second in enumerate(found):
        at = second * SECOND
        texts = tuple(str(time).removesuffix(":00") for time in due[second])
        assert trigger.nominal_at(at) == texts[:60], (trigger, to_text(at))
        assert trigger.stands_for(at) == (texts[:60] if len(texts) > 1 else ())
        assert trigger.nominal_at(at + 1) == ()
        earlier = found[place - 1] if place else start
        middle = (earlier * SECOND + at) // 2
        assert trigger.next_after(middle) == trigger.next_after(at - 1) == at
        assert trigger.count(middle, at) == 1
        assert trigger.count(after, at) == place + 1


def unlike() -> list[str]:
    """One zone of those whose files say the same of the years from 2020 on."""
    since = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    found: dict[object, str] = {}
    for tz in ZONES:
        content = file_of(tz)
        listed = tuple(at for at in listed_changes(content) if at >= since)
        found.setdefault((footer(content), listed), tz)
    return list(found.values())


@pytest.mark.parametrize("which", ["unlike", pytest.param("all", marks=pytest.mark.release)])
def test_F28_every_change_of_every_zone_from_2020_to_2040(which: str) -> None:
    zones = 0
    judged: dict[tuple[int, int, int], str] = {}
    for tz in unlike() if which == "unlike" else ZONES:
        changes = oracle.changes(tz, 2020, 2040)
        zones += bool(changes)
        for place, key in enumerate(changes):
            # Zones that change alike at one instant share what the walk found: it sees nothing else of them.
            alone = all(abs(key[0] - other[0]) > 60 * HOUR for other in changes if other != key)
            first = judged.setdefault(key, tz) if alone else tz
            # The changes of a zone far ahead are all alike: one case for each keeps the test short.
            for case in cases(key)[: 3 if place < 6 else 1]:
                check(case.trigger(tz), *window(*key), expected(case, key, first))
    assert zones > (150 if which == "all" else 40)
    assert len(judged) > 800


NAMED = (
    ("Australia/Lord_Howe", "2026-10-03T15:30Z"),  # half an hour forward
    ("Australia/Lord_Howe", "2026-04-04T15:00Z"),  # half an hour back
    ("Europe/Dublin", "2026-03-29T01:00Z"),  # summer is standard time there
    ("Europe/Dublin", "2026-10-25T01:00Z"),
    ("America/Santiago", "2026-09-06T04:00Z"),  # midnight is left out
    ("America/Santiago", "2026-04-05T03:00Z"),  # the last hour of a day is repeated
    ("Africa/Cairo", "2026-04-23T22:00Z"),
    ("Africa/Cairo", "2026-10-29T21:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00Z"),  # a whole day is left out
    ("America/New_York", "2026-03-08T07:00Z"),
    ("America/New_York", "2026-11-01T06:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00Z"),  # back for Ramadan, and forward
    ("Africa/Casablanca", "2026-03-22T02:00Z"),
    ("Antarctica/Troll", "2026-03-29T01:00Z"),  # two hours forward
    ("Europe/Istanbul", "2016-03-27T01:00Z"),  # forward, and never back again
)
OFTEN = ("30 2 * * *", "15 0 * * *", "0 */2 * * *", "*/20 0-3 * * *", "10 1,23 * * *", "0 0 * * *")


def change_at(tz: str, text: str) -> tuple[int, int, int]:
    at = parse_instant(text)
    rules = zone_rules(tz)
    assert at in [change for change, _ in rules.transitions], "the change is no longer where it was"
    return at // SECOND, rules.offset_at(at - 1), rules.offset_at(at)


@pytest.mark.parametrize(("tz", "text"), NAMED)
@pytest.mark.parametrize("dst", ["wall", "rhythm"])
def test_the_named_changes_under_every_choice(tz: str, text: str, dst: str) -> None:
    key = change_at(tz, text)
    for expression in OFTEN:
        for gap in ("end", "shift", "skip"):
            for fold in ("first", "second", "both"):
                if dst == "rhythm" and (gap, fold) != ("end", "first"):
                    continue  # a rhythm has no gap and no fold
                case = Case(expression, dst, gap, fold)
                check(case.trigger(tz), *window(*key), expected(case, key, tz))


@pytest.mark.parametrize(
    ("tz", "text"), [("Australia/Lord_Howe", "2026-10-03T15:30Z"), ("Europe/Berlin", "2026-10-25T01:00Z")]
)
@pytest.mark.parametrize("dst", ["wall", "rhythm"])
def test_seconds_across_a_change(tz: str, text: str, dst: str) -> None:
    second, *_ = change_at(tz, text)
    start, end = second - 4000, second + 4000
    for gap, fold in (("end", "first"), ("shift", "both"), ("skip", "second")):
        due = oracle.due("7,*/25 59,0,10 * * * *", tz, start, end, dst, gap, fold)
        check(Cron("7,*/25 59,0,10 * * * *", tz, dst, gap, fold), start, end, due)  # type: ignore[arg-type]


def test_a_change_in_the_middle_of_a_minute_is_kept_to_the_second() -> None:
    second, *_ = change_at("Africa/Monrovia", "1972-01-07T00:44:30Z")
    for expression in ("*/7 * * * * *", "* * * * * *", "59 * * * * *"):
        due = oracle.due(expression, "Africa/Monrovia", second - 200, second + 200)
        check(cron(expression, tz="Africa/Monrovia"), second - 200, second + 200, due)


# --- as sentences -------------------------------------------------------------------------------------------


def on(trigger: Cron, start: str, end: str) -> list[str]:
    first, last = parse_instant(start) // SECOND, parse_instant(end) // SECOND
    return [to_text(second * SECOND) for second in enumerate_due(trigger, first, last)]


def test_a_daily_time_in_the_gap_is_due_once_at_its_end() -> None:
    trigger = cron("30 2 * * *", tz="Europe/Berlin")
    due = ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    assert on(trigger, "2026-03-28T12:00Z", "2026-03-30T12:00Z") == due
    assert trigger.stands_for(parse_instant("2026-03-29T01:00Z")) == ()
    assert trigger.nominal_at(parse_instant("2026-03-29T01:00Z")) == ("2026-03-29 02:30",)


def test_several_times_in_the_gap_and_one_at_its_end_are_one_occurrence() -> None:
    trigger = cron("*/20 2-3 * * *", tz="Europe/Berlin")
    due = ["2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z"]
    assert on(trigger, "2026-03-29T00:00Z", "2026-03-29T01:20Z") == due
    assert trigger.stands_for(parse_instant("2026-03-29T01:00Z")) == (
        "2026-03-29 02:00",
        "2026-03-29 02:20",
        "2026-03-29 02:40",
        "2026-03-29 03:00",
    )
    assert trigger.stands_for(parse_instant("2026-03-29T01:20Z")) == ()


def test_a_shifted_time_that_meets_a_regular_one_is_one_occurrence() -> None:
    trigger = cron("30 2,3 * * *", tz="Europe/Berlin", gap="shift")
    at = parse_instant("2026-03-29T01:30Z")
    assert on(trigger, "2026-03-29T00:00Z", "2026-03-29T12:00Z") == [to_text(at)]
    assert trigger.stands_for(at) == ("2026-03-29 02:30", "2026-03-29 03:30")
    assert trigger.count(at - 1, at) == 1


def test_a_daily_time_in_the_fold_is_due_as_chosen() -> None:
    first, second = "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"
    for fold, due in (("first", [first]), ("second", [second]), ("both", [first, second])):
        trigger = Cron("30 2 * * *", "Europe/Berlin", fold=fold)  # type: ignore[arg-type]
        assert on(trigger, "2026-10-24T12:00Z", "2026-10-25T12:00Z") == due
        passes = [
            at for at in (first, second) if trigger.nominal_at(parse_instant(at)) == ("2026-10-25 02:30",)
        ]
        assert passes == due


def test_a_rare_rule_is_due_at_both_passes_though_it_is_not_due_again_before_the_next_change() -> None:
    # 31 October was a day of change in Magadan; found by test_every_zone.
    trigger = Cron("*/30 2 L MAR,OCT *", "Asia/Magadan", fold="both")
    due = [f"1999-10-30T{time}:00Z" for time in ("14:00", "14:30", "15:00", "15:30")]
    assert on(trigger, "1999-10-29T00:00Z", "1999-12-01T00:00Z") == due
    assert trigger.next_after(parse_instant(due[1])) == parse_instant(due[2])


def test_a_rhythm_runs_through_both_passes_and_never_in_the_gap() -> None:
    trigger = cron("*/30 * * * *", tz="Europe/Berlin")
    assert len(on(trigger, "2026-10-24T22:00Z", "2026-10-25T23:00Z")) == 50
    assert len(on(trigger, "2026-03-28T23:00Z", "2026-03-29T22:00Z")) == 46
    trigger = cron("0 */2 * * *", tz="Europe/Berlin")
    assert on(trigger, "2026-10-24T23:00Z", "2026-10-25T03:00Z") == [
        "2026-10-25T00:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-10-25T03:00:00Z",
    ]


def test_the_day_that_Apia_left_out_is_one_occurrence_at_its_end() -> None:
    trigger = cron("0 0,12 * * *", tz="Pacific/Apia")
    end = parse_instant("2011-12-30T10:00Z")
    assert trigger.stands_for(end) == ("2011-12-30 00:00", "2011-12-30 12:00", "2011-12-31 00:00")
    assert on(trigger, "2011-12-29T22:00Z", "2011-12-30T22:00Z") == [to_text(end), "2011-12-30T22:00:00Z"]
    every_minute = cron("* 0-23 * * *", tz="Pacific/Apia")
    assert len(every_minute.stands_for(end)) == 60


def test_stored_rules_win_over_those_of_this_machine() -> None:
    trigger = cron("30 2 * * *", tz="Europe/Berlin")
    then = trigger.with_rules({"Europe/Berlin": zone_rules("Asia/Tokyo")})
    assert then == trigger
    assert then.next_after(0) == parse_instant("1970-01-01T17:30Z")
    assert trigger.with_rules({"Europe/Paris": zone_rules("Asia/Tokyo")}).next_after(0) == trigger.next_after(
        0
    )
    assert cron("0 0 * * *").with_rules({"UTC": zone_rules("Asia/Tokyo")}).next_after(0) == 15 * HOUR * SECOND


# --- properties ---------------------------------------------------------------------------------------------

STILL = ("Pacific/Apia", "Europe/Istanbul")  # no change after 2026
UNLIKE = (*STILL, "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo")
hours = st.one_of(terms(0, 23), st.sampled_from(("*", "*/2", "*/3", "1-3", "23-3", "0", "2")))


@given(
    terms(0, 59),
    hours,
    st.sampled_from(("*", "*", "1-7", "L", "*/2")),
    st.sampled_from(("*", "*", "SUN", "SAT-MON", "7#1", "SUNL")),
    st.sampled_from([(tz, *change_at(tz, text)) for tz, text in NAMED]),
    st.integers(-30 * HOUR, 30 * HOUR),
    st.tuples(
        st.sampled_from(("auto", "wall", "rhythm")),
        st.sampled_from(("end", "shift", "skip")),
        st.sampled_from(("first", "second", "both")),
    ),
)
def test_any_expression_across_a_change_is_what_the_walk_finds(
    minute: str,
    hour: str,
    day: str,
    week: str,
    change: tuple[str, int, int, int],
    shift: int,
    choices: tuple[str, str, str],
) -> None:
    tz, second, *_ = change
    expression = f"{minute} {hour} {day} * {week}"
    start = second + shift - 6 * HOUR
    due = oracle.due(expression, tz, start, start + 12 * HOUR, *choices)
    check(Cron(expression, tz, *choices), start, start + 12 * HOUR, due)  # type: ignore[arg-type]


@given(
    st.sampled_from(("5", "0,30", "10-20", "59", "7/9")),
    st.sampled_from(("2", "0", "1-3", "23", "0,2,4")),
    st.sampled_from(("*", "1-7", "L", "*/2", "13")),
    st.sampled_from(("*", "0", "1-5", "7#1", "5L")),
    st.sampled_from([tz for tz, _ in NAMED if tz not in STILL]),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)),
)
def test_a_wall_clock_expression_agrees_with_cronsim(
    minute: str, hour: str, day: str, week: str, tz: str, start: datetime
) -> None:
    agree(f"{minute} {hour} {day} * {week}", tz, start)


@given(
    st.sampled_from(("5", "0,30", "*", "*/7", "*/20", "10-20")),
    st.sampled_from(("*", "*/2", "*/5", "*/12")),
    st.sampled_from(("*", "0", "1-5")),
    st.sampled_from([tz for tz, _ in NAMED if tz not in UNLIKE]),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)),
)
def test_a_rhythm_agrees_with_cronsim(minute: str, hour: str, week: str, tz: str, start: datetime) -> None:
    agree(f"{minute} {hour} * * {week}", tz, start)


def agree(expression: str, tz: str, start: datetime) -> None:
    # Begin a day before a change near the start, so that most examples cross one.
    begin = oracle.us(start.replace(tzinfo=UTC))
    change = next(at for at, _ in zone_rules(tz).transitions if at > begin)
    at = change - 26 * HOUR * SECOND
    theirs = CronSim(expression, datetime.fromtimestamp(at // SECOND, UTC).astimezone(ZoneInfo(tz)))
    ours = cron(expression, tz=tz)
    for _ in range(60):
        following = ours.next_after(at)
        assert following == oracle.us(next(theirs).astimezone(UTC)), (expression, tz, to_text(at))
        at = following
        if at > change + 60 * HOUR * SECOND:
            break


@given(
    st.sampled_from(OFTEN), st.sampled_from([tz for tz, _ in NAMED]), st.integers(0, 4 * 10**15), st.data()
)
def test_counts_add_up_over_any_span(expression: str, tz: str, start: int, data: st.DataObject) -> None:
    trigger = cron(expression, tz=tz, fold=data.draw(st.sampled_from(("first", "both"))))
    middle = start + data.draw(st.integers(0, 10**14))
    end = middle + data.draw(st.integers(0, 10**14))
    assert trigger.count(start, end) == trigger.count(start, middle) + trigger.count(middle, end)
    assert trigger.count(end, start) == 0
    assert trigger.last_in(end, start) is None
    first, last = trigger.first_in(start, end), trigger.last_in(start, end)
    assert (first is None) == (last is None) == (trigger.count(start, end) == 0)
    if first is not None and last is not None:
        assert trigger.count(first - 1, last) == trigger.count(start, end)
        assert trigger.last_in(first - 1, first) == first == trigger.next_after(start)


def test_a_day_is_never_without_its_daily_occurrence() -> None:
    for tz in {tz for tz, _ in NAMED} - {"Pacific/Apia"}:
        for minute in range(0, 24 * 60, 30):
            trigger = cron(f"{minute % 60} {minute // 60} * * *", tz=tz)
            begin, end = (parse_instant(f"{year}-06-30 12:01", tz=tz) for year in (2025, 2026))
            days = (datetime(2026, 6, 30) - datetime(2025, 6, 30)) // timedelta(days=1)
            assert trigger.count(begin, end) == days, (tz, minute)
