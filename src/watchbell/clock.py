"""The only room that reads the time.

Three clocks, each for what it is good for: *wall* says what is due, *monotonic* measures every wait, and *boot*
(which goes on while the machine sleeps) tells a suspend from a step of the wall clock and times trust and leases.
Everything else takes `now` as an argument or asks a `Clock`, so that the same engine runs under virtual time.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from .core.instants import parse_instant

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LONGEST_WAIT_US = 1_000_000


class Clock(Protocol):
    """What the house asks of a clock. Wall in microseconds since 1970, the others in nanoseconds."""

    def wall_us(self) -> int: ...
    def mono_ns(self) -> int: ...
    def boot_ns(self) -> int: ...
    def boot_id(self) -> str: ...
    def synchronised(self) -> bool | None: ...
    def wait(self, event: threading.Event, timeout_us: int) -> bool: ...


class SystemClock:
    """The clocks of this machine."""

    def __init__(self) -> None:
        self._boottime = getattr(time, "CLOCK_BOOTTIME", None)
        self._boot_id = _read_boot_id()

    def wall_us(self) -> int:
        """The wall clock, microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def mono_ns(self) -> int:
        """A clock that never steps; it stands still while the machine sleeps."""
        return time.monotonic_ns()

    def boot_ns(self) -> int:
        """A clock that never steps and goes on while the machine sleeps, where the system has one."""
        return time.monotonic_ns() if self._boottime is None else time.clock_gettime_ns(self._boottime)

    def boot_id(self) -> str:
        """Names the boot of the machine that the two clocks above count from."""
        return self._boot_id

    def synchronised(self) -> bool | None:
        """Whether the kernel says that a time server keeps the wall clock right; None where it does not say."""
        return _kernel_synchronised()

    def wait(self, event: threading.Event, timeout_us: int) -> bool:
        """Wait for `event`, at most `timeout_us` and never longer than a second: steps of the wall clock and
        suspends must be noticed (PROTOCOL: waits are monotonic, in steps of at most 1 s)."""
        return event.wait(max(0, min(timeout_us, _LONGEST_WAIT_US)) / 1e6)


class ManualClock:
    """A clock that stands still until it is moved; for tests and the stepping node."""

    def __init__(self, wall_us: int) -> None:
        self._wall = wall_us
        self._mono = 1_000_000_000
        self._boot = 1_000_000_000
        self._boot_id = "manual-boot"
        self._boots = 1
        self.in_sync: bool | None = None
        """What `synchronised` says."""

    @classmethod
    def at(cls, when: str) -> ManualClock:
        """A clock that stands at an instant written like 2026-10-25T00:00:00Z."""
        return cls(parse_instant(when))

    def wall_us(self) -> int:
        return self._wall

    def mono_ns(self) -> int:
        return self._mono

    def boot_ns(self) -> int:
        return self._boot

    def boot_id(self) -> str:
        return self._boot_id

    def synchronised(self) -> bool | None:
        return self.in_sync

    def wait(self, event: threading.Event, timeout_us: int) -> bool:
        """Waiting is what moves virtual time."""
        if event.is_set():
            return True
        self.advance(max(0, timeout_us))
        return event.is_set()

    def advance(self, by_us: int) -> None:
        """Let time pass on all three clocks."""
        if by_us < 0:
            raise ValueError("Time passes forward; use step() to set the wall clock back.")
        self._wall += by_us
        self._mono += by_us * 1000
        self._boot += by_us * 1000

    def step(self, by_us: int) -> None:
        """Set the wall clock forward or back, as a person or a time server does."""
        self._wall += by_us

    def suspend(self, for_us: int) -> None:
        """Let the machine sleep: wall and boot go on, monotonic stands still."""
        self._wall += for_us
        self._boot += for_us * 1000

    def reboot(self, off_us: int = 0) -> None:
        """Let the machine be off for a while and start again: the other two clocks begin anew."""
        self._wall += off_us
        self._mono = self._boot = 1_000_000_000
        self._boots += 1
        self._boot_id = f"manual-boot-{self._boots}"


def _read_boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown-boot"


_TIMEX_BYTES = 512  # struct timex has 208 on 64-bit Linux; the kernel never writes more than its own
_TIME_ERROR = 5


def _kernel_synchronised() -> bool | None:
    """Ask the kernel's clock discipline, changing nothing; its answer is TIME_ERROR while no time server is followed."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # only where somebody asks

    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
