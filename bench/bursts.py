"""Row 1: everything due at one instant, from that instant to the last settled row."""

from __future__ import annotations

from watchbell.core.triggers import Once

from .child import Unmeasured
from .database import POSTGRES, SQLITE
from .figures import Figure, median
from .ledger import Ledger
from .session import Session, sleep_until
from .stock import Group, enqueue, fill, now_us, prepare

AIM = {SQLITE: 50_000, POSTGRES: 25_000}
PATIENCE_S = 40.0


def bursts(session: Session) -> None:
    """Schedules that are due once, and runs that were enqueued for one instant."""
    for count in (10_000,) if session.quick else (10_000, 50_000):
        beside = session.path_limit(count)
        for way in ("schedules", "enqueued"):
            title = f"{count:,} one-offs due at one instant, {way}"
            times = 1 if session.quick or count > 10_000 else 3
            try:
                rate, note = median([burst(session, title, count, way) for _ in range(times)]), ""
                session.add(Figure("burst", title, rate, "/s", AIM[session.on], limit=beside, note=note))
            except Unmeasured as why:
                session.add(Figure("burst", title, None, "/s", AIM[session.on], limit=beside, note=str(why)))


def burst(session: Session, title: str, count: int, way: str, engines: int = 1) -> float:
    """Runs a second."""
    session.say(title)
    with session.database() as database:
        prepare(database.url)
        with session.engines(database, engines), Ledger(database) as ledger:
            due = now_us() + 700_000 + session.filling_us(count)
            if way == "schedules":
                fill(database.url, [Group(Once(due), due, count)])
            else:
                enqueue(database.url, count, due)
            if now_us() > due - 200_000:
                raise Unmeasured("the machine was too busy to be ready for the instant")
            sleep_until(due)
            settled = ledger.await_settled(PATIENCE_S)
            if settled is None:
                raise Unmeasured(
                    f"not settled within {PATIENCE_S:.0f} s: {ledger.succeeded():,} of {count:,}"
                )
            if (ran := ledger.succeeded()) != count:
                raise Unmeasured(f"{ran:,} of {count:,} have run")
            return count / (settled - due / 1e6)
