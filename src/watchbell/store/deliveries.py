"""Deliveries: pending alerts are taken before they are sent, and what became of each try is written down.

To take an alert counts the try and moves `next_at` past the longest that sending can last, durably: a crash while it is
being sent costs a wait and not a loop, and the same alert is told again with the same mark. What is written afterwards
is guarded by the state and the number of the try.
"""

from __future__ import annotations

from dataclasses import dataclass

from .tx import Row, Tx

CUT_SHORT = "watchbell ended while this was being sent; whether it arrived is not known."


@dataclass(frozen=True, slots=True)
class Taken:
    """An alert that is being sent, at its try `number`, with its channel. `options` is JSON text; None in `kind` and
    `options`: the channel is gone."""

    alert: int
    number: int
    channel: int
    channel_name: str
    kind: str | None
    options: str | None
    event: str
    subject: str
    run: int | None
    text: str
    raised_at: int
    workspace: str
    database: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a try ended. With `retry_at` another follows then; without it and not `ok`, the alert is given up."""

    at: int
    ok: bool
    detail: str = ""
    retry_at: int | None = None


def waiting(tx: Tx) -> list[tuple[int, int]]:
    """Every channel with pending alerts and the earliest instant at which one of them may be sent: (channel, next_at)."""
    rows = tx.rows("SELECT channel, min(next_at) FROM alert WHERE state = 'pending' GROUP BY channel")
    return [(row[0], row[1]) for row in rows]


def take(tx: Tx, channel: int, now: int, lease_us: int, most_tries: int) -> Taken | None:
    """Take the oldest due alert of a channel. One whose last try was cut short after `most_tries` is given up."""
    while (row := _oldest_due(tx, channel, now)) is not None:
        alert, tries = row[0], row[1]
        if tries:
            tx.run(
                "INSERT INTO delivery (alert, number, at, ok, detail) VALUES (?, ?, ?, 0, ?) ON CONFLICT DO NOTHING",
                (alert, tries, now, CUT_SHORT),
            )
        if tries >= most_tries:
            tx.run(
                "UPDATE alert SET state = 'given_up', next_at = NULL, ended_at = ? WHERE id = ? AND state = 'pending'",
                (now, alert),
            )
            continue
        tx.run(
            "UPDATE alert SET tries = tries + 1, next_at = ? WHERE id = ? AND state = 'pending' AND tries = ?",
            (now + lease_us, alert, tries),
        )
        return Taken(alert, tries + 1, channel, *row[2:])
    return None


def _oldest_due(tx: Tx, channel: int, now: int) -> Row | None:
    return tx.row(
        "SELECT a.id, a.tries, coalesce(c.name, '(removed)'), c.kind, c.options, a.event, a.subject, a.run, a.text, "
        "a.raised_at, coalesce(w.name, 'default'), (SELECT value FROM meta WHERE key = 'database_id') FROM alert a LEFT JOIN channel c ON c.id = a.channel "
        "LEFT JOIN alert_rule r ON r.id = a.rule LEFT JOIN workspace w ON w.id = r.workspace "
        "WHERE a.state = 'pending' AND a.channel = ? AND a.next_at <= ? ORDER BY a.id LIMIT 1",
        (channel, now),
    )


def record(tx: Tx, taken: Taken, delivered: Delivered) -> bool:
    """Write down how a try ended; False if the alert was no longer at that try, and then nothing is written."""
    if delivered.ok:
        state = "delivered"
    else:
        state = "given_up" if delivered.retry_at is None else "pending"
    ended_at = None if state == "pending" else delivered.at
    changed = tx.run(
        "UPDATE alert SET state = ?, next_at = ?, ended_at = ? WHERE id = ? AND state = 'pending' AND tries = ?",
        (state, delivered.retry_at, ended_at, taken.alert, taken.number),
    )
    if changed:
        tx.run(
            "INSERT INTO delivery (alert, number, at, ok, detail) VALUES (?, ?, ?, ?, ?)",
            (taken.alert, taken.number, delivered.at, int(delivered.ok), delivered.detail),
        )
    return changed == 1
