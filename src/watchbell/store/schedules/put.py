"""Jobs and schedules as they are written: created, changed, paused, resumed, set aside, removed.

Every change of a schedule first plans what was due up to its own instant, under the version that implied it, and then
takes effect at that instant: never retroactive, nothing lost between two versions (SEMANTICS §3). A version is written
only when the content's hash has changed, so declaring the same again writes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from ...core.blackout import refuse_endless
from ...core.definition import canonical, content_hash
from ...core.instants import to_text
from ...core.policies import JobOptions, Policies, policies_from_json, to_json
from ...core.states import LIVE, sql_list
from ...core.triggers import Manual, Trigger
from ...core.triggers.rebinding import filled_like
from ...errors import NotFound
from .. import gates, rates
from ..journal import record
from ..revision import raise_catalog
from ..tx import Tx
from . import pending
from .catalog import JOB_COLUMNS, Catalog, job_from_row
from .pauses import Doer, open_pause, stand
from .standing import bring_up_to, drop_waiting, go_on, remove, stand_still
from .trigger_texts import trigger_of
from .versions import Content, first_due, put_in_force, under, write_version, zone_for

__all__ = [
    "Doer",
    "JobSpec",
    "Put",
    "ScheduleSpec",
    "drop_waiting",
    "find_job",
    "find_schedule",
    "go_on",
    "put_job",
    "put_schedule",
    "remove",
    "spec_of",
    "stand_still",
]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as somebody wants it. `command` is JSON text."""

    name: str
    lane: str
    target: str | None = None
    command: str | None = None
    options: JobOptions = field(default_factory=JobOptions)
    parameters: str | None = None
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    about: str = ""
    app: str | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """A schedule as somebody wants it. `args` is JSON text; `trouble` says why it cannot be scheduled (set aside)."""

    name: str
    job: int
    trigger: Trigger
    policies: Policies = field(default_factory=Policies)
    args: str = "{}"
    tags: tuple[str, ...] = ()
    about: str = ""
    enabled: bool = True
    app: str | None = None
    revision: int = 0
    source: str | None = None
    source_key: str | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """What became of a wish: added, changed, unchanged, or older (a newer revision has declared it already)."""

    id: int
    change: str


def put_job(tx: Tx, spec: JobSpec, doer: Doer) -> Put:
    """Write a job by its name; the same content writes nothing."""
    mark = content_hash(
        spec.lane,
        spec.target,
        spec.command,
        to_json(spec.options),
        spec.parameters,
        spec.aliases,
        spec.tags,
        spec.about,
    )
    found = tx.row(
        "SELECT id, hash, revision, ended_at, lane FROM job WHERE workspace = 1 AND name = ?", (spec.name,)
    )
    if found is not None and found[1] == mark and found[3] is None:
        return Put(found[0], "unchanged")
    if found is not None and found[2] > spec.revision and spec.app is not None:
        return Put(found[0], "older")
    values = (
        spec.lane,
        spec.target,
        spec.command,
        canonical(to_json(spec.options)),
        spec.parameters,
        json.dumps(spec.aliases),
        json.dumps(spec.tags),
        spec.about,
        spec.app,
        spec.revision,
        mark,
        doer.now,
    )
    if found is None:
        job = tx.next_id("job")
        tx.run(
            "INSERT INTO job (lane, target, command, options, parameters, aliases, tags, about, app, revision, hash, "
            "changed_at, id, workspace, name, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
            (*values, job, spec.name, doer.now),
        )
    else:
        job = found[0]
        tx.run(
            "UPDATE job SET lane = ?, target = ?, command = ?, options = ?, parameters = ?, aliases = ?, tags = ?, "
            "about = ?, app = ?, revision = ?, hash = ?, changed_at = ?, ended_at = NULL WHERE id = ?",
            (*values, job),
        )
        _carry_over(tx, job, spec.lane, before=found[4])
    _declare(tx, spec, job)
    return Put(job, "added" if found is None else "changed")


def _carry_over(tx: Tx, job: int, lane: str, before: str) -> None:
    """A job's function has become one of another kind: the next attempts of what is live are carried out as that."""
    if lane != before:
        tx.run(f"UPDATE occurrence SET lane = ? WHERE job = ? AND state IN ({sql_list(LIVE)})", (lane, job))


def _declare(tx: Tx, spec: JobSpec, job: int) -> None:
    """Set the limits and rates of a job; what is held by one of its rates is judged anew."""
    gates.declare(tx, spec.options.gates(spec.name))
    rates.declare(tx, spec.options.all_rates(spec.name))
    rates.look_again(tx, job)
    raise_catalog(tx)


def find_job(tx: Tx, name: str) -> int | None:
    """The id of the job of that name, or of the one that has it as an alias."""
    found = tx.value("SELECT id FROM job WHERE workspace = 1 AND name = ? AND ended_at IS NULL", (name,))
    if found is None:
        for row in tx.rows(f"SELECT {JOB_COLUMNS} FROM job WHERE aliases <> '[]' AND ended_at IS NULL"):
            if name in job_from_row(row).aliases:
                return int(row[0])
    return None if found is None else int(found)


def find_schedule(tx: Tx, name: str) -> int:
    """The id of the schedule of that name; NotFound with the nearest names."""
    found = tx.value("SELECT id FROM schedule WHERE workspace = 1 AND name = ? AND ended_at IS NULL", (name,))
    if found is None:
        raise NotFound(f"There is no schedule named {name!r}; `watchbell schedule list` shows them all.")
    return int(found)


def put_schedule(tx: Tx, catalog: Catalog, spec: ScheduleSpec, doer: Doer) -> Put:
    """Create a schedule, or change the one of that name; the same content writes nothing."""
    row = tx.row(
        "SELECT s.id, s.version, s.revision, v.trigger, v.hash, s.tags, s.about, s.undeclared_at, s.app, s.source, "
        "s.source_key, s.set_aside FROM schedule s JOIN schedule_version v ON v.schedule = s.id AND "
        "v.version = s.version WHERE s.workspace = 1 AND s.name = ? AND s.ended_at IS NULL",
        (spec.name,),
    )
    if row is None:
        return Put(_create(tx, spec, doer), "added")
    schedule = int(row[0])
    if row[2] > spec.revision and spec.app is not None and row[8] == spec.app:
        return Put(schedule, "older")
    content = _rebound(spec, row[3], doer)
    changed = content.mark != row[4] or (spec.trouble or None) != row[11]
    if changed:
        _new_version(tx, catalog, schedule, spec, content, doer)
    switched = _switch(tx, catalog, schedule, spec.enabled, doer)
    labels = (json.dumps(spec.tags), spec.about, None, spec.app, spec.source, spec.source_key)
    if labels != (row[5], row[6], row[7], row[8], row[9], row[10]):
        tx.run(
            "UPDATE schedule SET tags = ?, about = ?, undeclared_at = ?, app = ?, source = ?, source_key = ? "
            "WHERE id = ?",
            (*labels, schedule),
        )
        raise_catalog(tx)
        changed = True
    if changed and spec.revision:
        tx.run("UPDATE schedule SET revision = ? WHERE id = ?", (spec.revision, schedule))
    return Put(schedule, "changed" if changed or switched else "unchanged")


def _rebound(spec: ScheduleSpec, stored: str, doer: Doer) -> Content:
    """Bind a wish as its stored twin was bound: the anchor of an interval is set once, at creation."""
    anchor = doer.now
    try:
        before = trigger_of(stored)
    except Exception:
        before = Manual()
    began = getattr(before, "start_at", None)  # an interval has it, and a calendar
    if began is not None:
        anchor = began
    return content_of(replace(spec, trigger=filled_like(spec.trigger, before)), doer, anchor)


def content_of(spec: ScheduleSpec, doer: Doer, anchor: int) -> Content:
    """What a version of this wish says, counted from `anchor`. BadPolicy if its blackouts leave it nothing."""
    trigger = spec.trigger.bound(doer.zone, anchor)
    policies = spec.policies
    if policies.blackouts:
        policies = policies.bound(zone_for(trigger, doer.zone))
        if spec.trouble is None and spec.source is None:  # a source is not stopped by one of its rows
            refuse_endless(trigger, policies.blackouts, doer.now)
    return Content(spec.job, trigger, policies, spec.args)


def _create(tx: Tx, spec: ScheduleSpec, doer: Doer) -> int:
    content = under(tx, content_of(spec, doer, doer.now))
    schedule = tx.next_id("schedule")
    standing = "set_aside" if spec.trouble else "on" if spec.enabled else "disabled"
    tx.run(
        "INSERT INTO schedule (id, workspace, name, job, version, tags, about, app, revision, source, source_key, "
        "standing, set_aside, created_at) VALUES (?, 1, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            schedule,
            spec.name,
            spec.job,
            json.dumps(spec.tags),
            spec.about,
            spec.app,
            spec.revision,
            spec.source,
            spec.source_key,
            standing,
            spec.trouble,
            doer.now,
        ),
    )
    write_version(tx, (schedule, 1, doer.now), content, doer)
    due = first_due(content.trigger, doer.now, content.policies.blackouts) if standing == "on" else None
    tx.run(
        "INSERT INTO cursor (schedule, next_due, planned_until, version) VALUES (?, ?, ?, 1)",
        (schedule, due, doer.now),
    )
    if standing != "on":
        open_pause(tx, schedule, standing, doer.now, doer, spec.trouble or "")
    record(tx, doer.now, doer.actor, "schedule.added", spec.name, content.trigger.to_text())
    return schedule


def _new_version(
    tx: Tx, catalog: Catalog, schedule: int, spec: ScheduleSpec, content: Content, doer: Doer
) -> None:
    """An edit: what was due before it is planned under the old version, then the new one is in force. One that waits for
    its instant is taken back by it."""
    effective = bring_up_to(tx, catalog, schedule, doer)
    if (dropped := pending.drop_edit(tx, schedule)) is not None:
        record(tx, doer.now, doer.actor, "schedule.edit_dropped", spec.name, to_text(dropped.at))
    version = put_in_force(tx, schedule, content, effective, doer)
    if spec.trouble:
        tx.run("UPDATE schedule SET set_aside = ? WHERE id = ?", (spec.trouble, schedule))
        open_pause(tx, schedule, "set_aside", effective, doer, spec.trouble)
        stand(tx, schedule)
        tx.run("UPDATE cursor SET next_due = NULL WHERE schedule = ?", (schedule,))
    record(
        tx,
        doer.now,
        doer.actor,
        "schedule.edited",
        spec.name,
        f"version {version}: {content.trigger.to_text()} ({content.mark})",
    )


def _switch(tx: Tx, catalog: Catalog, schedule: int, enabled: bool, doer: Doer) -> bool:
    """Enable or disable, as a declaration says; an operator's pause stays."""
    if enabled:
        return go_on(tx, catalog, schedule, "disabled", doer)
    return stand_still(tx, catalog, schedule, "disabled", doer)


def spec_of(tx: Tx, schedule: int) -> ScheduleSpec:
    """A schedule as it stands, in the form of a wish; what an edit starts from."""
    row: Any = tx.row(
        "SELECT s.name, v.job, v.trigger, v.policies, v.args, s.tags, s.about, s.app, s.revision, s.source, "
        "s.source_key, EXISTS (SELECT 1 FROM pause p WHERE p.schedule = s.id AND p.kind = 'disabled' AND "
        "p.until_at IS NULL) FROM schedule s JOIN schedule_version v ON v.schedule = s.id AND "
        "v.version = s.version WHERE s.id = ?",
        (schedule,),
    )
    return ScheduleSpec(
        name=row[0],
        job=row[1],
        trigger=trigger_of(row[2]),
        policies=policies_from_json(json.loads(row[3])),
        args=row[4],
        tags=tuple(json.loads(row[5])),
        about=row[6],
        enabled=not row[11],
        app=row[7],
        revision=row[8],
        source=row[9],
        source_key=row[10],
    )
