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
    """A statement over one array for each parameter. The ids, column `again` of them, are given once more at the end, as
    `id = ANY(…)`: a planner that knows nothing of the arrays goes by the index all the same, and not over the table."""

    text: str
    again: int | None = None

    def columns(self, rows: Sequence[Sequence[Any]]) -> list[str | list[Any]]:
        """The parameters of many rows, column by column."""
        found = [array(column) for column in zip(*rows, strict=True)]
        return found if self.again is None else [*found, found[self.again]]


_WHOLE = {int, type(None)}


def array(column: Sequence[Any]) -> str | list[Any]:
    """An array as the text of one, which is ten times as fast as adapting each of its values; of texts, the list.

    >>> array((1, None, 3)), array((b"ab", b"c")), array(("a",))
    ('{1, NULL, 3}', '{"\\\\\\\\x6162","\\\\\\\\x63"}', ['a'])
    """
    kinds = set(map(type, column))
    if kinds <= _WHOLE:
        text = str(list(column))[1:-1]
        return f"{{{text.replace('None', 'NULL') if type(None) in kinds else text}}}"
    if kinds == {bytes}:
        return '{"\\\\x' + '","\\\\x'.join([value.hex() for value in column]) + '"}'
    return list(column)


_MOVE = Batch(
    "UPDATE cursor c SET next_due = v.next_due, planned_until = greatest(c.planned_until, v.upto) "
    "FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) "
    "AS v (next_due, upto, schedule, read, version) "
    "WHERE c.schedule = v.schedule AND c.planned_until = v.read AND c.version = v.version "
    "AND c.schedule = ANY(%s::bigint[])",
    again=2,
)
_PLAIN = (
    "UPDATE occurrence o SET state = 'succeeded', began_at = v.began_at, ended_at = v.ended_at "
    "FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) "
    "AS v (began_at, ended_at, id, epoch, node) "
    "WHERE o.id = v.id AND o.epoch = v.epoch AND o.node = v.node AND o.state IN ('claimed', 'running') "
    "AND o.id = ANY(%s::bigint[])"
)
_GRANT = Batch(
    "UPDATE occurrence o SET state = 'claimed', node = v.node, epoch = v.epoch, token_hash = v.token_hash, "
    "claimed_at = v.claimed_at, attempt = v.attempt, ready_at = NULL, held_by = NULL, began_at = NULL "
    "FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], "
    "%s::bigint[]) AS v (node, epoch, token_hash, claimed_at, attempt, id, before, before_epoch) "
    "WHERE o.id = v.id AND o.state = v.before AND o.epoch = v.before_epoch AND o.id = ANY(%s::bigint[])",
    again=5,
)
_LIVE = Batch(
    f"SELECT schedule, id, state, due_at, gates, origin FROM occurrence WHERE schedule = ANY(%s::bigint[]) AND {LIVE_ROWS}"
)
_DEFINITIONS = Batch(
    "SELECT d.* FROM unnest(%s::bigint[], %s::bigint[]) AS w (schedule, version) CROSS JOIN LATERAL "
    f"({DEFINITIONS} WHERE v.schedule = w.schedule AND v.version = w.version OFFSET 0) d"
)

BATCHED: dict[str, Batch] = {
    MOVE: _MOVE,
    f"{PLAIN} RETURNING id": Batch(f"{_PLAIN} RETURNING o.id", again=2),
    GRANT: _GRANT,
    LIVE_OF: _LIVE,
    DEFINITIONS_OF: _DEFINITIONS,
}
