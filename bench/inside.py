"""What runs in the processes of their own: `python -m bench.inside ROLE PARAMETERS`. Spoken to by bench/child.py."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .database import SQLITE, Database


def say(**values: Any) -> None:
    """One answer."""
    print(json.dumps(values), flush=True)


def memory_mb() -> float:
    """The resident memory of this process."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS"))


def engine(url: str) -> None:
    """A node that serves until it is told nothing more."""
    from .application import build

    taken: list[tuple[int, int]] = []
    bell = build(url, taken)
    bell.start()
    say(ready_at=time.time(), memory_mb=memory_mb())
    for line in sys.stdin:
        match line.strip():
            case "usage":
                say(cpu_s=time.process_time(), at=time.time(), memory_mb=memory_mb())
            case "taken":
                say(taken=taken)
            case "stop":
                bell.stop()
                say(stopped=True)
    os._exit(0)


def bare(url: str) -> None:
    """The least that a scheduler could do at its start: open the database, ask for the first due instant."""
    first = "SELECT min(next_due) FROM cursor WHERE next_due IS NOT NULL"
    if (file := Database(url, Path()).path) is not None:
        import apsw

        conn = apsw.Connection(str(file))
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute(first).fetchall()
    else:
        import psycopg

        psycopg.connect(url, options="-c search_path=watchbell").execute(first).fetchall()
    say(ready_at=time.time(), memory_mb=memory_mb())


def caller(url: str, calls: int, rest_s: float) -> None:
    """Another process of the same application, which asks for runs until it is told that it is enough."""
    from .application import HELLO, build

    enough = threading.Event()

    def hear() -> None:
        sys.stdin.readline()
        enough.set()

    threading.Thread(target=hear, daemon=True).start()
    bell = build(url)
    bell.schedules(limit=1)
    sent: list[tuple[int, int]] = []
    while len(sent) < calls and not enough.wait(rest_s):
        at = time.time_ns() // 1000
        bell.run_now(HELLO, {"sent": at})
        sent.append((at, time.time_ns() // 1000 - at))
    say(sent=sent)


def register(url: str, way: str, count: int) -> None:
    """Schedules registered in one of three ways."""
    from . import registering

    say(**registering.register(url, way, count))


def cron(seconds: float) -> None:
    """Next instants computed."""
    from . import instants

    say(**instants.measure(seconds))


def lives(count: int, days: float) -> None:
    """Lives in virtual time, judged after every step."""
    from simulation.live import live
    from simulation.plan import life_of

    began, passed, rows = time.monotonic(), 0.0, 0
    for seed in range(1, count + 1):
        lived = live(life_of(seed, days))
        if lived.broken is not None:
            raise SystemExit(f"the life of seed {seed} breaks a rule: {lived.broken}")
        passed, rows = passed + lived.days, rows + lived.rows
    say(days_per_min=60 * passed / (time.monotonic() - began), rows=rows)


def limit(name: str, url: str, place: str, params: dict[str, Any]) -> None:
    """One raw limit."""
    from . import limits

    if name in limits.COMMON:
        say(**limits.COMMON[name](Path(place), **params))
    elif Database(url, Path()).on == SQLITE:
        say(**limits.OF_SQLITE[name](Path(place), **params))
    else:
        from . import limits_postgres

        say(**limits_postgres.OF_POSTGRES[name](url, **params))


ROLES: dict[str, Callable[..., None]] = {
    "engine": engine,
    "bare": bare,
    "caller": caller,
    "register": register,
    "cron": cron,
    "lives": lives,
    "limit": limit,
}

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    ROLES[sys.argv[1]](**json.loads(sys.argv[2]))
