"""Copies that are being made, and those that a process left unfinished when it was killed.

Beside each lies an empty file with the ending `.held`, which its maker keeps locked: the kernel lets go of that lock with the
process, however that ended. What nobody holds any more is removed by whoever makes the next copy for the same place. The
copy itself is never locked, because that would be in SQLite's way.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_HELD = ".held"
BESIDE = ("", "-wal", "-shm", "-journal")
"""What belongs to a database file, by the ending of its name."""


@contextmanager
def in_the_making(made: Path) -> Iterator[None]:
    """While this lasts `made` is somebody's; afterwards it is gone, with all that belongs to it."""
    held = made.with_name(made.name + _HELD)
    fd = os.open(held, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        _lock(fd)
        yield
    finally:
        _remove(made)
        os.close(fd)
        held.unlink(missing_ok=True)


def sweep(target: Path) -> None:
    """Remove what was left unfinished of copies that were to become `target`, or a file whose name begins so."""
    ours = re.compile(rf"(\.{re.escape(target.name)}(?:\..+)?\.[0-9a-f]{{8}}){re.escape(_HELD)}")
    with contextlib.suppress(OSError):  # a folder that cannot be read is for the copy itself to meet
        for name in os.listdir(target.parent):
            if found := ours.fullmatch(name):
                _remove_if_left(target.with_name(name), target.with_name(found[1]))


def _remove_if_left(held: Path, made: Path) -> None:
    with contextlib.suppress(OSError):  # it belongs to another user, or somebody was faster
        fd = os.open(held, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            if _lock(fd):
                _remove(made)
                held.unlink(missing_ok=True)
        finally:
            os.close(fd)


def _remove(made: Path) -> None:
    for ending in BESIDE:
        made.with_name(made.name + ending).unlink(missing_ok=True)


def _lock(fd: int) -> bool:
    """Lock it, if nobody else has; never where there are no such locks, and then nothing is swept."""
    try:
        posix: Any = importlib.import_module("fcntl")
    except ImportError:
        return False
    try:
        posix.flock(fd, posix.LOCK_EX | posix.LOCK_NB)
    except OSError:
        return False
    return True
