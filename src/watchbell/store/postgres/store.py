"""PostgreSQL: how a database on a server is opened, read and written (PROTOCOL §9).

watchbell's tables lie in a schema of their own (`watchbell`) in the user's database, so that an application can ask for
a run within its own transaction. Every transaction that writes first takes one lock of that schema, which ends with the
transaction: one writer at a time, as on SQLite, so that whatever is read, decided and written in one transaction is
proven once for both. No node is elected: whoever holds the lock, for some milliseconds, plans and claims what it can
carry out. Everything works behind a pooler that hands out connections by transaction: settings are those of a
transaction, nothing is prepared, and only the listener needs a connection of its own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from ...clock import Clock, SystemClock
from ...errors import StoreUnavailable
from ..base import Store
from ..tx import Tx
from .address import Address
from .listening import Listener
from .readers import Connection, Readers
from .time import StoreClock, StoreTime
from .writer import Writer

T = TypeVar("T")


class PostgresStore(Store):
    """One database, opened by one process. Thread-safe."""

    dialect = "postgresql"
    shared = True

    def __init__(self, address: Address, own: Clock | None = None) -> None:
        self.address = address
        self.where = address.where
        self._own = own or SystemClock()
        self.time = StoreTime(self._own)
        self._readers = Readers(address)
        self._writer = Writer(address, self.time)
        self._listener: Listener | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._place: str | None = None

    def write(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` in one durable transaction, together with whatever else of this process waits to be written."""
        self._still_open()
        return self._writer.write(work)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` on one consistent snapshot."""
        self._still_open()
        return self._readers.read(work)

    def is_at(self, place: str) -> bool:
        """Whether this is where its ledger is (`Address.place`). Asked of the server once, and again before it is denied:
        somebody may have put the database back meanwhile."""
        if place != self._place:
            self._place = self.read(lambda tx: str(tx.value(f"SELECT {self.address.place}")))
        return place == self._place

    def data_version(self) -> int:
        """Counts what was heard; and goes on by itself, often where nothing can be heard, now and then where it can."""
        listener = self._listener
        every_ns = 250_000_000 if listener is None or not listener.hears else 5_000_000_000
        heard = 0 if listener is None else listener.heard
        return heard + self._own.boot_ns() // every_ns

    def exclusive(self, work: Callable[[Connection], T]) -> T:
        """Have the write connection alone and outside a transaction, for migrations."""
        return self._writer.exclusive(work)

    def poke(self) -> None:
        """Notify every node that listens."""
        if not self._closed:
            with contextlib.suppress(StoreUnavailable):
                self._readers.notify()

    def listen(self, act: Callable[[], None]) -> Listener | None:
        """Hear what other nodes and processes notify."""
        with self._lock:
            self._listener = Listener(self.address, self._own, act, self.poke)
            return self._listener

    def clock(self, own: Clock) -> Clock:
        """The server's wall clock, kept by this machine's boot-time clock between two transactions. A clock that is not the
        machine's, as that of virtual time, stays what it is."""
        return StoreClock(own, self.time) if isinstance(own, SystemClock) else own

    def check_file(self) -> None:
        """There is no file to be looked at."""

    def rescue(self) -> None:
        """What is committed is the server's to keep."""

    def checkpoint(self) -> int:
        """The server looks after its log."""
        return 0

    def close(self) -> None:
        """Close every connection; nothing can be read or written any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._listener is not None:
            self._listener.close()
        self._writer.close()
        self._readers.close()

    def _still_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"The database {self.where} has been closed.")
