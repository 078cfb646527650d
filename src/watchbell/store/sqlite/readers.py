"""Reading: each read is one snapshot on a connection of its own, and none may last for ever.

As long as a snapshot is held the write-ahead log cannot begin anew behind it, so a read has a limit. A connection on
which the disk has reported an error is never used again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw

from ...clock import SystemClock
from ...core.instants import human_duration
from ...errors import StoreUnavailable
from ..tx import Row, Tx
from .errors import translated
from .tx import SqliteTx

T = TypeVar("T")
READ_LIMIT_US = 60_000_000
MOST_IDLE = 8
_LOOK_EVERY = 100_000
_clock = SystemClock()


class TimedTx(SqliteTx):
    """A read that knows when it has to be over."""

    __slots__ = ("until", "where")

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """All rows of the answer."""
        self._in_time()
        return super().rows(sql, params)

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row of the answer, if there is one."""
        self._in_time()
        return super().row(sql, params)

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first value of the first row, or None."""
        self._in_time()
        return super().value(sql, params)

    def _in_time(self) -> None:
        if _clock.mono_ns() > self.until:
            raise too_long(self.where)

    until: int
    where: str


class Readers:
    """The reading connections of one store. Thread-safe."""

    def __init__(self, connect: Callable[[], apsw.Connection], where: str) -> None:
        self._connect = connect
        self._where = where
        self._lock = threading.Lock()
        self._idle: list[apsw.Connection] = []
        self._generation = 0
        self._until = threading.local()

    def read(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` on one snapshot. StoreUnavailable if the disk cannot be read, or it takes too long."""
        generation = self._generation
        conn = None
        sound = True
        try:
            conn = self._borrow()
            self._until.ns = until = _clock.mono_ns() + READ_LIMIT_US * 1000
            conn.execute("BEGIN")
            try:
                tx = TimedTx(conn)
                tx.until, tx.where = until, self._where
                return work(tx)
            finally:
                if conn.in_transaction:
                    conn.execute("COMMIT")
        except apsw.InterruptError as error:
            raise too_long(self._where) from error
        except apsw.IOError as error:
            sound = False
            raise StoreUnavailable(
                f"The database {self._where} could not be read: its disk reported an error ({error})."
            ) from error
        except apsw.Error as error:
            sound = not isinstance(error, apsw.CorruptError)
            raise translated(error, self._where) from error
        finally:
            if conn is not None:
                self._give_back(conn, sound and generation == self._generation)

    def drop(self) -> None:
        """Close every connection that is idle; those in use are closed when they come back."""
        with self._lock:
            self._generation += 1
            idle, self._idle = self._idle, []
        for conn in idle:
            conn.close(True)

    def _borrow(self) -> apsw.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        conn = self._connect()
        conn.execute("PRAGMA query_only = ON")
        conn.set_progress_handler(self._too_late, _LOOK_EVERY)
        return conn

    def _give_back(self, conn: apsw.Connection, sound: bool) -> None:
        with self._lock:
            if sound and len(self._idle) < MOST_IDLE:
                self._idle.append(conn)
                return
        conn.close(True)

    def _too_late(self) -> bool:
        """Asked by SQLite now and then, on the thread that reads: whether it has to stop."""
        return _clock.mono_ns() > getattr(self._until, "ns", 0)


def too_long(where: str) -> StoreUnavailable:
    """The error of a read that has reached its limit."""
    return StoreUnavailable(
        f"A read of the database {where} took longer than {human_duration(READ_LIMIT_US)} and was ended, as nothing that "
        "is written meanwhile can be tidied up: ask for less at once."
    )
