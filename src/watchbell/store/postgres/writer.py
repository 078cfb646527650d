"""Writing: one connection for all callers of a process (store/turns.py says whose turn it is), one lock for all processes.

A transaction begins with one message: its settings, the lock, and the server's time. Ours is the only one that writes
until it ends. Behind a pooler others may have left settings and temporary tables of theirs on the connection: none of them
is to hide ours, or to have a commit answered before it is durable. The server itself ends a transaction where we stop in
the middle of it and stay silent (`IDLE_MS`), so that a frozen process keeps nobody from writing. What became of a COMMIT
whose reply was lost is asked of the server by the transaction's own id (PROTOCOL §9).

To plan a statement takes the server longer than to carry it out. Where no pooler is in between, what is asked again and
again is prepared; and as a table may grow from nothing to a million rows within seconds, the plans are made anew after so
many rows (`PLANS_ROWS`), and now and then.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from ..turns import Piece, Turns
from ..tx import Tx
from .address import Address, end_of
from .errors import GONE, may_try_again, translated
from .outcome import Lost, committed
from .time import StoreTime
from .tx import PostgresTx

T = TypeVar("T")
IDLE_MS = 5_000
LOCK_MS = 30_000
ROW_MS = 1_500
"""How long the holder of the lock waits for a row: only an application's transaction can have it (`enqueue(tx=…)`), and
that may last, while nobody else can write. A little longer than a server takes to find a deadlock."""
STATEMENT_MS = 120_000
PLANS_US, PLANS_ROWS = 30_000_000, 20_000
PREPARED_AFTER = 5
_TRIES = 5
_SAVE, _UNDO = "SAVEPOINT piece", "ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece"


class Writer:
    """The one write connection of a process, shared by all its callers."""

    def __init__(self, address: Address, time: StoreTime) -> None:
        self._address = address
        self._time = time
        self._conn: psycopg.Connection[tuple[Any, ...]] | None = None
        self._turns = Turns(self._carry_out_group)
        self._planned_us = self._rows = 0
        known = (
            "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_current_xact_id()::text, "
            "(SELECT value FROM incarnation LIMIT 1), "
            "CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END"
        )
        self._begin = f"BEGIN ISOLATION LEVEL READ COMMITTED; {{}}SELECT pg_try_advisory_xact_lock({address.lock_key}), {known}"
        self._wait = (
            f"SET LOCAL lock_timeout = {LOCK_MS}; SELECT pg_advisory_xact_lock({address.lock_key}); "
            f"SET LOCAL lock_timeout = {ROW_MS}; SELECT true, {known}"
        )
        self._settings = [
            f"search_path TO {address.schema}, pg_catalog, pg_temp",
            f"idle_in_transaction_session_timeout = {IDLE_MS}",
            f"lock_timeout = {ROW_MS}",
            f"statement_timeout = {STATEMENT_MS}",
        ]
        self._set = False
        """Whether the connection has them beyond a transaction."""

    def write(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` in a transaction and return its result once it is durable."""
        return self._turns.take(Piece(work))

    def exclusive(self, work: Callable[[psycopg.Connection[tuple[Any, ...]]], T]) -> T:
        """Have the connection alone and outside a transaction, in turn with the writers."""
        return self._turns.take(Piece(work, alone=True))

    def close(self) -> None:
        """Close the connection."""
        self._let_go()

    def _carry_out_group(self, group: list[Piece[Any]]) -> None:
        try:
            if group[0].alone:
                conn = self._connected()
                if self._set:
                    conn.execute("RESET ALL", prepare=False)
                    self._set = False
                group[0].result = group[0].work(conn)
                return
            for left in range(_TRIES - 1, -1, -1):
                try:
                    self._commit(group)
                    return
                except psycopg.Error as error:
                    if left == 0 or not may_try_again(error):
                        raise
        except psycopg.Error as error:
            raise translated(error, self._address.where) from error
        except Lost as error:
            raise error.told from error

    def _commit(self, group: list[Piece[Any]]) -> None:
        conn, number, life = self._begun()
        tx = PostgresTx(conn, self._address.channel)
        if life is None:
            life = secrets.token_hex(16)
            tx.run("INSERT INTO incarnation (value) VALUES (?)", (life,))
        try:
            alone = len(group) == 1
            for piece in group:
                self._carry_out(conn, tx, piece, alone)
            if alone and group[0].error is not None:
                conn.execute("ROLLBACK", prepare=False)
                return
        except BaseException:
            self._roll_back()
            raise
        self._rows += tx.many_rows
        try:
            tx.flush("COMMIT")
        except GONE as error:
            self._let_go()
            if tx.wrote and not committed(self._address, number, life, error):
                raise
        except psycopg.Error:
            self._roll_back()
            raise

    def _begun(self) -> tuple[psycopg.Connection[tuple[Any, ...]], str, str | None]:
        """A connection in a transaction that holds the lock, the transaction's id, by which the server can be asked what
        became of it, and in which life of the server that is. A connection that has died since it was last used is replaced."""
        fresh = self._conn is None
        try:
            return self._begin_on(self._connected())
        except GONE as error:
            self._let_go()
            if fresh or isinstance(error, psycopg.errors.LockNotAvailable):
                raise
        except psycopg.Error:
            self._roll_back()
            raise
        return self._begin_on(self._connected())

    def _begin_on(
        self, conn: psycopg.Connection[tuple[Any, ...]]
    ) -> tuple[psycopg.Connection[tuple[Any, ...]], str, str | None]:
        found = _last(conn, self._opening(conn))
        if not found[0]:  # somebody else writes
            found = _last(conn, self._wait)
        self._time.saw(int(found[1]))
        return conn, str(found[2]), found[3]

    def _opening(self, conn: psycopg.Connection[tuple[Any, ...]]) -> str:
        """The first message of a transaction. Behind a pooler its settings are its own."""
        if conn.prepare_threshold is None:
            return self._begin.format("".join(f"SET LOCAL {one}; " for one in self._settings))
        if not self._set:
            # A message of its own: what stands before a BEGIN in the same one is part of the transaction, and undone with it.
            conn.execute("; ".join(f"SET {one}" for one in self._settings), prepare=False)
            self._set = True
        # Behind the BEGIN: before it, it is a query of the transaction already, whose isolation can be set no more.
        return self._begin.format("DISCARD PLANS; " if self._plans_are_old() else "")

    def _carry_out(
        self, conn: psycopg.Connection[tuple[Any, ...]], tx: PostgresTx, piece: Piece[Any], alone: bool
    ) -> None:
        piece.error, piece.result = None, None
        if not alone:
            tx.keep(_SAVE)
        try:
            piece.result = piece.work(tx)
            if not alone:
                tx.flush()  # an error of what was kept is this piece's
            if (
                conn.info.transaction_status == TransactionStatus.INERROR
            ):  # a COMMIT would say nothing, and undo it all
                raise psycopg.errors.InFailedSqlTransaction("an error in it was passed over")
        except Exception as error:
            if conn.closed or (isinstance(error, psycopg.Error) and may_try_again(error)):
                raise
            where = self._address.where
            piece.error = translated(error, where) if isinstance(error, psycopg.Error) else error
            tx.take_after()
            unsent = _SAVE in tx.drop_kept()
            if not (alone or unsent):
                conn.execute(_UNDO, prepare=False)
        else:
            piece.acts = tx.take_after()
            if not alone:
                tx.keep("RELEASE SAVEPOINT piece")

    def _plans_are_old(self) -> bool:
        now = self._time.boot_us()
        old = now - self._planned_us >= PLANS_US or self._rows >= PLANS_ROWS
        if old:
            self._planned_us, self._rows = now, 0
        return old

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._conn is None or self._conn.closed:
            self._conn, self._set = self._address.connect(), False
            if end_of(self._conn) == self._conn.info.backend_pid:  # a pooler makes a number up
                self._conn.prepare_threshold = PREPARED_AFTER
        return self._conn

    def _roll_back(self) -> None:
        """Nothing of the transaction stays. A connection that cannot say so is closed, and the server sees to it."""
        conn = self._conn
        if conn is None or conn.closed:
            self._let_go()
            return
        try:
            conn.execute("ROLLBACK", prepare=False)
        except psycopg.Error:
            self._let_go()

    def _let_go(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(psycopg.Error):
                conn.close()


def _last(conn: psycopg.Connection[tuple[Any, ...]], message: str) -> tuple[Any, ...]:
    """The answer to the last statement of a message."""
    cursor = conn.execute(message, prepare=False)
    while cursor.nextset():
        pass
    found = cursor.fetchone()
    assert found is not None
    return found
