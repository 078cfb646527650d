"""What one node says of a database that cannot be reached, so that an outage is a few lines and not a flood.

All loops of a node meet the same outage, each again and again. So whoever meets it asks here: its beginning is said once, that
it lasts every half minute for the whole node, its end once. Any other error is none of this, and is said by whoever met it.

A database may also stand still and refuse nothing (a frozen server, a paused pool): then every loop waits, and none meets
anything. The keeper tells when it asks and when it is answered; the loop of `engine/lease_end.py`, which asks no
database, looks how long that is ago.
"""

from __future__ import annotations

import logging
import threading

from ..clock import Clock
from ..core.instants import SECOND, human_duration
from ..errors import StoreUnavailable

REMIND_US = 30 * SECOND
SLOW_US = 6 * SECOND
PATIENCE = 3
"""So often one loop may fail before that is said, while the engine's own has met nothing."""
_log = logging.getLogger("watchbell.engine")


class Outage:
    """One node's word on its database, which is called `where`. Thread-safe."""

    def __init__(self, clock: Clock, where: str) -> None:
        self._clock = clock
        self._where = where
        self._lock = threading.Lock()
        self._since: int | None = None
        self._said: int | None = None
        self._asked: int | None = None
        self._slow = False
        self.count = 0
        """How many outages there have been."""

    # --- refused ------------------------------------------------------------------------------------------------------

    def begins(self) -> None:
        """Somebody has said that the database cannot be written."""
        with self._lock:
            self._since = self._said = self._now()
            self._slow = False
            self.count += 1

    def ends(self) -> None:
        """It can be written again, which somebody says."""
        with self._lock:
            self._since = self._said = self._asked = None
            self._slow = False

    def covers(self, error: Exception, failures: int = PATIENCE) -> bool:
        """Whether nobody need say this error, met so many times in a row: it is the outage, of which enough was said."""
        if not isinstance(error, StoreUnavailable):
            return False
        with self._lock:
            now, since = self._now(), self._since
            if since is None and failures < PATIENCE:
                return True  # the engine's own loop is about to meet it as well, or it was for an instant
            if self._said is not None and now - self._said < REMIND_US:
                return True
            self._said = now
            if since is None:
                return False
        _log.error("engine.store_refused: still, after %s: %s", _age(now - since), error)
        return True

    def is_none_since(self, count: int) -> bool:
        """Whether there is no outage, and none has begun since there had been so many."""
        with self._lock:
            return self._since is None and self.count == count

    # --- silent -------------------------------------------------------------------------------------------------------

    def asks(self) -> None:
        """The keeper is about to ask the database for something."""
        with self._lock:
            if self._asked is None:
                self._asked = self._now()

    def answered(self) -> None:
        """The database has answered, whatever it said."""
        with self._lock:
            asked, self._asked = self._asked, None
            slow, self._slow = self._slow, False
            now = self._now()
        if slow and asked is not None:
            _log.warning(
                "engine.store_answers: the database %s answers again, after %s",
                self._where,
                _age(now - asked),
            )

    def look(self) -> None:
        """Say it, once, if the database has not answered for long."""
        with self._lock:
            now, asked = self._now(), self._asked
            if asked is None or self._slow or self._since is not None or now - asked < SLOW_US:
                return
            self._slow = True
        _log.error(
            "engine.store_slow: the database %s has not answered for %s; nothing starts meanwhile",
            self._where,
            _age(now - asked),
        )

    def _now(self) -> int:
        return self._clock.mono_ns() // 1000


def _age(us: int) -> str:
    return human_duration(us // SECOND * SECOND)
