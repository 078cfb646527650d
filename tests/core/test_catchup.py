"""Catch-up: what becomes of occurrences that came due while nobody planned (SEMANTICS §3, S1.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.catchup import CaughtUp, Gap, catch_up
from watchbell.core.instants import HOUR, MINUTE
from watchbell.core.plan import outage_reason
from watchbell.core.policies import CatchUp, Overlap, Policies
from watchbell.core.states import Reason, State
from watchbell.core.triggers import every

T0 = 1_795_219_200_000_000
HOURLY = every("1h", start_at="2026-11-21T00:00:00Z").bound("UTC", T0)
GAPS = [1, 2, 3, 4, 5000]


def at(hours: float) -> int:
    return T0 + int(hours * HOUR)


def policies(catchup: CatchUp, **more: object) -> Policies:
    return Policies(catchup=catchup, overlap=Overlap.QUEUE_ALL, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("catchup", list(CatchUp))
def test_S1_5_one_that_is_merely_late_is_not_missed_and_runs_however_late(catchup: CatchUp) -> None:
    late = catch_up(HOURLY, policies(catchup), at(0), at(1.99), Reason.DOWNTIME)
    assert late == CaughtUp((at(1),))


@pytest.mark.parametrize("catchup", list(CatchUp))
def test_nothing_due_is_nothing_to_catch_up(catchup: CatchUp) -> None:
    assert catch_up(HOURLY, policies(catchup), at(0), at(0.5), None) == CaughtUp(())


@pytest.mark.parametrize("n", GAPS[1:])
def test_S1_5_latest_runs_the_latest_and_coalesces_the_others_into_it(n: int) -> None:
    answer = catch_up(HOURLY, Policies(), at(0), at(n), Reason.DOWNTIME)
    gap = Gap(at(0), at(n) - 1, n - 1, State.COALESCED, Reason.DOWNTIME, into=at(n))
    assert answer == CaughtUp((at(n),), (gap,))


@pytest.mark.parametrize("n", GAPS[1:])
@pytest.mark.parametrize("why", [None, Reason.DOWNTIME, Reason.SUSPEND, Reason.CLOCK_JUMP])
def test_S1_5_none_runs_the_one_that_is_merely_late_and_says_why_the_others_were_missed(
    n: int, why: Reason | None
) -> None:
    answer = catch_up(HOURLY, Policies(catchup=CatchUp.NONE), at(0), at(n), why)
    gap = Gap(at(0), at(n) - 1, n - 1, State.MISSED, why or Reason.CATCHUP_NONE)
    assert answer == CaughtUp((at(n),), (gap,))


@pytest.mark.parametrize("n", GAPS[1:])
def test_S1_5_earliest_runs_the_earliest_and_coalesces_the_others_into_it(n: int) -> None:
    answer = catch_up(HOURLY, policies(CatchUp.EARLIEST), at(0), at(n), Reason.SUSPEND)
    gap = Gap(at(1), at(n), n - 1, State.COALESCED, Reason.SUSPEND, into=at(1))
    assert answer == CaughtUp((at(1),), (gap,))


@pytest.mark.parametrize("n", GAPS[1:])
def test_S1_5_all_runs_the_newest_up_to_its_limit_in_due_order(n: int) -> None:
    answer = catch_up(HOURLY, policies(CatchUp.ALL, catchup_limit=3), at(0), at(n), None)
    ran = min(n, 3)
    assert answer.runs == tuple(at(hour) for hour in range(n - ran + 1, n + 1))
    cut = (Gap(at(0), at(n - 2) - 1, n - 3, State.MISSED, Reason.CATCHUP_LIMIT),) if n > 3 else ()
    assert answer.gaps == cut


def test_S1_5_all_runs_a_hundred_unless_told_otherwise() -> None:
    assert len(catch_up(HOURLY, policies(CatchUp.ALL), at(0), at(5000), None).runs) == 100


def test_S1_5_what_is_older_than_the_window_is_missed_for_it() -> None:
    window = policies(CatchUp.ALL, catchup_window_us=2 * HOUR)
    answer = catch_up(HOURLY, window, at(0), at(6), None)
    assert answer.runs == (at(4), at(5), at(6))
    assert answer.gaps == (Gap(at(0), at(4) - 1, 3, State.MISSED, Reason.CATCHUP_WINDOW),)


def test_S1_5_earliest_is_the_earliest_within_the_window() -> None:
    window = policies(CatchUp.EARLIEST, catchup_window_us=2 * HOUR)
    answer = catch_up(HOURLY, window, at(0), at(6), None)
    assert answer.runs == (at(4),)
    assert [gap.count for gap in answer.gaps] == [3, 2]


def test_S1_5_the_newest_one_due_is_merely_late_and_never_outside_of_the_window() -> None:
    window = policies(CatchUp.ALL, catchup_window_us=MINUTE)
    assert catch_up(HOURLY, window, at(0), at(2.9), None).runs == (at(2),)


@pytest.mark.parametrize("catchup", list(CatchUp))
def test_S1_4_past_its_start_deadline_nothing_runs_and_all_are_missed_for_it(catchup: CatchUp) -> None:
    late = policies(catchup, start_deadline_us=10 * MINUTE)
    answer = catch_up(HOURLY, late, at(0), at(3) + 10 * MINUTE + 1, Reason.DOWNTIME)
    assert answer == CaughtUp((), (Gap(at(0), at(3), 3, State.MISSED, Reason.START_DEADLINE),))
    assert catch_up(HOURLY, late, at(0), at(3) + 10 * MINUTE, None).runs[-1] == at(3)


def test_S1_4_of_a_backlog_that_runs_each_one_keeps_its_own_start_deadline() -> None:
    late = policies(CatchUp.ALL, start_deadline_us=90 * MINUTE)
    answer = catch_up(HOURLY, late, at(0), at(4) + MINUTE, Reason.DOWNTIME)
    assert answer.runs == (at(3), at(4))
    assert [(gap.count, gap.reason) for gap in answer.gaps] == [(2, Reason.START_DEADLINE)]
    earliest = policies(CatchUp.EARLIEST, start_deadline_us=90 * MINUTE)
    assert catch_up(HOURLY, earliest, at(0), at(4) + MINUTE, None).runs == (at(3),)


@given(
    st.sampled_from(list(CatchUp)),
    st.integers(1, 60),
    st.integers(0, 59),
    st.none() | st.integers(1, 70 * 60),
    st.none() | st.integers(1, 70 * 60),
    st.integers(1, 70),
)
def test_S1_5_whatever_the_policy_every_occurrence_runs_or_is_in_exactly_one_gap(
    catchup: CatchUp, hours: int, minutes: int, window: int | None, deadline: int | None, limit: int
) -> None:
    rules = policies(
        catchup,
        catchup_limit=limit,
        catchup_window_us=None if window is None else window * MINUTE,
        start_deadline_us=None if deadline is None else deadline * MINUTE,
    )
    now = at(hours) + minutes * MINUTE
    answer = catch_up(HOURLY, rules, at(0), now, None)
    left = {at(hour) for hour in range(1, hours + 1)}
    for run in answer.runs:
        left.remove(run)
    for gap in answer.gaps:
        inside = {due for due in left if gap.after < due <= gap.upto}
        assert len(inside) == gap.count
        assert gap.into is None or gap.into in answer.runs
        left -= inside
    assert left == set()
    assert list(answer.runs) == sorted(answer.runs)
    if deadline is not None and catchup in (CatchUp.ALL, CatchUp.EARLIEST):
        assert all(now <= run + deadline * MINUTE for run in answer.runs)


def test_S3_1_the_reason_is_the_outage_that_covers_most_of_the_gap() -> None:
    outages = [("downtime", 0, 40), ("suspend", 40, 100), ("clock_jump", 100, 110)]
    assert outage_reason(outages, 0, 110) is Reason.SUSPEND
    assert outage_reason(outages, 0, 45) is Reason.DOWNTIME
    assert outage_reason(outages, 105, 200) is Reason.CLOCK_JUMP
    assert outage_reason(outages, 200, 300) is None
    assert outage_reason([("clock_back", 0, 100)], 0, 100) is None
