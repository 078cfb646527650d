"""How far the clock is believed, as it is kept over restarts; and what came due while it was not, which is held.

Whoever plans a schedule asks here first (`hold_back`): what came due by a clock in doubt, and has not been planned, becomes
a span with the ending `held`, so that an edit or a pause in that time loses nothing and runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core.clock_trust import TRUSTED, ClockStanding, Started, Trust
from ..revision import raise_catalog
from ..tx import Tx

if TYPE_CHECKING:
    from ..schedules.catalog import Catalog

BATCH = 1000
_Cursor = tuple[int, int, int, int]


def read_trust(tx: Tx) -> Trust:
    """How far the clock is believed."""
    row = tx.row(
        "SELECT standing, why, since_at, from_at, ahead_us, upto_at, boot_id, steady_us FROM clock_trust"
    )
    return TRUSTED if row is None else Trust(ClockStanding(row[0]), *row[1:])


def doubt(tx: Tx) -> str | None:
    """Why the clock is not believed now, so that nothing is planned; None if it is."""
    found = read_trust(tx)
    return found.why if found.suspect else None


def write_trust(tx: Tx, trust: Trust) -> None:
    """Keep it, and let every process know."""
    tx.run("DELETE FROM clock_trust")
    if trust.standing is not ClockStanding.TRUSTED:
        tx.run(
            "INSERT INTO clock_trust (id, standing, why, since_at, from_at, ahead_us, upto_at, boot_id, steady_us) "
            "VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                trust.standing.value,
                trust.why,
                trust.since_at,
                trust.from_at,
                trust.ahead_us,
                trust.upto_at,
                trust.boot_id,
                trust.steady_us,
            ),
        )
    raise_catalog(tx)


def read_start(tx: Tx, node: int, now: int, boot_id: str, boot_us: int) -> Started:
    """What a node that starts can know of the time in which it was not there: the last engine's last word is its newest
    stamp, whatever a clock that was wrong has left behind before."""
    seen = tx.row(
        "SELECT coalesce(stopped_at, heartbeat_at), heartbeat_at, boot_us, boot_id FROM node WHERE id < ? AND "
        "engine_epoch > 0 AND labels NOT LIKE '%exec:%' ORDER BY id DESC LIMIT 1",
        (node,),
    )
    restored = tx.value("SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'restored_at'")
    newest, beat, boot, boot_name = seen or (None, None, None, "")
    stamps = [int(at) for at in (newest, restored) if at is not None]
    seen_at = None if boot is None else beat
    return Started(now, boot_id, boot_us, max(stamps, default=None), seen_at, boot or 0, boot_name)


def hold_due(tx: Tx, catalog: Catalog, edge: int, now: int) -> bool:
    """Hold what came due up to `edge` and is not planned, of at most one batch of schedules; True if there is more."""
    sql = (
        "SELECT schedule, next_due, planned_until, version FROM cursor INDEXED BY cursor_due "
        "WHERE next_due IS NOT NULL AND next_due <= ? AND planned_until < ? ORDER BY next_due LIMIT ?"
    )
    cursors: Sequence[_Cursor] = tx.rows(sql, (edge, edge, BATCH))
    held = sum(_hold(tx, catalog, cursor, edge, now) for cursor in cursors)
    if len(cursors) == BATCH and not held:  # chains only, which have no backlog
        held = sum(_hold(tx, catalog, cursor, edge, now) for cursor in tx.rows(sql, (edge, edge, 1 << 62)))
    return len(cursors) == BATCH and bool(held)


def hold_back(tx: Tx, catalog: Catalog, schedule: int, upto: int, now: int) -> None:
    """Hold what has come due of one schedule by a clock that is not believed, before anybody plans it up to `upto`."""
    edge = read_trust(tx).held_up_to(upto)
    if edge is not None:
        cursor = tx.row(
            "SELECT schedule, next_due, planned_until, version FROM cursor WHERE schedule = ? AND next_due <= ? "
            "AND planned_until < ?",
            (schedule, edge, edge),
        )
        if cursor is not None:
            _hold(tx, catalog, cursor, edge, now)


def _hold(tx: Tx, catalog: Catalog, cursor: _Cursor, edge: int, now: int) -> bool:
    schedule, _, until, version = cursor
    known, _ = catalog.definitions(tx, [(schedule, version)])
    definition = known.get((schedule, version))
    if (
        definition is None or definition.chain_us is not None
    ):  # broken; or with one instant, which is no backlog
        return False
    try:
        count, following = definition.trigger.count(until, edge), definition.rule.next_after(edge)
    except Exception:  # whoever plans it meets the same, and sets it aside
        return False
    if count:
        tx.run(
            "INSERT INTO span (schedule, version, from_at, to_at, count, ending, planned_at) "
            "VALUES (?, ?, ?, ?, ?, 'held', ?)",
            (schedule, version, until, edge, count, now),
        )
    tx.run(
        "UPDATE cursor SET planned_until = ?, next_due = ? WHERE schedule = ? AND planned_until = ? AND version = ?",
        (edge, following, schedule, until, version),
    )
    return True


def held(tx: Tx) -> tuple[int, int]:
    """(occurrences, schedules) that are held."""
    row = tx.row("SELECT coalesce(sum(count), 0), count(DISTINCT schedule) FROM span WHERE ending = 'held'")
    assert row is not None
    return int(row[0]), int(row[1])


def held_until(tx: Tx) -> int | None:
    """The end of the first span that is held."""
    found = tx.value("SELECT min(to_at) FROM span WHERE ending = 'held'")
    return None if found is None else int(found)
