"""When something would be due next: of a rule that is only written down, or of a schedule as it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from ..core.blackout import thinned
from ..core.instants import LATEST, human_duration, parse_duration
from ..core.triggers import (
    AnyOf,
    Calendar,
    Cron,
    Except,
    Interval,
    RRule,
    Trigger,
    cron,
    every,
    once,
    parse_trigger,
)
from ..core.wallclock import zone_info
from ..errors import BadInput, BadTrigger, NotFound, WatchbellError
from ..store import listing
from ..store.base import Store
from ..store.schedules.catalog import policies_of, spread_in
from ..store.schedules.trigger_texts import trigger_of
from .moments import UTC, due, utc

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Preview:
    """The next due instants of a rule. `note` says why there are none, or fewer than were asked for."""

    rule: str
    tz: str
    instants: tuple[int, ...]
    stands_for: tuple[tuple[str, ...], ...]
    schedule: str | None = None
    note: str = ""
    starts: tuple[int, ...] = ()
    """When each begins at the earliest, of a schedule with a spread, a jitter or `H`."""
    trigger: str = ""
    """The rule as the text that reads back."""

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        items = []
        starts = self.starts or self.instants
        for at, nominal, start in zip(self.instants, self.stands_for, starts, strict=True):
            item = {**due(at, self.tz), "start_at": utc(start)}
            items.append({**item, "stands_for": list(nominal)} if nominal else item)
        return {
            "items": items,
            "rule": self.rule,
            "trigger": self.trigger,
            "schedule": self.schedule,
            "note": self.note,
        }


def read_rule(text: str, tz: str | None = None) -> Trigger:
    """A trigger from whatever a person writes for one: the form of `parse_trigger` or a phrase ("every weekday at 9:00"),
    a cron expression alone, a span ("15m"), or a time. Raises BadTrigger with the forms there are, BadZone."""
    stripped = text.strip()
    if len(stripped.split()) > 1 and re.match(r"[A-Za-z]{2}", stripped):
        return zoned(parse_trigger(stripped), tz)
    if re.match(r"(RRULE:|FREQ=)", stripped, re.IGNORECASE):  # as calendars write it
        return zoned(parse_trigger(f"rrule {stripped}"), tz)
    if stripped.lower() in ("manual", "daily", "hourly"):
        return zoned(parse_trigger(stripped), tz)
    if stripped.startswith("@"):
        return cron(stripped, tz=tz)
    if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", stripped):
        return once(stripped, tz=tz)
    try:
        parse_duration(stripped)
    except BadInput as error:
        if len(stripped.split()) > 1:  # fields, so the complaint of who reads fields is the one that helps
            return cron(stripped, tz=tz)
        raise BadTrigger(
            f"{text!r} is no rule of time; write '30 2 * * 1-5', '@daily', '15m' or '2026-11-21 09:00'"
        ) from error
    return every(stripped)


def neither(text: str, refused: WatchbellError) -> WatchbellError:
    """What is said of a text that names no schedule and was refused as a rule: which of the two it was meant to be."""
    written = text.strip()
    if (
        " " in written or "=" in written or written[:1] in "@*+-0123456789"
    ):  # as a rule, so it is refused as one
        return refused
    return NotFound(
        f"There is no schedule named {text!r}, and it is no rule of time: write '30 2 * * 1-5' or '15m'."
    )


def zoned(trigger: Trigger, tz: str | None) -> Trigger:
    """The trigger with this zone where it names none; the parts of a combined one as well."""
    if tz is None:
        return trigger
    if isinstance(trigger, AnyOf):
        return AnyOf(tuple(zoned(part, tz) for part in trigger.parts))
    if isinstance(trigger, Except):
        other = None if trigger.other is None else zoned(trigger.other, tz)
        return replace(trigger, base=zoned(trigger.base, tz), other=other)
    if not isinstance(trigger, Cron | Calendar | RRule) or trigger.tz is not None:
        return trigger
    return replace(trigger, tz=tz)


def of_rule(trigger: Trigger, *, after: int, count: int, tz: str | None = None) -> Preview:
    """The next `count` instants of a rule behind `after`; an interval without a start is counted from there."""
    bound = trigger.bound(tz or UTC, after)
    zone = tz or (bound.zones()[0] if bound.zones() else UTC)
    return replace(_look(bound, zone, after, count), trigger=bound.to_text())


def of_schedule(store: Store, name: str, *, after: int, count: int, tz: str | None = None) -> Preview | None:
    """The next `count` instants of a schedule behind `after`; None if there is no schedule of that name."""
    row = store.read(lambda tx: listing.schedule_by_name(tx, name))
    if row is None:
        return None
    trigger = read_trigger(row.trigger)
    if trigger is None:
        return Preview("cannot be read", tz or UTC, (), (), name, f"{name} is set aside: {row.set_aside}")
    zone = tz or (trigger.zones()[0] if trigger.zones() else UTC)
    blackouts = policies_of(row.policies).blackouts
    found = _look(thinned(trigger, blackouts), zone, after, count)
    note = found.note
    if blackouts:
        note = note or "what falls into its blackouts is left out"
    if row.standing != "on":
        note = f"{name} is {row.standing.replace('_', ' ')}: none of these comes due while it is"
    if isinstance(trigger, Interval) and trigger.after_completion:
        note = "each is due one period after the end of the run before; these are the earliest"
    spread = spread_in(row.id, row.policies, trigger)
    starts = () if spread is None else tuple(spread.start_at(at) for at in found.instants)
    if trigger.hash_span_us and note == _hashed(trigger):  # of a schedule it is known when
        note = ""
    return Preview(found.rule, zone, found.instants, found.stands_for, name, note, starts, trigger.to_text())


def read_trigger(text: str) -> Trigger | None:
    """A stored trigger; None where it cannot be read any more (its zone has gone from this machine)."""
    try:
        return trigger_of(text)
    except Exception:  # whatever is wrong with one schedule must not hide the others
        return None


def _look(trigger: Trigger, tz: str, after: int, count: int) -> Preview:
    if not 1 <= count <= MOST:
        raise BadInput(f"--count is a number from 1 to {MOST:,}, not {count}.")
    zone_info(tz)
    found: list[int] = []
    at: int | None = after
    while at is not None and len(found) < count:
        at = trigger.first_in(at, LATEST)
        if at is not None:
            found.append(at)
    note = ""
    if trigger.kind == "manual":
        note = "it is never due by itself; it is run by hand"
    elif len(found) < count:
        note = "there is none behind these" if found else "there is none from here on"
    elif trigger.hash_span_us:
        note = _hashed(trigger)
    nominal = tuple(trigger.stands_for(one) for one in found)
    return Preview(trigger.describe(), tz, tuple(found), nominal, None, note)


def _hashed(trigger: Trigger) -> str:
    span = human_duration(trigger.hash_span_us)
    return f"each begins within {span} of this, at a moment that is its schedule's own"
