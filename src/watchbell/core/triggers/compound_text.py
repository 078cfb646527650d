"""Combined triggers from text and from JSON: parts in brackets, each read as a trigger of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from watchbell.core.triggers.compound import AnyOf, Except
from watchbell.errors import BadTrigger

if TYPE_CHECKING:
    from watchbell.core.triggers import Trigger

_MOST_BRACKETS: Final = 100
_OPTIONS: Final = ("days", "tz")


def parse_compound(text: str, parse: Callable[[str], Trigger]) -> Trigger:
    """The trigger of a text that begins with "any" or "except"; `parse` reads what stands in brackets."""
    kind, _, rest = text.strip().partition(" ")
    parts, rest = _brackets(rest.strip())
    options: dict[str, str] = {}
    for word in rest.split():
        name, sign, value = word.partition("=")
        if kind != "except" or not sign or name not in _OPTIONS or name in options:
            raise BadTrigger(f"{word[:60]!r} behind the brackets cannot be read; write {_form(kind)}")
        options[name] = value
    if kind == "any":
        return AnyOf(tuple(map(parse, parts)))
    if not 1 <= len(parts) <= 2:
        raise BadTrigger(
            f"except takes a rule and at most one to leave out, in brackets; write {_form(kind)}"
        )
    base, *others = map(parse, parts)
    days = tuple(day for day in options.get("days", "").split(",") if day)
    return Except(base, others[0] if others else None, days, options.get("tz"))


def _form(kind: str) -> str:
    if kind == "any":
        return "'any (cron 0 9 * * 1-5) (cron 0 11 * * 6)'"
    return "'except (every 15m) (cron * 2 * * *) days=2026-12-25,2026-12-26 tz=Europe/Berlin'"


def _brackets(text: str) -> tuple[list[str], str]:
    """What stands in the outermost brackets at the start of a text, and what follows them."""
    parts: list[str] = []
    while text.startswith("("):
        depth = 0
        for place, sign in enumerate(text):
            depth += (sign == "(") - (sign == ")")
            if depth == 0:
                parts.append(text[1:place].strip())
                text = text[place + 1 :].lstrip()
                break
            if depth > _MOST_BRACKETS:
                raise BadTrigger("there are too many brackets within one another")
        else:
            raise BadTrigger("a bracket is not closed; write ')' behind each part")
    return parts, text


def compound_from_json(data: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Trigger]) -> Trigger:
    """The trigger that `to_json` gave; `read` reads its parts. Raises BadTrigger."""
    try:
        if data["kind"] == "any":
            return AnyOf(tuple(read(part) for part in data["parts"]))
        other = data.get("other")
        return Except(
            read(data["base"]),
            None if other is None else read(other),
            tuple(data.get("days", ())),
            data.get("tz"),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadTrigger(f"{str(data)[:80]} is no combined trigger: {error!r}") from error
