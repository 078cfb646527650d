"""When an occurrence may begin: its due instant, later by spread, `H` and jitter.

`due_at` is the nominal instant and the identity; `start_at` is never before it. The offsets are hashes, so that every
process and every version of watchbell gives the same start to the same occurrence, for ever: BLAKE2b of 8 bytes over the
text `kind:schedule` (or `jitter:schedule:due_at`), read as a big-endian number, modulo the span.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from .policies import Policies

if TYPE_CHECKING:
    from .triggers import Trigger


@dataclass(frozen=True, slots=True)
class Spread:
    """How much later than its due instants the occurrences of one schedule start: all of them by `offset_us`, each by
    its own part of `jitter_us`."""

    schedule: int
    offset_us: int = 0
    jitter_us: int = 0

    def start_at(self, due_at: int) -> int:
        """Not before this may the occurrence begin."""
        if not self.jitter_us:
            return due_at + self.offset_us
        return due_at + self.offset_us + _within(f"jitter:{self.schedule}:{due_at}", self.jitter_us)

    @property
    def most_us(self) -> int:
        """No occurrence starts later than this after its due instant."""
        return self.offset_us + max(0, self.jitter_us - 1)


def spread_of(schedule: int, policies: Policies, trigger: Trigger) -> Spread | None:
    """What delays the starts of a schedule; None where every occurrence starts when it is due.

    >>> from watchbell.core.triggers import every
    >>> spread_of(7, Policies(), every("1h")) is None
    True
    >>> spread_of(7, Policies(spread_us=600_000_000), every("1h"))
    Spread(schedule=7, offset_us=163791845, jitter_us=0)
    """
    hashed = int(getattr(trigger, "hash_span_us", 0))
    if not (policies.spread_us or policies.jitter_us or hashed):
        return None
    offset = _within(f"spread:{schedule}", policies.spread_us) + _within(f"hash:{schedule}", hashed)
    return Spread(schedule, offset, policies.jitter_us)


def _within(text: str, span: int) -> int:
    """A stable number in [0, span)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") % span if span > 0 else 0
