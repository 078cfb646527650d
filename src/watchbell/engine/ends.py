"""How attempts have ended, on the way from the executors into the ledger.

Executors report from any thread; the engine's loop takes what there is and writes it together with what it plans and
claims. What could not be written stays here, and is written first once it can be. A claim that was handed back before
anything of it had begun is given back from here as well.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..core.claim import Claim
from ..core.outcome import Outcome
from ..errors import StoreError
from ..executors.base import Report
from ..store import claims, settling
from ..store.settling import Ended, Settled
from ..store.tx import Tx
from .house import House, write_progress
from .lease_end import as_it_is
from .notes import Notes
from .telling import Teller

BATCH = 2000
T = TypeVar("T")
Timed = Callable[[Callable[[Tx], Settled]], Settled]
_log = logging.getLogger("watchbell.engine")


@dataclass(slots=True)
class Taken:
    """Ends that are being written, with what was said of the progress of runs until now."""

    ended: list[Ended] = field(default_factory=list)
    progress: list[tuple[int, float, float | None, str | None, int]] = field(default_factory=list)


class Ends:
    """The ends of one node's attempts. `timed` carries out a transaction of the engine's loop."""

    def __init__(self, house: House, notes: Notes, teller: Teller, timed: Timed) -> None:
        self._house = house
        self._notes = notes
        self._teller = teller
        self._timed = timed
        self._reports: deque[Report] = deque()
        self._unwritten: list[Ended] = []
        self._returned: list[Claim] = []

    def report(self, reports: Sequence[Report]) -> None:
        """What executors call, from any thread, when attempts have ended."""
        self._reports.extend(reports)
        self._house.wake()

    def add(self, ended: Sequence[Ended], returned: Sequence[Claim]) -> None:
        """What has ended, or goes back, without an executor having had it."""
        self._unwritten += ended
        self._returned += returned

    @property
    def waiting(self) -> bool:
        """Whether ends have come in that are not written yet."""
        return bool(self._reports or self._unwritten)

    @property
    def any(self) -> bool:
        """Whether there is anything to be written at all."""
        return bool(self._reports or self._unwritten or self._returned)

    def unwritten(self) -> list[Ended]:
        """Ends that are not written, for the spool."""
        while self._reports:
            self._unwritten += self._collect()
        return self._unwritten

    def take(self) -> Taken:
        """A batch of ends that is to be written now: what has waited longest first."""
        batch, self._unwritten = self._unwritten[:BATCH], self._unwritten[BATCH:]
        batch = batch or self._collect()
        return Taken(batch, [] if self._notes.silent or not batch else self._notes.take_progress())

    def put_back(self, taken: Taken) -> None:
        """They could not be written: they wait."""
        self._notes.put_back((), (), taken.progress)
        self._unwritten = taken.ended + self._unwritten

    def settle(
        self, tx: Tx, taken: Taken, describe: settling.Describe | None, overlapped: bool = True
    ) -> Settled:
        """Write them, in a transaction."""
        house = self._house
        if taken.progress:
            write_progress(tx, taken.progress)
        now = house.clock.wall_us()
        return settling.settle(tx, house.node, taken.ended, now, house.draw, describe, overlapped)

    def written(self, taken: Taken, settled: Settled) -> None:
        """They are in the ledger, durably."""
        self._house.desk.clear([item.claim for item in taken.ended])
        if settled.alerts:
            self._house.alerted()
        self._teller.ended(settled)

    def write_all(self, describe: settling.Describe) -> int:
        """Write everything there is, in transactions of its own; returns how many rows that has let in."""
        admitted = 0
        while self.any:
            taken = self.take()
            if taken.ended:
                admitted += self.write(taken, describe)
            self.hand_back(())
        return admitted

    def write(self, taken: Taken, describe: settling.Describe) -> int:
        """Write these alone."""
        try:
            settled = self._timed(lambda tx: self.settle(tx, taken, describe))
        except StoreError:
            self.put_back(taken)
            raise
        except Exception as error:
            return self._one_by_one(taken.ended, error, describe)
        self.written(taken, settled)
        return settled.admitted

    def hand_back(self, returned: Sequence[Claim]) -> None:
        """Give back claims whose user code has not begun. What cannot be written now is given back later."""
        self._returned += returned
        if self._returned:
            house, all_of_them = self._house, list(self._returned)
            house.store.write(lambda tx: claims.hand_back(tx, house.node, all_of_them))
            house.desk.clear(all_of_them)
            self._returned.clear()
            if house.store.shared:  # others begin at once what was handed back
                house.store.poke()

    def _collect(self) -> list[Ended]:
        batch: list[Ended] = []
        silent = self._notes.silent
        find, close, reports = self._house.desk.find, self._notes.close, self._reports
        while reports and len(batch) < BATCH:
            report = reports.popleft()
            claim = find(report.run, report.epoch)
            if claim is None:
                continue
            if report.outcome is None:
                self._returned.append(claim)
                continue
            outcome = as_it_is(report.outcome)
            batch.append(Ended(claim, outcome, () if silent else close(report.run, report.epoch)))
        return batch

    def _one_by_one(self, ended: list[Ended], error: Exception, describe: settling.Describe) -> int:
        """Something in the batch cannot be written down: find it, keep of it what can be, and write all the others."""
        if len(ended) > 1:
            return sum(self.write(Taken([item]), describe) for item in ended)
        item = ended[0]
        text = f"What this run said of its end could not be written down: {type(error).__name__}: {error}"
        plain = Outcome(item.outcome.ending, item.outcome.began_at, item.outcome.ended_at, error=text)
        if item.outcome.error == text:
            _log.critical("engine.unwritable: run_%d: %s", item.claim.run, text)
            self._house.desk.clear([item.claim])
            return 0
        return self.write(Taken([Ended(item.claim, plain, (), item.node)]), describe)
