"""The mark: how far the engine of a database has come, written beside the database before anything begins.

A database that knows less than its mark has lost what was committed to it: its log was deleted or cut, or an old copy was
put in its place. Whoever acted on it would run again what has run already; so nobody does. What is lost of a log is always
its end, so that the newest claim and the newest heartbeat say enough.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

from ...core.claim import Claim
from ...errors import StoreCorrupt
from ..tx import Tx

_FORM = struct.Struct("<16s5q")
SURELY_LATER_US = 60_000_000


@dataclass(slots=True)
class _Marked:
    """Of which database and engine epoch; when its lease was renewed; the newest claim: its run, epoch and instant."""

    database: bytes
    epoch: int
    beat_at: int = 0
    run: int = 0
    run_epoch: int = 0
    claimed_at: int = 0


class Mark:
    """The mark of one engine. Thread-safe; it costs one small write into the system's memory, and no sync."""

    def __init__(self, folder: Path, database: str, epoch: int) -> None:
        self._path = folder / "mark"
        self._now = _Marked(database.encode(), epoch)
        self._lock = threading.Lock()

    def renewed(self, at: int) -> None:
        """The lease was renewed at `at`, durably."""
        with self._lock:
            self._now.beat_at = at
            self._write()

    def granted(self, claim: Claim) -> None:
        """This claim is durable, and about to begin."""
        with self._lock:
            now = self._now
            now.run, now.run_epoch, now.claimed_at = claim.run, claim.epoch, claim.claimed_at
            self._write()

    def _write(self) -> None:
        now = self._now
        data = _FORM.pack(now.database, now.epoch, now.beat_at, now.run, now.run_epoch, now.claimed_at)
        with contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(fd, data, 0)
            finally:
                os.close(fd)


def forget(folder: Path) -> None:
    """What comes now does not follow from what was (a restore)."""
    (folder / "mark").unlink(missing_ok=True)


def compare(tx: Tx, folder: Path, where: str) -> None:
    """StoreCorrupt if the database knows less than its mark says."""
    try:
        found = _FORM.unpack((folder / "mark").read_bytes())
    except (OSError, struct.error):
        return
    marked = _Marked(found[0].rstrip(b"\0"), *found[1:])
    if marked.database.decode(errors="replace") != tx.value(
        "SELECT value FROM meta WHERE key = 'database_id'"
    ):
        return  # another database, which was begun anew in its place
    if _knows(tx, marked):
        return
    raise StoreCorrupt(
        f"{where} knows less than its last engine had written: its log (-wal) was lost, or an older copy was put in its place "
        "by hand. Put the newer one back, or `watchbell restore` the copy to go on from: what may have run since is then "
        f"not run again. To go on from this very file: `watchbell restore {where} --database {where}`."
    )


def _knows(tx: Tx, marked: _Marked) -> bool:
    epoch = int(tx.value("SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'engine_epoch'"))
    beat = tx.value("SELECT max(heartbeat_at) FROM node WHERE engine_epoch = ?", (marked.epoch,))
    if epoch < marked.epoch or (marked.beat_at and beat is not None and int(beat) < marked.beat_at):
        return False
    if not marked.run or beat is None or int(beat) > marked.claimed_at + SURELY_LATER_US:
        return True  # a later commit is there, and so is every one before it
    row = tx.value("SELECT epoch FROM occurrence WHERE id = ?", (marked.run,))
    return int(row) >= marked.run_epoch if row is not None else _was_repaired(tx)


def _was_repaired(tx: Tx) -> bool:
    """Whether `watchbell clock repair` has lately removed rows that never ran: the newest claim may have been one."""
    sql = "SELECT action FROM audit_event ORDER BY id DESC LIMIT 1000"
    return ("clock.repaired",) in tx.rows(sql)
