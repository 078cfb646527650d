"""Writing: the one write connection of a process, shared by all its callers (store/turns.py says whose turn it is).

An error of the disk fails every caller of the group as `CommitUnknown` (PROTOCOL §8).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import apsw

from ...errors import CommitUnknown
from ..turns import Piece, Turns
from ..tx import Tx
from .errors import translated
from .tx import SqliteTx

T = TypeVar("T")


class NotBegun(Exception):
    """The disk has reported an error to somebody else, and the connection is not used any more: this piece was not begun."""


class Writer:
    """The one write connection of a process, shared by all its callers."""

    def __init__(
        self,
        conn: apsw.Connection,
        where: str,
        breathe: Callable[[], None] | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._conn = conn
        self._where = where
        self._wake = wake
        self._turns = Turns(self._carry_out_group, breathe)
        self.broken = False
        """The disk has reported an error: nothing more is written through this connection, until it is renewed."""

    def write(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` in a transaction and return its result once it is durable."""
        return self._turns.take(Piece(work))

    def exclusive(self, work: Callable[[apsw.Connection], T]) -> T:
        """Have the connection alone and outside a transaction, in turn with the writers (checkpoints, migrations)."""
        return self._turns.take(Piece(work, alone=True))

    def renew(
        self, again: Callable[[apsw.Connection], apsw.Connection], prove: Callable[[apsw.Connection], None]
    ) -> None:
        """Go on with another connection, which `again` opens in place of the one it is given, once `prove` has not
        raised for it."""

        def work(old: apsw.Connection) -> None:
            if self.broken:
                self._conn = again(old)
                prove(self._conn)
                self.broken = False

        self._turns.take(Piece(work, alone=True))

    def _carry_out_group(self, group: list[Piece[Any]]) -> None:
        if group[0].alone:
            group[0].result = group[0].work(self._conn)
        else:
            self._commit(group)

    def _commit(self, group: list[Piece[Any]]) -> None:
        conn = self._conn
        if self.broken:
            raise NotBegun
        try:
            conn.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            self.broken |= isinstance(error, apsw.IOError)
            raise translated(error, self._where) from error
        try:
            alone = len(group) == 1
            for piece in group:
                self._carry_out(piece, alone)
            if alone and group[0].error is not None:
                self._roll_back()
                return
            conn.execute("COMMIT")
        except apsw.Error as error:
            self.broken |= isinstance(error, apsw.IOError)
            self._roll_back()
            raise translated(error, self._where) from error
        except BaseException:
            self._roll_back()
            raise

    def _carry_out(self, piece: Piece[Any], alone: bool) -> None:
        conn = self._conn
        tx = SqliteTx(conn, self._wake)
        if not alone:
            conn.execute("SAVEPOINT piece")
        try:
            piece.result = piece.work(tx)
            if not conn.in_transaction:
                raise apsw.IOError("an error that nobody has told of ended the transaction")
        except Exception as error:
            if isinstance(error, (apsw.IOError, apsw.FullError, apsw.CorruptError)):
                raise
            piece.error = translated(error, self._where) if isinstance(error, apsw.Error) else error
            if not alone:
                conn.execute("ROLLBACK TO piece")
        else:
            piece.acts = tx.take_after()
        finally:
            if not alone and conn.in_transaction:
                conn.execute("RELEASE piece")

    def _roll_back(self) -> None:
        if self._conn.in_transaction:
            try:
                self._conn.execute("ROLLBACK")
            except apsw.Error as error:
                self.broken = True
                raise CommitUnknown(f"The database {self._where} could not roll back: {error}.") from error
