"""pause_after_failures: so many failures in a row, and the schedule is paused, with a note, an event and an alert."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story
from tests.engine.test_budget import Writes
from tests.engine.test_watcher import alert_on
from watchbell import Watchbell, cron, retry
from watchbell.core.alert import EVENTS
from watchbell.engine.ends import Taken
from watchbell.testing import Lasting

Begin = Callable[..., Story]


def failing(outcomes: list[str], **options: Any) -> Callable[[Watchbell], None]:
    """A job that ends as the list says, one after the other, and succeeds from then on."""

    def declare(bell: Watchbell) -> None:
        @bell.schedule(cron("*/10 * * * *", tz="UTC"), **options)
        def work() -> Lasting | None:
            how = outcomes.pop(0) if outcomes else "fine"
            if how == "bad":
                raise RuntimeError("no paper")
            return Lasting("5m") if how == "long" else None

    return declare


def test_S3_after_so_many_failures_in_a_row_it_is_paused_with_a_note(story: Begin) -> None:
    begun = story(failing(["bad"] * 9, pause_after_failures=3))
    begun.until("01:05")
    assert begun.states() == ["failed"] * 3
    (view,) = begun.bell.schedules().items
    assert view.standing == "paused"
    note = "Its last 3 runs have failed, and pause_after_failures is 3; resume it when it is mended."
    assert begun.rows("SELECT actor, note, from_at FROM pause") == [("watchbell", note, 1795221000000000)]
    assert begun.rows("SELECT actor, action, subject FROM audit_event WHERE action = 'schedule.paused'") == [
        ("watchbell", "schedule.paused", "work")
    ]
    begun.audit()


def test_S3_a_success_ends_the_row_and_a_timeout_counts(story: Begin) -> None:
    begun = story(failing(["bad", "long", "fine", "bad", "long"], pause_after_failures=3, timeout="1m"))
    begun.until("01:05")
    assert begun.states() == ["failed", "timed_out", "succeeded", "failed", "timed_out", "succeeded"]
    begun.audit()


def test_S3_a_resume_counts_from_nothing_and_the_count_outlives_a_restart(tmp_path: Path) -> None:
    outcomes = ["bad"] * 20
    begun = Story(failing(outcomes, pause_after_failures=3), file=tmp_path / "a.db")
    begun.until("00:25")
    begun.restart()
    begun.until("00:45")
    assert begun.states() == ["failed"] * 3
    begun.bell.resume("work")
    begun.until("01:05")
    assert begun.states() == ["failed"] * 5
    begun.restart()
    begun.until("02:05")
    assert begun.states() == ["failed"] * 6
    begun.audit()
    begun.bell.stop()


def test_S3_a_failure_that_is_tried_again_is_none_and_runs_by_hand_do_not_count(story: Begin) -> None:
    begun = story(failing(["bad"] * 4, pause_after_failures=2, retry=retry(max=2, delay="1s", jitter=False)))
    begun.until("00:12")
    assert begun.states() == ["failed"]
    begun.until("00:15")
    begun.bell.run_now("work")
    begun.until("00:25")
    assert begun.states() == ["failed", "failed", "succeeded"]
    (view,) = begun.bell.schedules().items
    assert view.standing == "on"
    begun.audit()


def test_S3_a_lost_run_neither_counts_nor_ends_the_row(tmp_path: Path) -> None:
    begun = Story(failing(["bad", "long", "bad"], pause_after_failures=2), file=tmp_path / "a.db")
    begun.until("00:22")
    begun.restart(after="1m")
    begun.until("01:00")
    assert begun.states() == ["failed", "lost", "failed"]
    begun.audit()
    begun.bell.stop()


def test_S3_the_pause_is_owed_in_the_write_of_the_failure_and_outlives_a_death(tmp_path: Path) -> None:
    begun = Story(failing(["bad"] * 3, pause_after_failures=1), file=tmp_path / "a.db")
    node = begun.node
    node._bell._turn_while_there_is_more = lambda: None  # type: ignore[method-assign]
    begun.until("00:10")
    node._bell._turn(Taken(), 0)
    node._bell._begin()
    node._bell._settle()  # it dies behind this write
    assert begun.rows("SELECT kind FROM pending_change") == [("pause",)]
    begun.restart(after="1h")
    begun.until("01:30")
    assert begun.states()[0] == "failed"
    assert begun.rows("SELECT kind FROM pending_change") == []
    assert begun.value("SELECT standing FROM schedule") == "paused"
    begun.audit()
    begun.bell.stop()


def test_S3_an_alert_rule_may_ask_for_it(story: Begin) -> None:
    assert "paused" in EVENTS
    begun = story(failing(["bad"] * 3, pause_after_failures=2))
    alert_on(begun, "paused")
    begun.until("00:25")
    (row,) = begun.rows("SELECT event, subject, text FROM alert")
    assert row[:2] == ("paused", "work")
    assert row[2].startswith(
        "work was paused by watchbell (due 2026-11-21T00:20:00Z): Its last 2 runs have failed"
    )


@pytest.mark.parametrize("options", [{}, {"pause_after_failures": 3}])
def test_S3_a_run_that_succeeds_costs_three_row_writes_all_the_same(
    story: Begin, options: dict[str, Any]
) -> None:
    begun = story(failing([], **options))
    begun.until("00:09")
    with Writes(begun) as written:
        begun.until("00:10")
    for kept in ("update node", "update clock_seen"):  # what an engine writes whether or not anything is due
        written.pop(kept, 0)
    assert dict(written) == {"insert occurrence": 1, "update cursor": 1, "update occurrence": 1}
