"""What this node holds: every claim from the commit that granted it to the commit that ends it.

Claims are delivered here, into the engine's own table, and not to whoever awaited the write: a caller that goes away
never abandons a commit. A claim is *ready* until it is given to an executor, *out* until its report has come back, and
*ended* until that is written. Thread-safe.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from ..core.claim import Claim


@dataclass(frozen=True, slots=True)
class Slots:
    """How many attempts of each lane a node carries out at once."""

    lanes: dict[str, int]

    def for_backlog(self, lane: str) -> int:
        """How many slots of a lane a backlog may take: half, so that what is new always finds one."""
        return max(1, self.lanes[lane] // 2)


class Desk:
    """The table of claims."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[int, Claim] = {}
        self._ready: list[tuple[int, int]] = []
        self._busy: dict[str, int] = {}
        self._late: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._claims)

    def take(self, claims: Iterable[Claim]) -> None:
        """Claims that were granted."""
        with self._lock:
            for claim in claims:
                self._claims[claim.run] = claim
                self._busy[claim.lane] = self._busy.get(claim.lane, 0) + 1
                if claim.catchup:
                    self._late[claim.lane] = self._late.get(claim.lane, 0) + 1
                heapq.heappush(self._ready, (claim.start_at, claim.run))

    def begin(self, now: int) -> list[Claim]:
        """The ready claims whose instant has come; they are out from here on."""
        out = []
        with self._lock:
            while self._ready and self._ready[0][0] <= now:
                run = heapq.heappop(self._ready)[1]
                claim = self._claims.get(run)
                if claim is not None:
                    out.append(claim)
        return out

    def put_back(self, claims: Iterable[Claim]) -> None:
        """These were not given to an executor after all: they are ready again."""
        with self._lock:
            for claim in claims:
                if claim.run in self._claims:
                    heapq.heappush(self._ready, (claim.start_at, claim.run))

    def next_start(self) -> int | None:
        """When the next ready claim begins."""
        with self._lock:
            return self._ready[0][0] if self._ready else None

    def withdraw_ready(self) -> list[Claim]:
        """Take back every claim that is still ready: none of them has begun, and now none will."""
        with self._lock:
            taken = [self._claims[run] for _, run in self._ready if run in self._claims]
            self._ready.clear()
        return taken

    def withdraw(self, run: int) -> Claim | None:
        """Take back one claim if it is still ready."""
        with self._lock:
            if run not in self._claims or not any(entry[1] == run for entry in self._ready):
                return None
            self._ready = [entry for entry in self._ready if entry[1] != run]
            heapq.heapify(self._ready)
            return self._claims[run]

    def find(self, run: int, epoch: int) -> Claim | None:
        """The claim of a run, if it is held by that epoch."""
        claim = self._claims.get(run)
        return claim if claim is not None and claim.epoch == epoch else None

    def clear(self, claims: Iterable[Claim]) -> None:
        """These are written: they are held no more."""
        with self._lock:
            for claim in claims:
                if self._claims.pop(claim.run, None) is not None:
                    self._busy[claim.lane] -= 1
                    if claim.catchup:
                        self._late[claim.lane] -= 1

    def busy(self) -> dict[str, int]:
        """How many claims of each lane are held."""
        with self._lock:
            return dict(self._busy)

    def late(self) -> dict[str, int]:
        """How many claims of each lane are of a backlog."""
        with self._lock:
            return dict(self._late)

    def keys(self) -> set[tuple[int, int]]:
        """(run, epoch) of all that is held."""
        with self._lock:
            return {(claim.run, claim.epoch) for claim in self._claims.values()}

    def held(self) -> list[Claim]:
        """All that is held."""
        with self._lock:
            return list(self._claims.values())
