"""The times in which a schedule stands still, as rows; and what becomes of the occurrences that fall into them."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.triggers import Interval
from ..clocks.zones import planned_with
from ..tx import Tx
from .catalog import policies_of
from .trigger_texts import trigger_of


@dataclass(frozen=True, slots=True)
class Doer:
    """Who changes something, when, and with which zone for what names none."""

    actor: str
    now: int
    zone: str = "UTC"


def open_pause(tx: Tx, schedule: int, kind: str, at: int, doer: Doer, note: str) -> None:
    """From this instant on it stands still."""
    tx.later(
        "INSERT INTO pause (schedule, kind, from_at, actor, note) VALUES (?, ?, ?, ?, ?)",
        (schedule, kind, at, doer.actor, note),
    )


_STAND = (
    "UPDATE schedule SET standing = coalesce((SELECT kind FROM pause WHERE schedule = ? AND until_at IS NULL ORDER BY "
    "CASE kind WHEN 'set_aside' THEN 1 WHEN 'disabled' THEN 2 ELSE 3 END LIMIT 1), 'on') WHERE id = ?"
)


def stand(tx: Tx, schedule: int) -> str:
    """Set the schedule's standing to what its open pauses say, and return it."""
    return str(tx.rows(f"{_STAND} RETURNING standing", (schedule, schedule))[0][0])


def stand_later(tx: Tx, schedule: int) -> None:
    """The same where nobody asks what it is."""
    tx.later(_STAND, (schedule, schedule))


def account_for_pause(tx: Tx, schedule: int, after: int, upto: int, kind: str, now: int) -> None:
    """One span for everything a schedule would have been due for while it stood still."""
    version, text, policies, zones = tx.row(  # type: ignore[misc]
        "SELECT v.version, v.trigger, v.policies, v.zones FROM schedule_version v JOIN cursor c ON c.schedule = v.schedule AND "
        "c.version = v.version WHERE v.schedule = ?",
        (schedule,),
    )
    trigger, _ = planned_with(tx, trigger_of(text), policies_of(policies), zones)
    if isinstance(trigger, Interval) and trigger.after_completion:
        return
    if count := trigger.count(after, upto):
        tx.later(
            "INSERT INTO span (schedule, version, from_at, to_at, count, ending, reason, planned_at) "
            "VALUES (?, ?, ?, ?, ?, 'skipped', ?, ?)",
            (schedule, version, after, upto, count, kind, now),
        )
