"""The shop's own database: branches, their orders and the prices of the day.

It stands for the tables that an application has anyway. It is a file of its own, opened with Python's sqlite3;
watchbell's ledger is another file, which only watchbell opens.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FIRST_ORDERS = 40_000
BATCH = 2_000
ITEMS = ("apples", "bread", "coffee", "dates", "eggs")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS branch (id INTEGER PRIMARY KEY, name TEXT NOT NULL, every_s INTEGER NOT NULL, open INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS purchase (id INTEGER PRIMARY KEY, branch INTEGER NOT NULL, item TEXT NOT NULL, pieces INTEGER NOT NULL,
                                     run_key TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS price (item TEXT PRIMARY KEY, cents INTEGER NOT NULL);
"""
_BRANCHES = ((1, "harbour", 3, 1), (2, "station", 4, 1), (3, "market", 5, 1))


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch; while it is open, an order comes in every `every_s` seconds."""

    id: int
    name: str
    every_s: int
    open: bool


class Shop:
    """The shop behind one file. Every call has a connection of its own, so that any thread may call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def prepare(self) -> int:
        """Make the tables and fill them, where that has not been done; returns how many orders there are."""
        with self._open() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_SCHEMA)
            db.executemany("INSERT OR IGNORE INTO branch VALUES (?, ?, ?, ?)", _BRANCHES)
            (count,) = db.execute("SELECT count(*) FROM purchase").fetchone()
            if count == 0:
                made = ((1 + n % 3, ITEMS[n % len(ITEMS)], 1 + n % 7) for n in range(FIRST_ORDERS))
                db.executemany("INSERT INTO purchase (branch, item, pieces) VALUES (?, ?, ?)", made)
                count = FIRST_ORDERS
            return int(count)

    def branches(self) -> list[Branch]:
        """All branches, open or not."""
        with self._open() as db:
            rows = db.execute("SELECT id, name, every_s, open FROM branch ORDER BY id").fetchall()
        return [Branch(row[0], row[1], row[2], bool(row[3])) for row in rows]

    def take_order(self, branch: int, run_key: str) -> int:
        """Write an order down and return its number. The run key makes a second attempt find the first one's order."""
        with self._open() as db:
            db.execute(
                "INSERT INTO purchase (branch, item, pieces, run_key) "
                "SELECT ?, ?, 1 + ? % 7, ? WHERE NOT EXISTS (SELECT 1 FROM purchase WHERE run_key = ?)",
                (branch, ITEMS[branch % len(ITEMS)], len(run_key), run_key, run_key),
            )
            (number,) = db.execute("SELECT id FROM purchase WHERE run_key = ?", (run_key,)).fetchone()
            return int(number)

    def turn_the_sign(self, name: str) -> bool:
        """Open a branch that is closed, close one that is open; returns whether it is open now."""
        with self._open() as db:
            db.execute("UPDATE branch SET open = 1 - open WHERE name = ?", (name,))
            (open_,) = db.execute("SELECT open FROM branch WHERE name = ?", (name,)).fetchone()
            return bool(open_)

    def write_prices(self, prices: Mapping[str, int]) -> None:
        """Keep the prices, in cents."""
        with self._open() as db:
            db.executemany("INSERT OR REPLACE INTO price VALUES (?, ?)", prices.items())

    def stock(self) -> dict[str, int]:
        """How many pieces of each item were ever ordered."""
        with self._open() as db:
            return dict(db.execute("SELECT item, sum(pieces) FROM purchase GROUP BY item ORDER BY item"))

    def export(self, target: Path, step: Callable[[int, int], None]) -> int:
        """Write all orders to a CSV file, a batch at a time; `step` is called with (rows done, rows in all).

        The file appears whole or not at all: an export that was ended half-way leaves the one before it.
        """
        part = target.with_suffix(".part")
        done = after = 0
        with self._open() as db, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("id", "branch", "item", "pieces"))
            (last, total) = db.execute("SELECT coalesce(max(id), 0), count(*) FROM purchase").fetchone()
            while True:
                rows = db.execute(
                    "SELECT id, branch, item, pieces FROM purchase WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
                    (after, last, BATCH),
                ).fetchall()
                if not rows:
                    break
                writer.writerows(rows)
                after, done = rows[-1][0], done + len(rows)
                step(done, total)
        part.replace(target)
        return done


def integrity(path: Path) -> str:
    """What SQLite's own integrity check says of a file: "ok", or what is wrong."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return "; ".join(str(row[0]) for row in connection.execute("PRAGMA integrity_check"))
    finally:
        connection.close()
