"""The linter: what is allowed to be written and is probably not meant, as findings with what to write instead.

Pure: a rule, its policies, how long its runs usually take, and now. A finding never refuses anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from watchbell.core.instants import (
    DAY,
    HOUR,
    LATEST,
    SECOND,
    Instant,
    human_duration,
    local_text,
    reading_text,
)
from watchbell.core.policies import CatchUp, Policies
from watchbell.core.triggers.cron_fields import CronFields, parse_cron
from watchbell.core.wallclock import ZoneRules, zone_rules

if TYPE_CHECKING:
    from watchbell.core.triggers import Trigger

_AHEAD: Final = 2 * 366 * DAY
_LONG_BACKLOG: Final = 100
_CROWD: Final = 20
_NIGHT: Final = range(1, 6)
_MOST_PARTS: Final = 20
_SHORT_MONTHS: Final = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark. `code` names its kind; `sentence` says what is odd; `instead` what to write."""

    code: str
    sentence: str
    instead: str = ""

    def __str__(self) -> str:
        return f"{self.sentence} {self.instead}".rstrip()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at. `usual_us` is how long a run usually takes (None: not known); `zone_was_named` says whether
    somebody chose the zone."""

    trigger: Trigger
    now: Instant
    policies: Policies = field(default_factory=Policies)
    usual_us: int | None = None
    zone_was_named: bool = True


def lint(subject: Subject) -> tuple[Finding, ...]:
    """Everything that is odd about one schedule or one rule, each finding once."""
    found: dict[Finding, None] = {}
    for part in _parts(subject.trigger):
        if part.kind == "cron":
            fields = parse_cron(part.expression)
            for look in _CRON:
                found |= dict.fromkeys(look(part, fields))
        found |= dict.fromkeys(_clock_changes(part, subject))
        found |= dict.fromkeys(_night(part, subject))
    for ask in (_period, _waiting, _backlog):
        found |= dict.fromkeys(ask(subject))
    return tuple(found)


def lint_crowd(rules: Mapping[str, Trigger], now: Instant) -> tuple[Finding, ...]:
    """What is odd about many schedules together: more than 20 that are due at the same instant."""
    dues: dict[Instant, list[str]] = {}
    for name, trigger in rules.items():
        if trigger.hash_span_us == 0 and (at := trigger.first_in(now, LATEST)) is not None:
            dues.setdefault(at, []).append(name)
    at, names = max(dues.items(), key=lambda item: (len(item[1]), -item[0]), default=(0, []))
    if len(names) <= _CROWD:
        return ()
    return (
        Finding(
            "crowd",
            f"{len(names)} schedules come due at the same instant, {local_text(at, 'UTC')}, {names[0]!r} among them.",
            "Write H in place of the minute, or a spread, so that each has its own.",
        ),
    )


def _parts(trigger: Trigger) -> Iterator[Any]:
    inner = (*getattr(trigger, "parts", ()), getattr(trigger, "base", None))
    simple = [part for part in inner if part is not None]
    if not simple:
        yield trigger
    for part in simple[:_MOST_PARTS]:
        yield from _parts(part)


# --- the expression -----------------------------------------------------------------------------------------


def _every_minute(trigger: Any, fields: CronFields) -> Iterator[Finding]:
    minute, hour = fields.texts[1:3]
    if minute == "*" and len(fields.hours) == 1:
        words = trigger.expression.split()
        words[-5] = "0"
        yield Finding(
            "every-minute",
            f"'{trigger.expression}' is due 60 times, in every minute of the hour {hour}.",
            f"For once at {fields.hours[0]:02d}:00 write '{' '.join(words)}'; for all 60, '0-59' in place of '*'.",
        )


def _uneven_step(trigger: Any, fields: CronFields) -> Iterator[Finding]:
    for name, text, size, unit in (
        ("second", fields.texts[0], 60, "s"), ("minute", fields.texts[1], 60, "m"), ("hour", fields.texts[2], 24, "h"),
        ("day-of-month", fields.texts[3], 31, "d"),
    ):  # fmt: skip
        if not text.startswith("*/") or not text[2:].isdigit():
            continue
        step = int(text[2:])
        if step >= size:
            yield Finding(
                "step-too-long",
                f"'{text}' in the {name} field matches its first value only: the field has {size} values.",
                f"Write '{0 if name != 'day-of-month' else 1}' for that, or every('{step}{unit}') for such an interval.",
            )
        elif name == "day-of-month" and step > 1:
            yield Finding(
                "uneven-step",
                f"'{text}' in the {name} field begins anew with each month: the last step of a month is shorter.",
                f"For every {step} days without a break write 'calendar {step} days'.",
            )
        elif size % step:
            last = size - (size - 1) // step * step
            yield Finding(
                "uneven-step",
                f"'{text}' in the {name} field is not even: {step} does not divide {size}, so the last step is {last}{unit}.",
                f"For an even rhythm write every('{step}{unit}'), or a step that divides {size}.",
            )


def _days(trigger: Any, fields: CronFields) -> Iterator[Finding]:
    dates = fields.dates
    if not dates.days or len(dates.days) == 31 or fields.texts[3].startswith(("*", "?")):
        return
    impossible = [
        (day, month) for month in dates.months for day in dates.days if day > _SHORT_MONTHS.get(month, 31)
    ]
    if impossible and len(dates.months) < 12:
        day, month = impossible[0]
        yield Finding(
            "no-such-day",
            f"'{trigger.expression}' names the {_ordinal(day)} of {_MONTHS[month - 1]}, which there never is.",
            "Write 'L' for the last day of the month.",
        )
    late = [day for day in dates.days if day > 28]
    if late and len(dates.months) > 1 and len(dates.days) <= 3:
        yield Finding(
            "skips-months",
            f"'{trigger.expression}' is on the {_ordinal(late[-1])}, and leaves out every month that has none.",
            "Write 'L' for the last day of the month, or a day from 1 to 28.",
        )


def _day_trap(trigger: Any, fields: CronFields) -> Iterator[Finding]:
    day, weekday = fields.texts[3], fields.texts[5]
    if day in ("*", "?") or weekday in ("*", "?"):
        return
    if fields.dates.both:
        yield Finding(
            "day-and-weekday",
            f"'{trigger.expression}' is due only where the day of the month and the weekday both match, as one begins with '*'.",
            "Write a union (any_of) if either is meant.",
        )
        return
    yield Finding(
        "day-or-weekday",
        f"'{trigger.expression}' is due on the day of the month and on the weekday as well: either is enough.",
        "For both at once use 'MON#2' for the second Monday and its like; for either, nothing has to change.",
    )


_CRON: Final[tuple[Callable[[Any, CronFields], Iterator[Finding]], ...]] = (
    _every_minute,
    _uneven_step,
    _days,
    _day_trap,
)


# --- the clocks ---------------------------------------------------------------------------------------------


def changes(rules: ZoneRules, after: Instant, upto: Instant) -> Iterator[tuple[Instant, int, int]]:
    """The changes of offset in (after, upto]: (instant, offset before, offset after), offsets in µs."""
    before = rules.first_offset_s
    for at, offset in rules.transitions:
        if after < at <= upto:
            yield at, before * SECOND, offset * SECOND
        before = offset


def _clock_changes(trigger: Any, subject: Subject) -> Iterator[Finding]:
    if getattr(trigger, "rhythm", True) or getattr(trigger, "tz", None) is None:
        return
    rules = trigger.rules or zone_rules(trigger.tz)
    told = set()
    for at, before, offset in changes(rules, subject.now, subject.now + _AHEAD):
        size = abs(offset - before)
        nominal = trigger.nominal_at(at) if offset > before else ()
        missing = [each for each in nominal if each < reading_text(at + offset).removesuffix(":00")]
        if offset > before and missing and "gap" not in told:
            told.add("gap")
            yield Finding(
                "in-a-gap",
                f"{missing[0][11:]} does not exist on {missing[0][:10]} in {trigger.tz}: the clocks go forward, and it is due "
                f"at {reading_text(at + offset)[11:16]} instead.",
                "Write an hour outside of the change, or gap=shift or gap=skip if that is meant.",
            )
        elif offset < before and "fold" not in told:
            first = trigger.first_in(at - size - 1, at - 1)
            if first is not None:
                told.add("fold")
                time = reading_text(first + before)
                yield Finding(
                    "in-a-fold",
                    f"{time[11:16]} comes twice on {time[:10]} in {trigger.tz}: the clocks go back, and it is due at the "
                    f"{'first' if trigger.fold == 'first' else 'first and the second'} of the two.",
                    "Write an hour outside of the change, or fold=second or fold=both if that is meant.",
                )


def _night(trigger: Any, subject: Subject) -> Iterator[Finding]:
    if subject.zone_was_named or trigger.kind != "cron" or trigger.rhythm:
        return
    hours = parse_cron(trigger.expression).hours
    if hours and all(hour in _NIGHT for hour in hours):
        yield Finding(
            "no-zone",
            f"'{trigger.expression}' names no time zone, so {hours[0]:02d}:00 is read in {trigger.tz or 'UTC'}.",
            "Write tz=Europe/Berlin or its like if the night of a place is meant.",
        )


# --- the policies -------------------------------------------------------------------------------------------


def shortest_period(trigger: Trigger, now: Instant) -> int | None:
    """The shortest time between two instants, among the next few hundred; None for less than two."""
    dues: list[Instant] = []
    at = trigger.first_in(now, LATEST)
    while at is not None and len(dues) < 200:
        dues.append(at)
        at = trigger.first_in(at, LATEST)
    return min((later - earlier for earlier, later in pairwise(dues)), default=None)


def _period(subject: Subject) -> Iterator[Finding]:
    period = shortest_period(subject.trigger, subject.now)
    usual, policies = subject.usual_us, subject.policies
    if period is None:
        return
    if usual is not None and usual > period and not getattr(subject.trigger, "after_completion", False):
        yield Finding(
            "shorter-than-its-runs",
            f"It comes due every {human_duration(period)}, and a run usually takes {human_duration(usual)}: the one before "
            f"is still running (overlap: {policies.overlap}).",
            "Write a longer period, or after_completion for a pause between two runs.",
        )
    delay = int(getattr(policies, "spread_us", 0) or 0) + int(getattr(policies, "jitter_us", 0) or 0)
    delay += subject.trigger.hash_span_us
    if delay >= period:
        yield Finding(
            "spread-too-wide",
            f"Its starts are moved by up to {human_duration(delay)}, and it comes due every {human_duration(period)}.",
            "Write a spread that is shorter than the period.",
        )


def _waiting(subject: Subject) -> Iterator[Finding]:
    policies = subject.policies
    deadline = policies.start_deadline_us
    if deadline is not None and deadline < SECOND:
        yield Finding(
            "deadline-too-short",
            f"With a start deadline of {human_duration(deadline)} a moment's load is enough to lose an occurrence.",
            "Write at least 1s, such as start_deadline='5m'.",
        )
    elif deadline is not None and deadline < policies.grace_us:
        yield Finding(
            "deadline-within-grace",
            f"The start deadline ({human_duration(deadline)}) ends before the grace ({human_duration(policies.grace_us)}): "
            "nobody is told that it is late before it is missed.",
            "Write a grace that is shorter than the start deadline.",
        )


def _backlog(subject: Subject) -> Iterator[Finding]:
    policies, trigger = subject.policies, subject.trigger
    if policies.catchup is not CatchUp.ALL or getattr(trigger, "after_completion", False):
        return
    start = trigger.first_in(subject.now, LATEST)
    if start is None or policies.catchup_window_us is not None:
        return
    a_night = trigger.count(start, start + 12 * HOUR)
    if a_night >= min(_LONG_BACKLOG, policies.catchup_limit):
        yield Finding(
            "long-backlog",
            f"After 12 h without an engine {a_night:,} occurrences are caught up with (catchup: all, at most "
            f"{policies.catchup_limit:,}).",
            "Write catchup=latest, or a catchup_window such as '2h'.",
        )


def _ordinal(n: int) -> str:
    ending = "th" if n in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
