"""Functions, each in a Python process of its own: killable, and no crash of theirs is one of the engine.

The process is started from nothing (never forked from the engine), imports the function by its name, and speaks with
the engine over a socket of its own, so that what the function prints is only what it prints:

    to it:    {"condition": target or null, "call": target, "args", "run_parameter", "run": {…}, "path": sys.path} · {"once": n, "first": bool}
    from it:  {"progress": [done, of, message]} · {"log": [level, text]} · {"once": n, "name"}
              {"passed": true} · {"skipped": true}  (what its condition has said)
              {"result": text or null, "note", "noticed"} · {"error", "types", "traceback", "obeyed", "noticed"}
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.outcome import Ending, Outcome
from ..errors import BadDeclaration
from .base import CommandSpec
from .child_process import Exit, Launch, Process
from .command import launch_of, without_own_error
from .condition import not_met
from .environment import environment, mark
from .exits import exit_sentence, outcome_of
from .holding import Live, after_asking, asked_to_end
from .lane import ProcessLane

_BOOT = Path(__file__).with_name("boot.py")
_INHERIT = CommandSpec(inherit_env=True)


def process_target(function: Callable[..., Any]) -> str:
    """The name `module:qualname` by which another process finds the function. Raises BadDeclaration if there is no
    such name, with the reason."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    shown = name or repr(function)
    if module is None or name is None:
        raise BadDeclaration(
            f"{shown} has no name of its own. A process job is a function defined in a module."
        )
    if "<lambda>" in name:
        raise BadDeclaration(f"A process job cannot be a lambda ({module}): write a function with a name.")
    if "<locals>" in name:
        raise BadDeclaration(
            f"A process job cannot be a function inside a function ({module}:{name}): another process cannot find it. "
            "Move it to the top of its module and pass what it needs as arguments."
        )
    if module == "__main__":
        raise BadDeclaration(
            f"A process job cannot be a function of the main script or notebook (__main__:{name}): another process "
            "would have to run the script to find it. Move it to a module that can be imported."
        )
    bound_to = getattr(function, "__self__", None)
    if bound_to is not None and not isinstance(bound_to, type):
        raise BadDeclaration(
            f"A process job cannot be a method of an object ({module}:{name}): the object is not in the other process."
        )
    return f"{module}:{name}"


class ProcessExecutor(ProcessLane):
    """The lane `process`. The function's process has the environment of the engine, as a thread would, unless the
    assignment's `command` says otherwise (`cwd`, `env`, `inherit_env`, `user` are heeded)."""

    lane = "process"
    _asks_twice = True

    def _launch(self, live: Live) -> Launch:
        assignment = live.assignment
        if assignment.target is None:
            raise ValueError("The job names no function: a process job has a target `module:qualname`.")
        spec = assignment.command or _INHERIT
        env = environment(assignment, spec, arguments=False)
        return launch_of((self._host.python, "-P", str(_BOOT)), env, spec)

    def _process(self, live: Live, launch: Launch) -> Process:
        live.home = {}
        return Process(
            mark(live.assignment),
            on_started=lambda pid, started: self._call(live, pid, started),
            on_line=lambda stream, text: self._sink.log(*live.key, stream, "info", text),
            on_exit=lambda told: self._exited(live, launch, told),
            on_message=lambda message: self._heard(live, message),
        )

    def _call(self, live: Live, pid: int, started: int | None) -> None:
        self._started(live, pid, started)
        a = live.assignment
        run = {
            "run": a.run,
            "epoch": a.epoch,
            "lane": a.lane,
            "job": a.job,
            "run_key": a.run_key,
            "token": a.token,
            "due_at": a.due_at,
            "attempt": a.attempt,
            "schedule": a.schedule,
        }
        condition = None if a.condition is None else a.condition.name
        call = {
            "condition": condition,
            "call": a.target,
            "args": dict(a.args),
            "run_parameter": a.run_parameter,
            "run": run,
        }
        control = live.handle.control
        try:
            control.send(call | {"path": [os.path.abspath(place) for place in sys.path]})
        except (TypeError, ValueError) as error:
            live.home = {
                "error": f"The arguments cannot be written as JSON: {error}.",
                "types": ["TypeError"],
            }
            self._host.kill(live.handle)

    def _heard(self, live: Live, message: dict[str, Any]) -> None:
        """What the function's process says."""
        if "progress" in message:
            self._sink.progress(*live.key, *message["progress"])
        elif "log" in message:
            self._sink.log(*live.key, "log", *message["log"])
        elif "once" in message:
            threading.Thread(target=self._answer_once, args=(live, message), daemon=True).start()
        elif "passed" in message:
            self._pass(live)
        elif "result" in message or "error" in message or "skipped" in message:
            live.home = message
            live.run._noticed = bool(message["noticed"])

    def _pass(self, live: Live) -> None:
        """The function's process has asked the condition, and calls the function now."""
        process: Process | None = live.handle
        self._passed(live)
        if process is not None and process.pid is not None:
            self._started(live, process.pid, process.started)
        if live.assignment.timeout_us is not None:
            live.timer = self._host.after(live.assignment.timeout_us, lambda: self._time_up(live))

    def _answer_once(self, live: Live, message: dict[str, Any]) -> None:
        """On a thread of its own, as it waits for the store."""
        answer: dict[str, Any] = {"once": message["once"]}
        try:
            answer["first"] = self._sink.once(*live.key, message["name"])
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        process: Process | None = live.handle
        if process is not None and process.control is not None:
            control = process.control
            self._host.post(lambda: control.send(answer))

    def _account(self, live: Live, told: Exit, now_us: int) -> Outcome:
        said: dict[str, Any] = live.home
        own = outcome_of(told, live.began_at, now_us, (0,), begun=live.handle.pid is not None)
        if not said:
            if own.ending is Ending.SUCCEEDED:
                own = replace(own, ending=Ending.FAILED, error=_SILENT)
            return without_own_error(live, after_asking(live, own))
        if "skipped" in said and live.assignment.condition is not None:
            return (
                not_met(live.assignment.condition, now_us)
                if live.asked is None
                else asked_to_end(live, now_us)
            )
        if said.get("obeyed") and live.asked is not None:
            asked = asked_to_end(live, now_us)
            return replace(asked, peak_memory=told.peak, cpu_us=told.cpu_us, exit_code=told.code)
        return after_asking(live, _as_said(said, own))


_SILENT = "The process ended with exit code 0 before the function had returned (os._exit?)."


def _as_said(said: dict[str, Any], own: Outcome) -> Outcome:
    """The function's own account, with what the system says of its process."""
    if "error" in said:
        return replace(
            own,
            ending=Ending.FAILED,
            error=said["error"],
            error_type=tuple(said["types"]),
            traceback=said.get("traceback"),
            reason=None,
        )
    after = exit_sentence(own.exit_code, (0,)) if own.ending is Ending.FAILED else None
    note = said["note"] if after is None else f"The function had returned; then: {after}"
    return replace(own, ending=Ending.SUCCEEDED, error=None, result=said["result"], reason=None, note=note)
