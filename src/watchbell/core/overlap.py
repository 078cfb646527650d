"""What becomes of an occurrence that falls due while an earlier one of its schedule is still there.

*Active* ones are claimed, running or retrying; *unstarted* ones wait, are queued or held. Ask in due order and count
each answer into the next.
"""

from __future__ import annotations

from dataclasses import dataclass

from .policies import QUEUE_LIMIT, CatchUp, Overlap, Policies
from .states import Reason, State


@dataclass(frozen=True, slots=True)
class Admission:
    """The new occurrence's state, and what becomes of those that were there before.

    `older` is the ending of the unstarted one that gives way; `into_older` says that the new one is coalesced into it;
    `cancel_active` asks the active ones to end.
    """

    state: State
    reason: Reason | None = None
    older: State | None = None
    older_reason: Reason | None = None
    into_older: bool = False
    cancel_active: bool = False


_QUEUED = Admission(State.QUEUED)
_HELD = Admission(State.HELD)
_SKIPPED = Admission(State.SKIPPED, Reason.OVERLAP)


def admit(policies: Policies, *, active: int, unstarted: int) -> Admission:
    """Decide one occurrence.

    >>> admit(Policies(), active=1, unstarted=0).state
    <State.SKIPPED: 'skipped'>
    >>> admit(Policies(), active=0, unstarted=1).older
    <State.COALESCED: 'coalesced'>
    """
    if active + unstarted == 0:
        return _QUEUED
    match policies.overlap:
        case Overlap.ALLOW:
            full = policies.overlap_max is not None and active + unstarted >= policies.overlap_max
            return _SKIPPED if full else _QUEUED
        case Overlap.SKIP:
            return _SKIPPED if active else _give_way(policies.catchup)
        case Overlap.QUEUE_ONE:
            return _SKIPPED if unstarted else _HELD
        case Overlap.QUEUE_ALL:
            limit = QUEUE_LIMIT if policies.overlap_max is None else policies.overlap_max
            return _SKIPPED if unstarted >= limit else _HELD
        case Overlap.REPLACE:
            if not active:
                return Admission(State.QUEUED, older=State.SKIPPED, older_reason=Reason.REPLACED)
            return Admission(
                State.HELD,
                older=State.SKIPPED if unstarted else None,
                older_reason=Reason.REPLACED if unstarted else None,
                cancel_active=True,
            )


def _give_way(catchup: CatchUp) -> Admission:
    """Under `skip` at most one occurrence waits unstarted: the older gives way, or the newer under `earliest`."""
    if catchup is CatchUp.NONE:
        return Admission(State.QUEUED, older=State.MISSED, older_reason=Reason.NO_CAPACITY)
    if catchup is CatchUp.LATEST:
        return Admission(State.QUEUED, older=State.COALESCED)
    return Admission(State.COALESCED, into_older=True)
