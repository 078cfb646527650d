"""One thing that cannot be planned, written or called stops nothing else."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import databases
from watchbell import Run, Watchbell, every
from watchbell.core.instants import EARLIEST
from watchbell.core.plan import Plan
from watchbell.core.policies import Retry
from watchbell.engine.recovery import Recovered, announce
from watchbell.errors import BadPolicy, StoreGone
from watchbell.store import planning
from watchbell.store.sqlite.lock import EngineLock
from watchbell.testing import ManualClock, StepNode


@pytest.mark.parametrize("priority", [10**30, -(10**20), float("nan"), "high", True])
def test_a_priority_that_no_column_holds_is_refused(priority: object) -> None:
    bell = Watchbell("sqlite://")
    with pytest.raises(BadPolicy, match="priority is a whole number"):
        bell.job(name="a", priority=priority)(lambda: None)
    with pytest.raises(BadPolicy, match="priority is a whole number"):
        bell.add_schedule("a", lambda: None, every("1m"), priority=priority)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), True, 0.5])
def test_a_factor_that_is_no_number_to_count_with_is_refused(factor: float) -> None:
    with pytest.raises(BadPolicy, match="factor"):
        Retry(factor=factor)


def test_S3_4_a_schedule_that_cannot_be_planned_is_set_aside_and_its_neighbours_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ManualClock.at("2026-11-21T00:00:00Z")
    bell = Watchbell(databases.fresh(), clock=clock)
    ran: list[str] = []
    for name in ("good", "bad", "fine"):
        bell.add_schedule(name, bell.job(name=name)(lambda name=name: ran.append(name)), every("1m"))
    node = StepNode(bell)
    (bad,) = node.rows("SELECT id FROM schedule WHERE name = 'bad'")[0]
    decide = planning.decide

    def stumbles(batch: list[planning.Due], *rest: object) -> Plan:
        if any(due.schedule == bad for due in batch):
            raise OverflowError("int too big to convert")
        return decide(batch, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(planning, "decide", stumbles)
    node.advance("2m")
    assert ran.count("good") == ran.count("fine") == 2
    assert "bad" not in ran
    assert node.rows("SELECT standing FROM schedule WHERE name = 'bad'") == [("set_aside",)]


def test_text_that_utf8_or_a_database_has_no_form_for_is_kept_written_out() -> None:
    clock = ManualClock.at("2026-11-21T00:00:00Z")
    bell = Watchbell(databases.fresh(), clock=clock)
    name = os.fsdecode(b"caf\xe9.txt") + "\0"
    ran: list[str] = []

    @bell.schedule(every("1m"))
    @bell.job
    def reads(run: Run) -> None:
        run.log("reading %s", name)
        run.progress(1, message=name)
        raise ValueError(f"cannot read {name}")

    @bell.schedule(every("1m"), name="neighbour")
    @bell.job
    def good() -> None:
        ran.append("good")

    node = StepNode(bell)
    node.advance("3m")
    assert len(ran) == 3
    errors = {row[0] for row in node.rows("SELECT error FROM occurrence WHERE state = 'failed'")}
    assert errors == {r"ValueError: cannot read caf\udce9.txt\x00"}
    assert node.rows("SELECT count(*) FROM run_log WHERE text LIKE '%udce9.txt_x00%'") == [(3,)]
    assert bell.audit().ok


def test_a_database_that_is_deleted_under_a_running_engine_ends_it_with_a_sentence(tmp_path: Path) -> None:
    bell = Watchbell(str(tmp_path / "w.db"))
    bell.add_job("a", 3600, lambda: None)
    bell.start()
    node = bell._node
    assert node is not None
    (tmp_path / "w.db").unlink()
    assert node.join(20), "the engine goes on in a file that nobody will find"
    assert isinstance(node.error, StoreGone)
    assert "deleted or replaced" in str(node.error)


def test_a_lock_whose_folder_was_removed_is_taken_anew_or_lost_to_who_was_faster(tmp_path: Path) -> None:
    first, second = EngineLock(tmp_path / "w.db"), EngineLock(tmp_path / "w.db")
    assert first.take()
    assert not second.take()
    shutil.rmtree(first.folder)
    assert first.verify(), "nobody was faster"
    assert not second.take()
    shutil.rmtree(first.folder)
    third = EngineLock(tmp_path / "w.db")
    assert third.take()
    assert not first.verify(), "somebody else holds what is at the path"
    assert not first.held
    for lock in (first, second, third):
        lock.release()


def test_a_lock_that_was_let_go_is_left_to_the_process_that_acts_already(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path / "w.db")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert lock.take()
    (lock.folder / "progress").write_bytes(
        struct.pack("<QQ", other.pid, 1)
    )  # it has taken over from a stalled engine
    lock.move()  # which wakes, and turns once more before it finds its epoch gone
    lock.let_go(other.pid)
    assert not lock.take()
    other.communicate(b"\n")
    assert lock.take(), "it has ended without taking the lock"
    lock.release()


def test_a_hook_that_hangs_or_wants_to_leave_disturbs_nobody() -> None:
    bell = Watchbell("sqlite://")
    hang = threading.Event()
    called = threading.Event()

    @bell.on("engine.ready")
    def leaves(about: object) -> None:
        called.set()
        raise SystemExit(3)

    @bell.on("engine.stopped")
    def hangs(about: object) -> None:
        hang.wait()

    bell.start()
    assert called.wait(20)
    bell.stop(grace="1s")
    hang.set()


def set_aside_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for record in caplog.records if "schedule.set_aside" in (text := record.getMessage())]


@pytest.mark.parametrize("due", [-(2**63), EARLIEST - 1])
def test_a_schedule_that_is_due_outside_of_the_calendar_is_set_aside_and_keeps_no_engine_from_acting(
    due: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock.at("2026-11-21T00:00:00Z")
    bell = Watchbell(databases.fresh(), clock=clock)
    ran: list[str] = []
    for name in ("good", "bad"):
        bell.add_schedule(name, bell.job(name=name)(lambda name=name: ran.append(name)), every("1m"))
    node = StepNode(bell)
    node.house.store.write(
        lambda tx: tx.run(
            "UPDATE cursor SET next_due = ? WHERE schedule = (SELECT id FROM schedule WHERE name = 'bad')",
            (due,),
        )
    )
    with caplog.at_level("INFO"):
        announce(node.house, Recovered(1, 1, 0, 0, 0))
        node.advance("2m")
    assert "next due outside of the calendar, which is overdue" in caplog.text
    assert ran == ["good", "good"]
    (said,) = set_aside_lines(caplog)
    assert "bad: it is due outside of the calendar" in said
    assert node.rows("SELECT min(due_at) >= 0 FROM occurrence") in ([(1,)], [(True,)])
    assert node.rows("SELECT count(*) FROM span WHERE from_at < 0") == [(0,)]


def test_one_that_is_set_aside_and_due_all_the_same_is_looked_at_once_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock.at("2026-11-21T00:00:00Z")
    bell = Watchbell(databases.fresh(), clock=clock)
    bell.add_schedule("bad", bell.job(name="bad")(lambda: None), every("1m"))
    node = StepNode(bell)
    monkeypatch.setattr(planning, "decide", lambda *_: 1 / 0)
    node.advance("2m")
    assert len(set_aside_lines(caplog)) == 1
    node.house.store.write(lambda tx: tx.run("UPDATE cursor SET next_due = planned_until + 1"))
    node.advance("2m")
    assert len(set_aside_lines(caplog)) == 1
    assert node.rows("SELECT next_due FROM cursor") == [(None,)]
    assert node.rows("SELECT count(*) FROM pause WHERE kind = 'set_aside'") == [(1,)]


def test_one_that_is_due_beyond_the_calendar_keeps_no_engine_from_acting() -> None:
    bell = Watchbell(databases.fresh(), clock=ManualClock.at("2026-11-21T00:00:00Z"))
    bell.add_schedule("bad", bell.job(name="bad")(lambda: None), every("1m"))
    node = StepNode(bell)
    node.house.store.write(lambda tx: tx.run("UPDATE cursor SET next_due = ?", (2**63 - 1,)))
    announce(node.house, Recovered(1, 1, 0, 0, 0))
    ran: list[str] = []
    node.advance("1m")
    bell.add_schedule("good", bell.job(name="good")(lambda: ran.append("good")), every("1m"))
    node.advance("2m")
    assert ran == ["good", "good"]
