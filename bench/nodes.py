"""Row 11: several engines on one database. What one does alone, and what two and four do together."""

from __future__ import annotations

import time
from dataclasses import replace

from .bursts import burst
from .child import Unmeasured
from .figures import Figure, median
from .paces import most, whole_s
from .session import Session

COUNTS = (1, 2, 4)
SEARCH_S = 110.0


def nodes(session: Session) -> None:
    """Burst and sustained, with each number of engines."""
    size = 5_000 if session.quick else 20_000
    for engines in COUNTS:
        session.add(_burst(session, size, engines))
    for engines in COUNTS:
        if session.left_s() < (12 if session.quick else 45):
            session.say(f"no time is left for {engines} engines")
            continue
        title = f"{_word(engines)}: schedules on a 1 s interval sustained for {whole_s(session)} s"
        ends_at = min(session.ends_at, time.monotonic() + SEARCH_S)
        session.add(replace(most(session, "nodes", title, ends_at, engines), aim=None))


def _burst(session: Session, size: int, engines: int) -> Figure:
    title = f"{_word(engines)}: {size:,} one-offs due at one instant"
    beside = session.path_limit(10_000)
    try:
        times = range(1 if session.quick else 3)
        rate = median([burst(session, title, size, "schedules", engines) for _ in times])
        return Figure("nodes", title, rate, "/s", limit=beside)
    except Unmeasured as why:
        return Figure("nodes", title, None, "/s", limit=beside, note=str(why))


def _word(engines: int) -> str:
    return "1 engine" if engines == 1 else f"{engines} engines"
