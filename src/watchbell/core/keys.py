"""Keys that people make up: of limits and rates, of runs, of steps within a run. They stand in indexes, which hold no text
of any length."""

from __future__ import annotations

from ..errors import BadInput, WatchbellError

LONGEST_KEY = 200


def check_key(key: object, what: str, refusal: type[WatchbellError] = BadInput) -> str:
    """The key of something, once every database can hold it. Raises `refusal`, which says why it cannot."""
    if not isinstance(key, str):
        raise refusal(f"{what} is a text, not {ascii(key)[:40]}.")
    if len(key) > LONGEST_KEY:
        raise refusal(
            f"{what} has {len(key):,} characters ({key[:40]!a}…); {LONGEST_KEY} are the most: where it is made "
            "of more, use a hash of that."
        )
    if "\0" in key or any("\ud800" <= letter <= "\udfff" for letter in key):
        raise refusal(f"{what} {key!a} holds what is no text; write plain letters.")
    return key
