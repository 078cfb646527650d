"""Definitions: jobs and versions of schedules as they are read, cold, behind a bounded cache.

A version never changes, so it is kept by its number. Jobs, gates' limits and alert rules may change at any time by any
process: each such write raises `meta.catalog`, and a cache that sees another number forgets what it knew.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import lru_cache

from ...core.definition import Definition, Job
from ...core.policies import Policies, options_from_json, policies_from_json
from ...core.spread import Spread, spread_of
from ...core.triggers import Trigger
from ..clocks.zones import planned_with
from ..tx import Row, Tx
from .trigger_texts import CACHE_SIZE, trigger_of

DEFINITIONS = (
    "SELECT v.schedule, v.version, v.job, v.trigger, v.policies, v.args, s.workspace, s.name, s.tags, v.zones "
    "FROM schedule_version v JOIN schedule s ON s.id = v.schedule"
)
DEFINITIONS_OF = f"{DEFINITIONS} WHERE v.schedule = ? AND v.version = ?"
JOB_COLUMNS = "id, workspace, name, lane, target, command, options, aliases, tags, about, app, ended_at"


def job_from_row(row: Row) -> Job:
    """A job from the columns of JOB_COLUMNS."""
    return Job(
        id=row[0],
        workspace=row[1],
        name=row[2],
        lane=row[3],
        target=row[4],
        command=row[5],
        options=options_from_json(json.loads(row[6])),
        aliases=tuple(json.loads(row[7])),
        tags=tuple(json.loads(row[8])),
        about=row[9],
        app=row[10],
        ended_at=row[11],
    )


def job_by_name(tx: Tx, name: str) -> Job | None:
    """The job of that name, or the one that has it as an alias."""
    row = tx.row(
        f"SELECT {JOB_COLUMNS} FROM job WHERE workspace = 1 AND name = ? AND ended_at IS NULL", (name,)
    )
    if row is not None:
        return _as_far_as_it_can_be_read(row)
    others = tx.rows(f"SELECT {JOB_COLUMNS} FROM job WHERE aliases <> '[]' AND ended_at IS NULL")
    return next((job for row in others if name in (job := job_from_row(row)).aliases), None)


def _as_far_as_it_can_be_read(row: Row) -> Job:
    """The job; of one that cannot be read, what can be, with its trouble."""
    try:
        return job_from_row(row)
    except Exception as error:
        return Job(row[0], row[1], row[2], row[3], row[4], row[5], app=row[10], trouble=str(error))


@lru_cache(maxsize=4096)
def policies_of(text: str) -> Policies:
    """The policies written as this JSON text."""
    return policies_from_json(json.loads(text))


def spread_in(schedule: int, policies: str, trigger: Trigger) -> Spread | None:
    """What delays the starts of a schedule, from its stored policies; None also where they cannot be read."""
    try:
        return spread_of(schedule, policies_of(policies), trigger)
    except Exception:  # whatever is wrong with one schedule must not hide the others
        return None


class Catalog:
    """A cache of definitions for one engine. Not thread-safe: used inside the engine's own transactions."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._definitions: OrderedDict[tuple[int, int], Definition] = OrderedDict()
        self._revision: str | None = None

    def refresh(self, tx: Tx) -> bool:
        """Forget what may have changed; True if something may have."""
        return self.renew(tx.value("SELECT value FROM meta WHERE key = 'catalog'"))

    def renew(self, revision: str | None) -> bool:
        """The same, where the revision has been read already."""
        if revision == self._revision:
            return False
        self.forget()
        self._revision = revision
        return True

    def forget(self) -> None:
        """Forget everything: it was read in a transaction that was undone, and its revision may come again with another
        content."""
        self._revision = None
        self._jobs.clear()
        self._definitions.clear()

    def job(self, tx: Tx, job: int) -> Job:
        """The job as it is now; of one that cannot be read, what can be, with its trouble."""
        known = self._jobs.get(job)
        if known is None:
            row = tx.row(f"SELECT {JOB_COLUMNS} FROM job WHERE id = ?", (job,))
            assert row is not None, (
                f"the row of job {job} is gone from the database, where nothing removes one"
            )
            self._jobs[job] = known = _as_far_as_it_can_be_read(row)
        return known

    def known_job(self, job: int) -> Job | None:
        """The job, if it is in the cache."""
        return self._jobs.get(job)

    def known_definition(self, schedule: int, version: int) -> Definition | None:
        """The definition, if it is in the cache."""
        return self._definitions.get((schedule, version))

    def definitions(
        self, tx: Tx, wanted: Iterable[tuple[int, int]]
    ) -> tuple[dict[tuple[int, int], Definition], dict[tuple[int, int], str]]:
        """The definitions of (schedule, version) pairs, and a sentence for each that cannot be read."""
        found: dict[tuple[int, int], Definition] = {}
        broken: dict[tuple[int, int], str] = {}
        unknown = []
        for pair in wanted:
            known = self._definitions.get(pair)
            if known is None:
                unknown.append(pair)
            else:
                found[pair] = known
        if unknown:
            self._read(tx, unknown, found, broken)
        return found, broken

    def _read(
        self,
        tx: Tx,
        unknown: Sequence[tuple[int, int]],
        found: dict[tuple[int, int], Definition],
        broken: dict[tuple[int, int], str],
    ) -> None:
        """Read many definitions with one statement; what cannot be read stops none of the others."""
        rows = tx.many_returning(DEFINITIONS_OF, unknown)
        for row in rows:
            pair = (row[0], row[1])
            try:
                found[pair] = self._definition(tx, row)
            except Exception as error:
                if tx.is_of_the_database(error):  # the disk's error, and not the definition's
                    raise
                broken[pair] = f"its definition cannot be read: {error}"
                continue
            if len(self._definitions) >= CACHE_SIZE:
                self._definitions.popitem(last=False)
            self._definitions[pair] = found[pair]
        for pair in unknown:
            if pair not in found and pair not in broken:
                broken[pair] = f"its definition cannot be read: version {pair[1]} is not in the database"

    def _definition(self, tx: Tx, row: Row) -> Definition:
        job = self.job(tx, row[2])
        if job.trouble is not None:
            raise ValueError(f"its job {job.name!r} cannot be read: {job.trouble}")
        trigger, policies = planned_with(tx, trigger_of(row[3]), policies_of(row[4]), row[9])
        return Definition(
            schedule=row[0],
            version=row[1],
            workspace=row[6],
            name=row[7],
            job=job,
            trigger=trigger,
            policies=policies,
            args=row[5],
            tags=() if row[8] == "[]" else tuple(json.loads(row[8])),
            spread=spread_of(row[0], policies, trigger),
        )
