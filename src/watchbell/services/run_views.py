"""Runs and other occurrences as they are shown: one row each, spans beside them, with one sentence about each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..core.instants import human_age, human_duration
from ..core.rates import held_by_rate
from ..core.states import LIVE, State
from ..store.ledger import Details, Entry, SpanEntry
from ..store.schedules.trigger_texts import trigger_of
from ..store.tx import Row, Tx
from .moments import UTC, ago, due, many, moment, utc

_REASONS = {
    "downtime": "no engine was running",
    "suspend": "the machine was asleep",
    "clock_jump": "the clock was set forward past it",
    "start_deadline": "it could not begin before its start deadline",
    "no_capacity": "there was no free slot before the next one fell due",
    "handler_missing": "no node has the code of its job",
    "catchup_none": "its catch-up policy is none",
    "catchup_window": "it was older than its catch-up window",
    "catchup_limit": "there were more than its catch-up limit",
    "restored": "the database was restored from a backup",
    "store_full": "there was no room to write",
    "overlap": "an earlier occurrence was still active and its overlap policy is skip",
    "paused": "the schedule was paused",
    "disabled": "the schedule was disabled",
    "set_aside": "the schedule was set aside",
    "blackout": "it fell into a blackout",
    "condition": "its condition did not hold",
    "quota": "its quota was used up",
    "replaced": "a later one took its place",
    "begun": "its node died while it ran; how far it came is unknown",
    "begin_unknown": "its node died when it was about to begin; it may or may not have begun",
    "shutdown": "the engine was shut down",
    "by_request": "somebody asked for it",
}


_NODE_DIED = "Its node died"
"""So begins the note of a run whose node has gone, which says what the reason says."""


def because(reason: str | None) -> str:
    """A reason of the closed list, in words."""
    return "" if reason is None else _REASONS.get(reason, reason)


@dataclass(frozen=True, slots=True)
class RunView:
    """One row of the ledger, with its run. Instants in microseconds UTC."""

    entry: Entry
    tz: str
    sentence: str
    ready_at: int | None = None

    @property
    def id(self) -> str:
        """The public id."""
        return f"run_{self.entry.id}"

    @property
    def state(self) -> str:
        """Where it stands."""
        return self.entry.state

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return State(self.entry.state) in LIVE

    @property
    def name(self) -> str:
        """What people call it: its schedule, or the job run by hand."""
        return self.entry.schedule_name or self.entry.job_name

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        row = self.entry
        return {
            "kind": "run",
            "id": self.id,
            "schedule": row.schedule_name,
            "job": row.job_name,
            "lane": row.lane,
            "origin": row.origin,
            **due(row.due_at, self.tz),
            "state": row.state,
            "reason": row.reason,
            "sentence": self.sentence,
            "attempt": row.attempt,
            "start_at": utc(row.start_at),
            "ready_at": utc(row.ready_at if self.ready_at is None else self.ready_at),
            "planned_at": utc(row.planned_at),
            "claimed_at": utc(row.claimed_at),
            "began_at": utc(row.began_at),
            "ended_at": utc(row.ended_at),
            "duration_us": None
            if row.began_at is None or row.ended_at is None
            else row.ended_at - row.began_at,
            "exit_code": row.exit_code,
            "error": row.error,
            "note": row.note,
            "held_by": row.held_by,
            "into": None if row.into_id is None else f"run_{row.into_id}",
            "cause": None if row.cause_id is None else f"run_{row.cause_id}",
            "key": row.key,
            "args": None if row.args is None else json.loads(row.args),
            "asked_to_end": row.revoke,
            "resolved": row.resolved,
            "stands_for": row.stands_for,
            "history": row.history,
        }


@dataclass(frozen=True, slots=True)
class SpanView:
    """Many occurrences with one ending."""

    entry: SpanEntry
    tz: str
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """As JSON data; `due_at` is the end of the span."""
        row = self.entry
        return {
            "kind": "span",
            "schedule": row.schedule_name,
            "from_at": utc(row.from_at),
            **due(row.to_at, self.tz),
            "count": row.count,
            "state": row.ending,
            "reason": row.reason,
            "sentence": self.sentence,
            "into": None if row.into_id is None else f"run_{row.into_id}",
            "planned_at": utc(row.planned_at),
        }


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt of a run that needed more than one."""

    number: int
    claimed_at: int | None
    began_at: int | None
    ended_at: int | None
    ending: str
    reason: str | None
    error: str | None
    traceback: str | None
    exit_code: int | None
    peak_memory: int | None
    cpu_us: int | None
    note: str | None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "number": self.number,
            "claimed_at": utc(self.claimed_at),
            "began_at": utc(self.began_at),
            "ended_at": utc(self.ended_at),
            "ending": self.ending,
            "reason": self.reason,
            "error": self.error,
            "traceback": self.traceback,
            "exit_code": self.exit_code,
            "peak_memory": self.peak_memory,
            "cpu_us": self.cpu_us,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class RunPage:
    """Everything about one run, but its log."""

    run: RunView
    details: Details
    attempts: tuple[AttemptView, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        more = self.details
        progress = None
        if more.progress is not None:
            done, of, message, at = more.progress
            progress = {"done": done, "of": of, "message": message, "at": utc(at)}
        return {
            **self.run.to_json(),
            "result": None if more.result is None else _json_or_text(more.result),
            "traceback": more.traceback,
            "peak_memory": more.peak_memory,
            "cpu_us": more.cpu_us,
            "pid": more.pid,
            "node": more.node_name,
            "progress": progress,
            "log_lines": more.log_lines,
            "attempts": [one.to_json() for one in self.attempts],
        }


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def view(entry: Entry, tz: str, now: int, rate: tuple[str, int] | None = None) -> RunView:
    """A row of the ledger with its sentence; `rate` is what it waits for in words, and until when, where that is known."""
    if rate is not None:
        return RunView(entry, tz, f"waits for {rate[0]}, until {moment(rate[1], tz)}", rate[1])
    return RunView(entry, tz, _sentence(entry, now))


def span_view(entry: SpanEntry, tz: str) -> SpanView:
    """A span with its sentence."""
    text = f"{entry.ending} × {entry.count:,}, {moment(entry.from_at, tz)} to {moment(entry.to_at, tz)}"
    if entry.reason is not None:
        text += f": {because(entry.reason)}"
    if entry.into_id is not None:
        text += f"; run_{entry.into_id} stands for them"
    return SpanView(entry, tz, text)


def attempt_view(row: Row) -> AttemptView:
    """An attempt from its row."""
    return AttemptView(*row)


def zones_of(tx: Tx, schedules: set[int]) -> dict[int, str]:
    """The zone in which people read each schedule's instants."""
    rows = tx.many_returning(
        "SELECT v.schedule, v.trigger FROM schedule_version v JOIN schedule s ON s.id = v.schedule AND "
        "s.version = v.version WHERE s.id = ?",
        [(schedule,) for schedule in sorted(schedules)],
    )
    found = {}
    for schedule, text in rows:
        try:
            zones = trigger_of(text).zones()
        except Exception:  # a rule that cannot be read any more still has a ledger
            zones = ()
        found[schedule] = zones[0] if zones else UTC
    return found


def _sentence(row: Entry, now: int) -> str:
    state = State(row.state)
    if state in LIVE:
        return _standing(row, state, now)
    text = row.state.replace("_", " ")
    if row.began_at is not None and row.ended_at is not None:
        took = human_duration(max(0, row.ended_at - row.began_at))
        text += f" after {row.attempt} attempts, the last of {took}" if row.attempt > 1 else f" after {took}"
    elif row.attempt > 1:
        text += f" after {row.attempt} attempts"
    told = first_line(row.error) if row.error and row.error.strip() else because(row.reason)
    note = "" if row.note is None else row.note.strip().rstrip(".")
    if row.reason in ("by_request", "restored") and note:
        told = note[:1].lower() + note[1:] if row.reason == "restored" else note
    if state is State.LOST and note and not note.startswith(_NODE_DIED):
        told = note if row.reason == "begun" else f"{note}; it may or may not have begun"
    if state is State.COALESCED and row.into_id is not None:
        return f"coalesced: run_{row.into_id} stands for it"
    if state is State.SKIPPED and row.into_id is not None:
        told = (
            f"run_{row.into_id} was still active and its overlap policy is skip"
            if row.reason == "overlap"
            else told
        )
    if told:
        text += f": {told}"
    if note and state is not State.LOST and note.lower() != told.lower():
        text += f" ({note})"
    return f"{text}; resolved: {row.resolved}" if row.resolved else text


def first_line(error: str) -> str:
    """What went wrong in one line, as a part of a sentence."""
    return error.strip().splitlines()[0].rstrip(".")


def _standing(row: Entry, state: State, now: int) -> str:
    asked = "; it was asked to end" if row.revoke else ""
    if state is State.WAITING:
        what = "start" if row.start_at > row.due_at else "time"
        return f"waits for its {what}, {ago(row.ready_at or row.start_at, now)}"
    if state is State.QUEUED:
        waited = human_age(now - max(row.start_at, row.planned_at))
        return f"has been queued for {waited}: it waits for a node that runs, has its code and labels, and a free slot"
    if state is State.HELD and (rate := held_by_rate(row.held_by)) is not None:
        return f"waits for {rate}"
    if state is State.HELD:
        behind = (
            "an earlier run of its schedule" if row.held_by == "overlap" else f"the limit of {row.held_by}"
        )
        return f"is held behind {behind}" + (f" (run_{row.into_id})" if row.into_id is not None else "")
    if state is State.RETRYING:
        return f"failed {many(row.attempt, 'time')}; the next attempt begins {ago(row.ready_at or now, now)}"
    if state is State.CLAIMED:
        return f"is about to begin, or has just begun{asked}"
    ran = human_age(now - (row.began_at or row.claimed_at or now))
    return f"has been running for {ran}{asked}"
