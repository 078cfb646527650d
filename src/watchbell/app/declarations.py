"""What an application has declared, and how it comes into the database: jobs first, then schedules, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import FunctionType
from typing import Any

from ..core.http_request import HttpRequest
from ..core.keys import check_key
from ..core.policies import JobOptions, Policies
from ..core.triggers import Trigger
from ..engine.handlers import Handler, Handlers
from ..errors import BadDeclaration, WatchbellError
from ..store.schedules.creation import Creation
from ..store.schedules.put import Doer, JobSpec, Putting, ScheduleSpec, all_named, find_job, put_job
from ..store.tx import Tx
from . import checks
from .conditions import know_condition
from .job import Job
from .options import policies

_PLAIN = frozenset({str, int, float, bool, type(None), timedelta, FunctionType})
"""Options of these kinds mean the same wherever they are equal and of one kind."""
_MOST_KNOWN = 4096
_NO_OPTIONS = JobOptions()


@dataclass(frozen=True, slots=True)
class Declared:
    """One schedule that a source asks for.

    `key` names it within the source and stays the same over its life. `job` is a job or its name. `trigger` is a trigger
    or its text ("every 5m", "cron 0 3 * * *"); a period of 0 means *not scheduled*. What cannot be scheduled is kept and
    set aside with the reason. `options` are those of `add_schedule`.
    """

    key: str
    job: Job[Any, Any] | str
    trigger: Trigger | str
    args: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    tags: tuple[str, ...] = ()
    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A schedule declared in code."""

    name: str
    job: str
    trigger: Trigger
    args: str
    """JSON text."""
    options: Mapping[str, Any]
    policies: Policies
    """What the options mean."""
    tags: tuple[str, ...]
    enabled: bool
    place: str
    request: HttpRequest | None = None
    """What is sent, where no function is called; its job bears the name of the schedule."""
    job_options: JobOptions = _NO_OPTIONS


class Declarations:
    """Everything one application declares."""

    def __init__(self, app: str, revision: int) -> None:
        self.app = app
        self.revision = revision
        self.jobs: dict[str, Job[Any, Any]] = {}
        self.places: dict[str, str] = {}
        self.wanted: dict[str, Wanted] = {}
        self.handlers = Handlers()
        self.dirty = True
        self._written: set[str] = set()
        self._policies: dict[tuple[tuple[str, type, Any], ...], Policies] = {}
        self.lock = threading.RLock()
        self.around: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function
        """What the host puts around functions of the application (hosts.py)."""

    def add_job(self, job: Job[Any, Any]) -> None:
        """Know a job. BadDeclaration names both places if two have one name."""
        place = job.place
        for name in (job.name, *job.aliases):
            if name in self.places:
                raise BadDeclaration(
                    f"Two jobs are named {name!r}: {self.places[name]} and {place}. Give one of them another name=."
                )
            self.places[name] = place
        target = None
        if job.lane == "process":
            from ..executors.process import (
                process_target,
            )  # of spawning processes only these jobs need to know

            target = process_target(job.function)
            if not job.signature.plain:
                raise BadDeclaration(
                    f"{job.name!r} runs in a process of its own, which takes JSON types only: declare its parameters "
                    "as str, int, float, bool, list or dict."
                )
        self.jobs[job.name] = job
        self.handlers.add(
            Handler(
                job.name,
                job.lane,
                job.function,
                job.signature.run_parameter,
                target,
                job.aliases,
                job.signature.decoder,
            )
        )
        self.dirty = True

    def policies(self, options: Mapping[str, Any]) -> Policies:
        """A schedule's policies from what the user wrote: the same object for the same words, as far as they are plain.
        Raises BadPolicy, BadDuration."""
        given = checks.options(options)
        if not given or not _PLAIN.issuperset(map(type, given.values())):
            return policies(given)
        key = tuple((name, type(value), value) for name, value in given.items())
        known = self._policies.get(key)
        if known is None:
            if len(self._policies) >= _MOST_KNOWN:
                self._policies.clear()
            known = self._policies[key] = policies(given)
        return known

    def add_schedule(self, wanted: Wanted) -> None:
        """Know a schedule. BadDeclaration names both places if two have one name."""
        known = self.wanted.get(wanted.name)
        if known is not None:
            raise BadDeclaration(
                f"Two schedules are named {wanted.name!r}: {known.place} and {wanted.place}. "
                "Give one of them another name=."
            )
        if wanted.request is None:
            know_condition(self.handlers, wanted.options, self.jobs[wanted.job].lane)
        elif wanted.job in self.places:
            raise BadDeclaration(
                f"The job {wanted.job!r} is declared already ({self.places[wanted.job]}); give the request another name."
            )
        else:
            self.places[wanted.job] = wanted.place
        self.wanted[wanted.name] = wanted
        self.dirty = True

    def begin_anew(self) -> None:
        """The database is opened again: everything is declared again with it."""
        self.dirty = True
        self._written.clear()

    def were_written(self) -> None:
        """What `write` has written is durable: from now on only what is declared after it is written."""
        self._written = {
            *(f"job {name}" for name in self.jobs),
            *(f"schedule {name}" for name in self.wanted),
        }

    def write(self, tx: Tx, catalog: Any, doer: Doer) -> dict[str, int]:
        """Write what has been declared since it was written last; returns counts by change."""
        counts = {"added": 0, "changed": 0, "unchanged": 0, "older": 0}
        from ..services.schedules import ring_at_start

        jobs = self._write_jobs(tx, doer)
        wishes = [w for w in self.wanted.values() if f"schedule {w.name}" not in self._written]
        known, putting = all_named(tx, [wanted.name for wanted in wishes]), Putting(tx, catalog, doer)
        for wanted in wishes:
            if (found := known.get(wanted.name)) is not None:
                counts[putting.put(self._spec(tx, wanted, jobs), found).change] += 1
        new, creation = [wanted for wanted in wishes if wanted.name not in known], Creation(tx, doer)
        ids = [creation.add(self._spec(tx, wanted, jobs)) for wanted in new]
        creation.write()
        counts["added"] += len(new)
        for wanted, schedule in zip(new, ids, strict=True):
            if getattr(wanted.trigger, "run_at_start", False):
                ring_at_start(tx, schedule, doer)
        if not self._written:
            self._flag_undeclared(tx, doer)
        return counts

    def _write_jobs(self, tx: Tx, doer: Doer) -> dict[str, int]:
        jobs = {}
        for job in self.jobs.values():
            if f"job {job.name}" in self._written:
                continue
            spec = JobSpec(
                job.name,
                job.lane,
                self.handlers.target(job.name),
                None,
                job.options,
                job.signature.schema(),
                job.aliases,
                job.tags,
                job.about,
                self.app,
                self.revision,
            )
            jobs[job.name] = put_job(tx, spec, doer).id
        for wanted in self.wanted.values():
            if wanted.request is not None and f"schedule {wanted.name}" not in self._written:
                jobs[wanted.job] = put_job(tx, self._of_request(wanted, wanted.request), doer).id
        return jobs

    def _of_request(self, wanted: Wanted, request: HttpRequest) -> JobSpec:
        return JobSpec(
            wanted.job,
            request.lane,
            command=request.to_text(),
            options=wanted.job_options,
            tags=wanted.tags,
            app=self.app,
            revision=self.revision,
        )

    def _spec(self, tx: Tx, wanted: Wanted, jobs: dict[str, int]) -> ScheduleSpec:
        job = self.jobs.get(wanted.job)
        known = job_named(tx, wanted.job, jobs)
        assert known is not None, "a schedule's job is declared with it"
        return ScheduleSpec(
            name=wanted.name,
            job=known,
            trigger=wanted.trigger,
            policies=wanted.policies,
            args=wanted.args,
            tags=wanted.tags,
            about="" if job is None else job.about,
            enabled=wanted.enabled,
            app=self.app,
            revision=self.revision,
        )

    def _flag_undeclared(self, tx: Tx, doer: Doer) -> None:
        """What an older revision of this app declared and this one does not: flagged, and it keeps running."""
        rows = tx.rows(
            "SELECT id, name FROM schedule WHERE app = ? AND source IS NULL AND ended_at IS NULL AND "
            "undeclared_at IS NULL AND revision <= ?",
            (self.app, self.revision),
        )
        # The revision that no longer declares it is written down too: an older process that comes up once more, in a
        # rolling deploy, then changes nothing.
        gone = [(doer.now, self.revision, row[0]) for row in rows if row[1] not in self.wanted]
        tx.many("UPDATE schedule SET undeclared_at = ?, revision = ? WHERE id = ?", gone)

    def wish(
        self, tx: Tx, source: str, item: Declared, jobs: dict[str, int]
    ) -> tuple[str, ScheduleSpec | str, int]:
        """A source's item as (key, the wish or why it cannot be scheduled, job). `jobs`: those that were found already."""
        checks.kind(item, Declared, f"What the source {source!r} gives")
        checks.kind(item.job, (Job, str), "The job of a schedule")
        key = check_key(str(item.key), f"The key of a schedule of source {source!r}", BadDeclaration)
        name = item.job if isinstance(item.job, str) else item.job.name
        found = job_named(tx, name, jobs)
        if found is None:
            raise BadDeclaration(
                f"Source {source!r} asks for the job {name!r}, which nobody has declared (key {key!r})."
            )
        try:
            trigger = checks.bindable(checks.trigger(item.trigger))
            job = self.jobs.get(name)
            know_condition(self.handlers, item.options, None if job is None else job.lane)
            spec = ScheduleSpec(
                name=checks.name(item.name or f"{source}:{key}", "The name of a schedule"),
                job=found,
                trigger=trigger,
                policies=self.policies(item.options),
                args=checks.as_json(item.args)
                if job is None
                else job.signature.to_json(checks.arguments(item.args)),
                tags=checks.names(item.tags, "tags"),
                enabled=checks.flag(item.enabled, "enabled"),
                app=self.app,
                revision=self.revision,
                source=source,
                source_key=key,
            )
        except WatchbellError as error:
            return key, str(error), found
        return key, spec, found


def job_named(tx: Tx, name: str, known: dict[str, int]) -> int | None:
    """The job of that name, asked of the database once for all schedules of one declaration."""
    if name not in known and (found := find_job(tx, name)) is not None:
        known[name] = found
    return known.get(name)
