"""Changes of a schedule that wait for their instant: an edit that applies from then on, and a pause that the engine owes.

There is at most one of each kind for a schedule. An edit takes effect at its instant exactly, whoever is there at that
time: what was due before it is planned under the old version first, up to there, and the new one is in force from there
on. Whoever plans or changes a schedule applies first what has come (`apply_due`), so that nobody plans past it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ...core.definition import canonical
from ...core.instants import to_text
from ...core.policies import to_json
from ..journal import record_of
from ..tx import Tx
from .catalog import Catalog, policies_of
from .pauses import Doer, account_for_pause
from .trigger_texts import trigger_of
from .versions import Content, first_due, put_in_force

BATCH = 500


@dataclass(frozen=True, slots=True)
class PendingEdit:
    """An edit that waits: what the schedule will say from `at` on, by whom it was asked for, and when."""

    at: int
    content: Content
    actor: str
    asked_at: int

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "apply_from": to_text(self.at),
            "trigger": self.content.trigger.to_text(),
            "rule": self.content.trigger.describe(),
            "policies": to_json(self.content.policies),
            "args": json.loads(self.content.args),
            "actor": self.actor,
            "asked_at": to_text(self.asked_at),
        }


def next_with(edit: PendingEdit | None, next_due: int | None) -> int | None:
    """The next due instant of a schedule for which this edit waits: the old version's, or the first of the new one."""
    if edit is None or (next_due is not None and next_due <= edit.at):
        return next_due
    return first_due(edit.content.trigger, edit.at, edit.content.policies.blackouts)


def put_edit(tx: Tx, schedule: int, at: int, content: Content, doer: Doer) -> PendingEdit | None:
    """Have the schedule say this from `at` on; returns the pending edit that it takes the place of."""
    before = drop_edit(tx, schedule)
    data = {
        "job": content.job,
        "trigger": content.trigger.to_json(),
        "policies": to_json(content.policies),
        "args": content.args,
    }
    tx.later(
        "INSERT INTO pending_change (schedule, kind, at, content, actor, asked_at) VALUES (?, 'edit', ?, ?, ?, ?)",
        (schedule, at, json.dumps(data), doer.actor, doer.now),
    )
    said = f"from {to_text(at)}: {content.trigger.to_text()}"
    record_of(tx, doer.now, doer.actor, "schedule.edit_planned", schedule, said)
    return before


def edit_of(tx: Tx, schedule: int) -> PendingEdit | None:
    """The edit that waits, if there is one."""
    row = tx.row(
        "SELECT at, content, actor, asked_at FROM pending_change WHERE schedule = ? AND kind = 'edit'",
        (schedule,),
    )
    return None if row is None else PendingEdit(row[0], _content(row[1]), row[2], row[3])


def drop_edit(tx: Tx, schedule: int) -> PendingEdit | None:
    """Take the pending edit back; returns it."""
    found = edit_of(tx, schedule)
    if found is not None:
        tx.later("DELETE FROM pending_change WHERE schedule = ? AND kind = 'edit'", (schedule,))
    return found


def forget(tx: Tx, schedule: int) -> None:
    """The schedule has ended: nothing waits for it any more."""
    tx.later("DELETE FROM pending_change WHERE schedule = ?", (schedule,))


def owe_pause(tx: Tx, schedule: int, now: int, note: str) -> None:
    """Write down that this schedule is to be paused before anything more of it is planned."""
    tx.later(
        "INSERT INTO pending_change (schedule, kind, at, content, actor, asked_at) VALUES (?, 'pause', ?, ?, 'watchbell', "
        "?) ON CONFLICT DO NOTHING",
        (schedule, now, note, now),
    )


def owed_pauses(tx: Tx, now: int) -> list[tuple[int, str]]:
    """(schedule, why) of the pauses that are owed; they are taken out."""
    rows = tx.rows(
        "SELECT schedule, content FROM pending_change WHERE kind = 'pause' AND at <= ? ORDER BY schedule LIMIT ?",
        (now, BATCH),
    )
    tx.many("DELETE FROM pending_change WHERE schedule = ? AND kind = 'pause'", [row[:1] for row in rows])
    return [(row[0], row[1]) for row in rows]


def edits_until(tx: Tx, at: int) -> dict[int, int]:
    """The instants of the pending edits that apply at or before `at`, by schedule, the first ones."""
    return dict(
        tx.rows(
            "SELECT schedule, at FROM pending_change WHERE kind = 'edit' AND at <= ? ORDER BY at, schedule LIMIT ?",
            (at, BATCH),
        )
    )


def edits_between(tx: Tx, schedules: tuple[int, int], now: int) -> list[tuple[int, int, str, str]]:
    """(schedule, at, trigger, policies) of the edits of these schedules whose instant has come, and which nobody has
    applied yet; the last two are JSON texts."""
    rows = tx.rows(
        "SELECT schedule, at, content FROM pending_change WHERE kind = 'edit' AND at <= ? AND schedule BETWEEN ? AND ? "
        "ORDER BY schedule",
        (now, *schedules),
    )
    found = [(row[0], row[1], json.loads(row[2])) for row in rows]
    return [(one, at, canonical(says["trigger"]), canonical(says["policies"])) for one, at, says in found]


def next_at(tx: Tx) -> int | None:
    """When the next pending change is to be applied."""
    found = tx.value("SELECT min(at) FROM pending_change")
    return None if found is None else int(found)


def apply_due(tx: Tx, catalog: Catalog, schedule: int, now: int) -> bool:
    """Apply the schedule's pending edit if its instant has come; True if it was."""
    pending = edit_of(tx, schedule)
    if pending is None or pending.at > now:
        return False
    from ..planning import plan_schedule  # read where a change is applied

    at, doer = pending.at, Doer(pending.actor, now)
    plan_schedule(tx, catalog, schedule, now, upto=at)
    row = tx.row(
        "SELECT s.standing, c.planned_until FROM schedule s JOIN cursor c ON c.schedule = s.id WHERE s.id = ?",
        (schedule,),
    )
    tx.later("DELETE FROM pending_change WHERE schedule = ? AND kind = 'edit'", (schedule,))
    if row is None:
        return False
    standing, until = row
    at = max(
        at, int(until)
    )  # never below what is planned: an edit is not planned for an instant that has come
    if standing in ("paused", "disabled"):
        account_for_pause(tx, schedule, int(until), at, standing, now)
    version = put_in_force(tx, schedule, pending.content, at, doer)
    said = f"version {version}, as planned, from {to_text(at)}: {pending.content.trigger.to_text()}"
    record_of(tx, now, pending.actor, "schedule.edited", schedule, said)
    return True


def _content(text: str) -> Content:
    data = json.loads(text)
    return Content(
        data["job"],
        trigger_of(json.dumps(data["trigger"])),
        policies_of(json.dumps(data["policies"])),
        data["args"],
    )
