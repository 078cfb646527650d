"""What an engine does when it knows other time zone data than its database: newer data are brought in, in the background
and in batches; older ones are not used where they differ."""

from __future__ import annotations

import logging
from contextlib import suppress

from ..core.wallclock import zone_rules
from ..errors import BadZone
from ..store.clocks import trust, zone_change, zones
from ..store.clocks.zone_version import zone_data_version
from ..store.schedules.catalog import Catalog
from ..store.tx import Tx
from .house import House

BATCHES = 10
_log = logging.getLogger("watchbell.engine")


class ZoneKeeper:
    """One node's comparison of zone data, once after its start."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._catalog = Catalog()
        self._compared = False
        self._under_way = False

    def step(self) -> None:
        """Compare, the first time; then go on with what is under way."""
        house = self._house
        if not self._compared:
            for zone, _ in house.store.read(
                zone_change.to_compare
            ):  # takes its time, which no writer has to wait for
                with suppress(BadZone):
                    zone_rules(zone)
            self._under_way = house.store.write(self._compare)
        for _ in range(BATCHES):
            if not self._under_way:
                return
            now = house.clock.wall_us()
            house.store.write(lambda tx: self._go_on(tx, now))  # noqa: B023  carried out at once
            house.wake()

    def _compare(self, tx: Tx) -> bool:
        """Whether anything is under way. A clock in doubt does not say from when on the new rules hold."""
        self._house.fence(tx)
        if trust.doubt(tx) is not None:
            return False
        self._compared = True
        here, there = zone_data_version(), zones.version_of(tx)
        if there is not None and zones.newer(there, here or ""):
            _log.info(
                "engine.zone_data: this machine has tz data %s, and the database those of %s: planning goes by the database's",
                here or "of an unknown version",
                there,
            )
        return zone_change.begin(tx, self._house.clock.wall_us())

    def _go_on(self, tx: Tx, now: int) -> None:
        self._house.fence(tx)
        if trust.doubt(tx) is not None:
            self._under_way = False
            self._compared = False
            return
        self._catalog.refresh(tx)
        done = zone_change.go_on(tx, self._catalog, now, f"node {self._house.node}")
        if done is not None:
            self._under_way = False
            _log.warning("engine.zone_data: %s", done.sentence)
