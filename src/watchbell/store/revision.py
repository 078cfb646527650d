"""The revision of all definitions: one number that grows with every change, so that caches know that they are old."""

from __future__ import annotations

from .tx import Tx


def raise_catalog(tx: Tx) -> None:
    """Tell every process that jobs, limits or rules have changed."""
    tx.later("UPDATE meta SET value = CAST(value AS BIGINT) + 1 WHERE key = 'catalog'")
