"""The audit of closed days: what a rule implied in each, against the day's totals and what is left of its rows.

Day by day, as the rows are gone that could say more: a day with fewer than were due is unaccounted for, one with more
has some that were invented (PROTOCOL §7). A fixed delay follows from ends that are gone as well; of that, only that the
totals are there can be said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..instants import to_text
from ..retention import day_of, end_of
from .evidence import INVENTED, UNACCOUNTED, Finding, Pause, Version
from .recount import chain_period, rule_of


@dataclass(frozen=True, slots=True)
class Closed:
    """One schedule's closed days, those in (after, upto]: whole days, but the first, in which it was created. `found` is
    how many the ledger knows of in each, in totals, rows and spans, of those that a rule made due."""

    name: str
    after: int
    upto: int
    versions: Sequence[Version]
    pauses: Sequence[Pause] = ()
    found: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class RolledVerdict:
    """What was found. `occurrences` are those that were implied, `days` those with any."""

    occurrences: int = 0
    days: int = 0
    findings: list[Finding] = field(default_factory=list)


def judge_closed(closed: Closed) -> RolledVerdict:
    """Judge the closed days of one schedule. Raises BadTrigger where a rule cannot be evaluated."""
    verdict = RolledVerdict()
    chained = any(chain_period(version.trigger) is not None for version in closed.versions)
    for day in range(day_of(closed.after + 1), day_of(closed.upto) + 1):
        found = closed.found.get(day, 0)
        implied = (
            found
            if chained
            else _implied(closed, max(closed.after, end_of(day - 1)), min(closed.upto, end_of(day)))
        )
        verdict.occurrences += implied
        verdict.days += bool(implied or found)
        if found == implied:
            continue
        kind, many = (UNACCOUNTED, implied - found) if found < implied else (INVENTED, found - implied)
        date = to_text(end_of(day))[:10]
        text = f"{closed.name}: was due {implied} times on {date}, a closed day, and its totals say {found}."
        verdict.findings.append(Finding(kind, closed.name, end_of(day), text, many))
    return verdict


def _implied(closed: Closed, after: int, upto: int) -> int:
    """How many instants the versions in force imply in (after, upto]; none while it was set aside."""
    count = 0
    for version in closed.versions:
        start = max(after, version.from_at)
        end = upto if version.to_at is None else min(upto, version.to_at)
        if start >= end:
            continue
        rule = rule_of(version.trigger, version.transitions)
        count += rule.count(start, end)
        for pause in closed.pauses:
            if pause.kind == "set_aside":
                first, last = (
                    max(start, pause.from_at),
                    end if pause.until_at is None else min(end, pause.until_at),
                )
                count -= rule.count(first, last) if first < last else 0
    return count
