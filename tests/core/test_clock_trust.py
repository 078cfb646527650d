"""The trust in the clock as a value: every way through its table, and what no way through it can do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.clock import SystemClock
from watchbell.core.clock_trust import (
    ARROWS,
    HOLD_US,
    STEADY_US,
    TRUSTED,
    ClockStanding,
    Event,
    Looked,
    Started,
    Stepped,
    Trust,
    decide,
)
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND

NOW = 1_800_000_000_000_000


def stepped(by_us: int, boot_us: int = 0) -> Stepped:
    return Stepped(NOW, NOW + by_us, by_us, "boot", boot_us)


SIZES = st.integers(-500 * DAY, 500 * DAY)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    SIZES.map(stepped),
    st.builds(
        Looked, st.integers(0, NOW), st.sampled_from(["boot", "other"]), st.integers(0, DAY), st.booleans()
    ),
    st.builds(
        Started,
        st.integers(0, NOW),
        st.sampled_from(["boot", "other"]),
        st.integers(0, DAY),
        st.none() | st.integers(0, NOW),
        st.none() | st.integers(0, NOW),
        st.integers(0, DAY),
        st.sampled_from(["boot", "other"]),
    ),
)


@given(st.lists(EVENTS, max_size=20))
def test_S3_1_only_a_person_lets_a_backlog_go(events: list[Event]) -> None:
    trust = TRUSTED
    for event in events:
        after = decide(trust, event).trust
        assert after.standing is trust.standing or after.standing in ARROWS[trust.standing]
        if trust.upto_at is not None:
            assert after.upto_at is not None
            assert after.upto_at >= trust.upto_at
        assert after.suspect or after.standing is ClockStanding.TRUSTED or after.upto_at is not None
        trust = after


@given(SIZES)
def test_S3_1_a_step_is_suspect_if_and_only_if_it_leads_over_10_min_ahead(by_us: int) -> None:
    verdict = decide(TRUSTED, stepped(by_us))
    assert verdict.trust.suspect is (by_us > 10 * MINUTE)
    assert (verdict.told is not None) is (by_us > 10 * MINUTE or by_us < -5 * MINUTE)


@pytest.mark.parametrize(("ahead", "standing"), [(HOLD_US, "trusted"), (HOLD_US + 1, "holding")])
def test_S3_1_what_was_skipped_is_held_beyond_25_h(ahead: int, standing: str) -> None:
    doubted = decide(TRUSTED, stepped(ahead)).trust
    still = decide(doubted, Looked(NOW, "boot", STEADY_US - 1)).trust
    assert still.suspect
    assert decide(still, Looked(NOW, "boot", STEADY_US)).trust.standing == standing
    assert decide(still, Looked(NOW, "boot", SECOND, True)).trust.standing == standing


def test_S3_1_every_step_makes_the_steady_time_count_anew() -> None:
    doubted = decide(TRUSTED, stepped(HOUR)).trust
    again = decide(doubted, stepped(3 * SECOND, 9 * MINUTE)).trust
    assert decide(again, Looked(NOW, "boot", 12 * MINUTE)).trust.suspect
    assert not decide(again, Looked(NOW, "boot", 19 * MINUTE)).trust.suspect


@pytest.mark.parametrize(
    ("apart", "suspect"),
    [(-5 * MINUTE, False), (-5 * MINUTE - 1, True), (400 * DAY, False), (400 * DAY + 1, True)],
)
def test_S3_1_a_start_is_suspect_behind_the_newest_stamp_or_far_ahead_of_it(
    apart: int, suspect: bool
) -> None:
    start = Started(NOW + apart, "boot", 0, NOW)
    assert decide(TRUSTED, start).trust.suspect is suspect


def test_S3_1_after_a_reboot_a_doubt_goes_on_unless_the_clock_is_where_it_was() -> None:
    doubted = Trust(ClockStanding.SUSPECT, "why", NOW + DAY, NOW, DAY, None, "boot", 0)
    assert decide(doubted, Started(NOW + DAY, "other", 0, NOW)).trust.suspect
    assert not decide(doubted, Started(NOW + MINUTE, "other", 0, NOW)).trust.suspect


def test_the_kernel_is_asked_and_says_yes_no_or_nothing() -> None:
    assert SystemClock().synchronised() in (True, False, None)
