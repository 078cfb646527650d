"""What the tests of the lanes share: a sink that remembers, and a desk that takes the reports and can be waited at."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from watchbell.clock import SystemClock
from watchbell.core.outcome import Outcome
from watchbell.executors.base import Assignment, Executor, Report

PATIENCE = 30.0


class Remembered:
    """A sink in memory. `once` is true the first time, as in the store."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.lines: list[tuple[int, str, str, str]] = []
        self.begins: dict[int, tuple[int, int | None, int | None]] = {}
        self.steps: list[tuple[int, float, float | None, str | None]] = []
        self.names: set[tuple[int, str]] = set()

    def began(self, run: int, epoch: int, began_at: int, pid: int | None, pid_started: int | None) -> None:
        with self.changed:
            self.begins[run] = (began_at, pid, pid_started)
            self.changed.notify_all()

    def log(self, run: int, epoch: int, stream: str, level: str, text: str) -> None:
        with self.changed:
            self.lines.append((run, stream, level, text))
            self.changed.notify_all()

    def progress(self, run: int, epoch: int, done: float, of: float | None, message: str | None) -> None:
        with self.changed:
            self.steps.append((run, done, of, message))
            self.changed.notify_all()

    def once(self, run: int, epoch: int, name: str) -> bool:
        with self.changed:
            first = (run, name) not in self.names
            self.names.add((run, name))
            return first

    def text(self, run: int, stream: str = "stdout") -> list[str]:
        with self.changed:
            return [text for r, s, _, text in self.lines if r == run and s == stream]

    def await_line(self, run: int, text: str) -> None:
        """Wait until the run has said this."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: any(r == run and t == text for r, _, _, t in self.lines), PATIENCE
            )


class Desk:
    """Takes reports, each exactly once, and lets a test wait for them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.reports: dict[tuple[int, int], Report] = {}
        self.twice: list[Report] = []
        self.batches: list[int] = []

    def __call__(self, reports: Sequence[Report]) -> None:
        with self.changed:
            self.batches.append(len(reports))
            for report in reports:
                if (report.run, report.epoch) in self.reports:
                    self.twice.append(report)
                self.reports[report.run, report.epoch] = report
            self.changed.notify_all()

    def outcome(self, run: int = 1, epoch: int = 1) -> Outcome:
        """How the run ended, once it has."""
        with self.changed:
            assert self.changed.wait_for(lambda: (run, epoch) in self.reports, PATIENCE), (
                f"run {run} never ended"
            )
            outcome = self.reports[run, epoch].outcome
        assert outcome is not None, f"run {run} was handed back"
        return outcome

    def count(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.reports) >= number, PATIENCE)


def eventually(true: Callable[[], object], what: str, within: float = PATIENCE) -> None:
    """For what the system does on its own and nothing announces: look again until it is so."""
    until = time.monotonic() + within
    while not true():
        assert time.monotonic() < until, f"never came true: {what}"
        time.sleep(0.01)


def assignment(run: int = 1, **fields: Any) -> Assignment:
    """An assignment with everything filled in that the test does not speak of."""
    values: dict[str, Any] = {
        "epoch": 1,
        "lane": "async",
        "job": "tidy",
        "run_key": f"key-{run}",
        "token": f"token-{run}-of-{os.getpid()}",  # a kill finds processes by it: other tests run beside this one
        "due_at": 1_795_248_000_000_000,
    }
    return Assignment(run=run, **(values | fields))


@pytest.fixture
def sink() -> Remembered:
    return Remembered()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    assert desk.twice == [], "a run was reported twice"


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
def ended() -> Iterator[list[Executor]]:
    """Executors put in here are stopped at the end of the test."""
    executors: list[Executor] = []
    yield executors
    for executor in executors:
        executor.stop(200_000)
