"""Output of programs becomes lines of text that are safe to store and to show.

Bytes are read as UTF-8 with replacement. Colour sequences are taken out; every other control character, which could
move a reader's cursor or end a string in a database, is shown by its picture (␀, ␛). A line that never ends is cut.
"""

from __future__ import annotations

import codecs
import re

LINE_LIMIT = 8 * 1024
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_BREAK = re.compile(r"\r\n|\n|\r")
_PICTURES = {code: 0x2400 + code for code in range(32) if code != 9} | {127: 0x2421}
_PICTURES |= dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD)


def harmless(line: str) -> str:
    """The line without control characters."""
    return line if line.isprintable() else _COLOUR.sub("", line).translate(_PICTURES)


class LineSplitter:
    """Text in pieces in, whole harmless lines out; a lone carriage return ends a line too, as progress bars use it."""

    def __init__(self) -> None:
        self._open = ""

    def feed(self, text: str) -> list[str]:
        """The lines that are complete now."""
        text = self._open + text
        held = ""
        if text.endswith("\r"):  # the newline that belongs to it may be in the next piece
            text, held = text[:-1], "\r"
        *lines, last = _BREAK.split(text) if "\r" in text else text.split("\n")
        out = [harmless(piece) for line in lines for piece in _cut(line)]
        while len(last) > LINE_LIMIT:
            out.append(harmless(last[:LINE_LIMIT]))
            last = last[LINE_LIMIT:]
        self._open = last + held
        return out

    def rest(self) -> list[str]:
        """The last line, if it has no newline."""
        last, self._open = self._open.removesuffix("\r"), ""
        return [harmless(last)] if last else []


def _cut(line: str) -> list[str]:
    if len(line) <= LINE_LIMIT:
        return [line]
    return [line[at : at + LINE_LIMIT] for at in range(0, len(line), LINE_LIMIT)]


class LineReader:
    """The same for bytes."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._splitter = LineSplitter()

    def feed(self, data: bytes) -> list[str]:
        return self._splitter.feed(self._decode(data))

    def rest(self) -> list[str]:
        return self._splitter.feed(self._decode(b"", True)) + self._splitter.rest()
