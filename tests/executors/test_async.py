"""The lane of async functions."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from watchbell import errors
from watchbell.clock import SystemClock
from watchbell.core.outcome import Ending
from watchbell.executors.async_ import AsyncExecutor
from watchbell.executors.base import Executor
from watchbell.executors.context import Run, current_run

from .conftest import Desk, Remembered, assignment, eventually

Make = Callable[..., AsyncExecutor]


@pytest.fixture
def make(clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]) -> Make:
    def _make() -> AsyncExecutor:
        executor = AsyncExecutor(clock, sink, desk, 100)
        ended.append(executor)
        return executor

    return _make


async def noop() -> None:
    pass


async def forever() -> None:
    await asyncio.Event().wait()


def test_a_coroutine_that_returns_has_succeeded_with_its_result_as_json(make: Make, desk: Desk) -> None:
    async def add(a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    make().start([assignment(function=add, args={"a": 2, "b": 3})])
    outcome = desk.outcome()
    assert (outcome.ending, outcome.result, outcome.error) == (Ending.SUCCEEDED, '{"sum": 5}', None)
    assert outcome.began_at is not None
    assert outcome.began_at <= outcome.ended_at


def test_a_coroutine_that_raises_has_failed_with_its_chain_of_types(make: Make, desk: Desk) -> None:
    class OutOfPaperError(errors.WatchbellError):
        pass

    async def print_it() -> None:
        raise OutOfPaperError("tray 2")

    make().start([assignment(function=print_it)])
    outcome = desk.outcome()
    assert outcome.ending is Ending.FAILED
    assert outcome.error == f"{OutOfPaperError.__qualname__}: tray 2"
    assert outcome.error_type[1:] == (
        "OutOfPaperError",
        "watchbell.errors.WatchbellError",
        "WatchbellError",
        "Exception",
        "BaseException",
    )
    assert outcome.traceback is not None
    assert "print_it" in outcome.traceback
    assert "jobloop.py" not in outcome.traceback


@pytest.mark.parametrize(
    "kind", [BaseException, SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit]
)
def test_F58_whatever_is_raised_is_a_failure_and_the_loop_lives(
    make: Make, desk: Desk, kind: type[BaseException]
) -> None:
    async def out() -> None:
        raise kind("away")

    executor = make()
    executor.start([assignment(1, function=out)])
    assert desk.outcome(1).ending is Ending.FAILED
    executor.start([assignment(2, function=noop)])
    assert desk.outcome(2).ending is Ending.SUCCEEDED


def test_wrong_arguments_are_a_failure_of_the_run(make: Make, desk: Desk) -> None:
    make().start([assignment(function=noop, args={"extra": 1})])
    assert desk.outcome().error_type[0] == "TypeError"


def test_a_timeout_cancels_the_coroutine(make: Make, desk: Desk) -> None:
    make().start([assignment(function=forever, timeout_us=20_000)])
    outcome = desk.outcome()
    assert outcome.ending is Ending.TIMED_OUT
    assert outcome.error == "It ran longer than its timeout of 0.02 s."


def test_a_run_that_ends_in_time_is_not_touched_by_its_timeout(make: Make, desk: Desk) -> None:
    executor = make()
    executor.start(
        [assignment(1, function=noop, timeout_us=10_000), assignment(2, function=forever, timeout_us=60_000)]
    )
    assert desk.outcome(2).ending is Ending.TIMED_OUT
    assert desk.outcome(1).ending is Ending.SUCCEEDED


def test_a_cancel_ends_the_coroutine_with_its_reason(make: Make, desk: Desk) -> None:
    executor = make()
    executor.start([assignment(function=forever)])
    eventually(lambda: executor.in_progress(), "the run has begun")
    executor.cancel(1, 1, "shutdown")
    outcome = desk.outcome()
    assert (outcome.ending, outcome.reason) == (Ending.CANCELLED, "shutdown")
    assert executor.in_progress() == {}


def test_a_coroutine_that_swallows_its_cancel_is_lost_until_it_really_ends(make: Make, desk: Desk) -> None:
    release = asyncio.Event()
    asked = 0

    async def deaf() -> None:
        nonlocal asked
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                asked += 1

    executor = make()
    executor.start([assignment(function=deaf, timeout_us=10_000, kill_grace_us=40_000)])
    outcome = desk.outcome()
    assert outcome.ending is Ending.TIMED_OUT
    assert outcome.note is not None
    assert outcome.note.startswith("It did not stop")
    assert asked == 2
    assert executor.lost_slots() == 1
    assert executor.in_progress() == {}
    executor._loop.post(release.set)
    eventually(lambda: executor.lost_slots() == 0, "the slot is free again")


def test_a_cancel_that_comes_after_the_work_changes_nothing(make: Make, desk: Desk) -> None:
    gate, begun = threading.Event(), threading.Event()

    async def busy() -> str:
        begun.set()
        gate.wait()  # the loop cannot deliver a cancel meanwhile
        return "done"

    executor = make()
    executor.start([assignment(function=busy)])
    assert begun.wait(10)
    executor.cancel(1, 1, "a person asked")
    gate.set()
    outcome = desk.outcome()
    assert (outcome.ending, outcome.result) == (Ending.SUCCEEDED, '"done"')
    assert outcome.note == "The cancel came too late: the work had finished."


def test_a_coroutine_that_cleans_up_when_cancelled_was_cancelled(make: Make, desk: Desk) -> None:
    async def tidy() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "tidied"
        return "never"

    executor = make()
    executor.start([assignment(function=tidy)])
    eventually(lambda: executor.in_progress(), "the run has begun")
    executor.cancel(1, 1, "a person asked")
    outcome = desk.outcome()
    assert (outcome.ending, outcome.result) == (Ending.CANCELLED, '"tidied"')


def test_a_batch_of_ends_is_few_reports(make: Make, desk: Desk) -> None:
    make().start([assignment(n, function=noop) for n in range(1000)])
    desk.count(1000)
    assert sum(desk.batches) == 1000
    assert len(desk.batches) <= 8


def test_what_is_withdrawn_in_a_race_has_either_run_or_never_will(make: Make, desk: Desk) -> None:
    ran: set[int] = set()

    async def mark(n: int) -> None:
        ran.add(n)

    executor = make()
    withdrawn: set[int] = set()
    for start in range(0, 4000, 200):
        executor.start([assignment(n, function=mark, args={"n": n}) for n in range(start, start + 200)])
        withdrawn |= {n for n in reversed(range(start, start + 200)) if executor.withdraw(n, 1)}
    desk.count(4000 - len(withdrawn))
    assert ran | withdrawn == set(range(4000))
    assert not ran & withdrawn
    assert {key[0] for key in desk.reports} == ran


def test_a_begun_run_cannot_be_withdrawn(make: Make, desk: Desk) -> None:
    executor = make()
    executor.start([assignment(function=forever)])
    eventually(lambda: executor.in_progress(), "the run has begun")
    assert executor.withdraw(1, 1) is False


def test_the_same_attempt_is_never_begun_twice(make: Make, desk: Desk) -> None:
    runs = []

    async def count() -> None:
        runs.append(1)
        await asyncio.Event().wait()

    executor = make()
    executor.start([assignment(function=count)])
    eventually(lambda: executor.in_progress(), "the run has begun")
    executor.start([assignment(function=count), assignment(2, function=noop)])
    desk.outcome(2)
    assert len(runs) == 1


def test_each_run_sees_its_own_context(make: Make, desk: Desk) -> None:
    async def who(me: Run) -> list[Any]:
        await asyncio.to_thread(lambda: None)
        seen = current_run.get()
        return [me.id, seen is me]

    executor = make()
    executor.start([assignment(n, function=who, run_parameter="me") for n in range(20)])
    assert [desk.outcome(n).result for n in range(20)] == [f"[{n}, true]" for n in range(20)]


def test_F13_a_run_that_blocks_the_loop_is_named_and_others_go_on_elsewhere(
    make: Make, desk: Desk, clock: SystemClock
) -> None:
    gate, begun = threading.Event(), threading.Event()

    async def blocks() -> str:
        begun.set()
        gate.wait()
        return "at last"

    executor = make()
    executor.start([assignment(1, function=blocks)])
    assert begun.wait(10)
    executor.start([assignment(2, function=noop)])
    eventually(lambda: executor.lag(clock.mono_ns()) > 50_000_000, "the lag is seen")
    assert executor.blocked_by() == (1, 1)
    assert "gate.wait()" in (executor.blocked_where() or "")
    executor.abandon_loop()
    assert desk.outcome(2).ending is Ending.SUCCEEDED
    assert executor.lag(clock.mono_ns()) < 50_000_000
    assert set(executor.in_progress()) == {(1, 1)}
    gate.set()
    assert desk.outcome(1).result == '"at last"'
    assert executor.in_progress() == {}


def test_F13_a_timeout_is_kept_on_a_loop_that_never_turns_again(make: Make, desk: Desk) -> None:
    gate, begun = threading.Event(), threading.Event()

    async def blocks() -> None:
        begun.set()
        gate.wait()

    executor = make()
    executor.start([assignment(function=blocks, timeout_us=20_000, kill_grace_us=20_000)])
    assert begun.wait(10)
    executor.abandon_loop()
    assert desk.outcome().ending is Ending.TIMED_OUT
    assert executor.lost_slots() == 1
    gate.set()
    eventually(lambda: executor.lost_slots() == 0, "it has really ended")


def test_an_abandoned_loop_ends_with_its_last_run(make: Make, desk: Desk) -> None:
    executor = make()
    executor.start([assignment(function=noop)])
    desk.outcome()
    old = executor._loop
    executor.abandon_loop()
    old.join(10_000_000)
    assert not old._thread.is_alive()


def test_stop_hands_back_cancels_and_reports_everything(make: Make, desk: Desk) -> None:
    gate, begun = threading.Event(), threading.Event()

    async def blocks() -> None:
        begun.set()
        gate.wait()

    executor = make()
    executor.start([assignment(1, function=forever)])
    eventually(lambda: executor.in_progress(), "the first run has begun")
    executor.start([assignment(2, function=blocks)])
    assert begun.wait(10)
    executor.start([assignment(3, function=noop)])
    before = time.monotonic()
    executor.stop(50_000)
    assert time.monotonic() - before < 20
    gate.set()
    assert desk.reports[3, 1].outcome is None
    assert desk.outcome(1).reason == "shutdown"
    assert desk.outcome(2).ending is Ending.CANCELLED
    executor.start([assignment(4, function=noop)])
    assert desk.reports[4, 1].outcome is None
