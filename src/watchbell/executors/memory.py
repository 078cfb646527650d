"""The memory limit of runs that have processes of their own: measured, and ended when it is passed.

What counts is what a run's processes hold in memory and share with nobody (resident less shared), all of them together.
That is what a person means by "it may use 512 MiB": a limit on addresses would end programs that merely reserve many.
A look every tenth of a second is too slow for one that takes everything at once, so that each process has a limit of
the kernel beside it, at twice the amount (`spawner`): there it is given no more memory, and mostly ends by itself.
"""

from __future__ import annotations

import os
from dataclasses import replace

from ..core.outcome import Ending, Outcome
from ..core.sizes import size_text
from .holding import Live

LOOK_US = 100_000
KINDS = ("MemoryLimit", "MemoryError", "Exception")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MOST = 10_000


def used_by(pid: int) -> int:
    """The bytes that a process and all that descends from it hold for themselves; 0 where the system does not tell."""
    total, waiting = 0, [pid]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        total += _own(one)
        waiting += _children(one)
    return total


def _own(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            fields = file.read().split()
        return max(0, int(fields[1]) - int(fields[2])) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    except (OSError, ValueError):
        pass  # it has just ended
    return found


def judged(live: Live, outcome: Outcome) -> Outcome:
    """The outcome of a run that has a memory limit: it failed for that if it was ended for it, and if it failed with more
    than that in use (the kernel gave it no more, or ended it)."""
    limit = live.assignment.memory
    if limit is None or live.asked is not None:
        return outcome
    if live.over:
        text = f"It used more than {size_text(limit)} of memory, which is its limit, and was ended."
        return replace(outcome, ending=Ending.FAILED, error=text, error_type=KINDS, reason=None, result=None)
    if outcome.ending is not Ending.FAILED:
        return outcome
    if (outcome.peak_memory or 0) > limit or "MemoryError" in outcome.error_type:
        text = f"It used more than {size_text(limit)} of memory, which is its limit. {outcome.error or ''}".rstrip()
        return replace(outcome, error=text, error_type=(*KINDS[:1], *outcome.error_type))
    hint = f"It may use {size_text(limit)} of memory; a program that asks for far more at once is refused it."
    return replace(outcome, note=outcome.note or hint)
