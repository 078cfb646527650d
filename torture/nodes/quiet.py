"""Who could not be heard, and when: what is excused by it is judged later."""

from __future__ import annotations

from ..history import Life, Silence
from .faults import ANYBODY
from .posts import now_us, silences_of


class Quiet:
    """The silences of all posts, those that last among them."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, str], int] = {}
        self._over: list[tuple[int, str, int, int]] = []

    def begins(self, place: int, kind: str) -> None:
        """From here on."""
        self._open.setdefault((place, kind), now_us())

    def ends(self, place: int, kind: str) -> None:
        """Up to here."""
        if (since := self._open.pop((place, kind), None)) is not None:
            self._over.append((place, kind, since, now_us()))

    def lately(self, place: int, within_us: int) -> bool:
        """Whether that post could not be heard within that time."""
        since = now_us() - within_us
        both = (ANYBODY, place)
        return any(where in both for where, _ in self._open) or any(
            where in both and until >= since for where, _, _, until in self._over
        )

    def silences(self, lives: list[Life]) -> list[Silence]:
        """A silence of a post is one of every engine that was there meanwhile."""
        found = []
        for place, kind, from_us, to_us in self._over:
            if place == ANYBODY:
                found.append(Silence(None, kind, from_us, to_us))
            else:
                found += silences_of(place, lives, kind, from_us, to_us)
        return found
