"""Nodes: every engine process has a row, its incarnation; and the epoch of the engine that may act (PROTOCOL §8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import EngineReplaced
from .tx import Tx

LEASE_US = 15_000_000


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a process says of itself when it registers."""

    name: str
    host: str
    pid: int
    boot_id: str
    version: str
    slots: Mapping[str, int]
    handlers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def register(tx: Tx, info: NodeInfo, now: int, *, acting: bool = True) -> tuple[int, int]:
    """A new incarnation: (node, engine epoch). One that is `acting` takes over, and every engine before it finds its
    epoch gone; another one (`watchbell exec`) only holds its own run."""
    if acting:
        tx.run("UPDATE meta SET value = CAST(value AS BIGINT) + 1 WHERE key = 'engine_epoch'")
    epoch = int(tx.value("SELECT value FROM meta WHERE key = 'engine_epoch'"))
    return _insert(tx, info, now, "up", epoch), epoch


def stand_by(tx: Tx, info: NodeInfo, now: int) -> int:
    """A process that waits for the right to act shows itself; it holds nothing and has no epoch."""
    return _insert(tx, info, now, "standby", 0)


def _insert(tx: Tx, info: NodeInfo, now: int, state: str, epoch: int) -> int:
    node = tx.next_id("node")
    tx.run(
        "INSERT INTO node (id, name, host, pid, boot_id, version, state, slots, handlers, labels, started_at, heartbeat_at, "
        "lease_until, engine_epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            node,
            info.name,
            info.host,
            info.pid,
            info.boot_id,
            info.version,
            state,
            json.dumps(dict(info.slots)),
            json.dumps(info.handlers),
            json.dumps(info.labels),
            now,
            now,
            now + LEASE_US,
            epoch,
        ),
    )
    return node


def check_epoch(tx: Tx, epoch: int) -> None:
    """First statement of every engine transaction: only the engine of this epoch may act."""
    found = int(tx.value("SELECT value FROM meta WHERE key = 'engine_epoch'"))
    if found != epoch:
        raise EngineReplaced(
            f"Another engine has taken over this database (engine epoch {found}, this one has {epoch}): "
            "this engine starts nothing more."
        )


def acting_process(tx: Tx) -> int | None:
    """The process of the engine whose epoch is the current one, if it has not ended."""
    found = tx.value(
        "SELECT pid FROM node WHERE state IN ('up', 'draining') AND labels NOT LIKE '%exec:%' "
        "AND engine_epoch = (SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'engine_epoch')"
    )
    return None if found is None else int(found)


@dataclass(frozen=True, slots=True)
class Other:
    """Another incarnation that was never marked as ended. `exec_started` is the start time of the process of a
    `watchbell exec`, which lives by its process and not by a lease."""

    id: int
    pid: int
    boot_id: str
    heartbeat_at: int
    lease_until: int
    exec_started: int | None


def others_up(tx: Tx, node: int) -> list[Other]:
    """Every other incarnation that was never marked as ended."""
    rows = tx.rows(
        "SELECT id, pid, boot_id, heartbeat_at, lease_until, labels FROM node "
        "WHERE state IN ('up', 'draining') AND id <> ?",
        (node,),
    )
    return [Other(row[0], row[1], row[2], row[3], row[4], _exec_started(json.loads(row[5]))) for row in rows]


def exec_label(started: int) -> str:
    """The label of a node that is a `watchbell exec`."""
    return f"exec:{started}"


def _exec_started(labels: list[str]) -> int | None:
    return next((int(label[5:]) for label in labels if label.startswith("exec:")), None)


def end(tx: Tx, node: int, state: str, at: int) -> None:
    """Write down that an incarnation has stopped (by its own word) or is dead (by another's)."""
    tx.run(
        "UPDATE node SET state = ?, stopped_at = ? WHERE id = ? AND state IN ('up', 'draining', 'standby')",
        (state, at, node),
    )


def drain(tx: Tx, node: int) -> None:
    """The node takes no new work."""
    tx.run("UPDATE node SET state = 'draining' WHERE id = ? AND state = 'up'", (node,))


def heartbeat(tx: Tx, node: int, now: int, boot_us: int | None = None) -> None:
    """Renew the node's lease; with what its boot-time clock shows, which tells a step of the clock from time off."""
    tx.run(
        "UPDATE node SET heartbeat_at = ?, lease_until = ?, boot_us = coalesce(?, boot_us) WHERE id = ?",
        (now, now + LEASE_US, boot_us, node),
    )


def set_slots(tx: Tx, node: int, slots: Mapping[str, int]) -> None:
    """Write down how many runs of each lane the node carries out at once."""
    tx.run("UPDATE node SET slots = ? WHERE id = ?", (json.dumps(slots), node))


def last_seen(tx: Tx) -> int | None:
    """When any engine was last known to act: its last heartbeat or word, or one of its newest claims."""
    engines = "FROM node WHERE labels NOT LIKE '%exec:%' AND engine_epoch > 0"
    beat = tx.value(f"SELECT max(coalesce(stopped_at, heartbeat_at)) {engines}")
    claim = tx.value(
        "SELECT max(claimed_at) FROM (SELECT claimed_at, node FROM occurrence ORDER BY id DESC LIMIT 100) newest "
        f"WHERE node IN (SELECT id {engines})"
    )
    restored = tx.value("SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'restored_at'")
    known = [int(at) for at in (beat, claim, restored) if at is not None]
    return max(known, default=None)


def record_outage(tx: Tx, kind: str, from_at: int, to_at: int, node: int | None, note: str = "") -> None:
    """Write down a time in which nothing could be planned: evidence for what was missed in it."""
    tx.run(
        "INSERT INTO outage (kind, from_at, to_at, node, note) VALUES (?, ?, ?, ?, ?)",
        (kind, from_at, to_at, node, note),
    )
