"""What a plan says must be written, written: new rows, spans, and the rows that give way."""

from __future__ import annotations

import json

from ..core.claim import Claim
from ..core.definition import Definition
from ..core.plan import NewRow, Plan
from ..core.policies import Overlap
from ..core.states import TERMINAL, State, check
from . import gates
from .business_keys import expire_keys
from .tx import Tx

INSERT = (
    "INSERT INTO occurrence (id, workspace, schedule, version, job, origin, due_at, start_at, state, reason, lane, "
    "priority, ready_at, gates, held_by, catchup, node, epoch, token_hash, attempt, planned_at, claimed_at, ended_at, "
    "into_id, stands_for) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def row_values(row: NewRow, node: int | None, token_hash: bytes | None, now: int) -> tuple[object, ...]:
    """The parameters of INSERT."""
    due = row.due
    claimed = row.state is State.CLAIMED
    start = row.due_at if row.start_at is None else row.start_at
    return (
        row.id,
        due.workspace,
        due.schedule,
        due.version,
        due.job,
        "scheduled",
        row.due_at,
        start,
        row.state.value,
        None if row.reason is None else row.reason.value,
        due.lane,
        due.priority,
        start if row.state is State.WAITING else None,
        json.dumps(due.gates) if due.gates else None,
        row.held_by,
        int(row.catchup),
        node,
        int(claimed),
        token_hash,
        int(claimed),
        now,
        now if claimed else None,
        now if row.state in TERMINAL else None,
        row.into,
        "; ".join(row.stands_for) if row.stands_for else None,
    )


def new_claim(row: NewRow, definition: Definition, token: str, now: int) -> Claim:
    """The claim that a row stands for which is inserted as claimed."""
    return Claim(
        run=row.id,
        epoch=1,
        token=token,
        workspace=row.due.workspace,
        schedule=row.due.schedule,
        version=row.due.version,
        job=row.due.job,
        lane=row.due.lane,
        due_at=row.due_at,
        start_at=row.due_at if row.start_at is None else row.start_at,
        claimed_at=now,
        args=definition.args,
        gates=row.due.gates,
        retry=definition.retry,
        timeout_us=definition.timeout_us,
        kill_grace_us=definition.job.options.kill_grace_us,
        chain_us=definition.chain_us,
        rerun=definition.rerun,
        catchup=row.catchup,
        condition=definition.policies.condition,
        pause_after=definition.policies.pause_after_failures,
    )


def write_spans(tx: Tx, plan: Plan, now: int) -> None:
    """Insert the spans."""
    tx.many(
        "INSERT INTO span (schedule, version, from_at, to_at, count, ending, reason, into_id, planned_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                span.due.schedule,
                span.due.version,
                span.gap.after,
                span.gap.upto,
                span.gap.count,
                span.gap.ending.value,
                None if span.gap.reason is None else span.gap.reason.value,
                span.into,
                now,
            )
            for span in plan.spans
        ],
    )


_REPLACED = "It was between two attempts when the next occurrence replaced it."


def write_ends(tx: Tx, plan: Plan, now: int) -> list[int]:
    """End what gives way and ask what runs to end; returns those that were asked."""
    done = tx.many_returning(
        "UPDATE occurrence SET state = ?, reason = ?, into_id = ?, ended_at = ?, held_by = NULL, ready_at = NULL "
        "WHERE id = ? AND state = ? RETURNING id",
        [
            (
                check(end.before, end.state).value,
                None if end.reason is None else end.reason.value,
                end.into,
                now,
                end.id,
                end.before.value,
            )
            for end in plan.ends
        ],
    )
    assert len(done) == len(plan.ends), "a row changed inside the transaction that read it"
    cancelled = [end.id for end in plan.ends if end.state is State.CANCELLED]
    if cancelled:
        tx.many("UPDATE occurrence SET note = ? WHERE id = ?", [(_REPLACED, run) for run in cancelled])
        expire_keys(tx, cancelled, now)
    gates.let_in(tx, [key for key, by in plan.gates.items() if by < 0])
    for schedule in sorted({end.schedule for end in plan.ends}):
        gates.admit_held(tx, schedule)
    for run, by in plan.cancels:
        tx.run(
            "UPDATE occurrence SET revoke = ? WHERE id = ? AND state IN ('claimed', 'running', 'retrying') "
            "AND revoke IS NULL",
            (f"Replaced by run_{by}, as its overlap policy {Overlap.REPLACE} says.", run),
        )
    return [run for run, _ in plan.cancels]
