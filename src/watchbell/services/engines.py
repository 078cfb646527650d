"""Who acts on a database: the engine of the present epoch, those who stand by, or nobody, and since when."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..clock import SystemClock
from ..core.instants import SECOND, human_age, human_ago
from ..store import listing
from ..store.sqlite.reserve import Told
from ..store.tx import Row, Tx
from .moments import utc

LATE_US = 2 * SECOND
"""A due instant this far behind that nobody has planned is overdue: an engine that runs needs a few milliseconds."""

Alive: TypeAlias = Callable[[str, str, int], bool | None]
"""(host, boot id, process id) → whether that process lives; None where it cannot be known from here."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """One engine process as its row and its process say."""

    id: int
    name: str
    host: str
    pid: int
    version: str
    draining: bool
    since: int
    heartbeat_at: int
    epoch: int
    fault: str | None

    def to_json(self, now: int) -> dict[str, Any]:
        """As JSON data."""
        return {
            "id": self.id,
            "node": self.name,
            "host": self.host,
            "pid": self.pid,
            "version": self.version,
            "draining": self.draining,
            "since": utc(self.since),
            "last_heartbeat_at": utc(self.heartbeat_at),
            "last_heartbeat_age_us": max(0, now - self.heartbeat_at),
            "fault": self.fault,
        }


@dataclass(frozen=True, slots=True)
class EngineView:
    """The engine, if one acts; those who stand by; and a sentence for people."""

    running: bool
    engine: NodeView | None
    stand_bys: tuple[NodeView, ...]
    sentence: str

    def to_json(self, now: int) -> dict[str, Any]:
        """As JSON data."""
        return {
            "running": self.running,
            "sentence": self.sentence,
            "node": None if self.engine is None else self.engine.to_json(now),
            "stand_bys": [node.to_json(now) for node in self.stand_bys],
        }


def process_alive(host: str, boot_id: str, pid: int) -> bool | None:
    """Whether a process of this machine lives; None for one of another machine, container or boot."""
    if host != socket.gethostname() or boot_id != SystemClock().boot_id() or pid <= 0:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def look(tx: Tx, now: int, alive: Alive = process_alive, trouble: Told | None = None) -> EngineView:
    """Who acts on this database. `trouble` is what its engine says of the disk: one that can write nothing down starts
    nothing, and does not count as running."""
    epoch = listing.engine_epoch(tx)
    nodes = [_view(row, now, alive) for row in listing.nodes_known(tx)]
    engine = next((node for node in nodes if node.epoch == epoch), None)
    stand_bys = tuple(node for node in nodes if node is not engine and node.fault is None)
    if engine is None:
        return EngineView(False, None, stand_bys, _nobody(listing.last_node(tx), now))
    if trouble is not None and trouble.pid == engine.pid and engine.fault is None:
        return EngineView(False, engine, stand_bys, _troubled(engine, trouble, now))
    if engine.fault is not None:
        return EngineView(False, engine, stand_bys, f"no engine is running: {engine.fault}")
    words = "is stopping: it starts nothing more" if engine.draining else "is running"
    since = human_age(now - engine.since)
    return EngineView(
        True, engine, stand_bys, f"the engine {words} (process {engine.pid} on {engine.host}, for {since})"
    )


def _view(row: Row, now: int, alive: Alive) -> NodeView:
    node, name, host, pid, boot_id, version, state, started, heartbeat, lease, epoch = row
    silent = now - heartbeat
    fault = None
    if alive(host, boot_id, pid) is False:
        fault = f"process {pid} of node {name} has died without a word; its last heartbeat was {human_ago(silent)}"
    elif lease < now:
        fault = (
            f"node {name} (process {pid} on {host}) has not reported for {human_age(silent)}: it is stalled, or its machine "
            "is gone"
        )
    return NodeView(node, name, host, pid, version, state == "draining", started, heartbeat, epoch, fault)


def _troubled(engine: NodeView, trouble: Told, now: int) -> str:
    since = human_age(now - trouble.since)
    return f"the engine has started nothing for {since} (process {engine.pid} on {engine.host}): {trouble.text.strip().rstrip('.')}"


def _nobody(last: Row | None, now: int) -> str:
    if last is None:
        return "no engine has ever run on this database; `watchbell serve` starts one"
    name, pid, state, _, heartbeat, stopped = last
    at = stopped if stopped is not None else heartbeat
    how = "stopped" if state == "stopped" else "was last seen"
    return (
        f"no engine is running: node {name} (process {pid}) {how} {human_ago(now - at)}; "
        "`watchbell serve` starts one"
    )


def overdue(at: int, acting: EngineView, now: int) -> str:
    """Why an instant is behind now and in no ledger yet."""
    why = acting.sentence
    if acting.running:
        why = "the engine is running and has not reached it yet; it works through a backlog"
    return f"overdue by {human_age(now - at)}: {why}"
