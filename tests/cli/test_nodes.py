"""`watchbell nodes`: who acts, as a table and as JSON."""

from __future__ import annotations

import json
import os
import socket

from tests.cli.conftest import Call
from watchbell.clock import ManualClock, SystemClock
from watchbell.core.instants import MINUTE
from watchbell.store.sqlite import SqliteStore


def node(store: SqliteStore, clock: ManualClock, name: str, state: str, **other: object) -> None:
    now = clock.wall_us()
    row = {"id": store.read(lambda tx: tx.next_id("node")), "name": name, "host": socket.gethostname()}
    row |= {"pid": os.getpid(), "boot_id": SystemClock().boot_id(), "version": "1.2", "state": state}
    row |= {"slots": '{"async": 5}', "labels": '["gpu"]', "started_at": now, "heartbeat_at": now}
    row |= {"lease_until": now + MINUTE, "engine_epoch": 1 if state == "up" else 0, **other}
    sql = f"INSERT INTO node ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
    store.write(lambda tx: tx.run(sql, tuple(row.values())))
    store.write(lambda tx: tx.run("UPDATE meta SET value = 1 WHERE key = 'engine_epoch'"))


def test_nobody_is_a_sentence_and_exit_code_3(call: Call, store: SqliteStore) -> None:
    reply = call("nodes")
    assert reply.code == 3
    assert reply.out == "no engine has ever run on this database; `watchbell serve` starts one\n"


def test_who_acts_and_who_stands_by_with_slots_labels_and_clock(
    call: Call, store: SqliteStore, clock: ManualClock
) -> None:
    node(store, clock, "one", "up", skew_us=-2_500_000)
    node(store, clock, "two", "standby")
    reply = call("nodes")
    assert reply.code == 0
    first, second = [line.split() for line in reply.out.splitlines()[1:3]]
    assert (first[0], first[1], first[-1]) == ("one", "up", "s")
    assert {"async:5", "gpu", "1.2", "-2.5"} <= set(first)
    assert second[:3] == ["two", "standing", "by"]
    assert "The clock of node one is 2 s 500 ms behind the database's" in reply.out
    found = json.loads(call("--json", "nodes").out)
    assert (found["running"], found["nodes"][0]["skew_us"]) == (True, -2_500_000)


def test_one_that_is_silent_is_said_to_be(call: Call, store: SqliteStore, clock: ManualClock) -> None:
    node(store, clock, "one", "up", host="elsewhere", lease_until=clock.wall_us() - 1)
    reply = call("nodes")
    assert reply.code == 3
    assert reply.out.splitlines()[1].split()[:2] == ["one", "silent"]
