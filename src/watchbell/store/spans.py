"""Which span accounts for an instant. Beside the one of a blackout there may be another over the same time: it stands for
what was due outside of the blackouts."""

from __future__ import annotations

from ..core.audit.evidence import SpanRow
from ..core.blackout import window_around
from .schedules.catalog import policies_of
from .tx import Tx

_STILL = ("paused", "disabled")


def span_around(tx: Tx, schedule: int, at: int) -> SpanRow | None:
    """The span of a schedule that accounts for an instant, if one does."""
    rows = tx.rows(
        "SELECT s.id, s.from_at, s.to_at, s.count, s.ending, s.reason, s.into_id, s.planned_at, s.version, v.policies "
        "FROM span s JOIN schedule_version v ON v.schedule = s.schedule AND v.version = s.version "
        "WHERE s.schedule = ? AND s.to_at >= ? AND s.from_at < ? ORDER BY s.to_at LIMIT 4",
        (schedule, at, at),
    )
    for row in rows:
        span = SpanRow(*row[:9])
        blackouts = policies_of(row[9]).blackouts
        if not blackouts or span.reason in _STILL:
            return span
        if (window_around(blackouts, at) is not None) == (span.reason == "blackout"):
            return span
    return None
