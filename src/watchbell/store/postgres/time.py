"""The store's time on a node: the server's wall clock, carried on by the node's own boot-time clock between two looks.

Every transaction that writes reads the server's clock in its first statement. A reading is never early, as it was on its
way to us: the greatest of the last ones is the nearest. A server whose clock is set back shows in all that follow.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from ...clock import Clock

KEPT = 64
STEP_US = 250_000
AGREEING = 3


class Offset:
    """How far the server's wall clock is ahead of a boot-time clock, from readings that come late by little and seldom
    by much. Pure: it is told, and answers."""

    def __init__(self) -> None:
        self._seen: deque[int] = deque(maxlen=KEPT)
        self.known: int | None = None
        """In microseconds; None before the first reading."""

    def saw(self, offset_us: int) -> None:
        """One reading."""
        self._seen.append(offset_us)
        newest = list(self._seen)[-AGREEING:]
        if len(newest) == AGREEING and max(newest) < max(self._seen) - STEP_US:
            self._seen.clear()
            self._seen.extend(newest)
        self.known = max(self._seen)


class StoreTime:
    """What all transactions of a process have seen of the server's clock. Thread-safe."""

    def __init__(self, own: Clock) -> None:
        self._own = own
        self._offset = Offset()
        self._lock = threading.Lock()

    def boot_us(self) -> int:
        """What the machine's own boot-time clock shows."""
        return self._own.boot_ns() // 1000

    def saw(self, wall_us: int) -> None:
        """The server's clock has shown this, just now."""
        boot_us = self.boot_us()
        with self._lock:
            self._offset.saw(wall_us - boot_us)

    def wall_us(self, own: Clock) -> int:
        """The server's time; the machine's own before the server was first asked."""
        offset = self._offset.known
        return own.wall_us() if offset is None else own.boot_ns() // 1000 + offset

    def skew_us(self, own: Clock) -> int:
        """How far the machine's own wall clock is ahead of the server's."""
        return own.wall_us() - self.wall_us(own)


@dataclass(frozen=True, slots=True)
class StoreClock:
    """A machine's clock whose wall time is the server's."""

    own: Clock
    time: StoreTime

    def wall_us(self) -> int:
        return self.time.wall_us(self.own)

    def mono_ns(self) -> int:
        return self.own.mono_ns()

    def boot_ns(self) -> int:
        return self.own.boot_ns()

    def boot_id(self) -> str:
        return self.own.boot_id()

    def synchronised(self) -> bool | None:
        """Nothing is known here of what the server's clock follows."""
        return None

    def wait(self, event: threading.Event, timeout_us: int) -> bool:
        return self.own.wait(event, timeout_us)
