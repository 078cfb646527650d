"""What the engine finds out by itself and tells: a start that came too late, a run that takes unusually long, and
schedules of which none is planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import databases
from watchbell import Run, Watchbell, every
from watchbell.services.alerts import NewRule, add
from watchbell.testing import Lasting, ManualClock, StepNode

WEBHOOK = {"url": "http://127.0.0.1:9/told", "secret": "a secret of its own"}


def told_of(bell: Watchbell, clock: ManualClock, *events: str) -> None:
    rule = NewRule("webhook", WEBHOOK, "workspace", "", events, 1)
    add(bell._open(), rule, now=clock.wall_us(), actor="test")


def alerts(node: StepNode) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in node.rows("SELECT event, subject FROM alert ORDER BY id")]


def test_a_queued_occurrence_never_starts_after_its_start_deadline() -> None:
    clock = ManualClock.at("2026-11-21T00:00:00Z")
    bell = Watchbell(databases.fresh(), clock=clock)
    ran: list[str] = []

    @bell.schedule(every("1h"), start_deadline="10s")
    @bell.job
    def prompt() -> None:
        ran.append("prompt")

    told_of(bell, clock, "missed")
    node = StepNode(bell)
    node.set_slots(thread=0)
    node.run_until("2026-11-21T01:00:01Z")
    node._next_watch = (
        clock.wall_us() + 3_600_000_000
    )  # the watcher is not there: the claim itself must see it
    clock.advance(30_000_000)
    node.set_slots(thread=1)
    node.step()
    assert ran == []
    assert [row[1:] for row in node.occurrences("prompt")] == [("missed", "start_deadline")]
    assert alerts(node) == [("missed", "prompt")]
    assert bell.audit().ok


def test_a_run_that_takes_three_times_as_long_as_usual_is_told_once() -> None:
    clock = ManualClock.at("2026-11-21T00:00:00Z")
    bell = Watchbell(databases.fresh(), clock=clock)
    lengths = iter(["1m"] * 9 + ["20m"])

    @bell.schedule(every("30m"))
    @bell.job
    def report() -> Lasting:
        return Lasting(next(lengths))

    told_of(bell, clock, "running_long")
    node = StepNode(bell)
    node.run_until("2026-11-21T05:02:00Z")
    assert alerts(node) == []
    node.run_until("2026-11-21T05:25:00Z")
    assert alerts(node) == [("running_long", "report")]


def test_S0_14_an_alert_when_schedules_are_on_and_none_is_planned() -> None:
    clock = ManualClock.at("2026-11-21T00:00:00Z")
    bell = Watchbell(databases.fresh(), clock=clock)

    @bell.schedule(every("1h"))
    @bell.job
    def hourly() -> None:
        pass

    told_of(bell, clock, "missed")
    node = StepNode(bell)
    node.advance("1m")
    node.house.store.write(lambda tx: tx.run("UPDATE cursor SET next_due = NULL"))
    node.advance("3m")
    assert alerts(node) == [("missed", "watchbell")]


def test_a_run_that_has_said_something_is_known_to_have_begun(tmp_path: Path) -> None:
    clock = ManualClock.at("2026-11-21T00:00:00Z")

    def a_bell() -> Watchbell:
        bell = Watchbell(databases.at(tmp_path / "w.db"), clock=clock, revision=1)

        @bell.schedule(every("1h"))
        @bell.job
        def inventory(run: Run) -> Lasting:
            run.progress(5, of=12, message="shelves")
            return Lasting("30m")

        return bell

    first = StepNode(a_bell())
    first.run_until("2026-11-21T01:00:01Z")
    first._keeper.step()
    rows = first.rows("SELECT state, began_at IS NOT NULL FROM occurrence")
    assert rows == [("running", 1)], "its words and that it has begun are written together"
    first.house.store.write(lambda tx: tx.run("UPDATE occurrence SET state = 'claimed', began_at = NULL"))
    first.die()
    second = StepNode(a_bell())
    assert second.rows("SELECT state, reason FROM occurrence") == [("lost", "begun")]


def test_failed_runs_are_in_the_log_of_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock.at("2026-11-21T00:00:00Z")
    bell = Watchbell(databases.fresh(), clock=clock)

    @bell.schedule(every("1h"))
    @bell.job
    def breaks() -> None:
        raise ValueError("no paper")

    StepNode(bell).run_until("2026-11-21T01:00:01Z")
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("run.failed")]
    assert said == ["run.failed: breaks, run_1, attempt 1: ValueError: no paper"]
