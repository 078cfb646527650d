"""What the machine can do without a scheduler: the raw limits that the figures on SQLite stand beside, and those for which no
database is asked. bench/limits_postgres.py has the others.

Each is the shortest way to the same promise. `path` is the whole of it: select what is due, insert the rows and advance
the schedules in one durable commit, run the coroutines, write their ends in another.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from .figures import quantile

DDL = """
CREATE TABLE schedule (id INTEGER PRIMARY KEY, name TEXT UNIQUE, rule TEXT, next_at INTEGER) STRICT;
CREATE INDEX schedule_due ON schedule (next_at);
CREATE TABLE run (id INTEGER PRIMARY KEY, schedule INTEGER, due_at INTEGER, state TEXT, began INTEGER, ended INTEGER) STRICT;
CREATE INDEX run_live ON run (state) WHERE state <> 'done';
"""
HOUR_US = 3_600_000_000


def _open(database: Path) -> apsw.Connection:
    conn = apsw.Connection(str(database))
    conn.set_busy_timeout(10_000)
    conn.execute("PRAGMA journal_mode = WAL").fetchall()
    conn.execute("PRAGMA synchronous = FULL")
    return conn


def _rows(conn: apsw.Connection, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    return conn.execute(sql, params).fetchall()


def _now() -> int:
    return time.time_ns() // 1000


def disk(folder: Path, count: int) -> dict[str, float]:
    """4 KiB appended and synced, one after the other."""
    block = os.urandom(4096)
    fd = os.open(folder / "append", os.O_RDWR | os.O_CREAT)
    began = time.perf_counter()
    for number in range(count):
        os.pwrite(fd, block, number * 4096)
        os.fdatasync(fd)
    took = time.perf_counter() - began
    os.close(fd)
    return {"value": count / took}


def commits(folder: Path, count: int) -> dict[str, float]:
    """One row a commit."""
    conn = _open(folder / "commits.db")
    conn.execute(DDL)
    began = time.perf_counter()
    for number in range(count):
        conn.execute("INSERT INTO run (schedule, due_at, state) VALUES (?, ?, 'queued')", (number, number))
    return {"value": count / (time.perf_counter() - began)}


def bulk(folder: Path, count: int) -> dict[str, float]:
    """Schedules inserted in one transaction."""
    conn = _open(folder / "bulk.db")
    conn.execute(DDL)
    began = time.perf_counter()
    _insert(conn, count, 0)
    return {"value": count / (time.perf_counter() - began)}


def single(folder: Path, count: int) -> dict[str, float]:
    """Schedules inserted, each in a transaction of its own."""
    conn = _open(folder / "single.db")
    conn.execute(DDL)
    began = time.perf_counter()
    for number in range(count):
        conn.execute("INSERT INTO schedule (name, rule, next_at) VALUES (?, 'every 1h', 0)", (str(number),))
    return {"value": count / (time.perf_counter() - began)}


def _insert(conn: apsw.Connection, count: int, due_at: int) -> None:
    with conn:
        conn.executemany(
            "INSERT INTO schedule (name, rule, next_at) VALUES (?, 'every 1h', ?)",
            ((f"schedule {number}", due_at) for number in range(count)),
        )


def path(folder: Path, count: int, batch: int, times: int) -> dict[str, float]:
    """Runs a second through the shortest durable path; the median of some times."""
    took = []
    for number in range(times):
        conn = _open(folder / f"path-{count}-{number}.db")
        conn.execute(DDL)
        _insert(conn, count, _now())
        began = time.perf_counter()
        asyncio.run(_drain(conn, batch))
        took.append(time.perf_counter() - began)
        conn.close()
    return {"value": count / sorted(took)[len(took) // 2]}


async def _drain(conn: apsw.Connection, batch: int) -> None:
    async def nothing() -> tuple[int, int]:
        return _now(), _now()

    create = asyncio.get_running_loop().create_task
    first = 1
    wanted = "SELECT id, next_at FROM schedule WHERE next_at <= ? ORDER BY next_at LIMIT ?"
    while due := _rows(conn, wanted, _now(), batch):
        runs = range(first, first + len(due))
        first += len(due)
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany(
            "INSERT INTO run (id, schedule, due_at, state) VALUES (?, ?, ?, 'claimed')",
            [(run, *row) for run, row in zip(runs, due, strict=True)],
        )
        conn.executemany(
            "UPDATE schedule SET next_at = ? WHERE id = ?", [(at + HOUR_US, id_) for id_, at in due]
        )
        conn.execute("COMMIT")
        ends = await asyncio.gather(*[create(nothing()) for _ in due])
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany(
            "UPDATE run SET state = 'done', began = ?, ended = ? WHERE id = ?",
            [(*end, run) for end, run in zip(ends, runs, strict=True)],
        )
        conn.execute("COMMIT")


def timers(folder: Path, seconds: float) -> dict[str, float]:
    """Lateness of a thread that waits for each of 1,000 instants a second, in milliseconds."""
    waiting = threading.Event()
    late = []
    base = time.monotonic() + 0.2
    for number in range(int(1000 * seconds)):
        at = base + number / 1000
        if (left := at - time.monotonic()) > 0:
            waiting.wait(left)
        late.append(1000 * (time.monotonic() - at))
    return {"p50": quantile(late, 0.5), "p99": quantile(late, 0.99)}


def together(folder: Path, count: int, times: int) -> dict[str, float]:
    """Lateness of coroutines that all begin at one instant, on a loop in another thread, in milliseconds."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    late: list[float] = []
    begun: list[asyncio.Task[None]] = []
    done = threading.Event()

    async def nothing(at: float) -> None:
        late.append(1000 * (time.monotonic() - at))
        if len(late) % count == 0:
            done.set()

    def begin(at: float) -> None:
        for _ in range(count):
            begun.append(loop.create_task(nothing(at)))  # a loop keeps no hold of its own on them

    for _ in range(times):
        at = time.monotonic() + 0.1
        done.clear()
        threading.Event().wait(at - time.monotonic())
        loop.call_soon_threadsafe(begin, at)
        done.wait(5)
    return {"p50": quantile(late, 0.5), "p99": quantile(late, 0.99)}


_CALLER = """
import socket, sys, time, apsw
conn = apsw.Connection(sys.argv[1])
conn.set_busy_timeout(10000)
conn.execute("PRAGMA synchronous = FULL")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
    for number in range(int(sys.argv[3])):
        sent = time.time_ns() // 1000
        conn.execute("INSERT INTO run (schedule, due_at, state) VALUES (1, ?, 'queued')", (sent,))
        out.sendto(b"!", sys.argv[2])
        time.sleep(0.01)
"""


def wake(folder: Path, calls: int) -> dict[str, float]:
    """Another process commits a row and sends a datagram; here the row is read, claimed in a commit and begun:
    milliseconds from the call."""
    database, address = folder / "wake.db", os.path.relpath(folder / "wake")
    conn = _open(database)
    conn.execute(DDL)
    late: list[float] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        heard.settimeout(10)
        with subprocess.Popen([sys.executable, "-c", _CALLER, database, address, str(calls)]) as other:
            while len(late) < calls:
                heard.recv(8)
                for run, sent in _rows(conn, "SELECT id, due_at FROM run WHERE state = 'queued'"):
                    conn.execute("UPDATE run SET state = 'claimed' WHERE id = ?", (run,))
                    late.append((_now() - sent) / 1000)
            other.wait()
    return {"p50": quantile(late, 0.5), "p99": quantile(late, 0.99)}


COMMON: dict[str, Callable[..., dict[str, float]]] = {"disk": disk, "timers": timers, "together": together}
OF_SQLITE: dict[str, Callable[..., dict[str, float]]] = {
    "commits": commits,
    "bulk": bulk,
    "single": single,
    "path": path,
    "wake": wake,
}
