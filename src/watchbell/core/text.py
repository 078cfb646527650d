"""Text that every database and terminal can take: user code may hand us anything."""

from __future__ import annotations


def storable(text: str | None) -> str | None:
    """The text as it is, or with what UTF-8 has no form for (a lone surrogate, as of a file name that is not UTF-8) and
    what PostgreSQL has no room for (the character NUL) written out.

    >>> storable("caf\\udce9.txt")
    'caf\\\\udce9.txt'
    >>> storable("a\\0b")
    'a\\\\x00b'
    """
    if text is None:
        return text
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
