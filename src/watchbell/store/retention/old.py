"""What is old enough to go, counted without touching it."""

from __future__ import annotations

from ...core.retention import Keep
from ...core.states import TERMINAL, sql_list
from ..tx import Tx
from . import days

_ENDED = f"state IN ({sql_list(TERMINAL)})"


def count(tx: Tx, keep: Keep, now: int) -> tuple[int, int, int, int, int]:
    """(occurrences, spans or parts of them, runs by hand, logs, bytes of logs) that are older than their keep time."""
    rows = spans = by_hand = after = 0
    while found := days.schedules_after(tx, after, 500):
        for schedule, options in found:
            upto = days.target_of(now, options, keep.occurrences_us)
            if days.has_old(tx, schedule, upto):
                rows += tx.value(
                    "SELECT count(*) FROM occurrence WHERE schedule = ? AND origin IN ('scheduled', 'backfill') AND "
                    f"due_at <= ? AND {_ENDED}",
                    (schedule, upto),
                )
                spans += tx.value(
                    "SELECT count(*) FROM span WHERE schedule = ? AND from_at < ? AND ending <> 'held'",
                    (schedule, upto),
                )
        after = found[-1][0]
    after = 0
    while jobs := days.jobs_after(tx, after, 500):
        for job, options in jobs:
            upto = days.target_of(now, options, keep.occurrences_us)
            by_hand += tx.value(
                "SELECT count(*) FROM occurrence WHERE job = ? AND origin IN ('manual', 'dependency') AND "
                f"planned_at <= ? AND ended_at <= ? AND {_ENDED}",
                (job, upto, upto),
            )
        after = jobs[-1][0]
    return (rows, spans, by_hand, *_logs(tx, keep, now))


def _logs(tx: Tx, keep: Keep, now: int) -> tuple[int, int]:
    """Logs that are too old, of those that have been measured; a quota counts what is there when it is looked at."""
    logs = size = 0
    for ended, bytes_, options in tx.rows(
        "SELECT coalesce(o.ended_at, o.due_at), z.bytes, j.options FROM log_size z INDEXED BY log_size_kept "
        "JOIN occurrence o ON o.id = z.run JOIN job j ON j.id = z.job WHERE z.bytes > 0"
    ):
        if ended < now - days.keep_of(options, "keep_logs_us", keep.logs_us):
            logs, size = logs + 1, size + bytes_
    return logs, size
