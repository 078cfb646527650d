"""Channels, alert rules and the log of alerts, as people write and read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .tx import Row, Tx


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule with its channel. `options` is the channel's JSON, secrets among it."""

    id: int
    scope: str
    target: str
    events: tuple[str, ...]
    streak: int
    channel: int
    channel_name: str
    kind: str
    options: str
    created_at: int
    firing: int


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert with the tries to deliver it: (number, at, ok, detail)."""

    id: int
    rule: int
    channel_name: str
    kind: str
    event: str
    subject: str
    run: int | None
    text: str
    raised_at: int
    state: str
    tries: int
    next_at: int | None
    ended_at: int | None
    deliveries: tuple[Row, ...] = ()


def put_channel(tx: Tx, kind: str, options: str, now: int) -> int:
    """The channel with exactly these options, made if there is none."""
    found = tx.value("SELECT id FROM channel WHERE kind = ? AND options = ?", (kind, options))
    if found is not None:
        return int(found)
    channel = tx.next_id("channel")
    tx.run(
        "INSERT INTO channel (id, name, kind, options, created_at) VALUES (?, ?, ?, ?, ?)",
        (channel, f"{kind}-{channel}", kind, options, now),
    )
    return channel


def same_rule(tx: Tx, wanted: tuple[str, str, Sequence[str], int, int]) -> int | None:
    """The rule in force that says the same already: (scope, target, events, streak, channel)."""
    scope, target, events, streak, channel = wanted
    found = tx.value(
        "SELECT id FROM alert_rule WHERE scope = ? AND target = ? AND events = ? AND streak = ? AND channel = ? "
        "AND ended_at IS NULL",
        (scope, target, json.dumps(list(events)), streak, channel),
    )
    return None if found is None else int(found)


def add_rule(tx: Tx, wanted: tuple[str, str, Sequence[str], int, int], now: int) -> int:
    """Write a rule: (scope, target, events, streak, channel)."""
    scope, target, events, streak, channel = wanted
    rule = tx.next_id("alert_rule")
    tx.run(
        "INSERT INTO alert_rule (id, scope, target, events, streak, channel, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (rule, scope, target, json.dumps(list(events)), streak, channel, now),
    )
    return rule


def end_rule(tx: Tx, rule: int, now: int) -> bool:
    """End a rule; what it has raised is still delivered. False if none of that number is in force."""
    ended = tx.run("UPDATE alert_rule SET ended_at = ? WHERE id = ? AND ended_at IS NULL", (now, rule))
    tx.run("DELETE FROM alert_state WHERE rule = ?", (rule,))
    return ended == 1


def rules(tx: Tx, rule: int | None = None) -> list[RuleRow]:
    """The rules in force, or the one of that number."""
    one, params = ("", ()) if rule is None else (" AND r.id = ?", (rule,))
    rows = tx.rows(
        "SELECT r.id, r.scope, r.target, r.events, r.streak, r.channel, c.name, c.kind, c.options, r.created_at, "
        "(SELECT count(*) FROM alert_state t WHERE t.rule = r.id AND t.firing = 1) "
        f"FROM alert_rule r JOIN channel c ON c.id = r.channel WHERE r.ended_at IS NULL{one} ORDER BY r.id",
        params,
    )
    found = []
    for row in rows:
        values = list(row)
        values[3] = tuple(json.loads(row[3]))
        found.append(RuleRow(*values))
    return found


def raise_test(tx: Tx, rule: RuleRow, text: str, now: int) -> int:
    """An alert that nothing has happened for: it tries the way out."""
    return int(
        tx.value(
            "INSERT INTO alert (rule, channel, event, subject, text, dedupe, raised_at, state, next_at) "
            "VALUES (?, ?, 'test', ?, ?, ? || CAST((SELECT coalesce(max(id), 0) FROM alert) AS TEXT), ?, 'pending', ?) "
            "RETURNING id",
            (rule.id, rule.channel, rule.target or "watchbell", text, f"test:{rule.id}:{now}:", now, now),
        )
    )


def alerts(tx: Tx, before: int | None, limit: int, only: int | None = None) -> list[AlertRow]:
    """The newest alerts with their deliveries, at most `limit` with ids below `before`."""
    terms: list[str] = ["1 = 1"]
    params: list[Any] = []
    for value, term in ((before, "a.id < ?"), (only, "a.id = ?")):
        if value is not None:
            terms.append(term)
            params.append(value)
    rows = tx.rows(
        "SELECT a.id, a.rule, c.name, c.kind, a.event, a.subject, a.run, a.text, a.raised_at, a.state, a.tries, "
        f"a.next_at, a.ended_at FROM alert a JOIN channel c ON c.id = a.channel WHERE {' AND '.join(terms)} "
        "ORDER BY a.id DESC LIMIT ?",
        (*params, limit),
    )
    found = []
    for row in rows:
        tries = tx.rows(
            "SELECT number, at, ok, detail FROM delivery WHERE alert = ? ORDER BY number", (row[0],)
        )
        values = [*row, tuple(tries)]
        found.append(AlertRow(*values))
    return found


def figures(tx: Tx) -> dict[str, int]:
    """How many alerts wait, how many nobody could be told of, and how many rules have told and not recovered."""
    rows = {row[0]: row[1] for row in tx.rows("SELECT state, count(*) FROM alert GROUP BY state")}
    firing = tx.value("SELECT count(*) FROM alert_state WHERE firing = 1")
    kept = tx.value("SELECT count(*) FROM alert_rule WHERE ended_at IS NULL")
    return {
        "rules": int(kept),
        "firing": int(firing),
        "pending": rows.get("pending", 0),
        "given_up": rows.get("given_up", 0),
    }
