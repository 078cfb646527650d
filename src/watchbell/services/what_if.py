"""What would happen, if: the next occurrences of a rule or a schedule under the real decisions, in virtual time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..core.blackout import thinned
from ..core.instants import DAY, Instant, local_text, parse_instant
from ..core.policies import Policies
from ..core.simulate import MOST, Fate, Supposed, down_windows, simulate
from ..core.spread import spread_of
from ..core.triggers import Trigger
from ..core.triggers.clock_changes import ClockChange, coming_changes
from ..core.wallclock import zone_info
from ..errors import BadInput
from ..store import listing
from ..store.base import Store
from ..store.schedules.catalog import policies_of
from .lint import usual_us
from .moments import UTC, due, utc
from .previews import read_trigger

_DAILY = re.compile(r"(\d\d?:\d\d)\s*-\s*(\d\d?:\d\d)")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is supposed: `if_down` are texts such as "01:00-09:00" (the first such time behind `after`) or
    "2026-11-22T01:00/2026-11-22T09:00"; `takes_us` None is how long its runs usually take."""

    after: Instant
    count: int
    if_down: tuple[str, ...] = ()
    takes_us: int | None = None
    tz: str | None = None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The fates of the next due instants, and the next two changes of the clocks."""

    rule: str
    tz: str
    fates: tuple[Fate, ...]
    changes: tuple[ClockChange, ...]
    schedule: str | None = None
    takes_us: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        items = [
            {
                **due(fate.due_at, self.tz),
                "state": fate.state.value,
                "reason": fate.reason,
                "into": utc(fate.into),
                "started_at": utc(fate.started_at),
                "ended_at": utc(fate.ended_at),
                "stands_for": list(fate.stands_for),
                "sentence": fate.sentence,
            }
            for fate in self.fates
        ]
        changes = [{"at": utc(one.at), "by_us": one.by_us, "sentence": one.sentence} for one in self.changes]
        return {"items": items, "rule": self.rule, "schedule": self.schedule, "takes_us": self.takes_us,
                "clock_changes": changes, "note": self.note}  # fmt: skip


def of_rule(trigger: Trigger, wish: Wish) -> WhatIf:
    """A rule with the default policies."""
    bound = trigger.bound(wish.tz or UTC, wish.after)
    return _look(Supposed(bound, Policies(), wish.after, wish.count), bound, wish, wish.takes_us or 0)


def of_schedule(store: Store, name: str, wish: Wish) -> WhatIf | None:
    """A schedule with its own policies, as if it were not paused; None if there is none of that name."""
    row = store.read(lambda tx: listing.schedule_by_name(tx, name))
    trigger = None if row is None else read_trigger(row.trigger)
    if row is None or trigger is None:
        return None
    policies = policies_of(row.policies)
    takes = wish.takes_us
    if takes is None:
        takes = store.read(lambda tx: usual_us(tx, row.id)) or 0
    spread = spread_of(row.id, policies, trigger)
    supposed = Supposed(thinned(trigger, policies.blackouts), policies, wish.after, wish.count, spread=spread)
    found = _look(supposed, trigger, wish, takes)
    note = (
        ""
        if row.standing == "on"
        else f"{name} is {row.standing.replace('_', ' ')}; this is as if it were not"
    )
    return replace(found, schedule=name, note=note)


def _look(supposed: Supposed, trigger: Trigger, wish: Wish, takes: int) -> WhatIf:
    if not 1 <= wish.count <= MOST:
        raise BadInput(f"--count is a number from 1 to {MOST:,} here, not {wish.count}.")
    tz = wish.tz or (trigger.zones()[0] if trigger.zones() else UTC)
    zone_info(tz)
    down = windows(wish.if_down, tz, wish.after)
    fates = simulate(replace(supposed, tz=tz, takes_us=takes, down=down))
    changes = coming_changes(trigger, tz, wish.after)
    return WhatIf(trigger.describe(), tz, tuple(fates), tuple(changes), takes_us=takes)


def windows(texts: Sequence[str], tz: str, after: Instant) -> tuple[tuple[Instant, Instant], ...]:
    """Times without an engine from what people write. BadInput."""
    return down_windows([_window(text, tz, after) for text in texts])


def _window(text: str, tz: str, after: Instant) -> tuple[Instant, Instant]:
    match = _DAILY.fullmatch(text.strip())
    if match is None:
        first, sign, last = text.partition("/")
        if not sign:
            raise BadInput(
                f"--if-down {text!r} cannot be read; write 01:00-09:00, or '2026-11-22T01:00/2026-11-22T09:00'."
            )
        start, end = parse_instant(first, tz, after), parse_instant(last, tz, after)
    else:
        low, high = (each.rjust(5, "0") for each in match.groups())
        days = [local_text(after + n * DAY, tz)[:10] for n in (-1, 0, 1, 2)]
        pairs = [(day, day if high > low else later) for day, later in pairwise(days)]
        found = [
            (parse_instant(f"{one} {low}", tz), parse_instant(f"{two} {high}", tz)) for one, two in pairs
        ]
        start, end = next((each for each in found if each[0] >= after), found[-1])
    if end <= start:
        raise BadInput(f"--if-down {text!r} ends before it begins; write the beginning first.")
    return start, end
