"""One run of the bench: what the rows share. Where to put things, how thorough to be, and what was measured so far."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .child import Child, answer
from .figures import Figure, Limit, Result
from .place import within


@dataclass(slots=True)
class Session:
    """`ends_at` is the monotonic time by which everything has to be over; `told` whether progress is shown."""

    folder: Path
    quick: bool
    ends_at: float
    result: Result
    told: bool = True
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))
    _shown: int = 0

    def left_s(self) -> float:
        """How much time is left."""
        return self.ends_at - time.monotonic()

    @contextlib.contextmanager
    def database(self) -> Iterator[Path]:
        """A place for a fresh database, gone afterwards."""
        with within(self.folder, str(next(self._numbers))) as inner:
            yield inner / "bench.db"

    @contextlib.contextmanager
    def engine(self, database: Path) -> Iterator[Child]:
        """A ready engine on it, in a process of its own."""
        with Child("engine", database.parent, database=str(database)) as child:
            child.hear()
            yield child

    def add(self, figure: Figure) -> None:
        """Keep a figure."""
        self.result.figures.append(figure)

    def limit(self, key: str, title: str, value: float, unit: str) -> str:
        """Keep a limit; returns its key."""
        self.result.limits[key] = Limit(key, title, value, unit)
        return key

    def raw(self, name: str, **params: Any) -> dict[str, float]:
        """Measure a raw limit in a process of its own."""
        with within(self.folder, f"limit-{next(self._numbers)}") as inner:
            return answer("limit", inner, name=name, place=str(inner), params=params)

    def path_limit(self, count: int) -> str:
        """The shortest durable path for so many runs; measured once a run."""
        key = f"path-{count}"
        if key not in self.result.limits:
            self.say(f"shortest durable path, {count:,} runs")
            value = self.raw("path", count=count, batch=1000, times=3)["value"]
            self.limit(key, f"shortest durable path, batches of 1,000, {count:,} runs", value, "/s")
        return key

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
