"""Nodes: every engine process has a row, its incarnation. On SQLite one of them may act, the engine of the present epoch;
on PostgreSQL all of them, each until it stops or others have declared it dead (PROTOCOL §6, §8; docs/design/nodes.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
    process: str = ""
    """The process, in a way that others on its machine can look for it; empty where that is not known."""


def register(
    tx: Tx, info: NodeInfo, now: int, *, acting: bool = True, alone: bool = True, lease_us: int = LEASE_US
) -> tuple[int, int]:
    """A new incarnation: (node, engine epoch). One that is `acting` and `alone` takes over, and every engine before it
    finds its epoch gone; one that is not alone acts beside the others; another one (`watchbell exec`) only holds its own
    run."""
    if acting:
        first = "" if alone else " AND CAST(value AS BIGINT) = 0"
        tx.run(f"UPDATE meta SET value = CAST(value AS BIGINT) + 1 WHERE key = 'engine_epoch'{first}")
    epoch = int(tx.value("SELECT value FROM meta WHERE key = 'engine_epoch'"))
    return _insert(tx, info, now, "up", epoch, lease_us), epoch


def stand_by(tx: Tx, info: NodeInfo, now: int) -> int:
    """A process that waits for the right to act shows itself; it holds nothing and has no epoch."""
    return _insert(tx, info, now, "standby", 0)


def _insert(tx: Tx, info: NodeInfo, now: int, state: str, epoch: int, lease_us: int = LEASE_US) -> int:
    node = tx.next_id("node")
    tx.run(
        "INSERT INTO node (id, name, host, pid, boot_id, version, state, slots, handlers, labels, started_at, heartbeat_at, "
        "lease_until, engine_epoch, process) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            now + lease_us,
            epoch,
            info.process,
        ),
    )
    return node


def may_act(tx: Tx, node: int, epoch: int) -> None:
    """First statement of every engine transaction: only an engine of this epoch that nobody has declared dead may act."""
    row = tx.row(
        "SELECT CAST(value AS BIGINT), (SELECT state FROM node WHERE id = ?) FROM meta WHERE key = 'engine_epoch'",
        (node,),
    )
    refuse_ended(node, epoch, *(row or (0, None)))


def refuse_ended(node: int, epoch: int, found: int, state: str | None) -> None:
    """EngineReplaced if the engine epoch is `found` and the node's state is `state`, and it may not act by that."""
    if found != epoch:
        raise EngineReplaced(
            f"Another engine has taken over this database (engine epoch {found}, this one has {epoch}): "
            "this engine starts nothing more."
        )
    if state in _ENDED:
        raise EngineReplaced(
            f"Node {node} was declared dead by the others, as it had not renewed its lease: it starts nothing more."
        )


_ENDED = ("dead", "stopped")


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
    `watchbell exec`, which on SQLite lives by its process and not by a lease."""

    id: int
    pid: int
    boot_id: str
    heartbeat_at: int
    lease_until: int
    exec_started: int | None
    name: str = ""
    process: str = ""
    boot_us: int | None = None

    @property
    def beat(self) -> tuple[int, int | None]:
        """What changes with every renewal of its lease."""
        return self.heartbeat_at, self.boot_us


def all_up(tx: Tx) -> list[Other]:
    """Every incarnation that was never marked as ended."""
    rows = tx.rows(
        "SELECT id, pid, boot_id, heartbeat_at, lease_until, labels, name, process, boot_us FROM node "
        "WHERE state IN ('up', 'draining')"
    )
    found = []
    for row in rows:
        values = [*row]
        values[5] = _exec_started(json.loads(row[5]))
        found.append(Other(*values))
    return found


def others_up(tx: Tx, node: int) -> list[Other]:
    """The same without this one."""
    return [other for other in all_up(tx) if other.id != node]


def is_attended(tx: Tx, node: int, now: int) -> bool:
    """Whether another engine than this one acts, as far as the leases say. One that was renewed in the future, as the
    clock shows it now, says nothing."""
    return (
        tx.value(
            "SELECT 1 FROM node WHERE state IN ('up', 'draining') AND labels NOT LIKE '%exec:%' AND engine_epoch > 0 "
            "AND id <> ? AND lease_until >= ? AND heartbeat_at <= ? LIMIT 1",
            (node, now, now + LEASE_US),
        )
        is not None
    )


def declare_dead(tx: Tx, other: Other) -> bool:
    """Write down that another incarnation is dead, if it has not renewed its lease since it was looked at."""
    return bool(
        tx.run(
            "UPDATE node SET state = 'dead', stopped_at = heartbeat_at WHERE id = ? AND heartbeat_at = ? "
            "AND boot_us IS NOT DISTINCT FROM ? AND state IN ('up', 'draining')",
            (other.id, other.heartbeat_at, other.boot_us),
        )
    )


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


def heartbeat(
    tx: Tx,
    node: int,
    now: int,
    boot_us: int | None = None,
    *,
    lease_us: int = LEASE_US,
    skew_us: int | None = None,
) -> None:
    """Renew the node's lease; with what its boot-time clock shows, which tells a step of the clock from time off, and by
    how much its own wall clock is ahead of the store's."""
    tx.run(
        "UPDATE node SET heartbeat_at = ?, lease_until = ?, boot_us = coalesce(?, boot_us), "
        "skew_us = coalesce(?, skew_us) WHERE id = ?",
        (now, now + lease_us, boot_us, skew_us, node),
    )


def set_handlers(tx: Tx, node: int, handlers: Sequence[str]) -> None:
    """Write down which jobs the node knows by now."""
    tx.run("UPDATE node SET handlers = ? WHERE id = ?", (json.dumps(list(handlers)), node))


def known_since(tx: Tx, at: int) -> set[str]:
    """The names of all handlers that any node has had which was there at this instant or later."""
    rows = tx.rows(
        "SELECT handlers FROM node WHERE coalesce(stopped_at, heartbeat_at) >= ? AND state <> 'standby'",
        (at,),
    )
    return {name for (text,) in rows for name in json.loads(text)}


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
