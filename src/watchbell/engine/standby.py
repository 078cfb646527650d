"""Standing by: waiting for the right to act on a database on which one engine acts (PROTOCOL §8).

A stand-by takes over when the lock is free, which it is the moment its holder dies; or when the holder has not turned
its loop for as long as a stall is said to last, by the stand-by's own boot-time clock. On a database that several nodes
share nobody stands by.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..core.instants import human_duration
from ..errors import DiskFailing, StoreCorrupt, StoreError, StoreForbidden, StoreGone, StoreUnavailable
from ..store import nodes
from ..store.nodes import NodeInfo
from ..store.sqlite.lock import EngineLock
from .house import House

CONTEND_US = 250_000
_log = logging.getLogger("watchbell.engine")


def may_return(error: StoreError, acted: bool) -> bool:
    """Whether a node of a store that several share goes on trying. Its store was open: a server that went away while it took
    over comes back. One that has acted and was declared dead begins anew whatever it was, but for what no wait mends."""
    if isinstance(error, (StoreGone, StoreCorrupt, DiskFailing)):
        return False
    return acted or (isinstance(error, StoreUnavailable) and not isinstance(error, StoreForbidden))


class StandBy:
    """One process's wait for the lock."""

    def __init__(self, house: House, lock: EngineLock, info: Callable[[], NodeInfo], stall_us: int) -> None:
        self._house = house
        self._lock = lock
        self._info = info
        self._stall_us = stall_us
        self._shown: tuple[int, int] | None = None

    def wait(self, stop: threading.Event) -> bool:
        """Wait for the right to act; False if the node was stopped meanwhile."""
        lock, clock = self._lock, self._house.clock
        _log.info("engine.standby: process %s runs the engine of %s", lock.holder(), self._house.store.where)
        self._house.hooks.tell("engine.standby", {"holder": lock.holder()})
        self._show()
        try:
            seen, since = lock.progress(), clock.boot_ns()
            while not stop.is_set():
                clock.wait(stop, CONTEND_US)
                if lock.take():
                    return True
                self._show()
                now = lock.progress()
                if now != seen:
                    seen, since = now, clock.boot_ns()
                elif (clock.boot_ns() - since) // 1000 > self._stall_us:
                    self._say_stalled()
                    return True
            return False
        finally:
            self._show(over=True)

    def _say_stalled(self) -> None:
        _log.error(
            "engine.stalled: process %s holds the lock and has not moved for %s; taking over",
            self._lock.holder(),
            human_duration(self._stall_us),
        )
        self._house.hooks.tell("engine.stalled", {"holder": self._lock.holder()})

    def _show(self, over: bool = False) -> None:
        """Keep a row in the ledger that says that this process stands by: (its id, when it was renewed)."""
        house, shown = self._house, self._shown
        now, boot = house.clock.wall_us(), house.clock.boot_ns()
        try:
            if shown is None:
                if not over:
                    row = house.store.write(lambda tx: nodes.stand_by(tx, self._info(), now))
                    self._shown = row, boot
            elif over:
                house.store.write(lambda tx: nodes.end(tx, shown[0], "stopped", now))
                self._shown = None
            elif (boot - shown[1]) // 1000 > house.renew_us:
                house.store.write(lambda tx: nodes.heartbeat(tx, shown[0], now, lease_us=house.lease_us))
                self._shown = shown[0], boot
        except StoreError as error:
            _log.warning("engine.standby: %s", error)
