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

from ..errors import StoreError, WatchbellError
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
        self._starting = (
            threading.Lock()
        )  # of all that may start the engine here, one at a time looks and does
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
        while not self._begun_here():
            if self._over.is_set():
                return
            if self._asked.is_set():
                found = "a request"
            elif (found := serving.server()) is None:
                looks += 1
                self._bell._clock.wait(self._asked, LOOK_US if looks < EAGER else SELDOM_US)
                continue
            if not self._begin_by_itself(found) and self._leaves():
                return
        self._keep()  # what has begun by itself, or by order while we were looking

    def _begin_by_itself(self, found: str) -> bool:
        """Whether there is something to keep now. The first start is part of it: an order that comes meanwhile finds the
        engine there."""
        with self._starting:
            if self._begun_here() or not self.allowed():
                return False
            _log.info("embedding.begins: process %d serves (%s)", os.getpid(), found)
            self._note_beginning()
            return self._start(REVIVE_US)

    # --- by order -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin here and now, and keep it going; nothing where it has just begun by itself. Raises what `Watchbell.start`
        raises."""
        with self._starting:
            if not self._begun_here() or self._bell._node is None:
                self._bell.start()
                if self._bell._node is None:
                    return  # engines are switched off
                self._over.clear()
                self._note_beginning()
            self._go(self._keep)
            self._asked.set()  # the thread that looks for a server need not look any longer

    def end(self) -> None:
        """Drain and stop the engine that was begun in this process; returns when it has ended."""
        if self._begun_here():
            self._over.set()
            if (thread := self._thread) is not None:
                thread.join()
            self._thread, self.began = None, False

    def _begun_here(self) -> bool:
        return self.began and self._pid == os.getpid()

    # --- the thread that keeps it -------------------------------------------------------------------------------------

    def _note_beginning(self) -> None:
        if not self._begun_here():
            self.began, self._pid = True, os.getpid()
            _at_exit(self)

    def _go(self, work: Callable[[], None]) -> None:
        """Have the one thread of this process do it, unless that is there: while it looks for a server it finds out by
        itself that the engine was begun by order. Nothing after the end."""
        with self._lock:
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(target=work, name="watchbell-embedding", daemon=True)
                self._thread.start()

    def _leaves(self) -> bool:
        """Whether the thread may go, because there is nothing to keep. Whoever begins an engine later makes another."""
        with self._lock:
            if self._bell._node is not None and self._begun_here():
                return False
            self._thread = None
            return True

    def _keep(self) -> None:
        """Start it again when it has ended by itself, or could not be started: nobody else restarts a part of this
        process."""
        bell, rest = self._bell, REVIVE_US
        while True:
            node, began = bell._node, bell._clock.mono_ns()
            while node is not None and not node.ended.is_set() and not self._over.is_set():
                bell._clock.wait(self._over, 500_000)
            with self._starting:
                if same := bell._node is node:
                    bell.stop()
            if not same:  # somebody has stopped it by hand, or has also begun it again
                if self._leaves():
                    return
                continue
            if bell._clock.mono_ns() - began > LONGEST_REVIVE_US * 1000:
                rest = REVIVE_US
            self._rest(rest)
            if self._over.is_set():
                return
            rest = min(2 * rest, LONGEST_REVIVE_US)
            with self._starting:
                hope = self._start(rest)
            if not hope and self._leaves():
                return

    def _start(self, rest: int) -> bool:
        """Whether there is something to keep: the engine, or the hope that the database comes back."""
        if self._bell._node is not None:
            return True
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
