"""Alert rules as people ask for them: added, listed, removed, tried out; and the log of what was told.

A rule says whom to tell about what. Its channel is an e-mail or a signed webhook; secrets among a channel's options
are taken and never given back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.alert import EVENTS, SCOPES
from ..core.channel_options import check_options, shown_options
from ..core.definition import canonical
from ..errors import BadInput, Conflict, NotFound
from ..store import listing, outbox
from ..store.base import Store
from ..store.journal import record
from ..store.revision import raise_catalog
from ..store.tx import Tx
from .moments import utc
from .schedule_views import unknown_schedule


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule as somebody wants it. `kind` is email or webhook, `options` are those of `check_options`."""

    kind: str
    options: Mapping[str, Any]
    scope: str = "workspace"
    target: str = ""
    events: Sequence[str] = ("failed", "timed_out", "missed", "lost")
    streak: int = 1


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule in force; `options` without its secrets, `firing` how many subjects it has told of and not recovered."""

    id: int
    scope: str
    target: str
    events: tuple[str, ...]
    streak: int
    kind: str
    options: dict[str, Any]
    created_at: int
    firing: int

    @property
    def whom(self) -> str:
        """Where it goes, for people."""
        return (
            ", ".join(self.options.get("to", ()))
            if self.kind == "email"
            else str(self.options.get("url", ""))
        )

    @property
    def about(self) -> str:
        """What it covers, for people."""
        return "every schedule" if self.scope == "workspace" else f"{self.scope} {self.target}"

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "id": self.id,
            "scope": self.scope,
            "target": self.target,
            "events": list(self.events),
            "streak": self.streak,
            "channel": self.kind,
            "options": self.options,
            "created_at": utc(self.created_at),
            "firing": self.firing,
        }


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules in force."""

    items: tuple[RuleView, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"items": [item.to_json() for item in self.items]}


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One try to deliver an alert."""

    number: int
    at: int
    ok: bool
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"number": self.number, "at": utc(self.at), "ok": self.ok, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert and how it was delivered. `state` is pending, delivered or given_up."""

    id: int
    rule: int
    kind: str
    event: str
    subject: str
    run: int | None
    text: str
    raised_at: int
    state: str
    next_at: int | None
    ended_at: int | None
    deliveries: tuple[DeliveryView, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "id": self.id,
            "rule": self.rule,
            "channel": self.kind,
            "event": self.event,
            "subject": self.subject,
            "run": None if self.run is None else f"run_{self.run}",
            "text": self.text,
            "raised_at": utc(self.raised_at),
            "state": self.state,
            "next_at": utc(self.next_at),
            "ended_at": utc(self.ended_at),
            "deliveries": [one.to_json() for one in self.deliveries],
        }


@dataclass(frozen=True, slots=True)
class AlertLog:
    """A page of alerts, newest first; `next` is the number to go on before, None on the last."""

    items: tuple[AlertView, ...]
    next: int | None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"items": [item.to_json() for item in self.items], "next": self.next}


def add(store: Store, rule: NewRule, *, now: int, actor: str) -> RuleView:
    """Write a rule. BadInput says what cannot be meant, NotFound that the schedule is not there, Conflict that the same
    rule is in force."""
    events = _events(rule.events)
    options = canonical(check_options(rule.kind, rule.options))
    _check_scope(rule)

    def work(tx: Tx) -> int:
        if rule.scope == "schedule" and listing.schedule_by_name(tx, rule.target) is None:
            raise unknown_schedule(tx, rule.target)
        wanted = (
            rule.scope,
            rule.target,
            events,
            rule.streak,
            outbox.put_channel(tx, rule.kind, options, now),
        )
        if (same := outbox.same_rule(tx, wanted)) is not None:
            raise Conflict(
                f"The alert rule {same} says exactly this already; `watchbell alert list` shows it."
            )
        made = outbox.add_rule(tx, wanted, now)
        raise_catalog(tx)
        record(tx, now, actor, "alert.rule_added", f"rule {made}", f"{rule.scope} {rule.target}".strip())
        return made

    made = store.write(work)
    store.poke()
    return _rule(store, made)


def list_rules(store: Store) -> Rules:
    """All rules in force."""
    return Rules(tuple(_rule_view(row) for row in store.read(outbox.rules)))


def remove(store: Store, rule: int, *, now: int, actor: str) -> str:
    """End a rule; returns a sentence. NotFound."""

    def work(tx: Tx) -> None:
        if not outbox.end_rule(tx, rule, now):
            raise _no_rule(rule)
        raise_catalog(tx)
        record(tx, now, actor, "alert.rule_removed", f"rule {rule}")

    store.write(work)
    store.poke()
    return f"The alert rule {rule} is removed; what it has told stays in `watchbell alert log`."


def test(store: Store, rule: int, *, now: int, actor: str) -> AlertView:
    """Put a test alert into the outbox; an engine delivers it like any other. NotFound."""

    def work(tx: Tx) -> int:
        found = outbox.rules(tx, rule)
        if not found:
            raise _no_rule(rule)
        text = f"A test of alert rule {rule}, asked for by {actor}. Nothing has happened."
        record(tx, now, actor, "alert.tested", f"rule {rule}")
        return outbox.raise_test(tx, found[0], text, now)

    made = store.write(work)
    store.poke()
    return _alert_view(store.read(lambda tx: outbox.alerts(tx, None, 1, made))[0])


def log(store: Store, *, before: int | None = None, limit: int = 50) -> AlertLog:
    """The newest alerts with the tries to deliver each."""
    many = max(1, min(limit, 1000))
    rows = store.read(lambda tx: outbox.alerts(tx, before, many + 1))
    items = tuple(_alert_view(row) for row in rows[:many])
    return AlertLog(items, items[-1].id if len(rows) > many else None)


def _rule(store: Store, rule: int) -> RuleView:
    return _rule_view(store.read(lambda tx: outbox.rules(tx, rule))[0])


def _rule_view(row: outbox.RuleRow) -> RuleView:
    options = shown_options(row.kind, json.loads(row.options))
    return RuleView(
        row.id, row.scope, row.target, row.events, row.streak, row.kind, options, row.created_at, row.firing
    )


def _alert_view(row: outbox.AlertRow) -> AlertView:
    return AlertView(
        row.id,
        row.rule,
        row.kind,
        row.event,
        row.subject,
        row.run,
        row.text,
        row.raised_at,
        row.state,
        row.next_at,
        row.ended_at,
        tuple(DeliveryView(number, at, bool(ok), detail) for number, at, ok, detail in row.deliveries),
    )


def _no_rule(rule: int) -> NotFound:
    return NotFound(f"There is no alert rule {rule}; `watchbell alert list` shows those in force.")


def _events(events: Sequence[str]) -> tuple[str, ...]:
    if not events:
        raise BadInput(f"A rule needs something to tell of: {', '.join(EVENTS)}.")
    for event in events:
        if event not in EVENTS:
            raise BadInput(f"{event!r} is nothing a rule can tell of; it is one of {', '.join(EVENTS)}.")
    return tuple(event for event in EVENTS if event in events)


def _check_scope(rule: NewRule) -> None:
    if rule.scope not in SCOPES:
        raise BadInput(f"{rule.scope!r} is no scope; it is one of {', '.join(SCOPES)}.")
    if rule.scope == "workspace" and rule.target:
        raise BadInput(f"A rule about every schedule names none; leave {rule.target!r} out.")
    if rule.scope != "workspace" and not rule.target.strip():
        raise BadInput(f"A rule about a {rule.scope} needs its name.")
    if not 1 <= rule.streak <= 1000:
        raise BadInput(f"A streak is a number of bad endings in a row from 1 to 1000, not {rule.streak}.")
