"""A transaction: the only door through which rows are read and written.

Statements are written once, with `?` for parameters. A `Tx` is handed to a function by the store, is good for as long
as that function runs, and is never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import apsw

Row = tuple[Any, ...]
T = TypeVar("T")


class Tx:
    """One transaction on SQLite."""

    __slots__ = ("_after", "_conn")

    def __init__(self, conn: apsw.Connection) -> None:
        self._conn = conn
        self._after: list[Callable[[], None]] = []

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """All rows of the answer."""
        return self._conn.execute(sql, params).fetchall()

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row of the answer, if there is one."""
        found: Row | None = self._conn.execute(sql, params).fetchone()
        return found

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first value of the first row, or None."""
        found = self._conn.execute(sql, params).fetchone()
        return None if found is None else found[0]

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Carry out a write; returns how many rows it changed."""
        self._still_open()
        self._conn.execute(sql, params)
        return self._conn.changes()

    def many(self, sql: str, params: Iterable[Sequence[Any]]) -> int:
        """Carry out the same write once for each set of parameters; returns how many rows were changed in all."""
        self._still_open()
        before = self._conn.total_changes()
        self._conn.executemany(sql, params)
        return self._conn.total_changes() - before

    def attempt(self, work: Callable[[], T | None]) -> T | None:
        """Carry out `work`; if it gives back None or raises, whatever it has written is undone."""
        self._conn.execute("SAVEPOINT attempt")
        result = None
        try:
            result = work()
            return result
        finally:
            if self._conn.in_transaction:
                if result is None:
                    self._conn.execute("ROLLBACK TO attempt")
                self._conn.execute("RELEASE attempt")

    def many_returning(self, sql: str, params: Iterable[Sequence[Any]]) -> list[Row]:
        """Like `many`, and collect what each RETURNING gave."""
        self._still_open()
        return self._conn.executemany(sql, params).fetchall()

    def next_id(self, table: str) -> int:
        """The id after the newest of `table`; the write lock is held, so nobody else takes it. After a restore it lies
        above every id that may have been given out since the backup, and always above those of rows that were removed."""
        base = f"SELECT max(CAST(value AS INTEGER)) FROM meta WHERE key IN ('id_base', 'id_base:{table}')"
        return int(self.value(f"SELECT max(coalesce(max(id), 0), coalesce(({base}), 0)) + 1 FROM {table}"))

    def never_again(self, table: str) -> None:
        """Call it before rows of `table` are removed: no id that was given out is given to another row."""
        self.run(
            f"INSERT INTO meta (key, value) SELECT 'id_base:{table}', max(id) FROM {table} HAVING max(id) IS NOT NULL "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value "
            "WHERE CAST(value AS INTEGER) < CAST(excluded.value AS INTEGER)"
        )

    def _still_open(self) -> None:
        """SQLite ends a transaction by itself at some errors; a write after that would be one of its own."""
        if not self._conn.in_transaction:
            raise apsw.IOError("the transaction was ended by an error before this")

    def after_commit(self, act: Callable[[], None]) -> None:
        """Have `act` called once the transaction is durable (not at all if it is rolled back)."""
        self._after.append(act)

    def take_after(self) -> list[Callable[[], None]]:
        """What is to be called after the commit; the store's own."""
        acts, self._after = self._after, []
        return acts
