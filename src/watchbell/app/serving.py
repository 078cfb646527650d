"""Which process of a web server serves, seen from inside it.

An application is imported in many processes that never answer a request: gunicorn's master with `--preload`, the parent
of a reloader, `flask db upgrade`, `manage.py migrate`, a shell. An engine belongs into those that serve, without a
request having to arrive first. No server tells its application, so we look at what the threads of the process are
doing: a server that serves stands in its own loop, and the names of those few functions are older than most
applications. Nothing is patched, nothing is imported, and what is not known here starts nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

_LOOPS = {
    ("werkzeug.serving", "serve_forever"): "werkzeug",
    ("django.core.servers.basehttp", "run"): "runserver",
    ("waitress.server", "run"): "waitress",
    ("uvicorn.server", "run"): "uvicorn",
}
"""Where a server stands while it serves."""
_LOADING = {("uvicorn.config", "load"), ("importlib._bootstrap", "_find_and_load")}
"""What stands above it while it is still importing the application."""
_GUNICORN_CHILD = ("gunicorn.workers.base", "init_process")
_GUNICORN_FORKS = ("gunicorn.arbiter", "spawn_worker")
_GUNICORN_MASTER = "gunicorn.arbiter"


def server() -> str | None:
    """The name of the web server that serves in this process; None if none does, or not yet."""
    for frame in list(sys._current_frames().values()):
        try:
            found = _serving(list(_names(frame)))
        except (AttributeError, TypeError):  # another thread was just entering or leaving a call: look again
            continue
        if found is not None:
            return found
    return None


def in_master(frame: FrameType | None = None) -> bool:
    """Whether this is gunicorn's master, loading the application before it forks (`--preload`)."""
    names = set(_names(frame or sys._getframe(1)))
    return _GUNICORN_CHILD not in names and any(module == _GUNICORN_MASTER for module, _ in names)


def forking(frame: FrameType | None = None) -> bool:
    """Whether the fork that is going on makes a process that will serve. To be asked in a fork's own hook."""
    return any(name == _GUNICORN_FORKS for name in _names(frame or sys._getframe(1)))


def _serving(names: list[tuple[str, str]]) -> str | None:
    """`names`: what one thread is doing, innermost first."""
    for place, name in enumerate(names):
        if name in _LOOPS:
            return None if _LOADING.intersection(names[:place]) else _LOOPS[name]
        if name == _GUNICORN_CHILD:
            # The last thing that it does is to call run(), of whatever class the process is made.
            return "gunicorn" if place > 0 and names[place - 1][1] == "run" else None
    return None


def _names(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    while frame is not None:
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_name
        frame = frame.f_back


def within(module: str, function: str) -> bool:
    """Whether we were called, however indirectly, by that function."""
    return (module, function) in _names(sys._getframe(1))
