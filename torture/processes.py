"""The processes of one arena: everything is forked from one process without threads, and reaped there."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


class Processes:
    """What was started for one folder, and how it ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ended: dict[int, int] = {}
        ctypes.CDLL(None).prctl(
            _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0
        )  # so that what engines leave is reaped here

    def fork(self, work: Callable[[], None], log: str | None = None) -> int:
        """A process that does the work and ends; what it logs goes to a file of that name."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if log is not None:
                logging.basicConfig(
                    filename=self._folder / log,
                    format="%(asctime)s %(levelname)s %(message)s",
                    level=logging.INFO,
                )
            work()
            code = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            with (self._folder / "errors.log").open("a") as file:
                traceback.print_exc(file=file)
        finally:
            os._exit(code)

    def reap(self) -> None:
        """Learn of every process that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.ended[pid] = os.waitstatus_to_exitcode(status)

    def wait_for(self, pid: int, within_s: float = 60.0) -> int | None:
        """The exit code; None if it is still there after that time."""
        end = time.monotonic() + within_s
        while pid not in self.ended and time.monotonic() < end:
            self.reap()
            if pid not in self.ended:
                time.sleep(0.002)
        return self.ended.get(pid)

    def kill(self, pid: int) -> None:
        """End it at once, and wait until it has ended."""
        send(pid, signal.SIGKILL)
        self.wait_for(pid)


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal to a process; whether it was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def children_of(pid: int) -> list[int]:
    """The direct children of a process: an engine has one, its spawner."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.name))
    return found


def family_of(pid: int) -> list[int]:
    """A process and everything below it, from the top."""
    found, place = [pid], 0
    while place < len(found):
        found += children_of(found[place])
        place += 1
    return found
