"""Rows 7, 8 and 9: what many stored schedules cost. Start-up, idling, and each run as their number grows."""

from __future__ import annotations

import time

from .child import Child, Unmeasured
from .database import Database
from .figures import Figure, median
from .ledger import Ledger
from .session import Session, sleep_until
from .stock import SECOND, each, fill, now_us, prepare

DAY = 86_400 * SECOND
PER_SECOND = 1000
CALM_S = 7.0


def stored(session: Session, rows: frozenset[str]) -> None:
    """Rows 7 and 8, which share a database: start-up and idle cost."""
    count = 100_000 if session.quick else 1_000_000
    with session.database() as database:
        session.say(f"writing {count:,} schedules")
        prepare(database.url)
        tomorrow = now_us() + DAY
        groups = [
            each(7 * 86_400, tomorrow + place * SECOND, PER_SECOND) for place in range(count // PER_SECOND)
        ]
        fill(database.url, groups)
        if "startup" in rows:
            _startup(session, database, count)
        if "idle" in rows:
            _idle(session, database, count)


def _startup(session: Session, database: Database, count: int) -> None:
    seconds: list[float] = []
    memory: list[float] = []
    bare: list[float] = []
    bare_memory: list[float] = []
    title = f"start-up to ready with {count:,} stored schedules"
    note = ""
    try:
        for number in range(3):
            session.say(f"{title}, {number + 1} of 3")
            for role, took, held in (("bare", bare, bare_memory), ("engine", seconds, memory)):
                with Child(role, database.folder, url=database.url) as child:
                    ready = child.hear()
                    took.append(ready["ready_at"] - child.started)
                    held.append(ready["memory_mb"])
    except Unmeasured as why:
        note = str(why)
    what = "a process that opens the database and asks for the first due instant"
    beside = (
        session.limit("bare-s", what, median(bare), "s") if bare else None,
        session.limit("bare-mb", f"{what}, its memory", median(bare_memory), "MB") if bare else None,
    )
    for values, unit, aim, limit in ((seconds, "s", 1.0, beside[0]), (memory, "MB", 150.0, beside[1])):
        value = median(values) if values else None
        words = title if unit == "s" else f"memory when ready with {count:,} stored schedules"
        session.add(Figure("startup", words, value, unit, aim, less=True, limit=limit, note=note))
        note = ""


def _idle(session: Session, database: Database, count: int) -> None:
    seconds = 5 if session.quick else 20
    title = f"idle cost with {count:,} schedules, none due, of a core"
    session.say(f"{title}, {seconds} s")
    try:
        with session.engine(database) as engine:
            time.sleep(CALM_S if not session.quick else 2.0)
            before = engine.ask("usage")
            time.sleep(seconds)
            after = engine.ask("usage")
        share = 100 * (after["cpu_s"] - before["cpu_s"]) / (after["at"] - before["at"])
        session.add(Figure("idle", title, share, "%", 0.5, less=True))
    except Unmeasured as why:
        session.add(Figure("idle", title, None, "%", 0.5, less=True, note=str(why)))


def growth(session: Session) -> None:
    """Row 9: processor time for each run at 1,000 runs a second, as the schedules that take turns grow in number."""
    sizes = (1_000, 100_000) if session.quick else (1_000, 100_000, 1_000_000)
    seconds = 4 if session.quick else 10
    costs: list[tuple[int, float]] = []
    note = ""
    for count in sizes:
        try:
            costs.append((count, _cost(session, count, seconds)))
        except Unmeasured as why:
            note = f"{count:,}: {why}"
    for count, cost in costs:
        title = f"processor time of the engine's process for a run, {count:,} schedules that take turns"
        session.add(Figure("growth", title, cost, "µs", less=True))
    title = f"the cost of a run grows from {sizes[0]:,} to {sizes[-1]:,} schedules by"
    grown = 100 * (costs[-1][1] / costs[0][1] - 1) if len(costs) == len(sizes) else None
    session.add(Figure("growth", title, grown, "%", 20.0, less=True, note=note))


def _cost(session: Session, count: int, seconds: int) -> float:
    """Microseconds of processor time for each run, with 1,000 schedules due at each second, in turn."""
    session.say(f"cost of a run, {count:,} schedules, {seconds} s")
    with session.database() as database:
        prepare(database.url)
        turns = count // PER_SECOND
        start = (now_us() // SECOND + 5) * SECOND + session.filling_us(count) // SECOND * SECOND
        fill(database.url, [each(turns, start + place * SECOND, PER_SECOND) for place in range(turns)])
        with session.engine(database) as engine, Ledger(database) as ledger:
            if now_us() > start:
                raise Unmeasured("the machine was too busy to be ready for the instant")
            sleep_until(start - SECOND // 5)
            before = engine.ask("usage")
            sleep_until(start + (seconds - 1) * SECOND + 4 * SECOND // 5)
            after = engine.ask("usage")
            ran = len(ledger.lateness_us(start, start + seconds * SECOND))
    if ran < seconds * PER_SECOND * 0.9:
        raise Unmeasured(f"{ran:,} of {seconds * PER_SECOND:,} have run")
    return 1e6 * float(after["cpu_s"] - before["cpu_s"]) / ran
