"""Up to which run retention has removed any of a schedule: what a row that stays may rightly name and nobody finds.

Numbers do not follow due instants: a backfill writes old instants with new numbers, and so does planning after the clock
was set back. The oldest row that is left says nothing of it, therefore the highest number that went is kept.
"""

from __future__ import annotations

from ..tx import Tx

_KEY = "gone:{}"


def note_gone(tx: Tx, schedule: int, run: int) -> None:
    """This run of the schedule is removed, in this transaction."""
    tx.run(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value "
        "WHERE CAST(meta.value AS BIGINT) < CAST(excluded.value AS BIGINT)",
        (_KEY.format(schedule), str(run)),
    )


def gone_upto(tx: Tx, schedule: int) -> int | None:
    """The highest number of a run of the schedule that was removed; None where none is noted."""
    found = tx.value("SELECT value FROM meta WHERE key = ?", (_KEY.format(schedule),))
    return None if found is None else int(found)
