"""What an engine does when its disk is full, or fails (PROTOCOL §8; docs/design/disk-trouble.md).

Nothing begins that was not written down before. *Full*: the reserve is given up, so that what runs can still be settled;
nothing is planned or claimed until the reserve can be made again, and the time between is an outage in the ledger.
*Failing*: no handle that met the error is used again; the store goes on from what is on the disk, and the engine
compares what the ledger says it holds with what it does. *Refused*, which a server that is away is as well: what runs goes
on, and the engine tries again. Ends that cannot be written are in memory and in the spool (engine/spool.py).
"""

from __future__ import annotations

import logging
import os
from collections import deque
from pathlib import Path

from ..core.instants import human_age, human_duration
from ..core.states import State
from ..errors import (
    CommitUnknown,
    DiskFailing,
    EngineReplaced,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreGone,
    StoreUnavailable,
)
from ..store import alerts, claims, nodes
from ..store.planning import Planner
from ..store.schedules.catalog import Catalog
from ..store.sqlite.reserve import Reserve, Told
from ..store.tx import Tx
from .bell import Bell
from .house import House
from .spool import LIMIT, Spool

LOOK_US = 250_000
MOST_FAILURES = 6
WITHIN_US = 60_000_000
FULL, FAILING, REFUSED = "full", "failing", "refused"
_log = logging.getLogger("watchbell.engine")


class Trouble:
    """One node's dealings with its disk, or with its server's. `folder` is the lock folder of a file, in which the reserve
    is; a database on a server has none. Where the spool is, the house knows."""

    def __init__(self, house: House, bell: Bell, folder: Path | None) -> None:
        self._house = house
        self._bell = bell
        self._spool = None if house.spool is None else Spool(house.spool, house.node)
        self._spool_said = ""
        self._reserve = None if folder is None else Reserve(folder)
        self._told: Told | None = None
        self._unknown = False
        self._failures: deque[int] = deque(maxlen=MOST_FAILURES)
        if self._reserve is not None:
            left = self._reserve.prepare()
            if left is not None and left.kind == FULL:
                self._told = left  # the engine before this one has died while the disk was full
                bell.halted = True
            else:
                self._reserve.tell(None)
                self._make_reserve()
        if self._spool is not None:
            try:
                self._spool.open()
            except OSError as error:
                self._say_of_spool(_of(error))

    def close(self) -> None:
        """The incarnation is over: what it could not write is in the spool for others."""
        if self._spool is not None:
            self._unspool()
            self._spool.close()

    @property
    def kind(self) -> str | None:
        """What is wrong: full, failing, refused; None if nothing is."""
        return None if self._told is None else self._told.kind

    def step(self) -> int | None:
        """One step of the bell, and before it whatever makes the disk's trouble end."""
        try:
            self.keep_ahead()
            if self._unknown:
                self._from_disk()
            following = self._bell.step()
            if self._told is not None:
                healed, now = self._heal(), self._house.clock.wall_us()
                following = now if healed else now + LOOK_US
        except StoreError as error:
            self._met(error)
            raise
        self._unspool()
        return following

    def say(self, error: Exception, rest_us: int) -> None:
        """Say that a step has failed, unless that is the outage of which enough was said."""
        known = isinstance(error, StoreError)
        if self._house.outage.covers(error):
            return
        sentence = str(error).rstrip(".") if known else f"{type(error).__name__}: {error}"
        text = "engine.step_failed: %s; nothing starts meanwhile, next try within %.1f s"
        _log.error(text, sentence, rest_us / 1e6, exc_info=not known)

    def last_step(self) -> None:
        """A step of a bell that drains: nothing new begins, and what has ended is written."""
        try:
            self._bell.step()
            if self.kind == REFUSED:
                self._heal()
        except StoreUnavailable as error:
            self._enter(REFUSED, error)
            raise

    # --- entering -----------------------------------------------------------------------------------------------------

    def _met(self, error: StoreError) -> None:
        """A step has failed: say so once, keep what could not be written, and give up the reserve if that helps."""
        if isinstance(error, (EngineReplaced, StoreGone, StoreCorrupt)):
            return
        self._bell.poke()
        if isinstance(error, StoreFull):
            self._enter(FULL, error)
            first, self._bell.halted = not self._bell.halted, True
            if self._reserve is not None and self._reserve.release() and first:
                _log.warning("engine.reserve: given up, so that what runs can still be settled")
                self._alert(error)
        elif isinstance(error, CommitUnknown):
            self._unknown = True
            self._enter(FAILING, error)
            if not self._house.store.shared:  # a server that is away comes back; a disk that fails does not
                self._count(error)
        else:
            self._enter(REFUSED, error)
        self.keep()

    def _enter(self, kind: str, error: StoreError) -> None:
        if self._told is not None and (self._told.kind == kind or self._told.kind == FULL):
            return
        since = self._house.clock.wall_us() if self._told is None else self._told.since
        self._told = Told(kind, since, str(error), os.getpid())
        _log.critical("engine.store_%s: %s Nothing new starts until that is over", kind, error)
        self._house.outage.begins()
        self._house.hooks.tell("engine.store_trouble", {"kind": kind, "text": str(error)})
        if self._reserve is not None:
            self._reserve.tell(self._told)

    def _count(self, error: StoreError) -> None:
        """A disk that fails again and again is left: whoever watches over this process is to know."""
        now = self._house.clock.mono_ns() // 1000
        self._failures.append(now)
        if len(self._failures) == MOST_FAILURES and now - self._failures[0] < WITHIN_US:
            raise DiskFailing(
                f"The disk under {self._house.store.where} has reported {MOST_FAILURES} errors within "
                f"{human_duration(WITHIN_US)}, and the engine stops: look at the disk (the system's log names it), then start "
                f"again, or `watchbell restore` a backup on a sound one. The last error: {error}"
            ) from error

    def _alert(self, error: StoreError) -> None:
        """Somebody is told while there is still room for it."""
        house, now = self._house, self._house.clock.wall_us()
        about = alerts.Happening("missed", 1, "watchbell", due_at=now, detail=str(error))
        try:
            if house.store.write(lambda tx: alerts.observe(tx, [about], now)):
                house.alerted()
        except StoreError as again:
            _log.error("engine.store_full: nobody can be told, as that has no room either: %s", again)

    # --- ends that cannot be written ------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Put what has ended and cannot be written into the spool: this process may die before it can."""
        ended = self._bell.unwritten()
        if self._spool is None or not ended:
            return
        try:
            over = self._spool.keep(ended)
        except OSError as error:
            self._say_of_spool(_of(error))
        else:
            self._say_of_spool(f"it holds {LIMIT} ends already" if over else "")

    def keep_ahead(self) -> None:
        """The same before one more attempt to reach a server that is away: that may take longer than this process lives."""
        if self._told is not None and self._house.store.shared:
            self.keep()

    def say_left(self) -> None:
        """Say what becomes of the ends that this node could not write."""
        if not (left := len(self._bell.unwritten())):
            return
        self.keep()
        ends = f"{left} {'end' if left == 1 else 'ends'} could not be written"
        if self._spool is None or self._spool_said:
            _log.error(
                "engine.spooled: %s, and %s lost with this process", ends, "is" if left == 1 else "are"
            )
            return
        who = "an engine of this database on this machine" if self._house.store.shared else "the next engine"
        kept = "it is kept" if left == 1 else "they are kept"
        _log.error("engine.spooled: %s: %s in %s, from where %s writes %s",
                   ends, kept, self._spool.folder, who, "it" if left == 1 else "them")  # fmt: skip

    def _unspool(self) -> None:
        """Everything that was in the spool is in the ledger."""
        if self._spool is not None and not self._bell.reported:
            self._spool.clear()

    def _say_of_spool(self, why: str) -> None:
        """Say once why the spool takes nothing ("": it does)."""
        if why and why != self._spool_said:
            _log.error(
                "engine.spool: what ends while the database cannot be written is kept in memory only, and is lost with this "
                "process, as %s cannot be used: %s%s",
                self._house.spool,
                why,
                "; $WATCHBELL_STATE_FOLDER names another folder" if self._house.store.shared else "",
            )
        self._spool_said = why

    # --- leaving ------------------------------------------------------------------------------------------------------

    def _heal(self) -> bool:
        """Whether it is over: the bell's step has written what it had to, and there is room again."""
        told, house = self._told, self._house
        assert told is not None
        if told.kind == FULL and self._reserve is not None and not self._make_reserve():
            return False
        now = house.clock.wall_us()

        def write(tx: Tx) -> None:
            house.fence(tx)
            house.beat(tx, now)  # something is written, or nothing is proved
            if told.kind == FULL:
                nodes.record_outage(tx, "store_full", told.since, now, house.node, told.text[:300])

        house.store.write(write)
        house.renewed(now)
        self._told = None
        if self._reserve is not None:
            self._reserve.tell(None)
        self._bell.halted = False
        self._bell.poke()
        house.outage.ends()
        lasted = human_age(now - told.since)
        _log.warning("engine.store_healed: the database can be written again, after %s", lasted)
        house.hooks.tell("engine.store_healed", {"kind": told.kind, "since": told.since})
        return True

    def _make_reserve(self) -> bool:
        assert self._reserve is not None
        made = self._reserve.make()
        if not made and self._told is None:
            _log.warning("engine.reserve: there is no room for a reserve beside %s", self._house.store.where)
        return made

    def _from_disk(self) -> None:
        """A commit may or may not have happened. The store has begun anew from the disk; what it says this node has
        claimed and the node does not hold has not begun and never will by that claim: it is handed back."""
        house = self._house

        def write(tx: Tx) -> int:
            house.fence(tx)
            held = house.desk.keys()
            back = []
            for run, epoch, state in claims.owned(tx, house.node):
                if (run, epoch) not in held and state == State.CLAIMED:
                    row = tx.row(f"SELECT {claims.COLUMNS} FROM occurrence WHERE id = ?", (run,))
                    back.append(claims.claim_of(tx, Planner(Catalog(), None), row or ()))
            return len(claims.hand_back(tx, house.node, back))

        if back := house.store.write(write):
            _log.warning(
                "engine.from_disk: %d claims were in the ledger that nobody knew of; handed back", back
            )
        self._unknown = False


def _of(error: OSError) -> str:
    return error.strerror or str(error)
