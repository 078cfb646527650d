"""Spread, jitter and `H`: hashes that stay the same for ever, and starts that are never before the due instant."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.catchup import catch_up
from watchbell.core.instants import HOUR, MINUTE, parse_instant
from watchbell.core.policies import CatchUp, Overlap, Policies, policies_from_json, to_json
from watchbell.core.spread import Spread, spread_of
from watchbell.core.states import Reason
from watchbell.core.triggers import cron, every
from watchbell.errors import BadPolicy

DUE = parse_instant("2026-11-21T09:00:00Z")


@dataclass(frozen=True)
class Hashed:
    """A trigger with `H` in it, as far as a spread looks at it."""

    hash_span_us: int


VECTORS = [
    (1, 9 * MINUTE, 129_665_144),
    (1, 10 * MINUTE, 189_665_144),
    (7, 10 * MINUTE, 163_791_845),
]


@pytest.mark.parametrize(("schedule", "spread", "offset"), VECTORS)
def test_the_offset_of_a_schedule_is_the_same_for_ever(schedule: int, spread: int, offset: int) -> None:
    found = spread_of(schedule, Policies(spread_us=spread), every("1h"))
    assert found == Spread(schedule, offset, 0)


def test_the_jitter_of_an_occurrence_is_the_same_for_ever() -> None:
    spread = Spread(7, 0, 30_000_000)
    assert spread.start_at(1_700_000_000_000_000) == 1_700_000_016_438_080


def test_H_moves_the_starts_by_the_hash_of_the_schedule() -> None:
    starts = {spread_of(n, Policies(), Hashed(HOUR)).offset_us for n in range(50)}  # type: ignore[union-attr,arg-type]
    assert len(starts) == 50
    assert all(0 <= offset < HOUR for offset in starts)
    assert spread_of(3, Policies(), cron("H 3 * * *", tz="UTC")) is not None


def test_a_schedule_without_any_of_them_has_no_spread() -> None:
    assert spread_of(1, Policies(), every("1m")) is None


@given(
    schedule=st.integers(1, 2**40),
    spread=st.integers(0, 10 * HOUR),
    jitter=st.integers(0, 10 * HOUR),
    hashed=st.integers(0, HOUR),
    due=st.integers(-(2**60), 2**60),
)
def test_a_start_is_never_before_its_due_instant_and_never_later_than_all_of_it(
    schedule: int, spread: int, jitter: int, hashed: int, due: int
) -> None:
    found = spread_of(schedule, Policies(spread_us=spread, jitter_us=jitter), Hashed(hashed))  # type: ignore[arg-type]
    start = due if found is None else found.start_at(due)
    assert due <= start <= due + max(0, spread + jitter + hashed - 1)
    if found is not None:
        assert start <= due + found.most_us


@given(st.sets(st.integers(1, 10_000), min_size=200, max_size=200))
def test_many_schedules_spread_over_the_whole_span(schedules: set[int]) -> None:
    offsets = [spread_of(one, Policies(spread_us=HOUR), every("1h")).offset_us for one in schedules]  # type: ignore[union-attr]
    quarters = [offset * 4 // HOUR for offset in offsets]
    assert all(20 <= quarters.count(quarter) <= 90 for quarter in range(4))


def test_a_start_deadline_counts_from_the_start() -> None:
    hourly = every("1h", start_at="2026-11-21T00:00:00Z")
    policies = Policies(start_deadline_us=5 * MINUTE)
    spread = Spread(1, 20 * MINUTE, 0)
    now = DUE + 24 * MINUTE
    assert catch_up(hourly, policies, DUE - 1, now, None).runs == ()
    assert catch_up(hourly, policies, DUE - 1, now, None, spread).runs == (DUE,)
    assert (
        catch_up(hourly, policies, DUE - 1, now + 2 * MINUTE, None, spread).gaps[0].reason
        is Reason.START_DEADLINE
    )


def test_of_a_backlog_a_start_deadline_cuts_what_started_before_it() -> None:
    hourly = every("1h", start_at="2026-11-21T00:00:00Z")
    policies = Policies(catchup=CatchUp.ALL, overlap=Overlap.QUEUE_ALL, start_deadline_us=90 * MINUTE)
    after, now = DUE - 1, DUE + 3 * HOUR + 10 * MINUTE
    plain = catch_up(hourly, policies, after, now, None)
    later = catch_up(hourly, policies, after, now, None, Spread(1, 59 * MINUTE, 0))
    assert plain.runs == (DUE + 2 * HOUR, DUE + 3 * HOUR)
    assert later.runs == (DUE + HOUR, DUE + 2 * HOUR, DUE + 3 * HOUR)


@given(st.integers(0, HOUR), st.integers(0, HOUR))
def test_they_read_back_from_json(spread: int, jitter: int) -> None:
    policies = Policies(spread_us=spread, jitter_us=jitter)
    assert policies_from_json(to_json(policies)) == policies


@pytest.mark.parametrize("name", ["spread_us", "jitter_us"])
def test_a_negative_one_is_refused(name: str) -> None:
    with pytest.raises(BadPolicy, match=f"{name.removesuffix('_us')} cannot be negative"):
        Policies(**{name: -1})
