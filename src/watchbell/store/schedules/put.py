"""Jobs and schedules as they are written: created, changed, paused, resumed, set aside, removed.

Every change of a schedule first plans what was due up to its own instant, under the version that implied it, and then
takes effect at that instant: never retroactive, nothing lost between two versions (SEMANTICS §3). A version is written
only when the content's hash has changed, so declaring the same again writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ...core.definition import canonical, content_hash
from ...core.instants import to_text
from ...core.keys import check_key
from ...core.policies import Policies, policies_from_json, to_json
from ...core.states import LIVE, sql_list
from ...core.triggers import Manual, Trigger
from ...core.triggers.rebinding import filled_like
from ...errors import BadPolicy, NotFound
from .. import gates, rates
from ..journal import record
from ..revision import raise_catalog
from ..tx import Row, Tx
from . import pending
from .catalog import JOB_COLUMNS, Catalog, job_from_row
from .creation import create
from .ground import Ground
from .pauses import Doer, open_pause, stand_later
from .specs import JobSpec, Put, ScheduleSpec, content_of, tags_text
from .standing import bring_up_to, drop_waiting, go_on, remove, stand_still
from .trigger_texts import trigger_of
from .versions import Content, asked_text, mark_of, put_in_force

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


_STANDS = (
    "s.id, s.name, s.revision, v.trigger, v.hash, s.tags, s.about, s.undeclared_at, s.app, s.source, s.source_key, "
    "s.set_aside, EXISTS (SELECT 1 FROM pause p WHERE p.schedule = s.id AND p.kind = 'disabled' AND p.until_at IS NULL), "
    "v.job, v.policies, v.args"
)
_VERSION = "JOIN schedule_version v ON v.schedule = s.id AND v.version = s.version"
_THERE = "s.workspace = 1 AND s.ended_at IS NULL"


def put_job(tx: Tx, spec: JobSpec, doer: Doer, ground: Ground | None = None) -> Put:
    """Write a job by its name; the same content writes nothing. `ground`: what was read of it already. BadPolicy
    where a key of its limits or rates is too long."""
    for key in dict([*spec.options.limits, *spec.options.rates]):
        check_key(key, "The key of a limit or a rate", BadPolicy)
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
    found = _job_there(tx, spec.name, ground)
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
        job = tx.next_id("job") if ground is None else ground.new_job
        tx.later(
            "INSERT INTO job (lane, target, command, options, parameters, aliases, tags, about, app, revision, hash, "
            "changed_at, id, workspace, name, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
            (*values, job, spec.name, doer.now),
        )
    else:
        job = found[0]
        tx.later(
            "UPDATE job SET lane = ?, target = ?, command = ?, options = ?, parameters = ?, aliases = ?, tags = ?, "
            "about = ?, app = ?, revision = ?, hash = ?, changed_at = ?, ended_at = NULL WHERE id = ?",
            (*values, job),
        )
        _carry_over(tx, job, spec.lane, before=found[4])
    _declare(tx, spec, job, new=found is None)
    return Put(job, "added" if found is None else "changed")


def _job_there(tx: Tx, name: str, ground: Ground | None) -> Row | None:
    """(id, hash, revision, ended_at, lane) of the job of that name, ended or not."""
    if ground is None:
        sql = "SELECT id, hash, revision, ended_at, lane FROM job WHERE workspace = 1 AND name = ?"
        return tx.row(sql, (name,))
    known = ground.job
    return None if known is None else (known.id, known.hash, known.revision, known.ended_at, known.lane)


def _carry_over(tx: Tx, job: int, lane: str, before: str) -> None:
    """A job's function has become one of another kind: the next attempts of what is live are carried out as that."""
    if lane != before:
        tx.later(f"UPDATE occurrence SET lane = ? WHERE job = ? AND state IN ({sql_list(LIVE)})", (lane, job))


def _declare(tx: Tx, spec: JobSpec, job: int, new: bool) -> None:
    """Set the limits and rates of a job; what is held by one of its rates is judged anew."""
    gates.declare(tx, spec.options.gates(spec.name))
    rates.declare(tx, spec.options.all_rates(spec.name))
    if not new:
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


class Stands(NamedTuple):
    """A schedule as it stands, as far as a wish is compared with it. `trigger`, `policies`, `args` and `tags` are JSON text."""

    id: int
    name: str
    revision: int
    trigger: str
    mark: str
    tags: str
    about: str
    undeclared_at: int | None
    app: str | None
    source: str | None
    source_key: str | None
    set_aside: str | None
    disabled: int | bool
    job: int
    policies: str
    args: str


def stands(tx: Tx, name: str) -> Stands | None:
    """How the schedule of that name stands, unless it has ended or never was."""
    row = tx.row(f"SELECT {_STANDS} FROM schedule s {_VERSION} WHERE {_THERE} AND s.name = ?", (name,))
    return None if row is None else Stands._make(row)


def all_named(tx: Tx, names: Iterable[str]) -> dict[str, Stands]:
    """How the schedules of these names stand, with one question for all of them."""
    wanted = list(names)
    if not wanted:
        return {}
    rows = tx.rows(
        # CROSS JOIN is an order for SQLite: it looks each name up, and not each schedule among the names.
        f"SELECT {_STANDS} FROM (SELECT ? AS names) p CROSS JOIN json_each(p.names) t CROSS JOIN schedule s {_VERSION} "
        f"WHERE s.name = t.value AND {_THERE}",
        (json.dumps(wanted, ensure_ascii=False),),
    )
    return {row[1]: Stands._make(row) for row in rows}


def all_of_source(tx: Tx, source: str) -> dict[str, Stands]:
    """How the schedules of a source stand, by their keys."""
    rows = tx.rows(
        f"SELECT {_STANDS} FROM schedule s {_VERSION} WHERE s.source = ? AND s.ended_at IS NULL", (source,)
    )
    return {row[10]: Stands._make(row) for row in rows}


def put_schedule(tx: Tx, catalog: Catalog, spec: ScheduleSpec, doer: Doer) -> Put:
    """Create a schedule, or change the one of that name; the same content writes nothing."""
    found = stands(tx, spec.name)
    if found is None:
        return Put(create(tx, spec, doer).id, "added")
    return Putting(tx, catalog, doer).put(spec, found)


class _Said:
    """What many wishes say alike, but for their jobs and arguments. Their own policies are kept beside, so that nothing else
    takes their place in memory."""

    __slots__ = ("_asked", "_marks", "_own", "_policies", "content")

    def __init__(self, own: Policies, content: Content, asked: str, policies: str) -> None:
        self._own = own
        self.content = content
        self._asked = asked
        self._policies = policies
        self._marks: dict[tuple[str, int], str] = {}

    def mark(self, spec: ScheduleSpec) -> str:
        """The mark of the content, with the job and the arguments of this one."""
        key = (spec.args, spec.job)
        known = self._marks.get(key)
        if known is None:
            known = self._marks[key] = mark_of(self._asked, self._policies, spec.args, spec.job)
        return known


class Putting:
    """Compares wishes with the schedules that there are, in one transaction, and changes what is to be another. What many
    of them say alike is looked at once."""

    def __init__(self, tx: Tx, catalog: Catalog, doer: Doer) -> None:
        self._tx = tx
        self._catalog = catalog
        self._doer = doer
        self._known: dict[tuple[Trigger, int, str, bool], _Said] = {}
        self._raised = False

    def put(self, spec: ScheduleSpec, found: Stands) -> Put:
        """Make the schedule what the wish says; the same content writes nothing."""
        tx, schedule = self._tx, found.id
        said = self._said(spec, found.trigger)
        changed = said.mark(spec) != found.mark or (spec.trouble or None) != found.set_aside
        switched = spec.enabled == bool(found.disabled)
        labels = (tags_text(spec.tags), spec.about, None, spec.app, spec.source, spec.source_key)
        if found.revision > spec.revision and spec.app is not None and found.app == spec.app:
            same = not (changed or switched or labels != found[5:11])
            return Put(schedule, "unchanged" if same else "older")
        if changed:
            content = replace(said.content, job=spec.job, args=spec.args)
            _new_version(tx, self._catalog, schedule, spec, content, self._doer)
        switched = switched and self._switch(schedule, spec.enabled)
        revision = spec.revision or found.revision
        if labels != found[5:11]:
            tx.later(
                "UPDATE schedule SET tags = ?, about = ?, undeclared_at = ?, app = ?, source = ?, source_key = ?, "
                "revision = ? WHERE id = ?",
                (*labels, revision, schedule),
            )
            self._raise_catalog()
            changed = True
        elif changed:
            tx.later("UPDATE schedule SET revision = ? WHERE id = ?", (revision, schedule))
        return Put(schedule, "changed" if changed or switched else "unchanged")

    def _said(self, spec: ScheduleSpec, stored: str) -> _Said:
        """What a wish says, bound as what is stored."""
        judged = spec.trouble is None and spec.source is None
        key = (spec.trigger, id(spec.policies), stored, judged)
        known = self._known.get(key)
        if known is None:
            content = _rebound(spec, stored, self._doer)
            texts = asked_text(content.trigger), canonical(to_json(content.policies))
            known = self._known[key] = _Said(spec.policies, content, *texts)
        return known

    def _raise_catalog(self) -> None:
        if not self._raised:
            raise_catalog(self._tx)
            self._raised = True

    def _switch(self, schedule: int, enabled: bool) -> bool:
        """Enable or disable, as a declaration says; an operator's pause stays."""
        if enabled:
            return go_on(self._tx, self._catalog, schedule, "disabled", self._doer)
        return stand_still(self._tx, self._catalog, schedule, "disabled", self._doer)


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
        tx.later("UPDATE schedule SET set_aside = ? WHERE id = ?", (spec.trouble, schedule))
        open_pause(tx, schedule, "set_aside", effective, doer, spec.trouble)
        stand_later(tx, schedule)
        tx.later("UPDATE cursor SET next_due = NULL WHERE schedule = ?", (schedule,))
    record(
        tx,
        doer.now,
        doer.actor,
        "schedule.edited",
        spec.name,
        f"version {version}: {content.trigger.to_text()} ({content.mark})",
    )


def spec_of(found: Stands, trigger: Trigger | None = None) -> ScheduleSpec:
    """A schedule as it stands, in the form of a wish; what an edit starts from. `trigger`: in the place of its own."""
    return ScheduleSpec(
        name=found.name,
        job=found.job,
        trigger=trigger_of(found.trigger) if trigger is None else trigger,
        policies=policies_from_json(json.loads(found.policies)),
        args=found.args,
        tags=tuple(json.loads(found.tags)),
        about=found.about,
        enabled=not found.disabled,
        app=found.app,
        revision=found.revision,
        source=found.source,
        source_key=found.source_key,
    )
