"""Python's search for garbage, made seldom for the few milliseconds of a turn.

It searches after every 700 new objects, and now and then through all that the process has. A turn makes tens of thousands
and lets go of nearly all of them by itself: without this it spends two fifths of its time being searched. It is not
switched off: a turn may have to wait for its database, and the application goes on meanwhile.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 50_000
_lock = threading.Lock()
_turns = 0
_before = (0, 0, 0)


@contextmanager
def seldom() -> Iterator[None]:
    """While this lasts, in any thread, so many new objects are made before the next search. An application's own setting is
    as it was afterwards; one that searches as seldom, or never, is left alone."""
    global _turns, _before
    with _lock:
        if _turns == 0:
            _before = gc.get_threshold()
            if 0 < _before[0] < SELDOM:
                gc.set_threshold(SELDOM, *_before[1:])
        _turns += 1
    try:
        yield
    finally:
        with _lock:
            _turns -= 1
            if _turns == 0:
                gc.set_threshold(*_before)
