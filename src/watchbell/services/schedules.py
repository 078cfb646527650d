"""Schedules as people ask for them: added, edited, paused, resumed, removed, listed and shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.http_request import HttpRequest, refuse_forbidden
from ..core.http_request import checked as check_request
from ..core.policies import Policies, policies_from_json
from ..core.states import State
from ..core.triggers import Trigger
from ..errors import BadInput, NotFound, WatchbellError
from ..store import listing
from ..store.base import Store
from ..store.schedules.catalog import Catalog
from ..store.schedules.pending import edit_of
from ..store.schedules.put import (
    Doer,
    ScheduleSpec,
    drop_waiting,
    find_job,
    go_on,
    put_schedule,
    spec_of,
    stand_still,
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
    show,
    unknown_schedule,
)
from .schedule_writes import (
    Details,
    add_command,
    check_name,
    end,
    put_new,
    refuse_condition,
    refuse_past,
    refuse_taken,
    refuse_unfilled,
    ring_at_start,
    spec_for,
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

    def work(tx: Tx) -> None:
        refuse_taken(tx, name)
        found = _job(tx, job)
        text = arguments.check(args or {}, listing.job_parameters(tx, found), job)
        put_new(tx, spec_for(name, found, trigger, text, details), doer)

    store.write(work)
    store.poke()
    return show(store, name, now=now)


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

    def work(tx: Tx) -> None:
        add_command(tx, name, trigger, command, details, doer)

    store.write(work)
    store.poke()
    return show(store, name, now=now)


def edit(store: Store, name: str, change: Change, *, now: int, actor: str) -> Changed:
    """Change a schedule from now on, or from `apply_from` on; the same content writes nothing. An edit takes the place of
    one that waits. NotFound, BadInput for an instant that has passed, and what the parts raise."""
    doer = Doer(actor, now, change.zone)
    if change.apply_from is not None:
        if change.drop_waiting:
            raise BadInput("drop_waiting drops what waits now: give it to an edit that takes effect now.")
        return edit_later(store, name, change.apply_from, lambda tx: wish_of(tx, name, change), doer)

    def work(tx: Tx) -> tuple[str, int, str]:
        schedule, wish = wish_of(tx, name, change)[::2]
        waits = edit_of(tx, schedule)
        put = put_schedule(tx, Catalog(), wish, doer)
        dropped = drop_waiting(tx, schedule, now, State.CANCELLED, "by_request") if change.drop_waiting else 0
        gone = waits is not None and waits.at > now and edit_of(tx, schedule) is None
        return put.change, dropped, "" if waits is None or not gone else replaced(waits.at)

    what, dropped, gone = store.write(work)
    store.poke()
    sentence = f"{name} is as you asked already; nothing was written."
    if what == "changed":
        sentence = f"{name} is changed from now on; what was due before runs as it was.{gone}"
    return Changed(name, what == "changed", sentence + _dropped(dropped), dropped)


def wish_of(tx: Tx, name: str, change: Change) -> tuple[int, ScheduleSpec, ScheduleSpec]:
    """The schedule, as it stands, and as it is wished."""
    schedule = _id(tx, name)
    before = _as_it_stands(tx, schedule, change)
    job = before.job if change.job is None else _job(tx, change.job)
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
    return schedule, before, wish


def pause(
    store: Store, name: str, *, now: int, actor: str, note: str = "", drop_waiting_ones: bool = False
) -> Changed:
    """Pause a schedule. What was due before and has not begun runs, unless `drop_waiting_ones`. Pausing a paused one
    changes nothing and says so."""

    def work(tx: Tx) -> tuple[bool, int]:
        schedule = _id(tx, name)
        done = stand_still(tx, Catalog(), schedule, "paused", Doer(actor, now), note)
        dropped = drop_waiting(tx, schedule, now, State.SKIPPED, "paused") if drop_waiting_ones else 0
        return done, dropped

    done, dropped = store.write(work)
    store.poke()
    if not done:
        return Changed(
            name, False, f"{name} is paused already; nothing was changed.{_dropped(dropped)}", dropped
        )
    sentence = f"{name} is paused: it does not come due until `watchbell schedule resume {name}`."
    return Changed(name, True, sentence + _dropped(dropped), dropped)


def resume(store: Store, name: str, *, now: int, actor: str, catchup: bool = False) -> Changed:
    """Let a paused schedule come due again. What fell into the pause is kept as one span `skipped: paused`; with `catchup`
    it follows the schedule's catch-up policy instead, as after an outage, back to the last edit within the pause."""

    def work(tx: Tx) -> tuple[bool, str]:
        schedule = _id(tx, name)
        done = go_on(tx, Catalog(), schedule, "paused", Doer(actor, now), catchup=catchup)
        row = listing.schedule_by_name(tx, name)
        assert row is not None
        return done, row.standing

    done, standing = store.write(work)
    store.poke()
    if not done:
        why = {
            "disabled": "it is disabled where it is declared",
            "set_aside": "it is set aside, because its rule cannot be followed; an edit mends it",
        }.get(standing, "it is not paused")
        return Changed(name, False, f"{name} was not resumed: {why}. Nothing was changed.")
    view = show(store, name, now=now)
    return Changed(name, True, f"{name} is resumed: {view.sentence}")


def remove(store: Store, name: str, *, now: int, actor: str, drop_waiting_ones: bool = False) -> Changed:
    """End a schedule; its ledger stays. What was due before and has not begun runs, unless `drop_waiting_ones`. A
    command's own job ends with it."""

    def work(tx: Tx) -> tuple[int, str | None]:
        schedule = _id(tx, name)
        row = listing.schedule_by_id(tx, schedule)
        end(tx, schedule, Doer(actor, now))
        dropped = drop_waiting(tx, schedule, now, State.CANCELLED, "by_request") if drop_waiting_ones else 0
        return dropped, row.source

    dropped, source = store.write(work)
    store.poke()
    sentence = f"{name} is removed; what it did stays in the ledger.{returns(source)}{_dropped(dropped)}"
    return Changed(name, True, sentence, dropped)


def _as_it_stands(tx: Tx, schedule: int, change: Change) -> ScheduleSpec:
    """What an edit starts from. A stored rule that cannot be read any more is mended by the edit that brings another."""
    try:
        return spec_of(tx, schedule)
    except WatchbellError:
        if change.trigger is None:
            raise
    row = listing.schedule_by_id(tx, schedule)
    return ScheduleSpec(
        name=row.name,
        job=row.job,
        trigger=change.trigger,
        policies=policies_from_json(json.loads(row.policies)),
        args=row.args,
        tags=tuple(json.loads(row.tags)),
        about=row.about,
        enabled=row.standing != "disabled",
        app=row.app,
        revision=row.revision,
        source=row.source,
        source_key=row.source_key,
    )


def _id(tx: Tx, name: str) -> int:
    row = listing.schedule_by_name(tx, name)
    if row is None:
        raise unknown_schedule(tx, name)
    return row.id


def _job(tx: Tx, name: str) -> int:
    found = find_job(tx, name)
    if found is None:
        raise NotFound(
            f"There is no job named {name!r}: a function is declared by its application (start it once), a command is "
            "written behind --."
        )
    return found


def _dropped(count: int) -> str:
    if not count:
        return ""
    return f" {count} occurrence{'s' if count > 1 else ''} that had not begun {'were' if count > 1 else 'was'} dropped."
