"""Runs as people ask for them: run now, cancel, list, show, logs, wait."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..clock import Clock
from ..core.definition import Definition, Job
from ..core.instants import human_duration
from ..core.states import TERMINAL, State
from ..errors import BadInput, NotFound, WaitedTooLong
from ..store import ledger, listing, rates
from ..store.base import Store
from ..store.ledger import Wanted
from ..store.runs import Wish, enqueue, request_cancel
from ..store.schedules.catalog import Catalog, job_by_name
from ..store.schedules.put import Doer, find_job
from ..store.tx import Tx
from . import arguments
from .moments import UTC, utc
from .run_views import RunPage, RunView, SpanView, attempt_view, span_view, view, zones_of
from .schedule_views import meant

__all__ = [
    "Ask",
    "Filters",
    "LogLine",
    "LogPage",
    "Pages",
    "RunNow",
    "RunPage",
    "RunView",
    "SpanView",
    "cancel",
    "list_runs",
    "logs",
    "run_id",
    "run_now",
    "show",
    "wait",
]

PAGE = 50
MOST = 1000
LOG_PAGE = 1000
LOOK_US = 20_000


@dataclass(frozen=True, slots=True)
class RunNow:
    """The run that was asked for. `new` is False where its key had one already."""

    run: int
    new: bool
    state: str
    job: str
    schedule: str | None
    sentence: str
    key_expires_at: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "id": f"run_{self.run}",
            "new": self.new,
            "state": self.state,
            "job": self.job,
            "schedule": self.schedule,
            "sentence": self.sentence,
            "key_expires_at": utc(self.key_expires_at),
        }


@dataclass(frozen=True, slots=True)
class Filters:
    """Which runs to list. `spans` adds what is kept as spans; `cursor` is the `next` of the page before."""

    schedule: str | None = None
    job: str | None = None
    states: Sequence[str] = ()
    since: int | None = None
    spans: bool = False
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Pages:
    """A page of the ledger, newest first; `next` leads to the one behind it, None on the last."""

    items: tuple[RunView | SpanView, ...]
    next: str | None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"items": [item.to_json() for item in self.items], "next": self.next}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a run's log."""

    seq: int
    at: int
    stream: str
    level: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "seq": self.seq,
            "at": utc(self.at),
            "stream": self.stream,
            "level": self.level,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines of a run's log, oldest first; `after` is what to ask on with, `ended` that no more will come."""

    run: int
    items: tuple[LogLine, ...]
    after: int
    ended: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "run": f"run_{self.run}",
            "items": [line.to_json() for line in self.items],
            "after": self.after,
            "ended": self.ended,
        }


@dataclass(frozen=True, slots=True)
class Ask:
    """How a run by hand is asked for. `pairs` are `name=value` texts, read by the job's signature; `args` are values;
    both go on top of the schedule's own. `at` is when it may begin, None for now."""

    args: Mapping[str, Any] = field(default_factory=dict)
    pairs: Sequence[str] = ()
    key: str | None = None
    at: int | None = None
    priority: int | None = None
    cause: int | None = None


def run_id(text: str | int) -> int:
    """The number of a run from `run_12` or `12`. BadInput says how to write it."""
    match = re.fullmatch(r"(?:run_)?([0-9]{1,18})", str(text).strip())
    if match is None:
        raise BadInput(f"{text!r} is no run; write run_12, as `watchbell run list` shows it.")
    return int(match[1])


def run_now(store: Store, name: str, ask: Ask = Ask(), *, now: int, actor: str) -> RunNow:
    """Ask for a run of a schedule, or of a job where no schedule has that name. It begins where an engine runs.

    Raises NotFound, BadArguments, KeyTaken, and Conflict where the schedule's overlap policy forbids it now.
    """
    doer = Doer(actor, now)

    def work(tx: Tx) -> RunNow:
        job, definition, base, schedule = _what(tx, name)
        signature = listing.job_parameters(tx, job.id)
        args = {**base, **arguments.read_pairs(ask.pairs, signature), **ask.args}
        text = arguments.check(args, signature, job.name)
        wish = Wish(
            job=job,
            args=text,
            at=ask.at,
            key=ask.key,
            definition=definition,
            priority=ask.priority,
            cause=ask.cause,
        )
        made = enqueue(tx, wish, doer)
        tx.poke()
        sentence = f"run_{made.run} of {name} is {made.state}."
        if definition is not None and definition.policies.condition is not None:
            sentence += " Its condition is not asked: a person has."
        if not made.new:
            sentence = f"run_{made.run} has this key already and is {made.state}; no other was made."
        return RunNow(made.run, made.new, made.state, job.name, schedule, sentence, made.key_expires_at)

    return store.write(work)


def _what(tx: Tx, name: str) -> tuple[Job, Definition | None, dict[str, Any], str | None]:
    """The job, the schedule's definition and its arguments that a name stands for; a schedule's name comes first."""
    row = listing.schedule_by_name(tx, name)
    catalog = Catalog()
    if row is None:
        found = job_by_name(tx, name)
        if found is None:
            raise NotFound(
                f"There is no schedule or job named {name!r}; {meant(listing.alike(tx, name), name)}"
            )
        return found, None, {}, None
    known, _ = catalog.definitions(tx, [(row.id, row.version)])
    definition = known.get((row.id, row.version))
    if definition is None:  # set aside, because its rule cannot be read: its job can be run all the same
        return catalog.job(tx, row.job), None, json.loads(row.args), row.name
    return definition.job, definition, json.loads(definition.args), row.name


def cancel(store: Store, run: str | int, *, now: int, actor: str, why: str = "") -> str:
    """Ask a run to end; returns a sentence that says whether it has ended or will. NotFound, Conflict."""
    number = run_id(run)
    note = why or f"Cancelled by {actor}."

    def work(tx: Tx) -> str:
        tx.poke()
        return request_cancel(tx, number, note, Doer(actor, now))

    what = store.write(work)
    if what == "cancelled":
        return f"run_{number} is cancelled; it had not begun."
    return f"run_{number} was asked to end; `watchbell run show run_{number}` says when it has."


def list_runs(store: Store, filters: Filters = Filters(), *, now: int, limit: int = PAGE) -> Pages:
    """A page of the ledger, newest first: one schedule in the order of its instants, else in the order of writing."""
    many = max(1, min(limit, MOST))
    states = _states(filters.states)
    before, spans_before = _cursor(filters.cursor)

    def work(tx: Tx) -> Pages:
        wanted = Wanted(
            schedule=None if filters.schedule is None else _schedule(tx, filters.schedule),
            job=None if filters.job is None else _job(tx, filters.job),
            states=states,
            since=filters.since,
            before=before,
            spans_before=spans_before,
        )
        rows = ledger.entries(tx, wanted, many + 1)
        spans = ledger.spans(tx, wanted, many + 1) if filters.spans else []
        return _page(tx, wanted, rows, spans, now, many)

    return store.read(work)


def _page(
    tx: Tx,
    wanted: Wanted,
    rows: list[ledger.Entry],
    spans: list[ledger.SpanEntry],
    now: int,
    many: int,
) -> Pages:
    """Two streams merged; the page's cursor says how far each was read."""
    by_due = wanted.schedule is not None
    keyed: list[tuple[int, ledger.Entry | ledger.SpanEntry]] = [
        *((row.due_at if by_due else row.planned_at, row) for row in rows),
        *((span.to_at if by_due else span.planned_at, span) for span in spans),
    ]
    keyed.sort(key=lambda pair: pair[0], reverse=True)  # stable: within one stream the order stays
    taken = [item for _, item in keyed[:many]]
    zones = zones_of(tx, {item.schedule for item in taken if item.schedule is not None})
    items: list[RunView | SpanView] = []
    last, last_span = wanted.before, wanted.spans_before
    for item in taken:
        tz = zones.get(item.schedule or 0, UTC)
        if isinstance(item, ledger.Entry):
            items.append(view(item, tz, now))
            last = (item.due_at, item.id)
        else:
            items.append(span_view(item, tz))
            last_span = (item.to_at, item.id)
    more = len(keyed) > many
    return Pages(tuple(items), _cursor_text(last, last_span) if more else None)


def _cursor_text(last: tuple[int, int] | None, last_span: tuple[int, int] | None) -> str:
    return ".".join("" if pair is None else f"{pair[0]}_{pair[1]}" for pair in (last, last_span))


def _cursor(text: str | None) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    if text is None:
        return None, None
    match = re.fullmatch(r"(?:(-?[0-9]{1,19})_([0-9]{1,19}))?\.(?:(-?[0-9]{1,19})_([0-9]{1,19}))?", text)
    if match is None:
        raise BadInput(f"{text!r} is no page; give the `next` of the page before, as it stands.")
    row = None if match[1] is None else (int(match[1]), int(match[2]))
    return row, None if match[3] is None else (int(match[3]), int(match[4]))


def _states(names: Sequence[str]) -> frozenset[State]:
    try:
        return frozenset(State(name) for name in names)
    except ValueError:
        wrong = next(name for name in names if name not in list(State))
        raise BadInput(f"{wrong!r} is no state; it is one of {', '.join(State)}.") from None


def _schedule(tx: Tx, name: str) -> int:
    row = listing.schedule_by_name(tx, name)
    found = row.id if row is not None else listing.ended_id(tx, name)
    if found is None:
        raise NotFound(f"There is no schedule named {name!r}; {meant(listing.alike(tx, name), name)}")
    return found


def _job(tx: Tx, name: str) -> int:
    found = find_job(tx, name)
    row = listing.job_named(tx, name) if found is None else None
    if found is None and row is None:
        raise NotFound(f"There is no job named {name!r}; {meant(listing.alike(tx, name), name)}")
    return int(found if row is None else row[0])  # type: ignore[arg-type]


def show(store: Store, run: str | int, *, now: int) -> RunPage:
    """Everything about one run, but its log. NotFound."""
    number = run_id(run)

    def work(tx: Tx) -> RunPage:
        entry = _entry(tx, number)
        tz = zones_of(tx, set() if entry.schedule is None else {entry.schedule}).get(entry.schedule or 0, UTC)
        more = ledger.details(tx, number)
        held = rates.told(tx, number, entry.held_by, now) if entry.state == State.HELD else None
        return RunPage(view(entry, tz, now, held), more, tuple(attempt_view(row) for row in more.attempts))

    return store.read(work)


def _entry(tx: Tx, number: int) -> ledger.Entry:
    entry = ledger.entry(tx, number)
    if entry is None:
        raise NotFound(f"There is no run_{number}; `watchbell run list` shows the latest.")
    return entry


def logs(store: Store, run: str | int, *, after: int = -1, limit: int = LOG_PAGE) -> LogPage:
    """The lines of a run's log behind line `after`. NotFound."""
    number = run_id(run)
    many = max(1, min(limit, LOG_PAGE))

    def work(tx: Tx) -> LogPage:
        state = ledger.state_of(tx, number)
        if state is None:
            raise NotFound(f"There is no run_{number}; `watchbell run list` shows the latest.")
        lines = [LogLine(*line) for line in ledger.log_lines(tx, number, after, many + 1)]
        kept = tuple(lines[:many])
        last = kept[-1].seq if kept else after
        return LogPage(number, kept, last, State(state) in TERMINAL and len(lines) <= many)

    return store.read(work)


def wait(store: Store, run: str | int, *, clock: Clock, timeout_us: int | None = None) -> RunPage:
    """Wait until a run has ended, and show it. WaitedTooLong leaves the run as it is. NotFound."""
    number = run_id(run)
    began = clock.mono_ns()
    never = threading.Event()
    while True:
        state = store.read(lambda tx: ledger.state_of(tx, number))
        if state is None or State(state) in TERMINAL:
            return show(store, number, now=clock.wall_us())
        waited = (clock.mono_ns() - began) // 1000
        if timeout_us is not None and waited >= timeout_us:
            raise WaitedTooLong(
                f"run_{number} is still {state.replace('_', ' ')} after {human_duration(timeout_us)}; it goes on: "
                f"`watchbell run show run_{number}`."
            )
        clock.wait(never, LOOK_US if timeout_us is None else min(LOOK_US, max(1, timeout_us - waited)))
