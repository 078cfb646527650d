"""Every state of a ledger row and every arrow between two of them (PROTOCOL §1).

House rule: what changes a row's state reads this table; the code, the tests and the picture in the docs have no other
source. `claimed` means *may have begun* and is durable before user code; `running` means *has begun for certain*.
Nobody but the owner moves a row from `claimed` back to `queued`; no arrow leads from `running` or `retrying` back there.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an occurrence stands."""

    WAITING = "waiting"
    QUEUED = "queued"
    HELD = "held"
    CLAIMED = "claimed"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    MISSED = "missed"
    SKIPPED = "skipped"
    COALESCED = "coalesced"
    SUPERSEDED = "superseded"


class Reason(StrEnum):
    """Why a row that did not run did not run: a closed list (SEMANTICS §2)."""

    DOWNTIME = "downtime"
    SUSPEND = "suspend"
    CLOCK_JUMP = "clock_jump"
    START_DEADLINE = "start_deadline"
    NO_CAPACITY = "no_capacity"
    HANDLER_MISSING = "handler_missing"
    CATCHUP_NONE = "catchup_none"
    CATCHUP_WINDOW = "catchup_window"
    CATCHUP_LIMIT = "catchup_limit"
    RESTORED = "restored"
    STORE_FULL = "store_full"
    OVERLAP = "overlap"
    PAUSED = "paused"
    DISABLED = "disabled"
    SET_ASIDE = "set_aside"
    BLACKOUT = "blackout"
    CONDITION = "condition"
    QUOTA = "quota"
    REPLACED = "replaced"
    BEGUN = "begun"
    BEGIN_UNKNOWN = "begin_unknown"
    SHUTDOWN = "shutdown"
    BY_REQUEST = "by_request"


LIVE = frozenset({State.WAITING, State.QUEUED, State.HELD, State.CLAIMED, State.RUNNING, State.RETRYING})
ACTIVE = frozenset({State.CLAIMED, State.RUNNING, State.RETRYING})
UNSTARTED = frozenset({State.WAITING, State.QUEUED, State.HELD})
RAN = frozenset({State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.CANCELLED, State.LOST})
NEVER_RAN = frozenset({State.MISSED, State.SKIPPED, State.COALESCED, State.SUPERSEDED})
TERMINAL = RAN | NEVER_RAN

PLANNED = frozenset(
    {State.WAITING, State.QUEUED, State.HELD, State.CLAIMED, State.MISSED, State.SKIPPED, State.COALESCED}
)
"""The states in which PLAN may write a new row."""

TRANSITIONS: dict[State, frozenset[State]] = {
    State.WAITING: frozenset(
        {
            State.QUEUED,
            State.HELD,
            State.CLAIMED,
            State.SKIPPED,
            State.MISSED,
            State.COALESCED,
            State.CANCELLED,
            State.SUPERSEDED,
        }
    ),
    State.QUEUED: frozenset(
        {
            State.CLAIMED,
            State.HELD,
            State.SKIPPED,
            State.MISSED,
            State.COALESCED,
            State.CANCELLED,
            State.SUPERSEDED,
        }
    ),
    State.HELD: frozenset(
        {
            State.QUEUED,
            State.CLAIMED,
            State.SKIPPED,
            State.MISSED,
            State.COALESCED,
            State.CANCELLED,
            State.SUPERSEDED,
        }
    ),
    # Skipped: its condition was asked under the claim, and was not met.
    State.CLAIMED: frozenset({State.RUNNING, State.RETRYING, State.QUEUED, State.SKIPPED}) | RAN,
    State.RUNNING: frozenset({State.RETRYING}) | RAN,
    State.RETRYING: frozenset({State.CLAIMED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.TIMED_OUT: frozenset(),
    State.CANCELLED: frozenset(),
    State.LOST: frozenset(),
    State.MISSED: frozenset({State.QUEUED}),
    State.SKIPPED: frozenset({State.QUEUED}),
    State.COALESCED: frozenset({State.QUEUED}),
    State.SUPERSEDED: frozenset({State.QUEUED}),
}


class BadTransition(AssertionError):
    """A programmer's error: no such arrow is in the table."""


def check(before: State, after: State) -> State:
    """Give back `after` if the table has an arrow from `before` to it.

    >>> check(State.QUEUED, State.CLAIMED)
    <State.CLAIMED: 'claimed'>
    """
    if after not in TRANSITIONS[before]:
        raise BadTransition(f"no arrow leads from {before} to {after}")
    return after


def sql_list(states: frozenset[State]) -> str:
    """The states as the inside of an SQL `IN (…)`, in the table's order."""
    return ", ".join(f"'{state}'" for state in State if state in states)
