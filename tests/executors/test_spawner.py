"""The process that starts all others: what is left when the engine dies, and when it dies itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from watchbell.clock import SystemClock
from watchbell.core.outcome import Ending
from watchbell.executors.base import CommandSpec, Executor, Report
from watchbell.executors.command import CommandExecutor
from watchbell.executors.host import ProcessHost
from watchbell.executors.spawner import Census, look_at, mark_in

from .conftest import Desk, Remembered, assignment, eventually
from .test_process import marked


@pytest.fixture
def executor(clock: SystemClock, sink: Remembered, desk: Desk) -> Iterator[CommandExecutor]:
    executor = CommandExecutor(clock, sink, desk, 4)
    yield executor
    executor.stop(100_000)


@pytest.mark.kill9
@pytest.mark.parametrize("lane", ["command", "process"])
def test_F8_when_the_engine_is_killed_no_child_and_no_grandchild_is_left(lane: str, tmp_path: Path) -> None:
    token = f"engine-{lane}"
    engine = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("an_engine.py")), lane, token, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        eventually((tmp_path / "spawner").exists, "the engine has started its run")
        eventually((tmp_path / "fork").exists, "the careless fork is there")
        assert len(marked(token)) >= 3
        spawner = int((tmp_path / "spawner").read_text())
    finally:
        engine.kill()
        engine.wait()
    try:
        eventually(lambda: not marked(token), "everything the engine had started is gone", within=5)
        eventually(lambda: look_at(spawner) is None or not look_at(spawner).alive, "the spawner is gone")  # type: ignore[union-attr]
    finally:
        os.kill(int((tmp_path / "fork").read_text()), signal.SIGKILL)


@pytest.mark.kill9
def test_when_the_spawner_is_killed_its_runs_are_lost_and_the_next_ones_run(
    executor: CommandExecutor, sink: Remembered, desk: Desk
) -> None:
    text = "setsid sh -c 'echo far; sleep 86399' & (trap '' TERM; echo near; sleep 86399) & wait"
    executor.start([assignment(1, token="orphans", command=CommandSpec(shell=text))])
    for line in ("far", "near"):
        sink.await_line(1, line)
    assert executor._host._spawner is not None
    executor._host._spawner.kill()
    outcome = desk.outcome(1)
    assert (outcome.ending, outcome.reason) == (Ending.LOST, "begun")
    assert (outcome.note or "").startswith("The process that starts all others died")
    assert marked("orphans") == []
    executor.start([assignment(2, command=CommandSpec(argv=("true",)))])
    assert desk.outcome(2).ending is Ending.SUCCEEDED


@pytest.mark.kill9
def test_when_the_spawner_is_killed_nothing_of_any_of_its_runs_is_left(
    executor: CommandExecutor, sink: Remembered, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at as each report comes: by then whatever the run had started is gone."""
    left: dict[int, list[str]] = {}
    put = executor._outbox.put

    def look(reports: list[Report]) -> None:
        left.update({report.run: marked(f"orphans-{report.run}") for report in reports})
        put(reports)

    monkeypatch.setattr(executor._outbox, "put", look)
    text = "sleep 86391 & sleep 86392 & echo ready; wait"
    runs = (1, 2, 3, 4)
    executor.start([assignment(n, token=f"orphans-{n}", command=CommandSpec(shell=text)) for n in runs])
    for n in runs:
        sink.await_line(n, "ready")
    assert executor._host._spawner is not None
    executor._host._spawner.kill()
    assert {(desk.outcome(n).ending, desk.outcome(n).reason) for n in runs} == {(Ending.LOST, "begun")}
    assert left == {n: [] for n in runs}


@pytest.mark.kill9
def test_when_no_other_spawner_can_be_started_nothing_is_left_either(
    executor: CommandExecutor, sink: Remembered, desk: Desk
) -> None:
    text = "sleep 86391 & sleep 86392 & echo ready; wait"
    executor.start([assignment(n, token="alone", command=CommandSpec(shell=text)) for n in (1, 2)])
    for n in (1, 2):
        sink.await_line(n, "ready")
    assert executor._host._spawner is not None
    executor._host.python = "/bin/false"
    executor._host._spawner.kill()
    assert {desk.outcome(n).ending for n in (1, 2)} == {Ending.LOST}
    assert marked("alone") == []


@pytest.mark.kill9
def test_a_spawner_that_stands_still_holds_nobody_up_but_its_own_runs(
    executor: CommandExecutor, desk: Desk, sink: Remembered
) -> None:
    """Orders wait in the engine's memory when the spawner takes none; they are carried out when it goes on."""
    executor.start([assignment(0, command=CommandSpec(argv=("true",)))])
    desk.outcome(0)
    spawner = executor._host._spawner
    assert spawner is not None
    os.kill(spawner.pid, signal.SIGSTOP)
    try:
        large = {"LARGE": "x" * 100_000}
        executor.start([assignment(n, command=CommandSpec(argv=("true",), env=large)) for n in range(1, 13)])
        eventually(lambda: len(executor.in_progress()) == 4, "the slots are taken")
        turned = threading.Event()
        executor._host.post(turned.set)
        assert turned.wait(10), "the host waits for the spawner"
    finally:
        os.kill(spawner.pid, signal.SIGCONT)
    desk.count(13)
    assert {report.outcome.ending for report in desk.reports.values() if report.outcome} == {Ending.SUCCEEDED}


@pytest.mark.kill9
@pytest.mark.parametrize("shared", [False, True])
def test_a_spawner_that_stands_still_does_not_hold_up_the_end(
    shared: bool, clock: SystemClock, desk: Desk, sink: Remembered
) -> None:
    """It is killed and what its runs had started with it; the reports come, and say that nobody saw the end."""
    host = ProcessHost(clock)
    executor = CommandExecutor(clock, sink, desk, 4, host if shared else None)
    text = "sleep 86393 & setsid sleep 86394 & echo ready; wait"
    runs = (1, 2, 3)
    executor.start([assignment(n, token=f"still-{shared}", command=CommandSpec(shell=text)) for n in runs])
    for n in runs:
        sink.await_line(n, "ready")
    eventually(lambda: len(sink.begins) == 3, "the spawner has said that they have begun")
    spawner = executor._host._spawner
    assert spawner is not None
    os.kill(spawner.pid, signal.SIGSTOP)
    try:
        executor.stop(100_000)
        assert sorted(run for run, _ in desk.reports) == [1, 2, 3]
        notes = {desk.outcome(n).note for n in runs}
        assert notes == {
            "The process that starts all others died, and this one with it; how far it came is not known."
        }
        assert {(desk.outcome(n).ending, desk.outcome(n).reason) for n in runs} == {
            (Ending.CANCELLED, "shutdown")
        }
        assert marked(f"still-{shared}") == []
        assert executor.lost_slots() == 0
        assert spawner.poll() == -signal.SIGKILL
    finally:
        spawner.kill()
        host.close()


@pytest.mark.kill9
def test_a_host_ends_what_a_spawner_that_stands_still_had_started(
    clock: SystemClock, desk: Desk, sink: Remembered
) -> None:
    host = ProcessHost(clock)
    executor = CommandExecutor(clock, sink, desk, 4, host)
    text = "sleep 86393 & setsid sleep 86394 & echo ready; wait"
    executor.start([assignment(1, token="closed", command=CommandSpec(shell=text))])
    sink.await_line(1, "ready")
    assert host._spawner is not None
    os.kill(host._spawner.pid, signal.SIGSTOP)
    host.close()
    assert desk.outcome(1).ending is Ending.LOST
    assert marked("closed") == []


@pytest.mark.kill9
def test_a_spawner_that_works_or_answers_is_not_taken_for_one_that_stands_still(
    executor: CommandExecutor, desk: Desk, sink: Remembered
) -> None:
    executor.start([assignment(1, command=CommandSpec(shell="echo ready; sleep 2"))])
    sink.await_line(1, "ready")
    spawner = executor._host._spawner
    executor._host.post(executor._host.ask_for_an_answer)
    assert desk.outcome(1).ending is Ending.SUCCEEDED
    assert executor._host._spawner is spawner


def test_the_spawner_does_not_end_on_the_signals_that_ask_the_engine_to(
    executor: CommandExecutor, desk: Desk
) -> None:
    executor.start([assignment(1, command=CommandSpec(argv=("true",)))])
    desk.outcome(1)
    spawner = executor._host._spawner
    assert spawner is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        spawner.send_signal(number)
    executor.start([assignment(2, command=CommandSpec(argv=("true",)))])
    assert desk.outcome(2).ending is Ending.SUCCEEDED
    assert executor._host._spawner is spawner
    assert spawner.poll() is None


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_a_spawner_that_cannot_be_started_fails_the_runs_with_a_sentence(
    clock: SystemClock, sink: Remembered, desk: Desk, python: str
) -> None:
    host = ProcessHost(clock, python)
    executor = CommandExecutor(clock, sink, desk, 4, host)
    executor.start([assignment(n, command=CommandSpec(argv=("true",))) for n in range(6)])
    desk.count(6)
    assert desk.outcome(5).ending is Ending.FAILED
    assert (desk.outcome(5).error or "").startswith("The process that starts all others could not be started")
    executor.stop(0)
    host.close()


def test_a_host_that_was_never_used_closes(clock: SystemClock) -> None:
    host = ProcessHost(clock)
    host.close()
    host.post(lambda: None)


def test_this_process_is_in_the_census() -> None:
    me = look_at(os.getpid())
    assert me is not None
    assert (me.parent, me.group, me.alive) == (os.getppid(), os.getpgrp(), True)
    assert me in Census().everyone


def test_a_mark_needs_run_epoch_and_token() -> None:
    whole = [b"A=1", b"WATCHBELL_TOKEN=t", b"WATCHBELL_RUN=7", b"WATCHBELL_EPOCH=2"]
    assert mark_in(whole) == b"WATCHBELL_RUN=7\0WATCHBELL_EPOCH=2\0WATCHBELL_TOKEN=t"
    assert mark_in(whole[:-1]) == b""
    assert mark_in([]) == b""


def test_nothing_that_goes_wrong_in_a_turn_ends_the_host(
    executor: CommandExecutor, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor.start([assignment(1, command=CommandSpec(argv=("true",)))])
    desk.outcome(1)
    host, failed = executor._host, threading.Event()
    select = host._selector.select

    def fail_once(wait_s: float | None = None) -> object:
        monkeypatch.setattr(host._selector, "select", select)
        failed.set()
        raise OverflowError("one bad turn")

    monkeypatch.setattr(host._selector, "select", fail_once)
    host.post(lambda: None)
    assert failed.wait(10)
    executor.start([assignment(2, command=CommandSpec(argv=("true",)))])
    assert desk.outcome(2).ending is Ending.SUCCEEDED


def test_a_run_whose_lines_cannot_be_kept_is_reported_all_the_same(
    clock: SystemClock, desk: Desk, ended: list[Executor]
) -> None:
    class Full(Remembered):
        def log(self, run: int, epoch: int, stream: str, level: str, text: str) -> None:
            raise ValueError("no room for lines")

    executor = CommandExecutor(clock, Full(), desk, 4)
    ended.append(executor)
    executor.start([assignment(n, command=CommandSpec(shell="printf unfinished")) for n in (1, 2, 3)])
    desk.count(3)
    assert {desk.outcome(n).ending for n in (1, 2, 3)} == {Ending.SUCCEEDED}
