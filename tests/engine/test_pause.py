"""Pause, resume, disable, remove told as stories (SEMANTICS §3, S3.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.story import Story, all_of
from watchbell import Watchbell, every
from watchbell.errors import NotFound
from watchbell.services import schedules
from watchbell.services.schedules import Change
from watchbell.testing import Lasting

Begin = Callable[..., Story]
ACTOR = "anna"


def hourly(**options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("1h"), **options)
        def report() -> None: ...

    return declare


def working(lasts: str) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("1h"))
        def report() -> Lasting:
            return Lasting(lasts)

    return declare


def test_S3_11_a_pause_costs_nothing_while_it_lasts_and_resume_settles_it_as_one_span(story: Begin) -> None:
    begun = story(hourly())
    begun.until("01:30")
    begun.bell.pause("report", "holidays")
    begun.until("2026-11-24T01:30:00Z")
    assert begun.states() == ["succeeded"]
    assert begun.spans() == []
    assert begun.audit().paused == 72
    begun.bell.resume("report")
    assert [row[2:] for row in begun.spans()] == [(72, "skipped", "paused")]
    begun.until("2026-11-24T02:30:00Z")
    assert begun.states() == ["succeeded", "succeeded"]


def test_a_pause_without_an_instant_in_it_leaves_no_span(story: Begin) -> None:
    begun = story(hourly())
    begun.until("01:10")
    begun.bell.pause("report")
    begun.until("01:50")
    begun.bell.resume("report")
    begun.until("02:10")
    assert (begun.states(), begun.spans()) == (["succeeded", "succeeded"], [])


def test_what_was_due_before_the_pause_and_has_not_begun_runs(story: Begin) -> None:
    begun = story(hourly())
    begun.node.set_slots(thread=0)
    begun.until("01:30")
    begun.bell.pause("report")
    begun.node.set_slots(thread=1)
    begun.until("04:00")
    assert begun.seen() == [("01:00", "succeeded", None)]


def test_what_was_due_before_is_in_the_ledger_even_when_the_engine_had_not_planned_it_yet(
    story: Begin,
) -> None:
    begun = story(hourly())
    begun.until("00:30")
    begun.clock.advance(2_400_000_000)
    begun.bell.pause("report")
    begun.until("03:00")
    assert begun.seen() == [("01:00", "succeeded", None)]


def test_with_drop_waiting_what_has_not_begun_is_skipped_as_paused(story: Begin) -> None:
    begun = story(hourly())
    begun.node.set_slots(thread=0)
    begun.until("01:30")
    changed = schedules.pause(
        begun.bell._open(), "report", now=begun.now, actor=ACTOR, drop_waiting_ones=True
    )
    assert changed.dropped == 1
    assert begun.seen() == [("01:00", "skipped", "paused")]


def test_a_pause_never_takes_a_running_one_away(story: Begin) -> None:
    begun = story(working("30m"))
    begun.until("01:10")
    begun.bell.pause("report")
    begun.until("03:00")
    assert begun.seen() == [("01:00", "succeeded", None)]


def test_pausing_twice_and_resuming_what_runs_change_nothing_and_say_so(story: Begin) -> None:
    begun = story(hourly())
    assert not begun.bell.resume("report").changed
    assert begun.bell.pause("report").changed
    again = begun.bell.pause("report")
    assert (again.changed, again.sentence) == (False, "report is paused already; nothing was changed.")
    with pytest.raises(NotFound):
        begun.bell.pause("repotr")


def test_a_paused_schedule_can_be_run_by_hand(story: Begin) -> None:
    begun = story(hourly())
    begun.bell.pause("report")
    begun.until("00:10")
    begun.bell.run_now("report")
    begun.until("00:11")
    assert begun.seen() == [("00:10", "succeeded", None)]


def test_disabled_and_paused_at_once_stands_still_until_both_are_over(story: Begin) -> None:
    begun = story(hourly())
    begun.until("00:30")
    begun.bell.pause("report")
    begun.until("02:30")
    store = begun.bell._open()
    schedules.edit(store, "report", Change(enabled=False), now=begun.now, actor=ACTOR)
    begun.until("04:30")
    begun.bell.resume("report")
    begun.until("06:30")
    schedules.edit(store, "report", Change(enabled=True), now=begun.now, actor=ACTOR)
    begun.until("07:30")
    assert begun.seen() == [("07:00", "succeeded", None)]
    assert sum(row[2] for row in begun.spans()) == 6


def test_delete_ends_the_schedule_and_keeps_its_ledger(story: Begin) -> None:
    begun = story(working("30m"))
    begun.until("02:10")
    begun.bell.remove("report")
    begun.until("06:00")
    assert begun.rows("SELECT state FROM occurrence") == [("succeeded",), ("succeeded",)]
    assert begun.rows("SELECT count(*) FROM cursor") == [(0,)]
    assert begun.rows("SELECT count(*) FROM schedule WHERE ended_at IS NOT NULL") == [(1,)]
    with pytest.raises(NotFound):
        begun.bell.remove("report")


def test_a_removed_and_newly_made_schedule_of_the_same_name_is_another_one(story: Begin) -> None:
    begun = story(hourly())
    begun.until("01:30")
    begun.bell.remove("report")
    begun.until("03:30")
    schedules.add_schedule(begun.bell._open(), "report", "report", every("1h"), now=begun.now, actor=ACTOR)
    begun.until("05:00")
    assert begun.seen() == all_of("succeeded", ["01:00", "04:30"])


def test_a_chain_that_is_paused_while_it_runs_does_not_go_on_until_it_is_resumed(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m", after_completion=True))
        def sync() -> Lasting:
            return Lasting("30m")

    begun = story(declare)
    begun.until("00:15")
    begun.bell.pause("sync")
    begun.until("03:00")
    assert begun.seen() == [("00:10", "succeeded", None)]
    begun.bell.resume("sync")
    begun.until("04:00")
    assert begun.seen()[1:] == [("03:10", "succeeded", None), ("03:50", "going", None)]
