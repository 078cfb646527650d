"""The reserve: a file without content beside the database, so that there is room for the last rows when the disk is full.

It is made when the engine starts, given up when a write finds no room, and made again once there is. Beside it lies a
file of fixed size that says what troubles the engine: it can be written even then, and `watchbell status` reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

RESERVE_BYTES = 8 * 1024 * 1024
_LEAST_BYTES = 64 * 1024
_SHARE = 4
"""On a small disk the reserve takes no more than this part of what is free."""
_TROUBLE_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Told:
    """What troubles an engine: `kind` is full, failing or refused; `since` microseconds UTC; a sentence for people."""

    kind: str
    since: int
    text: str
    pid: int


class Reserve:
    """The reserve of one database, and the word of its engine, in the lock folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "reserve"
        self._trouble = folder / "trouble"
        self._wanted = 0

    def make(self) -> bool:
        """Take the room, as much as before where it had been given up; False if there is not so much."""
        with contextlib.suppress(OSError):
            if self._path.stat().st_size >= max(_LEAST_BYTES, self._wanted):
                return True
        try:
            free = shutil.disk_usage(self._path.parent).free
            size = self._wanted or min(RESERVE_BYTES, free // _SHARE)
            if size < _LEAST_BYTES or free < size:
                return False
            _take(self._path, size)
        except OSError:
            self.release()
            return False
        self._wanted = size
        return True

    def release(self) -> bool:
        """Give the room up; True if there was any."""
        with contextlib.suppress(OSError):
            self._wanted = self._wanted or self._path.stat().st_size
            self._path.unlink()
            return True
        return False

    def prepare(self) -> Told | None:
        """Make room for a word of trouble; gives back the one that an engine before this has left."""
        left = told(self._trouble.parent)
        with contextlib.suppress(OSError):
            if self._trouble.exists() and self._trouble.stat().st_size == _TROUBLE_BYTES:
                return left
            fd = os.open(self._trouble, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(fd, b" " * _TROUBLE_BYTES, 0)
            finally:
                os.close(fd)
        return left

    def tell(self, word: Told | None) -> None:
        """Write down what troubles the engine (None: nothing does), in the place that is there for it."""
        text = b""
        if word is not None:
            text = json.dumps(asdict(word)).encode()
            if len(text) > _TROUBLE_BYTES:
                text = json.dumps(asdict(word) | {"text": word.text[:200]}).encode()
        with contextlib.suppress(OSError):
            fd = os.open(self._trouble, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(fd, text.ljust(_TROUBLE_BYTES), 0)
            finally:
                os.close(fd)


def told(folder: Path) -> Told | None:
    """What the engine of a database says that troubles it; None where it says nothing."""
    try:
        text = (folder / "trouble").read_bytes().strip()
        return Told(**json.loads(text)) if text else None
    except (OSError, ValueError, TypeError):
        return None


def _take(path: Path, size: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
        else:
            for _ in range(0, size, 1 << 16):
                os.write(fd, b"\0" * (1 << 16))
    finally:
        os.close(fd)
