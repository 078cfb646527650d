"""A transaction: the only door through which rows are read and written.

Statements are written once, in the words of SQLite with `?` for parameters; what PostgreSQL says otherwise is on one
page, `store/postgres/dialect.py`. A `Tx` is handed to a function by the store, is good for as long as that function
runs, and is never kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from ..errors import StoreError

Row = tuple[Any, ...]
T = TypeVar("T")


class Tx(ABC):
    """One transaction."""

    __slots__ = ("_after",)

    def __init__(self) -> None:
        self._after: list[Callable[[], None]] = []

    @abstractmethod
    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """All rows of the answer."""

    @abstractmethod
    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row of the answer, if there is one."""

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first value of the first row, or None."""
        found = self.row(sql, params)
        return None if found is None else found[0]

    @abstractmethod
    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Carry out a write; returns how many rows it changed."""

    def later(self, sql: str, params: Sequence[Any] = ()) -> None:
        """Carry out a write of which nobody asks what it has changed. It may wait for the statement after it, or for the
        commit, and be sent with that one; in the order in which they are asked for. So may its error."""
        self.run(sql, params)

    @abstractmethod
    def poke(self) -> None:
        """Have whoever acts on the database told, once this is committed, that something may have come due."""

    @abstractmethod
    def many(self, sql: str, params: Iterable[Sequence[Any]]) -> int:
        """Carry out the same write once for each set of parameters; returns how many rows were changed in all."""

    @abstractmethod
    def many_returning(self, sql: str, params: Iterable[Sequence[Any]]) -> list[Row]:
        """Carry out the same statement once for each set of parameters, and collect what each gave."""

    @abstractmethod
    def changed(self, sql: str, rows: Sequence[Sequence[Any]], place: int) -> set[int]:
        """Carry out a guarded write once for each set of parameters, of which the one at `place` is the row's id; returns
        the ids of the rows that were changed."""

    @abstractmethod
    def attempt(self, work: Callable[[], T | None]) -> T | None:
        """Carry out `work`; if it gives back None or raises, whatever it has written is undone."""

    driver_errors: ClassVar[tuple[type[Exception], ...]] = ()

    def is_of_the_database(self, error: Exception) -> bool:
        """Whether an error is the database's own, and not of what is being written: then the transaction is over."""
        return isinstance(error, (StoreError, *self.driver_errors))

    def next_id(self, table: str) -> int:
        """The id of one row of `table` that is to be inserted now."""
        return self.take_ids(table, 1)[0]

    def take_ids(self, table: str, count: int) -> Sequence[int]:
        """So many ids for rows of `table` that are to be inserted now. They ascend; they follow each other unless somebody
        who writes without the lock has taken one meanwhile."""
        first = self._newest_and_one(table)
        return range(first, first + count)

    def _newest_and_one(self, table: str) -> int:
        """The id after the newest of `table`; nobody else writes, so nobody else takes it. After a restore it lies
        above every id that may have been given out since the backup, and always above those of rows that were removed."""
        base = f"SELECT max(CAST(value AS BIGINT)) FROM meta WHERE key IN ('id_base', 'id_base:{table}')"
        found = self.row(f"SELECT (SELECT max(id) FROM {table}), ({base})") or (None, None)
        return max(found[0] or 0, found[1] or 0) + 1

    def after_commit(self, act: Callable[[], None]) -> None:
        """Have `act` called once the transaction is durable (not at all if it is rolled back)."""
        self._after.append(act)

    def take_after(self) -> list[Callable[[], None]]:
        """What is to be called after the commit; the store's own."""
        acts, self._after = self._after, []
        return acts


def never_again(tx: Tx, table: str) -> None:
    """Call it before rows of `table` are removed: no id that was given out is given to another row."""
    tx.run(
        f"INSERT INTO meta (key, value) SELECT 'id_base:{table}', max(id) FROM {table} HAVING max(id) IS NOT NULL "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value "
        "WHERE CAST(meta.value AS BIGINT) < CAST(excluded.value AS BIGINT)"
    )
