"""Blackouts as values: what is in them, what a rule less its blackouts implies, and the audit's own reading of them."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchbell.core.audit.recount import rule_of
from watchbell.core.audit.recount_blackout import Blacked, Lit, dark_of
from watchbell.core.blackout import (
    Blackout,
    Recurring,
    Thinned,
    Window,
    blackout_from_json,
    dark_windows,
    parse_blackout,
    window_around,
)
from watchbell.core.instants import parse_instant, to_text
from watchbell.core.policies import Policies, policies_from_json, to_json
from watchbell.core.triggers import Trigger, cron, every
from watchbell.core.triggers.cron_trigger import Cron

HOUR = 3_600_000_000
START = parse_instant("2026-03-27T00:00Z")  # before Berlin's clocks go forward
AUTUMN = parse_instant("2026-10-24T00:00Z")

zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])
windows = st.builds(
    lambda start, length, tz: Window(start, start + length, tz),
    st.integers(START - 50 * HOUR, START + 100 * HOUR) | st.integers(AUTUMN, AUTUMN + 60 * HOUR),
    st.integers(1, 40 * HOUR),
    st.none() | zones,
)
recurring = st.builds(
    lambda expression, length, tz: Recurring(Cron(expression, tz), length),
    st.sampled_from(["0 22 * * fri", "30 2 * * *", "0 */6 * * *", "15 1 * * sun", "0 0 * * 1-5"]),
    st.sampled_from([HOUR // 2, HOUR, 8 * HOUR, 30 * HOUR]),
    zones,
)
blackouts = st.lists(windows | recurring, min_size=1, max_size=4)
triggers: st.SearchStrategy[Trigger] = st.one_of(
    st.builds(
        lambda e, tz: cron(e, tz=tz), st.sampled_from(["*/10 * * * *", "0 2 * * *", "30 * * * *"]), zones
    ),
    st.builds(lambda p: every(p, start_at=START), st.sampled_from(["7m", "1h", "36h"])),
)


def plain(trigger: Trigger, after: int, upto: int) -> list[int]:
    found = []
    at = trigger.first_in(after, upto)
    while at is not None:
        found.append(at)
        at = trigger.first_in(at, upto)
    return found


def is_dark(found: list[Blackout], at: int) -> bool:
    """The same question, asked the dullest way there is."""
    for one in found:
        if isinstance(one, Window):
            if one.from_at <= at < one.to_at:
                return True
            continue
        start = one.start.first_in(at - one.length_us - 1, at)
        while start is not None:
            if start <= at < start + one.length_us:
                return True
            start = one.start.first_in(start, at)
    return False


@settings(max_examples=60, deadline=None)
@given(triggers, blackouts, st.sampled_from([START, AUTUMN]), st.integers(1, 80 * HOUR))
def test_S3_a_thinned_rule_is_the_rule_less_what_is_dark_and_the_audit_reads_the_same(
    trigger: Trigger, dark: list[Blackout], after: int, length: int
) -> None:
    upto = after + length
    rule = Thinned(trigger, dark)
    instants = plain(trigger, after, upto)
    lit = [at for at in instants if not is_dark(dark, at)]
    gone = [at for at in instants if is_dark(dark, at)]
    assert rule.count(after, upto) == len(lit)
    assert rule.dark_count(after, upto) == len(gone)
    assert rule.dark_in(after, upto, 10_000) == gone
    assert rule.first_in(after, upto) == (lit[0] if lit else None)
    assert rule.last_in(after, upto) == (lit[-1] if lit else None)
    following = rule.next_after(after)
    if lit:
        assert following == lit[0]
    policies = to_json(Policies(blackouts=tuple(dark)))
    own = dark_of(policies, {})
    assert own is not None
    stored = rule_of(json.dumps(trigger.to_json()))
    assert list(Lit(stored, own).between(after, upto)) == lit
    assert list(Blacked(stored, own).between(after, upto)) == gone
    assert (Lit(stored, own).count(after, upto), Blacked(stored, own).count(after, upto)) == (
        len(lit),
        len(gone),
    )


@settings(max_examples=60, deadline=None)
@given(blackouts, st.sampled_from([START, AUTUMN]), st.integers(1, 80 * HOUR))
def test_dark_windows_are_in_order_and_apart(dark: list[Blackout], after: int, length: int) -> None:
    found = list(dark_windows(dark, after, after + length))
    assert all(start < end for start, end in found)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(found))
    for start, end in found:
        assert is_dark(dark, start)
        assert is_dark(dark, end - 1)
        assert end > after + length or not is_dark(dark, end)


@settings(max_examples=60, deadline=None)
@given(blackouts)
def test_texts_and_json_read_back_exactly(dark: list[Blackout]) -> None:
    for one in dark:
        assert blackout_from_json(json.loads(json.dumps(one.to_json()))) == one
        if isinstance(one, Recurring) or (one.from_at % 1_000_000 == 0 and one.to_at % 1_000_000 == 0):
            assert parse_blackout(one.to_text()) == one
    policies = Policies(blackouts=tuple(dark))
    assert policies_from_json(to_json(policies)) == policies


@pytest.mark.parametrize(
    ("at", "dark"),
    [
        ("2026-12-23T22:59:59Z", False),
        ("2026-12-23T23:00:00Z", True),  # midnight in Berlin
        ("2026-12-26T22:59:59Z", True),
        ("2026-12-26T23:00:00Z", False),
    ],
)
def test_an_absolute_one_is_half_open_and_read_in_its_zone(at: str, dark: bool) -> None:
    one = parse_blackout("2026-12-24T00:00/2026-12-27T00:00 Europe/Berlin")
    assert (window_around([one], parse_instant(at)) is not None) is dark


@pytest.mark.parametrize(
    ("night", "end"),
    [
        ("2026-03-28T22:00Z", "2026-03-29T04:00Z"),  # 23:00 to 06:00 on the wall: one hour is left out
        ("2026-10-24T22:00Z", "2026-10-25T03:00Z"),  # 00:00 to 04:00 on the wall: one hour comes twice
    ],
)
def test_a_recurring_one_begins_by_the_wall_and_lasts_in_elapsed_time(night: str, end: str) -> None:
    hours = (parse_instant(end) - parse_instant(night)) // HOUR
    wall = "0 23 * * sat" if night.startswith("2026-03") else "0 0 * * sun"
    one = parse_blackout(f"cron {wall} for {hours}h Europe/Berlin")
    found = window_around([one], parse_instant(night))
    assert found is not None
    assert [to_text(at) for at in found] == [to_text(parse_instant(night)), to_text(parse_instant(end))]


def test_two_aware_datetimes_are_a_window_too() -> None:
    first, last = datetime(2026, 12, 24, tzinfo=UTC), datetime(2026, 12, 27, tzinfo=UTC)
    assert parse_blackout((first, last)).to_text() == "2026-12-24T00:00:00Z/2026-12-27T00:00:00Z"


def test_a_rule_that_ends_in_the_dark_is_looked_at_once_more() -> None:
    """So that somebody accounts for what falls into the blackout, though nothing comes after it."""
    only = cron("0 1 * * *", tz="UTC")
    first = parse_instant("2026-11-21T01:00Z")
    rule = Thinned(only, [Window(first, 1 << 60)])
    found = rule.next_after(first - HOUR)
    assert found is not None
    assert window_around(rule.blackouts, found) is not None
