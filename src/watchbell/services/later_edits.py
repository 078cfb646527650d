"""Edits that wait for their instant: asked for, taken back, and shown."""

from __future__ import annotations

from collections.abc import Callable

from ..core.instants import human_ago, to_text
from ..core.triggers import Interval
from ..errors import BadInput
from ..store import listing
from ..store.base import Store
from ..store.journal import record
from ..store.schedules.pending import drop_edit, edit_of, put_edit
from ..store.schedules.put import Doer, ScheduleSpec, Stands
from ..store.schedules.specs import content_of
from ..store.tx import Tx
from .schedule_views import Changed, unknown_schedule
from .schedule_writes import refuse_past

Wishes = Callable[[Tx], tuple[Stands, ScheduleSpec, ScheduleSpec]]
"""Gives a schedule, how it stands in the form of a wish, and how it is wished."""


def edit_later(store: Store, name: str, at: int, wishes: Wishes, doer: Doer) -> Changed:
    """Have an edit take effect at an instant that is ahead. It takes the place of the one that waits, if one does.
    BadInput for an instant that has passed, and for what is no part of a version."""
    now = doer.now
    if at <= now:
        ago = "is now" if at == now else f"was {human_ago(now - at)}"
        raise BadInput(
            f"{to_text(at)} {ago}, and an edit never changes what has been due: give an instant ahead, or leave "
            "apply_from out to apply it now."
        )

    def work(tx: Tx) -> tuple[bool, str]:
        found, before, wish = wishes(tx)
        schedule = found.id
        labels = (wish.tags, wish.about, wish.enabled)
        if labels != (before.tags, before.about, before.enabled):
            raise BadInput(
                "Tags, words about it and enabled take effect at once: change them in an edit of their own."
            )
        refuse_past(wish.trigger, at)
        anchor = at
        if isinstance(before.trigger, Interval) and before.trigger.start_at is not None:
            anchor = before.trigger.start_at
        content = content_of(wish, Doer(doer.actor, at, doer.zone), anchor)
        waits = edit_of(tx, schedule)
        same = content == content_of(before, doer, anchor) if waits is None else waits.content == content
        if same and (waits is None or waits.at == at):
            return False, f"{name} is as you asked already; nothing was written."
        put_edit(tx, schedule, at, content, doer)
        tx.poke()
        tail = "" if waits is None else replaced(waits.at)
        return True, f"{name} is changed from {to_text(at)} on; until then it stays as it is.{tail}"

    changed, sentence = store.write(work)
    return Changed(name, changed, sentence)


def take_back(store: Store, name: str, *, now: int, actor: str) -> Changed:
    """Drop the edit that waits. NotFound."""

    def work(tx: Tx) -> int | None:
        row = listing.schedule_by_name(tx, name)
        if row is None:
            raise unknown_schedule(tx, name)
        waits = edit_of(tx, row.id)
        if waits is None or waits.at <= now:
            return None
        drop_edit(tx, row.id)
        tx.poke()
        record(tx, now, actor, "schedule.edit_dropped", name, to_text(waits.at))
        return waits.at

    at = store.write(work)
    if at is None:
        return Changed(name, False, f"{name} has no edit that waits; nothing was changed.")
    return Changed(name, True, f"The edit of {name} that was to apply from {to_text(at)} is taken back.")


def replaced(at: int) -> str:
    """What is said where an edit takes the place of one that waits."""
    return f" The edit that was to apply from {to_text(at)} is dropped for it."
