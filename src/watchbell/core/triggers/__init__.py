"""Triggers: the rules of time, as values.

A trigger says at which instants a schedule falls due, and nothing else: it is frozen, hashable, and its
answers depend on its arguments only. There are `Cron`, `Calendar`, `RRule`, `Interval`, `Once` and `Manual`;
`cron`, `calendar`, `rrule`, `every`, `once` and `manual` make them; `any_of` and `except_for` join them
(`AnyOf`, `Except`). What a user leaves open (the time zone, the start of an interval) is filled by `bound` when
a schedule is written.

Each has the same questions (`next_after`, `last_in`, `first_in`, `count`, `stands_for`, `zones`), a
`hash_span_us` (how far the hash of a schedule may move its starts; 0 but for cron with `H`), a description,
and two forms that read back exactly: JSON (`to_json`, `trigger_from_json`) and text (`to_text`,
`parse_trigger`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard

from watchbell.core.instants import (
    Instant,
    from_datetime,
    parse_duration,
    parse_instant,
    read_time,
    reading_text,
)
from watchbell.core.triggers.combine import Combines, RulesByZone
from watchbell.core.triggers.plain_triggers import Interval, Manual, Once
from watchbell.core.wallclock import Fold, Gap, zone_rules
from watchbell.errors import BadTrigger

if TYPE_CHECKING:
    from watchbell.core.triggers.calendar_rule import SHORT_MONTHS
    from watchbell.core.triggers.calendar_trigger import Calendar, calendar
    from watchbell.core.triggers.compound import AnyOf, Except, any_of, except_for
    from watchbell.core.triggers.cron_trigger import Cron
    from watchbell.core.triggers.rrule_trigger import RRule, rrule
    from watchbell.core.triggers.wall_trigger import DSTS, Dst

__all__ = [
    "DSTS",
    "SHORT_MONTHS",
    "AnyOf",
    "Calendar",
    "Cron",
    "Dst",
    "Except",
    "Fold",
    "Gap",
    "Interval",
    "Manual",
    "Once",
    "RRule",
    "RulesByZone",
    "Trigger",
    "any_of",
    "calendar",
    "cron",
    "every",
    "except_for",
    "is_trigger",
    "manual",
    "once",
    "parse_trigger",
    "rrule",
    "trigger_from_json",
]

Trigger: TypeAlias = "Cron | Calendar | RRule | Interval | Once | Manual | AnyOf | Except"

_AT_NEED: Final = {
    "DSTS": "wall_trigger",
    "SHORT_MONTHS": "calendar_rule",
    "AnyOf": "compound",
    "Calendar": "calendar_trigger",
    "Cron": "cron_trigger",
    "Dst": "wall_trigger",
    "Except": "compound",
    "RRule": "rrule_trigger",
    "any_of": "compound",
    "calendar": "calendar_trigger",
    "except_for": "compound",
    "rrule": "rrule_trigger",
}
"""In which room that is, and read when somebody names it: a program pays for the kinds of rules that it has."""


def is_trigger(value: object) -> TypeGuard[Trigger]:
    """Whether something is a trigger, of whatever kind."""
    return isinstance(value, Combines)


def __getattr__(name: str) -> Any:
    if name not in _AT_NEED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_AT_NEED[name]}"), name)
    globals()[name] = found
    return found


# --- what users write ---------------------------------------------------------------------------------------


def cron(
    expression: str, *, tz: str | None = None, dst: Dst = "auto", gap: Gap = "end", fold: Fold = "first"
) -> Cron:
    """At the times of a cron expression: 5 fields, or 6 with seconds first, or @daily and its like.

    `tz` is an IANA zone; without it the server's default is used. `dst`: "wall" reads it as times on the
    wall, "rhythm" as real time; "auto" is rhythm when the hour field is `*` or `*/n`. For wall-clock times
    `gap` says what becomes of one that is skipped when the clocks go forward ("end": the first instant after
    the gap; "shift": later by the length of the gap; "skip": nothing), `fold` which of two is meant when
    they go back. Raises BadTrigger, BadZone.
    """
    from watchbell.core.triggers.cron_trigger import Cron

    return Cron(expression, tz, dst, gap, fold)


def every(
    period: str | int | float | timedelta,
    *,
    start_at: str | datetime | Instant | None = None,
    run_at_start: bool = False,
    after_completion: bool = False,
) -> Interval | Manual:
    """Every `period` ("15m", a timedelta, or seconds) of elapsed time: first at `start_at + period`.

    `start_at` is an aware datetime, a text with an offset, or an instant; without it the instant of
    creation. A period of 0 is never due by itself: manual(). Raises BadDuration, BadTrigger below 1 ms,
    NaiveTime.
    """
    span = parse_duration(period)
    if span == 0:
        if re.search("[1-9]", str(period)):  # rounded to nothing, which nobody means by it
            raise BadTrigger(
                f"the period {_short(str(period))} is shorter than a microsecond; write at least '1ms'"
            )
        return Manual()
    anchor = None if start_at is None else _instant(start_at)
    return Interval(span, anchor, run_at_start, after_completion)


def once(at: str | datetime | Instant, *, tz: str | None = None) -> Once:
    """At one instant: an aware datetime, a text with an offset, or an instant.

    A naive datetime or text is a wall-clock time in `tz`: in a gap it is the first instant after it, of two
    the first. Raises NaiveTime when there is neither, BadTrigger, BadZone.
    """
    if isinstance(at, datetime) and at.tzinfo is None:
        at = at.isoformat()
    if isinstance(at, str):
        local, offset = read_time(at)
        if offset is None and tz is not None:
            instant = zone_rules(tz).from_local(local).chosen()[0]
            return Once(instant, tz, reading_text(local, "T"))
    return Once(_instant(at), tz)


def manual() -> Manual:
    """Never by itself; only run by hand, by a program or by another job."""
    return Manual()


def _instant(value: str | datetime | Instant) -> Instant:
    if isinstance(value, datetime):
        return from_datetime(value)
    if isinstance(value, str):
        return parse_instant(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadTrigger(f"{value!r} is no instant; write an aware datetime, or '2026-11-21T09:00:00Z'")
    return value


# --- what is read back --------------------------------------------------------------------------------------

_OPTION: Final = re.compile(r"([a-z_]+)=(\S*)")
_FORMS: Final = (
    "'cron 30 2 * * 1-5 tz=Europe/Berlin', 'every 15m', 'once 2026-11-21T09:00:00Z', 'manual', "
    "or words such as 'every weekday at 9:00'"
)


def parse_trigger(text: str) -> Trigger:
    """The trigger that a text says, in the form that `to_text` writes. Raises BadTrigger and what the makers
    raise.

    The options stand behind the rule: tz, dst, gap, fold for cron; those, start and short_month for calendar;
    start_at, run_at_start, after_completion for every; tz for once; those of cron and start for rrule. Combined
    triggers have their parts in brackets: "any (…) (…)", "except (…) (…) days=2026-12-25 tz=…". A phrase such as
    "every weekday at 9:00" is read as well (`english`).
    """
    kind, _, rest = text.strip().partition(" ")
    if kind in _COMPOUND:
        from watchbell.core.triggers.compound_text import parse_compound

        return parse_compound(text, parse_trigger)
    if kind in _KINDS and not (kind == "every" and not re.match(r"\s*[0-9]", rest) and rest.strip()):
        return _from_form(text)
    if text.strip():
        from watchbell.core.triggers.english import from_english

        return from_english(text)
    raise BadTrigger(f"{_short(text)} is no trigger; write {_FORMS}")


def _from_form(text: str) -> Trigger:
    """The form that `to_text` writes; a phrase that begins like one is read as a phrase."""
    kind, *words = text.split()
    options: dict[str, str] = {}
    while words and (match := _OPTION.fullmatch(words[-1])):
        if match[1] in options:
            raise BadTrigger(f"{match[1]}= is written twice in {_short(text)}")
        options[match[1]] = match[2]
        words.pop()
    if kind == "every" and not options and re.search(r"\b(at|from|between|on)\b", text):
        from watchbell.core.triggers.english import from_english

        return from_english(text)
    allowed, make = _KINDS[kind]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        known = f"it has {', '.join(f'{name}=' for name in allowed)}" if allowed else "it has none"
        raise BadTrigger(f"{unknown[0]}= is no option of {kind!r}; {known}")
    return make(" ".join(words), options)


def _cron_from_text(rest: str, options: dict[str, str]) -> Trigger:
    from watchbell.core.triggers.cron_trigger import Cron

    return Cron(rest, **options)  # type: ignore[arg-type]  # Cron looks at every value


def _every_from_text(rest: str, options: dict[str, str]) -> Trigger:
    flags = {name: _flag(name, value) for name, value in options.items() if name != "start_at"}
    return every(rest, start_at=options.get("start_at"), **flags)


def _flag(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise BadTrigger(f"{name}={value} cannot be read; write {name}=true or {name}=false")
    return value == "true"


def _once_from_text(rest: str, options: dict[str, str]) -> Trigger:
    return once(rest, tz=options.get("tz"))


def _manual_from_text(rest: str, _options: dict[str, str]) -> Trigger:
    if rest:
        raise BadTrigger(f"{_short(rest)} says nothing behind 'manual'; write 'manual' alone")
    return Manual()


def _calendar_from_text(rest: str, options: dict[str, str]) -> Trigger:
    from watchbell.core.triggers.calendar_trigger import calendar_from_text

    return calendar_from_text(rest, options)


def _rrule_from_text(rest: str, options: dict[str, str]) -> Trigger:
    from watchbell.core.triggers.rrule_trigger import RRule

    return RRule(rest, **options)  # type: ignore[arg-type]  # RRule looks at every value


_KINDS: Final[dict[str, tuple[tuple[str, ...], Callable[[str, dict[str, str]], Trigger]]]] = {
    "cron": (("tz", "dst", "gap", "fold"), _cron_from_text),
    "calendar": (("tz", "start", "short_month", "dst", "gap", "fold"), _calendar_from_text),
    "rrule": (("start", "tz", "dst", "gap", "fold"), _rrule_from_text),
    "every": (("start_at", "run_at_start", "after_completion"), _every_from_text),
    "once": (("tz",), _once_from_text),
    "manual": ((), _manual_from_text),
}
_COMPOUND: Final = ("any", "except")
_CLASSES: Final = {
    "cron": "Cron",
    "calendar": "Calendar",
    "rrule": "RRule",
    "interval": "Interval",
    "once": "Once",
    "manual": "Manual",
}


def trigger_from_json(data: Mapping[str, Any], rules: RulesByZone | None = None) -> Trigger:
    """The trigger from what `to_json` gave, computed with stored zone rules where `rules` has them.

    Raises BadTrigger when it is something else, BadZone when its zone is neither in `rules` nor known to
    this machine.
    """
    content = dict(data)
    if content.get("kind") in _COMPOUND:
        from watchbell.core.triggers.compound_text import compound_from_json

        found = compound_from_json(content, lambda part: trigger_from_json(part, rules))
        return found if rules is None else found.with_rules(rules)
    kind = str(content.pop("kind", None))
    if kind not in _CLASSES:
        raise BadTrigger(
            f"{_short(data)} is no trigger; its kind must be one of {', '.join((*_CLASSES, *_COMPOUND))}"
        )
    name = _CLASSES[kind]
    made: type[Trigger] = globals().get(name) or __getattr__(name)
    try:
        if kind in ("cron", "calendar", "rrule") and rules and content.get("tz", "UTC") in rules:
            content["rules"] = rules[content.get("tz", "UTC")]
        return made(**content)
    except TypeError as error:
        raise BadTrigger(f"{_short(data)} is no {kind} trigger: {error}") from error


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
