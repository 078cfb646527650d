"""The store's time: the server's clock, seen a little late, and carried on by this machine's boot-time clock."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from watchbell.clock import ManualClock, SystemClock
from watchbell.core.instants import DAY, HOUR, SECOND
from watchbell.store.open import open_store
from watchbell.store.postgres.time import AGREEING, KEPT, STEP_US, Offset, StoreClock, StoreTime

TRUE = 1_795_251_600 * SECOND


@given(st.lists(st.integers(0, STEP_US), min_size=1, max_size=3 * KEPT))
def test_readings_that_come_late_are_never_believed_to_be_early_and_the_nearest_of_the_last_counts(
    delays: list[int],
) -> None:
    offset = Offset()
    for delay in delays:
        offset.saw(TRUE - delay)
    assert offset.known == TRUE - min(delays[-KEPT:])


@given(st.lists(st.integers(0, STEP_US), max_size=KEPT), st.integers(STEP_US + 1, DAY), st.integers(0, 1000))
def test_a_server_whose_clock_was_set_back_is_followed_once_three_readings_agree(
    delays: list[int], back: int, late: int
) -> None:
    offset = Offset()
    for delay in (*delays, 0):
        offset.saw(TRUE - delay)
    for number in range(1, AGREEING + 1):
        assert offset.known == TRUE
        offset.saw(TRUE - STEP_US - back - late * number)
    assert offset.known == TRUE - STEP_US - back - late


@given(st.integers(1, DAY), st.lists(st.integers(0, STEP_US), min_size=1, max_size=KEPT))
def test_a_server_whose_clock_was_set_forward_is_followed_at_once(forward: int, delays: list[int]) -> None:
    offset = Offset()
    for delay in delays:
        offset.saw(TRUE - delay)
    offset.saw(TRUE + forward)
    assert offset.known == TRUE + forward


def test_a_reading_that_was_held_up_for_an_hour_moves_nothing() -> None:
    offset = Offset()
    offset.saw(TRUE)
    offset.saw(TRUE - HOUR)
    offset.saw(TRUE - HOUR)
    assert offset.known == TRUE


def test_between_two_looks_it_goes_on_by_the_boot_time_clock_whatever_is_done_to_the_wall_clock() -> None:
    own = ManualClock(TRUE)
    time = StoreTime(own)
    clock = StoreClock(own, time)
    assert clock.wall_us() == TRUE
    time.saw(TRUE + 5 * SECOND)
    assert clock.wall_us() == TRUE + 5 * SECOND
    assert time.skew_us(own) == -5 * SECOND
    own.advance(SECOND)
    own.suspend(HOUR)
    own.step(-DAY)
    assert clock.wall_us() == TRUE + 6 * SECOND + HOUR
    assert (clock.mono_ns(), clock.boot_ns(), clock.boot_id()) == (
        own.mono_ns(),
        own.boot_ns(),
        own.boot_id(),
    )
    assert clock.synchronised() is None
    event = threading.Event()
    event.set()
    assert clock.wait(event, SECOND)


def test_the_servers_time_is_known_as_soon_as_the_store_is_open(postgres_url: str) -> None:
    store = open_store(postgres_url, 0)
    behind = ManualClock(TRUE)  # a machine whose wall clock is far off
    clock = store.clock(behind)
    reads = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    before = store.read(lambda tx: tx.value(reads))
    own = store.clock(SystemClock()).wall_us()
    after = store.read(lambda tx: tx.value(reads))
    assert before - HOUR < own < after
    assert clock.boot_id() == "manual-boot"
    store.close()
