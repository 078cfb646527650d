"""Who is silent, whatever the clocks show: nobody who renews in time is ever declared dead, everybody who does not is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.instants import SECOND
from watchbell.core.liveness import GAP_US, Liveness

LEASE = 15 * SECOND
LOOK = SECOND

PAUSES = st.lists(st.tuples(st.integers(0, 120 * SECOND), st.integers(0, 60 * SECOND)), max_size=4)
"""When the observer was frozen, asleep or cut off, and for how long."""


def looks(pauses: list[tuple[int, int]], answers: list[int], until: int) -> list[tuple[int, int]]:
    """When the observer asks and when it is answered: every second, but for its pauses."""
    found, at, place = [], 0, 0
    while at < until:
        for begins, span in pauses:
            if begins <= at < begins + span:
                at = begins + span
        answered = at + answers[place % len(answers)]
        found.append((at, answered))
        at, place = answered + LOOK, place + 1
    return found


@given(
    pauses=PAUSES,
    answers=st.lists(st.integers(0, SECOND // 2), min_size=1, max_size=5),
    renewals=st.lists(st.integers(1, LEASE - 1), min_size=30, max_size=60),
    skew=st.integers(-(10**15), 10**15),
    steps=st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=5),
)
def test_a_node_that_renews_within_its_lease_is_never_declared_dead(
    pauses: list[tuple[int, int]], answers: list[int], renewals: list[int], skew: int, steps: list[int]
) -> None:
    """The instants that its heartbeats carry are as wrong as can be, as long as each differs from the one before."""
    at, beats = 0, []
    for number, span in enumerate(renewals):
        beats.append((at, (at + skew + steps[number % len(steps)], number)))
        at += span
    watch = Liveness(LEASE)
    for asked, answered in looks(pauses, answers, at):
        # Whatever the store answers, it is of some instant between the question and the answer.
        shown = [beat for when, beat in beats if when <= asked][-1]
        assert watch.saw(asked, answered, {1: shown}) == set()


@given(
    pauses=PAUSES,
    answers=st.lists(st.integers(0, SECOND // 2), min_size=1, max_size=5),
    silent_at=st.integers(0, 60 * SECOND),
)
def test_a_silent_node_is_declared_dead_within_its_lease_and_two_looks(
    pauses: list[tuple[int, int]], answers: list[int], silent_at: int
) -> None:
    watch = Liveness(LEASE)
    last_gap, before, declared = 0, None, None
    for asked, answered in looks(pauses, answers, 400 * SECOND):
        if before is None or asked - before > GAP_US:
            last_gap = answered
        before = answered
        beat = min(asked, silent_at) // (5 * SECOND)
        if watch.saw(asked, answered, {1: beat}) and declared is None:
            declared = asked
            assert declared > silent_at // (5 * SECOND) * 5 * SECOND + LEASE, "not before its lease is over"
    assert declared is not None
    assert declared <= max(silent_at, last_gap) + LEASE + 2 * (LOOK + SECOND // 2)


def test_a_gap_between_two_looks_starts_every_lease_anew() -> None:
    watch = Liveness(LEASE)
    for second in range(14):
        assert watch.saw(second * SECOND, second * SECOND, {1: "a", 2: "b"}) == set()
    after = 13 * SECOND + GAP_US + 1
    for second in range(16):
        assert watch.saw(after + second * SECOND, after + second * SECOND, {1: "a", 2: "b"}) == set()
    assert watch.saw(after + 16 * SECOND, after + 16 * SECOND, {1: "a", 2: "c"}) == {1}


def test_what_came_back_after_it_was_out_of_sight_has_a_whole_lease() -> None:
    watch = Liveness(LEASE)
    watch.saw(0, 0, {1: "a"})
    for second in range(1, 30):
        watch.saw(second * SECOND, second * SECOND, {})
    assert watch.saw(30 * SECOND, 30 * SECOND, {1: "a"}) == set()
