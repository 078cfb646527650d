"""Live rows without a live owner, or past every deadline: what the audit calls stuck (PROTOCOL §7).

A row may wait for a slot, a gate or an earlier run as long as it takes: lateness never drops a run. It is stuck when
nobody will ever move it on, or nobody has although they should have.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..instants import MINUTE, SECOND, human_age, to_text
from .evidence import LiveRow, Present

HANDLER_GRACE_US = 60 * SECOND
TOLERANCE_US = 10 * MINUTE
BEGIN_US = 5 * MINUTE
REAPED_US = MINUTE
"""So long after a lease's end, a sleep of the machine or a step of its clock an engine may still be busy putting right
what it has left."""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What is known of a job: by which names nodes may announce its handler (none: it needs none), and whether its rows
    wait for a missing handler for ever; and the labels that it asks of a node."""

    name: str
    handlers: frozenset[str] = frozenset()
    hold_if_missing: bool = False
    on: tuple[str, ...] = ()


def stuck(
    row: LiveRow,
    job: JobFacts | None,
    present: Present,
    deadline_us: int | None = None,
    alone_since: int | None = None,
    full_lanes: frozenset[str] = frozenset(),
) -> str | None:
    """Why a live row is stuck, as the rest of a sentence; None if it is not. `deadline_us` is its start deadline,
    `alone_since` since when a row held behind its schedule has had nothing before it; in `full_lanes` no slot is free."""
    if present.shaken_within(REAPED_US):
        return None
    if row.state in ("claimed", "running"):
        return _owned(row, present)
    up = present.up_since
    if up is None:  # nothing can move while there is no engine; its next start sees to it
        return None
    now = present.now
    if job is not None and row.state != "held" and present.lacking(job.on):
        return None  # it waits for a node that may carry it out, however long that takes
    if row.state in ("waiting", "retrying"):
        if row.ready_at is None or row.lane in full_lanes or now - max(row.ready_at, up) <= TOLERANCE_US:
            return None
        return f"has been {row.state} since it was ready at {to_text(row.ready_at)}, and nobody has taken it"
    if row.state == "held":
        if alone_since is None or now - max(alone_since, row.planned_at, up) <= TOLERANCE_US:
            return None
        return "is held behind an earlier run of its schedule, but there is none"
    return _queued(row, job, present, deadline_us, up)


def _owned(row: LiveRow, present: Present) -> str | None:
    node = None if row.node is None else present.nodes.get(row.node)
    if node is None:
        return (
            f"is {row.state} by no node at all"
            if row.node is None
            else f"is {row.state} by node {row.node}, which is unknown"
        )
    if not node.is_up(present.now):
        up = present.up_since
        left = node.lease_until if node.stopped_at is None else node.stopped_at
        if up is not None and present.now - max(left, up) <= REAPED_US:
            return None
        return f"is {row.state} by {node.name}, which was last seen at {to_text(node.heartbeat_at)}"
    begins = max(row.start_at, row.claimed_at or row.start_at)
    if row.state == "claimed" and present.now - begins > BEGIN_US:
        return f"was claimed by {node.name} and has not begun for {human_age(present.now - begins)}"
    return None


def _queued(
    row: LiveRow, job: JobFacts | None, present: Present, deadline_us: int | None, up: int
) -> str | None:
    since = max(row.start_at, row.planned_at, up)
    if deadline_us is not None and present.now - max(row.start_at + deadline_us, up) > TOLERANCE_US:
        return "is queued although its start deadline has passed long ago"
    if job is None:
        return "is queued for a job that does not exist"
    if not job.handlers or job.hold_if_missing or present.now - since <= HANDLER_GRACE_US + TOLERANCE_US:
        return None
    known = frozenset[str]().union(*(n.handlers for n in present.engines if n.is_up(present.now)))
    if job.handlers & known:
        return None
    return f"has been queued for {human_age(present.now - since)}, and no node has the handler of {job.name}"
