"""Business keys: who asks twice for the same thing is given the first run, while it is live and for 30 days after."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.instants import DAY
from .tx import Tx

KEY_KEPT_US = 30 * DAY


def expire_keys(tx: Tx, runs: Sequence[int], now: int) -> None:
    """These runs have ended, however that was: their keys are kept for a while, and then free."""
    tx.many(
        "UPDATE business_key SET expires_at = ? WHERE run = ?", [(now + KEY_KEPT_US, run) for run in runs]
    )
