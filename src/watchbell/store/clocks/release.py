"""Letting go of what was held for a clock in doubt: each held span is planned by the rules for everything that was missed.

A span that ends in the future, because the clock was set back since, waits until its end, or until a repair cuts it off:
an instant that has not come is neither missed nor run.
"""

from __future__ import annotations

import logging
from functools import partial

from ..planning import Planned, Planner, plan_held
from ..tx import Row, Tx

AT_ONCE = 200
_log = logging.getLogger("watchbell.engine")


def release(tx: Tx, planner: Planner, now: int) -> Planned:
    """Plan what is held, at most `AT_ONCE` spans; `full_batch` says whether there is more. What cannot be planned, because
    its rule cannot be evaluated any more, stays as it is and stops none of the others."""
    rows = tx.rows(
        "SELECT id, schedule, version, from_at, to_at FROM span WHERE ending = 'held' AND to_at <= ? "
        "ORDER BY to_at, id LIMIT ?",
        (now, AT_ONCE),
    )
    whole, done = Planned(), 0
    for span in rows:
        try:
            part = tx.attempt(partial(_one, tx, planner, span, now))
        except Exception as error:
            if tx.is_of_the_database(error):
                raise
            _log.error("engine.held: schedule %d: %s: %s", span[1], type(error).__name__, error)
            continue
        if part is not None:
            done += 1
            whole.rows += part.rows
            whole.spans += part.spans
            whole.queued += part.queued
            whole.cancels += part.cancels
            whole.happened += part.happened
            whole.alerts += part.alerts
    whole.full_batch = len(rows) == AT_ONCE and done > 0
    return whole


def _one(tx: Tx, planner: Planner, span: Row, now: int) -> Planned | None:
    number, schedule, version, after, upto = span
    tx.run("DELETE FROM span WHERE id = ? AND ending = 'held'", (number,))
    planned = plan_held(tx, planner.catalog, (schedule, after + 1, after, version), upto, now)
    return None if planned.broken else planned
