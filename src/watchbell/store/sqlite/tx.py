"""A transaction on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apsw

from ..tx import Row, T, Tx


class SqliteTx(Tx):
    """One transaction of one connection."""

    __slots__ = ("_conn", "_wake")
    driver_errors = (apsw.Error,)

    def __init__(self, conn: apsw.Connection, wake: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._conn = conn
        self._wake = wake

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        return self._conn.execute(sql, params).fetchall()

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        found: Row | None = self._conn.execute(sql, params).fetchone()
        return found

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        self._still_open()
        self._conn.execute(sql, params)
        return self._conn.changes()

    def poke(self) -> None:
        if self._wake not in self._after:
            self.after_commit(self._wake)

    def many(self, sql: str, params: Iterable[Sequence[Any]]) -> int:
        self._still_open()
        before = self._conn.total_changes()
        self._conn.executemany(sql, params)
        return self._conn.total_changes() - before

    def many_returning(self, sql: str, params: Iterable[Sequence[Any]]) -> list[Row]:
        self._still_open()
        return self._conn.executemany(sql, params).fetchall()

    def changed(self, sql: str, rows: Sequence[Sequence[Any]], place: int) -> set[int]:
        if not rows:
            return set()
        # As they mostly go, all of them are changed; to ask of each is half as fast.
        if self.attempt(lambda: self.many(sql, rows) == len(rows) or None):
            return {row[place] for row in rows}
        return {row[0] for row in self.many_returning(f"{sql} RETURNING id", rows)}

    def attempt(self, work: Callable[[], T | None]) -> T | None:
        self._conn.execute("SAVEPOINT attempt")
        after = len(self._after)
        result = None
        try:
            result = work()
            return result
        finally:
            if result is None:
                del self._after[after:]
            if self._conn.in_transaction:
                if result is None:
                    self._conn.execute("ROLLBACK TO attempt")
                self._conn.execute("RELEASE attempt")

    def _still_open(self) -> None:
        """SQLite ends a transaction by itself at some errors; a write after that would be one of its own."""
        if not self._conn.in_transaction:
            raise apsw.IOError("the transaction was ended by an error before this")
