"""Several nodes on one PostgreSQL database, under virtual time: each with a `Watchbell` of its own, all with one clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.engine.story import MIDNIGHT, Seen, short, told
from watchbell import Watchbell
from watchbell.clock import ManualClock
from watchbell.core.instants import SECOND, parse_instant
from watchbell.errors import EngineReplaced
from watchbell.testing import StepNode

Declare = Callable[[Watchbell], None]


class Several:
    """The nodes of one database. Those that are not frozen and have not ended look around every second."""

    def __init__(self, url: str, at: str = f"{MIDNIGHT[:11]}00:09:50Z") -> None:
        self.url = url
        self.clock = ManualClock.at(at)
        self.nodes: list[StepNode] = []
        self.frozen: list[StepNode] = []
        self.replaced: list[StepNode] = []
        self._bells: list[Watchbell] = []

    def node(self, declare: Declare, name: str, **options: Any) -> StepNode:
        """Start another node."""
        bell = Watchbell(self.url, clock=self.clock, app="shop", **({"revision": 1} | options))
        self._bells.append(bell)
        declare(bell)
        self.nodes.append(StepNode(bell, name=name))
        return self.nodes[-1]

    def step(self) -> None:
        """Each one does what is to be done now; one that finds itself replaced ends what it runs."""
        for node in self.nodes:
            if node.stopped or node in self.frozen:
                continue
            try:
                node.step()
            except EngineReplaced:
                self.replaced.append(node)
                node.drain()

    def live(self, seconds: int) -> None:
        """Let so many seconds pass, one by one, and end with a look around."""
        for _ in range(seconds):
            self.step()
            self.clock.advance(SECOND)
        self.step()

    def until(self, at: str) -> None:
        """Live up to `00:10` of the first day."""
        self.live((parse_instant(f"{MIDNIGHT[:11]}{at}:00Z") - self.clock.wall_us()) // SECOND)

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        return self._bells[0]._open().read(lambda tx: tx.rows(sql, params))

    def seen(self) -> list[Seen]:
        rows = self.rows("SELECT due_at, state, reason FROM occurrence ORDER BY due_at, id")
        return [(short(due), told(state), reason) for due, state, reason in rows]

    def states(self) -> dict[str, str]:
        """Each node's newest incarnation: its name and state."""
        return dict(self.rows("SELECT name, state FROM node ORDER BY id"))

    def refused(self) -> int:
        return int(self.rows("SELECT count(*) FROM audit_event WHERE action = 'report.refused'")[0][0])

    def audited(self) -> None:
        report = self._bells[0].audit()
        assert [finding.sentence for finding in report.findings] == []
        assert report.ok, report.to_json()

    def close(self) -> None:
        for bell in self._bells:
            bell.stop()
