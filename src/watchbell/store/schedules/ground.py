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
    have, `digests` the rules of those of its zones that the database knows."""

    taken: bool
    schedule: int
    new_job: int
    nodes: bool
    """Whether a node has not ended, so that an engine may be running."""
    job: KnownJob | None
    digests: dict[str, str]


def read_ground(tx: Tx, name: str, job: str, zones: Sequence[str] = ()) -> Ground:
    """What there is for a schedule of this name, with the job of exactly that name; `zones` are those it asks."""
    digests = "".join(", (SELECT digest FROM zone_in_force WHERE zone = ?)" for _ in zones)
    row = tx.row(
        "SELECT EXISTS (SELECT 1 FROM schedule WHERE workspace = 1 AND name = ? AND ended_at IS NULL), "
        "(SELECT max(id) FROM schedule), (SELECT max(id) FROM job), "
        "(SELECT max(CAST(value AS BIGINT)) FROM meta WHERE key IN ('id_base', 'id_base:schedule')), "
        "(SELECT max(CAST(value AS BIGINT)) FROM meta WHERE key IN ('id_base', 'id_base:job')), "
        f"EXISTS (SELECT 1 FROM node WHERE state IN ('up', 'draining')), {_JOB}{digests} "
        "FROM (SELECT 1) one LEFT JOIN job j ON j.workspace = 1 AND j.name = ?",
        (name, *zones, job),
    )
    assert row is not None
    taken, schedule, newest_job, base, job_base, nodes = row[:6]
    known = None if row[6] is None else KnownJob(*row[6:16])
    found = {zone: digest for zone, digest in zip(zones, row[16:], strict=True) if digest is not None}
    return Ground(
        bool(taken),
        max(schedule or 0, base or 0) + 1,
        max(newest_job or 0, job_base or 0) + 1,
        bool(nodes),
        known,
        found,
    )


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
