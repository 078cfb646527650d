"""Tokens: the secret of each claim. The ledger keeps only a hash, so that reading it does not let anybody report an end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


def hashed(token: str) -> bytes:
    """What the ledger keeps of a token."""
    return hashlib.sha256(token.encode()).digest()[:16]


class Tokens:
    """Draws tokens, many at a time. `randomness(n)` gives n random bytes."""

    def __init__(self, randomness: Callable[[int], bytes]) -> None:
        self._randomness = randomness

    def draw(self, count: int) -> list[tuple[str, bytes]]:
        """`count` fresh tokens, each with its hash."""
        drawn = self._randomness(16 * count).hex()
        tokens = [drawn[place : place + 32] for place in range(0, 32 * count, 32)]
        return [(token, hashed(token)) for token in tokens]
