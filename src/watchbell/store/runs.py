"""Runs by hand: asked for now or for later, once per business key, and asked to end."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from ..core.definition import Definition, Job
from ..core.instants import to_text
from ..core.keys import check_key
from ..core.overlap import admit
from ..core.states import LIVE, UNSTARTED, State, check, sql_list
from ..errors import BadInput, Conflict, KeyTaken, NotFound
from . import gates
from .business_keys import expire_keys
from .journal import record
from .schedules.put import Doer
from .schedules.standing import follow_chain
from .tx import Tx


@dataclass(frozen=True, slots=True)
class Wish:
    """A run that somebody asks for. `args` is JSON text; `at` is when it may start (None: now)."""

    job: Job
    args: str
    at: int | None = None
    key: str | None = None
    definition: Definition | None = None
    priority: int | None = None
    cause: int | None = None


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The run, and whether it was made by this call (False: the business key had one already)."""

    run: int
    new: bool
    state: str
    key_expires_at: int | None = None


def enqueue(tx: Tx, wish: Wish, doer: Doer) -> Enqueued:
    """Write a run by hand. Conflict if its schedule forbids it now; KeyTaken if its key was used with other arguments;
    BadInput if no database can hold it."""
    if wish.key is not None:
        check_key(wish.key, "The key of a run")
    run = tx.next_id("occurrence")
    if wish.key is not None and (known := _by_key(tx, wish, run, doer.now)) is not None:
        return known
    state, held_by, into = _entry(tx, wish, run, doer)
    usual = wish.job.options.priority if wish.definition is None else wish.definition.priority
    priority = usual if wish.priority is None else wish.priority
    start = doer.now if wish.at is None else wish.at
    tx.later(
        "INSERT INTO occurrence (id, workspace, schedule, version, job, origin, due_at, start_at, state, lane, "
        "priority, ready_at, gates, held_by, planned_at, cause_id, key, args, into_id) "
        "VALUES (?, ?, ?, ?, ?, 'manual', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run,
            wish.job.workspace,
            None if wish.definition is None else wish.definition.schedule,
            None if wish.definition is None else wish.definition.version,
            wish.job.id,
            start,
            start,
            state.value,
            wish.job.lane,
            priority,
            start if state is State.WAITING else None,
            json.dumps(wish.job.gates) if wish.job.gates else None,
            held_by,
            doer.now,
            wish.cause,
            wish.key,
            wish.args,
            into,
        ),
    )
    if (
        held_by == "overlap"
        and wish.definition is not None
        and gates.admit_held(tx, wish.definition.schedule)
    ):
        state = State.QUEUED  # all that was in its way could be ended at once
    return Enqueued(run, True, state.value)


def enqueue_many(tx: Tx, job: Job, items: list[tuple[str, int | None]], doer: Doer) -> list[int]:
    """Write many runs of one job at once: (args, at) each. No keys, no schedule; gates as for a single one."""
    ids = tx.take_ids("occurrence", len(items))
    keys = json.dumps(job.gates) if job.gates else None
    waiting = State.WAITING.value
    tx.many(
        "INSERT INTO occurrence (id, workspace, job, origin, due_at, start_at, state, lane, priority, ready_at, gates, "
        "planned_at, args) VALUES (?, ?, ?, 'manual', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                run,
                job.workspace,
                job.id,
                at if at is not None else doer.now,
                at if at is not None else doer.now,
                waiting,
                job.lane,
                job.options.priority,
                at if at is not None else doer.now,
                keys,
                doer.now,
                args,
            )
            for run, (args, at) in zip(ids, items, strict=True)
        ],
    )
    return list(ids)


def _by_key(tx: Tx, wish: Wish, run: int, now: int) -> Enqueued | None:
    """Take the key for this run; the run that has it already, if there is one. Where an application's own transaction
    (`enqueue(tx=…)`) has taken it and ends meanwhile, its run is found at the second look."""
    while (known := _known_by_key(tx, wish, now)) is None:
        if tx.run(
            "INSERT INTO business_key (job, key, run, digest) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (wish.job.id, wish.key, run, digest_of(wish.args)),
        ):
            break
    return known


def _known_by_key(tx: Tx, wish: Wish, now: int) -> Enqueued | None:
    row = tx.row(
        "SELECT b.run, b.digest, b.expires_at, o.state FROM business_key b LEFT JOIN occurrence o ON o.id = b.run "
        "WHERE b.job = ? AND b.key = ?",
        (wish.job.id, wish.key),
    )
    if row is None:
        return None
    run, digest, expires, state = row
    if expires is not None and expires <= now:
        tx.run("DELETE FROM business_key WHERE job = ? AND key = ?", (wish.job.id, wish.key))
        return None
    if digest != digest_of(wish.args):
        raise KeyTaken(
            f"The key {wish.key!r} of job {wish.job.name!r} belongs to run_{run} with other arguments; "
            "use another key, or the same arguments."
        )
    return Enqueued(run, False, state or "unknown", expires)


def digest_of(args: str) -> str:
    """What of the arguments is kept beside a business key, to tell others from the same."""
    return hashlib.sha256(args.encode()).hexdigest()[:32]


def _entry(tx: Tx, wish: Wish, run: int, doer: Doer) -> tuple[State, str | None, int | None]:
    """How far in the run is let: waiting for its time, queued, or held; and what it was held behind."""
    if wish.at is not None and wish.at > doer.now:
        if wish.definition is not None:
            raise BadInput(
                f"{wish.definition.name} is a schedule, which can be run now but not later by hand: enqueue its job "
                f"{wish.job.name!r} for that time, or add a schedule that is due once."
            )
        return State.WAITING, None, None
    if wish.definition is not None:
        held = _behind_its_schedule(tx, wish.definition, run, doer)
        if held is not None:
            return State.HELD, "overlap", held
    blocked = next((key for key, n in gates.room(tx, wish.job.gates).items() if n <= 0), None)
    if blocked is not None:
        return State.HELD, blocked, None
    gates.change(tx, dict.fromkeys(wish.job.gates, 1))
    return State.QUEUED, None, None


def _behind_its_schedule(tx: Tx, definition: Definition, run: int, doer: Doer) -> int | None:
    """Apply the schedule's overlap policy to a run by hand; Conflict where it says skip."""
    rows = tx.rows(
        f"SELECT id, state FROM occurrence WHERE schedule = ? AND state IN ({sql_list(LIVE)}) AND state <> 'waiting' "
        "ORDER BY due_at, id",
        (definition.schedule,),
    )
    if not rows:
        return None
    unstarted = [row for row in rows if row[1] in UNSTARTED]
    answer = admit(definition.policies, active=len(rows) - len(unstarted), unstarted=len(unstarted))
    if answer.state is State.QUEUED and answer.older is None:
        return None
    if answer.state is State.HELD:
        if answer.cancel_active:
            for row in rows:
                request_cancel(
                    tx, row[0], f"Replaced by run_{run}, which was asked for by {doer.actor}.", doer
                )
        return int(rows[-1][0])
    busy = rows[0]
    raise Conflict(
        f"{definition.name} has run_{busy[0]} {busy[1]} and its overlap policy is {definition.policies.overlap}: "
        "wait for it, or cancel it first."
    )


def request_cancel(tx: Tx, run: int, why: str, doer: Doer) -> str:
    """Ask a run to end. Returns `cancelled` if it had not begun and has ended here, or `asked` if its owner must end
    it. NotFound, or Conflict when it has ended already."""
    row = tx.row("SELECT state, gates, schedule, job, key FROM occurrence WHERE id = ?", (run,))
    if row is None:
        raise NotFound(f"There is no run_{run}; `watchbell run list` shows the latest.")
    state = State(row[0])
    if state in UNSTARTED or state is State.RETRYING:
        check(state, State.CANCELLED)
        tx.run(
            "UPDATE occurrence SET state = 'cancelled', reason = 'by_request', note = ?, ended_at = ?, "
            "held_by = NULL, ready_at = NULL WHERE id = ? AND state = ?",
            (why, doer.now, run, state.value),
        )
        keys = gates.keys_of(row[1])
        if keys and state in (State.QUEUED, State.RETRYING):
            gates.change(tx, dict.fromkeys(keys, -1))
            gates.let_in(tx, keys)
        if row[4] is not None:
            expire_keys(tx, [run], doer.now)
        if row[2] is not None:
            follow_chain(tx, row[2], doer.now)
            gates.admit_held(tx, row[2])
        record(tx, doer.now, doer.actor, "run.cancelled", f"run_{run}", why)
        return "cancelled"
    if state not in LIVE:
        how = "" if state in (State.SUCCEEDED, State.FAILED, State.TIMED_OUT) else "was "
        raise Conflict(f"run_{run} has ended already: it {how}{state.value.replace('_', ' ')}.")
    tx.run(
        "UPDATE occurrence SET revoke = coalesce(revoke, ?) WHERE id = ? AND state IN ('claimed', 'running')",
        (why, run),
    )
    record(tx, doer.now, doer.actor, "run.cancel_asked", f"run_{run}", f"{why} ({to_text(doer.now)})")
    return "asked"
