"""The lane of functions in processes of their own."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from watchbell import errors
from watchbell.clock import SystemClock
from watchbell.core.outcome import Ending
from watchbell.executors.base import Assignment, CommandSpec, Executor
from watchbell.executors.host import ProcessHost
from watchbell.executors.process import ProcessExecutor, process_target

from . import functions
from .conftest import Desk, Remembered, assignment, eventually

Make = Callable[..., ProcessExecutor]


@pytest.fixture
def make(clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]) -> Make:
    def _make(slots: int = 4, host: ProcessHost | None = None) -> ProcessExecutor:
        executor = ProcessExecutor(clock, sink, desk, slots, host)
        ended.append(executor)
        return executor

    return _make


def call(function: Callable[..., object], run: int = 1, **fields: object) -> Assignment:
    return assignment(run, lane="process", target=process_target(function), **fields)


@pytest.mark.parametrize(("function", "result"), [(functions.add, '{"sum": 5}'), (functions.add_later, "5")])
def test_a_function_runs_in_a_process_and_its_result_comes_back(
    make: Make, desk: Desk, sink: Remembered, function: Callable[..., object], result: str
) -> None:
    make().start([call(function, args={"a": 2, "b": 3})])
    outcome = desk.outcome()
    assert (outcome.ending, outcome.result, outcome.exit_code) == (Ending.SUCCEEDED, result, 0)
    assert (outcome.peak_memory or 0) > 1_000_000
    assert (outcome.cpu_us or 0) > 0
    assert sink.begins[1][1] not in (None, os.getpid())


def test_an_exception_comes_back_with_its_chain_of_types(make: Make, desk: Desk) -> None:
    make().start([call(functions.fail)])
    outcome = desk.outcome()
    assert (outcome.ending, outcome.error) == (Ending.FAILED, "OutOfPaperError: tray 2")
    assert outcome.error_type == (
        "tests.executors.functions.OutOfPaperError",
        "OutOfPaperError",
        "watchbell.errors.WatchbellError",
        "WatchbellError",
        "Exception",
        "BaseException",
    )
    assert "in fail" in (outcome.traceback or "")
    assert "child.py" not in (outcome.traceback or "")


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (functions.crash, {}, "The program was killed by signal 11 (SIGSEGV)."),
        (functions.leave, {"code": 9}, "The program ended with exit code 9."),
        (functions.leave, {"code": 0}, "The process ended with exit code 0 before the function had returned"),
        (functions.exit_politely, {}, "SystemExit: 3"),
        (functions.not_json, {}, "The function returned a set, which is not JSON."),
        (functions.eat_memory, {}, "MemoryError"),
        (functions.be_killed, {}, "The program was killed by signal 9 (SIGKILL); watchbell did not send it"),
        (functions.add, {"a": 1}, "TypeError: add() missing 1 required positional argument: 'b'"),
    ],
)
def test_F12_F55_F58_no_end_of_a_process_is_more_than_its_own_failure(
    make: Make, desk: Desk, function: Callable[..., object], arguments: dict[str, object], sentence: str
) -> None:
    executor = make()
    executor.start([call(function, 1, args=arguments), call(functions.add, 2, args={"a": 1, "b": 1})])
    assert desk.outcome(1).ending is Ending.FAILED
    assert (desk.outcome(1).error or "").startswith(sentence)
    assert desk.outcome(2).ending is Ending.SUCCEEDED


def test_a_crash_after_the_function_had_returned_is_a_note(make: Make, desk: Desk) -> None:
    make().start([call(functions.return_and_crash)])
    assert (desk.outcome().ending, desk.outcome().result) == (Ending.SUCCEEDED, '"done"')
    assert (
        desk.outcome().note
        == "The function had returned; then: The program was killed by signal 11 (SIGSEGV)."
    )


def test_a_function_that_is_not_there_is_a_failure(make: Make, desk: Desk) -> None:
    make().start([assignment(target="tests.executors.functions:nowhere")])
    assert desk.outcome().error_type[0] == "AttributeError"


def test_arguments_that_are_not_json_are_a_failure(make: Make, desk: Desk) -> None:
    make().start([call(functions.add, args={"a": {1}, "b": 2})])
    assert desk.outcome().ending is Ending.FAILED
    assert (desk.outcome().error or "").startswith("The arguments cannot be written as JSON")


def test_what_it_prints_and_logs_reaches_the_sink_apart(make: Make, desk: Desk, sink: Remembered) -> None:
    make().start([call(functions.say)])
    assert desk.outcome().ending is Ending.SUCCEEDED
    assert sink.text(1, "stdout") == ["printed"]
    assert sink.text(1, "stderr") == ["complained"]
    logged = [(level, text) for _, stream, level, text in sink.lines if stream == "log"]
    assert logged == [("warning", "logged 7"), ("error", "from a thread")]


def test_the_run_is_known_in_the_process(make: Make, desk: Desk, sink: Remembered) -> None:
    make().start([call(functions.use_run, args={"n": 7}, run_parameter="run", attempt=2)])
    assert desk.outcome().result == (
        '{"once": [true, false, true], "key": "key-1", "due": "2026-11-21T08:00:00+00:00", "attempt": 2, '
        '"environment": "key-1"}'
    )
    assert (1, "log", "warning", "step 7") in sink.lines
    assert sink.steps == [(1, 1, 2, "half")]


@pytest.mark.parametrize("hard", [False, True])
def test_a_cancel_ends_the_process_and_its_whole_family(
    make: Make, desk: Desk, tmp_path: Path, hard: bool
) -> None:
    ready = tmp_path / "ready"
    executor = make()
    executor.start([call(functions.has_a_family, args={"ready": str(ready)}, token=f"family-{hard}")])
    eventually(lambda: ready.exists() and ready.read_text(), "the family is there")
    executor.cancel(1, 1, "a person asked", hard=hard)
    assert (desk.outcome().ending, desk.outcome().error) == (Ending.CANCELLED, None)
    assert marked(f"family-{hard}") == []


@pytest.mark.parametrize(
    ("function", "result"), [(functions.polite, '"stopped by itself"'), (functions.raises_when_asked, None)]
)
def test_sigterm_sets_the_flag_of_the_run(
    make: Make, desk: Desk, tmp_path: Path, function: Callable[..., object], result: str | None
) -> None:
    ready = tmp_path / "ready"
    executor = make()
    executor.start([call(function, args={"ready": str(ready)}, run_parameter="run")])
    eventually(ready.exists, "the function has begun")
    executor.cancel(1, 1, "shutdown")
    outcome = desk.outcome()
    assert (outcome.ending, outcome.reason, outcome.result) == (Ending.CANCELLED, "shutdown", result)
    assert outcome.exit_code == 0


@pytest.mark.parametrize("function", [functions.never_looks, functions.waits])
def test_a_timeout_lets_the_function_tidy_up(
    make: Make, desk: Desk, tmp_path: Path, function: Callable[..., object]
) -> None:
    ready = tmp_path / "ready"
    make().start([call(function, args={"ready": str(ready)}, timeout_us=1_500_000, kill_grace_us=2_000_000)])
    outcome = desk.outcome()
    assert ready.exists(), "the function had not begun within its timeout"
    assert (outcome.ending, outcome.exit_code) == (Ending.TIMED_OUT, 0)
    assert ready.with_suffix(".tidied").exists()


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(
    make: Make, desk: Desk, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    executor = make()
    executor.start([call(functions.deaf, args={"ready": str(ready)}, kill_grace_us=100_000)])
    eventually(ready.exists, "the function has begun")
    executor.cancel(1, 1, "a person asked")
    assert (desk.outcome().ending, desk.outcome().exit_code) == (Ending.CANCELLED, -9)


def test_its_environment_is_the_engines_unless_said_otherwise(
    make: Make, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DATABASE", "orders")
    target = "os:getenv"
    executor = make()
    executor.start(
        [
            assignment(1, target=target, args={"key": "SHOP_DATABASE"}),
            assignment(2, target=target, args={"key": "SHOP_DATABASE"}, command=CommandSpec()),
        ]
    )
    assert (desk.outcome(1).result, desk.outcome(2).result) == ('"orders"', None)


def test_two_lanes_share_one_host(make: Make, desk: Desk, clock: SystemClock, sink: Remembered) -> None:
    from watchbell.executors.command import CommandExecutor

    host = ProcessHost(clock)
    executor = make(host=host)
    other = CommandExecutor(clock, sink, desk, 4, host)
    executor.start([call(functions.add, 1, args={"a": 1, "b": 1})])
    other.start([assignment(2, command=CommandSpec(argv=("true",)))])
    assert {desk.outcome(1).ending, desk.outcome(2).ending} == {Ending.SUCCEEDED}
    assert host._spawner is not None
    first = host._spawner.pid
    executor.stop(0)
    other.start([assignment(3, command=CommandSpec(argv=("true",)))])
    assert desk.outcome(3).ending is Ending.SUCCEEDED
    assert host._spawner.pid == first
    other.stop(0)
    host.close()


class Shop:
    def open(self) -> None:
        pass

    @classmethod
    def close(cls) -> None:
        pass


def test_a_function_is_named_by_its_module_and_qualified_name() -> None:
    assert process_target(functions.add) == "tests.executors.functions:add"
    assert process_target(Shop.close) == f"{__name__}:Shop.close"


def _of_the_main_script() -> Callable[[], None]:
    def main() -> None:
        pass

    main.__module__, main.__qualname__ = "__main__", "main"
    return main


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: None, "cannot be a lambda"),
        (_of_the_main_script(), "cannot be a function of the main script or notebook"),
        (Shop().open, "cannot be a method of an object"),
        (functools.partial(functions.add, 1), "has no name of its own"),
    ],
)
def test_what_another_process_cannot_find_is_refused_with_the_reason(
    function: Callable[..., object], reason: str
) -> None:
    with pytest.raises(errors.BadDeclaration, match=reason):
        process_target(function)


def test_a_closure_is_refused_with_the_reason() -> None:
    def inner() -> None:
        pass

    with pytest.raises(errors.BadDeclaration, match="cannot be a function inside a function"):
        process_target(inner)


def marked(token: str) -> list[str]:
    """The command lines of all living processes that carry this token in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"WATCHBELL_TOKEN={token}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
