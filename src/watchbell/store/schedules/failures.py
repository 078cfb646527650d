"""Failures in a row: counted from the ledger when one more is written, so that a run that succeeds pays nothing for it.

Counted are the final ends of what came due by itself: `failed` and `timed_out`. A success ends the row, and so does a
resume. What was lost, cancelled, skipped or missed neither counts nor ends it: nobody knows how a lost run went.
"""

from __future__ import annotations

from ...core.states import State, sql_list
from ..tx import Tx
from .pending import owe_pause

FAILURES = frozenset({State.FAILED, State.TIMED_OUT})
LOOKED_AT = 10_000
"""So many occurrences back at most."""
_COUNTED = sql_list(FAILURES | {State.SUCCEEDED})


def failures_in_a_row(tx: Tx, schedule: int, most: int) -> int:
    """How many of the newest runs of a schedule have failed one after the other, since it was resumed last; at most
    `most`."""
    since = tx.value(
        "SELECT max(until_at) FROM pause WHERE schedule = ? AND kind = 'paused' AND until_at IS NOT NULL",
        (schedule,),
    )
    rows = tx.rows(
        "SELECT state FROM (SELECT state, origin, due_at, ended_at FROM occurrence WHERE schedule = ? AND origin IN "
        "('scheduled', 'backfill') ORDER BY due_at DESC LIMIT ?) latest "
        f"WHERE origin = 'scheduled' AND state IN ({_COUNTED}) AND ended_at > ? ORDER BY due_at DESC LIMIT ?",
        (schedule, LOOKED_AT, since or 0, most),
    )
    return next((place for place, row in enumerate(rows) if row[0] not in FAILURES), len(rows))


def pause_if_failing(tx: Tx, schedule: int, limit: int, now: int) -> None:
    """After one more failure: have the schedule paused if it has failed so often in a row. Who plans next does that, as a
    settlement plans nothing, and before anything more of the schedule is planned."""
    if failures_in_a_row(tx, schedule, limit) >= limit:
        runs = "Its last run has failed" if limit == 1 else f"Its last {limit} runs have failed"
        owe_pause(
            tx, schedule, now, f"{runs}, and pause_after_failures is {limit}; resume it when it is mended."
        )
