"""Reports on their way to the engine, gathered into batches by whichever thread comes first."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from .base import Report

_log = logging.getLogger(__name__)


class Outbox:
    """While one thread hands a batch over, the others only add to the next one, so that many ends at one time are
    few calls. No report is handed over twice, none stays behind."""

    def __init__(self, report: Callable[[Sequence[Report]], None]) -> None:
        self._report = report
        self._waiting: deque[Report] = deque()
        self._handing = threading.Lock()

    def put(self, reports: Iterable[Report]) -> None:
        """Hand these over, now or with the batch after the one that is just leaving."""
        self._waiting.extend(reports)
        while self._waiting and self._handing.acquire(blocking=False):
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                if batch:
                    self._report(batch)
            except Exception:
                _log.exception("%d reports were not taken.", len(batch))
            finally:
                self._handing.release()
