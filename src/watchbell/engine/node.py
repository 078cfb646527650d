"""A node: one process's engine, from waiting for the right to act to giving it up.

On SQLite one engine acts and every other stands by (engine/standby.py). One that takes over raises the engine epoch, and
whoever acted before, on waking, finds its epoch gone (PROTOCOL §8). On PostgreSQL all act at once and look at each other
(engine/peers.py); one that was declared dead finds that out at its next write, ends what it runs, and begins anew as
another incarnation.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from .. import _version
from ..clock import Clock
from ..core.instants import human_duration
from ..errors import (
    DiskFailing,
    EngineReplaced,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreGone,
    WatchbellError,
)
from ..executors.base import Executor, Report, Sink
from ..executors.identity import own_process
from ..store import nodes
from ..store.base import Listening, Store
from ..store.nodes import LEASE_US, NodeInfo
from ..store.sqlite.lock import EngineLock
from ..store.sqlite.reserve import Reserve
from .alerter import Alerter
from .bell import LOOK_US, Bell
from .desk import Slots
from .house import House
from .housekeeper import Housekeeper
from .keeper import Keeper
from .lag import LOOP_LAG_LIMIT_US, LagWatch
from .lease_end import LeaseEnd
from .loop import Loop, hold_back
from .notes import Notes
from .outage import PATIENCE
from .peers import Peers
from .recovery import Recovered, announce, take_over
from .sources import Sources
from .standby import StandBy, may_return
from .trouble import Trouble
from .watcher import Watcher

STALL_US = 15_000_000
RETRY_US = 1_000_000
MOVE_NS = 500_000_000
_log = logging.getLogger("watchbell.engine")

ExecutorFactory = Callable[
    [Clock, Sink, Callable[[Sequence[Report]], None], Slots], tuple[dict[str, Executor], Callable[[], None]]
]
"""Makes the executors of a node, one for each lane, and what is to be called when all of them have stopped."""


@dataclass(slots=True)
class Plan:
    """How a node is to live: who it is, its executors, and how it ends."""

    executors: ExecutorFactory
    name: str = field(default_factory=socket.gethostname)
    startup_delay_us: int = 0
    shutdown_grace_us: int = 10_000_000
    look_us: int = LOOK_US
    stall_us: int = STALL_US
    loop_lag_limit_us: int = LOOP_LAG_LIMIT_US
    lease_us: int = LEASE_US
    state: Path | None = None
    """The folder for state of the user who runs this: a database on a server has its spool there."""


class Node:
    """One engine and its thread. `start` returns at once; `ready` is set when it acts, `ended` when it is over."""

    def __init__(self, house: House, plan: Plan, sources: Sources, alerter: Alerter) -> None:
        self.house = house
        self._plan = plan
        self._sources = sources
        self._alerter = alerter
        self._wake = threading.Event()
        house.wake, house.rest = self._wake.set, self._rest
        house.lease_us, house.process = plan.lease_us, own_process()
        self._lock = None if house.store.path is None else EngineLock(house.store.path)
        self._stop = threading.Event()
        self._grace_us = plan.shutdown_grace_us
        self._hard = False
        self.ready = threading.Event()
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.standing_by = False
        self._bell: Bell | None = None
        self._moved = 0
        self._thread = threading.Thread(target=self._live, name="watchbell-engine", daemon=True)

    @property
    def store(self) -> Store:
        """The node's database."""
        return self.house.store

    def start(self) -> None:
        """Stand by, and act as soon as nobody else does."""
        self._thread.start()

    def wake(self) -> None:
        """Something may have come due."""
        if self._bell is not None:
            self._bell.poke()
        self._wake.set()

    def stop(self, grace_us: int | None = None) -> None:
        """Drain: claim nothing more, give back what has not begun, let running work finish within the grace."""
        if grace_us is not None:
            self._grace_us = grace_us
        if self._stop.is_set():
            self._hard = True
        self._stop.set()
        if self._bell is not None:
            self._bell.draining = True
        self._wake.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the engine is over."""
        return self.ended.wait(timeout_s)

    def alive(self) -> bool:
        """Whether the engine's thread is there."""
        return self._thread.is_alive()

    def _rest(self, us: int) -> None:
        """Wait a moment, or until somebody wakes the node; the wake stays for the loop to see."""
        self._wake.clear()
        self.house.clock.wait(self._wake, us)
        self._wake.set()

    # --- standing by --------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            self.standing_by = self._plan.startup_delay_us > 0
            hold_back(self.house.clock, self._stop, self._plan.startup_delay_us)
            self.standing_by = False
            while not self._stop.is_set():
                if not self._contend():
                    break
                try:
                    self._act()
                except EngineReplaced as error:
                    _log.error("engine.replaced: %s", error)
                    if self._lock is not None:
                        self._lock.let_go(self._successor())
                except StoreError as error:
                    comes_back = self.store.shared and may_return(error, self.ready.is_set())
                    if not (self.standing_by or comes_back):
                        raise
                    # Whoever stalled may hold the write lock of the database as well: a stand-by does not give up.
                    if not self.house.outage.covers(error):
                        _log.error("engine.take_over_failed: %s; trying again", str(error).rstrip("."))
                    before, self.standing_by = self.standing_by, True  # `start` does not wait for it
                    self.house.clock.wait(self._stop, RETRY_US)
                    self.standing_by = before
        except Exception as error:
            self.error = error
            _log.critical("engine.ended: %s", error, exc_info=not isinstance(error, WatchbellError))
        finally:
            if self._lock is not None:
                self._lock.release()
            self.house.hooks.tell("engine.stopped", {"node": self.house.node})
            self.ended.set()
            self.ready.set()

    def _successor(self) -> int | None:
        """The process that acts in place of this one."""
        try:
            return self.store.read(nodes.acting_process)
        except StoreError:
            return None

    def _contend(self) -> bool:
        """Wait for the right to act; False if the node was stopped meanwhile."""
        lock = self._lock
        if lock is None or lock.take():
            return True
        self.standing_by = True
        return StandBy(self.house, lock, self._info, self._plan.stall_us).wait(self._stop)

    # --- acting -------------------------------------------------------------------------------------------------------

    def _act(self) -> None:
        """Be the engine until the node is stopped or another engine has taken over."""
        house = self.house
        proven = self._lock is None or self._lock.held
        self._show_progress()
        announce(house, self._take_over(proven))
        house.outage.ends()
        notes = Notes(house.clock, house.store, lambda: keeper_loop.wake())
        keeper = Keeper(house, notes)
        keeper_loop = Loop("keeper", keeper.step, house.clock, house.outage, RETRY_US)
        bell = Bell(house, notes)
        bell.trusted = keeper.trusted
        with closing(Trouble(house, bell, self._folder)) as trouble:
            self._serve(notes, bell, trouble, keeper_loop)

    def _serve(self, notes: Notes, bell: Bell, trouble: Trouble, keeper_loop: Loop) -> None:
        """Everything of one incarnation, from its executors to its last word."""
        house = self.house
        house.executors, close = self._plan.executors(house.clock, notes, bell.report, house.slots)
        loops = [keeper_loop, *self._loops(bell.trusted)]
        listener = self._listen()
        self._bell, self.standing_by = bell, False
        for loop in loops:
            loop.start()
        self.ready.set()
        house.hooks.tell("engine.ready", {"node": house.node})
        replaced = failing = False
        try:
            self._ring(bell, trouble)
        except EngineReplaced:
            replaced = True
            raise
        except StoreGone:
            self._quietly(self.store.rescue)
            raise
        except DiskFailing:
            failing = True
            raise
        finally:
            if listener is not None:
                listener.close()
            for loop in loops[1:]:
                loop.stop()
            self._drain(bell, trouble, replaced, failing)
            keeper_loop.stop()
            close()
            self._bell = None
            self._say_ended()

    def _loops(self, trusted: Callable[[], bool]) -> list[Loop]:
        """What goes on beside the engine's own loop and the keeper's."""
        house = self.house
        steps = {
            "alerter": self._alerter.step,
            "watcher": Watcher(house).step,
            "sources": self._sources.step,
            "lag": LagWatch(house, self._plan.loop_lag_limit_us).step,
            "housekeeper": Housekeeper(house).step,
        }
        if house.store.shared:
            steps |= {"peers": Peers(house).step, "lease-end": LeaseEnd(house, trusted).step}
        found = [Loop(name, step, house.clock, house.outage) for name, step in steps.items()]
        house.alerted = found[0].wake
        return found

    def _take_over(self, proven: bool) -> Recovered:
        """Become the engine; on a full disk with the room that was kept for this."""
        house, folder = self.house, self._folder
        state = self._plan.state if house.store.shared else None
        try:
            return take_over(house, self._info(), proven_dead=proven, folder=folder, state=state)
        except StoreFull:
            if folder is None or not Reserve(folder).release():
                raise
            return take_over(house, self._info(), proven_dead=proven, folder=folder)

    @property
    def _folder(self) -> Path | None:
        """The lock folder of a file."""
        return None if self._lock is None else self._lock.folder

    def _info(self) -> NodeInfo:
        house = self.house
        return NodeInfo(
            self._plan.name,
            socket.gethostname(),
            os.getpid(),
            house.clock.boot_id(),
            _version.__version__,
            house.slots.lanes,
            house.handlers.names(),
            house.labels,
            house.process,
        )

    def _listen(self) -> Listening | None:
        """Hear of what other processes write. Without it the engine looks by itself, every quarter of a second."""
        try:
            return self.store.listen(self.wake)
        except (OSError, StoreError) as error:
            _log.warning("engine.deaf: nobody can wake this engine (%s); it looks four times a second", error)
            return None

    def _ring(self, bell: Bell, trouble: Trouble) -> None:
        """The loop: step, then wait for the next instant or for somebody who wakes it."""
        house, clock = self.house, self.house.clock
        in_memory = house.store.in_memory
        failures = 0
        while not self._stop.is_set():
            self._wake.clear()
            if house.fenced is not None:
                raise house.fenced
            try:
                following = trouble.step()
                failures = 0
                rest = self._plan.look_us if not in_memory else 1_000_000
                if following is not None:
                    rest = min(rest, following - clock.wall_us())
            except (EngineReplaced, StoreGone, StoreCorrupt, DiskFailing):
                raise
            except Exception as error:
                failures += 1
                rest = min(RETRY_US, 50_000 * 2 ** min(failures, 10))
                trouble.say(error, rest)
                bell.poke()
            self._show_progress()
            if rest > 0:
                clock.wait(self._wake, rest)

    def _show_progress(self) -> None:
        """Show those who stand by that the loop turns; one that acts beside a stalled holder takes the lock once it is
        free."""
        now = self.house.clock.mono_ns()
        if self._lock is not None and now - self._moved > MOVE_NS:
            self._moved = now
            self._lock.move()
            self._lock.take()
            if not self._draining():
                self.store.check_file()
                if self._lock.held and not self._lock.verify():
                    raise EngineReplaced(
                        "The lock folder of this database was removed, and another engine has taken the lock that is "
                        "there now: this engine starts nothing more."
                    )

    def _draining(self) -> bool:
        return self._bell is None or self._bell.draining

    # --- ending -------------------------------------------------------------------------------------------------------

    def _drain(self, bell: Bell, trouble: Trouble, replaced: bool, failing: bool) -> None:
        """What has not begun is handed back at once, what runs may finish within the grace, the rest is ended."""
        house, clock = self.house, self.house.clock
        bell.draining = True
        trouble.keep_ahead()
        grace = 0 if replaced else self._grace_us
        if not replaced:
            self._quietly(lambda: house.store.write(lambda tx: nodes.drain(tx, house.node)))
            self._quietly(lambda: bell.hand_back(house.desk.withdraw_ready()))
        end = clock.mono_ns() + grace * 1000
        if waiting := len(house.desk):
            _log.info(
                "engine.draining: %d running, which may finish within %s; a second signal ends them at once",
                waiting,
                human_duration(grace),
            )
        while not bell.idle and clock.mono_ns() < end and not self._hard:
            self._wake.clear()
            if not self._quietly(trouble.last_step):
                trouble.keep()
            self._show_progress()
            if failing and len(bell.unwritten()) >= len(house.desk):
                break  # everything has ended, and cannot be written here
            if not bell.idle:
                clock.wait(self._wake, min(100_000, (end - clock.mono_ns()) // 1000))
        for executor in house.executors.values():
            executor.stop(0 if self._hard or replaced else 2_000_000)
        self._quietly(trouble.last_step)
        trouble.say_left()
        trouble.close()  # before it is said that this node has stopped: then its rows are for others to settle
        house.desk.clear(house.desk.held())

    def _say_ended(self) -> None:
        """The last word of this incarnation."""
        house, now = self.house, self.house.clock.wall_us()
        self._quietly(
            lambda: house.store.write(lambda tx: nodes.end(tx, house.node, "stopped", now)), PATIENCE
        )
        _log.info("engine.stopped: node %d", house.node)

    def _quietly(self, act: Callable[[], object], failures: int = 1) -> bool:
        """Whether it went well; else it is only said, if an outage of the database is not why."""
        try:
            act()
        except Exception as error:
            if not self.house.outage.covers(error, failures):
                _log.error("engine.drain: %s", error)
            return False
        return True
