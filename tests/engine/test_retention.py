"""Retention: whole days become totals a few rows at a time, and the audit holds before, between and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story
from watchbell import Run, Watchbell
from watchbell.core.instants import DAY, HOUR, parse_instant
from watchbell.core.retention import Keep, day_of
from watchbell.engine.housekeeper import FIRST_US, Housekeeper
from watchbell.errors import BadConfiguration, BadPolicy
from watchbell.services import clock
from watchbell.store.retention import log_keeping
from watchbell.store.retention.housekeeping import Housekeeping
from watchbell.store.retention.passes import last_pass

START = parse_instant("2026-11-21T00:00:00Z")
SHORT: dict[str, Any] = {"occurrences": "2d", "logs": "1d"}


def every_hour(bell: Watchbell) -> None:
    @bell.schedule("every 1h")
    def tidy() -> None: ...


def totals(story: Story) -> dict[int, dict[str, int]]:
    """The roll-ups by day, counted from the first day of the story."""
    rows = story.rows("SELECT day, counts FROM rollup ORDER BY day")
    return {day - day_of(START): json.loads(counts) for day, counts in rows}


def keeping(story: Story, **keep: int) -> Housekeeping:
    return Housekeeping(story.bell._open(), Keep(**{"occurrences_us": 2 * DAY, **keep}))


def test_S1_15_whole_days_that_are_old_enough_become_totals_and_the_audit_holds() -> None:
    story = Story(every_hour, keep=SHORT)
    story.live("2026-11-26T13:00:00Z", by="6h")
    # On the 26th two whole days are kept, and the rest of the day on which they began.
    assert totals(story) == {0: {"succeeded": 23}, 1: {"succeeded": 24}, 2: {"succeeded": 24}}
    assert story.value("SELECT min(due_at) FROM occurrence") == START + 3 * DAY
    assert story.value("SELECT closed_until FROM schedule") == START + 3 * DAY - 1
    report = story.audit()
    assert (report.occurrences, report.closed_days) == (5 * 24 + 13, 3)
    assert "the totals of 3 closed days" in report.sentence


@pytest.mark.many_turns
def test_each_cut_between_two_steps_loses_and_doubles_nothing() -> None:
    """A crash falls between two transactions: after each of them the sum is the same, and a new process goes on."""
    story = Story(every_hour)
    story.live("2026-11-22T12:00:00Z", by="6h")
    story.bell.pause("tidy")
    story.live("2026-11-25T06:00:00Z", by="6h")  # its span crosses three midnights
    story.bell.resume("tidy")
    story.live("2026-11-27T00:00:00Z", by="6h")
    story.bell.run_now("tidy")
    story.live("2026-12-01T12:00:00Z", by="6h")
    before = story.audit().occurrences
    steps = 0
    while True:
        tidy = keeping(story)
        tidy.limit = 7
        for _ in range(40):  # up to the first step that removes something; then this process is gone
            if not tidy.step(story.now) or tidy.done.any:
                break
        assert story.audit().occurrences == before
        if not tidy.done.any:
            break
        steps += 1
    assert steps > 20
    assert totals(story)[2] == {"skipped: paused": 24}
    assert sum(sum(day.values()) for day in totals(story).values()) == 8 * 24 - 1
    assert story.rows("SELECT job, counts FROM rollup_by_hand") == [(1, '{"succeeded": 1}')]
    assert story.spans() == []


@pytest.mark.many_turns
def test_what_still_goes_on_keeps_its_day_open() -> None:
    story = Story(every_hour)
    story.live("2026-11-26T12:00:00Z", by="6h")
    story.change(
        "UPDATE occurrence SET state = 'queued', ended_at = NULL WHERE due_at = ?", START + DAY + DAY // 2
    )
    keeping(story).run(story.now)
    assert story.value("SELECT closed_until FROM schedule") == START + DAY - 1
    assert sorted(totals(story)) == [0]


def test_a_pause_that_lasts_keeps_the_days_open_that_are_not_accounted_for_yet() -> None:
    story = Story(every_hour)
    story.live("2026-11-22T12:00:00Z", by="6h")
    story.bell.pause("tidy")
    story.live("2026-11-30T00:00:00Z", by="1d")
    keeping(story).run(story.now)
    assert story.value("SELECT closed_until FROM schedule") == START + DAY - 1
    story.bell.resume("tidy")
    keeping(story).run(story.now)
    assert totals(story)[1] == {"skipped: paused": 11, "succeeded": 13}
    story.audit()


def test_the_audit_sees_totals_that_are_wrong() -> None:
    story = Story(every_hour, keep=SHORT)
    story.live("2026-11-25T00:00:00Z", by="6h")
    story.change("UPDATE rollup SET counts = '{\"succeeded\": 20}' WHERE day = ?", day_of(START) + 1)
    report = story.bell.audit()
    assert (report.unaccounted, report.invented) == (4, 0)
    assert (
        "was due 24 times on 2026-11-22, a closed day, and its totals say 20" in report.findings[0].sentence
    )
    story.change(
        'UPDATE rollup SET counts = \'{"succeeded": 26, "superseded": 3}\' WHERE day = ?', day_of(START) + 1
    )
    assert (story.bell.audit().unaccounted, story.bell.audit().invented) == (0, 2)
    day_two = story.bell.audit(from_at=parse_instant_aware("2026-11-23T00:00:00Z"))
    assert day_two.invented == 0


def parse_instant_aware(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)


def test_a_job_may_keep_its_own_for_longer_or_shorter() -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule("every 6h")
        @bell.job(keep="1d")
        def short() -> None: ...

        @bell.schedule("every 6h")
        @bell.job(keep="10d")
        def long() -> None: ...

    story = Story(declare, keep=SHORT)
    story.live("2026-11-26T12:00:00Z", by="6h")
    closed = dict(story.rows("SELECT name, closed_until FROM schedule"))
    assert closed == {"short": START + 4 * DAY - 1, "long": 0}
    story.audit()


def test_explain_says_that_a_day_is_closed() -> None:
    story = Story(every_hour, keep=SHORT)
    story.live("2026-11-26T12:00:00Z", by="6h")
    told = story.bell.explain("tidy", parse_instant_aware("2026-11-21T05:00:00Z")).sentence
    assert "its row has been removed by retention, and the totals of its day remain" in told


def test_a_chain_and_its_runs_by_hand_go_without_a_gap_in_what_is_left() -> None:
    def declare(bell: Watchbell) -> None:
        from watchbell import every

        @bell.schedule(every("9h", after_completion=True))
        def poll() -> None: ...

    story = Story(declare, keep=SHORT)
    for day in range(22, 30):
        story.live(f"2026-11-{day}T05:00:00Z", by="3h")
        story.bell.run_now("poll")
    story.live("2026-12-02T00:00:00Z", by="3h")
    story.audit()
    assert story.value("SELECT count(*) FROM rollup_by_hand") > 3
    assert story.value("SELECT count(*) FROM rollup") > 5


def test_a_database_that_is_left_alone_for_long_is_tidied_after_its_start(tmp_path: Path) -> None:
    story = Story(every_hour, file=tmp_path / "bell.db", keep=SHORT)
    story.live("2026-11-22T00:00:00Z", by="6h")
    story.restart(after="60d")
    story.live("2027-01-22T01:00:00Z", by="1d")
    story.audit()
    # What was missed for so long is one span, which went day by day.
    assert story.value("SELECT count(*) FROM rollup") > 55


# --- logs -------------------------------------------------------------------------------------------------------------


def talking(bell: Watchbell) -> None:
    @bell.schedule("every 6h")
    def talk(run: Run) -> None:
        for number in range(50):
            run.log(f"line {number:04} " + "x" * 90)


def logs(story: Story, run_: int) -> list[str]:
    return [row[0] for row in story.rows("SELECT text FROM run_log WHERE run = ? ORDER BY seq", run_)]


def test_logs_go_by_age_and_leave_a_line_that_says_so() -> None:
    story = Story(talking, keep={"logs": "1d"})
    story.live("2026-11-23T12:30:00Z", by="6h")
    assert logs(story, 1) == [
        "The log of 50 lines was removed: logs are kept for 1 d (2026-11-23T00:00:00Z)."
    ]
    newest = story.value("SELECT max(id) FROM occurrence")
    assert len(logs(story, newest)) == 50
    story.audit()


def test_logs_of_one_job_and_of_all_have_a_quota_and_the_oldest_go_first() -> None:
    story = Story(talking)
    story.live("2026-11-24T12:30:00Z", by="6h")
    one = 50 * (100 + 16)
    tidy = keeping(story, occurrences_us=400 * DAY, logs_of_job_bytes=5 * one, logs_bytes=100 * one)
    tidy.limit = 13  # a log is cut over several steps
    tidy.run(story.now)
    kept = [run_ for (run_,) in story.rows("SELECT run FROM log_size WHERE bytes > 0 ORDER BY run")]
    newest = story.value("SELECT max(id) FROM occurrence")
    assert kept == list(range(newest - 3, newest + 1))  # a tenth below the limit
    assert "to keep the logs of talk below" in logs(story, 1)[0]
    assert story.value("SELECT bytes FROM log_total") == 4 * one
    keeping(story, occurrences_us=400 * DAY, logs_bytes=2 * one).run(story.now)
    assert "to keep all logs below" in logs(story, newest - 3)[0]
    assert len(logs(story, newest)) == 50


def test_the_sums_of_logs_are_what_is_there_when_runs_have_gone_as_well() -> None:
    story = Story(talking)
    story.live("2026-11-28T12:30:00Z", by="6h")
    keeping(story).run(story.now)
    assert story.value("SELECT bytes FROM log_total") == story.value("SELECT sum(bytes) FROM log_size") > 0
    assert story.value("SELECT count(DISTINCT run) FROM run_log") == story.value(
        "SELECT count(*) FROM occurrence"
    )
    assert log_keeping.NOTICE == 0


# --- what stands beside -----------------------------------------------------------------------------------------------


def test_free_keys_old_alerts_and_old_events_go_and_others_stay() -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule("every 12h")
        def tidy() -> None: ...

    story = Story(declare)
    story.live("2026-11-21T02:00:00Z", by="1h")
    tidy = story.bell._declared.jobs["tidy"]
    tidy.enqueue(key="free")
    story.live("2026-12-30T00:00:00Z", by="1d")
    tidy.enqueue(key="taken")
    for number, at in ((1, START), (2, story.now)):
        story.change(
            "INSERT INTO alert (id, rule, channel, event, subject, text, dedupe, raised_at, state, ended_at) "
            "VALUES (?, 1, 1, 'failed', 'tidy', 'it failed', ?, ?, 'delivered', ?)",
            number, f"d{number}", at, at,
        )  # fmt: skip
        story.change("INSERT INTO delivery (alert, number, at, ok) VALUES (?, 1, ?, 1)", number, at)
    events = story.value("SELECT count(*) FROM audit_event WHERE at < ?", story.now - 10 * DAY)
    done = keeping(story, alerts_us=10 * DAY, changes_us=10 * DAY).run(story.now)
    assert story.rows("SELECT key FROM business_key") == [("taken",)]
    assert story.rows("SELECT id FROM alert") == [(2,)]
    assert story.rows("SELECT alert FROM delivery") == [(2,)]
    assert (done.alerts, done.changes) == (1, events)
    assert story.bell._open().read(last_pass)["at"] == story.now


def test_keep_times_are_checked() -> None:
    with pytest.raises(BadConfiguration, match="at least a day"):
        Watchbell("sqlite://", keep={"occurrences": "1h"})
    with pytest.raises(BadConfiguration, match="keep has no 'rows'"):
        Watchbell("sqlite://", keep={"rows": "1h"})
    with pytest.raises(BadPolicy, match="keep is at least a day"):
        Watchbell("sqlite://").job(keep="1m")(lambda: None)


def test_the_number_of_a_run_that_was_removed_is_never_given_to_another() -> None:
    """Its key has been sent to others, who take what comes with it again for the same run."""

    def declare(bell: Watchbell) -> None:
        @bell.job
        def once_in_a_while() -> None: ...

    story = Story(declare, keep=SHORT)
    first = story.bell.run_now("once_in_a_while").run
    story.live("2026-11-30T12:00:00Z", by="6h")
    assert story.value("SELECT count(*) FROM occurrence") == 0
    assert story.bell.run_now("once_in_a_while").run == first + 1


@pytest.mark.many_turns
def test_a_clock_that_nobody_has_confirmed_removes_nothing(tmp_path: Path) -> None:
    """What is removed does not come back when the clock is set right: neither in doubt, nor while the backlog is held."""
    story = Story(every_hour, file=tmp_path / "w.db", keep=SHORT)
    story.live("2026-11-23T12:00:00Z", by="6h")
    story.clock.step(400 * DAY)
    story.node.advance("5m")
    assert story.value("SELECT standing FROM clock_trust") == "suspect"
    story.restart()
    story.node.step()
    assert story.node.house.doubt_us == 400 * DAY
    story.node.advance("2d")
    assert story.value("SELECT standing FROM clock_trust") == "holding"
    assert (totals(story), story.value("SELECT min(due_at) FROM occurrence")) == ({}, START + HOUR)
    clock.confirm(story.bell._open(), now=story.now, actor="a person")
    story.node.advance("2d")
    assert totals(story)[0] == {"succeeded": 23}
    story.audit()


def test_a_step_of_the_clock_that_the_loop_has_not_seen_removes_nothing() -> None:
    story = Story(every_hour, keep=SHORT)
    story.live("2026-11-23T12:00:00Z", by="6h")
    keeper = Housekeeper(story.node.house)
    keeper.step()
    story.clock.step(400 * DAY)
    assert keeper.step() == FIRST_US
    assert totals(story) == {}
    assert keeper.step() != FIRST_US  # were the loop to believe it, it would go on
