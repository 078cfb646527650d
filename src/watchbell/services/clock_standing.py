"""How far the clock is believed, as it is shown: a part of the status, and of what `watchbell clock` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.clock_trust import ClockStanding
from ..store.clocks import trust
from ..store.tx import Tx
from .moments import many, utc


@dataclass(frozen=True, slots=True)
class ClockTrust:
    """How far the clock is believed; part of `status`. `held` occurrences of `held_schedules` wait for a confirmation."""

    standing: str
    why: str
    since_at: int | None
    held: int = 0
    held_schedules: int = 0

    @property
    def trusted(self) -> bool:
        """Whether it is believed and nothing is held."""
        return self.standing == ClockStanding.TRUSTED

    @property
    def sentence(self) -> str:
        """For people."""
        if self.standing == ClockStanding.SUSPECT:
            return (
                f"in doubt: {self.why}. Nothing new is planned until it is known to be right; if it is: watchbell clock "
                "confirm"
            )
        held = f"{many(self.held, 'occurrence')} of {many(self.held_schedules, 'schedule')}"
        if self.standing == ClockStanding.HOLDING:
            return (
                f"believed again after {self.why}; {held} from before are held until: watchbell clock confirm"
            )
        return (
            "believed" if not self.held else f"believed; {held} are about to be let go, or lie in the future"
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "standing": self.standing,
            "sentence": self.sentence,
            "why": self.why or None,
            "since": None if self.since_at is None else utc(self.since_at),
            "held": self.held,
            "held_schedules": self.held_schedules,
        }


BELIEVED = ClockTrust(ClockStanding.TRUSTED.value, "", None)


def trust_of(tx: Tx) -> ClockTrust:
    """How far the clock is believed."""
    found = trust.read_trust(tx)
    count, schedules = trust.held(tx)
    believed = found.standing is ClockStanding.TRUSTED
    return ClockTrust(found.standing.value, found.why, None if believed else found.since_at, count, schedules)
