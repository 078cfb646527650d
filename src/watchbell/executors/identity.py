"""Which process is which, and whether one has ended: a proof of death that needs no waiting, for processes of one machine
that see each other. A number alone is none, as it is given to another process one day."""

from __future__ import annotations

import os
from pathlib import Path

from .orphans import start_time

_PROC = Path("/proc")
_THREADS = 17
"""Where /proc/<pid>/stat says how many threads there are, counted from behind the name."""
_NAMESPACE = Path("/proc/self/ns/pid")


def own_process() -> str:
    """This process by its namespace and its start, which together with the boot of its machine and its number name it;
    empty where the system does not say."""
    started = start_time(os.getpid())
    return f"{_namespace()}:{started}" if started and _namespace() else ""


def is_visible(process: str) -> bool:
    """Whether a process of this machine that said so of itself can be looked for from here: it lives in the same
    container, or in none. One that said nothing is taken to."""
    return not process or process.partition(":")[0] == _namespace()


def has_ended(pid: int, process: str) -> bool:
    """Whether a process of this machine that said so of itself has ended, beyond doubt. One that cannot be seen from
    here, as it lives in another container, has not."""
    namespace, _, started = process.partition(":")
    if not started or namespace != _namespace():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's, and there
        pass
    now = start_time(pid)
    return bool(now) and (str(now) != started or _is_over(pid))


def _is_over(pid: int) -> bool:
    """Whether it is dead and merely waits for its parent to notice. Its first thread may show that while others have not
    gone yet, and with them what it holds: files, and their locks."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    fields = text.rpartition(")")[2].split()
    return fields[:1] in (["Z"], ["X"]) and fields[_THREADS : _THREADS + 1] in (["0"], ["1"])


def _namespace() -> str:
    try:
        return str(_NAMESPACE.stat().st_ino)
    except OSError:
        return ""
