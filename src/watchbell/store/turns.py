"""Group commit: many callers, one transaction.

A durable commit costs a sync of the disk, whoever waits for it. So a caller that finds nobody writing becomes the
leader: it takes everything that waits, carries all of it out in one transaction, each piece in a savepoint of its own
so that one caller's error rolls back its own piece only, and commits once. Callers that come meanwhile wait, and the
first of them leads the next group. There is no thread to start, stop or lose at a fork, and a single caller pays no
hand-over. How a group is carried out and committed is the database's own (store/sqlite/writer.py,
store/postgres/writer.py); here is only whose turn it is.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_GROUP_LIMIT = 500


class Piece(Generic[T]):
    """What one caller wants to have done. `alone`: with the connection to itself, outside of any transaction."""

    __slots__ = ("acts", "alone", "done", "error", "lead", "result", "work")

    def __init__(self, work: Callable[[Any], T], alone: bool = False) -> None:
        self.work = work
        self.alone = alone
        self.result: T | None = None
        self.error: BaseException | None = None
        self.acts: list[Callable[[], None]] = []
        self.done: threading.Event | None = None
        self.lead = False


class Turns:
    """Who writes next. `carry_out` is given a group whose leader's piece comes first: one that wants to be alone, or
    pieces that share a transaction; it leaves results and errors in the pieces, and what it raises is the error of all."""

    def __init__(
        self, carry_out: Callable[[list[Piece[Any]]], None], breathe: Callable[[], None] | None = None
    ) -> None:
        self._carry_out = carry_out
        self._breathe = breathe
        self._mutex = threading.Lock()
        self._waiting: deque[Piece[Any]] = deque()
        self._leading = False
        self._inside = threading.local()

    def take(self, piece: Piece[T]) -> T:
        """Wait for the piece's turn, and return its result once it is durable."""
        if getattr(self._inside, "yes", False):
            raise AssertionError("a transaction was begun inside a transaction")
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
            self._carry_out(group)
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

    def _take_group(self) -> list[Piece[Any]]:
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
