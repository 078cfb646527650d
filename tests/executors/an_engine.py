"""A stand-in for the engine's process, to be killed: it starts one run and waits. `an_engine.py LANE TOKEN FOLDER`."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from tests.executors.conftest import Desk, Remembered, assignment
from tests.executors.functions import has_a_family
from watchbell.clock import SystemClock
from watchbell.executors.base import CommandSpec
from watchbell.executors.command import CommandExecutor
from watchbell.executors.process import ProcessExecutor, process_target

FAMILY = "(trap '' TERM; sleep 86399) & setsid sleep 86399 & echo ready; wait"


def main(lane: str, token: str, folder: str) -> None:
    sink, desk = Remembered(), Desk()
    ready = Path(folder) / "family"
    executor: CommandExecutor | ProcessExecutor
    if lane == "command":
        executor = CommandExecutor(SystemClock(), sink, desk, 2)
        executor.start([assignment(token=token, command=CommandSpec(shell=FAMILY))])
        sink.await_line(1, "ready")
    else:
        executor = ProcessExecutor(SystemClock(), sink, desk, 2)
        executor.start(
            [assignment(token=token, target=process_target(has_a_family), args={"ready": str(ready)})]
        )
        while not (ready.exists() and ready.read_text()):
            threading.Event().wait(0.01)
    if os.fork() == 0:  # a careless fork holds the engine's end of every socket open
        (Path(folder) / "fork").write_text(str(os.getpid()))
        threading.Event().wait(60)
        os._exit(0)
    assert executor._host._spawner is not None
    (Path(folder) / "spawner").write_text(str(executor._host._spawner.pid))
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
