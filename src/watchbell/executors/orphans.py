"""Ending what the engine before left running: the process groups that the ledger names, and whatever else carries the
mark of one of its runs in its environment."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Sequence
from pathlib import Path

_PROC = Path("/proc")
DEATH_MS = 2000


def end_orphans(recorded: Sequence[tuple[int, int, int]], database: str) -> int:
    """Kill the process groups in `recorded` (run, pid, start time), where the pid is still the same process, and every
    process of this user that carries the mark of one of these runs of `database`. Returns how many were found."""
    groups = [pid for _, pid, started in recorded if started and start_time(pid) == started]
    marks = {f"WATCHBELL_RUN={run}".encode() for run, _, _ in recorded}
    marked = _marked(f"WATCHBELL_RUN_KEY={database}-".encode(), marks)
    watched = [_watch(pid) for pid in {*groups, *marked}]
    for pid in groups:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    for pid in marked:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    for fd in watched:
        _wait_for_death(fd)
    return len(watched)


def _watch(pid: int) -> int | None:
    """A descriptor that becomes readable when the process is dead, where the system has one."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None


def _wait_for_death(fd: int | None) -> None:
    """Nothing of the same schedule may begin while what was killed still dies; bounded, for what waits in the kernel."""
    if fd is None:
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(DEATH_MS)
    os.close(fd)


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot: with its pid it names the process. 0 where that is unknown."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _marked(database: bytes, runs: set[bytes]) -> list[int]:
    own = os.getpid()
    pids: list[int] = []
    if not _PROC.is_dir():
        return pids
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == own:
            continue
        with contextlib.suppress(OSError):
            environ = (entry / "environ").read_bytes().split(b"\0")
            if not runs.isdisjoint(environ) and any(line.startswith(database) for line in environ):
                pids.append(int(entry.name))
    return pids
