"""The log that the jobs write themselves, apart from everything the engine writes: one line, one O_APPEND write.

It names what has really happened; the ledger is judged by it. Whoever kills an engine writes a line of its own (`#kill`)
just before, so that the order of lines tells what was in flight.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from .history import Kill, Record

LOG_VARIABLE = "TORTURE_LOG"
_open: dict[str, int] = {}

SHELL_FUNCTIONS = """
say() {
  read -r up rest < /proc/uptime
  printf '%s %s %s %s %s %s %s 0\\n' "$WATCHBELL_RUN_KEY" "$WATCHBELL_EPOCH" "$WATCHBELL_ATTEMPT" "$WATCHBELL_TOKEN" \\
    "$1" "$$" "${up%.*}${up#*.}0000000" >> "$TORTURE_LOG"
}
one_of() {
  place=1
  while [ "$place" -le "$2" ]; do
    eval "exec $3>>\\"$TORTURE_LOG.$1-$place\\""
    flock -n "$3" && return
    place=$((place + 1))
  done
  say over
}
"""
"""For jobs that are a text for /bin/sh: `say PHASE`, and `one_of NAME HOW_MANY DESCRIPTOR`, a lock that is free unless
more are at work than may be."""


def write(line: str, path: str | None = None) -> None:
    """Append one line with one write. The descriptor is opened once in a process, and anew after a fork."""
    place = f"{path or os.environ[LOG_VARIABLE]}:{os.getpid()}"
    fd = _open.get(place)
    if fd is None:
        name = place.rpartition(":")[0]
        fd = _open[place] = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(fd, line.encode())


def say(key: str, epoch: int, attempt: int, token: str, phase: str) -> None:
    """What a job says of itself."""
    now = f"{os.getpid()} {time.monotonic_ns()} {time.time_ns() // 1000}"
    write(f"{key} {epoch} {attempt} {token} {phase} {now}\n")


def say_kill(path: str, pid: int, cycle: int) -> None:
    """An engine is killed at this point."""
    write(f"#kill {pid} {time.time_ns() // 1000} {cycle}\n", path)


def read(path: Path) -> tuple[list[Record], list[Kill]]:
    """Everything that was written. A torn last line cannot be: a line is one write to a local file."""
    records, kills = [], []
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    for place, line in enumerate(lines):
        words = line.split()
        if words[0] == "#kill":
            kills.append(Kill(place, int(words[1]), int(words[2]), int(words[3])))
            continue
        key, epoch, attempt, token, phase, pid, mono, wall = words
        records.append(
            Record(place, key, int(epoch), int(attempt), token, phase, int(pid), int(mono), int(wall))
        )
    return records, kills


class OneOf:
    """One of `most` places that a name has, kept for as long as the `with` lasts, or until the process dies. More at
    work than may be is written down as `over`."""

    def __init__(self, name: str, most: int, over: Callable[[], None]) -> None:
        self._name = name
        self._most = most
        self._over = over
        self._fd: int | None = None

    def __enter__(self) -> Self:
        for place in range(1, self._most + 1):
            path = f"{os.environ[LOG_VARIABLE]}.{self._name}-{place}"
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                continue
            self._fd = fd
            return self
        self._over()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fd is not None:
            # A process that is just being forked may hold it open a little longer.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)
