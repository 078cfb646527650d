"""Functions that the tests have carried out in processes of their own."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from watchbell import errors
from watchbell.executors.context import Run, current_run


class OutOfPaperError(errors.WatchbellError):
    pass


def add(a: int, b: int) -> dict[str, int]:
    return {"sum": a + b}


async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


def fail() -> None:
    raise OutOfPaperError("tray 2")


def crash() -> None:
    ctypes.string_at(0)


def leave(code: int) -> None:
    os._exit(code)


def exit_politely() -> None:
    sys.exit(3)


def not_json() -> object:
    return {1, 2}


def eat_memory() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
    return len(bytearray(1 << 30))


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def return_and_crash() -> str:
    import atexit

    atexit.register(crash)
    return "done"


def say() -> None:
    print("printed")
    print("complained", file=sys.stderr)
    logging.getLogger("shop").warning("logged %d", 7)
    thread = threading.Thread(target=lambda: logging.getLogger("shop").error("from a thread"))
    thread.start()
    thread.join()


def use_run(run: Run, n: int) -> dict[str, Any]:
    assert current_run.get() is run
    run.log("step %d", n, level="warning")
    run.progress(1, 2, "half")
    return {
        "once": [run.once("mail"), run.once("mail"), run.once("other")],
        "key": run.run_key,
        "due": run.due_at.isoformat(),
        "attempt": run.attempt,
        "environment": os.environ["WATCHBELL_RUN_KEY"],
    }


def polite(run: Run, ready: str) -> str:
    Path(ready).touch()
    while not run.cancelled:
        time.sleep(0.005)
    return "stopped by itself"


def raises_when_asked(run: Run, ready: str) -> None:
    Path(ready).touch()
    while True:
        run.raise_if_cancelled()
        time.sleep(0.005)


def never_looks(ready: str) -> None:
    try:
        Path(ready).touch()
        while True:
            time.sleep(60)
    finally:
        Path(ready).with_suffix(".tidied").touch()


def deaf(ready: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(ready).touch()
    while True:
        time.sleep(60)


async def waits(ready: str) -> None:
    try:
        Path(ready).touch()
        await asyncio.Event().wait()
    finally:
        Path(ready).with_suffix(".tidied").touch()


def has_a_family(ready: str) -> None:
    child = subprocess.Popen(["/bin/sh", "-c", "sleep 86399 & setsid sleep 86399 & wait"])
    Path(ready).write_text(str(child.pid))
    child.wait()


# --- conditions -------------------------------------------------------------------------------------------------------


def says_yes() -> bool:
    return True


def says_no() -> None:
    return None


async def says_no_later() -> bool:
    await asyncio.sleep(0)
    return False


def asks_the_run(run: Run) -> bool:
    run.log("asked for %s", run.job)
    return run.attempt == 1


def cannot_say() -> bool:
    raise OutOfPaperError("no answer")


def dies_over_it() -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    return True


def ponders() -> bool:
    current = current_run.get()
    assert current is not None
    current.log("pondering")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.005)
    return True


async def ponders_later() -> bool:
    current = current_run.get()
    assert current is not None
    current.log("pondering")
    await asyncio.sleep(60)
    return True


def proof(path: str) -> None:
    Path(path).write_text("it has begun")


async def proof_later(path: str) -> None:
    Path(path).write_text("it has begun")
