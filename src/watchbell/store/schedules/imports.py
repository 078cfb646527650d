"""What was imported from elsewhere: batches, and which schedule came from which line."""

from __future__ import annotations

from ..tx import Row, Tx

__all__ = ["add_batch", "add_item", "batches", "imported", "mark_undone", "newest", "still_there"]


def add_batch(tx: Tx, kind: str, origin: str, at: int, actor: str) -> int:
    """A new batch; returns its number."""
    batch = tx.next_id("import_batch")
    tx.later(
        "INSERT INTO import_batch (id, kind, origin, at, actor) VALUES (?, ?, ?, ?, ?)",
        (batch, kind, origin, at, actor),
    )
    return batch


def add_item(tx: Tx, batch: int, schedule: int, key: str) -> None:
    """A schedule that came with a batch."""
    tx.later("INSERT INTO import_item (batch, schedule, key) VALUES (?, ?, ?)", (batch, schedule, key))


def imported(tx: Tx) -> dict[str, str]:
    """key → name of every imported schedule that is still there."""
    rows = tx.rows(
        "SELECT i.key, s.name FROM import_item i JOIN schedule s ON s.id = i.schedule WHERE s.ended_at IS NULL"
    )
    return dict(rows)


def still_there(tx: Tx, batch: int) -> list[Row]:
    """(schedule, name, version, standing) of what came with a batch and has not ended, by name."""
    return tx.rows(
        "SELECT s.id, s.name, s.version, s.standing FROM import_item i JOIN schedule s ON s.id = i.schedule "
        "WHERE i.batch = ? AND s.ended_at IS NULL ORDER BY s.name",
        (batch,),
    )


def newest(tx: Tx, kind: str) -> int | None:
    """The newest batch that has not been undone."""
    found = tx.value("SELECT max(id) FROM import_batch WHERE kind = ? AND undone_at IS NULL", (kind,))
    return None if found is None else int(found)


def mark_undone(tx: Tx, batch: int, at: int) -> None:
    """The batch was undone."""
    tx.later("UPDATE import_batch SET undone_at = ? WHERE id = ? AND undone_at IS NULL", (at, batch))


def batches(tx: Tx, batch: int | None = None) -> list[Row]:
    """(id, kind, origin, at, actor, undone_at, schedules imported, schedules still there), newest first."""
    only = "" if batch is None else "WHERE b.id = ? "
    return tx.rows(
        "SELECT b.id, b.kind, b.origin, b.at, b.actor, b.undone_at, count(i.schedule), "
        "count(*) FILTER (WHERE s.id IS NOT NULL AND s.ended_at IS NULL) FROM import_batch b LEFT JOIN import_item i ON i.batch = b.id "
        f"LEFT JOIN schedule s ON s.id = i.schedule {only}GROUP BY b.id ORDER BY b.id DESC",
        () if batch is None else (batch,),
    )
