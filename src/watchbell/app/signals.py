"""Signals that ask a process to end, heard on a thread of their own.

A signal handler runs between two steps of the main thread, which may just then hold the lock of the very event (or log
stream) that the handler wants: both would wait for ever. So the handler only puts the number into a queue that may be
interrupted by itself, and everything else is done here.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

ENDING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def hearing(act: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Have `act` called for each of these signals, one after the other, on another thread. Main thread only."""
    heard: SimpleQueue[int] = SimpleQueue()

    def serve() -> None:
        while number := heard.get():
            act(signal.Signals(number))

    threading.Thread(target=serve, name="watchbell-signals", daemon=True).start()
    before = {number: signal.signal(number, lambda found, _frame: heard.put(found)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        heard.put(0)
