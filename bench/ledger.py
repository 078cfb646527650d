"""What the ledger says, read from outside the engine's process on a connection that cannot write."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw

from watchbell.store.planning import LIVE_ROWS

LOOK_S = 0.002


class Ledger:
    """A reader of one database."""

    def __init__(self, database: Path) -> None:
        self._conn = apsw.Connection(str(database))
        self._conn.set_busy_timeout(10_000)
        self._conn.execute("PRAGMA query_only = ON")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._conn.close()

    def _one(self, sql: str, params: tuple[object, ...] = ()) -> int | None:
        found = self._conn.execute(sql, params).fetchone()
        return None if found is None or found[0] is None else int(found[0])

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
            time.sleep(LOOK_S)
        return time.time()

    def behind_us(self, now: int) -> int:
        """How long the schedule that waits longest has been due."""
        first = self._one("SELECT min(next_due) FROM cursor WHERE next_due IS NOT NULL")
        return 0 if first is None else max(0, now - first)

    def succeeded(self) -> int:
        """How many runs have succeeded."""
        return self._one("SELECT count(*) FROM occurrence WHERE state = 'succeeded'") or 0

    def lateness_us(self, since: int, until: int) -> list[int]:
        """start − due of every run due in [since, until) that has ended well."""
        rows = self._conn.execute(
            "SELECT began_at - due_at FROM occurrence WHERE due_at >= ? AND due_at < ? AND state = 'succeeded'",
            (since, until),
        )
        return [int(row[0]) for row in rows]
