"""The job loop's lag, measured from outside: a coroutine that computes for seconds without a pause keeps every other async
run from going on. Over the limit it is named, alerted, and left alone on its loop; the others go to a fresh one."""

from __future__ import annotations

import logging

from ..core.alert import Happening
from ..core.instants import human_duration
from ..executors.base import Blocked
from ..store import alerts
from ..store.schedules.catalog import Catalog
from ..store.tx import Tx
from .house import House
from .recovery import subject_of

LOOP_LAG_LIMIT_US = 5_000_000
LOOKS = 5
_log = logging.getLogger("watchbell.engine")


class LagWatch:
    """Asks every lane of a node, a few times within the limit, whether one run is in the way of all others."""

    def __init__(self, house: House, limit_us: int = LOOP_LAG_LIMIT_US) -> None:
        self._house = house
        self._limit_us = limit_us

    def step(self) -> int:
        """Look once."""
        for executor in self._house.executors.values():
            blocked = executor.unblock(self._limit_us)
            if blocked is not None:
                self._tell(blocked)
        return self._limit_us // LOOKS

    def _tell(self, blocked: Blocked) -> None:
        house = self._house
        span = human_duration(blocked.for_us)
        claim = None if blocked.run is None else house.desk.find(blocked.run, blocked.epoch)
        if claim is None:
            _log.error("engine.loop_blocked: the job loop has not turned for %s; others go to a fresh one\n%s", span,
                       blocked.where or "")  # fmt: skip
            return
        text = f"it has blocked the job loop for {span}; further async runs go to a fresh one"
        name = house.store.write(lambda tx: _alert(tx, house, blocked, text))
        _log.error("engine.loop_blocked: run_%d of %s: %s\n%s", claim.run, name, text, blocked.where or "")


def _alert(tx: Tx, house: House, blocked: Blocked, text: str) -> str:
    """Whoever is told of runs that take long is told of this one; returns its schedule's or job's name."""
    house.fence(tx)
    claim = None if blocked.run is None else house.desk.find(blocked.run, blocked.epoch)
    if claim is None:
        return "a run that has ended meanwhile"
    name, tags = subject_of(tx, Catalog(), claim)
    happening = Happening("running_long", claim.workspace, name, tags, claim.run, claim.due_at, detail=text)
    if alerts.observe(tx, [happening], house.clock.wall_us()):
        tx.after_commit(house.alerted)
    return name
