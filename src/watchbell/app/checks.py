"""What an application may hand us: types and texts looked at on the way in, so that each mistake is a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from ..core.definition import arguments_text
from ..core.instants import from_datetime, parse_instant
from ..core.triggers import Trigger, is_trigger, parse_trigger
from ..errors import BadArguments, BadDeclaration, BadInput, BadPolicy, BadTrigger, WatchbellError

LONGEST_NAME = 200
_SHOWN = 80
_LARGEST = 2**63 - 1


def shown(value: object) -> str:
    """A value in a sentence: its repr, in which control characters are escaped, and no longer than a line."""
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except Exception:  # it is the caller's object, and its repr may do anything
        text = f"an object of {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def name(value: object, what: str, refusal: type[WatchbellError] = BadDeclaration) -> str:
    """The name of something, once it can be one."""
    if not isinstance(value, str):
        raise refusal(f"{what} is a text, not {shown(value)}.")
    if not value.strip():
        raise refusal(f"{what} is empty; write one.")
    if not value.isprintable():
        raise refusal(
            f"{what} {shown(value)} holds a control character or what is no text; write it with plain ones."
        )
    if len(value) > LONGEST_NAME:
        raise refusal(f"{what} {shown(value)} has {len(value)} characters; {LONGEST_NAME} are the most.")
    return value


def names(value: object, what: str, refusal: type[WatchbellError] = BadDeclaration) -> tuple[str, ...]:
    """Several of them, such as tags; one text alone is no list of texts."""
    if type(value) is tuple and not value:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise refusal(f"{what} are a list of texts, not {shown(value)}; write [{shown(value)}].")
    return tuple(name(one, f"Each of {what}", refusal) for one in value)


def trigger(value: object) -> Trigger:
    """A rule of time, or its text."""
    if isinstance(value, str):
        return parse_trigger(value)
    if is_trigger(value):
        return value
    raise BadTrigger(
        f"{shown(value)} is no trigger; write every('15m'), cron('30 2 * * *'), once(…), manual(), or one's text."
    )


@lru_cache(maxsize=1024)
def bindable(value: Trigger) -> Trigger:
    """A rule of time whose zones there are: looked at once for all who say the same. Raises BadZone, BadTrigger."""
    value.bound("UTC", 0)
    return value


def function(value: object, what: str) -> Callable[..., Any]:
    """Something that can be called."""
    if not callable(value):
        raise BadDeclaration(f"{what} is a function, not {shown(value)}.")
    return value


def arguments(value: object) -> Mapping[str, Any]:
    """Arguments by name; None for none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise BadArguments(f"Arguments are given by name, such as {{'to': 'alice'}}, not as {shown(value)}.")
    return value


def options(value: object) -> Mapping[str, Any]:
    """Options by name."""
    if not isinstance(value, Mapping):
        raise BadPolicy(f"Options are given by name, such as {{'overlap': 'skip'}}, not as {shown(value)}.")
    return value


def instant(value: object, what: str) -> int:
    """The instant of an aware datetime. Raises NaiveTime, BadInput."""
    if not isinstance(value, datetime):
        raise BadInput(f"{what} is a datetime with a time zone, not {shown(value)}.")
    try:
        return from_datetime(value)
    except OverflowError as error:
        raise BadInput(f"{what} {shown(value)} is outside of the calendar.") from error


def moment(value: object, what: str, now: int) -> int:
    """The instant of an aware datetime or of a text: '2026-12-01T00:00:00Z', '+2h'. Raises NaiveTime, BadInput."""
    if isinstance(value, str):
        try:
            return parse_instant(value, None, now)
        except BadTrigger as error:
            raise BadInput(f"{what}: {error}") from error
    return instant(value, what)


def flag(value: object, what: str) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise BadDeclaration(f"{what} is True or False, not {shown(value)}.")
    return value


def whole(
    value: object, what: str, least: int, most: int = _LARGEST, refusal: type[BadInput] = BadInput
) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refusal(f"{what} is a whole number from {least:,} to {most:,}, not {shown(value)}.")
    return value


def as_json(args: object) -> str:
    """Arguments that no signature has judged, as the text that is stored."""
    try:
        return arguments_text(dict(arguments(args)))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadArguments(f"The arguments cannot be stored as JSON: {error}.") from None


def kind(value: object, wanted: type | tuple[type, ...], what: str) -> None:
    """Refuse a value of another type."""
    if not isinstance(value, wanted):
        names_ = " or ".join(one.__name__ for one in (wanted if isinstance(wanted, tuple) else (wanted,)))
        raise BadDeclaration(f"{what} is a {names_}, not {shown(value)}.")


def several(value: object, what: str) -> tuple[Any, ...]:
    """The items of a policy's list."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise BadPolicy(f"{what} is a list, not {shown(value)}; write [{shown(value)}].")
    return tuple(value)


def is_number(value: object) -> bool:
    """Whether it is a number, which True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
