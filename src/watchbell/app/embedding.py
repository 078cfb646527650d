"""The engine inside of somebody else's process: when it begins there, how it is kept going, and how it ends.

Every process of a web server may hold one; which of them acts, the lock of the database decides (engine/node.py). Begun
is it only where requests are served (serving.py): not before a fork, not in the parent of a reloader, not for a command.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import Conflict, StoreError, WatchbellError
from . import serving

if TYPE_CHECKING:
    from . import Watchbell

LOOK_US = 50_000
"""How often a process is looked at that may begin to serve; after `EAGER` looks more seldom."""
SELDOM_US = 1_000_000
EAGER = 600
REVIVE_US = 1_000_000
LONGEST_REVIVE_US = 60_000_000
_log = logging.getLogger("watchbell.embedding")
_ALL: weakref.WeakSet[Embedding] = weakref.WeakSet()


class Embedding:
    """The engine of one Watchbell in whichever process serves. `allowed` is asked before it begins by itself."""

    def __init__(self, bell: Watchbell, allowed: Callable[[], bool] = lambda: True) -> None:
        self._bell = bell
        self.allowed = allowed
        self._pid: int | None = None
        self._armed = False
        self.began = False
        self._renew()
        _ALL.add(self)

    def _renew(self) -> None:
        """Locks and threads are of one process; a fork begins with its own."""
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    # --- by itself ----------------------------------------------------------------------------------------------------

    def arm(self) -> None:
        """Begin as soon as this process serves; in a master that forks those that do, in each of them."""
        self._armed = True
        if not serving.in_master():
            self._go(self._await_server)

    def asked(self) -> None:
        """A request has come: whatever server this is, it serves. A process that was forked from one in which the engine
        is already leaves it there."""
        if self.began or not self._armed:
            return
        if self.allowed():
            self._go(self._await_server)
            self._asked.set()

    def forked(self) -> None:
        """In the child of a fork."""
        self._renew()
        if self._armed and serving.forking():
            self.began = False
            self._go(self._await_server)

    def before_fork(self) -> None:
        """What was opened while a master loaded the application must not cross its forks."""
        if self._armed and not self.began and serving.forking():
            self._bell.stop()

    def _await_server(self) -> None:
        looks, found = 0, None
        while not self._over.is_set():
            if self._asked.is_set():
                found = "a request"
            elif (found := serving.server()) is None:
                looks += 1
                self._bell._clock.wait(self._asked, LOOK_US if looks < EAGER else SELDOM_US)
                continue
            if self.allowed() and not self.began:
                _log.info("embedding.begins: process %d serves (%s)", os.getpid(), found)
                self._note_beginning()
                self._keep()
            return

    # --- by order -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin here and now, and keep it going; nothing where it has just begun by itself. Raises what `Watchbell.start`
        raises."""
        try:
            self._bell.start()
        except Conflict:
            if not self.began or self._pid != os.getpid():
                raise
            return
        if self._bell._node is None:
            return  # engines are switched off
        self._renew()
        self._note_beginning()
        self._go(self._keep)

    def end(self) -> None:
        """Drain and stop the engine that was begun in this process; returns when it has ended."""
        if self.began and self._pid == os.getpid() and self._thread is not None:
            self._over.set()
            self._thread.join()
            self.began = False

    # --- the thread that keeps it -------------------------------------------------------------------------------------

    def _note_beginning(self) -> None:
        if not self.began:
            self.began = True
            _at_exit(self)

    def _go(self, work: Callable[[], None]) -> None:
        with self._lock:
            if self._thread is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._thread = threading.Thread(target=work, name="watchbell-embedding", daemon=True)
                self._thread.start()

    def _keep(self) -> None:
        """Start it if it was not, and again when it has ended by itself: nobody else restarts a part of this process."""
        bell, rest = self._bell, REVIVE_US
        while bell._node is not None or self._start(rest):
            node, began = bell._node, bell._clock.mono_ns()
            while node is not None and not node.ended.is_set() and not self._over.is_set():
                bell._clock.wait(self._over, 500_000)
            if bell._node is not node:
                return  # somebody has stopped it by hand
            bell.stop()
            if bell._clock.mono_ns() - began > LONGEST_REVIVE_US * 1000:
                rest = REVIVE_US
            self._rest(rest)
            if self._over.is_set():
                return
            rest = min(2 * rest, LONGEST_REVIVE_US)

    def _start(self, rest: int) -> bool:
        """Whether there is something to keep: the engine, or the hope that the database comes back."""
        try:
            self._bell.start()
        except StoreError as error:
            _log.error("embedding.not_started: %s; next try in %.0f s", error, rest / 1e6)
        except WatchbellError as error:
            _log.critical("embedding.not_started: %s", error)
            return False
        else:
            return self._bell._node is not None  # not where engines are switched off
        return True

    def _rest(self, us: int) -> None:
        end = self._bell._clock.mono_ns() + us * 1000
        while not self._over.is_set() and (left := end - self._bell._clock.mono_ns()) > 0:
            self._bell._clock.wait(self._over, left // 1000)


def _at_exit(embedding: Embedding) -> None:
    """Have it end with the process while that can still start threads and processes, which what runs may need to finish:
    from Python 3.12 on an `atexit` function comes too late for that. (concurrent.futures does the same.)"""
    register = getattr(threading, "_register_atexit", atexit.register)
    register(_end_if_there, weakref.ref(embedding))


def _end_if_there(reference: weakref.ref[Embedding]) -> None:
    if (embedding := reference()) is not None:
        embedding.end()


def _before_fork() -> None:
    for embedding in list(_ALL):
        embedding.before_fork()


def _in_child() -> None:
    for embedding in list(_ALL):
        embedding.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
