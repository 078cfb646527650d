"""The right to act on one SQLite file: a lock for the lifetime of the engine's process (PROTOCOL §8).

The lock is a `flock` on `<database>.lock/engine`, never on the database itself. It is taken in the process that runs
the engine, is closed in a fork, and is gone the instant its process dies. Beside it lies a counter that the engine moves
with every turn of its loop: a process that holds the lock and does not move it is stalled.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import StoreForbidden
from .wake import lock_folder

_HELD: set[EngineLock] = set()


class EngineLock:
    """The lock of one database, as one process sees it."""

    def __init__(self, database: Path) -> None:
        self.folder = lock_folder(database)
        self._open()
        self._count = 0
        self.held = False
        self._gave_way_to: int | None = None
        _HELD.add(self)

    def _open(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._fd: int | None = os.open(
                self.folder / "engine", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            self._progress = os.open(self.folder / "progress", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreForbidden(
                f"The lock folder {self.folder} cannot be used ({error.strerror}): the user that runs watchbell needs "
                "write permission there."
            ) from error

    def take(self) -> bool:
        """Take the lock if nobody holds it, and nobody acts without it: who has taken over from a stalled holder does
        so until that one lets go, and then the lock is theirs."""
        if self._fd is None or self.held:
            return self.held
        self.verify()
        before = self.holder()
        try:
            _lock(self._fd)
        except OSError:
            return False
        mover = self.mover()
        if mover == os.getpid():
            mover = self._gave_way_to  # the last turn of a replaced engine may have come after the other's
        if mover not in (None, before, os.getpid()) and _lives(mover):
            _unlock(self._fd)
            return False
        self.held, self._gave_way_to = True, None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        self.move()
        return True

    def verify(self) -> bool:
        """Whether the lock that is held is still the one that others find at its path. Where its folder was removed, it
        is made and taken anew; False if somebody else was faster."""
        path = self.folder / "engine"
        try:
            at_path = os.stat(path)
            own = os.fstat(self._fd if self._fd is not None else -1)
            if (at_path.st_dev, at_path.st_ino) == (own.st_dev, own.st_ino):
                return True
        except OSError:
            pass
        held, self.held = self.held, False
        self._reopen()
        return self.take() if held else True

    def _reopen(self) -> None:
        for fd in (self._fd, self._progress):
            if fd is not None:
                os.close(fd)
        self._fd, self._progress = None, -1
        self._open()

    def let_go(self, to: int | None = None) -> None:
        """Give the lock back, and stand by for it again: behind process `to`, which acts already and takes the lock with
        one of its next turns."""
        self._gave_way_to = to
        if self._fd is not None and self.held:
            _unlock(self._fd)
        self.held = False

    def move(self) -> None:
        """Show that the loop has turned once more."""
        self._count += 1
        os.pwrite(self._progress, struct.pack("<QQ", os.getpid(), self._count), 0)

    def progress(self) -> bytes:
        """What the holder last showed; changes as long as its loop turns."""
        return os.pread(self._progress, 16, 0)

    def mover(self) -> int | None:
        """The process that has turned its loop last."""
        shown = self.progress()
        return int(struct.unpack("<QQ", shown)[0]) if len(shown) == 16 else None

    def holder(self) -> int | None:
        """The process id that the lock file names."""
        if self._fd is None:
            return None
        with contextlib.suppress(ValueError):
            return int(os.pread(self._fd, 32, 0).split(b"\n")[0])
        return None

    def release(self) -> None:
        """Let the next one act."""
        _HELD.discard(self)
        if self._fd is not None:
            os.close(self._fd)
            os.close(self._progress)
            self._fd = None
        self.held = False


def _lock(fd: int) -> None:
    """Lock or raise OSError at once."""
    try:
        posix: Any = importlib.import_module("fcntl")
    except ImportError:
        windows: Any = importlib.import_module("msvcrt")
        windows.locking(fd, windows.LK_NBLCK, 1)
    else:
        posix.flock(fd, posix.LOCK_EX | posix.LOCK_NB)


def _unlock(fd: int) -> None:
    try:
        posix: Any = importlib.import_module("fcntl")
    except ImportError:
        windows: Any = importlib.import_module("msvcrt")
        windows.locking(fd, windows.LK_UNLCK, 1)
    else:
        posix.flock(fd, posix.LOCK_UN)


def _lives(pid: int | None) -> bool:
    """Whether a process is there and has not ended; one that nobody has reaped yet has."""
    psutil: Any = importlib.import_module("psutil")
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _forget_in_child() -> None:
    for lock in list(_HELD):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


@dataclass(frozen=True, slots=True)
class LockLook:
    """How the lock of a database stands: whether its folder is there, whether somebody holds it (None: it cannot be
    known), which process says so, which one turned its loop last, and whether that one lives."""

    there: bool
    held: bool | None = False
    holder: int | None = None
    mover: int | None = None
    lives: bool = False


def look(database: Path) -> LockLook:
    """Look at the lock without taking it and without making anything."""
    folder = lock_folder(database)
    try:
        fd = os.open(folder / "engine", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return LockLook(folder.is_dir())
    except OSError:
        return LockLook(folder.is_dir(), None)
    try:
        text = os.pread(fd, 32, 0).split(b"\n")[0]
        held = _is_held(fd)
    finally:
        os.close(fd)
    try:
        shown = (folder / "progress").read_bytes()[:16]
    except OSError:
        shown = b""
    holder = int(text) if text.isdigit() else None
    mover = int(struct.unpack("<QQ", shown)[0]) if len(shown) == 16 else None
    return LockLook(True, held, holder, mover, mover is not None and _lives(mover))


def _is_held(fd: int) -> bool | None:
    try:
        posix: Any = importlib.import_module("fcntl")
    except ImportError:
        return None
    try:
        posix.flock(fd, posix.LOCK_SH | posix.LOCK_NB)
    except OSError:
        return True
    return False  # and let go with the descriptor
