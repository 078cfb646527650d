"""Schedules as they are written within one transaction: added, with the job of a command where there is one, and ended.

`schedules` has the verbs of people, one transaction each; what adds or ends many at once (an import, an undo) uses these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.definition import canonical
from ..core.http_request import HttpRequest, needed
from ..core.instants import human_ago, to_text
from ..core.lanes import BY_THEMSELVES
from ..core.policies import JobOptions, Policies, to_json
from ..core.triggers import Interval, Once, Trigger
from ..errors import BadArguments, BadDeclaration, BadPolicy, BadTrigger, Conflict, NotFound
from ..store import listing
from ..store.runs import Wish, enqueue
from ..store.schedules.catalog import Catalog
from ..store.schedules.creation import Made, create
from ..store.schedules.ground import Ground, KnownJob, job_by_id, read_ground, zones_asked
from ..store.schedules.put import Doer, JobSpec, ScheduleSpec, find_job, put_job
from ..store.schedules.put import remove as end_schedule
from ..store.tx import Tx
from . import arguments
from .commands import Command
from .engines import look

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Details:
    """What a schedule may say beside its name, its job and its trigger. `options` are those of a command's own job;
    `zone` is for a trigger that names none."""

    policies: Policies = field(default_factory=Policies)
    tags: tuple[str, ...] = ()
    about: str = ""
    enabled: bool = True
    options: JobOptions = field(default_factory=JobOptions)
    zone: str = "UTC"
    args: Mapping[str, Any] = field(default_factory=dict)
    """Those of a request; a job of an application has its own beside this."""


def check_name(kind: str, name: str) -> str:
    """The name, once it can be one. BadDeclaration says why it cannot."""
    if not name.strip():
        raise BadDeclaration(
            f"A {kind} needs a name of 1 to {LONGEST_NAME} characters, such as 'nightly backup'."
        )
    if len(name) > LONGEST_NAME:
        raise BadDeclaration(
            f"The name of a {kind} has at most {LONGEST_NAME} characters; this one has {len(name)}: "
            f"{name[:40]!r}… Use --about for the rest."
        )
    if not name.isprintable():
        raise BadDeclaration(
            f"The name {name!r} holds a control character (a line break, a tab …): write it with plain ones."
        )
    if name != name.strip():
        raise BadDeclaration(f"The name {name!r} begins or ends with a space: write {name.strip()!r}.")
    return name


@dataclass(frozen=True, slots=True)
class Added:
    """A schedule that was just added: what was asked for, what was written, and what its job is. `begun`: a run of it was
    asked for at once. `running`: there is an engine, where that was to be looked at."""

    spec: ScheduleSpec
    made: Made
    job: KnownJob
    begun: bool
    running: bool


def add_of_job(
    tx: Tx, name: str, job: str, trigger: Trigger, args: Mapping[str, Any], details: Details, doer: Doer
) -> Added:
    """A schedule of a job that is known already, to be shown. Conflict if the name is taken, NotFound without the job,
    BadArguments."""
    spec = spec_for(name, 0, trigger, "{}", details)
    ground = read_ground(tx, name, job, zones_asked(spec, doer))
    _refuse_taken(name, ground)
    known = ground.job
    if known is None or known.ended_at is not None:
        known = job_by_id(tx, job_called(tx, job))
    text = arguments.check(args, listing.parameters_of(known.lane, known.parameters), job)
    running = ground.nodes and look(tx, doer.now).running
    return _add(tx, replace(spec, job=known.id, args=text), known, running, ground, doer)


def add_command(
    tx: Tx,
    name: str,
    trigger: Trigger,
    command: Command | HttpRequest,
    details: Details,
    doer: Doer,
    *,
    shown: bool = False,
) -> Added:
    """A schedule of a command or a request, and its job of the same name; `shown`: an engine is looked for, as what comes back
    is to be shown. Conflict if the name is taken."""
    args = arguments.check(details.args, None, name)
    spec = spec_for(name, 0, trigger, args, details)
    ground = read_ground(tx, name, name, zones_asked(spec, doer), new_job=True)
    _refuse_taken(name, ground)
    _refuse_foreign_job(tx, name, ground.job)
    running = shown and ground.nodes and look(tx, doer.now).running
    wish = JobSpec(
        name=name,
        lane=command.lane,
        command=command.to_text(),
        options=details.options,
        tags=details.tags,
        about=details.about,
    )
    put = put_job(tx, wish, doer, ground)
    options = canonical(to_json(wish.options))
    known = KnownJob(put.id, name, wish.lane, None, None, "", 0, None, options, wish.command)
    return _add(tx, replace(spec, job=put.id), known, running, ground, doer)


def _add(tx: Tx, spec: ScheduleSpec, job: KnownJob, running: bool, ground: Ground, doer: Doer) -> Added:
    """Write a new schedule, and the run by hand that `run_at_start` asks for."""
    made = create(tx, spec, doer, ground)
    begun = spec.enabled and isinstance(spec.trigger, Interval) and spec.trigger.run_at_start
    if begun:
        ring_at_start(tx, made.id, doer)
    return Added(spec, made, job, begun, running)


def job_called(tx: Tx, name: str) -> int:
    """The id of the job of that name, or of the one that has it as an alias. NotFound."""
    found = find_job(tx, name)
    if found is None:
        raise NotFound(
            f"There is no job named {name!r}: a function is declared by its application (start it once), a command is "
            "written behind --."
        )
    return found


def refuse_unfilled(request: HttpRequest, trigger: Trigger, args: Mapping[str, Any]) -> None:
    """A request that comes due by itself has every argument that stands in it; one by hand may get it then. BadArguments."""
    missing = [name for name in needed(request) if name not in args]
    if missing and trigger.kind != "manual":
        raise BadArguments(
            f"The request needs the argument {missing[0]!r}, as {{{missing[0]}}} stands in it: write --arg {missing[0]}=…."
        )


def end(tx: Tx, row: listing.ScheduleRow, doer: Doer) -> None:
    """End a schedule, with the alert rules about it and, where it is of that name, the job of its command."""
    own = row.lane in BY_THEMSELVES and row.job_name == row.name
    own = own and not listing.others_of_job(tx, row.job, row.id)
    end_schedule(tx, Catalog(), row.id, doer)
    if own:
        listing.end_job(tx, row.job, doer.now)


def spec_for(name: str, job: int, trigger: Trigger, args: str, details: Details) -> ScheduleSpec:
    """A new schedule, in the form of a wish."""
    return ScheduleSpec(
        name=name,
        job=job,
        trigger=trigger,
        policies=details.policies,
        args=args,
        tags=details.tags,
        about=details.about,
        enabled=details.enabled,
    )


def ring_at_start(tx: Tx, schedule: int, doer: Doer) -> int:
    """The one run by hand that `run_at_start` asks for at creation; returns its number."""
    catalog = Catalog()
    found, broken = catalog.definitions(tx, [(schedule, 1)])
    if broken:
        raise BadDeclaration(f"The schedule cannot be run at its start: {broken[schedule, 1]}.")
    definition = found[schedule, 1]
    return enqueue(tx, Wish(job=definition.job, args=definition.args, definition=definition), doer).run


def refuse_condition(tx: Tx, job: int, condition: str | None) -> None:
    """A command's condition is a text for /bin/sh; a function's is a function, by its name."""
    lane, name = tx.row("SELECT lane, name FROM job WHERE id = ?", (job,)) or ("command", "")
    if condition is not None and lane == "http":
        raise BadPolicy(f"{name} sends a request, and no condition is asked for one: leave it out.")
    if condition is not None and lane != "command" and not re.fullmatch(r"[\w.]+:[\w.<>]+", condition):
        raise BadPolicy(
            f"{name} is a function, so its condition is one too: write its name, such as 'shop.rules:is_open', not "
            f"{condition[:60]!r}."
        )


def refuse_past(trigger: Trigger, now: int) -> None:
    """BadTrigger for one instant that is behind already, and for a rule that has ended."""
    if isinstance(trigger, Once) and trigger.at <= now:
        raise BadTrigger(
            f"{to_text(trigger.at)} was {human_ago(now - trigger.at)} and would never come due: give a time "
            "ahead, such as '+10m', or run it now by hand."
        )
    if trigger.kind in ("rrule", "any", "except") and trigger.bound("UTC", now).next_after(now) is None:
        raise BadTrigger(
            f"the rule {trigger.to_text()[:200]!r} has ended and would never come due again: give a later UNTIL, a larger "
            "COUNT or a later start."
        )


def _refuse_taken(name: str, ground: Ground) -> None:
    if ground.taken:
        raise Conflict(
            f"There is a schedule named {name!r} already: choose another name, or remove it first with "
            f"`watchbell schedule rm {quoted(name)}`."
        )


def _refuse_foreign_job(tx: Tx, name: str, job: KnownJob | None) -> None:
    """A command's job has the name of its schedule; it never takes the place of somebody else's job."""
    if job is None:
        return
    kept, live = listing.uses_of_job(tx, job.id)
    if (
        job.lane not in BY_THEMSELVES
        or job.app is not None
        or kept
        or (job.ended_at is None and not _was_scheduled(tx, job.id))
    ):
        raise Conflict(
            f"There is a job named {name!r} already: choose another name for the schedule, or schedule that job with "
            f"--job {quoted(name)}."
        )
    if live is not None:
        raise Conflict(
            f"run_{live} of the removed schedule {name!r} has not ended: wait for it, or cancel it with "
            f"`watchbell run cancel run_{live}`."
        )


def _was_scheduled(tx: Tx, job: int) -> bool:
    return tx.value("SELECT 1 FROM schedule WHERE job = ? LIMIT 1", (job,)) is not None


def quoted(name: str) -> str:
    """A name as the shell wants it."""
    return name if name.replace("-", "").replace("_", "").replace(".", "").isalnum() else json.dumps(name)
