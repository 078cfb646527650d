"""The state of the whole house as one object: who acts, what is due, what is overdue and why, how it has been going."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..core.instants import DAY, human_age, to_datetime
from ..core.rates import held_by_rate
from ..store import listing, outbox
from ..store.base import Store
from ..store.sqlite.reserve import told
from ..store.sqlite.wake import lock_folder
from ..store.tx import Row, Tx
from . import engines
from .clock_standing import BELIEVED, ClockTrust, trust_of
from .engines import LATE_US, overdue
from .moments import UTC, due, utc
from .retention import Removed, last_removed
from .run_views import zones_of

OVERDUE_SHOWN = SET_ASIDE_SHOWN = 20
COUNTED = 200_000
"""The endings of the last day are counted over at most so many of the newest rows."""
WAITS_LONG_US = 60_000_000
ENDED_WELL, ENDED_BADLY = ("succeeded",), ("failed", "timed_out", "lost")


@dataclass(frozen=True, slots=True)
class Overdue:
    """Something that should have begun by now, with the reason in words."""

    name: str
    run: int | None
    due_at: int
    tz: str
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        run = None if self.run is None else f"run_{self.run}"
        return {"schedule": self.name, "run": run, **due(self.due_at, self.tz), "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class SetAside:
    """A schedule that does not come due because its rule cannot be followed, with the reason in words."""

    schedule: str
    reason: str

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.schedule} is set aside: {self.reason}."

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"schedule": self.schedule, "reason": self.reason, "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class NextDue:
    """What falls due next, ahead of now."""

    schedule: str
    at: int
    tz: str


@dataclass(frozen=True, slots=True)
class StatusView:
    """The state of a database at `at`.

    `enabled` are the schedules that come due; together with disabled, paused and set aside they are `total`.
    `scheduled` have an instant to come. `active_jobs` and `scheduled_websites` count the enabled ones, the latter
    those tagged `website`. `aside` are the first 20 that are set aside. `thread_alive` is what the process itself knows; seen from outside it is `running`. `ended` counts how what was written since `ended_since` has ended.
    """

    at: int
    database: str
    engine: engines.EngineView
    total: int
    enabled: int
    disabled: int
    paused: int
    set_aside: int
    undeclared: int
    scheduled: int
    scheduled_websites: int
    consecutive_errors: int
    next_due: NextDue | None
    overdue_count: int
    overdue: tuple[Overdue, ...]
    live: dict[str, int]
    ended: dict[str, int]
    ended_since: int
    alerts: dict[str, int]
    thread_alive: bool
    aside: tuple[SetAside, ...] = ()
    retention: Removed | None = None
    clock: ClockTrust = BELIEVED

    @property
    def running(self) -> bool:
        """Whether an engine acts on this database."""
        return self.engine.running

    @property
    def active_jobs(self) -> int:
        """How many schedules are enabled."""
        return self.enabled

    @property
    def next_run(self) -> datetime | None:
        """The next due instant, aware; never behind now."""
        return None if self.next_due is None else to_datetime(self.next_due.at, self.next_due.tz)

    @property
    def unread_alerts(self) -> int:
        """Alerts that nobody has been told of yet, or could not be told of at all."""
        return self.alerts["pending"] + self.alerts["given_up"]

    @property
    def success_rate(self) -> str:
        """Successful ÷ (successful + failed) over `ended`, as "96.7%"; "n/a" where nothing has run."""
        good = sum(self.ended.get(state, 0) for state in ENDED_WELL)
        bad = sum(self.ended.get(state, 0) for state in ENDED_BADLY)
        return f"{100 * good / (good + bad):.1f}%" if good + bad else "n/a"

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        following = self.next_due
        return {
            "at": utc(self.at),
            "database": self.database,
            "running": self.running,
            "thread_alive": self.thread_alive,
            "engine": self.engine.to_json(self.at),
            "schedules": {
                "total": self.total,
                "enabled": self.enabled,
                "disabled": self.disabled,
                "paused": self.paused,
                "set_aside": self.set_aside,
                "undeclared": self.undeclared,
                "scheduled": self.scheduled,
            },
            "scheduled_websites": self.scheduled_websites,
            "active_jobs": self.active_jobs,
            "consecutive_errors": self.consecutive_errors,
            "next_run": None if following is None else utc(following.at),
            "next_due": None
            if following is None
            else {"schedule": following.schedule, **due(following.at, following.tz)},
            "overdue": {"total": self.overdue_count, "items": [item.to_json() for item in self.overdue]},
            "set_aside": {"total": self.set_aside, "items": [item.to_json() for item in self.aside]},
            "runs": dict(self.live),
            "last_24_h": {"since": utc(self.ended_since), **self.ended},
            "success_rate": self.success_rate,
            "unread_alerts": self.unread_alerts,
            "alerts": dict(self.alerts),
            "clock": self.clock.to_json(),
            "retention": None if self.retention is None else self.retention.to_json(),
        }


def status(store: Store, *, now: int, alive: engines.Alive = engines.process_alive) -> StatusView:
    """The state of this database. Costs one pass over the schedules, and a bounded piece of the ledger."""
    trouble = None if store.path is None else told(lock_folder(store.path))
    return store.read(lambda tx: _read(tx, store.where, now, engines.look(tx, now, alive, trouble)))


def _read(tx: Tx, where: str, now: int, acting: engines.EngineView) -> StatusView:
    rows = {row[0]: row[1:] for row in listing.standings(tx)}
    counted = {name: rows.get(name, (0, 0, 0)) for name in listing.STANDINGS}
    behind, late = _overdue(tx, acting, now)
    since, ended = listing.endings(tx, now - DAY, COUNTED)
    for ending, count in listing.span_endings(tx, since).items():
        ended[ending] = ended.get(ending, 0) + count
    return StatusView(
        at=now,
        database=where,
        engine=acting,
        total=sum(row[0] for row in counted.values()),
        enabled=counted["on"][0],
        disabled=counted["disabled"][0],
        paused=counted["paused"][0],
        set_aside=counted["set_aside"][0],
        undeclared=sum(row[1] for row in counted.values()),
        scheduled=listing.with_next_due(tx),
        scheduled_websites=counted["on"][2],
        consecutive_errors=listing.source_errors(tx),
        next_due=_next(tx, now),
        overdue_count=behind,
        overdue=late,
        live=listing.live(tx),
        ended=ended,
        ended_since=since,
        alerts=outbox.figures(tx),
        thread_alive=acting.running,
        clock=trust_of(tx),
        aside=_aside(tx) if counted["set_aside"][0] else (),
        retention=last_removed(tx),
    )


def _aside(tx: Tx) -> tuple[SetAside, ...]:
    return tuple(SetAside(name, _reason(why)) for name, why in listing.set_aside(tx, SET_ASIDE_SHOWN))


def _reason(text: str) -> str:
    return text.strip().rstrip(".") or "its rule cannot be evaluated"


def _next(tx: Tx, now: int) -> NextDue | None:
    found = listing.next_due(tx, now)
    if found is None:
        return None
    schedule, at = found
    name = listing.names_of(tx, [schedule]).get(schedule, f"schedule {schedule}")
    return NextDue(name, at, zones_of(tx, {schedule}).get(schedule, UTC))


def _overdue(tx: Tx, acting: engines.EngineView, now: int) -> tuple[int, tuple[Overdue, ...]]:
    """What nobody has planned though its instant is behind, and what is in the ledger and has not begun."""
    late = LATE_US if acting.running else 0  # nobody is on the way to it
    count, cursors = listing.past_due(tx, now - late, OVERDUE_SHOWN)
    rows = listing.unbegun(tx, now - WAITS_LONG_US, OVERDUE_SHOWN)
    ids = {schedule for schedule, _ in cursors} | {row[1] for row in rows if row[1] is not None}
    names, zones = listing.names_of(tx, sorted(ids)), zones_of(tx, ids)
    found = [
        Overdue(
            names.get(schedule, ""),
            None,
            at,
            zones.get(schedule, UTC),
            f"{names.get(schedule, '')} is {overdue(at, acting, now)}",
        )
        for schedule, at in cursors
    ]
    aside = listing.reasons_set_aside(tx, sorted({row[1] for row in rows if row[1] is not None}))
    for row in rows:
        name, told = str(names.get(row[1], row[2])), _unbegun(row, acting, now)
        told = f"set aside: {_reason(aside[row[1]])}; run_{row[0]} is {told}" if row[1] in aside else told
        found.append(Overdue(name, row[0], row[3], zones.get(row[1], UTC), f"{name} is {told}"))
    found.sort(key=lambda item: item.due_at)
    return count + len(rows), tuple(found[:OVERDUE_SHOWN])


def _unbegun(row: Row, acting: engines.EngineView, now: int) -> str:
    run, _, _, at, state, held_by, lane = row
    if not acting.running:
        why = acting.sentence
    elif state == "held":
        what = "an earlier run of its schedule" if held_by == "overlap" else f"the limit of {held_by}"
        rate = held_by_rate(held_by)
        why = f"run_{run} is held behind {what}" if rate is None else f"run_{run} waits for {rate}"
    else:
        why = (
            f"run_{run} waits for a free slot of the {lane} lane, or for a node that has its code and labels"
        )
    return f"overdue by {human_age(now - at)}: {why}"
