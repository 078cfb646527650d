"""Alert rules and the outbox: what happened is told from a row written in the transaction that discovered it.

The standing of every rule and the alerts it raises are one transaction with the transition itself, so a crash leaves all
of it or nothing: one alert for a transition, also through kill -9. An alert's `dedupe` key names what it is about; for
*late* and *running long* it is the run itself, so that they may be seen again and again and are told once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..core.alert import ABOUT_ONE_RUN, Happening, Rule, RuleBook, Standing, follow, sentence
from .tx import Tx

__all__ = ["CROWD", "Happening", "forget", "observe", "resolve", "rules", "wanted"]

CROWD = 10
"""More transitions of one rule and one event than this in one batch are one alert: nobody reads 5,000 mails."""
_NAMED = 20

_Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class _Told:
    """A transition that a rule tells of."""

    rule: Rule
    event: str
    happening: Happening
    streak: int


def rules(tx: Tx) -> list[Rule]:
    """The rules in force."""
    return [
        Rule(row[0], row[1], row[2], row[3], _events(row[4]), row[5], row[6])
        for row in tx.rows(
            "SELECT id, workspace, scope, target, events, streak, channel FROM alert_rule WHERE ended_at IS NULL "
            "ORDER BY id"
        )
    ]


@lru_cache(maxsize=256)
def _events(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))


def wanted(tx: Tx) -> bool:
    """Whether there is any rule at all; without one, a success costs nothing here."""
    return tx.value("SELECT 1 FROM alert_rule WHERE ended_at IS NULL LIMIT 1") is not None


def observe(tx: Tx, happened: Sequence[Happening], now: int) -> int:
    """Let every rule see what happened, in order; returns how many alerts were raised."""
    if not happened:
        return 0
    book = RuleBook(rules(tx))
    asked = [(rule, happening) for happening in happened for rule in book.about(happening)]
    if not asked:
        return 0
    before = _standings(tx, {(rule.id, happening.subject) for rule, happening in asked})
    after = dict(before)
    turned: set[_Key] = set()
    told = []
    for rule, happening in asked:
        key = (rule.id, happening.subject)
        was = after.get(key, Standing())
        after[key], event = follow(rule, was, happening)
        if after[key].firing != was.firing:
            turned.add(key)
        if event is not None:
            told.append(_Told(rule, event, happening, after[key].streak))
    _keep(tx, before, after, turned, now)
    return _raise(tx, told, now)


def resolve(tx: Tx, happened: Sequence[Happening], now: int) -> int:
    """The truth about lost runs has arrived, and they have succeeded: an alert that such a loss alone has raised is
    closed as by a success. Where more has gone wrong since, or the subject has recovered, nothing changes. Returns how
    many alerts were raised."""
    book = RuleBook(rules(tx))
    raised = 0
    for happening in happened:
        for rule in book.about(happening):
            if _raised_by(tx, rule, happening):
                _keep(tx, {}, {(rule.id, happening.subject): Standing()}, {(rule.id, happening.subject)}, now)
                if "recovered" in rule.events:
                    raised += _raise(tx, [_Told(rule, "recovered", happening, 0)], now)
    return raised


def _raised_by(tx: Tx, rule: Rule, happening: Happening) -> bool:
    """Whether the loss of this run is all that the rule's standing is made of."""
    return (
        tx.value(
            "SELECT 1 FROM alert_state s JOIN alert a ON a.rule = s.rule AND a.subject = s.subject "
            "WHERE s.rule = ? AND s.subject = ? AND s.firing = 1 AND s.streak = 1 AND a.event = 'lost' "
            "AND a.run = ? AND a.raised_at = s.since",
            (rule.id, happening.subject, happening.run),
        )
        is not None
    )


def forget(tx: Tx, subject: str) -> None:
    """The subject has been deleted: one that later bears its name starts afresh, and its first failure is told."""
    tx.later("DELETE FROM alert_state WHERE subject = ?", (subject,))


def _standings(tx: Tx, keys: Iterable[_Key]) -> dict[_Key, Standing]:
    rows = tx.many_returning(
        "SELECT rule, subject, streak, firing FROM alert_state WHERE rule = ? AND subject = ?", sorted(keys)
    )
    return {(row[0], row[1]): Standing(row[2], bool(row[3])) for row in rows}


def _keep(
    tx: Tx, before: Mapping[_Key, Standing], after: Mapping[_Key, Standing], turned: set[_Key], now: int
) -> None:
    """Write the standings that have changed. `since` is when it last began or ceased to fire, even if it did both."""
    changed = [
        (*key, standing.streak, int(standing.firing), now, int(key in turned))
        for key, standing in sorted(after.items())
        if key in turned or standing != before.get(key, Standing())
    ]
    tx.many(
        "INSERT INTO alert_state (rule, subject, streak, firing, since) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (rule, subject) DO UPDATE SET streak = excluded.streak, firing = excluded.firing, "
        "since = CASE WHEN ? = 1 THEN excluded.since ELSE alert_state.since END",
        changed,
    )


def _raise(tx: Tx, told: Sequence[_Told], now: int) -> int:
    """Write the alerts: one for each transition, or one for a crowd of them."""
    crowds: dict[tuple[int, str], list[_Told]] = {}
    for item in told:
        crowds.setdefault((item.rule.id, item.event), []).append(item)
    rows = []
    for (_, event), crowd in crowds.items():
        if len(crowd) > CROWD and event not in ABOUT_ONE_RUN:
            rows.append(_row(crowd[0], now, crowd))
        else:
            rows += [_row(item, now) for item in crowd]
    return sum(
        tx.run(
            "INSERT INTO alert (rule, channel, event, subject, run, text, dedupe, raised_at, state, next_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?) ON CONFLICT (dedupe) DO NOTHING",
            row,
        )
        for row in rows
    )


def _row(item: _Told, now: int, crowd: Sequence[_Told] = ()) -> tuple[object, ...]:
    happening, rule = item.happening, item.rule
    mark = happening.run if happening.run is not None else happening.due_at
    dedupe = f"{rule.id}:{happening.subject}:{item.event}:{mark}"
    if item.event not in ABOUT_ONE_RUN or mark is None:
        dedupe += f":{now}"
    subject, text = happening.subject, sentence(item.event, happening, item.streak)
    if crowd:
        subject = f"{subject} and {len(crowd) - 1} more"
        lines = [sentence(other.event, other.happening, other.streak) for other in crowd[:_NAMED]]
        if len(crowd) > _NAMED:
            lines.append(f"… and {len(crowd) - _NAMED} more.")
        text = "\n".join((f"{len(crowd)} at once:", *lines))
    run = None if crowd else happening.run
    return (rule.id, rule.channel, item.event, subject, run, text, dedupe, now, now)
