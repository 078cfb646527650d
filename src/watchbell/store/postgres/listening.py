"""LISTEN: a connection and a thread of their own that hear what other processes notify.

Nothing depends on it, as every node looks by itself now and then. A pooler that hands out connections by transaction lets
nothing through; worse, a LISTEN would stay behind on a connection of the pool, where whoever gets that next would be told
what is meant for us. So it is found out first who is at the other end, and nothing is listened for there: the `listen`
parameter of the database URL names the server itself then. Elsewhere it is tried out with a notification of our own
whether anything can be heard. A connection that is lost is made anew, with ever longer pauses.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from ...clock import Clock
from .address import Address, end_of

_TURN_S = 0.5
_LEAST_PAUSE_US, _MOST_PAUSE_US = 100_000, 5_000_000
_BEHIND_POOLER_PAUSE_US = 60_000_000
_TRIED_US = 2_000_000
_LOOKS = 5
_log = logging.getLogger("watchbell.store")
Connection = psycopg.Connection[tuple[Any, ...]]


class Listener:
    """Calls `act` on its own thread whenever somebody notifies."""

    def __init__(
        self, address: Address, clock: Clock, act: Callable[[], None], try_out: Callable[[], None]
    ) -> None:
        self._address = address
        self._clock = clock
        self._act = act
        self._try_out = try_out
        self._stop = threading.Event()
        self._told = False
        self.heard = 0
        """How much was heard so far."""
        self.hears = False
        """Whether something that was notified has come through this connection."""
        self.pooled = False
        """Whether a pooler is at the other end that hands out connections by transaction: nothing can be heard there."""
        self._thread = threading.Thread(target=self._live, name="watchbell-listen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join(3)

    def _live(self) -> None:
        pause = _LEAST_PAUSE_US
        while not self._stop.is_set():
            try:
                with contextlib.closing(self._address.connect(self._address.listen)) as conn:
                    self.pooled = self._passed_on(conn)
                    pause = _LEAST_PAUSE_US
                    if not self.pooled:
                        conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._address.channel)))
                        self._turn(conn)
            except psycopg.Error as error:
                if not self._stop.is_set():
                    said = str(error).strip().splitlines()
                    _log.info(
                        "store.deaf: %s; it is tried again", said[0] if said else "the connection was lost"
                    )
            self.hears = False
            self._act()
            if self.pooled:
                self._tell("a pooler that hands out connections by transaction lets no notification through")
                self._clock.wait(self._stop, _BEHIND_POOLER_PAUSE_US)
            else:
                self._clock.wait(self._stop, pause)
                pause = min(_MOST_PAUSE_US, pause * 2)

    def _passed_on(self, conn: Connection) -> bool:
        """Whether the server's end of the connection is somebody else's between two transactions. Who is connected to the
        server itself was told the number of that end; a pooler makes one up, in either of its modes."""
        first = end_of(conn)
        if first == conn.info.backend_pid:
            return False
        with contextlib.closing(self._address.connect(self._address.listen)) as other:
            return any(end_of(other) == first or end_of(conn) != first for _ in range(_LOOKS))

    def _turn(self, conn: Connection) -> None:
        """Listen until the connection is lost. What was missed before it was made is looked for at once."""
        self._act()
        self._try_out()
        tried = self._clock.mono_ns()
        while not self._stop.is_set():
            for _ in conn.notifies(timeout=_TURN_S, stop_after=1):
                self.hears, self._told = True, False
                self.heard += 1
                self._act()
            if not self.hears and self._clock.mono_ns() - tried > _TRIED_US * 1000:
                self._tell("no notification comes through")

    def _tell(self, why: str) -> None:
        """Say once that nothing is heard."""
        if not self._told:
            self._told = True
            where = "where ?listen=… leads" if self._address.listen else f"at {self._address.where}"
            _log.warning(
                "store.deaf: %s %s; the engine looks four times a second. Name the server itself with "
                "?listen=postgresql://… in the database URL",
                why,
                where,
            )
