"""Spread, jitter, rates and the order of a backlog as a person types them."""

from __future__ import annotations

import json

from tests.cli.conftest import Call
from watchbell.core.instants import MINUTE, SECOND
from watchbell.store.sqlite import SqliteStore


def test_they_are_written_down_and_shown(call: Call, store: SqliteStore) -> None:
    reply = call(
        "schedule", "add", "x", "--cron", "0 3 * * *", "--spread", "9m", "--jitter", "30s", "--rate", "10/1m", "--rate",
        "api=100/1h", "--catchup", "all", "--overlap", "allow", "--catchup-order", "newest", "--catchup-rate", "5/1m",
        "--json", "--", "true",
    )  # fmt: skip
    assert reply.code == 0, reply.err
    policies = reply.json()["policies"]
    assert policies == {
        "catchup": "all", "overlap": "allow", "catchup_order": "newest", "catchup_rate": "5/1m",
        "spread_us": 9 * MINUTE, "jitter_us": 30 * SECOND,
    }  # fmt: skip
    options = json.loads(store.read(lambda tx: tx.value("SELECT options FROM job")))
    assert options == {"rate": "10/1m", "rates": [["api", "100/1h"]]}
    assert store.read(lambda tx: tx.rows("SELECT key, starts, per_us FROM rate ORDER BY key")) == [
        ("job:x", 10, MINUTE),
        ("key:api", 100, 60 * MINUTE),
    ]
    shown = call("schedule", "show", "x").out
    assert "Starts" in shown
    assert "spread: 9 min" in shown
    assert "catchup rate: 5/1m" in shown


def test_next_says_when_each_is_due_and_when_it_starts(call: Call) -> None:
    call("schedule", "add", "x", "--cron", "0 3 * * *", "--spread", "9m", "--", "true")
    lines = call("schedule", "next", "x", "--count", "2").out.splitlines()
    assert "03:00:00" in lines[1]
    assert ", starts 2026-11-22 03:02:09" in lines[1]
    items = call("schedule", "next", "x", "--count", "1", "--json").json()["items"]
    assert items[0]["start_at"] == "2026-11-22T03:02:09.665144Z"


def test_next_of_an_H_says_when_the_schedule_starts(call: Call) -> None:
    call("schedule", "add", "x", "--cron", "H 3 * * *", "--", "true")
    reply = call("schedule", "next", "x", "--count", "2").out
    assert reply.count(", starts ") == 2
    assert "of its own" not in reply.splitlines()[-1]


def test_an_edit_changes_and_takes_back_a_spread(call: Call) -> None:
    call("schedule", "add", "x", "--cron", "0 3 * * *", "--", "true")
    assert call("schedule", "edit", "x", "--spread", "10m").code == 0
    assert call("schedule", "show", "x", "--json").json()["policies"] == {"spread_us": 10 * MINUTE}
    assert call("schedule", "edit", "x", "--spread", "0s").code == 0
    assert call("schedule", "show", "x", "--json").json()["policies"] == {}


def test_what_cannot_be_is_refused_with_what_to_write(call: Call) -> None:
    add = ("schedule", "add", "x", "--every", "1h")
    assert "write a number and a span, such as '10/1m'" in call(*add, "--rate", "ten", "--", "true").err
    assert "give it once" in call(*add, "--rate", "1/1m", "--rate", "2/1m", "--", "true").err
    assert "it goes with catchup=all" in call(*add, "--catchup-order", "newest", "--", "true").err
    assert "--rate goes with a command" in call(*add, "--job", "j", "--rate", "1/1m").err
    assert call("schedule", "show", "x").code != 0
