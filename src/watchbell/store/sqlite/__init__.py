"""SQLite: how a database is opened, read and written (PROTOCOL §8).

The file belongs to watchbell: it is opened through apsw only, never shared with the application's own connection, and
never opened as a plain file (closing such a handle would drop SQLite's locks). WAL, `synchronous=FULL`,
`BEGIN IMMEDIATE`; checkpoints run on a connection of their own so that no writer pays for them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from ...clock import Clock
from ...errors import BadConfiguration, StoreCorrupt, StoreGone, StoreUnavailable
from ..base import Store
from ..tx import Tx
from .errors import translated
from .readers import Readers
from .wake import Listener, poke
from .writer import NotBegun, Writer

T = TypeVar("T")
BUSY_TIMEOUT_MS = 10_000
LOG_LIMIT_PAGES = 16_384  # 64 MiB
BACKUP_PAGES = 500
_TRIES = 3
APPLICATION_ID = 0x7762656C  # "wbel"
NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "fuse.sshfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
}


class SqliteStore(Store):
    """One database, opened by one process. Thread-safe."""

    dialect = "sqlite"

    def __init__(self, path: Path | None, *, breathe: Callable[[], None] | None = None) -> None:
        self.path = path
        self.where = ":memory:" if path is None else str(path)
        self._readers = Readers(self._connect, self.where)
        self._lock = threading.RLock()
        self._checkpointing = threading.Lock()
        self._closed = False
        try:
            self._refuse_foreign()
            self._main = self._connect(new=True)
            self._checkpointer = None if path is None else self._connect()
        except apsw.Error as error:
            raise translated(error, self.where) from error
        self._identity = self._file_identity()
        self._writer = Writer(self._main, self.where, breathe, self.poke)
        self._watch: apsw.Connection | None = None

    @property
    def in_memory(self) -> bool:
        """Whether nothing of it outlives the process."""
        return self.path is None

    def write(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` in one durable transaction, together with whatever else waits to be written."""
        if self._closed:
            raise StoreUnavailable(f"The database {self.where} has been closed.")
        for _ in range(_TRIES):
            if self._writer.broken:
                self._renew()
            try:
                return self._writer.write(work)
            except NotBegun:  # somebody else's write met an error of the disk before this one's turn came
                continue
        raise StoreUnavailable(
            f"The disk under {self.where} reports one error after the other; nothing was changed."
        )

    def read(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` on one consistent snapshot."""
        if self._closed:
            raise StoreUnavailable(f"The database {self.where} has been closed.")
        return self._writer.write(work) if self.in_memory else self._readers.read(work)

    def data_version(self) -> int:
        """Changes whenever another connection has committed; reads no table."""
        if self.in_memory:
            return 0
        with self._lock:
            try:
                if self._watch is None:
                    self._watch = self._connect()
                return int(self._watch.pragma("data_version"))
            except apsw.Error as error:
                if self._watch is not None:
                    self._watch.close()
                    self._watch = None
                raise translated(error, self.where) from error

    def poke(self) -> None:
        """Send a byte to the engine, if one listens."""
        poke(self.path)

    def listen(self, act: Callable[[], None]) -> Listener | None:
        """Hear those bytes; of a database in memory nobody else knows."""
        return None if self.path is None else Listener(self.path, act)

    def clock(self, own: Clock) -> Clock:
        """The host's clock is the database's."""
        return own

    def check_file(self) -> None:
        """StoreGone if the file at the path is not the one that was opened, or its log is not. They are only looked at,
        never opened."""
        if self._identity is None or (found := self._file_identity()) == self._identity:
            return
        if found is not None and found[0] == self._identity[0]:
            raise StoreGone(
                f"The log of {self.where} ({self.where}-wal) was deleted or replaced while it was in use. What it held is "
                "kept if the engine could still move it into the file: start again."
            )
        raise StoreGone(
            f"{self.where} was deleted or replaced while it was in use: what would be written now, nobody would find "
            "again. Put the file back, or start again with the one that is there."
        )

    def _file_identity(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """(device, inode) of the file and of its log."""
        return None if self.path is None else (_identity(self.where), _identity(f"{self.where}-wal"))

    def checkpoint(self) -> int:
        """Move what the log holds into the file; returns the log's pages.

        Mostly as far as no reader or writer is in the way. A log that has grown past its limit, because the writers
        never paused, is moved whole: they wait for that once.
        """
        if self._checkpointer is None:
            return 0
        with self._checkpointing:
            if self._closed:
                return 0
            if self._writer.broken:
                self._renew_locked()
            pages = 0
            try:
                pages, _ = self._checkpointer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if pages > LOG_LIMIT_PAGES:
                    pages = self._writer.exclusive(_start_the_log_anew)
                return int(pages)
            except apsw.BusyError:
                return int(pages)
            except apsw.Error as error:
                self._writer.broken |= isinstance(error, apsw.IOError)
                raise translated(error, self.where) from error

    def rescue(self) -> None:
        """Move what the log holds into the file, as far as that can be done: the log is no longer where it was."""
        with self._checkpointing:
            if self._checkpointer is not None and not self._closed:
                try:
                    self._checkpointer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
                except apsw.Error as error:
                    raise translated(error, self.where) from error

    def backup(self, target: Path, progress: Callable[[int, int], None] | None = None) -> None:
        """Copy the database while it is in use, by SQLite's own backup, as it is at this instant. In pages, so that
        nobody waits for it; the log cannot begin anew meanwhile."""

        def copy(source: apsw.Connection) -> None:
            source.execute("BEGIN")
            source.execute(
                "SELECT 1 FROM sqlite_schema LIMIT 1"
            ).fetchall()  # from here on the snapshot is held
            try:
                made = apsw.Connection(str(target))
                try:
                    with made.backup("main", source, "main") as job:
                        while not job.done:
                            job.step(BACKUP_PAGES)
                            if progress is not None:
                                progress(job.page_count - job.remaining, job.page_count)
                finally:
                    made.close()
            except apsw.Error as error:
                raise translated(error, str(target)) from error

        self.apart(copy)

    def apart(self, work: Callable[[apsw.Connection], T]) -> T:
        """Carry out `work` on a connection of its own, which is closed behind it (backups and checks)."""
        try:
            conn = self._connect()
            try:
                return work(conn)
            finally:
                conn.close()
        except apsw.Error as error:
            raise translated(error, self.where) from error

    def exclusive(self, work: Callable[[apsw.Connection], T]) -> T:
        """Have the write connection alone, for migrations."""
        try:
            return self._writer.exclusive(work)
        except apsw.Error as error:
            raise translated(error, self.where) from error

    def close(self) -> None:
        """Close every connection; nothing can be read or written any more."""
        with self._checkpointing, self._lock:
            if self._closed:
                return
            self._closed = True
            self._readers.drop()
            for conn in (self._watch, self._checkpointer, self._main):
                if self._writer.broken:
                    _let_go(conn)
                elif conn is not None:
                    with contextlib.suppress(
                        apsw.Error
                    ):  # what is in the log stays there, and is read from there
                        conn.close()

    def _renew(self) -> None:
        """Go on from what is on the disk, after it has reported an error: no handle that met it is used again."""
        with self._checkpointing:
            self._renew_locked()

    def _renew_locked(self) -> None:
        def again(old: apsw.Connection) -> apsw.Connection:
            self.check_file()
            for conn in (self._watch, self._checkpointer, old):
                _let_go(conn)
            self._watch = None
            self._main = self._connect()
            self._checkpointer = self._connect()
            return self._main

        if self._closed or self.in_memory:
            self._writer.broken = False
            return
        self._readers.drop()
        try:
            with self._lock:
                self._writer.renew(again, _all_into_the_file)
                self._identity = self._file_identity()
        except apsw.BusyError as error:
            raise StoreUnavailable(
                f"The disk under {self.where} has reported an error, and another process still reads what it held "
                "before; nothing is written until that one is done."
            ) from error
        except apsw.Error as error:
            raise translated(error, self.where) from error

    def _refuse_foreign(self) -> None:
        """Refuse somebody else's database before anything of it is touched: WAL is a property of the file."""
        if self.path is None or not self.path.exists():
            return
        conn = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            conn.set_busy_timeout(BUSY_TIMEOUT_MS)
            ours = conn.pragma("application_id") == APPLICATION_ID
            if not ours and conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall():
                raise StoreCorrupt(
                    f"{self.where} is a SQLite database, but not one of watchbell's: give watchbell a file of its own."
                )
        finally:
            conn.close()

    def _connect(self, new: bool = False) -> apsw.Connection:
        conn = apsw.Connection(
            ":memory:" if self.path is None else str(self.path),
            # A file that is gone is not to be made anew by whoever reads.
            flags=apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if new or self.path is None else 0),
            statementcachesize=300,
        )
        conn.set_busy_timeout(BUSY_TIMEOUT_MS)
        _log_ahead(conn)
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        conn.execute("PRAGMA foreign_keys = OFF")
        conn.execute("PRAGMA cache_size = -16000")
        conn.execute("PRAGMA temp_store = MEMORY")
        return conn


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _let_go(conn: apsw.Connection | None) -> None:
    """Close a connection without letting it write once more."""
    if conn is not None:
        with contextlib.suppress(apsw.Error):
            conn.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            conn.close(True)


def _all_into_the_file(conn: apsw.Connection) -> None:
    """What the log shows may be in the system's memory only, if its sync has failed: all of it is written once more, into
    the file, and that is synced. Only then is it durable."""
    conn.set_busy_timeout(1000)
    try:
        held, moved = conn.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
    finally:
        conn.set_busy_timeout(BUSY_TIMEOUT_MS)
    if held != moved:
        raise apsw.BusyError("the log could not be moved whole")


def _log_ahead(conn: apsw.Connection) -> None:
    """Switch to the write-ahead log. SQLite asks nobody to wait for this one, so that several processes which open a
    fresh file at once have to try again by themselves."""
    pause = threading.Event()
    for left in range(BUSY_TIMEOUT_MS // 50, -1, -1):
        try:
            if conn.pragma("journal_mode") != "wal":
                conn.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except apsw.BusyError:
            if left == 0:
                raise
            pause.wait(0.05)


def _start_the_log_anew(conn: apsw.Connection) -> int:
    """Between two transactions of this process, whose writers would otherwise never let it happen."""
    conn.set_busy_timeout(1000)
    try:
        return int(conn.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)[0])
    finally:
        conn.set_busy_timeout(BUSY_TIMEOUT_MS)


def refuse_network_file_system(path: Path) -> None:
    """Refuse a folder whose locks cannot be trusted; BadConfiguration says where to put the file instead."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    folder = str(path.parent.resolve())
    best, kind = "", ""
    for line in mounts.splitlines():
        parts = line.split()
        if len(parts) < 3:
            continue
        point = parts[1].replace("\\040", " ")
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, parts[2]
    if kind in NETWORK_FILE_SYSTEMS:
        raise BadConfiguration(
            f"{path} lies on a network file system ({kind} at {best}), whose locks SQLite cannot rely on: "
            "put the database on a local disk."
        )
