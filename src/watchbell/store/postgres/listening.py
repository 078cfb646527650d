"""LISTEN: a connection and a thread of their own that hear what other processes notify.

Nothing depends on it, as every node looks by itself now and then; whether anything can be heard here is tried out with a
notification of our own (a pooler that hands out connections by transaction lets none through; the `listen` parameter of
the database URL names the server itself then). A connection that is lost is made anew, with ever longer pauses.
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
from .address import Address

_TURN_S = 0.5
_LEAST_PAUSE_US, _MOST_PAUSE_US = 100_000, 5_000_000
_TRIED_US = 2_000_000
_log = logging.getLogger("watchbell.store")


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
        self.heard = 0
        """How much was heard so far."""
        self.hears = False
        """Whether something that was notified has come through this connection."""
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
                    conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._address.channel)))
                    pause = _LEAST_PAUSE_US
                    self._turn(conn)
            except psycopg.Error as error:
                if not self._stop.is_set():
                    said = str(error).strip().splitlines()
                    _log.info(
                        "store.deaf: %s; it is tried again", said[0] if said else "the connection was lost"
                    )
            self.hears = False
            self._act()
            self._clock.wait(self._stop, pause)
            pause = min(_MOST_PAUSE_US, pause * 2)

    def _turn(self, conn: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Listen until the connection is lost. What was missed before it was made is looked for at once."""
        self._act()
        self._try_out()
        tried, told = self._clock.mono_ns(), False
        while not self._stop.is_set():
            for _ in conn.notifies(timeout=_TURN_S, stop_after=1):
                self.hears = True
                self.heard += 1
                self._act()
            if not self.hears and not told and self._clock.mono_ns() - tried > _TRIED_US * 1000:
                told = True
                _log.warning(
                    "store.deaf: no notification comes through the connection to %s; the engine looks four times a second. "
                    "Behind a pooler, name the server itself with ?listen=postgresql://… in the database URL",
                    self._address.where,
                )
