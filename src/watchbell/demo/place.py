"""The folder in which the demo keeps everything: what it makes there, that only one demo uses it, and a fresh start.

A folder with a mark is the demo's. One without, and with anything in it, is somebody else's and is left alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BadConfiguration, Conflict, StoreUnavailable

VARIABLE = "WATCHBELL_DEMO"
SITE_VARIABLE = "WATCHBELL_DEMO_SITE"
MARK = "made-by-watchbell-demo"
LOCK = "demo.lock"
MADE = (
    "watchbell.db", "watchbell.db-wal", "watchbell.db-shm", "watchbell.db.lock", "shop.db",
    "shop.db-wal", "shop.db-shm", "backups", "exports", "service.log",
)  # fmt: skip


class Place:
    """The demo's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "watchbell.db"
        self.shop = folder / "shop.db"
        self.backups = folder / "backups"
        self.exports = folder / "exports"
        self.log = folder / "service.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the folder alone; made where it is missing.

        Raises BadConfiguration for a folder that is not the demo's, StoreUnavailable for one that cannot be written,
        Conflict while another demo has it.
        """
        try:
            self._make()
            lock = (self.folder / LOCK).open("a+", encoding="ascii")
        except OSError as error:
            raise StoreUnavailable(
                f"The demo cannot write to its folder {self.folder} ({error.strerror}): name another one with --state."
            ) from error
        with lock:
            self._take(lock.fileno())
            yield

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / MARK).exists():
            return
        if any(self.folder.iterdir()):
            raise BadConfiguration(
                f"The folder {self.folder} holds things that the demo has not made: name an empty or a new one with "
                "--state."
            )
        (self.folder / MARK).write_text("`watchbell demo --fresh` empties this folder.\n", encoding="utf-8")

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            raise Conflict(
                f"Another demo{f' (process {holder})' if holder else ''} is running in {self.folder}: end it with "
                "Ctrl-C, or name another folder with --state."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)

    def furnish(self, fresh: bool) -> None:
        """Make the folders that the jobs write to; before that, remove what earlier demos have made if `fresh`."""
        if fresh:
            self._forget()
        for folder in (self.backups, self.exports):
            folder.mkdir(exist_ok=True)

    def _forget(self) -> None:
        for name in MADE:
            path = self.folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
