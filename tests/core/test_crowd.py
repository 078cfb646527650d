"""A crowd that has just come due and finds no slot is left for a moment, and nobody for longer (core/plan.py)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_plan import T0, due, free, standing
from watchbell.core.instants import HOUR, SECOND
from watchbell.core.plan import CROWD, Capacity, Due, leave_a_crowd
from watchbell.core.states import Reason, State

NOW = T0 + HOUR
PATIENCE = SECOND // 2
ONE = frozenset({"thread"})


def crowd(count: int, at: int = NOW, first: int = 1) -> list[Due]:
    return [due(number, next_due=at) for number in range(first, first + count)]


def test_what_finds_a_slot_is_planned_and_the_crowd_behind_it_is_left() -> None:
    kept, by = leave_a_crowd(crowd(CROWD + 5), free(5), NOW, PATIENCE, ONE)
    assert [one.schedule for one in kept] == [1, 2, 3, 4, 5]
    assert by == NOW + PATIENCE


def test_a_few_are_planned_at_once_slot_or_not() -> None:
    batch = crowd(CROWD + 4)
    assert leave_a_crowd(batch, free(5), NOW, PATIENCE, ONE) == (batch, None)


def test_nobody_is_left_beyond_the_patience() -> None:
    old, new = crowd(CROWD, NOW - PATIENCE), crowd(CROWD, NOW - 1, first=1000)
    kept, by = leave_a_crowd([*old, *new], free(0), NOW, PATIENCE, ONE)
    assert kept == old
    assert by == NOW - 1 + PATIENCE


def test_only_what_could_be_claimed_is_left() -> None:
    stays = [
        due(1, next_due=NOW, may_claim=False),
        due(2, next_due=NOW, live=(standing(7, State.RUNNING),)),
        due(3, next_due=NOW, why=Reason.DOWNTIME),
        due(4, next_due=NOW + 1),
    ]
    kept, _ = leave_a_crowd([*stays, *crowd(CROWD, first=10)], free(0), NOW, PATIENCE, ONE)
    assert kept == stays


def test_nobody_is_left_while_another_lane_has_a_slot() -> None:
    batch = crowd(CROWD + 5)
    slots = Capacity({"thread": 5, "async": 1, "http": 1}, 9)
    assert leave_a_crowd(batch, slots, NOW, PATIENCE, ONE | {"async"}) == (batch, None)
    slots.slots["async"] = 0
    kept, _ = leave_a_crowd(batch, slots, NOW, PATIENCE, ONE | {"async"})
    assert len(kept) == 5


@given(
    st.lists(st.tuples(st.integers(0, SECOND), st.booleans()), max_size=3 * CROWD), st.integers(0, 2 * CROWD)
)
def test_a_batch_is_planned_but_for_young_ones_beyond_the_slots(
    drawn: list[tuple[int, bool]], slots: int
) -> None:
    batch = [
        due(number, next_due=NOW - age, may_claim=may) for number, (age, may) in enumerate(drawn, start=1)
    ]
    kept, by = leave_a_crowd(batch, free(slots), NOW, PATIENCE, ONE)
    left = [one for one in batch if one not in kept]
    assert all(one.may_claim and one.next_due > NOW - PATIENCE for one in left)
    assert (by is None) == (not left)
    if left:
        assert len(left) >= CROWD
        assert sum(one.may_claim and one.next_due > NOW - PATIENCE for one in kept) == slots
        assert by == min(one.next_due for one in left) + PATIENCE > NOW
