"""What is probably not meant: the linter over a rule that is only written down, one schedule, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..core.lint import Finding, Subject, lint, lint_crowd
from ..core.policies import Policies
from ..core.triggers import Trigger
from ..errors import BadTrigger, NotFound, WatchbellError
from ..store import listing
from ..store.base import Store
from ..store.schedules.catalog import policies_of
from ..store.tx import Tx
from .previews import neither, read_rule, read_trigger

_NEWEST = 50
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Linted:
    """The findings about one schedule or rule; `subject` is its name or its text."""

    subject: str
    findings: tuple[Finding, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """One object for each finding."""
        return [
            {"subject": self.subject, "code": one.code, "sentence": one.sentence, "instead": one.instead}
            for one in self.findings
        ]


def of_rule(text: str, *, tz: str | None, now: int) -> Linted:
    """About a rule that is only written down. What is never due is a finding, and so is what cannot be read.
    NotFound for a word that may have been meant as the name of a schedule."""
    try:
        trigger = read_rule(text, tz)
        bound = trigger.bound(tz or "UTC", now)
    except WatchbellError as error:
        if isinstance(told := neither(text, error), NotFound):
            raise told from error
        return Linted(text, (Finding("refused", f"It is refused: {str(error).rstrip('.')}."),))
    return Linted(text, lint(Subject(bound, now, zone_was_named=bool(trigger.zones()))))


def of_new(trigger: Trigger, policies: Policies, zone: str, now: int) -> tuple[Finding, ...]:
    """About a schedule that is about to be written."""
    return lint(Subject(trigger.bound(zone, now), now, policies, zone_was_named=bool(trigger.zones())))


def of_schedules(store: Store, names: Sequence[str], *, now: int) -> list[Linted]:
    """About these schedules; about all of them, and the crowd that they make, where none is named. NotFound."""
    return store.read(lambda tx: _read(tx, names, now))


def is_schedule(store: Store, name: str) -> bool:
    """Whether there is a schedule of that name."""
    return store.read(lambda tx: listing.schedule_by_name(tx, name)) is not None


def _read(tx: Tx, names: Sequence[str], now: int) -> list[Linted]:
    sql = (
        "SELECT s.id, s.name, v.trigger, v.policies FROM schedule s JOIN schedule_version v ON v.schedule = s.id AND "
        "v.version = s.version WHERE s.ended_at IS NULL"
    )
    if names:
        rows = [row for name in names for row in tx.rows(f"{sql} AND s.name = ?", (name,))]
        if len(rows) < len(names):
            raise NotFound(
                f"There is no schedule named {next(n for n in names if n not in {r[1] for r in rows})!r}."
            )
    else:
        rows = tx.rows(f"{sql} ORDER BY s.name LIMIT ?", (MOST,))
    found, rules = [], {}
    for schedule, name, text, policies in rows:
        trigger = read_trigger(text)
        try:
            if trigger is None:
                raise BadTrigger("its rule cannot be read on this machine")
            found.append(
                Linted(name, lint(Subject(trigger, now, policies_of(policies), usual_us(tx, schedule))))
            )
            rules[name] = trigger
        except (WatchbellError, ValueError) as error:  # one that is broken must not hide the others
            broken = Finding("cannot-be-read", f"It cannot be looked at: {error}.", "Mend it by an edit.")
            found.append(Linted(name, (broken,)))
    crowd = () if names else lint_crowd(rules, now)
    return [*found, Linted("all schedules", crowd)] if crowd else found


def usual_us(tx: Tx, schedule: int) -> int | None:
    """How long a run of a schedule usually takes: the median of its newest that succeeded; None where there are none."""
    rows = tx.rows(
        "SELECT ended_at - began_at FROM occurrence WHERE schedule = ? AND state = 'succeeded' AND began_at IS NOT NULL "
        "AND origin <> 'manual' ORDER BY due_at DESC LIMIT ?",
        (schedule, _NEWEST),
    )
    return int(median(row[0] for row in rows)) if rows else None
