"""Nodes that act on one database look at each other: who has died is declared dead, and what it held is settled.

Death is proven at once where the dead one's machine is this one and its process is gone; else it is a lease in which its
heartbeat has not changed, as this node has seen it (core/liveness.py). It is written down in a transaction that looks at
the heartbeat once more, so that of a renewal and a declaration one comes first and the other finds it. A node that was
declared dead and is not learns of it at its next write, ends what it runs, and comes back as a new incarnation
(docs/design/nodes.md).
"""

from __future__ import annotations

import logging

from ..core.instants import SECOND, human_duration
from ..core.liveness import GAP_US, Liveness
from ..store import nodes
from ..store.nodes import Other
from ..store.tx import Tx
from .house import House
from .recovery import settle_ended, write_spooled

EVERY_US = SECOND
SPOOL_US = 60 * SECOND
"""How often a node looks for the ends of those whose death others have seen."""
_log = logging.getLogger("watchbell.engine")


class Peers:
    """One node's look at the others."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._liveness = Liveness(house.lease_us)
        self._own: tuple[object, int] = (None, 0)
        self._looked = 0

    def step(self) -> int:
        """Look once; returns how long to rest."""
        house = self._house
        before = house.clock.boot_ns() // 1000
        found = {other.id: other for other in house.store.read(nodes.all_up)}
        after = house.clock.boot_ns() // 1000
        own = found.pop(house.node, None)
        dead = {other.id: "its process has ended" for other in found.values() if house.has_ended(other)}
        if own is not None and self._writes(own, after):
            silent = self._liveness.saw(before, after, {other.id: other.beat for other in found.values()})
            for node in silent - dead.keys():
                dead[node] = f"its lease was not renewed for {human_duration(house.lease_us)}"
        if dead or after - self._looked >= SPOOL_US:  # before anything is called lost
            self._looked = after
            write_spooled(house)
        declared = [self._declare(found[node], why) for node, why in sorted(dead.items())]
        if any(declared):
            settle_ended(house)
        return EVERY_US

    def _writes(self, own: Other, now_us: int) -> bool:
        """Whether this node's own renewals arrive. Where it cannot write, perhaps nobody can: silence says nothing then."""
        if own.beat != self._own[0]:
            self._own = (own.beat, now_us)
        return now_us - self._own[1] <= self._house.renew_us + GAP_US

    def _declare(self, other: Other, why: str) -> bool:
        house = self._house

        def write(tx: Tx) -> bool:
            house.fence(tx)
            return nodes.declare_dead(tx, other)

        if not house.store.write(write):
            return False
        _log.error(
            "engine.node_dead: node %d (%s, process %d) is dead: %s", other.id, other.name, other.pid, why
        )
        house.hooks.tell("engine.node_dead", {"node": other.id, "name": other.name, "why": why})
        return True
