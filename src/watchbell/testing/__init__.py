"""The very engine under virtual time, on the caller's thread: for the tests of users and for our own.

    clock = ManualClock.at("2026-10-25T00:00:00Z")
    bell = Watchbell("sqlite://", clock=clock)
    ...
    node = StepNode(bell)
    node.advance("24h")

Nothing sleeps and nothing is imitated: the same plans, claims and settlements are written to the same store; only the
clock stands still until it is moved, and every lane carries its work out inline. With pytest the same is at hand as
fixtures (`plugin`). The names are loaded when they are first used: pytest looks into this room in every suite on the
machine, and a suite that has no use for it must not pay for the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..clock import ManualClock
    from .at_hand import AssertEnqueued, BellClock, in_memory
    from .inline import Lasting
    from .stepnode import StepNode

__all__ = ["AssertEnqueued", "BellClock", "Lasting", "ManualClock", "StepNode", "in_memory"]

_ROOMS = {
    "watchbell.clock": ("ManualClock",),
    "watchbell.testing.at_hand": ("AssertEnqueued", "BellClock", "in_memory"),
    "watchbell.testing.inline": ("Lasting",),
    "watchbell.testing.stepnode": ("StepNode",),
}


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            import importlib

            value = getattr(importlib.import_module(room), name)
            globals()[name] = value
            return value
    raise AttributeError(f"watchbell.testing has no {name!r}; it has {', '.join(__all__)}")
