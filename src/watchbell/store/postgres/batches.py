"""The statements that are carried out for hundreds of rows at a time, as one statement over arrays of their parameters.

A server takes as long to be asked as to answer, so that what SQLite does row by row is asked of PostgreSQL at once. Each
says what its text in the ledger's rooms says, and the same suite is run on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..claims import GRANT
from ..planning import LIVE_OF, LIVE_ROWS, MOVE
from ..schedules.catalog import DEFINITIONS, DEFINITIONS_OF
from ..settling import PLAIN


@dataclass(frozen=True, slots=True)
class Batch:
    """A statement over one array for each parameter."""

    text: str

    def columns(self, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """The parameters of many rows, column by column."""
        return [list(column) for column in zip(*rows, strict=True)]


_MOVE = Batch(
    "UPDATE cursor c SET next_due = v.next_due, planned_until = greatest(c.planned_until, v.upto) "
    "FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) "
    "AS v (next_due, upto, schedule, read, version) "
    "WHERE c.schedule = v.schedule AND c.planned_until = v.read AND c.version = v.version"
)
_PLAIN = (
    "UPDATE occurrence o SET state = 'succeeded', began_at = v.began_at, ended_at = v.ended_at "
    "FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) "
    "AS v (began_at, ended_at, id, epoch, node) "
    "WHERE o.id = v.id AND o.epoch = v.epoch AND o.node = v.node AND o.state IN ('claimed', 'running')"
)
_GRANT = Batch(
    "UPDATE occurrence o SET state = 'claimed', node = v.node, epoch = v.epoch, token_hash = v.token_hash, "
    "claimed_at = v.claimed_at, attempt = v.attempt, ready_at = NULL, held_by = NULL, began_at = NULL "
    "FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], "
    "%s::bigint[]) AS v (node, epoch, token_hash, claimed_at, attempt, id, before, before_epoch) "
    "WHERE o.id = v.id AND o.state = v.before AND o.epoch = v.before_epoch"
)
_LIVE = Batch(
    f"SELECT schedule, id, state, due_at, gates, origin FROM occurrence WHERE schedule = ANY(%s::bigint[]) AND {LIVE_ROWS}"
)
_DEFINITIONS = Batch(
    f"{DEFINITIONS} JOIN unnest(%s::bigint[], %s::bigint[]) AS w (schedule, version) "
    "ON w.schedule = v.schedule AND w.version = v.version"
)

BATCHED: dict[str, Batch] = {
    MOVE: _MOVE,
    PLAIN: Batch(_PLAIN),
    f"{PLAIN} RETURNING id": Batch(f"{_PLAIN} RETURNING o.id"),
    GRANT: _GRANT,
    LIVE_OF: _LIVE,
    DEFINITIONS_OF: _DEFINITIONS,
}
