"""The lane of sync functions on threads."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pytest

from watchbell import errors
from watchbell.clock import SystemClock
from watchbell.core.outcome import Ending
from watchbell.executors.base import Executor
from watchbell.executors.context import Run, current_run
from watchbell.executors.thread import ThreadExecutor, _Gate

from .conftest import Desk, Remembered, assignment, eventually

Make = Callable[..., ThreadExecutor]


@pytest.fixture
def make(clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]) -> Make:
    def _make(slots: int = 20) -> ThreadExecutor:
        executor = ThreadExecutor(clock, sink, desk, slots)
        ended.append(executor)
        return executor

    return _make


def spin() -> None:
    while True:
        pass


class Deaf:
    """User code that takes every interrupt and goes on until it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.begun = threading.Event()
        self.asked = 0

    def __call__(self) -> str:
        self.begun.set()
        while not self.release.is_set():
            try:
                while not self.release.is_set():
                    self.release.wait(0.005)
            except errors.Cancelled:
                self.asked += 1
        return "after all"


def test_a_function_that_returns_has_succeeded(make: Make, desk: Desk) -> None:
    make().start([assignment(function=lambda a: [a, None, 1.5], args={"a": "ä"})])
    assert (desk.outcome().ending, desk.outcome().result) == (Ending.SUCCEEDED, '["\\u00e4", null, 1.5]')


@pytest.mark.parametrize("kind", [BaseException, SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError])
def test_F58_whatever_is_raised_is_a_failure_and_the_pool_lives(
    make: Make, desk: Desk, kind: type[BaseException]
) -> None:
    def out() -> None:
        raise kind("away")

    executor = make(1)
    executor.start([assignment(1, function=out), assignment(2, function=lambda: None)])
    assert desk.outcome(1).ending is Ending.FAILED
    assert desk.outcome(1).error_type[0] == kind.__name__
    assert desk.outcome(2).ending is Ending.SUCCEEDED


def test_F58_endless_recursion_is_a_failure(make: Make, desk: Desk) -> None:
    def down(n: int = 0) -> int:
        return down(n + 1) + 1

    make().start([assignment(function=down)])
    assert desk.outcome().error_type[0] == "RecursionError"
    assert len(desk.outcome().traceback or "") < 40_000


def test_F58_an_exception_that_cannot_be_told_is_a_failure(make: Make, desk: Desk) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    def out() -> None:
        raise Mute

    make().start([assignment(function=out)])
    assert desk.outcome().error == f"{Mute.__qualname__}: (the exception cannot be written as text)"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (object(), "The function returned an object, which is not JSON."),
        ({"when": {1, 2}}, "The function returned a dict that holds a set, which is not JSON."),
        (float("nan"), "The function returned a float that cannot be written as JSON: "),
        ({(1, 2): 3}, "The function returned a dict that cannot be written as JSON: keys must be str"),
    ],
)
def test_a_result_that_is_not_json_is_a_failure_that_names_its_type(
    make: Make, desk: Desk, value: object, sentence: str
) -> None:
    make().start([assignment(function=lambda: value)])
    assert desk.outcome().ending is Ending.FAILED
    assert (desk.outcome().error or "").startswith(sentence)


def test_a_result_that_contains_itself_is_a_failure(make: Make, desk: Desk) -> None:
    ring: list[object] = []
    ring.append(ring)
    make().start([assignment(function=lambda: ring)])
    assert "Circular reference" in (desk.outcome().error or "")


def test_F60_a_huge_result_is_left_out_and_said_so(make: Make, desk: Desk) -> None:
    make().start([assignment(function=lambda: "x" * 100_000)])
    assert (desk.outcome().ending, desk.outcome().result) == (Ending.SUCCEEDED, None)
    assert (
        desk.outcome().note
        == "The result was 100,002 characters of JSON and was not kept; the limit is 64 KiB."
    )


def test_a_timeout_interrupts_the_thread(make: Make, desk: Desk) -> None:
    executor = make(1)
    executor.start([assignment(1, function=spin, timeout_us=20_000), assignment(2, function=lambda: 2)])
    assert desk.outcome(1).ending is Ending.TIMED_OUT
    assert desk.outcome(2).result == "2"
    assert executor.lost_slots() == 0


def test_a_cancel_sets_the_flag_and_interrupts(make: Make, desk: Desk) -> None:
    begun = threading.Event()

    def polite(run: Run) -> str:
        begun.set()
        try:
            while True:
                run.raise_if_cancelled()
        finally:
            assert run.cancelled

    executor = make()
    executor.start([assignment(function=polite, run_parameter="run")])
    assert begun.wait(10)
    executor.cancel(1, 1, "a person asked")
    assert (desk.outcome().ending, desk.outcome().reason) == (Ending.CANCELLED, "a person asked")


def test_F14_a_thread_that_will_not_stop_keeps_its_slot_until_it_ends(make: Make, desk: Desk) -> None:
    deaf = Deaf()
    executor = make(1)
    executor.start([assignment(1, function=deaf, timeout_us=10_000, kill_grace_us=60_000)])
    outcome = desk.outcome(1)
    assert outcome.ending is Ending.TIMED_OUT
    assert "its slot is not lent again" in (outcome.note or "")
    assert executor.lost_slots() == 1
    assert deaf.asked == 2
    executor.start([assignment(2, function=lambda: None)])
    assert executor.withdraw(2, 1), "the slot was lent again"
    executor.start([assignment(3, function=lambda: None)])
    deaf.release.set()
    assert desk.outcome(3).ending is Ending.SUCCEEDED
    assert executor.lost_slots() == 0


def test_a_hard_cancel_does_not_wait_for_the_grace(make: Make, desk: Desk) -> None:
    deaf = Deaf()
    executor = make()
    executor.start([assignment(function=deaf, kill_grace_us=3_600_000_000)])
    assert deaf.begun.wait(10)
    executor.cancel(1, 1, "a person asked", hard=True)
    assert desk.outcome().ending is Ending.CANCELLED
    deaf.release.set()


def test_a_function_that_takes_the_interrupt_and_tidies_up_was_cancelled(make: Make, desk: Desk) -> None:
    begun = threading.Event()

    def tidy() -> str:
        try:
            begun.set()
            spin()
        except errors.Cancelled:
            return "tidied"
        return "never"

    executor = make()
    executor.start([assignment(function=tidy)])
    assert begun.wait(10)
    executor.cancel(1, 1, "a person asked")
    assert (desk.outcome().ending, desk.outcome().result) == (Ending.CANCELLED, '"tidied"')


def test_an_interrupt_never_reaches_the_next_run_of_the_thread(make: Make, desk: Desk) -> None:
    """Cancels rain on short runs of one thread, also at the instant they end; each run has its own account, and the
    thread lives."""
    executor = make(1)
    number = 2000
    executor.start([assignment(n, function=lambda: sum(range(300))) for n in range(number)])
    for n in range(0, number, 2):
        executor.cancel(n, 1, "a person asked")
    desk.count(number)
    assert {desk.outcome(n).ending for n in range(1, number, 2)} == {Ending.SUCCEEDED}
    assert {desk.outcome(n).ending for n in range(0, number, 2)} <= {Ending.SUCCEEDED, Ending.CANCELLED}
    assert executor.lost_slots() == 0


def test_no_interrupt_is_left_behind_a_closed_gate() -> None:
    over, gates, behind = threading.Event(), [_Gate()], []

    def interrupt() -> None:
        while not over.is_set():
            gates[0].interrupt()

    def one() -> None:
        gates[0] = gate = _Gate()
        try:
            gate.open()
            sum(range(10))
        except errors.Cancelled:
            pass  # it came while the gate was open
        gate.close()

    def pass_through() -> None:
        for _ in range(2000):
            try:
                one()
            except errors.Cancelled:
                gates[0].close()  # it came between the end of the function and the closing
            try:
                for _ in range(20):
                    sum(range(10))
            except errors.Cancelled:
                behind.append(1)

    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=interrupt), threading.Thread(target=pass_through)]
    try:
        for thread in threads:
            thread.start()
        threads[1].join()
    finally:
        over.set()
        sys.setswitchinterval(old)
        threads[0].join()
    assert behind == []


def test_a_thousand_runs_at_once_on_a_thousand_threads(make: Make, desk: Desk) -> None:
    number = 1000
    together = threading.Barrier(number)

    def meet() -> None:
        together.wait(60)

    make(number).start([assignment(n, function=meet) for n in range(number)])
    desk.count(number)
    assert {report.outcome.ending for report in desk.reports.values() if report.outcome} == {Ending.SUCCEEDED}


def test_no_more_threads_than_slots(make: Make, desk: Desk) -> None:
    gate = threading.Event()
    executor = make(3)
    executor.start([assignment(n, function=lambda: gate.wait(60) and None) for n in range(10)])
    eventually(lambda: len(executor.in_progress()) == 3, "three have begun")
    assert executor._threads == 3
    gate.set()
    desk.count(10)
    assert executor._threads == 3


def test_what_is_withdrawn_in_a_race_has_either_run_or_never_will(make: Make, desk: Desk) -> None:
    ran: list[int] = []

    def mark(n: int) -> None:
        ran.append(n)

    withdrawn: set[int] = set()
    executor = make(4)
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for start in range(0, 2000, 100):
            executor.start([assignment(n, function=mark, args={"n": n}) for n in range(start, start + 100)])
            withdrawn |= {n for n in reversed(range(start, start + 100)) if executor.withdraw(n, 1)}
    finally:
        sys.setswitchinterval(old)
    desk.count(2000 - len(withdrawn))
    assert withdrawn
    assert len(ran) == len(set(ran))
    assert set(ran) | withdrawn == set(range(2000))
    assert not set(ran) & withdrawn


def test_each_run_has_a_context_of_its_own(make: Make, desk: Desk) -> None:
    def who() -> list[object]:
        run = current_run.get()
        assert run is not None
        return [run.id, run.job, run.attempt, run.run_key, run.due_at.isoformat()]

    executor = make(4)
    executor.start([assignment(n, function=who, attempt=n + 1) for n in range(50)])
    desk.count(50)
    assert desk.outcome(7).result == '[7, "tidy", 8, "key-7", "2026-11-21T08:00:00+00:00"]'
    assert current_run.get() is None


def test_progress_log_and_once_go_to_the_sink(make: Make, desk: Desk, sink: Remembered) -> None:
    def work(run: Run) -> list[bool]:
        run.log("copied %d of %s", 3, "many", level="warning")
        run.log("100 %", "unmatched")
        run.progress(3, 9, "copying")
        return [run.once("mail"), run.once("mail")]

    make().start([assignment(function=work, run_parameter="run")])
    assert desk.outcome().result == "[true, false]"
    assert sink.lines == [
        (1, "log", "warning", "copied 3 of many"),
        (1, "log", "info", "100 % ('unmatched',)"),
    ]
    assert sink.steps == [(1, 3, 9, "copying")]


def test_stop_hands_back_cancels_and_reports_everything(make: Make, desk: Desk) -> None:
    deaf = Deaf()
    executor = make(2)
    executor.start([assignment(1, function=deaf), assignment(2, function=spin), assignment(3, function=spin)])
    assert deaf.begun.wait(10)
    eventually(lambda: len(executor.in_progress()) == 2, "both slots are taken")
    before = time.monotonic()
    executor.stop(50_000)
    assert time.monotonic() - before < 20
    assert desk.reports[3, 1].outcome is None
    assert (desk.outcome(1).ending, desk.outcome(1).reason) == (Ending.CANCELLED, "shutdown")
    assert (desk.outcome(2).ending, desk.outcome(2).note) == (Ending.CANCELLED, None)
    deaf.release.set()
