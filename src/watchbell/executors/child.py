"""In the process of a process job: import the function, call it, tell how it ended.

SIGTERM means that the run was asked to end. A coroutine is cancelled. A plain function finds it in `run.cancelled`
and `run.raise_if_cancelled()`; a second SIGTERM, after half the grace, raises `errors.Cancelled` in it.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import itertools
import json
import signal
import socket
import sys
import threading
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any, BinaryIO

from ..errors import Cancelled, StoreUnavailable
from .account import error_text, result_text, traceback_text, type_chain
from .base import Assignment, Condition
from .capture import capture_all, remove_capture
from .condition import ask, awaited
from .context import Run, current_run

_LONGEST_TEXT = 65536


class ControlSink:
    """The run's words, on their way over the control socket. Thread-safe."""

    def __init__(self, control: socket.socket, answers: BinaryIO) -> None:
        self._control = control
        self._answers = answers
        self._sending = threading.Lock()
        self._asking = threading.Lock()
        self._numbers = itertools.count(1)

    def send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._sending:
            self._control.sendall(data)

    def began(self, run: int, epoch: int, began_at: int, pid: int | None, pid_started: int | None) -> None:
        """Told by the engine's side."""

    def log(self, run: int, epoch: int, stream: str, level: str, text: str) -> None:
        self.send({"log": [level, text[:_LONGEST_TEXT]]})

    def progress(self, run: int, epoch: int, done: float, of: float | None, message: str | None) -> None:
        self.send({"progress": [done, of, message and message[:_LONGEST_TEXT]]})

    def once(self, run: int, epoch: int, name: str) -> bool:
        with self._asking:
            number = next(self._numbers)
            self.send({"once": number, "name": name})
            for line in self._answers:
                answer = json.loads(line)
                if answer["once"] == number:
                    if "error" in answer:
                        raise StoreUnavailable(
                            f"The answer to once({name!r}) is not known: {answer['error']}"
                        )
                    return bool(answer["first"])
        raise StoreUnavailable(f"The engine went away before it answered once({name!r}).")


def carry_out(call: dict[str, Any], control: socket.socket, answers: BinaryIO) -> None:
    """Carry out one call and send how it ended."""
    sink = ControlSink(control, answers)
    run = Run(Assignment(**call["run"]), sink)
    current_run.set(run)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    capture_all(sink, run)
    try:
        _hear_asking(run)
        if call["condition"] is None or _met(call["condition"], run, sink):
            end = _end_of(_called(call, run))
        else:
            end = {"skipped": True}
    except BaseException as exc:
        end = {
            "error": error_text(exc),
            "types": type_chain(type(exc)),
            "traceback": traceback_text(exc),
            "obeyed": isinstance(exc, Cancelled | CancelledError),
        }
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    remove_capture(sink)
    # SIGTERM went to the whole process group: what returned after it was not left to finish, noticed or not.
    sink.send(end | {"noticed": run._asked is not None})


def _met(condition: str, run: Run, sink: ControlSink) -> bool:
    """Ask the condition. That it is met is told before anything of the function is called."""
    value = ask(Condition(condition), run)
    met = asyncio.run(awaited(value)) if inspect.isawaitable(value) else bool(value)
    if not met or run._asked is not None:
        return False
    sink.send({"passed": True})
    return True


def _end_of(value: object) -> dict[str, Any]:
    text, note, error = result_text(value) if value is not None else (None, None, None)
    if error is not None:
        return {"error": error, "types": ("TypeError", "Exception")}
    return {"result": text, "note": note}


def _hear_asking(run: Run) -> None:
    def asked(_number: int, _frame: object) -> None:
        if run._asked is not None:
            raise Cancelled("The run was asked to end.")
        run._asked = "asked to end"

    signal.signal(signal.SIGTERM, asked)


def _called(call: dict[str, Any], run: Run) -> object:
    function = resolve(call["call"])
    arguments = dict(call["args"])
    if call["run_parameter"] is not None:
        arguments[call["run_parameter"]] = run
    if not inspect.iscoroutinefunction(function):
        return function(**arguments)
    return asyncio.run(_awaited(function, arguments, run))


async def _awaited(function: Callable[..., Any], arguments: dict[str, Any], run: Run) -> object:
    """The coroutine, cancelled at each SIGTERM."""
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None

    def asked() -> None:
        run._asked = "asked to end"
        me.cancel()

    loop.add_signal_handler(signal.SIGTERM, asked)
    return await function(**arguments)


def resolve(target: str) -> Callable[..., Any]:
    """The function of that name. What a decorator has put in its place is looked through, if it says what it
    wraps and cannot be called itself."""
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    while not callable(found) and hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    if not callable(found):
        raise TypeError(f"{target} is {type(found).__name__}, which cannot be called.")
    result: Callable[..., Any] = found
    return result
