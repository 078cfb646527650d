"""One run of the bench on one kind of database: what the rows share. Where to put things, how thorough to be, and what was
measured so far."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .child import Child, answer
from .database import NAMES, POSTGRES, SQLITE, Database
from .figures import Figure, Limit, Result
from .place import within

if TYPE_CHECKING:
    from tests.postgres.databases import Databases

FILLED_PER_S = {SQLITE: 40_000, POSTGRES: 15_000}
"""How many schedules a second are written at the least, so that all are there when the first is due."""


@dataclass(slots=True)
class Session:
    """`ends_at` is the monotonic time by which everything has to be over; `told` whether progress is shown; `server` makes
    databases, where they are not files."""

    folder: Path
    quick: bool
    ends_at: float
    result: Result
    server: Databases | None = None
    told: bool = True
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))
    _shown: int = 0

    @property
    def on(self) -> str:
        """The kind of database that is measured."""
        return SQLITE if self.server is None else POSTGRES

    def left_s(self) -> float:
        """How much time is left."""
        return self.ends_at - time.monotonic()

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """A fresh database, gone afterwards."""
        with within(self.folder, f"{self.on}-{next(self._numbers)}") as inner:
            if self.server is None:
                yield Database.in_file(inner / "bench.db")
            else:
                with self.server.lend(empty=True) as url:
                    yield Database(url, inner)

    def filling_us(self, count: int) -> int:
        """For how long so many schedules are being written, at the most."""
        return count * 1_000_000 // FILLED_PER_S[self.on]

    @contextlib.contextmanager
    def engine(self, database: Database, before: Sequence[str] = ()) -> Iterator[Child]:
        """A ready engine on it, in a process of its own."""
        with Child("engine", database.folder, before=before, url=database.url) as child:
            child.hear()
            yield child

    @contextlib.contextmanager
    def engines(self, database: Database, count: int) -> Iterator[list[Child]]:
        """So many engines on it, ready together."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.engine(database)) for _ in range(count)]

    def add(self, figure: Figure) -> None:
        """Keep a figure of this database."""
        self.result.figures.append(replace(figure, on=self.on))

    def add_common(self, figure: Figure) -> None:
        """Keep a figure for which no database is asked."""
        self.result.figures.append(figure)

    def limit(self, key: str, title: str, value: float, unit: str) -> str:
        """Keep a limit of this database; returns its key."""
        return self.common_limit(f"{self.on}-{key}", f"{NAMES[self.on]}: {title}", value, unit)

    def common_limit(self, key: str, title: str, value: float, unit: str) -> str:
        """Keep a limit for which no database is asked; returns its key."""
        self.result.limits[key] = Limit(key, title, value, unit)
        return key

    def raw(self, name: str, **params: Any) -> dict[str, float]:
        """Measure a raw limit in a process of its own."""
        with self.database() as database:
            place = str(database.folder)
            return answer("limit", database.folder, name=name, url=database.url, place=place, params=params)

    def path_limit(self, count: int) -> str:
        """The shortest durable path for so many runs; measured once a run."""
        key = f"path-{count}"
        if f"{self.on}-{key}" not in self.result.limits:
            self.say(f"shortest durable path, {count:,} runs")
            value = self.raw("path", count=count, batch=1000, times=3)["value"]
            self.limit(key, f"shortest durable path, batches of 1,000, {count:,} runs", value, "/s")
        return f"{self.on}-{key}"

    def say(self, text: str) -> None:
        """Where the bench is: one line that is written over on a terminal."""
        if not self.told:
            return
        if sys.stderr.isatty():
            print(f"\r{text.ljust(self._shown)}", end="", file=sys.stderr, flush=True)
            self._shown = len(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def hush(self) -> None:
        """Leave the line to the table."""
        if self._shown:
            print("\r" + " " * self._shown + "\r", end="", file=sys.stderr, flush=True)


def sleep_until(at_us: int) -> None:
    """Wait for an instant."""
    while (left := at_us / 1e6 - time.time()) > 0:
        time.sleep(min(left, 1.0))
