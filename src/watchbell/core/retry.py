"""Whether an attempt that did not succeed is tried again, and when."""

from __future__ import annotations

from .outcome import Ending, Outcome
from .policies import Retry
from .states import Reason


def wants_retry(retry: Retry | None, outcome: Outcome, attempt: int) -> bool:
    """Whether attempt number `attempt`, ended like this, is followed by another.

    >>> wants_retry(Retry(max_attempts=2), Outcome(Ending.FAILED, 0, 1), 1)
    True
    >>> wants_retry(Retry(max_attempts=2), Outcome(Ending.FAILED, 0, 1), 2)
    False
    """
    if retry is None or attempt >= retry.max_attempts or outcome.reason == Reason.CONDITION:
        return False  # a condition is asked once
    if outcome.ending is Ending.TIMED_OUT:
        return True
    if outcome.ending is not Ending.FAILED:
        return False
    if not retry.on and not retry.exit_codes:
        return True
    if outcome.exit_code is not None and retry.exit_codes:
        return outcome.exit_code in retry.exit_codes
    return any(name in retry.on for name in outcome.error_type)


def wait_us(retry: Retry, attempt: int, drawn: float) -> int:
    """How long to wait after attempt number `attempt`; `drawn` is a random number in [0, 1).

    >>> wait_us(Retry(delay_us=10, factor=2, jitter=False), 3, 0.0)
    40
    """
    exponent = min(attempt - 1, 64)
    longest = int(min(float(retry.cap_us), retry.delay_us * retry.factor**exponent))
    return int(longest * drawn) if retry.jitter else longest
