"""Who is silent: the others as one node sees them, by its own clock and nobody else's.

A node lives as long as its heartbeat *changes*; what instant it carries is of no interest, so that no skew between two
clocks can make a live node look dead. Silence counts only over time in which the observer itself has seen the store: a
gap between two looks, whatever it was (the store was down, the observer was frozen or asleep), starts everybody's lease
anew. Pure: it is told what was seen when, and answers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from .instants import SECOND

GAP_US = 3 * SECOND
"""A longer one between two looks is a time of which the observer can say nothing."""


class Liveness:
    """What one node has seen of the others. Spans and instants are microseconds of its own boot-time clock."""

    def __init__(self, lease_us: int, gap_us: int = GAP_US) -> None:
        self._lease_us = lease_us
        self._gap_us = gap_us
        self._looked: int | None = None
        self._since: dict[int, tuple[Hashable, int]] = {}

    def saw(self, before_us: int, after_us: int, beats: Mapping[int, Hashable]) -> set[int]:
        """One look, asked at one instant and answered at the other: the heartbeat of each node that is not known to have
        ended. Returns those that have been silent for longer than a lease.

        >>> watch = Liveness(15 * SECOND, gap_us=10 * SECOND)
        >>> watch.saw(0, 0, {7: "first"}), watch.saw(9 * SECOND, 9 * SECOND, {7: "first"})
        (set(), set())
        >>> watch.saw(16 * SECOND, 16 * SECOND, {7: "first"})
        {7}
        """
        whole = self._looked is not None and before_us - self._looked <= self._gap_us
        self._looked = after_us
        seen = self._since if whole else {}
        self._since = {
            node: (beat, seen[node][1] if node in seen and seen[node][0] == beat else after_us)
            for node, beat in beats.items()
        }
        # From the answer that showed the heartbeat first to the question that still found it the same: not more than that
        # is certain.
        return {node for node, (_, since) in self._since.items() if before_us - since > self._lease_us}
