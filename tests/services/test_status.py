"""The status: who acts, what is due, what is overdue and why, how it has been going."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases
from tests.services.people import NOW, WHO, add, end, plan
from watchbell.clock import SystemClock
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND, to_datetime
from watchbell.core.states import LIVE, sql_list
from watchbell.core.triggers import cron, every, manual
from watchbell.services import engines, previews, schedules
from watchbell.services.status import StatusView, status
from watchbell.store import listing, nodes
from watchbell.store.base import Store
from watchbell.store.nodes import NodeInfo


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = databases.opened(NOW, tmp_path / "bell.db")
    yield made
    made.close()


def engine(store: Store, at: int = NOW, pid: int = 7, name: str = "bell") -> int:
    info = NodeInfo(name, "here", pid, "boot", "1.0", {"command": 4})
    return store.write(lambda tx: nodes.register(tx, info, at))[0]


def nobody_knows(host: str, boot_id: str, pid: int) -> bool | None:
    return None


def look(store: Store, now: int = NOW) -> StatusView:
    return status(store, now=now, alive=nobody_knows)


def test_an_empty_database_has_a_status(store: Store) -> None:
    view = look(store)
    assert not view.running
    assert view.engine.sentence.startswith("no engine has ever run on this database")
    assert (view.total, view.next_run, view.success_rate, view.unread_alerts) == (0, None, "n/a", 0)
    assert view.to_json()["runs"] == dict.fromkeys(
        ("waiting", "queued", "held", "claimed", "running", "retrying"), 0
    )


def test_S0_6_the_fields_of_the_status(store: Store) -> None:
    engine(store)
    add(store, "site", tags=("website",))
    add(store, "not a site", cron("0 12 * * *", tz="Europe/Berlin"), tags=("websites",))
    add(store, "off", tags=("website",), enabled=False)
    add(store, "by hand", manual())
    data = look(store).to_json()
    assert data["running"] is data["thread_alive"] is True
    assert (data["scheduled_websites"], data["active_jobs"], data["consecutive_errors"]) == (1, 3, 0)
    assert data["next_run"] == "2026-11-21T08:00:10Z"
    assert data["next_due"] == {
        "schedule": "site", "due_at": "2026-11-21T08:00:10Z", "local": "2026-11-21T08:00:10+00:00", "tz": "UTC"
    }  # fmt: skip
    assert data["schedules"] == {
        "total": 4, "enabled": 3, "disabled": 1, "paused": 0, "set_aside": 0, "undeclared": 0, "scheduled": 2
    }  # fmt: skip


def test_the_next_run_is_aware_and_in_the_schedules_zone(store: Store) -> None:
    add(store, "a", cron("0 12 * * *", tz="Europe/Berlin"))
    found = look(store).next_run
    assert found == to_datetime(NOW + 3 * HOUR)
    assert found is not None
    assert found.isoformat() == "2026-11-21T12:00:00+01:00"


def test_S1_17_a_next_run_is_never_in_the_past(store: Store) -> None:
    add(store, "late", every("1h"))
    add(store, "soon", every("2h"))
    view = look(store, NOW + HOUR + 12 * MINUTE)
    assert view.next_due is not None
    assert (view.next_due.schedule, view.next_due.at) == ("soon", NOW + 2 * HOUR)
    assert view.overdue_count == 1
    assert view.overdue[0].sentence.startswith("late is overdue by 12 min: no engine has ever run")


def test_what_waits_in_the_ledger_is_overdue_with_its_reason(store: Store) -> None:
    add(store, "a", every("1h"))
    plan(store, NOW + HOUR)
    engine(store, NOW + HOUR)
    store.write(lambda tx: nodes.heartbeat(tx, 1, NOW + HOUR + 5 * MINUTE))
    view = look(store, NOW + HOUR + 5 * MINUTE)
    assert (view.overdue_count, view.overdue[0].run) == (1, 1)
    assert (
        "a is overdue by 5 min: run_1 waits for a free slot of the command lane" in view.overdue[0].sentence
    )


def test_a_silent_engine_is_not_called_running(store: Store) -> None:
    engine(store)
    assert look(store, NOW + 10 * SECOND).running
    view = look(store, NOW + MINUTE)
    assert not view.running
    assert "has not reported for 1 min" in view.engine.sentence


def test_an_engine_whose_process_is_gone_is_not_called_running(store: Store) -> None:
    engine(store)
    view = status(store, now=NOW + SECOND, alive=lambda host, boot, pid: False)
    assert not view.running
    assert "process 7 of node bell has died without a word" in view.engine.sentence


def test_an_engine_that_stopped_says_when(store: Store) -> None:
    node = engine(store)
    store.write(lambda tx: nodes.end(tx, node, "stopped", NOW + SECOND))
    assert "stopped 1 min ago" in look(store, NOW + 61 * SECOND).engine.sentence


def test_only_the_engine_of_the_present_epoch_is_the_engine(store: Store) -> None:
    engine(store, name="old")
    engine(store, name="new")
    view = look(store)
    assert view.engine.engine is not None
    assert (view.engine.engine.name, [node.name for node in view.engine.stand_bys]) == ("new", ["old"])


def test_a_command_that_is_carried_out_by_itself_is_no_engine(store: Store) -> None:
    info = NodeInfo("exec", "here", 9, "boot", "1.0", {"command": 1}, labels=(nodes.exec_label(5),))
    node = store.write(lambda tx: nodes.register(tx, info, NOW, acting=False))[0]
    assert not look(store).running
    store.write(lambda tx: nodes.end(tx, node, "stopped", NOW))
    assert "no engine has ever run" in look(store).engine.sentence
    engine(store)
    store.write(lambda tx: nodes.register(tx, info, NOW, acting=False))
    view = look(store)
    assert view.engine.engine is not None
    assert (view.engine.engine.name, view.engine.stand_bys) == ("bell", ())


def test_whether_a_process_lives_is_known_of_this_machine_only() -> None:
    host, boot = socket.gethostname(), SystemClock().boot_id()
    assert engines.process_alive(host, boot, os.getpid()) is True
    assert engines.process_alive("elsewhere", boot, os.getpid()) is None
    assert engines.process_alive(host, "another boot", os.getpid()) is None
    assert engines.process_alive(host, boot, 0) is None


def test_S4_7_the_success_rate_counts_what_ran(store: Store) -> None:
    add(store, "a")
    for n, state in enumerate(("succeeded", "succeeded", "failed", "skipped"), 1):
        plan(store, NOW + n * 10 * SECOND)
        end(store, n, state)
    view = look(store, NOW + MINUTE)
    assert view.success_rate == "66.7%"
    assert view.ended == {"succeeded": 2, "failed": 1, "skipped": 1}


def test_what_ended_longer_ago_than_a_day_does_not_count(store: Store) -> None:
    add(store, "a", every("10h"))
    for n in range(1, 5):
        plan(store, NOW + n * 10 * HOUR)
        end(store, n)
    view = look(store, NOW + 45 * HOUR)
    assert view.ended == {"succeeded": 2}
    assert view.ended_since == NOW + 45 * HOUR - DAY


def test_the_endings_are_counted_over_a_bounded_piece_of_the_ledger(store: Store) -> None:
    add(store, "a")
    for n in range(1, 8):
        plan(store, NOW + n * 10 * SECOND)
        end(store, n)
    since, counted = store.read(lambda tx: listing.endings(tx, NOW, 3))
    assert counted == {"succeeded": 3}
    assert since == NOW + 50 * SECOND, "and it says since when"


@pytest.mark.parametrize("place", range(9))
def test_the_first_row_written_since_an_instant_is_found_by_halving(store: Store, place: int) -> None:
    from watchbell.store.ledger import first_written_since

    add(store, "a")
    for n in range(1, 8):
        plan(store, NOW + n * 10 * SECOND)
        end(store, n)
    store.write(lambda tx: tx.run("DELETE FROM occurrence WHERE id IN (2, 3)"))
    at = NOW + place * 10 * SECOND
    plain = store.read(lambda tx: tx.value("SELECT min(id) FROM occurrence WHERE planned_at >= ?", (at,)))
    found = store.read(lambda tx: first_written_since(tx, at))
    kept = store.read(lambda tx: tx.value("SELECT min(id) FROM occurrence WHERE id >= ?", (found,)))
    assert kept == plain


def test_paused_and_set_aside_are_counted_apart(store: Store) -> None:
    add(store, "a")
    add(store, "b")
    schedules.pause(store, "a", now=NOW, actor=WHO)
    view = look(store)
    assert (view.total, view.enabled, view.paused, view.scheduled) == (2, 1, 1, 1)


@pytest.mark.sqlite
def test_the_status_reads_no_whole_ledger(store: Store) -> None:
    """Every statement on the ledger goes through an index or a bounded piece of the primary key."""
    plans = []
    for sql in (
        f"SELECT state, count(*) FROM occurrence WHERE state IN ({sql_list(LIVE)}) GROUP BY state",
        "SELECT state, count(*) FROM occurrence WHERE id >= 5 GROUP BY state",
        "SELECT schedule, next_due FROM cursor WHERE next_due > 5 ORDER BY next_due LIMIT 1",
        "SELECT count(*) FROM cursor WHERE next_due < 5",
        "SELECT count(*) FROM cursor WHERE next_due IS NOT NULL",
    ):
        plans += [row[3] for row in store.read(lambda tx, sql=sql: tx.rows(f"EXPLAIN QUERY PLAN {sql}"))]  # type: ignore[misc]
    scans = [line for line in plans if line.startswith("SCAN") and "INDEX" not in line]
    assert scans == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("30 2 * * 1-5", "cron"), ("@daily", "cron"), ("cron 0 3 * * * tz=Europe/Berlin", "cron"), ("15m", "interval"),
        ("1 h", "interval"), ("every 2s", "interval"), ("2026-12-24 18:00", "once"), ("manual", "manual"), ("0s", "manual"),
    ],
)  # fmt: skip
def test_a_rule_is_read_however_a_person_writes_it(text: str, kind: str) -> None:
    assert previews.read_rule(text, "Europe/Berlin").kind == kind


def test_a_preview_needs_no_database() -> None:
    found = previews.of_rule(cron("30 2 * * *", tz="Europe/Berlin"), after=NOW, count=2)
    assert [item["due_at"] for item in found.to_json()["items"]] == [
        "2026-11-22T01:30:00Z",
        "2026-11-23T01:30:00Z",
    ]
    assert previews.of_rule(manual(), after=NOW, count=2).note


def test_a_preview_of_a_paused_schedule_says_so(store: Store) -> None:
    add(store, "a")
    schedules.pause(store, "a", now=NOW, actor=WHO)
    found = previews.of_schedule(store, "a", after=NOW, count=3)
    assert found is not None
    assert len(found.instants) == 3
    assert "is paused" in found.note
    assert previews.of_schedule(store, "b", after=NOW, count=3) is None


def test_each_schedule_that_is_set_aside_is_listed_with_its_reason(store: Store) -> None:
    for n in range(22):
        add(store, f"site {n:02}", every("1h"))
    plan(store, NOW + HOUR)
    why = "UPDATE schedule SET standing = 'set_aside', set_aside = 'the row is bad.' WHERE name <> 'site 03'"
    store.write(lambda tx: tx.run(why))
    store.write(lambda tx: tx.run("UPDATE cursor SET next_due = NULL"))
    view = look(store, NOW + HOUR + 5 * MINUTE)
    assert (view.set_aside, len(view.aside)) == (21, 20)
    assert view.aside[0].sentence == "site 00 is set aside: the row is bad."
    told = {item.name: item.sentence for item in view.overdue}
    assert told["site 00"].startswith("site 00 is set aside: the row is bad; run_1 is overdue by 5 min: ")
    assert told["site 03"].startswith("site 03 is overdue by 5 min: ")
    assert view.to_json()["set_aside"]["total"] == 21
