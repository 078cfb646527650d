"""Schedules as people ask for them: added, edited, paused, resumed, removed, listed and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.http_request import HttpRequest, refuse_forbidden
from ..core.http_request import checked as check_request
from ..core.policies import Policies
from ..core.states import State
from ..core.triggers import Trigger
from ..errors import BadInput, WatchbellError
from ..store import listing
from ..store.base import Store
from ..store.schedules.catalog import Catalog
from ..store.schedules.pending import edit_of
from ..store.schedules.put import (
    Doer,
    Putting,
    ScheduleSpec,
    Stands,
    drop_waiting,
    go_on,
    spec_of,
    stand_still,
    stands,
)
from ..store.tx import Tx
from . import arguments
from .commands import Command, checked
from .later_edits import edit_later, replaced, take_back
from .schedule_views import (
    Changed,
    SchedulePage,
    ScheduleView,
    list_schedules,
    returns,
    sentence_of,
    show,
    unknown_schedule,
    view_of_new,
)
from .schedule_writes import (
    Added,
    Details,
    add_command,
    add_of_job,
    check_name,
    end,
    job_called,
    refuse_condition,
    refuse_past,
    refuse_unfilled,
    ring_at_start,
)

__all__ = [
    "Change",
    "Changed",
    "Command",
    "Details",
    "SchedulePage",
    "ScheduleView",
    "add_command_schedule",
    "add_schedule",
    "check_name",
    "edit",
    "list_schedules",
    "pause",
    "remove",
    "resume",
    "ring_at_start",
    "show",
    "take_back",
    "wish_of",
]


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit changes; None leaves it as it is, and a function of the policies makes others of those that stand.
    `drop_waiting` ends what was due before and has not begun. With `apply_from` it takes effect at that instant, which is
    ahead, and not now."""

    trigger: Trigger | None = None
    policies: Policies | Callable[[Policies], Policies] | None = None
    args: Mapping[str, Any] | None = None
    job: str | None = None
    tags: tuple[str, ...] | None = None
    about: str | None = None
    enabled: bool | None = None
    drop_waiting: bool = False
    zone: str = "UTC"
    apply_from: int | None = None


def add_schedule(
    store: Store,
    name: str,
    job: str,
    trigger: Trigger,
    *,
    args: Mapping[str, Any] | None = None,
    details: Details = Details(),
    now: int,
    actor: str,
) -> ScheduleView:
    """A schedule of a job that is known already. Conflict if there is one of that name, NotFound without the job."""
    check_name("schedule", name)
    refuse_past(trigger, now)
    doer = Doer(actor, now, details.zone)

    return _added(store, lambda tx: add_of_job(tx, name, job, trigger, args or {}, details, doer), now)


def add_command_schedule(
    store: Store,
    name: str,
    trigger: Trigger,
    command: Command | HttpRequest,
    *,
    details: Details = Details(),
    now: int,
    actor: str,
) -> ScheduleView:
    """A schedule of a command or of an HTTP request: it and its job, of the same name, in one transaction. Conflict if the
    name is taken."""
    check_name("schedule", name)
    if isinstance(command, HttpRequest):
        refuse_unfilled(check_request(command), trigger, details.args)
        refuse_forbidden(command)
    else:
        checked(command)
    refuse_past(trigger, now)
    doer = Doer(actor, now, details.zone)

    return _added(store, lambda tx: add_command(tx, name, trigger, command, details, doer, shown=True), now)


def _added(store: Store, add: Callable[[Tx], Added], now: int) -> ScheduleView:
    """Add a schedule, and show it. What was just written need not be read again, unless it is more than a schedule that
    waits for its first instant."""

    def work(tx: Tx) -> Added:
        added = add(tx)
        tx.poke()
        return added

    added = store.write(work)
    if added.begun or added.made.standing != "on":
        return show(store, added.spec.name, now=now)
    return view_of_new(added.spec, added.made, added.job, running=added.running, now=now)


def edit(store: Store, name: str, change: Change, *, now: int, actor: str) -> Changed:
    """Change a schedule from now on, or from `apply_from` on; the same content writes nothing. An edit takes the place of
    one that waits. NotFound, BadInput for an instant that has passed, and what the parts raise."""
    doer = Doer(actor, now, change.zone)
    if change.apply_from is not None:
        if change.drop_waiting:
            raise BadInput("drop_waiting drops what waits now: give it to an edit that takes effect now.")
        return edit_later(store, name, change.apply_from, lambda tx: wish_of(tx, name, change), doer)

    def work(tx: Tx) -> tuple[str, int, str]:
        found, _, wish = wish_of(tx, name, change)
        schedule, waits = found.id, edit_of(tx, found.id)
        put = Putting(tx, Catalog(), doer).put(wish, found)
        dropped = drop_waiting(tx, schedule, now, State.CANCELLED, "by_request") if change.drop_waiting else 0
        gone = waits is not None and waits.at > now and edit_of(tx, schedule) is None
        tx.poke()
        return put.change, dropped, "" if waits is None or not gone else replaced(waits.at)

    what, dropped, gone = store.write(work)
    sentence = f"{name} is as you asked already; nothing was written."
    if what == "changed":
        sentence = f"{name} is changed from now on; what was due before runs as it was.{gone}"
    return Changed(name, what == "changed", sentence + _dropped(dropped), dropped)


def wish_of(tx: Tx, name: str, change: Change) -> tuple[Stands, ScheduleSpec, ScheduleSpec]:
    """The schedule, in its form as a wish, and as it is wished. NotFound."""
    found = stands(tx, name)
    if found is None:
        raise unknown_schedule(tx, name)
    before = _as_it_stands(found, change)
    job = before.job if change.job is None else job_called(tx, change.job)
    args = before.args
    if change.args is not None:
        args = arguments.check(change.args, listing.job_parameters(tx, job), change.job or name)
    policies = change.policies(before.policies) if callable(change.policies) else change.policies
    wish = replace(
        before,
        job=job,
        args=args,
        trigger=before.trigger if change.trigger is None else change.trigger,
        policies=before.policies if policies is None else policies,
        tags=before.tags if change.tags is None else change.tags,
        about=before.about if change.about is None else change.about,
        enabled=before.enabled if change.enabled is None else change.enabled,
    )
    if wish.policies.condition != before.policies.condition:
        refuse_condition(tx, job, wish.policies.condition)
    return found, before, wish


def pause(
    store: Store, name: str, *, now: int, actor: str, note: str = "", drop_waiting_ones: bool = False
) -> Changed:
    """Pause a schedule. What was due before and has not begun runs, unless `drop_waiting_ones`. Pausing a paused one
    changes nothing and says so."""

    def work(tx: Tx) -> tuple[bool, int]:
        schedule = _row(tx, name).id
        done = stand_still(tx, Catalog(), schedule, "paused", Doer(actor, now), note)
        dropped = drop_waiting(tx, schedule, now, State.SKIPPED, "paused") if drop_waiting_ones else 0
        tx.poke()
        return done, dropped

    done, dropped = store.write(work)
    if not done:
        return Changed(
            name, False, f"{name} is paused already; nothing was changed.{_dropped(dropped)}", dropped
        )
    sentence = f"{name} is paused: it does not come due until `watchbell schedule resume {name}`."
    return Changed(name, True, sentence + _dropped(dropped), dropped)


def resume(store: Store, name: str, *, now: int, actor: str, catchup: bool = False) -> Changed:
    """Let a paused schedule come due again. What fell into the pause is kept as one span `skipped: paused`; with `catchup`
    it follows the schedule's catch-up policy instead, as after an outage, back to the last edit within the pause."""

    def work(tx: Tx) -> tuple[int, bool, str]:
        row = _row(tx, name)
        done = go_on(tx, Catalog(), row.id, "paused", Doer(actor, now), catchup=catchup)
        tx.poke()
        return row.id, done, row.standing

    schedule, done, standing = store.write(work)
    if not done:
        why = {
            "disabled": "it is disabled where it is declared",
            "set_aside": "it is set aside, because its rule cannot be followed; an edit mends it",
        }.get(standing, "it is not paused")
        return Changed(name, False, f"{name} was not resumed: {why}. Nothing was changed.")
    return Changed(name, True, f"{name} is resumed: {sentence_of(store, schedule, now=now)}")


def remove(store: Store, name: str, *, now: int, actor: str, drop_waiting_ones: bool = False) -> Changed:
    """End a schedule; its ledger stays. What was due before and has not begun runs, unless `drop_waiting_ones`. A
    command's own job ends with it."""

    def work(tx: Tx) -> tuple[int, str | None]:
        row = _row(tx, name)
        end(tx, row, Doer(actor, now))
        dropped = drop_waiting(tx, row.id, now, State.CANCELLED, "by_request") if drop_waiting_ones else 0
        tx.poke()
        return dropped, row.source

    dropped, source = store.write(work)
    sentence = f"{name} is removed; what it did stays in the ledger.{returns(source)}{_dropped(dropped)}"
    return Changed(name, True, sentence, dropped)


def _as_it_stands(found: Stands, change: Change) -> ScheduleSpec:
    """What an edit starts from. A stored rule that cannot be read any more is mended by the edit that brings another."""
    try:
        return spec_of(found)
    except WatchbellError:
        if change.trigger is None:
            raise
    return spec_of(found, change.trigger)


def _row(tx: Tx, name: str) -> listing.ScheduleRow:
    row = listing.schedule_by_name(tx, name)
    if row is None:
        raise unknown_schedule(tx, name)
    return row


def _dropped(count: int) -> str:
    if not count:
        return ""
    return f" {count} occurrence{'s' if count > 1 else ''} that had not begun {'were' if count > 1 else 'was'} dropped."
