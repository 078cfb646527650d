"""The run as user code sees it, and what it prints and logs."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Optional

import pytest

from watchbell import errors
from watchbell.clock import SystemClock
from watchbell.executors import context
from watchbell.executors.account import error_text, type_chain
from watchbell.executors.async_ import AsyncExecutor
from watchbell.executors.base import Executor
from watchbell.executors.capture import install_capture, remove_capture
from watchbell.executors.context import Run, find_run_parameter
from watchbell.executors.deadlines import Deadlines
from watchbell.executors.lines import LINE_LIMIT, LineReader, LineSplitter
from watchbell.executors.thread import ThreadExecutor

from .conftest import Desk, Remembered, assignment

if TYPE_CHECKING:
    from nowhere import Run as HiddenRun  # type: ignore[import-not-found]


class Marathon:
    class Run:
        pass


def by_name(site: str, run: Any, *, deep: bool = False) -> None: ...
def by_annotation(site: str, me: Run, run: int) -> None: ...
def by_dotted_name(site: str, me: context.Run) -> None: ...
def by_optional(*, me: Run | None = None) -> None: ...
def by_old_optional(me: Optional[Run] = None) -> None: ...  # noqa: UP045
def by_name_for_checkers(me: wb.Run) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def another_run(me: Marathon.Run) -> None: ...
def aliased(me: HiddenRun) -> None: ...
def no_run(site: str, *run: int) -> None: ...
def only_by_position(run: Run, /) -> None: ...
async def asynchronous(run: Run) -> None: ...


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (by_name, "run"),
        (by_annotation, "me"),
        (by_dotted_name, "me"),
        (by_optional, "me"),
        (by_old_optional, "me"),
        (by_name_for_checkers, "me"),
        (asynchronous, "run"),
        (another_run, None),
        (aliased, None),
        (no_run, None),
        (only_by_position, None),
        (print, None),
        (lambda run: run, "run"),
    ],
)
def test_the_parameter_of_the_run_is_found_wherever_it_stands(
    function: Callable[..., object], name: str | None
) -> None:
    assert find_run_parameter(function) == name


def test_the_run_says_who_it_is(sink: Remembered) -> None:
    run = Run(assignment(7, attempt=2, schedule="nightly", epoch=4), sink)
    assert (run.id, run.job, run.schedule, run.attempt, run.epoch) == (7, "tidy", "nightly", 2, 4)
    assert (run.run_key, run.token) == ("key-7", f"token-7-of-{os.getpid()}")
    assert run.due_at.isoformat() == "2026-11-21T08:00:00+00:00"
    assert repr(run) == "<Run 7 of 'tidy', attempt 2>"
    assert not run.cancelled
    run.raise_if_cancelled()


@pytest.mark.parametrize("name", ["x" * 201, "a\0b", "\ud800", 7])
def test_a_step_has_a_name_that_every_database_can_hold(sink: Remembered, name: Any) -> None:
    run = Run(assignment(7), sink)
    with pytest.raises(errors.BadInput, match="The name of a step"):
        run.once(name)


def test_the_chain_of_types_names_each_class_by_both_its_names() -> None:
    assert type_chain(errors.NeverMatches)[:4] == (
        "watchbell.errors.NeverMatches",
        "NeverMatches",
        "watchbell.errors.BadTrigger",
        "BadTrigger",
    )
    assert type_chain(ConnectionResetError) == (
        "ConnectionResetError",
        "ConnectionError",
        "OSError",
        "Exception",
        "BaseException",
    )


def test_a_long_error_keeps_its_beginning_and_its_end() -> None:
    text = error_text(ValueError("a" * 10_000 + "z"))
    assert len(text) < 4200
    assert text.startswith("ValueError: aaa")
    assert text.endswith("aaz")


@pytest.fixture
def captured(sink: Remembered) -> Iterator[Remembered]:
    install_capture(sink, stdio=True)
    yield sink
    remove_capture(sink)


@pytest.mark.parametrize("lane", [AsyncExecutor, ThreadExecutor])
def test_what_is_printed_and_logged_inside_a_run_is_the_runs(
    lane: type[AsyncExecutor | ThreadExecutor],
    clock: SystemClock,
    captured: Remembered,
    desk: Desk,
    ended: list[Executor],
    capsys: pytest.CaptureFixture[str],
) -> None:
    install_capture(captured, stdio=True)  # pytest has put other streams in place since

    def speak(n: int) -> None:
        print(f"out {n}")
        print(f"err {n}", file=sys.stderr)
        sys.stdout.write(f"no newline {n}")
        logging.getLogger("shop").warning("log %d", n)

    async def speak_later(n: int) -> None:
        await asyncio.to_thread(speak, n)

    executor = lane(clock, captured, desk, 4)
    ended.append(executor)
    function = speak if lane is ThreadExecutor else speak_later
    executor.start([assignment(n, function=function, args={"n": n}) for n in range(10)])
    print("outside")
    logging.getLogger("shop").warning("outside")
    desk.count(10)
    for n in range(10):
        assert captured.text(n, "stdout") == [f"out {n}", f"no newline {n}"]
        assert captured.text(n, "stderr") == [f"err {n}"]
        assert captured.text(n, "log") == [f"log {n}"]
    assert len(captured.lines) == 40
    remove_capture(captured)
    shown = capsys.readouterr()
    assert "outside\n" in shown.out
    assert "out 3\n" in shown.out
    assert "err 3\n" in shown.err


def test_capture_is_removed_without_a_trace_and_puts_no_handler_on_the_root_logger(sink: Remembered) -> None:
    def standing() -> tuple[object, ...]:
        return logging.getLogRecordFactory(), list(logging.getLogger().handlers), sys.stdout, sys.stderr

    before, handlers, out = standing(), list(logging.getLogger().handlers), sys.stdout
    install_capture(sink, stdio=True)
    install_capture(sink, stdio=True)
    assert sys.stdout is not out
    assert sys.stdout.encoding == out.encoding
    assert logging.getLogger().handlers == handlers
    remove_capture(sink)
    assert standing() == before


def test_a_sink_that_logs_does_not_hear_itself(clock: SystemClock, desk: Desk, ended: list[Executor]) -> None:
    class Talkative(Remembered):
        def log(self, run: int, epoch: int, stream: str, level: str, text: str) -> None:
            super().log(run, epoch, stream, level, text)
            logging.getLogger("store").warning("the log is long")

    talkative = Talkative()
    install_capture(talkative)
    try:
        executor = ThreadExecutor(clock, talkative, desk, 1)
        ended.append(executor)
        executor.start([assignment(function=lambda: logging.getLogger("shop").warning("one"))])
        assert desk.outcome().error is None
        assert talkative.text(1, "log") == ["one"]
    finally:
        remove_capture(talkative)


def test_lines_are_cut_where_they_end_and_where_they_are_too_long() -> None:
    splitter = LineSplitter()
    assert splitter.feed("one\ntwo") == ["one"]
    assert splitter.feed(" more\r") == []
    assert splitter.feed("\nthree\r") == ["two more"]
    assert splitter.feed("four\n\n") == ["three", "four", ""]
    assert splitter.rest() == []
    assert [len(line) for line in splitter.feed("x" * (2 * LINE_LIMIT + 5))] == [LINE_LIMIT, LINE_LIMIT]
    assert splitter.rest() == ["xxxxx"]
    assert [len(line) for line in splitter.feed("y" * (LINE_LIMIT + 1) + "\nz")] == [LINE_LIMIT, 1]


def test_a_character_may_come_in_two_pieces() -> None:
    reader = LineReader()
    assert reader.feed("ä\nö".encode()[:4]) == ["ä"]
    assert reader.feed("ö".encode()[1:]) == []
    assert reader.feed(b"\xe2\x82") == []
    assert reader.rest() == ["ö\ufffd"]


def test_deadlines_come_in_order_and_can_be_taken_back() -> None:
    deadlines = Deadlines()
    called: list[int] = []
    kept = [deadlines.add(at, partial(called.append, at)) for at in (30, 10, 20)]
    deadlines.drop(kept[2])
    deadlines.drop(kept[2])
    assert deadlines.next_ns() == 10
    for call in deadlines.due(25):
        call()
    assert called == [10]
    assert deadlines.next_ns() == 30


def test_deadlines_that_were_taken_back_do_not_pile_up() -> None:
    deadlines = Deadlines()
    for number in range(100_000):
        deadlines.drop(deadlines.add(10**18 + number, threading.Event().set))
    assert len(deadlines) <= 2000
