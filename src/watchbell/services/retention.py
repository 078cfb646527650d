"""Retention as a person asks for it: what would go, let it go now, and what went last."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..clock import Clock
from ..core.instants import duration_text
from ..core.retention import Keep
from ..core.sizes import size_text
from ..errors import Conflict
from ..store.base import Store
from ..store.journal import record
from ..store.retention.passes import Done, last_pass
from ..store.tx import Tx
from .moments import many, utc

__all__ = ["Keep", "Removed", "WouldGo", "carry_out", "last_removed", "look"]

_ANY_NODE = (1 << 63) - 1
"""Behind every node that there is: what the last engine has seen of the clock."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a pass has removed, and when."""

    at: int
    done: Done

    @property
    def sentence(self) -> str:
        """For people."""
        return self.done.sentence

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"at": utc(self.at), **asdict(self.done), "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class WouldGo:
    """What is older than its keep time, at most: a day in which something still goes on stays whole."""

    keep: Keep
    rows: int
    spans: int
    by_hand: int
    logs: int
    log_bytes: int

    @property
    def sentence(self) -> str:
        """For people."""
        if not (self.rows or self.spans or self.by_hand or self.logs):
            return "Nothing is old enough to go."
        parts = [
            many(self.rows, "occurrence"),
            many(self.spans, "span"),
            f"{many(self.by_hand, 'run')} by hand",
            f"{many(self.logs, 'log')} ({size_text(self.log_bytes)} as far as it is measured)",
        ]
        return f"At most {', '.join(parts)} would go; the totals of each day stay."

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        keep = self.keep
        return {
            "keep": {
                "occurrences": duration_text(keep.occurrences_us),
                "logs": duration_text(keep.logs_us),
                "logs_of_job_bytes": keep.logs_of_job_bytes,
                "logs_bytes": keep.logs_bytes,
                "alerts": duration_text(keep.alerts_us),
                "changes": duration_text(keep.changes_us),
            },
            "rows": self.rows,
            "spans": self.spans,
            "by_hand": self.by_hand,
            "logs": self.logs,
            "log_bytes": self.log_bytes,
            "sentence": self.sentence,
        }


def look(store: Store, keep: Keep, *, now: int) -> WouldGo:
    """What would go; nothing is written."""
    from ..store.retention import old  # the status asks this room what went last, and needs no more of it

    found = store.read(lambda tx: old.count(tx, keep, now))
    return WouldGo(keep, *found)


def carry_out(store: Store, keep: Keep, *, clock: Clock, actor: str) -> Removed:
    """Remove what is old enough, in the same small steps as the engine takes; an engine may go on beside it. Conflict by a
    clock in doubt: what is removed does not come back when it is set right."""
    from ..store.retention.housekeeping import Housekeeping

    now = clock.wall_us()
    done = Housekeeping(store, keep, lambda tx: _refuse_in_doubt(tx, clock)).run(now)
    if done.any:
        store.write(lambda tx: record(tx, now, actor, "retention", "ledger", done.sentence))
    return Removed(now, done)


def _refuse_in_doubt(tx: Tx, clock: Clock) -> None:
    from ..core.clock_trust import ClockStanding, decide
    from ..store.clocks.trust import read_start, read_trust

    trust = read_trust(tx)
    if trust.standing is not ClockStanding.TRUSTED:
        raise Conflict(
            f"Retention rests, because the clock is in doubt: {trust.why}. What is removed does not come back; if the clock "
            "is right, say so first: watchbell clock confirm."
        )
    start = read_start(tx, _ANY_NODE, clock.wall_us(), clock.boot_id(), clock.boot_ns() // 1000)
    seen = decide(trust, start).trust
    if seen.standing is not ClockStanding.TRUSTED:
        raise Conflict(
            f"Retention rests, because the clock is in doubt: {seen.why}, and no engine has judged it yet. What is removed "
            "does not come back; set the clock right, or start an engine and confirm the clock: watchbell clock confirm."
        )


def last_removed(tx: Tx) -> Removed | None:
    """What the last pass has removed; None if there was none."""
    found = last_pass(tx)
    if found is None:
        return None
    return Removed(found["at"], Done(**{name: count for name, count in found.items() if name != "at"}))
