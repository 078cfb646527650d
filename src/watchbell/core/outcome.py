"""How an attempt ended: the one value that every executor returns and that SETTLE takes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """What became of one attempt."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    SKIPPED = "skipped"
    """Its condition was not met: nothing of it has begun."""


@dataclass(slots=True)  # frozen, it takes three times as long to make
class Outcome:
    """One attempt's own account; never changed.

    Instants are microseconds UTC; `cpu_us` is user and system time; `peak_memory` is in bytes and known for work in a
    process of its own. `result` is JSON text. `error_type` is the class of the exception with its bases, most derived
    first, so that a retry policy can name any of them. `note` is a sentence for people; `reason` one of the closed
    list of SEMANTICS §2 where the ending has one. `retry_after_us`: how long the other side asks to wait before the next one.
    """

    ending: Ending
    began_at: int | None
    ended_at: int
    result: str | None = None
    error: str | None = None
    error_type: tuple[str, ...] = ()
    traceback: str | None = None
    exit_code: int | None = None
    peak_memory: int | None = None
    cpu_us: int | None = None
    reason: str | None = None
    note: str | None = None
    retry_after_us: int | None = None
