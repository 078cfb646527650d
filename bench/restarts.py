"""Row 13: the database server is restarted under an engine that is busy. How long until runs begin again, and whether the
ledger is whole."""

from __future__ import annotations

import signal
import time

from watchbell.clock import SystemClock
from watchbell.services.audit import audit
from watchbell.store.open import open_store

from .child import Child, Unmeasured
from .cluster import CRASH, FAST, Cluster, cluster
from .database import Database
from .figures import Figure
from .ledger import Ledger
from .place import within
from .session import Session, sleep_until
from .stock import SECOND, each, fill, now_us, prepare

COUNT = 200
CALM_S = 3
AFTER_S = 4
DOWN_S = 1.0
PATIENCE_S = 60.0
AIM_S = 5.0
LOOK_S = 0.02
STOPS_WITHIN_S = 30.0
WAYS = ((FAST, "restarted"), (CRASH, "killed and started again"))


def restarts(session: Session) -> None:
    """A restart in order, and a crash."""
    for how, word in WAYS:
        title = f"the server is {word} under {COUNT} schedules on a 1 s interval"
        session.say(title)
        took, broken, note = None, None, ""
        try:
            with cluster() as server, within(session.folder, f"restart-{word[:3]}") as folder:
                took, broken, note = _restart(server, Database(server.url, folder), how)
        except Unmeasured as why:
            note = str(why)
        session.add(
            Figure(
                "restart",
                f"{title} → the next run begins, from its first answer",
                took,
                "s",
                AIM_S,
                less=True,
                note=note,
            )
        )
        session.add(Figure("restart", f"{title}: what the audit finds wrong", broken, ""))


def _restart(server: Cluster, database: Database, how: signal.Signals) -> tuple[float, float, str]:
    """Seconds until a run begins, what the audit finds wrong, and its sentence."""
    prepare(database.url)
    with Child("engine", database.folder, url=database.url) as engine:
        engine.hear()
        start = (now_us() // SECOND + 2) * SECOND
        fill(database.url, [each(1, start + place * SECOND // COUNT, 1) for place in range(COUNT)])
        sleep_until(start + CALM_S * SECOND)
        with Ledger(database) as ledger:
            if not ledger.ran(start, now_us()):
                raise Unmeasured("nothing has run before the server was stopped")
        server.stop(how)
        time.sleep(DOWN_S)
        server.start()
        up = now_us()
        with Ledger(database) as ledger:
            took = _next_begins(ledger, up)
        time.sleep(AFTER_S)
        engine.ask("stop", STOPS_WITHIN_S)
    wrong, words = _judge(database.url)
    return took, wrong, words


def _next_begins(ledger: Ledger, up: int) -> float:
    """Seconds from the server's first answer to the first run that begins after it."""
    end = time.monotonic() + PATIENCE_S
    while (began := ledger.begun_since(up)) is None:
        if time.monotonic() > end:
            raise Unmeasured(f"no run began within {PATIENCE_S:.0f} s after the server answered again")
        time.sleep(LOOK_S)
    return (began - up) / 1e6


def _judge(url: str) -> tuple[float, str]:
    """How much the audit finds wrong, and its four figures."""
    now = SystemClock().wall_us()
    store = open_store(url, now)
    try:
        found = audit(store, now=now)
    finally:
        store.close()
    figures = (found.unaccounted, found.invented, found.stuck, found.contradicted)
    return float(sum(figures)), (
        f"audit: {'/'.join(str(figure) for figure in figures)} unaccounted/invented/stuck/contradicted of "
        f"{found.occurrences:,}"
    )
