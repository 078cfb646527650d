"""SETTLE as one decision: a claim × its outcome × now → the row's next state (PROTOCOL §6).

Every end comes through here: a function that returned, an exit code, a timeout, a cancel, a lost node.
"""

from __future__ import annotations

from typing import NamedTuple

from .claim import Claim
from .outcome import Ending, Outcome
from .retry import wait_us, wants_retry
from .states import Reason, State

_STATE = {
    Ending.SUCCEEDED: State.SUCCEEDED,
    Ending.FAILED: State.FAILED,
    Ending.TIMED_OUT: State.TIMED_OUT,
    Ending.CANCELLED: State.CANCELLED,
    Ending.LOST: State.LOST,
    Ending.SKIPPED: State.SKIPPED,
}


class Settlement(NamedTuple):
    """What must be written for one attempt that has ended. `ready_at` is when a retrying row may be claimed again."""

    state: State
    reason: str | None
    note: str | None
    ready_at: int | None = None


def decide(claim: Claim, outcome: Outcome, now: int, drawn: float) -> Settlement:
    """The row's next state; `drawn` is a random number in [0, 1) for the wait before a retry."""
    if outcome.ending is Ending.SUCCEEDED:
        late = (
            None if claim.revoked is None else "The request to cancel came too late: the work had finished."
        )
        return Settlement(State.SUCCEEDED, None, _joined(outcome.note, late))
    if claim.revoked is not None and outcome.ending in (Ending.FAILED, Ending.CANCELLED):
        reason = outcome.reason or Reason.BY_REQUEST
        return Settlement(State.CANCELLED, reason, _joined(outcome.note, claim.revoked))
    if outcome.ending is Ending.LOST and claim.rerun and claim.revoked is None and _attempts_left(claim):
        return _retrying(claim, outcome, now, drawn)
    if wants_retry(claim.retry, outcome, claim.attempt) and claim.revoked is None:
        return _retrying(claim, outcome, now, drawn)
    return Settlement(_STATE[outcome.ending], outcome.reason, outcome.note)


def _attempts_left(claim: Claim) -> bool:
    return claim.attempt < (2 if claim.retry is None else claim.retry.max_attempts)


def _retrying(claim: Claim, outcome: Outcome, now: int, drawn: float) -> Settlement:
    wait = 0 if claim.retry is None else wait_us(claim.retry, claim.attempt, drawn)
    wait = max(wait, outcome.retry_after_us or 0)
    return Settlement(State.RETRYING, outcome.reason, outcome.note, now + wait)


def _joined(*notes: str | None) -> str | None:
    return " ".join(note for note in notes if note) or None
