"""What a client sends to PostgreSQL, cut into messages, so that a COMMIT is seen as it goes up (protocol 3.0)."""

from __future__ import annotations

from enum import Enum

_HEAD = 5
_FIRST = 8
_NOT_YET = {80877103, 80877104}
"""Requests for encryption: the start of the session proper still comes."""


class Kind(Enum):
    """What a piece of the stream is."""

    OTHER = "other"
    COMMIT = "commit"
    """The end of a transaction that may have written."""


class Upward:
    """Takes the bytes of one session as they come, and gives whole messages. Those of a COMMIT in the extended protocol
    come as one piece, from its Parse to its Sync."""

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False
        self._held = b""
        self._reads = False

    def feed(self, data: bytes) -> list[tuple[bytes, Kind]]:
        """The pieces that are whole by now."""
        self._buffer += data
        found = []
        while (piece := self._next()) is not None:
            told = self._told(piece)
            if told is not None:
                found.append(told)
        return found

    def _next(self) -> bytes | None:
        head = _HEAD if self._started else _FIRST
        if len(self._buffer) < head:
            return None
        start = 1 if self._started else 0
        size = start + int.from_bytes(self._buffer[start : start + 4], "big")
        if len(self._buffer) < size:
            return None
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        if not self._started and int.from_bytes(piece[4:8], "big") not in _NOT_YET:
            self._started = True
            return piece
        return piece

    def _told(self, piece: bytes) -> tuple[bytes, Kind] | None:
        letter = piece[:1]
        if self._held:
            self._held += piece
            if letter != b"S":
                return None
            whole, self._held = self._held, b""
            return whole, self._commit()
        if letter == b"Q":
            text = _text(piece[_HEAD:])
            if text.startswith("BEGIN"):
                self._reads = "READ ONLY" in text
            return piece, self._commit() if text.startswith("COMMIT") else Kind.OTHER
        if letter == b"P":
            name_end = piece.index(b"\0", _HEAD)
            text = _text(piece[name_end + 1 :])
            if text.startswith("BEGIN"):
                self._reads = "READ ONLY" in text
            if text.startswith("COMMIT"):
                self._held = piece
                return None
        return piece, Kind.OTHER

    def _commit(self) -> Kind:
        return Kind.OTHER if self._reads else Kind.COMMIT


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace").lstrip().upper()
