"""What a node that is cut off does about runs that would be begun again elsewhere: it ends them, before anybody may.

A node whose trust in its lease has run out begins nothing more. What it runs goes on, as a database that is away for a
minute must not cost an hour's work. But the others, if they still reach the database, take its silence for its death, and a
run that says `on_lost="rerun"` is then begun once more: so it is ended here by that time, and there is one live attempt.
Whatever becomes of it is written as what it is: how far it came is not known. A thread or a request cannot be ended, and
its job has said that attempts may overlap (PROTOCOL §6).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from ..core.outcome import Ending, Outcome
from ..core.states import Reason
from .house import House

LOOK_US = 500_000
ENDED_HERE = frozenset({"async", "process", "command"})
_NOTE = "Its node could not renew its lease and ended the run, so that it can be begun elsewhere: how far it came is not known."
_log = logging.getLogger("watchbell.engine")


class LeaseEnd:
    """Looks whether one node is still trusted, and its database answers; it asks no database, as that may be what does
    not."""

    def __init__(self, house: House, trusted: Callable[[], bool]) -> None:
        self._house = house
        self._trusted = trusted
        self._asked: set[tuple[int, int]] = set()

    def step(self) -> int:
        """Look once; returns how long to rest."""
        self._house.outage.look()
        if self._trusted():
            self._asked.clear()
            return LOOK_US
        for claim in self._house.desk.held():
            key = (claim.run, claim.epoch)
            if claim.rerun and claim.lane in ENDED_HERE and key not in self._asked:
                self._asked.add(key)
                executor = self._house.executors[claim.lane]
                if key in executor.in_progress():  # else it has ended and is not written yet, or never began
                    _log.warning("run.ended_with_lease: run_%d: this node's lease has run out", claim.run)
                executor.cancel(*key, str(Reason.BEGUN), hard=True)
        return LOOK_US


def as_it_is(outcome: Outcome) -> Outcome:
    """The outcome of a run that was ended so: it is lost, whatever its executor calls it."""
    if outcome.ending is Ending.CANCELLED and outcome.reason == Reason.BEGUN:
        return replace(outcome, ending=Ending.LOST, note=_NOTE)
    return outcome
