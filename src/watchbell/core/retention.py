"""How long what is kept: as a value, with the days in which the ledger is closed.

A day is a UTC day, counted from 1970. What is due up to and with the last microsecond of a closed day is not in the
ledger row by row any more: its totals are (docs/design/retention.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import BadPolicy
from .instants import DAY, duration_text

MIB = 1 << 20
NOT_IMPLIED = ("superseded", "asked_for")
"""The counts of a roll-up that no rule stands behind: what an edit took away, and what a person asked for beyond it."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept, spans in microseconds; logs also at most so many bytes, of one job and in all."""

    occurrences_us: int = 400 * DAY
    logs_us: int = 30 * DAY
    logs_of_job_bytes: int = 100 * MIB
    logs_bytes: int = 1024 * MIB
    alerts_us: int = 90 * DAY
    changes_us: int = 1100 * DAY

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise BadPolicy(f"{field.name} is a whole number, not {value!r}.")
            if field.name.endswith("_us") and value < DAY:
                raise BadPolicy(
                    f"{field.name.removesuffix('_us')} are kept for at least a day, not {duration_text(value)}."
                )
            if field.name.endswith("_bytes") and value < 0:
                raise BadPolicy(f"{field.name} cannot be negative.")


def day_of(at: int) -> int:
    """The UTC day of an instant.

    >>> day_of(86_400_000_000 - 1), day_of(86_400_000_000)
    (0, 1)
    """
    return at // DAY


def end_of(day: int) -> int:
    """The last instant of a day."""
    return (day + 1) * DAY - 1


def target(now: int, keep_us: int) -> int:
    """Up to where whole days are older than the keep time: the last instant of the last such day."""
    return day_of(now - keep_us) * DAY - 1


def added(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Two roll-ups as one.

    >>> added({"failed": 1}, {"failed": 2, "missed: downtime": 1})
    {'failed': 3, 'missed: downtime': 1}
    """
    return {key: counts.get(key, 0) + more.get(key, 0) for key in sorted({*counts, *more})}


def ending_key(state: str, reason: str | None) -> str:
    """The name of an ending in a roll-up."""
    if state == "superseded" or reason is None or state in ("succeeded", "failed", "timed_out"):
        return state
    return f"{state}: {reason}"


def implied_in(counts: Mapping[str, Any]) -> int:
    """How many of a roll-up's occurrences a rule made due."""
    return sum(int(count) for key, count in counts.items() if key not in NOT_IMPLIED)
