"""A run that uses more memory than it may is ended and says so; the engine and its neighbours go on."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from watchbell.clock import SystemClock
from watchbell.core.outcome import Ending
from watchbell.core.policies import JobOptions
from watchbell.core.sizes import parse_size, size_text
from watchbell.errors import BadInput, BadPolicy
from watchbell.executors.base import Assignment, CommandSpec, Executor
from watchbell.executors.command import CommandExecutor
from watchbell.executors.process import ProcessExecutor

from .conftest import Desk, Remembered, assignment

MIB = 1 << 20
SAID = "It used more than 48 MiB of memory, which is its limit"
GROWS = "import time; kept = []\nwhile True: kept.append(bytearray(b'x') * (1 << 20)); time.sleep(0.01)"
LEAPS = "import time; kept = bytearray(b'x') * (1 << 30); time.sleep(60)"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GROWS!r}])"


def hoard(amount: int) -> int:
    """Takes memory for a while; a function of its own process."""
    import threading

    kept = bytearray(b"x") * amount
    threading.Event().wait(30)
    return len(kept)


@pytest.fixture
def make(
    clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]
) -> Callable[[], CommandExecutor]:
    def _make() -> CommandExecutor:
        executor = CommandExecutor(clock, sink, desk, 4)
        ended.append(executor)
        return executor

    return _make


def python(run: int, text: str, memory: int | None) -> Assignment:
    spec = CommandSpec(argv=(sys.executable, "-I", "-c", text))
    return assignment(run, lane="command", command=spec, memory=memory)


@pytest.mark.parametrize("text", [GROWS, CHILD], ids=["it grows", "a child of it grows"])
def test_F12_a_run_that_takes_too_much_fails_with_the_reason_and_its_neighbour_goes_on(
    make: Callable[[], CommandExecutor], desk: Desk, text: str
) -> None:
    executor = make()
    executor.start(
        [python(1, text, 48 * MIB), python(2, "import time; time.sleep(0.5); print('fine')", 48 * MIB)]
    )
    outcome = desk.outcome(1)
    assert outcome.ending is Ending.FAILED
    assert (outcome.error or "").startswith(SAID)
    assert "MemoryLimit" in outcome.error_type
    assert desk.outcome(2).ending is Ending.SUCCEEDED
    executor.start([python(3, "print('still here')", 48 * MIB)])
    assert desk.outcome(3).ending is Ending.SUCCEEDED


def test_a_leap_between_two_looks_is_stopped_by_the_kernel(
    make: Callable[[], CommandExecutor], desk: Desk
) -> None:
    executor = make()
    executor.start([python(1, LEAPS, 48 * MIB)])
    outcome = desk.outcome(1)
    assert (outcome.ending, outcome.exit_code) == (Ending.FAILED, 1)
    assert outcome.peak_memory is not None
    assert outcome.peak_memory < 100 * MIB
    assert "It may use 48 MiB of memory" in (outcome.note or "")


def test_a_function_in_its_own_process_has_the_same_limit(
    clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]
) -> None:
    executor = ProcessExecutor(clock, sink, desk, 2)
    ended.append(executor)
    target = f"{__name__}:hoard"
    executor.start([assignment(1, lane="process", target=target, args={"amount": 90 * MIB}, memory=64 * MIB)])
    outcome = desk.outcome(1)
    assert outcome.ending is Ending.FAILED
    assert (outcome.error or "").startswith("It used more than 64 MiB of memory")


def test_a_limit_is_written_as_people_write_it_and_refused_where_it_means_nothing() -> None:
    assert [parse_size(text) for text in ("512M", "512 MiB", "0.5g", "1048576")] == [512 * MIB] * 3 + [MIB]
    assert size_text(512 * MIB) == "512 MiB"
    with pytest.raises(BadInput, match="512M"):
        parse_size("much")
    with pytest.raises(BadPolicy, match="at least 1 MiB"):
        JobOptions(memory=100)
