"""Group commit: many callers, one transaction.

A durable commit costs a sync of the disk, whoever waits for it. So a caller that finds nobody writing becomes the
leader: it takes everything that waits, carries all of it out in one transaction, each piece in a savepoint of its own
so that one caller's error rolls back its own piece only, and commits once. Callers that come meanwhile wait, and the
first of them leads the next group. There is no thread to start, stop or lose at a fork, and a single caller pays no
hand-over. An error of the disk fails every caller of the group as `CommitUnknown` (PROTOCOL §8).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import apsw

from ...errors import CommitUnknown
from ..tx import Tx
from .errors import translated

T = TypeVar("T")
_GROUP_LIMIT = 500


class NotBegun(Exception):
    """The disk has reported an error to somebody else, and the connection is not used any more: this piece was not begun."""


class _Piece(Generic[T]):
    __slots__ = ("acts", "alone", "done", "error", "lead", "result", "work")

    def __init__(self, work: Callable[[Any], T], alone: bool = False) -> None:
        self.work = work
        self.alone = alone
        self.result: T | None = None
        self.error: BaseException | None = None
        self.acts: list[Callable[[], None]] = []
        self.done: threading.Event | None = None
        self.lead = False


class Writer:
    """The one write connection of a process, shared by all its callers."""

    def __init__(self, conn: apsw.Connection, where: str, breathe: Callable[[], None] | None = None) -> None:
        self._conn = conn
        self._where = where
        self._breathe = breathe
        self._mutex = threading.Lock()
        self._waiting: deque[_Piece[Any]] = deque()
        self._leading = False
        self._inside = threading.local()
        self.broken = False
        """The disk has reported an error: nothing more is written through this connection, until it is renewed."""

    def write(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` in a transaction and return its result once it is durable."""
        if getattr(self._inside, "yes", False):
            raise AssertionError("a transaction was begun inside a transaction")
        return self._in_turn(_Piece(work))

    def exclusive(self, work: Callable[[apsw.Connection], T]) -> T:
        """Have the connection alone and outside a transaction, in turn with the writers (checkpoints, migrations)."""
        return self._in_turn(_Piece(work, alone=True))

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

        self._in_turn(_Piece(work, alone=True))

    def _in_turn(self, piece: _Piece[T]) -> T:
        with self._mutex:
            self._waiting.append(piece)
            if self._leading:
                piece.done = threading.Event()
            else:
                self._leading = piece.lead = True
        if piece.done is not None:
            piece.done.wait()
        if piece.lead:
            self._lead_once()
        if piece.error is not None:
            raise piece.error
        for act in piece.acts:
            act()
        return piece.result  # type: ignore[return-value]

    def _lead_once(self) -> None:
        """Write the group that waits, this leader's own piece among it, then pass the lead on."""
        group = self._take_group()
        try:
            self._inside.yes = True
            if group[0].alone:
                group[0].result = group[0].work(self._conn)
            else:
                self._commit(group)
        except BaseException as error:
            for piece in group:
                piece.error = piece.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            self._inside.yes = False
            if self._breathe is not None:
                self._breathe()
            self._pass_on()
            for piece in group:
                if piece.done is not None:
                    piece.done.set()

    def _take_group(self) -> list[_Piece[Any]]:
        """What is carried out together: what waits, up to the limit and to somebody who wants to be alone."""
        with self._mutex:
            group = [self._waiting.popleft()]
            while (
                self._waiting and len(group) < _GROUP_LIMIT and not (group[0].alone or self._waiting[0].alone)
            ):
                group.append(self._waiting.popleft())
            return group

    def _pass_on(self) -> None:
        with self._mutex:
            if not self._waiting:
                self._leading = False
                return
            heir = self._waiting[0]
            heir.lead = True
            if heir.done is not None:
                heir.done.set()

    def _commit(self, group: list[_Piece[Any]]) -> None:
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

    def _carry_out(self, piece: _Piece[Any], alone: bool) -> None:
        conn = self._conn
        tx = Tx(conn)
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
