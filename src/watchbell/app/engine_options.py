"""What the configuration of a process says about the engine in it, and an application does not."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.retention import Keep


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """`startup_delay_us`: how long a new engine stands by before it acts. `look_us`: how often it looks by itself, behind
    wake-ups. `keep`: how long what is kept."""

    startup_delay_us: int = 0
    look_us: int = 250_000
    keep: Keep = field(default_factory=Keep)
