"""The audit trail: who changed what, and when; appended in the transaction that changed it."""

from __future__ import annotations

from .tx import Tx


def record(tx: Tx, at: int, actor: str, action: str, subject: str, detail: str = "") -> None:
    """Append one event. `action` is a dotted name such as schedule.paused."""
    tx.later(
        "INSERT INTO audit_event (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        (at, actor, action, subject, detail),
    )


def record_of(tx: Tx, at: int, actor: str, action: str, schedule: int, detail: str = "") -> None:
    """Append one event about a schedule, by its name."""
    tx.later(
        "INSERT INTO audit_event (at, actor, action, subject, detail) SELECT ?, ?, ?, name, ? FROM schedule WHERE id = ?",
        (at, actor, action, detail, schedule),
    )
