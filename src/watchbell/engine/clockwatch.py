"""Suspends and steps of the clock, seen by comparing three clocks from one turn of the loop to the next.

Boot-time running ahead of monotonic is a suspend. Wall running ahead of (or behind) boot-time is a step: time that
passed while the machine slept is never a step (PROTOCOL §11).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..clock import Clock

STEP_US = 2_000_000


@dataclass(frozen=True, slots=True)
class Jump:
    """What happened to time between two looks: `kind` is suspend, clock_jump or clock_back; `by_us` is its size."""

    kind: str
    from_at: int
    to_at: int
    by_us: int


class ClockWatch:
    """Remembers the last look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._mono, self._boot = clock.wall_us(), clock.mono_ns(), clock.boot_ns()

    def look(self) -> list[Jump]:
        """What happened since the last look; mostly nothing."""
        wall, mono, boot = self._clock.wall_us(), self._clock.mono_ns(), self._clock.boot_ns()
        passed = (boot - self._boot) // 1000
        slept = passed - (mono - self._mono) // 1000
        stepped = wall - self._wall - passed
        before = self._wall
        self._wall, self._mono, self._boot = wall, mono, boot
        jumps = []
        if slept > STEP_US:
            jumps.append(Jump("suspend", before, before + passed, slept))
        if stepped > STEP_US:
            jumps.append(Jump("clock_jump", wall - stepped, wall, stepped))
        elif stepped < -STEP_US:
            jumps.append(Jump("clock_back", wall, wall - stepped, -stepped))
        return jumps
