"""Conditions in the real lanes: asked before anything of the job, and never mistaken for its beginning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from watchbell.clock import SystemClock
from watchbell.core.outcome import Ending
from watchbell.executors import command, jobloop, lane, thread
from watchbell.executors.async_ import AsyncExecutor
from watchbell.executors.base import Assignment, CommandSpec, Executor
from watchbell.executors.command import CommandExecutor
from watchbell.executors.condition import Condition
from watchbell.executors.holding import SHUTDOWN
from watchbell.executors.process import ProcessExecutor
from watchbell.executors.thread import ThreadExecutor

from . import functions
from .conftest import Desk, Remembered, assignment

LANES = {
    "async": AsyncExecutor,
    "thread": ThreadExecutor,
    "process": ProcessExecutor,
    "command": CommandExecutor,
}
FUNCTIONS = ("async", "thread", "process")
SHELLS = {
    "says_yes": "true",
    "says_no": "exit 3",
    "cannot_say": "no-such-program-here",
    "ponders": "echo pondering; sleep 60",
}
Begin = Callable[..., Assignment]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "proof"


@pytest.fixture
def make(clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]) -> Callable[[str], Any]:
    def _make(name: str) -> Any:
        executor = LANES[name](clock, sink, desk, 2)
        ended.append(executor)
        return executor

    return _make


def asking(name: str, condition: str, place: Path, **fields: Any) -> Assignment:
    """An assignment whose job leaves a proof that it has begun."""
    if name == "command":
        spec = CommandSpec(shell=f"echo begun > {place}")
        return assignment(
            lane=name, command=spec, condition=Condition(SHELLS[condition], shell=SHELLS[condition]), **fields
        )
    target = f"tests.executors.functions:{condition}"
    if name == "process":
        work: dict[str, Any] = {"target": "tests.executors.functions:proof"}
        asked = Condition(target)
    else:
        work = {"function": functions.proof_later if name == "async" else functions.proof}
        asked = Condition(target, getattr(functions, condition))
    return assignment(lane=name, args={"path": str(place)}, condition=asked, **work, **fields)


@pytest.mark.parametrize("name", LANES)
def test_S3_a_condition_that_is_met_lets_the_run_begin(name: str, make: Any, desk: Desk, place: Path) -> None:
    make(name).start([asking(name, "says_yes", place)])
    outcome = desk.outcome()
    assert outcome.ending is Ending.SUCCEEDED, outcome
    assert outcome.began_at is not None
    assert place.exists()


@pytest.mark.parametrize("name", LANES)
def test_S3_one_that_is_not_met_skips_it_and_nothing_has_begun(
    name: str, make: Any, desk: Desk, sink: Remembered, place: Path
) -> None:
    executor = make(name)
    executor.start([asking(name, "says_no", place)])
    outcome = desk.outcome()
    assert (outcome.ending, outcome.reason, outcome.began_at, outcome.error) == (
        Ending.SKIPPED,
        "condition",
        None,
        None,
    )
    assert not place.exists()
    assert sink.begins == {}
    assert executor.in_progress() == {}


@pytest.mark.parametrize("name", LANES)
def test_S3_one_that_fails_fails_the_run_in_its_own_name(
    name: str, make: Any, desk: Desk, place: Path
) -> None:
    make(name).start([asking(name, "cannot_say", place)])
    outcome = desk.outcome()
    assert (outcome.ending, outcome.reason, outcome.began_at) == (Ending.FAILED, "condition", None)
    assert outcome.error is not None
    expected = (
        "no-such-program-here failed: The program ended with exit code 127"
        if name == "command"
        else ("tests.executors.functions:cannot_say failed: OutOfPaperError: no answer")
    )
    assert outcome.error.startswith(f"Its condition {expected}")
    assert not place.exists()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_S3_it_may_take_the_run_and_write_to_its_log(
    name: str, make: Any, desk: Desk, sink: Remembered, place: Path
) -> None:
    make(name).start([asking(name, "asks_the_run", place)])
    assert desk.outcome().ending is Ending.SUCCEEDED
    assert sink.text(1, "log") == ["asked for tidy"]


@pytest.mark.parametrize("name", ["async", "process"])
def test_S3_it_may_be_async_where_the_lane_can_wait(name: str, make: Any, desk: Desk, place: Path) -> None:
    make(name).start([asking(name, "says_no_later", place)])
    assert desk.outcome().ending is Ending.SKIPPED


def test_S3_an_async_one_on_a_thread_is_told_and_not_taken_for_true(
    make: Any, desk: Desk, place: Path
) -> None:
    make("thread").start([asking("thread", "says_no_later", place)])
    outcome = desk.outcome()
    assert outcome.ending is Ending.FAILED
    assert "is an async function, and its job runs on a thread" in (outcome.error or "")
    assert not place.exists()


def test_S3_one_whose_process_dies_has_failed(make: Any, desk: Desk, place: Path) -> None:
    make("process").start([asking("process", "dies_over_it", place)])
    outcome = desk.outcome()
    assert outcome.ending is Ending.FAILED
    assert "dies_over_it failed: The program was killed by signal 9" in (outcome.error or "")


def pondering(name: str) -> str:
    return "ponders_later" if name == "async" else "ponders"


@pytest.mark.parametrize("name", LANES)
@pytest.mark.parametrize("why", ["by_request", SHUTDOWN])
def test_S3_while_it_is_asked_the_run_is_not_in_progress_and_can_be_cancelled(
    name: str, why: str, make: Any, desk: Desk, sink: Remembered, place: Path
) -> None:
    executor = make(name)
    executor.start([asking(name, pondering(name), place, kill_grace_us=2_000_000)])
    sink.await_line(1, "pondering")
    assert executor.in_progress() == {}
    assert not executor.withdraw(1, 1)
    executor.cancel(1, 1, why)
    desk.count(1)
    outcome = desk.reports[1, 1].outcome
    if why == SHUTDOWN:
        assert outcome is None, "what has not begun goes back"
    else:
        assert outcome is not None
        assert (outcome.ending, outcome.began_at) == (Ending.CANCELLED, None)
    assert not place.exists()
    assert sink.begins == {}


@pytest.mark.parametrize("name", LANES)
def test_S3_one_that_does_not_answer_in_time_has_failed(
    name: str, make: Any, desk: Desk, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (jobloop, thread, lane):
        monkeypatch.setattr(room, "LIMIT_US", 400_000)
    executor = make(name)
    executor.start([asking(name, pondering(name), place, kill_grace_us=2_000_000)])
    outcome = desk.outcome()
    assert (outcome.ending, outcome.reason, outcome.began_at) == (Ending.FAILED, "condition", None)
    assert "had not answered after 30 s" in (outcome.error or "")
    assert not place.exists()


def test_S3_the_commands_own_time_begins_when_its_condition_is_met(
    make: Any, desk: Desk, place: Path
) -> None:
    spec = CommandSpec(shell=f"echo begun > {place}; sleep 60")
    slow = Condition("sleep 0.3", shell="sleep 0.3")
    make("command").start([assignment(lane="command", command=spec, condition=slow, timeout_us=250_000)])
    outcome = desk.outcome()
    assert outcome.ending is Ending.TIMED_OUT
    assert place.exists()
    assert command.CANNOT_RUN == (126, 127)


def test_S3_a_stop_gives_back_what_is_still_asking(
    make: Any, desk: Desk, sink: Remembered, place: Path
) -> None:
    executor = make("command")
    executor.start([asking("command", "ponders", place)])
    sink.await_line(1, "pondering")
    executor.stop(2_000_000)
    assert desk.reports[1, 1].outcome is None
    assert not place.exists()
