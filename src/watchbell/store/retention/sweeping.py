"""Retention of what stands beside the ledger: alerts with their deliveries, keys that are free again, the audit trail."""

from __future__ import annotations

from ..tx import Tx


def alerts(tx: Tx, before: int, limit: int) -> int:
    """Remove alerts that ended long ago, delivered or given up, with their deliveries."""
    rows = tx.rows(
        "SELECT id FROM alert WHERE state <> 'pending' AND ended_at < ? AND id < "
        "(SELECT coalesce(min(id), 4611686018427387904) FROM alert WHERE raised_at >= ?) ORDER BY id LIMIT ?",
        (before, before, limit),
    )
    some = ", ".join(str(row[0]) for row in rows)
    if rows:
        tx.run(f"DELETE FROM delivery WHERE alert IN ({some})")
        tx.run(f"DELETE FROM alert WHERE id IN ({some})")
    return len(rows)


def keys(tx: Tx, now: int, after: tuple[int, str], limit: int) -> tuple[int, tuple[int, str] | None]:
    """Remove business keys that are free again, looking at `limit` behind `after`; how many, and where to go on."""
    rows = tx.rows(
        "SELECT job, key, expires_at FROM business_key WHERE (job, key) > (?, ?) ORDER BY job, key LIMIT ?",
        (*after, limit),
    )
    free = [row[:2] for row in rows if row[2] is not None and row[2] <= now]
    gone = tx.many("DELETE FROM business_key WHERE job = ? AND key = ?", free)
    return gone, (rows[-1][0], rows[-1][1]) if len(rows) == limit else None


def changes(tx: Tx, before: int, limit: int) -> int:
    """Remove the oldest events of the audit trail. Events are numbered in the order of their time."""
    return tx.run(
        "DELETE FROM audit_event WHERE id IN (SELECT id FROM audit_event WHERE id < "
        "(SELECT coalesce(min(id), 4611686018427387904) FROM (SELECT id, at FROM audit_event ORDER BY id LIMIT ?) oldest WHERE at >= ?) "
        "ORDER BY id LIMIT ?)",
        (limit + 1, before, limit),
    )
