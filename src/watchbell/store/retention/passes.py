"""What the last pass of retention has removed; read by the status, written when a pass has come to its end."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from ..tx import Tx

NOTE = "retention"


@dataclass(slots=True)
class Done:
    """What a pass has removed so far. `days` are closed days, counted per schedule."""

    days: int = 0
    rows: int = 0
    spans: int = 0
    by_hand: int = 0
    log_lines: int = 0
    alerts: int = 0
    keys: int = 0
    changes: int = 0

    @property
    def any(self) -> bool:
        """Whether anything at all was removed."""
        return any(getattr(self, field.name) for field in fields(self))

    @property
    def sentence(self) -> str:
        """What was removed, in words."""
        words = {
            "rows": "occurrences",
            "spans": "spans",
            "by_hand": "runs by hand",
            "log_lines": "log lines",
            "alerts": "alerts",
            "keys": "keys",
            "changes": "events of the audit trail",
        }
        told = [f"{getattr(self, name):,} {word}" for name, word in words.items() if getattr(self, name)]
        return f"removed {', '.join(told)}" if told else "nothing was old enough to be removed"


def note_pass(tx: Tx, text: str) -> None:
    """What the last whole pass has removed, for `status`."""
    tx.run(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (NOTE, text),
    )


def last_pass(tx: Tx) -> dict[str, int] | None:
    """What the last whole pass has removed, and when (`at`); None if there was none."""
    text = tx.value("SELECT value FROM meta WHERE key = ?", (NOTE,))
    return None if text is None else dict(json.loads(text))
