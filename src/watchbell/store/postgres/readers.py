"""Reading: each read is one snapshot on a connection of its own, and none may last for ever."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from ...core.instants import human_duration
from ...errors import StoreUnavailable
from ..tx import Tx
from .address import Address
from .errors import GONE, translated
from .tx import PostgresTx

T = TypeVar("T")
READ_LIMIT_US = 60_000_000
MOST_IDLE = 4
Connection = psycopg.Connection[tuple[Any, ...]]


class Readers:
    """The reading connections of one store. Thread-safe."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False
        self._begin = (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
            f"SET LOCAL search_path TO {address.schema}, pg_catalog, pg_temp; "
            f"SET LOCAL statement_timeout = {READ_LIMIT_US // 1000}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {READ_LIMIT_US // 1000}"
        )

    def read(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` on one snapshot. StoreUnavailable if the server is not there, or it takes too long."""
        try:
            conn = self._begun()
        except psycopg.Error as error:
            raise translated(error, self._address.where) from error
        try:
            result = work(PostgresTx(conn))
            conn.execute("COMMIT")
        except psycopg.errors.QueryCanceled as error:
            self._roll_back(conn)
            raise StoreUnavailable(
                f"A read of {self._address.where} took longer than {human_duration(READ_LIMIT_US)} and was ended: ask "
                "for less at once."
            ) from error
        except psycopg.Error as error:
            self._roll_back(conn)
            raise translated(error, self._address.where) from error
        except BaseException:
            self._roll_back(conn)
            raise
        self._give_back(conn)
        return result

    def notify(self) -> None:
        """Tell everybody who listens. StoreUnavailable if the server is not there."""
        try:
            used = True
            while used:
                conn, used = self._borrow()
                try:
                    conn.execute("SELECT pg_notify(%s, '')", (self._address.channel,))
                except GONE:
                    conn.close()
                    if not used:
                        raise
                else:
                    self._give_back(conn)
                    return
        except psycopg.Error as error:
            raise StoreUnavailable(str(translated(error, self._address.where))) from error

    def close(self) -> None:
        """Close every connection that is idle; those in use are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for conn in idle:
            conn.close()

    def _begun(self) -> Connection:
        """A connection in a transaction. Those that have died since they were last used are left."""
        while True:
            conn, used = self._borrow()
            try:
                conn.execute(self._begin)
                return conn
            except GONE:
                conn.close()
                if not used:
                    raise

    def _borrow(self) -> tuple[Connection, bool]:
        """A connection, and whether it was used before."""
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        return self._address.connect(), False

    def _give_back(self, conn: Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < MOST_IDLE and not conn.closed:
                self._idle.append(conn)
                return
        conn.close()

    def _roll_back(self, conn: Connection) -> None:
        with contextlib.suppress(psycopg.Error):
            conn.execute("ROLLBACK")
            self._give_back(conn)
            return
        conn.close()
