"""What the watcher sees: lateness, missing handlers, long runs, and how many schedules are planned (S0.14, S1.6)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.story import Story
from watchbell import Watchbell, every, retry
from watchbell.testing import Lasting

Begin = Callable[..., Story]


def lasting(span: str, **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("2h"), **options)
        def work() -> Lasting:
            return Lasting(span)

    return declare


def alert_on(begun: Story, *events: str) -> None:
    begun.change(
        "INSERT INTO channel (id, name, kind, options, created_at) VALUES (1, 'ops', 'webhook', '{}', 0)"
    )
    begun.change(
        "INSERT INTO alert_rule (id, scope, events, channel, created_at) VALUES (1, 'workspace', ?, 1, 0)",
        json.dumps(events),
    )


def test_S1_6_one_that_waits_past_its_grace_is_overdue_and_told_once(story: Begin) -> None:
    told: list[Any] = []
    begun = story(lasting("1m", grace="5m"))
    begun.bell.on("occurrence.overdue")(told.append)
    alert_on(begun, "late")
    begun.node.set_slots(thread=0)
    begun.until("02:05")
    assert told == []
    begun.until("02:40")
    assert [item["schedule"] for item in told] == ["work"]
    assert begun.rows("SELECT event, text FROM alert") == [
        ("late", "work is late (due 2026-11-21T02:00:00Z): overdue by 6 min, it waits for a free slot.")
    ]
    begun.node.set_slots(thread=1)
    begun.until("02:42")
    assert begun.states() == ["succeeded"]


def test_S2_5_a_run_over_an_hour_is_told_once(story: Begin) -> None:
    begun = story(lasting("3h"))
    alert_on(begun, "running_long")
    begun.until("02:59")
    assert begun.rows("SELECT count(*) FROM alert") == [(0,)]
    begun.until("04:30")
    assert begun.rows("SELECT event, subject FROM alert") == [("running_long", "work")]


def test_a_start_deadline_that_passes_frees_the_gate_for_the_next(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(concurrency=1)
        def work() -> None: ...

        bell.add_schedule("a", work, every("2h"), start_deadline="5m")
        bell.add_schedule("b", work, every("2h"))

    begun = story(declare)
    begun.node.set_slots(thread=0)
    begun.until("02:04")
    assert (begun.states("a"), begun.states("b")) == (["queued"], ["held"])
    begun.until("02:10")
    assert (begun.seen("a"), begun.states("b")) == ([("02:00", "missed", "start_deadline")], ["queued"])
    begun.node.set_slots(thread=1)
    begun.until("02:12")
    assert begun.states("b") == ["succeeded"]


def test_a_key_is_kept_and_then_free_when_its_run_never_found_its_code(story: Begin) -> None:
    """The code goes away while a run with a business key is queued."""
    jobs: list[Any] = []

    def declare(bell: Watchbell) -> None:
        @bell.job
        def mail(to: str) -> None: ...

        jobs.append(mail)

    begun = story(declare)
    begun.node.set_slots(thread=0)
    jobs[0].enqueue(to="anna", key="invoice-7")
    begun.bell._declared.handlers._by_name.clear()
    begun.until("00:05")
    assert begun.seen() == [("00:00", "missed", "handler_missing")]
    assert begun.rows("SELECT expires_at IS NOT NULL FROM business_key") == [(1,)]


def test_code_that_goes_away_between_two_attempts_is_a_failure_that_frees_what_it_had(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(concurrency=1, retry=retry(3, delay="10s", jitter=False))
        def work() -> None:
            raise OSError("no")

        @bell.job
        def other() -> None: ...

        bell.add_schedule("work", work, every("2h"), overlap="queue_one")

    begun = story(declare)
    begun.until("02:00")
    assert begun.states() == ["retrying"]
    begun.bell._declared.handlers._by_name.pop("work")
    begun.change("UPDATE job SET changed_at = changed_at")
    begun.until("02:20")
    assert begun.seen() == [("02:00", "failed", "handler_missing")]
    assert begun.rows("SELECT active FROM gate") == [(0,)]


def test_what_waits_for_its_time_and_then_for_its_code_is_missed(story: Begin) -> None:
    jobs: list[Any] = []

    def declare(bell: Watchbell) -> None:
        @bell.job
        def mail() -> None: ...

        jobs.append(mail)

    begun = story(declare)
    jobs[0].enqueue_in("10m")
    begun.bell._declared.handlers._by_name.clear()
    begun.change("UPDATE job SET changed_at = changed_at")
    begun.until("00:10")
    assert begun.states() == ["waiting"]
    begun.live("2026-11-21T00:15:00Z")
    assert begun.seen() == [("00:10", "missed", "handler_missing")]


def test_the_code_of_a_schedule_that_comes_due_each_ten_seconds_is_missed_as_well(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> None: ...

        bell.add_schedule("work", work, every("10s"))

    begun = story(declare)
    begun.bell._declared.handlers._by_name.clear()
    begun.change("UPDATE job SET changed_at = changed_at")
    begun.live("2026-11-21T00:00:55Z")
    assert "missed" not in begun.states()
    begun.live("2026-11-21T00:05:00Z")
    missed = [one for one in begun.seen() if one[1] == "missed"]
    assert {reason for _, _, reason in missed} == {"handler_missing"}
    assert 2 <= len(missed) <= 5


def test_a_missing_handler_may_be_waited_for_as_long_as_it_takes(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(hold_if_missing=True)
        def work() -> None: ...

        bell.add_schedule("work", work, every("2h"))

    begun = story(declare)
    handlers = dict(begun.bell._declared.handlers._by_name)
    begun.bell._declared.handlers._by_name.clear()
    begun.change("UPDATE job SET changed_at = changed_at")
    begun.until("03:00")
    assert begun.states() == ["queued"]
    begun.bell._declared.handlers._by_name.update(handlers)
    begun.change("UPDATE job SET changed_at = changed_at")
    begun.until("03:01")
    assert begun.states() == ["succeeded"]


def test_S0_14_the_number_of_schedules_is_told_at_every_change_and_hourly(
    story: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "watchbell.engine")
    begun = story(lasting("1m"))
    begun.live("2026-11-21T02:30:00Z", by="5m")
    lines = [
        record.getMessage() for record in caplog.records if record.getMessage().startswith("engine.schedules")
    ]
    assert lines[0] == "engine.schedules: 1 on, 1 scheduled, next due 2026-11-21T02:00:00Z"
    assert len(lines) == 3
    begun.bell.pause("work")
    begun.live("2026-11-21T02:40:00Z", by="5m")
    lines = [
        record.getMessage() for record in caplog.records if record.getMessage().startswith("engine.schedules")
    ]
    assert lines[3:] == ["engine.schedules: 0 on, 0 scheduled, next due none"]


def test_S0_14_a_warning_when_schedules_are_on_and_none_is_planned(
    story: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    begun = story(lasting("1m"))
    begun.live("2026-11-21T00:05:00Z")
    begun.change("UPDATE cursor SET next_due = NULL")
    begun.live("2026-11-21T00:10:00Z")
    said = [record.getMessage() for record in caplog.records if "nothing_scheduled" in record.getMessage()]
    assert said == ["engine.nothing_scheduled: 1 schedules are on, and none of them has a next due instant"]
    begun.change("UPDATE cursor SET next_due = planned_until + 1")
    begun.change("DELETE FROM cursor")  # the story ends here: nothing is implied beyond what is planned
    begun.change("UPDATE schedule SET ended_at = 1")
    begun.change("UPDATE schedule_version SET effective_to = effective_from")


def test_S0_14_a_chain_whose_run_goes_on_is_no_reason_to_warn(
    story: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m", after_completion=True))
        def sync() -> Lasting:
            return Lasting("30m")

    begun = story(declare)
    begun.live("2026-11-21T02:00:00Z")
    assert [record for record in caplog.records if "nothing_scheduled" in record.getMessage()] == []
