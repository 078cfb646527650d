"""Real engines in real processes on one file, and the facts that its ledger holds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from tests.engine import an_engine
from watchbell import Watchbell
from watchbell.clock import SystemClock
from watchbell.services.audit import audit
from watchbell.store.sqlite import SqliteStore
from watchbell.store.sqlite.open import open_store

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 40.0
T = TypeVar("T")


def wait_for(fact: Callable[[], T], what: str, within_s: float = DEADLINE_S) -> T:
    """Wait until `fact` gives something true, and return that."""
    end = time.monotonic() + within_s
    while not (found := fact()):
        assert time.monotonic() < end, f"after {within_s:.0f} s still not so: {what}"
        threading.Event().wait(0.02)
    return found


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


class Engine:
    """One engine process."""

    def __init__(self, folder: Path, number: int, options: dict[str, Any]) -> None:
        self.log_file = folder / f"engine-{number}.log"
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.engine.an_engine", str(folder), json.dumps(options)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.pid = self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def says(self, words: str) -> None:
        """Wait until its log holds these words."""
        wait_for(lambda: words in self.log, f"the engine says {words!r}; it says\n{self.log}")

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stands_still(self) -> bool:
        """Whether a SIGSTOP has reached it."""
        return Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"

    def ends(self) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(DEADLINE_S)

    def children(self) -> list[int]:
        """The processes that it has started: its spawner."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                except OSError:
                    continue
                if int(fields[1]) == self.pid:
                    found.append(int(entry.name))
        return found

    def end(self) -> None:
        """Whatever it does, it is gone after this."""
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.process.wait(DEADLINE_S)


class House:
    """A folder with a database, its engines, and a second process's view of it: this one's."""

    def __init__(self, folder: Path, database: Path | None = None) -> None:
        self.folder = folder
        self.options: dict[str, Any] = {} if database is None else {"database": str(database)}
        self.engines: list[Engine] = []
        self._bell: Watchbell | None = None
        self._store: SqliteStore | None = None
        self._database = database or folder / "bell.db"

    def engine(self, **options: Any) -> Engine:
        """Start another engine."""
        self.engines.append(Engine(self.folder, len(self.engines), self.options | options))
        return self.engines[-1]

    def acting(self, **options: Any) -> Engine:
        """Start an engine and wait until it acts."""
        started = self.engine(**options)
        started.says("engine.ready")
        return started

    @property
    def bell(self) -> Watchbell:
        """The application in this process: it asks and orders, it never acts."""
        if self._bell is None:
            self._bell = an_engine.build(self.folder, self.options)
        return self._bell

    @property
    def store(self) -> SqliteStore:
        if self._store is None:
            self._store = open_store(str(self._database), SystemClock().wall_us())
        return self._store

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        return self.store.read(lambda tx: tx.rows(sql, params))

    def value(self, sql: str, *params: Any) -> Any:
        return self.store.read(lambda tx: tx.value(sql, params))

    def engine_pid(self) -> int:
        """The process that acts, as the ledger says."""
        return int(self.value("SELECT pid FROM node ORDER BY engine_epoch DESC LIMIT 1") or 0)

    def run_now(self, job: str) -> int:
        """Ask for a run of a job; its number."""
        return self.bell.run_now(job).run

    def begun(self, name: str | None = None) -> list[list[str]]:
        """What the jobs wrote down: run, epoch, process, name."""
        file = self.folder / "begun"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in lines if name in (None, line[3])]

    def has_begun(self, *names: str) -> None:
        """Wait until these jobs have begun."""
        for name in names:
            wait_for(lambda name=name: self.begun(name), f"{name} has begun")  # type: ignore[misc]

    def go(self) -> None:
        """Let the jobs that wait go on."""
        (self.folder / "go").touch()

    def ended(self, run: int) -> tuple[str, str | None]:
        """Wait until a run has ended: its state and the reason."""
        sql = "SELECT state, reason FROM occurrence WHERE id = ? AND ended_at IS NOT NULL"
        return wait_for(lambda: self.rows(sql, run), f"run_{run} has ended")[0]  # type: ignore[return-value]

    def audited(self) -> None:
        """Everything is accounted for, and nothing has begun twice."""
        report = audit(self.store, now=SystemClock().wall_us())
        assert report.ok, report.to_json()
        claims = [(line[0], line[1]) for line in self.begun()]
        assert len(claims) == len(set(claims))

    def freeze(self, engine: Engine) -> None:
        """Stop an engine where it does not hold the write lock of the database: with that, nobody else could act."""

        def frozen() -> bool:
            engine.signal(signal.SIGSTOP)
            wait_for(engine.stands_still, "it is stopped")
            with contextlib.closing(apsw.Connection(str(self._database))) as database:
                try:
                    database.execute("BEGIN IMMEDIATE; ROLLBACK")
                except apsw.BusyError:
                    engine.signal(signal.SIGCONT)
                    return False
            return True

        wait_for(frozen, "it is stopped between two writes")

    def close(self) -> None:
        for engine in self.engines:
            engine.end()
        if self._bell is not None:
            self._bell.stop()
        if self._store is not None:
            self._store.close()
