"""Overlap told as stories: an occurrence falls due while an earlier one of its schedule is there (S1.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.story import Story, all_of
from watchbell import Watchbell, every
from watchbell.core.instants import MINUTE, SECOND
from watchbell.errors import Conflict
from watchbell.testing import Lasting

Begin = Callable[..., Story]


def working(lasts: str, **options: Any) -> Callable[[Watchbell], None]:
    """Every ten minutes, and each run lasts for a while."""

    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m"), **options)
        def work() -> Lasting:
            return Lasting(lasts)

    return declare


def test_S1_4_skip_skips_what_falls_due_while_it_runs_and_names_the_run(story: Begin) -> None:
    begun = story(working("25m"))
    begun.until("00:50")
    assert begun.seen() == [
        ("00:10", "succeeded", None),
        ("00:20", "skipped", "overlap"),
        ("00:30", "skipped", "overlap"),
        ("00:40", "going", None),
        ("00:50", "skipped", "overlap"),
    ]
    assert begun.rows("SELECT into_id FROM occurrence WHERE state = 'skipped' ORDER BY id") == [
        (1,),
        (1,),
        (4,),
    ]


def test_S1_4_under_skip_the_newer_stands_for_an_older_one_that_never_got_a_slot(story: Begin) -> None:
    begun = story(working("1m"))
    begun.node.set_slots(thread=0)
    begun.until("00:35")
    assert begun.seen() == [
        *all_of("coalesced", ["00:10", "00:20"]),
        ("00:30", "queued", None),
    ]
    begun.node.set_slots(thread=1)
    begun.until("00:38")
    assert begun.states() == ["coalesced", "coalesced", "succeeded"]
    assert begun.rows("SELECT into_id FROM occurrence WHERE state = 'coalesced'") == [(2,), (3,)]


def test_S1_4_under_skip_and_catch_up_none_the_older_one_is_missed_for_want_of_capacity(story: Begin) -> None:
    begun = story(working("1m", catchup="none"))
    begun.node.set_slots(thread=0)
    begun.until("00:25")
    assert begun.seen() == [("00:10", "missed", "no_capacity"), ("00:20", "queued", None)]


def test_S1_4_under_skip_a_gate_may_keep_one_occurrence_waiting_and_no_more(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(limits={"db": 1})
        def slow() -> Lasting:
            return Lasting("50m")

        @bell.job(limits={"db": 1})
        def quick() -> None: ...

        bell.add_schedule("a slow", slow, every("10m", start_at="2026-11-20T23:59:00Z"))
        bell.add_schedule("quick", quick, every("10m"))

    begun = story(declare)
    begun.until("00:35")
    assert begun.seen("quick") == [*all_of("coalesced", ["00:10", "00:20"]), ("00:30", "held", None)]
    assert begun.value("SELECT held_by FROM occurrence WHERE state = 'held'") == "key:db"
    begun.until("01:05")
    assert "succeeded" in begun.states("quick")


def test_S1_4_queue_one_keeps_one_waiting_and_starts_it_when_the_first_has_ended(story: Begin) -> None:
    begun = story(working("25m", overlap="queue_one"))
    begun.until("00:34")
    assert begun.seen() == [
        ("00:10", "going", None),
        ("00:20", "held", None),
        ("00:30", "skipped", "overlap"),
    ]
    begun.until("00:36")
    assert begun.states() == ["succeeded", "going", "skipped"]
    assert begun.rows("SELECT claimed_at - due_at FROM occurrence WHERE id = 2") == [(15 * 60_000_000,)]


@pytest.mark.many_turns
def test_S1_4_queue_all_keeps_as_many_as_it_says_and_runs_them_in_order(story: Begin) -> None:
    begun = story(working("35m", overlap="queue_all", overlap_max=2))
    begun.until("00:44")
    assert begun.seen() == [
        ("00:10", "going", None),
        ("00:20", "held", None),
        ("00:30", "held", None),
        ("00:40", "skipped", "overlap"),
    ]
    begun.until("00:46")
    assert begun.states() == ["succeeded", "going", "held", "skipped"]
    begun.until("06:00")


def test_S1_4_allow_runs_as_many_at_once_as_it_says(story: Begin) -> None:
    begun = story(working("35m", overlap="allow", overlap_max=2))
    begun.until("00:46")
    assert begun.seen() == [
        ("00:10", "succeeded", None),
        ("00:20", "going", None),
        ("00:30", "skipped", "overlap"),
        ("00:40", "skipped", "overlap"),
    ]
    begun = story(working("35m", overlap="allow"))
    begun.until("00:44")
    assert set(begun.states()) == {"going"}


def test_S1_4_replace_ends_the_old_one_and_the_newest_starts_after_it_has_ended(story: Begin) -> None:
    begun = story(working("25m", overlap="replace"))
    begun.until("00:35")
    assert begun.seen() == [
        ("00:10", "cancelled", "by_request"),
        ("00:20", "cancelled", "by_request"),
        ("00:30", "going", None),
    ]
    notes = begun.rows("SELECT note FROM occurrence WHERE state = 'cancelled' ORDER BY id")
    assert notes == [
        ("Replaced by run_2, as its overlap policy replace says.",),
        ("Replaced by run_3, as its overlap policy replace says.",),
    ]
    ends = begun.rows("SELECT ended_at FROM occurrence WHERE id = 1")[0][0]
    assert begun.rows("SELECT began_at >= ? FROM occurrence WHERE id = 2", ends) == [(1,)]


def test_S1_4_what_was_held_by_a_new_rule_begins_when_a_run_of_the_old_rule_ends(story: Begin) -> None:
    """The run that is in the way was claimed by a version under which nothing is held."""
    begun = story(working("25m"))
    begun.until("00:15")
    begun.bell.edit("work", overlap="queue_all")
    begun.until("00:25")
    assert begun.seen() == [("00:10", "going", None), ("00:20", "held", None)]
    begun.until("00:36")
    assert begun.seen()[:2] == [("00:10", "succeeded", None), ("00:20", "going", None)]
    begun.audit()


def test_S1_4_replace_ends_a_run_between_two_attempts_at_once(story: Begin) -> None:
    from watchbell import retry

    calls: list[int] = []

    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m"), overlap="replace", retry=retry(3, delay="1h", jitter=False))
        def work() -> None:
            calls.append(1)
            if len(calls) == 1:
                raise OSError("no")

    begun = story(declare)
    begun.until("00:25")
    assert begun.seen() == [("00:10", "cancelled", "by_request"), ("00:20", "succeeded", None)]
    assert begun.value("SELECT note FROM occurrence WHERE id = 1").startswith("It was between two attempts")


def test_S1_9_run_now_is_refused_while_the_schedule_runs_and_its_policy_is_skip(story: Begin) -> None:
    begun = story(working("25m"))
    begun.until("00:15")
    with pytest.raises(
        Conflict, match=r"work has run_1 (running|claimed) and its overlap policy is skip: wait for it"
    ):
        begun.bell.run_now("work")
    assert len(begun.states()) == 1


def test_S1_9_run_now_waits_behind_the_running_one_under_queue_one(story: Begin) -> None:
    begun = story(working("15m", overlap="queue_one"))
    begun.until("00:12")
    asked = begun.bell.run_now("work")
    assert (asked.run, asked.state) == (2, "held")
    begun.until("00:26")
    assert begun.states()[0] == "succeeded"
    assert begun.value("SELECT claimed_at IS NOT NULL FROM occurrence WHERE id = 2")


def test_S1_9_run_now_under_replace_ends_what_runs_and_then_begins(story: Begin) -> None:
    begun = story(working("2h", overlap="replace"))
    begun.until("00:12")
    assert begun.bell.run_now("work").state == "held"
    begun.until("00:13")
    assert begun.states() == ["cancelled", "going"]


def test_S1_9_run_now_under_replace_takes_the_place_of_a_run_between_two_attempts(story: Begin) -> None:
    from watchbell import retry

    calls: list[int] = []

    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("4h"), overlap="replace", retry=retry(3, delay="1h", jitter=False))
        def work() -> None:
            calls.append(1)
            if len(calls) == 1:
                raise OSError("no")

    begun = story(declare)
    begun.until("04:05")
    assert begun.states() == ["retrying"]
    assert begun.bell.run_now("work").state == "queued"
    begun.until("04:06")
    assert begun.states() == ["cancelled", "succeeded"]


def test_S1_9_an_occurrence_that_falls_due_while_a_run_by_hand_goes_on_is_skipped_for_it(
    story: Begin,
) -> None:
    begun = story(working("15m"))
    begun.until("00:05")
    by_hand = begun.bell.run_now("work").run
    begun.until("00:12")
    assert begun.seen()[-1] == ("00:10", "skipped", "overlap")
    assert begun.value("SELECT into_id FROM occurrence WHERE state = 'skipped'") == by_hand


def test_5000_schedules_of_one_job_never_block_each_other(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def check() -> Lasting:
            return Lasting("5m")

        for number in range(500):
            bell.add_schedule(f"site {number}", check, every("10m"))

    begun = story(declare, slots={"thread": 500})
    begun.until("00:11")
    assert begun.states() == ["going"] * 500


def test_a_limit_on_a_key_lets_in_as_many_as_it_says_in_order_of_priority(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(limits={"printer": 2})
        def page() -> Lasting:
            return Lasting("4m")

        for number in range(5):
            bell.add_schedule(f"page {number}", page, every("1h"), priority=5 - number)

    begun = story(declare)
    begun.until("01:01")
    assert begun.rows("SELECT s.name FROM occurrence o JOIN schedule s ON s.id = o.schedule WHERE o.state IN ('claimed', 'running') "
                      "ORDER BY 1") == [("page 3",), ("page 4",)]  # fmt: skip
    assert begun.rows("SELECT key, lim, active FROM gate") == [("key:printer", 2, 2)]
    begun.until("01:05")
    assert begun.rows("SELECT s.name FROM occurrence o JOIN schedule s ON s.id = o.schedule WHERE o.state IN ('claimed', 'running') "
                      "ORDER BY 1") == [("page 1",), ("page 2",)]  # fmt: skip
    begun.until("01:30")
    assert begun.states() == ["succeeded"] * 5
    assert begun.rows("SELECT active FROM gate") == [(0,)]


def test_S1_4_a_run_by_hand_that_was_held_is_let_in_when_what_it_waited_for_gives_way(story: Begin) -> None:
    """Found by `dev.py torture kill9`: the row in front was replaced by the plan itself, and nobody let in the next."""
    begun = story(working("25m", overlap="replace"))
    begun.until("00:10")
    begun.clock.advance(10 * MINUTE + SECOND)  # 00:20 is due, and nobody has planned it yet
    begun.bell.run_now("work")
    begun.node.set_slots(thread=0)
    begun.until("00:29")
    assert begun.states() == ["cancelled", "queued", "held"]
    begun.until("00:30")
    assert begun.states() == ["cancelled", "skipped", "queued", "held"]
    begun.node.set_slots(thread=1)
    begun.until("00:31")
    begun.bell.pause("work")
    begun.until("03:00")
    assert begun.states() == ["cancelled", "skipped", "succeeded", "succeeded"]
