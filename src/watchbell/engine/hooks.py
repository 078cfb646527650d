"""Telling the application what happens, by a closed list of names. A hook cannot disturb the engine: it is called on a
thread of its own, its exceptions are logged, and when it falls behind the oldest events are dropped and counted."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BadDeclaration

EVENTS = (
    "engine.ready",
    "engine.standby",
    "engine.stopped",
    "engine.stalled",
    "engine.clock_step",
    "engine.suspended",
    "engine.clock_suspect",
    "engine.clock_trusted",
    "engine.store_trouble",
    "engine.store_healed",
    "run.started",
    "run.ended",
    "run.succeeded",
    "run.failed",
    "run.timed_out",
    "run.cancelled",
    "run.lost",
    "run.retrying",
    "occurrence.missed",
    "occurrence.overdue",
    "schedule.set_aside",
    "source.failed",
    "source.recovered",
)
WAITING_LIMIT = 10_000
Hook = Callable[[Mapping[str, Any]], None]
_log = logging.getLogger("watchbell.hooks")


class Hooks:
    """The hooks of one application."""

    def __init__(self) -> None:
        self._hooks: dict[str, list[Hook]] = {}
        self._waiting: deque[tuple[str, Mapping[str, Any]]] = deque(maxlen=WAITING_LIMIT)
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._idle = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop = False

    def add(self, event: str, hook: Hook) -> None:
        """Call `hook` with a mapping whenever `event` happens; BadDeclaration names the events there are."""
        if event not in EVENTS:
            raise BadDeclaration(f"There is no event {event!r}; there are {', '.join(EVENTS)}.")
        self._hooks.setdefault(event, []).append(hook)

    def wanted(self, event: str) -> bool:
        """Whether anybody listens."""
        return event in self._hooks

    def tell(self, event: str, about: Mapping[str, Any]) -> None:
        """Something happened; returns at once."""
        if event not in self._hooks:
            return
        with self._lock:
            if len(self._waiting) == WAITING_LIMIT:
                _log.warning("hooks.behind: an event was dropped, the hooks are too slow")
            self._waiting.append((event, about))
            self._idle.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._call, name="watchbell-hooks", daemon=True)
                self._thread.start()
        self._some.set()

    def finish(self, within_s: float) -> None:
        """Wait until what is waiting has been called, but not for a hook that hangs."""
        if self._thread is not None and not self._idle.wait(within_s):
            _log.warning("hooks.behind: a hook has not come back; what it was to be told is dropped")

    def drain(self) -> None:
        """Call what is waiting, here and now (the stepping node)."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._idle.set()
                    return
                event, about = self._waiting.popleft()
            for hook in self._hooks.get(event, ()):
                try:
                    hook(about)
                except BaseException as error:
                    _log.error("hooks.failed: a hook on %s raised", event, exc_info=error)

    def _call(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            self.drain()
