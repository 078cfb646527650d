"""Real nodes in real processes on one PostgreSQL database."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.engine import engines
from tests.engine.engines import Engine, wait_for
from watchbell.clock import SystemClock
from watchbell.services.audit import audit
from watchbell.store.base import Store
from watchbell.store.open import open_store


class Nodes(engines.House):
    """A folder in which jobs write down what they do, a database, its nodes, and this process's view of it."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.options: dict[str, Any] = {"url": url}
        self._open: Store | None = None
        self._url = url

    @property
    def store(self) -> Store:  # type: ignore[override]
        if self._open is None:
            self._open = open_store(self._url, SystemClock().wall_us())
        return self._open

    def state(self, engine: Engine) -> str:
        """The state of the newest incarnation of a process."""
        found = self.value("SELECT state FROM node WHERE pid = ? ORDER BY id DESC LIMIT 1", engine.pid)
        return str(found)

    def owner(self, run: int) -> int | None:
        """The process that has claimed a run."""
        found = self.value("SELECT n.pid FROM occurrence o JOIN node n ON n.id = o.node WHERE o.id = ?", run)
        return None if found is None else int(found)

    def freeze(self, engine: Engine) -> None:
        """Stop a process wherever it is, the middle of a write among others: the server ends that for it."""
        engine.signal(signal.SIGSTOP)
        wait_for(engine.stands_still, "it is stopped")

    def audited(self) -> None:
        """Everything is accounted for, and nothing has begun twice."""
        now = self.store.clock(SystemClock()).wall_us()
        report = audit(self.store, now=now)
        assert report.ok, report.to_json()
        claims = [(line[0], line[1]) for line in self.begun()]
        assert len(claims) == len(set(claims))

    def close(self) -> None:
        super().close()
        if self._open is not None:
            self._open.close()
