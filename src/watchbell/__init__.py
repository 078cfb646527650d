"""watchbell: a job scheduler whose every due occurrence is accounted for.

    from watchbell import Watchbell, every

    bell = Watchbell("sqlite:///watchbell.db")

    @bell.schedule(every("15m"))
    @bell.job
    def export_orders() -> None:
        ...

    bell.run()

The names are loaded when they are first used: a process that carries out one job, and the command line, pay only for
the rooms they enter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .app import Declared, Job, RunHandle, Watchbell
    from .app.options import retry
    from .core.triggers import any_of, calendar, cron, every, except_for, manual, once, rrule
    from .errors import Cancelled, WatchbellError
    from .executors.context import Run

__all__ = [
    "Cancelled",
    "Declared",
    "Job",
    "Run",
    "RunHandle",
    "Watchbell",
    "WatchbellError",
    "__version__",
    "any_of",
    "calendar",
    "cron",
    "every",
    "except_for",
    "manual",
    "once",
    "retry",
    "rrule",
]

_ROOMS = {
    "app": ("Declared", "Job", "RunHandle", "Watchbell"),
    "app.options": ("retry",),
    "core.triggers": ("any_of", "calendar", "cron", "every", "except_for", "manual", "once", "rrule"),
    "errors": ("Cancelled", "WatchbellError"),
    "executors.context": ("Run",),
}


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            import importlib

            value = getattr(importlib.import_module(f"{__name__}.{room}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"watchbell has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
