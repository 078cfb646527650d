"""A node without threads: `advance` moves virtual time from one thing to do to the next and does each at its instant."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from ..app import Watchbell
from ..app.compose import house
from ..clock import ManualClock
from ..core.instants import DAY, MINUTE, from_datetime, parse_duration, parse_instant
from ..engine.bell import Bell
from ..engine.desk import Slots
from ..engine.house import House
from ..engine.housekeeper import Housekeeper
from ..engine.keeper import Keeper
from ..engine.notes import Notes
from ..engine.peers import EVERY_US as LOOK_US
from ..engine.peers import Peers
from ..engine.recovery import take_over
from ..engine.trouble import Trouble
from ..engine.watcher import EVERY_US, Watcher
from ..errors import BadConfiguration
from ..store import nodes
from ..store.nodes import NodeInfo
from .inline import InlineExecutor

STEPS_AT_ONE_INSTANT = 10_000
_numbers = itertools.count(1)
_ended: set[str] = set()
"""The processes, as it were, of the nodes that have died where others can see it."""


class StepNode:
    """One engine of a `Watchbell` whose clock is a `ManualClock`.

    It becomes the engine when it is made: on SQLite an engine before it is treated as dead, and what that one held is
    lost. On PostgreSQL it is one of several, each with a `Watchbell` of its own and all with one clock, which is the
    database's as well; `name` tells them apart. `randomness` and `draw` make it deterministic: the same seed gives the same ledger.
    """

    def __init__(
        self,
        bell: Watchbell,
        *,
        draw: Callable[[], float] = lambda: 0.5,
        randomness: Callable[[int], bytes] = bytes,
        name: str = "step",
    ) -> None:
        if not isinstance(bell._clock, ManualClock):
            raise BadConfiguration(
                "A StepNode needs virtual time: make the Watchbell with clock=ManualClock(…)."
            )
        self.bell = bell
        self.clock = bell._clock
        store = bell._open()
        self.house: House = house(bell._parts(store))
        self.house.draw, self.house.randomness = draw, randomness
        self.house.process = f"step:{next(_numbers)}"
        self.house.process_ended = lambda _pid, process: process in _ended
        info = NodeInfo(
            name,
            "virtual",
            os.getpid(),
            self.clock.boot_id(),
            "0",
            self.house.slots.lanes,
            self.house.handlers.names(),
            self.house.labels,
            self.house.process,
        )
        self.found = take_over(self.house, info, proven_dead=True, folder=None)
        self._notes = Notes(self.clock, store, lambda: None)
        self._bell = Bell(self.house, self._notes)
        self._bell.look_always = True
        self._trouble = Trouble(self.house, self._bell, None)
        self._keeper = Keeper(self.house, self._notes)
        self._bell.trusted = self._keeper.trusted
        self._watcher = Watcher(self.house)
        self._peers = Peers(self.house)
        self._housekeeper = Housekeeper(self.house)
        self.lanes = {lane: self._lane(lane) for lane in self.house.slots.lanes}
        self.house.executors = dict(self.lanes)
        self._next_keep = self._next_watch = self._next_look = 0
        self._next_tidy = self.clock.boot_ns() // 1000 + DAY
        self.stopped = False

    def _lane(self, lane: str) -> InlineExecutor:
        return InlineExecutor(lane, self.clock, self._notes, self._bell.report)

    def set_slots(self, **lanes: int) -> None:
        """How many runs of a lane go on at once."""
        slots = {**self.house.slots.lanes, **lanes}
        self.house.slots = Slots(slots)
        self.house.store.write(lambda tx: nodes.set_slots(tx, self.house.node, slots))

    def step(self) -> int | None:
        """Do everything that is to be done at this instant; returns the next instant at which there is something."""
        now = self.clock.wall_us()
        for lane in self.lanes.values():
            lane.pass_time()
        passed = self.clock.boot_ns() // 1000  # the wall clock may be set back, and a lease is not kept by it
        if passed >= self._next_keep:
            self._keeper.step()
            self._next_keep = passed + self.house.renew_us
        if self.house.store.shared and passed >= self._next_look:
            self._peers.step()
            self._next_look = passed + LOOK_US
        if passed >= self._next_watch:
            self._watcher.step()
            self._next_watch = passed + EVERY_US
        following: int | None = None
        for _ in range(STEPS_AT_ONE_INSTANT):
            following = self._trouble.step()
            if not self._bell.reported and (following is None or following > now):
                break
        if passed >= self._next_tidy:
            self._housekeeper.whole_pass()
            self._next_tidy = passed + DAY
        self.bell._hooks.drain()
        ends = [end for lane in self.lanes.values() if (end := lane.next_end()) is not None]
        return min([*ends, *([following] if following is not None else [])], default=None)

    def advance(self, by: str | float | timedelta) -> None:
        """Let time pass, and do everything at its instant."""
        self.run_until(self.clock.wall_us() + parse_duration(by))

    def run_until(self, at: int | str | datetime) -> None:
        """Let time pass until an instant, and do everything up to and with it."""
        self.bell._open()  # what was declared since
        end = (
            at
            if isinstance(at, int)
            else from_datetime(at)
            if isinstance(at, datetime)
            else parse_instant(at)
        )
        while True:
            following = self.step()
            now = self.clock.wall_us()
            if now >= end:
                return
            target = min(end, following if following is not None and following > now else end)
            if following is None or following > end:
                target = end
            self.clock.advance(max(1, self._not_past_the_watch(now, target) - now))

    def _not_past_the_watch(self, now: int, target: int) -> int:
        """What waits, and a clock in doubt, want the watcher every minute, what runs every ten; an idle node is moved in
        one go."""
        if self._waiting() or self._in_doubt():
            return min(target, now + MINUTE)
        return min(target, now + 10 * MINUTE) if len(self.house.desk) else target

    def _in_doubt(self) -> bool:
        return bool(self.rows("SELECT 1 FROM clock_trust WHERE standing = 'suspect'"))

    def _waiting(self) -> bool:
        states = ("queued", "held")
        return any(self.rows(f"SELECT 1 FROM occurrence WHERE state = '{state}' LIMIT 1") for state in states)

    def drain(self) -> None:
        """Stop as a deploy does: hand back what has not begun, end what runs, say so in the node's row."""
        self._bell.draining = self.stopped = True
        self._bell.hand_back(self.house.desk.withdraw_ready())
        for lane in self.lanes.values():
            lane.stop(0)
        self._bell.step()
        now = self.clock.wall_us()
        self.house.store.write(lambda tx: nodes.end(tx, self.house.node, "stopped", now))

    def die(self, *, seen: bool = True) -> None:
        """Be killed: nothing is written, nothing is said. Unless it is `seen`, as by whoever runs on the same machine, other
        nodes know of it only when its lease is over."""
        if seen:
            _ended.add(self.house.process)
        for lane in self.lanes.values():
            lane.die()
        self._bell.draining = self.stopped = True

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """Ask the ledger."""
        return self.house.store.read(lambda tx: tx.rows(sql, params))

    def occurrences(self, schedule: str | None = None) -> list[tuple[int, str, str | None]]:
        """(due_at, state, reason) of every row, by due time; of one schedule if it is named."""
        sql = "SELECT o.due_at, o.state, o.reason FROM occurrence o LEFT JOIN schedule s ON s.id = o.schedule"
        if schedule is None:
            return [(row[0], row[1], row[2]) for row in self.rows(f"{sql} ORDER BY o.due_at, o.id")]
        return [
            (row[0], row[1], row[2])
            for row in self.rows(f"{sql} WHERE s.name = ? ORDER BY o.due_at, o.id", schedule)
        ]
