"""A transaction on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg

from ..tx import Row, T, Tx
from .batches import BATCHED
from .dialect import Copied, copied, translated

_FEW = 8
"""Below that a stream of its own costs more than it saves."""
_SEQUENCED = "occurrence"


class PostgresTx(Tx):
    """One transaction of one connection."""

    __slots__ = ("_conn", "_cursor", "wrote")
    driver_errors = (psycopg.Error,)

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        super().__init__()
        self._conn = conn
        self._cursor = conn.cursor()
        self.wrote = False
        """Whether anything may have been changed."""

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        cursor = self._execute(sql, params)
        self.wrote |= not sql.startswith("SELECT")
        return cursor.fetchall()

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        cursor = self._execute(sql, params)
        self.wrote |= not sql.startswith("SELECT")
        return cursor.fetchone()

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        count = self._execute(sql, params).rowcount
        self.wrote |= count != 0  # -1 where the server does not count
        return max(0, count)

    def many(self, sql: str, params: Iterable[Sequence[Any]]) -> int:
        rows = params if isinstance(params, list) else list(params)
        if not rows:
            return 0
        self.wrote = True
        if (batch := BATCHED.get(sql)) is not None:
            return self._cursor.execute(batch.text, batch.columns(rows)).rowcount
        if len(rows) == 1:
            return self._execute(sql, rows[0]).rowcount
        if len(rows) >= _FEW and (stream := copied(sql)) is not None:
            return self._copy(stream, rows)
        self._cursor.executemany(translated(sql), rows)
        return max(0, self._cursor.rowcount)

    def many_returning(self, sql: str, params: Iterable[Sequence[Any]]) -> list[Row]:
        rows = params if isinstance(params, list) else list(params)
        if not rows:
            return []
        self.wrote |= not sql.startswith("SELECT")
        if (batch := BATCHED.get(sql)) is not None:
            return self._cursor.execute(batch.text, batch.columns(rows)).fetchall()
        if len(rows) == 1:
            return self._execute(sql, rows[0]).fetchall()
        self._cursor.executemany(translated(sql), rows, returning=True)
        found: list[Row] = []
        while True:
            found += self._cursor.fetchall()
            if not self._cursor.nextset():
                return found

    def attempt(self, work: Callable[[], T | None]) -> T | None:
        self._cursor.execute("SAVEPOINT attempt")
        result = None
        try:
            result = work()
            return result
        finally:
            if not self._conn.closed:
                undo = "ROLLBACK TO SAVEPOINT attempt; " if result is None else ""
                self._cursor.execute(f"{undo}RELEASE SAVEPOINT attempt")

    def next_id(self, table: str) -> int:
        if table == _SEQUENCED:
            return int(self.value("SELECT nextval('occurrence_id')"))
        return super().next_id(table)

    def peek_id(self, table: str) -> int:
        if table == _SEQUENCED:
            return int(
                self.value("SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END FROM occurrence_id")
            )
        return super().peek_id(table)

    def take_ids(self, table: str, first: int, count: int) -> Sequence[int]:
        if table != _SEQUENCED or count == 0:
            return super().take_ids(table, first, count)
        found = self.rows("SELECT nextval('occurrence_id') FROM generate_series(1, ?)", (count,))
        return [row[0] for row in found]

    def _execute(self, sql: str, params: Sequence[Any]) -> psycopg.Cursor[Any]:
        return self._cursor.execute(translated(sql), tuple(params))

    def _copy(self, stream: Copied, rows: list[Sequence[Any]]) -> int:
        with self._cursor.copy(stream.statement) as copy:
            if stream.values is None:
                for row in rows:
                    copy.write_row(row)
            else:
                for row in rows:
                    left = iter(row)
                    copy.write_row([next(left) if value is None else value for value in stream.values])
        return self._cursor.rowcount
