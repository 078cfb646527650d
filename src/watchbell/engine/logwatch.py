"""The write-ahead log is moved into the file every few seconds. Where somebody's long read keeps it from beginning anew it
grows with every commit; past its limit that is said, once, to whoever asked to be told."""

from __future__ import annotations

import logging

from ..store import alerts, sqlite
from .house import House

_log = logging.getLogger("watchbell.engine")


class LogWatch:
    """The log of one node's database."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._told = False

    def look(self) -> None:
        """Tidy the log up, and see how long it still is."""
        house = self._house
        pages = house.store.checkpoint()
        grown = pages > sqlite.LOG_LIMIT_PAGES
        if grown and not self._told:
            text = (
                f"the log of {house.store.where} has grown to {pages * 4096 // 1024**2} MiB, as some process has been reading "
                "an old state of it for long; it goes on to grow until that one is done (`lsof` names it)"
            )
            _log.error("engine.log_grows: %s", text)
            house.hooks.tell("engine.store_trouble", {"kind": "log", "text": text})
            now = house.clock.wall_us()
            about = alerts.Happening("late", 1, "watchbell", due_at=now, detail=text)
            if house.store.write(lambda tx: alerts.observe(tx, [about], now)):
                house.alerted()
        self._told = grown
