"""Timeouts and graces of months and of centuries: more than any system call takes for a wait."""

from __future__ import annotations

import asyncio
import threading

import pytest

from watchbell.clock import SystemClock
from watchbell.core.instants import DAY, parse_duration
from watchbell.core.outcome import Ending
from watchbell.executors.async_ import AsyncExecutor
from watchbell.executors.base import Assignment, CommandSpec, Executor
from watchbell.executors.command import CommandExecutor
from watchbell.executors.deadlines import Watch
from watchbell.executors.process import ProcessExecutor, process_target
from watchbell.executors.thread import ThreadExecutor

from . import functions
from .conftest import Desk, Remembered, assignment

LONG = [25 * DAY, 366 * DAY, parse_duration("365000d")]
LANES: list[type[AsyncExecutor | CommandExecutor | ProcessExecutor | ThreadExecutor]] = [
    AsyncExecutor,
    CommandExecutor,
    ProcessExecutor,
    ThreadExecutor,
]


def work(lane: str, run: int, timeout_us: int | None) -> Assignment:
    """A little work, as this lane takes it."""
    match lane:
        case "async":
            return assignment(run, timeout_us=timeout_us, function=later, kill_grace_us=LONG[-1])
        case "thread":
            return assignment(run, timeout_us=timeout_us, function=waits, kill_grace_us=LONG[-1])
        case "command":
            command = CommandSpec(shell="sleep 0.1; echo done")
            return assignment(run, timeout_us=timeout_us, command=command, kill_grace_us=LONG[-1])
    target = process_target(functions.add)
    args = {"a": 1, "b": 2}
    return assignment(run, timeout_us=timeout_us, target=target, args=args, kill_grace_us=LONG[-1])


async def later() -> None:
    await asyncio.sleep(0.1)


def waits() -> None:
    threading.Event().wait(0.1)


@pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.lane)
def test_a_timeout_of_any_length_holds_up_neither_its_run_nor_the_next_ones(
    lane: type[Executor], clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]
) -> None:
    executor = lane(clock, sink, desk, 8)  # type: ignore[call-arg]
    ended.append(executor)
    executor.start([work(executor.lane, n, timeout_us) for n, timeout_us in enumerate(LONG, 1)])
    desk.count(len(LONG))
    executor.start([work(executor.lane, 9, None)])
    assert {desk.outcome(n).ending for n in (1, 2, 3, 9)} == {Ending.SUCCEEDED}


@pytest.mark.parametrize("long_us", LONG)
def test_a_watch_with_a_far_deadline_keeps_the_near_ones(
    long_us: int, clock: SystemClock, caplog: pytest.LogCaptureFixture
) -> None:
    watch, near, nearer = Watch("far", clock), threading.Event(), threading.Event()
    watch.after(long_us, near.set)
    watch.after(200_000, near.set)
    assert near.wait(10)
    watch.after(0, nearer.set)
    assert nearer.wait(10)
    watch.end()
    assert caplog.records == []


def test_nothing_that_goes_wrong_in_a_turn_ends_a_watch(clock: SystemClock) -> None:
    class Faltering(SystemClock):
        failures = 0

        def mono_ns(self) -> int:
            if threading.current_thread().name == "faltering" and not self.failures:
                self.failures += 1
                raise OverflowError("one bad turn")
            return super().mono_ns()

    faltering = Faltering()
    watch, made = Watch("faltering", faltering), threading.Event()
    watch.after(0, made.set)
    assert made.wait(10)
    assert faltering.failures == 1
    watch.end()
