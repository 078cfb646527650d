"""A transaction on PostgreSQL.

What nobody asks an answer of is kept until something is asked, or until the commit, and sent as one message: a server
takes as long to be asked as to answer. Such a message carries its parameters within its text, quoted by the driver. What is
asked again and again is prepared by the driver, where the writer lets it (store/postgres/writer.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg

from ..tx import Row, T, Tx
from .adapting import quoting
from .batches import BATCHED, Batch
from .dialect import Copied, copied, translated

_FEW = 8
"""Below that a stream of its own costs more than it saves."""
_SEQUENCED = "occurrence"
_SAVE, _KEEP, _UNDO = (
    "SAVEPOINT attempt",
    "RELEASE SAVEPOINT attempt",
    "ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt",
)


class PostgresTx(Tx):
    """One transaction of one connection. `channel` is where the nodes listen."""

    __slots__ = ("_channel", "_conn", "_cursor", "_kept", "_poked", "_quoting", "many_rows", "wrote")
    driver_errors = (psycopg.Error,)

    def __init__(self, conn: psycopg.Connection[Any], channel: str = "") -> None:
        super().__init__()
        self._conn = conn
        self._cursor = conn.cursor()
        self._channel = channel
        self._kept: list[str] = []
        self._poked = False
        self._quoting: psycopg.ClientCursor[Any] | None = None
        self.wrote = False
        """Whether anything may have been changed."""
        self.many_rows = 0
        """How many rows were written by statements for many."""

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        self.wrote |= not sql.startswith("SELECT")
        return self._execute(translated(sql), params).fetchall()

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        self.wrote |= not sql.startswith("SELECT")
        return self._execute(translated(sql), params).fetchone()

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        count = self._execute(translated(sql), params).rowcount
        self.wrote |= count != 0  # -1 where the server does not count
        return max(0, count)

    def later(self, sql: str, params: Sequence[Any] = ()) -> None:
        self.wrote = True
        self._kept.append(self._quoted(translated(sql), params))

    def poke(self) -> None:
        if not self._poked:
            self._poked = True
            self.later("SELECT pg_notify(?, '')", (self._channel,))

    def many(self, sql: str, params: Iterable[Sequence[Any]]) -> int:
        rows = params if isinstance(params, list) else list(params)
        if not rows:
            return 0
        self.wrote = True
        self.many_rows += len(rows)
        if len(rows) == 1:
            return self._execute(translated(sql), rows[0]).rowcount
        if (batch := BATCHED.get(sql)) is not None:
            return self._batched(batch, rows).rowcount
        self.flush()
        if len(rows) >= _FEW and (stream := copied(sql)) is not None:
            return self._copy(stream, rows)
        self._cursor.executemany(translated(sql), rows)
        return max(0, self._cursor.rowcount)

    def many_returning(self, sql: str, params: Iterable[Sequence[Any]]) -> list[Row]:
        rows = params if isinstance(params, list) else list(params)
        if not rows:
            return []
        self.wrote |= not sql.startswith("SELECT")
        self.many_rows += len(rows)
        if len(rows) == 1:
            return self._execute(translated(sql), rows[0]).fetchall()
        if (batch := BATCHED.get(sql)) is not None:
            return self._batched(batch, rows).fetchall()
        self.flush()
        self._cursor.executemany(translated(sql), rows, returning=True)
        found: list[Row] = []
        while True:
            found += self._cursor.fetchall()
            if not self._cursor.nextset():
                return found

    def changed(self, sql: str, rows: Sequence[Sequence[Any]], place: int) -> set[int]:
        return {row[0] for row in self.many_returning(f"{sql} RETURNING id", rows)}

    def attempt(self, work: Callable[[], T | None]) -> T | None:
        self._kept.append(_SAVE)
        before = len(self._kept)
        poked, after = self._poked, len(self._after)
        result = None
        try:
            result = work()
            if result is not None and not {*self._kept} <= {_SAVE, _KEEP}:
                self.flush()  # an error of what was kept is this attempt's
            return result
        except BaseException:
            result = None
            raise
        finally:
            if result is None:
                self._poked = poked
                del self._after[after:]
            if not self._conn.closed:
                self._end_attempt(before, result is not None)

    def _end_attempt(self, before: int, good: bool) -> None:
        """Release the savepoint, or go back to it; where it was never sent, nothing is there to be undone."""
        unsent = len(self._kept) >= before and self._kept[before - 1] is _SAVE
        if unsent:
            del self._kept[before - 1 :]
        elif good:
            self._kept.append(_KEEP)
        else:
            self._kept.clear()
            self._cursor.execute(_UNDO, prepare=False)

    def next_id(self, table: str) -> int:
        if table == _SEQUENCED:
            return int(self.value("SELECT nextval('occurrence_id')"))
        return super().next_id(table)

    def take_ids(self, table: str, count: int) -> Sequence[int]:
        if table != _SEQUENCED:
            return super().take_ids(table, count)
        found = self.rows("SELECT nextval('occurrence_id') FROM generate_series(1, ?)", (count,))
        return [row[0] for row in found]

    # --- for the store ------------------------------------------------------------------------------------------------

    def flush(self, last: str | None = None) -> None:
        """Send what was kept, and behind it this one."""
        if last is not None:
            self._kept.append(last)
        if self._kept:
            self._cursor.execute(self._taken(), prepare=False)

    def keep(self, statement: str) -> None:
        """Send this statement of the server's own, which has no parameters, with what comes."""
        self._kept.append(statement)

    def drop_kept(self) -> list[str]:
        """What was not sent is not to be; returns it."""
        kept, self._kept = self._kept, []
        return kept

    def take_after(self) -> list[Callable[[], None]]:
        self._poked = False
        return super().take_after()

    def _taken(self) -> str:
        text = "; ".join(self._kept)
        self._kept.clear()
        return text

    def _quoted(self, statement: str, params: Sequence[Any]) -> str:
        if self._quoting is None:
            self._quoting = quoting(self._conn)
        return self._quoting.mogrify(statement, tuple(params))

    def _batched(self, batch: Batch, rows: Sequence[Sequence[Any]]) -> psycopg.Cursor[Any]:
        """How many there are is for the server to know when it plans: what was prepared knows nothing of that."""
        self.flush()
        return self._cursor.execute(batch.text, batch.columns(rows), prepare=False)

    def _execute(self, statement: str, params: Sequence[Any]) -> psycopg.Cursor[Any]:
        self.flush()
        return self._cursor.execute(statement, tuple(params))

    def _copy(self, stream: Copied, rows: list[Sequence[Any]]) -> int:
        with self._cursor.copy(stream.statement) as copy:
            for row in rows:
                copy.write_row(stream.whole(row) if stream.constants else row)
        return self._cursor.rowcount
