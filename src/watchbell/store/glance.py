"""What an engine sees at the beginning of a transaction, with one statement.

A server takes as long to be asked as to answer, and mostly there is nothing: one look says where to look closer. Nobody
else writes until the transaction ends, so that what is not there now is not there later, but for what it writes itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from .admission import TIMED
from .tx import Tx


@dataclass(frozen=True, slots=True)
class Glance:
    """How things stand. `due` and `change` are the earliest instants of a cursor and of a change that waits; `waits` is
    whether any row is queued, waits for its time or is held; `overlapped` whether one is held behind another of its
    schedule; `revoked` whether some run was asked to end; `alerts` whether there is any alert rule."""

    epoch: int
    state: str | None
    catalog: str | None
    due: int | None
    change: int | None
    waits: bool
    overlapped: bool
    revoked: bool
    alerts: bool

    def is_due(self, upto: int) -> bool:
        """Whether a cursor or a change comes due by then."""
        return any(at is not None and at <= upto for at in (self.due, self.change))


_BEFORE = (
    "SELECT (SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'engine_epoch'), "
    "(SELECT state FROM node WHERE id = ?), "
    "(SELECT value FROM meta WHERE key = 'catalog'), "
    "(SELECT min(next_due) FROM cursor WHERE next_due IS NOT NULL), "
    "(SELECT min(at) FROM pending_change), "
    "(SELECT min(lane) FROM occurrence WHERE state = 'queued'), "
    f"(SELECT min(lane) FROM occurrence WHERE {TIMED}), "
    "(SELECT min(held_by) FROM occurrence WHERE state = 'held'), "
    "(SELECT min(held_by) FROM occurrence WHERE state = 'held' AND held_by = 'overlap'), "
    "(SELECT min(id) FROM occurrence WHERE revoke IS NOT NULL AND state IN ('claimed', 'running')), "
    "(SELECT min(id) FROM alert_rule WHERE ended_at IS NULL)"
)


def glance(tx: Tx, node: int) -> Glance:
    """Look, as this node."""
    row = tx.row(_BEFORE, (node,))
    assert row is not None
    epoch, state, catalog, due, change, queued, timed, held, overlapped, revoked, rule = row
    return Glance(
        epoch=epoch or 0,
        state=state,
        catalog=catalog,
        due=due,
        change=change,
        waits=not (queued is None and timed is None and held is None),
        overlapped=overlapped is not None,
        revoked=revoked is not None,
        alerts=rule is not None,
    )
