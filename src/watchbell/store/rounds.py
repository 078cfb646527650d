"""One round of planning: what waited for its instant is applied first, then everything that has come due is planned."""

from __future__ import annotations

import json
import logging

from ..core.alert import Happening
from ..core.plan import Capacity
from . import planning
from .alerts import observe
from .planning import Planned, Planner
from .schedules import pending
from .schedules.pauses import Doer
from .schedules.standing import stand_still
from .tx import Tx

_log = logging.getLogger("watchbell.engine")


def plan_round(
    tx: Tx, planner: Planner, capacity: Capacity, now: int, ahead_us: int, first: int | None
) -> Planned:
    """Apply the changes whose instant has come, of which the first does at `first`; then plan what is due, at most one
    batch of schedules. No version plans beyond the instant at which an edit takes its place."""
    raised = 0
    barred: dict[int, int] = {}
    if first is not None and first <= now + ahead_us:
        for schedule, why in pending.owed_pauses(tx, now):
            raised += _pause(tx, planner, schedule, why, now)
        for schedule, at in pending.edits_until(tx, now + ahead_us).items():
            if at > now:
                barred[schedule] = at
            else:
                _apply(tx, planner, schedule, now)
    planned = planning.plan_due(tx, planner, capacity, now, ahead_us, barred)
    planned.alerts += raised
    return planned


def next_due(tx: Tx, after: int | None = None) -> int | None:
    """The earliest instant at which a cursor comes due (later than `after`, where it is given) or a change is to be
    applied."""
    later, params = ("IS NOT NULL", ()) if after is None else ("> ?", (after,))
    row = tx.row(
        f"SELECT (SELECT min(next_due) FROM cursor WHERE next_due {later}), (SELECT min(at) FROM pending_change)",
        params,
    )
    return min((int(at) for at in row or () if at is not None), default=None)


def _apply(tx: Tx, planner: Planner, schedule: int, now: int) -> None:
    try:
        tx.attempt(lambda: pending.apply_due(tx, planner.catalog, schedule, now))
    except Exception as error:  # one edit that cannot be applied must not stop the others
        if tx.is_of_the_database(error):
            raise
        pending.forget(tx, schedule)
        text = f"its planned edit cannot be applied: {type(error).__name__}: {error}"
        stand_still(tx, planner.catalog, schedule, "set_aside", Doer("watchbell", now), text)
        _log.error("schedule.set_aside: %s: %s", _subject(tx, schedule)[0], text)


def _pause(tx: Tx, planner: Planner, schedule: int, why: str, now: int) -> int:
    """Pause a schedule whose runs keep failing, and tell of it; returns how many alerts that raised."""
    if not stand_still(tx, planner.catalog, schedule, "paused", Doer("watchbell", now), why):
        return 0
    name, tags = _subject(tx, schedule)
    _log.warning("schedule.paused: %s: %s", name, why)
    return observe(tx, [Happening("paused", 1, name, tags, due_at=now, detail=why)], now)


def _subject(tx: Tx, schedule: int) -> tuple[str, tuple[str, ...]]:
    row = tx.row(
        "SELECT s.name, s.tags, j.tags FROM schedule s JOIN job j ON j.id = s.job WHERE s.id = ?", (schedule,)
    )
    assert row is not None
    return row[0], (*json.loads(row[1]), *json.loads(row[2]))
