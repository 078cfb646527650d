"""An engine in a process of its own, as `python -m tests.engine.an_engine FOLDER [JSON]` starts it: `bell.db` in that
folder, and jobs that write down what they do in files beside it. The jobs wait for files, so no test waits for time."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from watchbell import Run, Watchbell, every
from watchbell.app import compose
from watchbell.clock import SystemClock
from watchbell.engine import node
from watchbell.engine.node import Plan

FOLDER = "TEST_FOLDER"
LONG_US = 60_000_000


class PatientClock(SystemClock):
    """Waits as long as it was told to, so that nothing but a wake-up ends a wait."""

    def wait(self, event: threading.Event, timeout_us: int) -> bool:
        return event.wait(timeout_us / 1e6)


def note(run: Run, name: str) -> None:
    """One line, one write: the run, its claim, its process."""
    line = f"{run.id} {run.epoch} {os.getpid()} {name}\n"
    fd = os.open(Path(os.environ[FOLDER]) / "begun", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, line.encode())
    os.close(fd)


def may_go() -> bool:
    """Whether the test has let everything go on."""
    return (Path(os.environ[FOLDER]) / "go").exists()


async def tick(run: Run) -> None:
    note(run, "tick")


async def waits(run: Run) -> None:
    note(run, "waits")
    while not may_go():
        await asyncio.sleep(0.02)


async def blocks(run: Run) -> None:
    note(run, "blocks")
    while not may_go():
        time.sleep(0.01)  # noqa: ASYNC251  that is what it is for


def waits_on_a_thread(run: Run) -> None:
    note(run, "waits_on_a_thread")
    while not may_go():
        time.sleep(0.02)


def waits_isolated(run: Run) -> None:
    note(run, "waits_isolated")
    while not may_go():
        time.sleep(0.02)


def crashes(run: Run) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(run: Run) -> None:
    os._exit(3)


def eats_memory(run: Run) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    eaten = []
    while True:
        eaten.append(bytearray(64 << 20))


def hangs(run: Run) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(run, "hangs")
    while True:
        time.sleep(1)


def build(folder: Path, options: dict[str, Any]) -> Watchbell:
    """The application. `ticking` puts `tick` on a schedule; the others run when they are asked for."""
    bell = Watchbell(
        options.get("url") or f"sqlite:///{options.get('database', folder / 'bell.db')}",
        app="test",
        revision=1,
        slots=options.get("slots"),
        shutdown_grace=options.get("grace", "20s"),
        clock=PatientClock() if options.get("patient") else None,
    )
    if options.get("only_commands"):
        return bell
    for function in (tick, waits, blocks, waits_on_a_thread):
        bell.job(function)
    for function in (waits_isolated, crashes, leaves, eats_memory):
        bell.job(isolated=True)(function)
    bell.job(isolated=True, timeout="300ms", kill_grace="200ms")(hangs)
    if (period := options.get("ticking")) is not None:
        bell.add_schedule("ticking", bell._declared.jobs["tick"], every(period))
    return bell


def main(folder: Path, options: dict[str, Any]) -> None:
    """Run the engine until it is stopped."""
    os.environ[FOLDER] = str(folder)
    if "state" in options:  # as if it had a machine of its own
        os.environ["WATCHBELL_STATE_FOLDER"] = options["state"]
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    spans = {name: options[name] for name in ("stall_us", "loop_lag_limit_us", "lease_us") if name in options}
    compose.Plan = partial(Plan, **spans)  # type: ignore[misc, assignment]
    if options.get("patient"):
        node.LOOK_US = LONG_US
    if options.get("elsewhere"):  # as far as others can tell
        node.own_process = lambda: ""
    if options.get("faulty_disk"):
        from tests.disk.shim import install

        install(folder)
    build(folder, options).run()


if __name__ == "__main__":
    # Under its importable name, so that other processes find the isolated jobs.
    from tests.engine import an_engine  # noqa: PLW0406

    an_engine.main(Path(sys.argv[1]), json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
