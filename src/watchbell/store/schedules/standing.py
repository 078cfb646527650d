"""Where a schedule stands: on, paused, disabled, set aside or ended; and what becomes of the time it stood still.

Every change first plans what was due up to its own instant, under the version that implied it, and takes effect at that
instant. What a schedule would have been due for while it stood still is one span. A schedule that counts from the end of
its run goes on from there, whatever kind of end that was.
"""

from __future__ import annotations

from ...core.states import LIVE, Reason, State, check, sql_list
from ...core.triggers import Interval
from .. import gates
from ..alerts import forget
from ..business_keys import expire_keys
from ..journal import record, record_of
from ..revision import raise_catalog
from ..tx import Tx
from . import pending
from .catalog import Catalog
from .pauses import Doer, account_for_pause, open_pause, stand, stand_later
from .trigger_texts import trigger_of
from .versions import counts_from_its_end, next_of

_IS_LIVE = f"state IN ({sql_list(LIVE)})"


def bring_up_to(tx: Tx, catalog: Catalog, schedule: int, doer: Doer) -> int:
    """Put everything due up to now into the ledger, standing still or not; returns the instant the change takes
    effect: now, or where the planner is already (at most the claim-ahead later)."""
    from ..planning import (
        plan_schedule,
    )  # whoever only declares and asks plans nothing, and starts sooner without it

    pending.apply_due(tx, catalog, schedule, doer.now)
    plan_schedule(tx, catalog, schedule, doer.now)
    standing, until = tx.row(  # type: ignore[misc]
        "SELECT s.standing, c.planned_until FROM schedule s JOIN cursor c ON c.schedule = s.id WHERE s.id = ?",
        (schedule,),
    )
    effective = max(doer.now, int(until))
    if standing in ("paused", "disabled"):
        account_for_pause(tx, schedule, int(until), effective, standing, doer.now)
    tx.later("UPDATE cursor SET planned_until = ? WHERE schedule = ?", (effective, schedule))
    return effective


def stand_still(tx: Tx, catalog: Catalog, schedule: int, kind: str, doer: Doer, note: str = "") -> bool:
    """Pause, disable or set aside; False if it stands still for that reason already."""
    if tx.value("SELECT 1 FROM pause WHERE schedule = ? AND kind = ? AND until_at IS NULL", (schedule, kind)):
        # What stands still is never due: one that were to be all the same would be looked at for ever.
        tx.later("UPDATE cursor SET next_due = NULL WHERE schedule = ? AND next_due IS NOT NULL", (schedule,))
        return False
    if kind == "set_aside":
        effective = int(tx.value("SELECT planned_until FROM cursor WHERE schedule = ?", (schedule,)))
        tx.later("UPDATE schedule SET set_aside = ? WHERE id = ?", (note, schedule))
    else:
        effective = bring_up_to(tx, catalog, schedule, doer)
    open_pause(tx, schedule, kind, effective, doer, note)
    stand_later(tx, schedule)
    tx.later("UPDATE cursor SET next_due = NULL WHERE schedule = ?", (schedule,))
    record_of(tx, doer.now, doer.actor, f"schedule.{kind}", schedule, note)
    return True


def go_on(tx: Tx, catalog: Catalog, schedule: int, kind: str, doer: Doer, *, catchup: bool = False) -> bool:
    """Resume or enable: the time it stood still becomes one span, or with `catchup` follows the schedule's catch-up
    policy; False if it did not stand still for that reason."""
    if not tx.value(
        "SELECT 1 FROM pause WHERE schedule = ? AND kind = ? AND until_at IS NULL", (schedule, kind)
    ):
        return False
    effective = None
    if catchup:
        effective = _catch_up(tx, catalog, schedule, kind, doer)
    if effective is None:
        effective = bring_up_to(tx, catalog, schedule, doer)
    tx.later(
        "UPDATE pause SET until_at = ? WHERE schedule = ? AND kind = ? AND until_at IS NULL",
        (effective, schedule, kind),
    )
    if stand(tx, schedule) == "on":
        due = next_of(tx, schedule, effective)
        tx.later("UPDATE cursor SET next_due = ? WHERE schedule = ?", (due, schedule))
    record_of(tx, doer.now, doer.actor, f"schedule.{'resumed' if kind == 'paused' else 'enabled'}", schedule)
    return True


def _catch_up(tx: Tx, catalog: Catalog, schedule: int, kind: str, doer: Doer) -> int | None:
    """Plan what fell due while it stood still, as after an outage; None where something else keeps it still as well, and
    nothing can be caught up."""
    pending.apply_due(tx, catalog, schedule, doer.now)
    standing, until = tx.row(  # type: ignore[misc]
        "SELECT s.standing, c.planned_until FROM schedule s JOIN cursor c ON c.schedule = s.id WHERE s.id = ?",
        (schedule,),
    )
    if standing != kind or until >= doer.now or counts_from_its_end(tx, schedule):
        return None
    from ..planning import plan_schedule

    tx.later("UPDATE cursor SET next_due = ? WHERE schedule = ?", (next_of(tx, schedule, until), schedule))
    plan_schedule(tx, catalog, schedule, doer.now, why=Reason.PAUSED)
    tx.later("UPDATE cursor SET planned_until = ? WHERE schedule = ?", (doer.now, schedule))
    return doer.now


def remove(tx: Tx, catalog: Catalog, schedule: int, doer: Doer) -> None:
    """End a schedule; what was due before runs, and its ledger stays."""
    name = str(tx.value("SELECT name FROM schedule WHERE id = ?", (schedule,)))
    effective = bring_up_to(tx, catalog, schedule, doer)
    tx.later("UPDATE pause SET until_at = ? WHERE schedule = ? AND until_at IS NULL", (effective, schedule))
    tx.later(
        "UPDATE schedule_version SET effective_to = ? WHERE schedule = ? AND effective_to IS NULL",
        (effective, schedule),
    )
    tx.later("DELETE FROM cursor WHERE schedule = ?", (schedule,))
    pending.forget(tx, schedule)
    tx.later("UPDATE schedule SET ended_at = ? WHERE id = ?", (effective, schedule))
    raise_catalog(tx)
    forget(tx, name)
    record(tx, doer.now, doer.actor, "schedule.removed", name)


def drop_waiting(tx: Tx, schedule: int, now: int, state: State, reason: str | None) -> int:
    """End what was due before and has not begun."""
    rows = tx.rows(
        f"SELECT id, state, gates FROM occurrence WHERE schedule = ? AND {_IS_LIVE} AND "
        "state IN ('waiting', 'queued', 'held')",
        (schedule,),
    )
    for run, before, keys in rows:
        check(State(before), state)
        tx.later(
            "UPDATE occurrence SET state = ?, reason = ?, ended_at = ?, held_by = NULL, ready_at = NULL "
            "WHERE id = ? AND state = ?",
            (state.value, reason, now, run, before),
        )
        if keys and before == State.QUEUED:
            passed = gates.keys_of(keys)
            gates.change(tx, dict.fromkeys(passed, -1))
            gates.let_in(tx, passed)
    if rows:
        expire_keys(tx, [row[0] for row in rows], now)
        follow_chain(tx, schedule, now)
    return len(rows)


def follow_chain(tx: Tx, schedule: int, ended_at: int) -> None:
    """Give a schedule that counts from its run's end its next due instant, once none of its occurrences is live. Every
    way for an occurrence to end comes through here: a chain never breaks because one of its links did not run."""
    row = tx.row(
        "SELECT v.trigger FROM cursor c JOIN schedule s ON s.id = c.schedule JOIN schedule_version v ON "
        "v.schedule = c.schedule AND v.version = c.version WHERE c.schedule = ? AND c.next_due IS NULL AND "
        "s.standing = 'on' AND s.ended_at IS NULL",
        (schedule,),
    )
    trigger = None if row is None else trigger_of(row[0])
    if not isinstance(trigger, Interval) or not trigger.after_completion:
        return
    live = tx.value(
        f"SELECT 1 FROM occurrence WHERE schedule = ? AND {_IS_LIVE} AND origin <> 'manual' LIMIT 1",
        (schedule,),
    )
    if live is None:
        tx.later(
            "UPDATE cursor SET next_due = max(planned_until + 1, ?) WHERE schedule = ? AND next_due IS NULL",
            (ended_at + trigger.period_us, schedule),
        )
