"""Schedules as they are shown: what each is, when it is due next, and why it is not when it is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.audit.evidence import Present
from ..core.blackout import thinned
from ..core.explain.outlook import Outlook, coming, standing_sentence
from ..core.triggers import Trigger
from ..errors import NotFound
from ..store import listing
from ..store.base import Store
from ..store.listing import ScheduleRow, Sought
from ..store.schedules import pending
from ..store.schedules.catalog import policies_of, spread_in
from ..store.schedules.creation import Made
from ..store.schedules.ground import KnownJob
from ..store.schedules.specs import ScheduleSpec
from ..store.tx import Row, Tx
from .commands import for_people
from .engines import LATE_US
from .explain import standings
from .moments import UTC, due, utc
from .previews import read_trigger

__all__ = [
    "Changed",
    "Last",
    "SchedulePage",
    "ScheduleView",
    "Sought",
    "list_schedules",
    "meant",
    "returns",
    "show",
    "unknown_schedule",
]

PAGE = 100
MOST = 1000


@dataclass(frozen=True, slots=True)
class Last:
    """The newest occurrence of a schedule that fell due; where none ever did, its newest run by hand (`origin` says
    which)."""

    run: int
    state: str
    reason: str | None
    due_at: int
    ended_at: int | None
    origin: str = "scheduled"
    at_start: bool = False
    """Whether it is the run that `run_at_start` asks for: it was written with its schedule."""

    @property
    def by_hand(self) -> bool:
        """Whether somebody asked for it."""
        return self.origin not in ("scheduled", "backfill")


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as it stands. `next_due_at` is never behind now: then `overdue_us` says how far it is behind."""

    id: int
    name: str
    job: str
    lane: str
    version: int
    trigger: str
    rule: str
    tz: str
    standing: str
    next_due_at: int | None
    next_start_at: int | None
    overdue_us: int | None
    sentence: str
    policies: dict[str, Any]
    args: dict[str, Any]
    tags: tuple[str, ...]
    about: str
    app: str | None
    source: str | None
    undeclared_at: int | None
    created_at: int
    last: Last | None
    command: dict[str, Any] | None
    pending: dict[str, Any] | None = None
    """The edit that waits for its instant."""
    options: dict[str, Any] = field(default_factory=dict)
    """What its job says of all its runs, where that is not the default."""

    def to_json(self) -> dict[str, Any]:
        """As JSON data: `due_at` is the next due instant, null when there is none ahead."""
        last = None
        if self.last is not None:
            last = {
                "run": f"run_{self.last.run}",
                "origin": self.last.origin,
                "at_start": self.last.at_start,
                "state": self.last.state,
                "reason": self.last.reason,
                **due(self.last.due_at, self.tz),
                "ended_at": utc(self.last.ended_at),
            }
        return {
            "name": self.name,
            "job": self.job,
            "lane": self.lane,
            "trigger": self.trigger,
            "rule": self.rule,
            "standing": self.standing,
            **due(self.next_due_at, self.tz),
            "next_start_at": utc(self.next_start_at),
            "overdue_us": self.overdue_us,
            "sentence": self.sentence,
            "policies": self.policies,
            "options": self.options,
            "args": self.args,
            "tags": list(self.tags),
            "about": self.about,
            "app": self.app,
            "source": self.source,
            "undeclared_at": utc(self.undeclared_at),
            "created_at": utc(self.created_at),
            "version": self.version,
            "last": last,
            "command": self.command,
            "pending": self.pending,
        }


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """A page of schedules by name; `next` is what to ask for the next page with, None on the last."""

    items: tuple[ScheduleView, ...]
    next: str | None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"items": [item.to_json() for item in self.items], "next": self.next}


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change has done, with a sentence; `changed` is False where everything was so already."""

    name: str
    changed: bool
    sentence: str
    dropped: int = 0

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "name": self.name,
            "changed": self.changed,
            "sentence": self.sentence,
            "dropped": self.dropped,
        }


def list_schedules(
    store: Store,
    sought: Sought = Sought(),
    *,
    now: int,
    limit: int = PAGE,
) -> SchedulePage:
    """A page of the schedules that are sought, by name."""
    wanted = max(1, min(limit, MOST))

    def work(tx: Tx) -> SchedulePage:
        rows = listing.schedules(tx, sought, wanted + 1)
        said = _sentences(tx, rows[:wanted], now)
        views = tuple(_view(tx, row, said[row.id], now) for row in rows[:wanted])
        return SchedulePage(views, views[-1].name if len(rows) > wanted else None)

    return store.read(work)


def show(store: Store, name: str, *, now: int) -> ScheduleView:
    """One schedule. NotFound with the nearest names."""

    def work(tx: Tx) -> ScheduleView:
        row = listing.schedule_by_name(tx, name)
        if row is None:
            raise unknown_schedule(tx, name)
        return _view(tx, row, _sentences(tx, [row], now)[row.id], now)

    return store.read(work)


def unknown_schedule(tx: Tx, name: str) -> NotFound:
    """The error for a name that no schedule has, with those that were perhaps meant."""
    if listing.ended_id(tx, name) is not None:
        return NotFound(
            f"The schedule {name!r} was removed; its runs are still there: `watchbell run list --schedule`."
        )
    return NotFound(f"There is no schedule named {name!r}; {meant(listing.alike(tx, name), name)}")


def returns(source: str | None) -> str:
    """What to know before one is gone that a source wants."""
    if source is None:
        return ""
    return (
        f" It belongs to the source {source!r} and will return with the next reading unless its row goes; "
        "`watchbell schedule pause` keeps it still instead."
    )


def meant(names: list[str], name: str) -> str:
    """What to try instead of a name that nobody has."""
    import difflib

    near = difflib.get_close_matches(name, names, 3)
    if near:
        return f"did you mean {' or '.join(repr(one) for one in near)}?"
    return "`watchbell schedule list` shows them all."


def sentence_of(store: Store, schedule: int, *, now: int) -> str:
    """Where one schedule stands, in words."""

    def work(tx: Tx) -> str:
        row = listing.schedule_by_id(tx, schedule)
        return _sentences(tx, [row], now)[schedule]

    return store.read(work)


def view_of_new(spec: ScheduleSpec, made: Made, job: KnownJob, *, running: bool, now: int) -> ScheduleView:
    """A schedule as `show` shows it, from what was written this very moment: on, and nothing of it has come due or was
    asked for. `running`: whether there is an engine."""
    row = ScheduleRow(
        id=made.id,
        name=spec.name,
        job=job.id,
        job_name=job.name,
        lane=job.lane,
        command=job.command,
        version=1,
        tags=made.tags,
        about=spec.about,
        app=spec.app,
        source=spec.source,
        source_key=spec.source_key,
        standing=made.standing,
        set_aside=None,
        undeclared_at=None,
        created_at=now,
        next_due=made.next_due,
        planned_until=now,
        trigger=made.trigger,
        policies=made.policies,
        args=spec.args,
        effective_from=now,
        options=job.options,
        revision=spec.revision,
    )
    chained = getattr(made.rule, "after_completion", False)
    outlook = Outlook(
        name=spec.name,
        tz=getattr(made.rule, "tz", None) or UTC,
        trigger=made.rule if chained else thinned(made.rule, made.blackouts),
        created_at=now,
        next_due=made.next_due,
        job=job.name,
        lane=job.lane,
    )
    return _shown(row, made.here, standing_sentence(outlook, Present(now), running), now)


def _view(tx: Tx, row: ScheduleRow, said: str, now: int) -> ScheduleView:
    trigger = read_trigger(row.trigger)
    return _shown(row, trigger, said, now, listing.last_of(tx, row.id, row.job), pending.edit_of(tx, row.id))


def _shown(
    row: ScheduleRow,
    trigger: Trigger | None,
    said: str,
    now: int,
    last: Row | None = None,
    waits: pending.PendingEdit | None = None,
) -> ScheduleView:
    if trigger is None and row.standing == "on":  # no engine has met it yet, or it would be set aside
        said = "not scheduled: its rule cannot be read by this machine."
    behind = row.next_due is not None and row.next_due < now
    late = behind and row.next_due is not None and now - row.next_due > LATE_US
    ahead = pending.next_with(waits, row.next_due) if row.standing == "on" else row.next_due
    if behind:
        blackouts = policies_of(row.policies).blackouts
        ahead = None if trigger is None else coming(thinned(trigger, blackouts), row.next_due, now)
    spread = None if trigger is None else spread_in(row.id, row.policies, trigger)
    return ScheduleView(
        id=row.id,
        name=row.name,
        job=row.job_name,
        lane=row.lane,
        version=row.version,
        trigger=row.trigger if trigger is None else trigger.to_text(),
        rule="cannot be read" if trigger is None else trigger.describe(),
        tz=UTC if trigger is None or not trigger.zones() else trigger.zones()[0],
        standing=row.standing,
        next_due_at=ahead,
        next_start_at=ahead if spread is None or ahead is None else spread.start_at(ahead),
        overdue_us=now - row.next_due if late and row.next_due is not None else None,
        sentence=said,
        policies=json.loads(row.policies),
        args=json.loads(row.args),
        tags=tuple(json.loads(row.tags)),
        about=row.about,
        app=row.app,
        source=row.source,
        undeclared_at=row.undeclared_at,
        created_at=row.created_at,
        last=None if last is None else _last(last, row, trigger),
        command=for_people(row.command),
        pending=None if waits is None else waits.to_json(),
        options=json.loads(row.options),
    )


def _last(row: Row, schedule: ScheduleRow, trigger: Trigger | None) -> Last:
    rings = getattr(trigger, "run_at_start", False)
    at_start = rings and row[5] == "manual" and row[3] == schedule.created_at
    return Last(row[0], row[1], row[2], row[3], row[4], row[5], at_start)


def _sentences(tx: Tx, rows: Sequence[ScheduleRow], now: int) -> dict[int, str]:
    """Where each schedule stands, in words. One that cannot be read must not hide the others."""
    try:
        return standings(tx, [row.id for row in rows], now)
    except Exception:
        if len(rows) > 1:
            return {key: text for row in rows for key, text in _sentences(tx, [row], now).items()}
    return {
        row.id: f"set aside: {row.set_aside or 'its rule cannot be read by this machine'}." for row in rows
    }
