"""A database that was restored from a backup begins anew above everything that may have been done since (PROTOCOL §6).

What the backup cannot know may have run: so at-most-once work of that time is not run again. Its instants become
`missed: restored`, its claims are lost, ids and the engine epoch go on far above those that may have been given out.
The restore writes down that this is owed, in words that every schema has; whoever opens the database first carries it out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ...core.claim import Claim
from ...core.instants import SECOND, to_text
from ...core.outcome import Ending, Outcome
from ...core.plan import Capacity
from ...core.states import Reason, State, check
from .. import claims, gates, rounds, settling
from ..business_keys import expire_keys
from ..journal import record
from ..planning import LIVE_ROWS, Planner
from ..schedules import pending
from ..schedules.catalog import Catalog
from ..schedules.standing import follow_chain
from ..settling import Ended
from ..tx import Row, Tx
from . import SqliteStore

OWED = "restore_owed"
IDS_PER_SECOND = 100_000
EPOCHS_PER_SECOND = 100
LEAST_IDS, LEAST_EPOCHS = 1_000_000, 1_000_000
BATCH = 1000
_NOTE = "The database was restored from a backup in which it was in flight: how it ended is not known."
_MAY_HAVE_RUN = "The database was restored from a backup in which it waited to run; it may have run since."


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore owes: the newest instant that the backup knows, when it was put in place, and from where."""

    newest_at: int
    at: int
    file: str

    def to_json(self) -> str:
        """As it is kept."""
        return json.dumps({"newest_at": self.newest_at, "at": self.at, "file": self.file})


def newest_at(tx: Tx) -> int:
    """The newest instant of which this database knows anything; in words that every schema has."""
    found = [
        tx.value("SELECT max(coalesce(stopped_at, heartbeat_at)) FROM node"),
        tx.value(
            "SELECT max(planned_at) FROM (SELECT planned_at FROM occurrence ORDER BY id DESC LIMIT 100) newest"
        ),
        tx.value("SELECT max(at) FROM (SELECT at FROM audit_event ORDER BY id DESC LIMIT 100) newest"),
        tx.value("SELECT max(CAST(value AS BIGINT)) FROM meta WHERE key IN ('created_at', 'restored_at')"),
    ]
    return max((int(at) for at in found if at is not None), default=0)


def owe(tx: Tx, now: int, file: str) -> Restored:
    """Write down that a restore has to be carried out, and raise what must be raised before anybody acts."""
    known = newest_at(tx)
    owed = Restored(known, max(now, known), file)
    seconds = (owed.at - known) // SECOND + 1
    base = max(_highest(tx), _meta(tx, "id_base")) + LEAST_IDS + seconds * IDS_PER_SECOND
    epoch = _meta(tx, "engine_epoch") + LEAST_EPOCHS + seconds * EPOCHS_PER_SECOND
    for key, value in (
        ("id_base", base),
        ("engine_epoch", epoch),
        ("restored_at", owed.at),
        ("restored_from", owed.to_json()),
        (OWED, owed.to_json()),
    ):
        tx.run(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, str(value)),
        )
    return owed


def carry_out(store: SqliteStore) -> int | None:
    """Carry out what a restore owes, if one does; returns how many live rows of the backup were ended."""
    if (
        store.in_memory
        or store.read(lambda tx: tx.value("SELECT 1 FROM meta WHERE key = ?", (OWED,))) is None
    ):
        return None
    return store.write(begin_anew)


def begin_anew(tx: Tx) -> int | None:
    """End what may have gone on since the backup, and account for the time that it does not know."""
    text = tx.value("SELECT value FROM meta WHERE key = ?", (OWED,))
    if text is None:
        return None
    tx.run("DELETE FROM meta WHERE key = ?", (OWED,))
    owed = Restored(**json.loads(text))
    tx.run(
        "INSERT INTO outage (kind, from_at, to_at, note) VALUES ('restored', ?, ?, ?)",
        (owed.newest_at, owed.at, f"restored from {owed.file}"),
    )
    tx.run(
        "UPDATE node SET state = 'dead', stopped_at = heartbeat_at WHERE state IN ('up', 'draining', 'standby')"
    )
    catalog = Catalog()
    catalog.refresh(tx)
    planner = Planner(catalog, why=Reason.RESTORED)
    ended = _lose(tx, planner, owed.at) + _end_waiting(tx, catalog, owed.at)
    while rounds.plan_round(tx, planner, Capacity({}, 0), owed.at, 0, pending.next_at(tx)).full_batch:
        pass
    _end_waiting(tx, catalog, owed.at)
    _let_in(tx)
    detail = (
        f"{owed.file}; it knows nothing after {to_text(owed.newest_at)}; {ended} live rows of it have ended"
    )
    record(tx, owed.at, "watchbell", "database.restored", "database", detail)
    return ended


def _lose(tx: Tx, planner: Planner, now: int) -> int:
    """What was claimed or ran in the backup: how it ended, nobody knows."""
    rows = claims.owned_by_others(tx, planner)
    ended = [Ended(claim, _lost(claim, begun, now), node=owner) for owner, claim, begun in rows]
    for place in range(0, len(ended), BATCH):
        settling.settle(tx, 0, ended[place : place + BATCH], now, lambda: 0.5)
    return len(ended)


def _lost(claim: Claim, begun: bool, now: int) -> Outcome:
    reason = Reason.BEGUN if begun else Reason.BEGIN_UNKNOWN
    return Outcome(Ending.LOST, None, max(now, claim.claimed_at), reason=str(reason), note=_NOTE)


def _end_waiting(tx: Tx, catalog: Catalog, now: int) -> int:
    """What waited for a slot, a gate, an earlier run or its next attempt may have run since. What may be run twice goes
    on; so does what waits for an instant to come."""
    rows = tx.rows(
        f"SELECT id, state, schedule, job FROM occurrence WHERE {LIVE_ROWS} AND (state IN ('queued', 'held') OR "
        "state IN ('waiting', 'retrying') AND coalesce(ready_at, start_at) <= ?) ORDER BY id",
        (now,),
    )
    ended = [row for row in rows if not _may_run_twice(tx, catalog, row)]
    for run, state, schedule, _ in ended:
        to = State.FAILED if state == State.RETRYING else State.MISSED
        check(State(state), to)
        tx.run(
            "UPDATE occurrence SET state = ?, reason = 'restored', ended_at = ?, held_by = NULL, ready_at = NULL, "
            "note = ? WHERE id = ? AND state = ?",
            (to.value, now, _MAY_HAVE_RUN, run, state),
        )
        if schedule is not None:
            follow_chain(tx, schedule, now)
    expire_keys(tx, [row[0] for row in ended], now)
    return len(ended)


def _may_run_twice(tx: Tx, catalog: Catalog, row: Row) -> bool:
    return catalog.job(tx, row[3]).options.on_lost == "rerun"


def _let_in(tx: Tx) -> None:
    """What had taken places is gone: count them anew, and admit what waits for them."""
    gates.recount(tx)
    gates.let_in(tx, [row[0] for row in tx.rows("SELECT key FROM gate")])
    for (schedule,) in tx.rows(
        f"SELECT DISTINCT schedule FROM occurrence WHERE {LIVE_ROWS} AND state = 'held' AND schedule IS NOT NULL"
    ):
        gates.admit_held(tx, schedule)


def _highest(tx: Tx) -> int:
    """The highest number of anything that has one."""
    tables = ("occurrence", "alert", "node", "schedule", "job", "channel", "alert_rule")
    return max(int(tx.value(f"SELECT coalesce(max(id), 0) FROM {table}")) for table in tables)


def _meta(tx: Tx, key: str) -> int:
    found = tx.value("SELECT CAST(value AS BIGINT) FROM meta WHERE key = ?", (key,))
    return 0 if found is None else int(found)
