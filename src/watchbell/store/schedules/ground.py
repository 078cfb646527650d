"""What has to be known before a schedule is added, read with one statement: a server takes as long to be asked as to answer.

Whether its name is free, which ids come next, what its job says, which rules its time zones have, and whether there may be
an engine: all as it is in the transaction that adds it, in which nobody else writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.triggers import Trigger
from ..clocks.zones import asked_by
from ..tx import Tx
from .pauses import Doer
from .specs import ScheduleSpec
from .versions import zone_for

_JOB = "j.id, j.name, j.lane, j.app, j.ended_at, j.hash, j.revision, j.parameters, j.options, j.command"

_BASE = "(SELECT value FROM meta WHERE key = 'id_base"


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job of exactly that name, ended or not. `options`, `parameters` and `command` are JSON text."""

    id: int
    name: str
    lane: str
    app: str | None
    ended_at: int | None
    hash: str
    revision: int
    parameters: str | None
    options: str
    command: str | None


@dataclass(frozen=True, slots=True)
class Ground:
    """What there is where a schedule is to be added. `schedule` and `new_job` are the ids that the next ones of their tables
    have (0: nobody asked), `digests` the rules of those of its zones that the database knows."""

    taken: bool
    nodes: bool
    """Whether a node has not ended, so that an engine may be running."""
    job: KnownJob | None
    schedule: int
    new_job: int
    digests: dict[str, str]


def read_ground(tx: Tx, name: str, job: str, zones: Sequence[str] = (), *, new_job: bool = False) -> Ground:
    """What there is for a schedule of this name, with the job of exactly that name; `zones` are those it asks, `new_job`
    says whether a job may be added with it."""
    tables = ("schedule", "job") if new_job else ("schedule",)
    ids = [f"(SELECT id FROM {table} ORDER BY id DESC LIMIT 1), {_BASE}:{table}')" for table in tables]
    digests = ["(SELECT digest FROM zone_in_force WHERE zone = ?)" for _ in zones]
    row = tx.row(
        "SELECT (SELECT 1 FROM schedule WHERE workspace = 1 AND name = ? AND ended_at IS NULL), "
        f"(SELECT 1 FROM node WHERE state IN ('up', 'draining') LIMIT 1), {_JOB}, {_BASE}'), "
        f"{', '.join([*ids, *digests])} "
        # A row that is always there, so that there is an answer without such a job too.
        "FROM meta m LEFT JOIN job j ON j.workspace = 1 AND j.name = ? WHERE m.key = 'catalog'",
        (name, *zones, job),
    )
    assert row is not None
    known, (base, *numbers) = row[2:12], row[12:]
    next_ids = [_after(base, *numbers[2 * place : 2 * place + 2]) for place in range(len(tables))]
    found = zip(zones, numbers[2 * len(tables) :], strict=True)
    return Ground(
        taken=row[0] is not None,
        nodes=row[1] is not None,
        job=None if known[0] is None else KnownJob(*known),
        schedule=next_ids[0],
        new_job=next_ids[1] if new_job else 0,
        digests={zone: digest for zone, digest in found if digest is not None},
    )


def _after(base: str | None, newest: int | None, own_base: str | None) -> int:
    """The next id of a table, as `Tx.peek_id` says it: above all that may have been given out before a restore."""
    return max(newest or 0, int(base or 0), int(own_base or 0)) + 1


def job_by_id(tx: Tx, job: int) -> KnownJob:
    """The job of that number; it must be there."""
    row = tx.row(f"SELECT {_JOB} FROM job j WHERE j.id = ?", (job,))
    assert row is not None
    return KnownJob(*row)


def zones_asked(spec: ScheduleSpec, doer: Doer) -> list[str]:
    """The zones that a wish asks, once it is bound. BadZone, BadTrigger."""
    trigger: Trigger = spec.trigger.bound(doer.zone, doer.now)
    policies = spec.policies
    if policies.blackouts:
        policies = policies.bound(zone_for(trigger, doer.zone))
    return asked_by(trigger, policies.blackouts)
