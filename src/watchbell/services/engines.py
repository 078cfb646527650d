"""Who acts on a database: the engine of the present epoch, those who stand by, or nobody, and since when."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..clock import SystemClock
from ..core.instants import SECOND, human_age, human_ago, human_duration
from ..executors.identity import is_visible
from ..store import listing
from ..store.base import Store
from ..store.sqlite.reserve import Told, told
from ..store.sqlite.wake import lock_folder
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
    slots: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    skew_us: int = 0
    """By how much its machine's wall clock is ahead of the store's."""

    @property
    def skewed(self) -> str:
        """How far its clock is off, as the beginning of a sentence."""
        side = "ahead of" if self.skew_us > 0 else "behind"
        return f"The clock of node {self.name} is {human_duration(abs(self.skew_us))} {side} the database's"

    def to_json(self, now: int) -> dict[str, Any]:
        """As JSON data."""
        return {
            "id": self.id,
            "node": self.name,
            "host": self.host,
            "pid": self.pid,
            "version": self.version,
            "draining": self.draining,
            "slots": dict(self.slots),
            "labels": list(self.labels),
            "skew_us": self.skew_us,
            "since": utc(self.since),
            "last_heartbeat_at": utc(self.heartbeat_at),
            "last_heartbeat_age_us": max(0, now - self.heartbeat_at),
            "fault": self.fault,
        }


@dataclass(frozen=True, slots=True)
class EngineView:
    """The engine, if one acts (the oldest of several); those who stand by; and a sentence for people. `nodes` are all that
    act, or should and are silent."""

    running: bool
    engine: NodeView | None
    stand_bys: tuple[NodeView, ...]
    sentence: str
    nodes: tuple[NodeView, ...] = ()

    def to_json(self, now: int) -> dict[str, Any]:
        """As JSON data."""
        return {
            "running": self.running,
            "sentence": self.sentence,
            "node": None if self.engine is None else self.engine.to_json(now),
            "stand_bys": [node.to_json(now) for node in self.stand_bys],
            "nodes": [node.to_json(now) for node in self.nodes],
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


def who_acts(store: Store, *, now: int, alive: Alive = process_alive) -> EngineView:
    """Who acts on this database."""
    trouble = None if store.path is None else told(lock_folder(store.path))
    return store.read(lambda tx: look(tx, now, alive, trouble))


def look(tx: Tx, now: int, alive: Alive = process_alive, trouble: Told | None = None) -> EngineView:
    """Who acts on this database. `trouble` is what its engine says of the disk: one that can write nothing down starts
    nothing, and does not count as running."""
    epoch = listing.engine_epoch(tx)
    known = [_view(row, now, alive) for row in listing.nodes_known(tx)]
    acting = tuple(node for node in reversed(known) if node.epoch == epoch and epoch > 0)
    engine = next(
        (node for node in acting if node.fault is None and not node.draining), acting[0] if acting else None
    )
    stand_bys = tuple(node for node in known if node not in acting and node.fault is None)
    if engine is None:
        return EngineView(False, None, stand_bys, _nobody(listing.last_node(tx), now))
    if trouble is not None and trouble.pid == engine.pid and engine.fault is None:
        return EngineView(False, engine, stand_bys, _troubled(engine, trouble, now), acting)
    if engine.fault is not None:
        return EngineView(False, engine, stand_bys, f"no engine is running: {engine.fault}", acting)
    return EngineView(True, engine, stand_bys, _running(engine, acting, now), acting)


def _running(engine: NodeView, acting: tuple[NodeView, ...], now: int) -> str:
    sound = [node for node in acting if node.fault is None]
    if len(acting) == 1:
        words = "is stopping: it starts nothing more" if engine.draining else "is running"
        since = human_age(now - engine.since)
        return f"the engine {words} (process {engine.pid} on {engine.host}, for {since})"
    silent = [node for node in acting if node.fault is not None]
    rest = f"; silent: {names_of(silent)}" if silent else ""
    return f"{len(sound)} {'node is' if len(sound) == 1 else 'nodes are'} running: {names_of(sound)}{rest}"


def names_of(found: Sequence[NodeView]) -> str:
    """The names of nodes, each once, as all those on one machine have the same: `vm (7, 1 stopping), db`."""
    named: dict[str, list[NodeView]] = {}
    for node in found:
        named.setdefault(node.name, []).append(node)
    return ", ".join(name + _how_many(nodes) for name, nodes in named.items())


def _how_many(nodes: Sequence[NodeView]) -> str:
    stopping = sum(node.draining for node in nodes)
    if len(nodes) == 1:
        return " (stopping)" if stopping else ""
    return f" ({len(nodes)}{f', {stopping} stopping' if stopping else ''})"


def _view(row: Row, now: int, alive: Alive) -> NodeView:
    node, name, host, pid, boot_id, version, state, started, heartbeat, lease, epoch, *more = row
    silent = now - heartbeat
    fault = None
    if is_visible(more[3]) and alive(host, boot_id, pid) is False:
        fault = f"process {pid} of node {name} has died without a word; its last heartbeat was {human_ago(silent)}"
    elif lease < now:
        fault = (
            f"node {name} (process {pid} on {host}) has not reported for {human_age(silent)}: it is stalled, or its machine "
            "is gone"
        )
    slots, labels, skew = json.loads(more[0]), tuple(json.loads(more[1])), int(more[2])
    return NodeView(
        *(node, name, host, pid, version, state == "draining", started, heartbeat, epoch, fault),
        slots=slots,
        labels=labels,
        skew_us=skew,
    )


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
