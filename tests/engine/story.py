"""Stories for the engine: one application, virtual time, restarts, and an audit at the end of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests import databases
from watchbell import Watchbell
from watchbell.clock import ManualClock
from watchbell.core.instants import parse_duration, parse_instant, to_text
from watchbell.services.audit import AuditReport
from watchbell.store.tx import Tx
from watchbell.testing import StepNode

MIDNIGHT = "2026-11-21T00:00:00Z"
Declare = Callable[[Watchbell], None]
Seen = tuple[str, str, str | None]


class Story:
    """An application whose code is `declare`, told under virtual time."""

    def __init__(
        self, declare: Declare, *, at: str = MIDNIGHT, file: Path | None = None, **options: Any
    ) -> None:
        self.clock = ManualClock.at(at)
        self._url = databases.fresh() if file is None else databases.at(file)
        self._options = options
        self.declare = declare
        self.may_be_unknown = False
        self.open()

    def open(self, declare: Declare | None = None, **options: Any) -> None:
        """Start the application's process."""
        self.declare = declare or self.declare
        self.bell = Watchbell(self._url, clock=self.clock, **(self._options | options))
        self.declare(self.bell)
        self.node = StepNode(self.bell)

    def die(self, after: str = "0s") -> None:
        """Kill the process; then `after` passes, in which nobody plans."""
        assert self._url != "sqlite://", "only a file outlives its process"
        self.node.die()
        self.bell.stop()
        self.clock.advance(parse_duration(after))

    def restart(self, after: str = "0s", declare: Declare | None = None, **options: Any) -> None:
        """Kill the process, let time pass, start it again."""
        self.die(after)
        self.open(declare, **options)

    def live(self, until: str, by: str = "1m") -> None:
        """Let time pass in small steps, so that the engine is seen alive all along."""
        end = parse_instant(until, now=self.now)
        while self.now < end:
            self.node.run_until(min(end, self.now + parse_duration(by)))

    def until(self, at: str) -> None:
        """Let time pass up to an instant: `01:30` of the first day, or a whole one."""
        self.node.run_until(parse_instant(at if "T" in at else f"{MIDNIGHT[:11]}{at}:00Z"))

    @property
    def now(self) -> int:
        return self.clock.wall_us()

    def seen(self, schedule: str | None = None) -> list[Seen]:
        """(due at, state, reason) of every row: `01:00` on the first day, the whole instant on another. Whether a run
        that goes on has been written down as begun for certain depends on the last renewal of a lease: `going`."""
        return [(short(due), told(state), reason) for due, state, reason in self.node.occurrences(schedule)]

    def states(self, schedule: str | None = None) -> list[str]:
        return [told(state) for _, state, _ in self.node.occurrences(schedule)]

    def spans(self) -> list[tuple[str, str, int, str, str | None]]:
        """(from, to, count, ending, reason) of every span."""
        rows = self.rows("SELECT from_at, to_at, count, ending, reason FROM span ORDER BY schedule, from_at")
        return [(short(row[0]), short(row[1]), *row[2:]) for row in rows]

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        return self.bell._open().read(lambda tx: tx.rows(sql, params))

    def value(self, sql: str, *params: Any) -> Any:
        found = self.rows(sql, *params)
        return found[0][0] if found else None

    def change(self, sql: str, *params: Any) -> None:
        """Do to the database what no code of ours does."""

        def work(tx: Tx) -> None:
            tx.run(sql, params)
            tx.run("UPDATE meta SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = 'catalog'")

        self.bell._open().write(work)

    def audit(self) -> AuditReport:
        """The four figures are 0, the gates are what the ledger says, and nothing is unknown."""
        report = self.bell.audit()
        assert [finding.sentence for finding in report.findings] == []
        figures = (report.unaccounted, report.invented, report.stuck, report.contradicted)
        assert figures == (0, 0, 0, 0)
        assert report.gates == ()
        if not self.may_be_unknown:
            assert report.unknown == ()
        return report


def told(state: str) -> str:
    return "going" if state in ("claimed", "running") else state


def short(at: int) -> str:
    text = to_text(at)
    return text[11:].removesuffix("Z").removesuffix(":00") if text.startswith(MIDNIGHT[:11]) else text


def all_of(state: str, dues: Sequence[str], reason: str | None = None) -> list[Seen]:
    """Rows of one state, by their due instants."""
    return [(due, state, reason) for due in dues]
