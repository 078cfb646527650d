"""The clock as people ask for it: what it shows, what it has done, whether it is believed; confirmed and repaired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..clock import Clock
from ..core.clock_trust import TRUSTED, ClockStanding, Trust
from ..core.instants import human_duration, to_text
from ..store.base import Store
from ..store.clocks import repair, trust, zones
from ..store.clocks.repair import Repair
from ..store.clocks.zone_version import zone_data_version
from ..store.journal import record
from ..store.revision import raise_catalog
from ..store.schedules.catalog import Catalog
from ..store.tx import Tx
from .clock_standing import ClockTrust, trust_of
from .moments import many, utc

SHOWN = 10
_MOVES = {
    "suspend": "the machine slept",
    "clock_jump": "the clock was set forward",
    "clock_back": "the clock was set back",
}


@dataclass(frozen=True, slots=True)
class Move:
    """A step of the clock, or a sleep of the machine."""

    kind: str
    from_at: int
    to_at: int

    @property
    def sentence(self) -> str:
        """For people."""
        far = human_duration(self.to_at - self.from_at)
        at = self.from_at if self.kind != "clock_back" else self.to_at
        verb = "for" if self.kind == "suspend" else "by"
        return f"{to_text(at)}: {_MOVES[self.kind]} {verb} {far}"

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "kind": self.kind,
            "from_at": utc(self.from_at),
            "to_at": utc(self.to_at),
            "sentence": self.sentence,
        }


@dataclass(frozen=True, slots=True)
class ClockView:
    """The clocks of this machine and what the database knows of them. `synchronised` None: the kernel does not say.
    `ahead` is how many schedules are planned beyond now."""

    wall_at: int
    boot_us: int
    mono_us: int
    synchronised: bool | None
    trust: ClockTrust
    moves: tuple[Move, ...]
    zone_data: str | None
    zone_data_here: str | None
    ahead: int

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "wall_at": utc(self.wall_at),
            "boot_us": self.boot_us,
            "monotonic_us": self.mono_us,
            "synchronised": self.synchronised,
            **self.trust.to_json(),
            "moves": [move.to_json() for move in self.moves],
            "zone_data": {"database": self.zone_data, "machine": self.zone_data_here},
            "ahead": self.ahead,
        }


def clock(store: Store, reading: Clock) -> ClockView:
    """What the clock shows and has done."""
    wall, boot, mono = reading.wall_us(), reading.boot_ns() // 1000, reading.mono_ns() // 1000

    def read(tx: Tx) -> ClockView:
        moves = tx.rows(
            "SELECT kind, from_at, to_at FROM outage WHERE kind IN ('suspend', 'clock_jump', 'clock_back') "
            "ORDER BY id DESC LIMIT ?",
            (SHOWN,),
        )
        return ClockView(
            wall,
            boot,
            mono,
            reading.synchronised(),
            trust_of(tx),
            tuple(Move(*row) for row in moves),
            zones.version_of(tx),
            zone_data_version(),
            len(repair.ahead(tx, wall)),
        )

    return store.read(read)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a confirmation has changed."""

    changed: bool
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"changed": self.changed, "sentence": self.sentence}


def confirm(store: Store, *, now: int, actor: str) -> Confirmed:
    """Say that the clock is right: planning goes on, and what is held is planned like everything that was missed. It is
    recorded by whom."""

    def write(tx: Tx) -> tuple[Trust, int]:
        found = trust.read_trust(tx)
        held, _ = trust.held(tx)
        if found.standing is not ClockStanding.TRUSTED:
            trust.write_trust(tx, TRUSTED)
            text = f"{found.why}; right at {to_text(now)}; {many(held, 'occurrence')} held"
            record(tx, now, actor, "clock.confirmed", "clock", text)
        return found, held

    found, held = store.write(write)
    store.poke()
    if found.standing is ClockStanding.TRUSTED:
        return Confirmed(False, "The clock is not in doubt; there is nothing to confirm.")
    rest = f" {many(held, 'occurrence')} that were held are planned now." if held else ""
    return Confirmed(True, f"The clock is confirmed: {to_text(now)} is right.{rest}")


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair would move (`dry`), or has moved."""

    dry: bool
    found: Repair

    @property
    def sentence(self) -> str:
        """For people."""
        moved, stays = self.found.moved, self.found.stays
        if not moved and not stays:
            return "No schedule is planned beyond now; there is nothing to repair."
        verb = "would be" if self.dry else "are"
        text = (
            f"{many(len(moved), 'schedule')} {verb} planned anew from now on; {many(self.found.rows, 'row')} and "
            f"{many(self.found.in_spans, 'occurrence')} in spans, of instants that have not come, {verb} taken out. "
            "What ran is not repeated."
        )
        if stays:
            text += f" {many(stays, 'schedule')} cannot be moved back and wait for their time."
        return text + (" Nothing was changed: add --apply." if self.dry and moved else "")

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "dry_run": self.dry,
            "sentence": self.sentence,
            "schedules": len(self.found.moved),
            "rows": self.found.rows,
            "in_spans": self.found.in_spans,
            "stays": self.found.stays,
            "items": [
                {
                    "schedule": item.name,
                    "planned_until": utc(item.before),
                    "back_to": utc(item.to),
                    "rows": item.rows,
                    "in_spans": item.in_spans,
                }
                for item in self.found.moved[:100]
            ],
        }


def repair_clock(store: Store, *, now: int, actor: str, apply: bool) -> Repaired:
    """Move back the cursors that stand in the future, over what never ran there; only with `apply`, and recorded."""
    schedules = store.read(lambda tx: repair.ahead(tx, now))
    whole = Repair()
    catalog = Catalog()
    for place in range(0, len(schedules), repair.BATCH):
        some = schedules[place : place + repair.BATCH]
        part = _repair_some(store, catalog, some, now, apply)
        whole.moved += part.moved
        whole.stays += part.stays
    if apply and whole.moved:

        def finish(tx: Tx) -> None:
            repair.note(tx, now, actor, whole)
            raise_catalog(tx)

        store.write(finish)
        store.poke()
    return Repaired(not apply, whole)


def _repair_some(store: Store, catalog: Catalog, some: list[int], now: int, apply: bool) -> Repair:
    if apply:
        return store.write(lambda tx: repair.carry_out(tx, catalog, some, now))
    return store.read(lambda tx: repair.look(tx, catalog, some, now))
