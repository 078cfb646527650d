"""The audit on a real database: what is read, paged and reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import databases
from tests.services.ledger import T0, Ledger
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND, to_text
from watchbell.core.triggers import cron, every, manual
from watchbell.errors import NotFound
from watchbell.services.audit import audit
from watchbell.store import evidence
from watchbell.store.retention import days

HOURLY = cron("0 * * * *", tz="Europe/Berlin")


@pytest.fixture
def ledger() -> Ledger:
    """A database with an engine that is up."""
    made = Ledger()
    made.node()
    return made


def full(ledger: Ledger, name: str = "backup", hours: int = 6) -> int:
    schedule = ledger.schedule(HOURLY, name)
    for hour in range(1, hours + 1):
        ledger.row(schedule, T0 + hour * HOUR)
    return schedule


def test_an_empty_database_is_in_order() -> None:
    ledger = Ledger()
    report = audit(ledger.store, now=ledger.now)
    assert report.ok
    assert report.to_json()["items"] == []


def test_a_full_ledger_is_in_order(ledger: Ledger) -> None:
    full(ledger)
    ledger.schedule(manual(), "by hand")
    report = audit(ledger.store, now=ledger.now)
    assert report.ok
    assert (report.schedules, report.occurrences, report.rows, report.spans) == (2, 6, 6, 0)


def test_each_figure_is_counted_and_has_a_sentence(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    for hour in (1, 2, 4, 5):
        ledger.row(schedule, T0 + hour * HOUR)
    ledger.row(schedule, T0 + 6 * HOUR, "running", node=9)
    ledger.row(schedule, T0 + 90 * MINUTE)
    ledger.span(schedule, T0 - DAY, T0, 3, "missed", reason="no_capacity")
    data = audit(ledger.store, now=ledger.now).to_json()
    assert {kind: data[kind] for kind in ("unaccounted", "invented", "stuck", "contradicted")} == {
        "unaccounted": 1, "invented": 1, "stuck": 1, "contradicted": 1,
    }  # fmt: skip
    assert data["ok"] is False
    kinds = [item["kind"] for item in data["items"]]
    assert kinds == ["unaccounted", "invented", "stuck", "contradicted"]
    assert data["items"][0]["due_at"] == to_text(T0 + 3 * HOUR)
    assert all(item["sentence"].startswith("backup: ") for item in data["items"])
    json.dumps(data)


def test_it_looks_at_the_span_of_time_that_was_asked_for(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    for hour in (1, 3, 4, 6):
        ledger.row(schedule, T0 + hour * HOUR)
    whole = audit(ledger.store, now=ledger.now)
    late = audit(ledger.store, now=ledger.now, from_at=T0 + 4 * HOUR)
    early = audit(ledger.store, now=ledger.now, to_at=T0 + 4 * HOUR)
    assert (whole.unaccounted, late.unaccounted, early.unaccounted) == (2, 1, 1)
    assert (late.occurrences, early.occurrences) == (2, 4)


def test_it_looks_at_one_schedule_when_told_so(ledger: Ledger) -> None:
    full(ledger, "fine")
    ledger.schedule(HOURLY, "broken")
    assert audit(ledger.store, now=ledger.now, schedule="fine").ok
    assert audit(ledger.store, now=ledger.now, schedule="broken").unaccounted == 6
    with pytest.raises(NotFound):
        audit(ledger.store, now=ledger.now, schedule="nobody")


def test_below_closed_until_the_totals_are_checked(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY, closed_until=T0 + 6 * HOUR)
    assert audit(ledger.store, now=ledger.now).unaccounted == 6
    ledger.add("rollup", schedule=schedule, day=T0 // DAY, counts='{"succeeded": 4, "missed: downtime": 2}')
    assert audit(ledger.store, now=ledger.now).ok


def test_without_an_engine_what_is_due_is_pending() -> None:
    ledger = Ledger()
    ledger.node(up=False)
    ledger.schedule(HOURLY)
    ledger.run("UPDATE cursor SET planned_until = ?", T0)
    report = audit(ledger.store, now=ledger.now)
    assert (report.ok, report.pending, report.unaccounted) == (True, 6, 0)


def test_a_schedule_set_aside_is_unknown_and_not_in_order(ledger: Ledger) -> None:
    schedule = full(ledger, hours=2)
    ledger.run("UPDATE schedule SET set_aside = 'its zone is gone' WHERE id = ?", schedule)
    ledger.pause(schedule, "set_aside", T0 + 2 * HOUR)
    report = audit(ledger.store, now=ledger.now)
    assert not report.ok
    assert report.to_json()["unknown"] == [
        {"schedule": "backup", "since": to_text(T0 + 2 * HOUR), "why": "its zone is gone"}
    ]
    assert report.unaccounted == 0


def test_a_rule_that_nobody_can_read_is_unknown(ledger: Ledger) -> None:
    ledger.schedule(HOURLY)
    ledger.run("""UPDATE schedule_version SET trigger = '{"kind": "cron", "expression": "nonsense"}'""")
    full(ledger, "fine")
    report = audit(ledger.store, now=ledger.now)
    assert [item.schedule for item in report.unknown] == ["backup"]
    assert (report.ok, report.occurrences) == (False, 6)


def test_stored_zone_rules_are_used(ledger: Ledger) -> None:
    schedule = ledger.schedule(cron("0 5 * * *", tz="Europe/Berlin"))
    ledger.row(schedule, T0 + 4 * HOUR)
    assert audit(ledger.store, now=ledger.now).ok
    wrong = json.dumps({"name": "Europe/Berlin", "first_offset_s": 7200, "transitions": []})
    ledger.run("UPDATE zone_rules SET transitions = ?", wrong)
    assert audit(ledger.store, now=ledger.now).invented == 1


def test_gates_are_counted_again(ledger: Ledger) -> None:
    schedule = full(ledger, hours=5)
    ledger.row(schedule, T0 + 6 * HOUR, "running", gates='["key:a", "key:b"]')
    ledger.add("gate", key="key:a", lim=3, active=1)
    ledger.add("gate", key="key:b", lim=3, active=2)
    ledger.add("gate", key="key:c", lim=3, active=0)
    report = audit(ledger.store, now=ledger.now)
    assert report.gates == (("key:b", 2, 1),)
    assert not report.ok
    ledger.run("UPDATE gate SET active = 1 WHERE key = 'key:b'")
    assert audit(ledger.store, now=ledger.now).ok


def test_a_run_by_hand_of_a_dead_node_is_stuck_too(ledger: Ledger) -> None:
    ledger.row(None, T0, "running", origin="manual", node=7)
    report = audit(ledger.store, now=ledger.now)
    assert report.stuck == 1
    assert report.findings[0].sentence.startswith(
        "job: run_1, due at 2026-11-21T00:00:00Z, is running by node 7"
    )


def test_a_run_waits_for_a_slot_as_long_as_it_takes_also_where_there_is_none_at_all(ledger: Ledger) -> None:
    """Found by the simulation: a lane without any slot was taken for one that has some to spare."""
    ledger.row(None, T0, "waiting", origin="manual", ready_at=T0)
    assert audit(ledger.store, now=ledger.now).stuck == 1
    ledger.run("""UPDATE node SET slots = '{"thread": 0}'""")
    assert audit(ledger.store, now=ledger.now).ok


def test_S3_1_a_skip_behind_a_run_that_saw_the_clock_set_back_is_borne_out(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    first = ledger.row(schedule, T0 + HOUR, planned_at=T0 + 5 * HOUR, ended_at=T0 + 2 * HOUR)
    ledger.row(schedule, T0 + 2 * HOUR, "skipped", reason="overlap", into_id=first, planned_at=T0 + 5 * HOUR)
    assert audit(ledger.store, now=ledger.now).contradicted == 0
    ledger.run("UPDATE occurrence SET planned_at = due_at WHERE id = ?", first)
    assert audit(ledger.store, now=ledger.now).contradicted == 1


def test_a_backfilled_run_is_not_stuck_however_late_it_is(ledger: Ledger) -> None:
    """Found by the simulation: the watcher lets it wait, and the audit held its start deadline against it."""
    schedule = ledger.schedule(HOURLY, policies={"start_deadline_us": HOUR})
    ledger.row(schedule, T0 + HOUR, "queued", origin="backfill")
    ledger.span(schedule, T0 + HOUR, T0 + 6 * HOUR, 5, "missed", reason="no_capacity")
    assert audit(ledger.store, now=ledger.now).stuck == 0
    ledger.run("UPDATE occurrence SET origin = 'scheduled'")
    assert audit(ledger.store, now=ledger.now).stuck == 1


def test_a_fixed_delay_is_followed_through_runs_by_hand(ledger: Ledger) -> None:
    schedule = ledger.schedule(every("1h", start_at=T0, after_completion=True))
    ledger.row(schedule, T0 + HOUR, ended_at=T0 + 2 * HOUR)
    ledger.row(schedule, T0 + 3 * HOUR, "skipped", reason="overlap", into_id=3)
    ledger.row(schedule, T0 + 2 * HOUR + 30 * MINUTE, origin="manual", ended_at=T0 + 4 * HOUR + 30 * MINUTE)
    ledger.row(schedule, T0 + 5 * HOUR + 30 * MINUTE, "running")
    assert audit(ledger.store, now=ledger.now).findings == ()
    ledger.run("DELETE FROM occurrence WHERE origin = 'manual'")
    assert not audit(ledger.store, now=ledger.now).ok


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
def test_pages_of_any_size_find_the_same(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for name in ("a", "b", "c"):
        schedule = ledger.schedule(HOURLY, name)
        for hour in (1, 2, 6):
            ledger.row(schedule, T0 + hour * HOUR)
    ledger.span(schedule, T0 + 2 * HOUR, T0 + 4 * HOUR + MINUTE, 1, "missed", reason="no_capacity")
    ledger.row(schedule, T0 + 3 * HOUR, origin="backfill")
    chain = ledger.schedule(every("1h", start_at=T0, after_completion=True), "d")
    for hour in (1, 3, 5):
        ledger.row(chain, T0 + hour * HOUR, ended_at=T0 + (hour + 1) * HOUR)
    # c lacks only what is due at 5, a and b also what is due at 3 and 4.
    whole = audit(ledger.store, now=ledger.now)
    assert (whole.unaccounted, whole.occurrences, whole.contradicted, whole.invented) == (7, 21, 0, 0)
    monkeypatch.setattr(evidence, "ROWS_PER_PAGE", size)
    monkeypatch.setattr(evidence, "SCHEDULES_PER_PAGE", 2)
    paged = audit(ledger.store, now=ledger.now)
    assert (paged.unaccounted, paged.occurrences, paged.contradicted, paged.invented) == (7, 21, 0, 0)
    assert (paged.rows, paged.schedules) == (whole.rows, 4) == (13, 4)


def test_findings_are_bounded_and_the_figures_are_not(ledger: Ledger) -> None:
    schedule = ledger.schedule(cron("* * * * *", tz="UTC"))
    for minute in range(0, 360, 2):
        ledger.row(schedule, T0 + (minute + 2) * MINUTE)
    report = audit(ledger.store, now=ledger.now)
    assert report.unaccounted == 180
    assert len(report.findings) == 100


def test_progress_is_told(ledger: Ledger) -> None:
    for name in "abc":
        full(ledger, name)
    told: list[tuple[int, int]] = []
    audit(ledger.store, now=ledger.now, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)


def test_it_reads_a_file_while_others_write(tmp_path: Path) -> None:
    now = T0 + 6 * HOUR
    ledger = Ledger(now, databases.opened(now, tmp_path / "bell.db"))
    ledger.node()
    full(ledger)
    assert audit(ledger.store, now=now).ok
    # The planner is ahead of the audit's now by a claim.
    ledger.row(1, now + HOUR, "claimed")
    ledger.run("UPDATE cursor SET planned_until = ?", now + HOUR)
    ledger.run("UPDATE node SET lease_until = ?", now + HOUR)
    assert audit(ledger.store, now=now + HOUR - 20 * SECOND).findings == ()
    ledger.store.close()


def test_the_closing_sentence_says_what_was_due_and_where_it_is() -> None:
    ledger = Ledger()
    schedule = ledger.schedule(HOURLY)
    ledger.run("UPDATE cursor SET planned_until = ?, next_due = ?", T0 + 4 * HOUR, T0 + 5 * HOUR)
    ledger.node(up=False)
    for hour in range(1, 5):
        ledger.row(schedule, T0 + hour * HOUR)
    ledger.row(schedule, T0 + HOUR + MINUTE, origin="manual")
    ledger.row(None, T0 + 2 * HOUR + MINUTE, origin="manual")
    report = audit(ledger.store, now=ledger.now)
    assert report.sentence == (
        "6 occurrences of 1 schedule were due: 4 are in the ledger (4 rows and 0 spans), 2 are pending, because no "
        "engine ran then; the next one accounts for them. 2 runs by hand are not audited: no rule made them due."
    )
    assert (report.by_hand, report.to_json()["by_hand"]) == (2, 2)
    alone = audit(ledger.store, now=ledger.now, schedule="backup", from_at=T0, to_at=T0 + 3 * HOUR)
    assert "3 occurrences of 1 schedule were due: 3 are in the ledger" in alone.sentence
    assert alone.sentence.endswith(" 1 run by hand is not audited: no rule made it due.")


def test_S3_2_a_blocker_that_retention_has_removed_may_be_missing_and_no_other(ledger: Ledger) -> None:
    """Found by the simulation: after the clock was set back, what is due earlier has a higher number than what stays."""
    schedule = ledger.schedule(HOURLY)
    ledger.row(schedule, T0 + DAY + HOUR)  # of the days that never were
    blocker = ledger.row(schedule, T0 + HOUR)
    skip = ledger.row(schedule, T0 + DAY + 2 * HOUR, "skipped", reason="overlap", into_id=blocker)
    upto = T0 + DAY - 1
    ledger.run("UPDATE cursor SET planned_until = ?", T0 + 2 * DAY)
    while ledger.store.write(lambda tx: days.step(tx, schedule, upto, 10)):
        pass
    later = T0 + 2 * DAY
    assert audit(ledger.store, now=later, from_at=T0 + DAY).contradicted == 0
    other = ledger.row(schedule, T0 + DAY + 3 * HOUR)
    ledger.run("UPDATE occurrence SET into_id = ? WHERE id = ?", other, skip)
    ledger.run("DELETE FROM occurrence WHERE id = ?", other)
    assert audit(ledger.store, now=later, from_at=T0 + DAY).contradicted == 1
