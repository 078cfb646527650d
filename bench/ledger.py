"""What the ledger says, read from outside the engines' processes on a connection that cannot write."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from watchbell.store.planning import LIVE_ROWS

from .database import SQLITE, Database

LOOK_S = {SQLITE: 0.002}
LOOK_AT_SERVER_S = 0.02
"""A look costs a server more than a file: it is not to be what is measured."""
HELD = "state IN ('claimed', 'running')"
Row = tuple[Any, ...]


class _Reader(ABC):
    """A connection that cannot write."""

    @abstractmethod
    def rows(self, sql: str, params: Sequence[object]) -> list[Row]:
        """All rows of the answer; `?` stands for a parameter."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""


class _FileReader(_Reader):
    def __init__(self, database: Database) -> None:
        import apsw

        self._conn = apsw.Connection(str(database.path))
        self._conn.set_busy_timeout(10_000)
        self._conn.execute("PRAGMA query_only = ON")

    def rows(self, sql: str, params: Sequence[object]) -> list[Row]:
        return self._conn.execute(sql, tuple(params)).fetchall()

    def close(self) -> None:
        self._conn.close()


class _ServerReader(_Reader):
    """A connection that is lost is made anew with the next question. It goes by indexes only: a look that walks over a
    table would be a good part of what is measured."""

    _OPTIONS = "-c search_path=watchbell,pg_catalog -c default_transaction_read_only=on " + " ".join(
        f"-c {name}=off" for name in ("enable_seqscan", "enable_bitmapscan", "jit")
    )

    def __init__(self, database: Database) -> None:
        self._url = database.url
        self._connect()

    def _connect(self) -> None:
        import psycopg

        self._conn = psycopg.connect(self._url, autocommit=True, options=self._OPTIONS)

    def rows(self, sql: str, params: Sequence[object]) -> list[Row]:
        if self._conn.closed:
            self._connect()
        return self._conn.execute(sql.replace("?", "%s"), params).fetchall()

    def close(self) -> None:
        self._conn.close()


class Ledger:
    """A reader of one database."""

    def __init__(self, database: Database) -> None:
        self._reader = _FileReader(database) if database.on == SQLITE else _ServerReader(database)
        self._look_s = LOOK_S.get(database.on, LOOK_AT_SERVER_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def _one(self, sql: str, params: Sequence[object] = ()) -> int | None:
        found = self._reader.rows(sql, params)
        return None if not found or found[0][0] is None else int(found[0][0])

    def settled(self) -> bool:
        """Whether no schedule has anything left to do and no run is live."""
        return not self._one(
            "SELECT EXISTS (SELECT 1 FROM cursor WHERE next_due IS NOT NULL) "
            f"OR EXISTS (SELECT 1 FROM occurrence WHERE {LIVE_ROWS})"
        )

    def await_settled(self, within_s: float) -> float | None:
        """The time at which everything was settled; None if it was not in time."""
        end = time.monotonic() + within_s
        while not self.settled():
            if time.monotonic() > end:
                return None
            time.sleep(self._look_s)
        return time.time()

    def await_run(self, until: int, within_s: float) -> float | None:
        """The time at which everything that schedules had due before an instant was planned and had ended; None if it was
        not in time."""
        end = time.monotonic() + within_s
        planned = "SELECT min(next_due) FROM cursor WHERE next_due IS NOT NULL"
        live = f"SELECT EXISTS (SELECT 1 FROM occurrence WHERE {LIVE_ROWS} AND schedule IS NOT NULL AND due_at < ?)"
        while (self._one(planned) or until) < until or self._one(live, (until,)):
            if time.monotonic() > end:
                return None
            time.sleep(self._look_s)
        return time.time()

    def ran(self, since: int, until: int) -> int:
        """How many runs of schedules due in [since, until) have ended well."""
        return (
            self._one(
                "SELECT count(*) FROM occurrence WHERE due_at >= ? AND due_at < ? AND state = 'succeeded' "
                "AND origin = 'scheduled'",
                (since, until),
            )
            or 0
        )

    def await_idle(self, within_s: float) -> None:
        """Wait until no run is live, if that comes in time."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if not self._one(f"SELECT EXISTS (SELECT 1 FROM occurrence WHERE {LIVE_ROWS})"):
                return
            time.sleep(self._look_s)

    def behind_us(self, now: int) -> int:
        """How long the schedule that waits longest has been due."""
        first = self._one("SELECT min(next_due) FROM cursor WHERE next_due IS NOT NULL")
        return 0 if first is None else max(0, now - first)

    def succeeded(self) -> int:
        """How many runs have succeeded."""
        return self._one("SELECT count(*) FROM occurrence WHERE state = 'succeeded'") or 0

    def begun_since(self, at: int) -> int | None:
        """When the first run began at or after an instant, of those that have ended well."""
        return self._one(
            "SELECT min(began_at) FROM occurrence WHERE began_at >= ? AND state = 'succeeded'", (at,)
        )

    def lateness_us(self, since: int, until: int) -> list[int]:
        """start − due of every run due in [since, until) that has ended well."""
        rows = self._reader.rows(
            "SELECT began_at - due_at FROM occurrence WHERE due_at >= ? AND due_at < ? AND state = 'succeeded'",
            (since, until),
        )
        return [int(row[0]) for row in rows]

    def held(self) -> dict[int, int]:
        """How many runs each node has claimed and not ended."""
        rows = self._reader.rows(f"SELECT node, count(*) FROM occurrence WHERE {HELD} GROUP BY node", ())
        return {int(row[0]): int(row[1]) for row in rows}
