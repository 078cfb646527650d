"""What the engine says of what it has planned and settled: to the log, and to the application's hooks."""

from __future__ import annotations

import logging

from ..core.claim import Claim
from ..core.instants import to_text
from ..core.states import State
from ..core.text import storable
from ..store.planning import Planned
from ..store.settling import Settled
from .house import House

BAD_LINES = 20
_BAD = frozenset({State.FAILED, State.TIMED_OUT, State.LOST, State.RETRYING})
_ENDINGS = ("succeeded", "failed", "timed_out", "cancelled", "lost", "retrying", "ended")
_log = logging.getLogger("watchbell.engine")


class Teller:
    """Says what has been written; what it says changes nothing."""

    def __init__(self, house: House) -> None:
        self._house = house

    def ended(self, settled: Settled) -> None:
        """How attempts have ended."""
        hooks = self._house.hooks
        self._log_bad_ends(settled)
        if not any(hooks.wanted(f"run.{word}") for word in _ENDINGS):
            return
        for item, to in settled.done:
            about = {
                "run": f"run_{item.claim.run}",
                "job": self._name(item.claim.job),
                "due_at": item.claim.due_at,
                "state": to.state.value,
                "attempt": item.claim.attempt,
                "error": item.outcome.error,
                "began_at": item.outcome.began_at,
                "ended_at": item.outcome.ended_at,
            }
            hooks.tell(f"run.{to.state}", about)
            if to.state is not State.RETRYING:
                hooks.tell("run.ended", about)

    def planned(self, planned: Planned) -> None:
        """What was planned and will not run."""
        for happening in planned.happened:
            _log.warning(
                "occurrence.missed: %s, %d up to %s: %s",
                happening.subject,
                happening.count,
                "now" if happening.due_at is None else to_text(happening.due_at),
                happening.detail,
            )
            self._house.hooks.tell(
                "occurrence.missed",
                {"schedule": happening.subject, "count": happening.count, "due_at": happening.due_at,
                 "reason": happening.detail},
            )  # fmt: skip

    def _log_bad_ends(self, settled: Settled) -> None:
        """A line for each run that did not do its work, and one for the rest where there are very many."""
        bad = [(item, to) for item, to in settled.done if to.state in _BAD]
        for item, to in bad[:BAD_LINES]:
            said = (storable(item.outcome.error or item.outcome.note) or "").strip().splitlines()
            _log.warning(
                "run.%s: %s, run_%d, attempt %d%s",
                to.state,
                self._subject(item.claim),
                item.claim.run,
                item.claim.attempt,
                f": {said[0][:300]}" if said else "",
            )
        if len(bad) > BAD_LINES:
            _log.warning("run.failed: and %d more", len(bad) - BAD_LINES)

    def _subject(self, claim: Claim) -> str:
        known = self._house.catalog.known_definition(claim.schedule or 0, claim.version or 0)
        return known.name if known is not None else self._name(claim.job) or f"job {claim.job}"

    def _name(self, job: int) -> str | None:
        known = self._house.catalog.known_job(job)
        return None if known is None else known.name
