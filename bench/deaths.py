"""Row 12: an engine dies with runs in flight. How long until another one has resolved what it held.

On PostgreSQL it lives on another machine (bench/veil.py), so that only its silence tells that it is dead; where this
machine makes no other one, it is frozen instead of killed, and its process is there as before. On SQLite the other engine
stands by on the same machine, and the lock that the system takes from the dead one is the proof.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from .application import LONG
from .child import Child, Unmeasured
from .database import POSTGRES, SQLITE, Database
from .figures import Figure, quantile
from .ledger import Ledger
from .session import Session
from .stock import enqueue, now_us, prepare
from .veil import can_veil, veil

RUNS = 100
DEATHS, QUICK_DEATHS = 5, 1
PATIENCE_S = 60.0
CLAIMED_WITHIN_S = 10.0
APART_S = 3.7  # between two deaths the phase of the leases moves on
LOOK_S = 0.005
AIM_S = {POSTGRES: 20.0, SQLITE: 2.0}


def deaths(session: Session) -> None:
    """Several deaths; every run of each is a value."""
    elsewhere = session.on == POSTGRES and can_veil(session.folder)
    took: list[float] = []
    note = ""
    wanted = QUICK_DEATHS if session.quick else DEATHS
    for number in range(wanted):
        session.say(f"death of an engine with {RUNS} runs in flight, {number + 1} of {wanted}")
        try:
            took += _death(session, elsewhere, number * APART_S)
        except Unmeasured as why:
            note = str(why)
    way = "killed on another machine" if elsewhere else "frozen" if session.on == POSTGRES else "killed"
    for word, share in (("p50", 0.5), ("p99", 0.99)):
        title = f"an engine is {way} with {RUNS} runs in flight → each is resolved, {word}"
        value = quantile(took, share) if took else None
        aim = AIM_S[session.on] if word == "p99" else None
        session.add(Figure("death", title, value, "s", aim, less=True, note=note))
        note = ""


def _death(session: Session, elsewhere: bool, rest_s: float) -> list[float]:
    """For each run the seconds until it was resolved."""
    with session.database() as database, Ledger(database) as ledger:
        prepare(database.url)
        with _two(session, database, ledger, elsewhere) as (first, node):
            time.sleep(rest_s)
            if (held := ledger.held().get(node, 0)) != RUNS:
                raise Unmeasured(f"the engine held {held} of {RUNS} runs before it died")
            if session.on == POSTGRES and not elsewhere:
                first.freeze()
            else:
                first.kill()
            return _resolved(ledger, node)


@contextlib.contextmanager
def _two(
    session: Session, database: Database, ledger: Ledger, elsewhere: bool
) -> Iterator[tuple[Child, int]]:
    """An engine that holds all the runs, its node, and another engine that is ready or stands by."""
    before = veil(database.folder) if elsewhere else ()
    with session.engine(database, before) as first:
        enqueue(database.url, RUNS, now_us(), LONG)
        end = time.monotonic() + CLAIMED_WITHIN_S
        while (held := ledger.held()) == {} or sum(held.values()) < RUNS:
            if time.monotonic() > end:
                raise Unmeasured(f"{sum(held.values())} of {RUNS} runs were claimed")
            time.sleep(LOOK_S)
        (node,) = held
        with Child("engine", database.folder, url=database.url) as second:
            if session.on == POSTGRES:
                second.hear()
            yield first, node


def _resolved(ledger: Ledger, node: int) -> list[float]:
    died = time.monotonic()
    took: list[float] = []
    while len(took) < RUNS:
        left = ledger.held().get(node, 0)
        passed = time.monotonic() - died
        took += [passed] * (RUNS - len(took) - left)
        if passed > PATIENCE_S:
            raise Unmeasured(f"{left} of {RUNS} runs were not resolved within {PATIENCE_S:.0f} s")
        time.sleep(LOOK_S)
    return took
