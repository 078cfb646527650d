"""What waits for its start: spread and jitter, and how a row is let in when its start has come."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tests import databases
from tests.engine.story import MIDNIGHT, Story, all_of
from tests.engine.test_budget import Writes
from tests.engine.test_declare import Statements
from watchbell import Watchbell, every, retry
from watchbell.core.instants import MINUTE, parse_instant
from watchbell.errors import Conflict
from watchbell.testing import Lasting

Begin = Callable[..., Story]
OFFSET = 129_665_144
"""What the hash gives the first schedule of a database for a spread of 9 minutes, for ever."""


def working(lasts: str, period: str = "10m", **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every(period), **options)
        def work() -> Lasting:
            return Lasting(lasts)

    return declare


def began_after(begun: Story) -> list[int]:
    """How much later than it was due each run began."""
    return [
        row[0]
        for row in begun.rows("SELECT began_at - due_at FROM occurrence WHERE began_at > 0 ORDER BY id")
    ]


def test_spread_puts_every_start_later_by_the_same_and_the_due_instants_stay(story: Begin) -> None:
    begun = story(working("1m", spread="9m"))
    begun.until("00:12")
    assert begun.seen() == [("00:10", "waiting", None)]
    assert begun.rows("SELECT ready_at - due_at, start_at - due_at FROM occurrence") == [(OFFSET, OFFSET)]
    begun.until("01:00")
    assert begun.seen() == [
        *all_of("succeeded", ["00:10", "00:20", "00:30", "00:40", "00:50"]),
        ("01:00", "waiting", None),
    ]
    assert set(began_after(begun)) == {OFFSET}


def test_jitter_gives_each_occurrence_another_start_that_a_restart_does_not_change(tmp_path: Path) -> None:
    begun = Story(working("1s", jitter="5m"), file=tmp_path / "a.db")
    begun.until("01:05")
    starts = begun.rows("SELECT due_at, start_at - due_at FROM occurrence ORDER BY due_at")
    assert len({later for _, later in starts}) == 6
    assert all(0 <= later < 5 * MINUTE for _, later in starts)
    begun.restart()
    begun.until("02:05")
    again = begun.rows("SELECT due_at, start_at - due_at FROM occurrence ORDER BY due_at")
    assert again[: len(starts)] == starts
    begun.audit()
    begun.bell.stop()


def test_user_code_never_begins_before_the_start_even_when_it_is_claimed_ahead(story: Begin) -> None:
    begun = story(working("1s", jitter="5m", spread="9m"))
    begun.until("03:00")
    assert begun.value("SELECT count(*) FROM occurrence WHERE began_at < start_at") == 0
    assert begun.value("SELECT count(*) FROM occurrence WHERE claimed_at < start_at") > 0
    assert begun.value("SELECT count(*) FROM occurrence WHERE began_at > start_at") == 0


def slow_once(lasts: str, **options: Any) -> Callable[[Watchbell], None]:
    """A schedule whose starts jitter, and a run by hand of it that takes a while."""
    return working(lasts, "10m", spread="9m", **options)


def test_under_skip_a_start_that_meets_an_earlier_run_is_skipped_at_its_start(story: Begin) -> None:
    begun = story(slow_once("25m"))
    begun.until("00:34")
    assert begun.seen() == [
        ("00:10", "going", None),
        ("00:20", "skipped", "overlap"),
        ("00:30", "skipped", "overlap"),
    ]
    assert begun.rows("SELECT into_id, ended_at - due_at FROM occurrence WHERE state = 'skipped'") == [
        (1, OFFSET),
        (1, OFFSET),
    ]


def test_under_queue_a_start_that_meets_an_earlier_run_is_held_behind_it(story: Begin) -> None:
    begun = story(slow_once("12m", overlap="queue_all"))
    begun.until("00:23")
    assert begun.states() == ["going", "held"]
    assert begun.value("SELECT held_by FROM occurrence WHERE state = 'held'") == "overlap"
    begun.until("00:25")
    assert begun.states() == ["succeeded", "going"]


def test_under_replace_a_start_asks_the_earlier_run_to_end(story: Begin) -> None:
    begun = story(slow_once("12m", overlap="replace"))
    begun.until("00:23")
    assert begun.states() == ["cancelled", "going"]


def test_under_allow_as_many_go_on_at_once_as_it_says(story: Begin) -> None:
    begun = story(slow_once("35m", overlap="allow", overlap_max=2))
    begun.until("00:43")
    assert begun.states() == ["going", "going", "skipped", "skipped"]


def test_what_waits_for_its_start_is_in_nobodys_way(story: Begin) -> None:
    begun = story(working("1m", "1h", spread="9m"))
    begun.until("01:01")
    assert begun.states() == ["waiting"]
    begun.bell.run_now("work")
    begun.node.step()
    assert begun.states() == ["waiting", "going"]
    begun.until("01:10")
    assert begun.states() == ["succeeded", "succeeded"]


def test_a_run_by_hand_at_the_start_is_an_overlap(story: Begin) -> None:
    begun = story(working("5m", "1h", spread="9m"))
    begun.until("01:01")
    by_hand = begun.bell.run_now("work").run
    begun.until("01:10")
    assert begun.rows("SELECT state, reason, into_id FROM occurrence ORDER BY id") == [
        ("skipped", "overlap", by_hand),
        ("succeeded", None, None),
    ]


def test_a_start_with_no_free_slot_is_queued_and_the_next_start_stands_for_it(story: Begin) -> None:
    begun = story(working("1m", spread="9m"))
    begun.node.set_slots(thread=0)
    begun.until("00:13")
    assert begun.states() == ["queued"]
    begun.until("00:21")
    assert begun.states() == ["queued", "waiting"]
    begun.until("00:23")
    assert begun.states() == ["coalesced", "queued"]
    begun.node.set_slots(thread=1)
    begun.until("00:25")
    assert begun.states() == ["coalesced", "succeeded"]


def test_a_gate_that_is_full_at_the_start_holds_it(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(limits={"db": 1})
        def slow() -> Lasting:
            return Lasting("4m")

        bell.add_schedule("a", slow, every("10m"), spread="9m")
        bell.add_schedule("b", slow, every("10m", start_at="2026-11-21T00:02:00Z"))

    begun = story(declare)
    begun.until("00:13")
    assert begun.seen("a") == [("00:10", "held", None)]
    assert begun.seen("b") == [("00:12", "going", None)]
    begun.until("00:17")
    assert begun.seen("a") == [("00:10", "going", None)]


def test_a_pause_does_not_stop_what_waits_for_its_start_and_dropping_does(story: Begin) -> None:
    begun = story(working("1m", spread="9m"))
    begun.until("00:11")
    begun.bell.pause("work")
    begun.until("00:19")
    assert begun.states() == ["succeeded"]
    begun.bell.resume("work")
    begun.until("00:31")
    begun.bell.pause("work", drop_waiting=True)
    assert begun.seen()[-1] == ("00:30", "skipped", "paused")


@pytest.mark.many_turns
def test_grace_and_start_deadline_count_from_the_start(story: Begin) -> None:
    begun = story(working("1m", "1h", spread="9m", start_deadline="2m", grace="90s"))
    begun.node.set_slots(thread=0)
    late: list[str] = []
    begun.bell.on("occurrence.overdue")(lambda event: late.append(event["run"]))
    begun.live("2026-11-21T01:03:00Z", by="10s")
    assert (begun.states(), late) == (["queued"], [])
    begun.live("2026-11-21T01:04:00Z", by="10s")
    assert (begun.states(), late) == (["queued"], ["run_1"])
    begun.live("2026-11-21T01:05:00Z", by="10s")
    assert begun.seen() == [("01:00", "missed", "start_deadline")]


def test_what_was_missed_goes_by_the_due_instants_and_the_latest_waits_for_its_start(tmp_path: Path) -> None:
    begun = Story(working("1m", spread="9m"), file=tmp_path / "a.db")
    begun.until("00:12")
    begun.restart("49m")
    begun.node.step()
    assert begun.seen() == [
        ("00:10", "going", None),
        ("01:00", "waiting", None),
    ]
    assert [span[2:] for span in begun.spans()] == [(4, "coalesced", "downtime")]
    begun.until("01:05")
    assert begun.states() == ["succeeded", "succeeded"]
    begun.audit()
    begun.bell.stop()


def test_a_chain_with_a_spread_goes_on_from_the_end_of_each_run(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m", after_completion=True), spread="9m")
        def work() -> Lasting:
            return Lasting("1m")

    begun = story(declare)
    begun.until("01:00")
    dues = [row[0] for row in begun.rows("SELECT due_at FROM occurrence ORDER BY id")]
    assert {later - earlier for earlier, later in pairwise(dues)} == {11 * MINUTE + OFFSET}


def test_an_edit_leaves_what_waits_under_the_version_that_planned_it(story: Begin) -> None:
    begun = story(working("1m", spread="9m"))
    begun.until("00:11")
    begun.bell.edit("work", spread="0s")
    begun.until("00:25")
    assert begun.rows("SELECT version, began_at - due_at FROM occurrence ORDER BY id") == [
        (1, OFFSET),
        (2, 0),
    ]


def test_a_start_that_waits_costs_one_row_write_more_and_no_statement_of_its_own(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> None: ...

        for number in range(100):
            bell.add_schedule(f"s{number}", work, every("1h", start_at=MIDNIGHT), spread="1s", jitter="1s")

    with Statements() as statements:
        begun = story(declare, slots={"thread": 1000})
        begun.until("00:59")
        with Writes(begun) as written:
            statements.clear()
            begun.until("01:00")
            begun.node.clock.advance(3_000_000)
            begun.node.step()
            asked = Counter(statements)
    written.pop("update node", 0)
    assert dict(written) == {"insert occurrence": 100, "update cursor": 100, "update occurrence": 200}
    assert 10 < len(asked) < 60  # different ones, however many rows each was asked for
    assert begun.states() == ["succeeded"] * 100


OVERLAPS = ["skip", "queue_one", "queue_all", "replace", "allow"]


@pytest.mark.many_turns
@databases.holds_for(
    sqlite=20,
    postgresql=3,
    overlap=st.sampled_from(OVERLAPS),
    spread=st.sampled_from(["0s", "9m", "25m"]),
    jitter=st.sampled_from(["0s", "3m", "15m"]),
    lasts=st.lists(st.integers(0, 25), min_size=4, max_size=4),
    fails=st.sets(st.integers(0, 12), max_size=5),
    by_hand=st.sets(st.integers(1, 110), max_size=4),
    slots=st.integers(1, 3),
)
def test_property_never_more_live_attempts_of_a_schedule_than_its_policy_allows(
    overlap: str, spread: str, jitter: str, lasts: list[int], fails: set[int], by_hand: set[int], slots: int
) -> None:
    most = 2 if overlap == "allow" else 1
    count = iter(range(1_000_000))

    def declare(bell: Watchbell) -> None:
        more = {"overlap_max": 2} if overlap == "allow" else {}

        @bell.job(retry=retry(3, delay="2m", jitter=False))
        def work() -> Lasting:
            number = next(count)
            error = ValueError("no") if number in fails else None
            return Lasting(f"{lasts[number % 4]}m", error=error)

        bell.add_schedule("s", work, every("10m"), overlap=overlap, spread=spread, jitter=jitter, **more)

    begun = Story(declare)
    begun.node.set_slots(thread=slots)
    for minute in range(1, 121):
        begun.node.run_until(parse_instant(MIDNIGHT) + minute * MINUTE)
        if minute in by_hand:
            with contextlib.suppress(Conflict):
                begun.bell.run_now("s")
            begun.node.step()
        active = begun.value(
            "SELECT count(*) FROM occurrence WHERE schedule = 1 AND state IN ('claimed', 'running', 'retrying')"
        )
        assert active <= most
    begun.audit()
    begun.bell.stop()
