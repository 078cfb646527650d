"""The keeper: renews the node's lease on a thread of its own, writes what running runs say, and compares what the
ledger says the node owns with what it holds (PROTOCOL §6, reconcile)."""

from __future__ import annotations

import logging

from ..core.claim import Claim
from ..core.outcome import Ending, Outcome
from ..core.states import Reason, State
from ..errors import CommitUnknown, StoreError, StoreUnavailable
from ..store import claims, nodes, settling
from ..store.planning import Planner
from ..store.schedules.catalog import Catalog
from ..store.settling import Ended
from ..store.tx import Tx
from .house import House, write_progress
from .notes import Notes

FLUSH_US = 250_000
SHORT_US = 200_000
Begun = tuple[int, int, int, int | None, int | None]
_log = logging.getLogger("watchbell.engine")


class Keeper:
    """One node's heartbeat."""

    def __init__(self, house: House, notes: Notes) -> None:
        self._house = house
        self._notes = notes
        self._renewed_boot = house.clock.boot_ns() if house.joined_ns is None else house.joined_ns
        self._next_renewal = 0
        self._strange: set[tuple[int, int]] = set()
        self._marked: set[tuple[int, int]] = set()
        self._announced = house.handlers.names()

    def trusted(self) -> bool:
        """Whether the node may still begin what it holds: its lease, counted on its own boot clock from before the
        renewal was sent, less a margin, has not run out."""
        lease = self._house.lease_us
        return (self._house.clock.boot_ns() - self._renewed_boot) // 1000 < lease - lease // 5

    def step(self) -> int:
        """Flush what runs have said, and renew the lease when it is time."""
        house = self._house
        before = house.clock.boot_ns()
        begun, lines, progress = (
            self._notes.take_begun(),
            self._notes.take_lines(),
            self._notes.take_progress(),
        )
        spoken = begun
        renew = before >= self._next_renewal
        if len(house.desk):
            begun = begun + self._in_progress({row[0] for row in lines} | {row[0] for row in progress})
        if begun or lines or progress or renew:
            now, names = house.clock.wall_us(), house.handlers.names()

            def write(tx: Tx) -> list[tuple[int, int, str]]:
                house.fence(tx)
                claims.mark_running(tx, house.node, begun)
                settling.write_lines(tx, lines)
                write_progress(tx, progress)
                if renew:
                    house.beat(tx, now, before // 1000)
                    if names != self._announced:
                        nodes.set_handlers(tx, house.node, names)
                return claims.owned(tx, house.node) if renew else []

            house.outage.asks()
            try:
                owned = house.store.write(write)
            except StoreError as error:
                if not isinstance(error, (StoreUnavailable, CommitUnknown)):
                    house.outage.answered()
                self._marked -= {(run, epoch) for run, epoch, *_ in begun}
                self._notes.put_back(spoken, lines, progress)
                raise
            house.outage.answered()
            if renew:
                house.renewed(now)
                self._renewed_boot = before
                self._next_renewal = before + house.renew_us * 1000
                self._announced = names
                self._reconcile(owned)
        return FLUSH_US

    def _in_progress(self, speaking: set[int]) -> list[Begun]:
        """What has begun for certain and was not written down as that yet: what goes on for a while, and at once what
        has said something, as its words are the proof. Short and silent runs cost no write of their own."""
        since = self._house.clock.wall_us() - SHORT_US
        begun = {}
        for executor in self._house.executors.values():
            begun.update(executor.in_progress())
        begun = {
            key: at for key, at in begun.items() if at <= since or key[0] in speaking or key in self._marked
        }
        fresh: list[Begun] = [
            (run, epoch, at, None, None)
            for (run, epoch), at in begun.items()
            if (run, epoch) not in self._marked
        ]
        self._marked = set(begun)
        return fresh

    def _reconcile(self, owned: list[tuple[int, int, str]]) -> None:
        """What the ledger says is ours and we do not hold: handed back if it is merely claimed, lost otherwise. A
        claim is on its way from the commit to the desk for an instant, so only what is strange twice counts."""
        house = self._house
        held = house.desk.keys()
        strange = {(run, epoch): state for run, epoch, state in owned if (run, epoch) not in held}
        twice = {key: state for key, state in strange.items() if key in self._strange}
        self._strange = set(strange) - set(twice)
        if not twice:
            return
        _log.warning(
            "engine.reconcile: the ledger says that this node holds %d runs that it does not", len(twice)
        )
        now = house.clock.wall_us()

        def write(tx: Tx) -> None:
            house.fence(tx)
            planner = Planner(Catalog(), None)
            for (run, epoch), state in twice.items():
                row = tx.row(
                    f"SELECT {claims.COLUMNS} FROM occurrence WHERE id = ? AND epoch = ?", (run, epoch)
                )
                if row is None:
                    continue
                claim = claims.claim_of(tx, planner, row)
                if state == State.CLAIMED:
                    claims.hand_back(tx, house.node, [claim])
                else:
                    settling.settle(tx, house.node, [Ended(claim, lost(claim, True, now))], now, house.draw)

        house.store.write(write)
        house.wake()


def lost(claim: Claim, begun: bool, now: int) -> Outcome:
    """The outcome of a run whose node can say nothing of it any more."""
    note = (
        "Its node died while it ran: how far it came is not known."
        if begun
        else "Its node died after it had claimed the run: it may not have begun at all."
    )
    return Outcome(
        Ending.LOST, None, now, reason=str(Reason.BEGUN if begun else Reason.BEGIN_UNKNOWN), note=note
    )
