"""Retention of logs: by age, and by how much there is of them. The oldest runs' logs go first, and a line says so.

How much log a run has is measured once, after its end, off the scheduling path; the sums are kept beside, so that
nobody has to add up millions of lines to see whether there are too many.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...core.instants import human_duration, to_text
from ...core.retention import MIB, Keep
from ...core.states import TERMINAL, State
from ..tx import Row, Tx
from .days import keep_of

LINE_BYTES = 16
ROOM = 10
"""What is too much is cut down to a tenth below its limit, so that not every further line leads to another cut."""
NOTICE = 0
"""The number of the line that says what was cut; the lines of attempts begin far behind it."""


@dataclass(slots=True)
class Measured:
    """How far a measurement has come: behind which run it goes on (None: at the end), what it has measured, and the
    first run that has not ended yet."""

    next: int | None
    runs: int = 0
    live: int | None = None


def measure(tx: Tx, after: int, limit: int) -> Measured:
    """Measure the logs of ended runs behind the run `after` that have not been measured yet."""
    found, at = Measured(None), after
    for _ in range(limit):
        run = tx.value("SELECT min(run) FROM run_log WHERE run > ?", (at,))
        if run is None:
            return found
        at = int(run)
        if tx.value("SELECT 1 FROM log_size WHERE run = ?", (at,)):
            continue
        row = tx.row("SELECT job, state FROM occurrence WHERE id = ?", (at,))
        if row is None:
            tx.run("DELETE FROM run_log WHERE run = ?", (at,))  # of a run that is gone
        elif State(row[1]) in TERMINAL:
            _measure(tx, at, row[0])
            found.runs += 1
        elif found.live is None:
            found.live = at
    found.next = at
    return found


def _measure(tx: Tx, run: int, job: int) -> None:
    lines, size = tx.row(  # type: ignore[misc]
        "SELECT count(*), coalesce(sum(length(text)), 0) FROM run_log WHERE run = ? AND seq > ?",
        (run, NOTICE),
    )
    size += lines * LINE_BYTES
    tx.run("INSERT INTO log_size (run, job, bytes, lines) VALUES (?, ?, ?, ?)", (run, job, size, lines))
    tx.run(
        "INSERT INTO log_total (job, bytes) VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET bytes = log_total.bytes + excluded.bytes",
        (job, size),
    )


def cut_old(tx: Tx, keep: Keep, now: int, after: int, limit: int) -> tuple[int, int | None]:
    """Remove lines of logs that are too old, at most `limit` of them; how many, and behind which run to go on."""
    rows = tx.rows(
        "SELECT z.run, z.lines, coalesce(o.ended_at, o.due_at), j.options, j.name FROM log_size z INDEXED BY log_size_kept "
        "JOIN occurrence o ON o.id = z.run JOIN job j ON j.id = z.job WHERE z.run > ? AND z.bytes > 0 "
        "ORDER BY z.run LIMIT 100",
        (after,),
    )
    gone = 0
    for run, lines, ended, options, _ in rows:
        own = keep_of(options, "keep_logs_us", keep.logs_us)
        if ended >= now - own:
            continue
        told = f"The log of {lines:,} lines was removed: logs are kept for {human_duration(own)} ({to_text(now)})."
        done, whole = _cut(tx, run, limit - gone, told, now)
        gone += done
        if not whole or gone >= limit:
            return gone, run - 1
    return gone, rows[-1][0] if len(rows) == 100 else None


def cut_excess(tx: Tx, keep: Keep, now: int, limit: int, due: dict[int | None, int]) -> int:
    """Remove lines of the oldest logs of a job, or of all, that has too many; how many. `due` remembers between the
    steps down to how many bytes each is being cut."""
    for job, size, most in _over(tx, keep, due):
        row = _oldest(tx, job)
        if row is None or size <= most:
            continue
        name = tx.value("SELECT name FROM job WHERE id = ?", (row[2],))
        whose = f"the logs of {name} below {keep.logs_of_job_bytes / MIB:g} MiB"
        if job is None:
            whose = f"all logs below {keep.logs_bytes / MIB:g} MiB"
        told = f"The log of {row[1]:,} lines was removed to keep {whose} ({to_text(now)})."
        return _cut(tx, row[0], limit, told, now)[0]
    return 0


def _oldest(tx: Tx, job: int | None) -> Row | None:
    """(run, lines, job) of the oldest log, of one job or of all."""
    if job is None:
        return tx.row(
            "SELECT run, lines, job FROM log_size INDEXED BY log_size_kept WHERE bytes > 0 ORDER BY run LIMIT 1"
        )
    return tx.row(
        "SELECT run, lines, job FROM log_size WHERE bytes > 0 AND job = ? ORDER BY run LIMIT 1", (job,)
    )


def _over(tx: Tx, keep: Keep, due: dict[int | None, int]) -> list[tuple[int | None, int, int]]:
    """(job or None for all, its bytes, down to how many) of what is too much."""
    found: list[tuple[int | None, int, int]] = []
    sizes: list[tuple[int | None, int, int]] = [
        (row[0], row[1], keep.logs_of_job_bytes)
        for row in tx.rows("SELECT job, bytes FROM log_total WHERE bytes > 0")
    ]
    sizes.append((None, sum(size for _, size, _ in sizes), keep.logs_bytes))
    for job, size, most in sizes:
        if size > most:
            due.setdefault(job, most - most // ROOM)
        elif job in due and size <= due[job]:
            del due[job]
        if job in due:
            found.append((job, size, due[job]))
    return found


def _cut(tx: Tx, run: int, limit: int, told: str, now: int) -> tuple[int, bool]:
    """Remove at most `limit` lines of a run's log; with the last of them a line takes its place."""
    gone = tx.run(
        "DELETE FROM run_log WHERE run = ? AND seq IN (SELECT seq FROM run_log WHERE run = ? AND seq > ? "
        "ORDER BY seq LIMIT ?)",
        (run, run, NOTICE, max(1, limit)),
    )
    if tx.value("SELECT 1 FROM run_log WHERE run = ? AND seq > ? LIMIT 1", (run, NOTICE)):
        return gone, False
    tx.run(
        "INSERT INTO run_log (run, seq, at, stream, level, text) VALUES (?, ?, ?, 'watchbell', 'warning', ?) ON CONFLICT (run, seq) DO UPDATE SET at = excluded.at, stream = excluded.stream, level = excluded.level, text = excluded.text",
        (run, NOTICE, now, told),
    )
    tx.run(
        "UPDATE log_total SET bytes = bytes - (SELECT bytes FROM log_size WHERE run = ?) "
        "WHERE job = (SELECT job FROM log_size WHERE run = ?)",
        (run, run),
    )
    tx.run("UPDATE log_size SET bytes = 0 WHERE run = ?", (run,))
    return gone, True
