"""How long the last engine is waited for: as long as rows move, for what a rate of one a second holds takes as many
seconds as there are rows."""

from __future__ import annotations

STILL_S = 30.0
IN_ALL_S = 600.0


class Patience:
    """Asked again and again how things stand, it says when to give up."""

    def __init__(self, still_s: float = STILL_S, in_all_s: float = IN_ALL_S) -> None:
        self._still_s = still_s
        self._in_all_s = in_all_s
        self._began: float | None = None
        self._moved = 0.0
        self._seen: object = None

    def ends(self, standing: object, now: float) -> str | None:
        """Why to wait no longer; None to go on. `now` is in seconds of a monotonic clock."""
        if self._began is None:
            self._began = now
        if standing != self._seen:
            self._seen, self._moved = standing, now
        if now - self._moved > self._still_s:
            return f"none of them has moved for {self._still_s:g} s"
        if now - self._began > self._in_all_s:
            return f"they still move after {self._in_all_s:g} s"
        return None
