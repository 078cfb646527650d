"""The housekeeper: lets go of what is older than its keep time, in steps that nobody notices.

A step is one short transaction; how much it takes on is fitted to what the one before took, so that planning never waits
for it for longer than about `STEP_US`, and after each step it rests for a multiple of that. What it has removed is in
the journal and in `status`. By a clock in doubt, or one that a person has yet to confirm, nothing is let go of: what is
removed does not come back when the clock is set right. The rules are in `store.retention.housekeeping`; here is only the pace.
"""

from __future__ import annotations

import logging
from functools import partial

from ..core.instants import HOUR, MINUTE
from ..store.journal import record
from ..store.retention.housekeeping import Housekeeping
from ..store.retention.passes import Done
from ..store.tx import Tx
from .clockwatch import ClockWatch
from .house import House

STEP_US = 10_000
REST_US = 20_000
RESTS = 4
FIRST_US = MINUTE
EVERY_US = HOUR
LEAST, MOST = 10, 1000
_log = logging.getLogger("watchbell.engine")


class Housekeeper:
    """The retention of one node."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._keeping = Housekeeping(house.store, house.keep, self._guard)
        self._watch = ClockWatch(house.clock)
        self._began = False

    def step(self) -> int:
        """Take one step; returns how long to rest."""
        if not self._began:
            self._began = True
            return FIRST_US
        if (
            self._watch.look() or not self._house.certain
        ):  # what has just happened to the clock, the loop has yet to judge
            return FIRST_US
        clock = self._house.clock
        before = clock.mono_ns()
        goes_on = self._keeping.step(clock.wall_us())
        took = (clock.mono_ns() - before) // 1000
        self._fit(took)
        if goes_on:
            return max(REST_US, RESTS * took)
        self._tell(self._keeping.done)
        return EVERY_US

    def whole_pass(self) -> Done:
        """Everything at once, for a node that is stepped by hand."""
        if not self._house.certain:
            return Done()
        done = self._keeping.run(self._house.clock.wall_us())
        self._tell(done)
        return done

    def _guard(self, tx: Tx) -> None:
        self._house.fence(tx)

    def _fit(self, took: int) -> None:
        """Half as much where a step was too long, a little more where it was short."""
        limit = self._keeping.limit
        if took > STEP_US:
            limit //= 2
        elif took < STEP_US // 4:
            limit += limit // 4
        self._keeping.limit = max(LEAST, min(MOST, limit))

    def _tell(self, done: Done) -> None:
        if not done.any:
            return
        text = done.sentence
        _log.info("retention.done: %s", text)
        now = self._house.clock.wall_us()
        self._house.store.write(
            partial(
                record,
                at=now,
                actor=f"node {self._house.node}",
                action="retention",
                subject="ledger",
                detail=text,
            )
        )
