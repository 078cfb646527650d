"""Overlap: what becomes of an occurrence while an earlier one of its schedule is there (SEMANTICS §3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.overlap import Admission, admit
from watchbell.core.policies import QUEUE_LIMIT, CatchUp, Overlap, Policies
from watchbell.core.states import Reason, State

SKIP = Policies()
QUEUED, HELD = Admission(State.QUEUED), Admission(State.HELD)
SKIPPED = Admission(State.SKIPPED, Reason.OVERLAP)


def under(overlap: Overlap, most: int | None = None, catchup: CatchUp = CatchUp.LATEST) -> Policies:
    return Policies(overlap=overlap, overlap_max=most, catchup=catchup)


@pytest.mark.parametrize("overlap", list(Overlap))
def test_with_nothing_in_its_way_every_policy_lets_it_in(overlap: Overlap) -> None:
    assert admit(under(overlap), active=0, unstarted=0) == QUEUED


def test_S1_4_skip_skips_while_one_is_active_and_leaves_a_row() -> None:
    assert admit(SKIP, active=1, unstarted=0) == SKIPPED
    assert admit(SKIP, active=1, unstarted=1) == SKIPPED


def test_S1_4_skip_lets_the_newer_stand_for_an_older_that_still_waits() -> None:
    assert admit(SKIP, active=0, unstarted=1) == Admission(State.QUEUED, older=State.COALESCED)


def test_S1_4_skip_under_catch_up_none_lets_the_older_be_missed_for_want_of_a_slot() -> None:
    answer = admit(Policies(catchup=CatchUp.NONE), active=0, unstarted=1)
    assert answer == Admission(State.QUEUED, older=State.MISSED, older_reason=Reason.NO_CAPACITY)


def test_S1_4_queue_one_holds_one_and_skips_the_rest() -> None:
    policies = under(Overlap.QUEUE_ONE)
    assert admit(policies, active=1, unstarted=0) == HELD
    assert admit(policies, active=1, unstarted=1) == SKIPPED


def test_S1_4_queue_all_holds_up_to_its_limit() -> None:
    policies = under(Overlap.QUEUE_ALL, 3)
    assert [admit(policies, active=1, unstarted=n).state for n in range(5)] == [State.HELD] * 3 + [
        State.SKIPPED
    ] * 2
    assert admit(under(Overlap.QUEUE_ALL), active=1, unstarted=QUEUE_LIMIT) == SKIPPED


def test_S1_4_allow_lets_any_number_run_or_as_many_as_it_says() -> None:
    assert admit(under(Overlap.ALLOW), active=99, unstarted=9) == QUEUED
    two = under(Overlap.ALLOW, 2)
    assert [admit(two, active=n, unstarted=0).state for n in range(3)] == [
        State.QUEUED,
        State.QUEUED,
        State.SKIPPED,
    ]
    assert admit(two, active=1, unstarted=1) == SKIPPED


def test_S1_4_replace_asks_the_active_one_to_end_and_holds_the_newest() -> None:
    policies = under(Overlap.REPLACE)
    assert admit(policies, active=1, unstarted=0) == Admission(State.HELD, cancel_active=True)
    newest = admit(policies, active=1, unstarted=1)
    assert (newest.state, newest.older, newest.older_reason) == (State.HELD, State.SKIPPED, Reason.REPLACED)
    waiting = admit(policies, active=0, unstarted=1)
    assert (waiting.state, waiting.older, waiting.cancel_active) == (State.QUEUED, State.SKIPPED, False)


@given(
    st.sampled_from(list(Overlap)),
    st.sampled_from([CatchUp.LATEST, CatchUp.NONE]),
    st.none() | st.integers(1, 4),
    st.integers(1, 12),
)
def test_S1_4_in_due_order_with_nothing_ending_each_policy_keeps_its_promise(
    overlap: Overlap, catchup: CatchUp, most: int | None, arrivals: int
) -> None:
    """`arrivals` occurrences come due one after the other while the first one runs on and on."""
    most = most if overlap in (Overlap.ALLOW, Overlap.QUEUE_ALL) else None
    policies = under(overlap, most, catchup)
    active = unstarted = 0
    for _ in range(arrivals):
        answer = admit(policies, active=active, unstarted=unstarted)
        if answer.older is not None:
            unstarted -= 1
        if answer.state is State.QUEUED:
            active += 1
        elif answer.state is State.HELD:
            unstarted += 1
    promise = {
        Overlap.SKIP: (1, 0),
        Overlap.QUEUE_ONE: (1, min(1, arrivals - 1)),
        Overlap.QUEUE_ALL: (1, min(arrivals - 1, most or QUEUE_LIMIT)),
        Overlap.ALLOW: (min(arrivals, most or arrivals), 0),
        Overlap.REPLACE: (1, min(1, arrivals - 1)),
    }
    assert (active, unstarted) == promise[overlap]
