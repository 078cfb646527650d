"""What an engine does before it admits anything: it ends the orphaned processes of the one before it, settles what
that one held, counts the gates anew, and writes down how long nobody was planning."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..core.claim import Claim
from ..core.instants import human_age, stored_text
from ..executors.orphans import end_orphans, start_time
from ..store import claims, gates, nodes, settling
from ..store.base import of_sqlite
from ..store.nodes import NodeInfo
from ..store.planning import LIVE_ROWS, Planner
from ..store.schedules.catalog import Catalog
from ..store.settling import Ended
from ..store.sqlite import mark, soundness
from ..store.sqlite.mark import Mark
from ..store.tx import Row, Tx
from . import spool
from .house import House
from .keeper import lost

BATCH = 1000
LEAST_OUTAGE_US = 100_000
_log = logging.getLogger("watchbell.engine")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found."""

    node: int
    epoch: int
    lost: int
    orphans: int
    down_us: int


def take_over(
    house: House, info: NodeInfo, *, proven_dead: bool, folder: Path | None, state: Path | None = None
) -> Recovered:
    """Become the engine, or one of several: register a new incarnation, and settle what those before it left. `folder` is
    the lock folder of a file; `state` the user's state folder, where a database on a server has its spool.

    `proven_dead` says that their lock was free; otherwise (one is stalled and still holds it) only what has outlived
    its lease is settled here, and the rest by the watcher when its lease is over. On a store that several nodes share
    there is no such lock, and dead is here whose process on this machine is gone; the others have their lease.
    """
    store, now = house.store, house.clock.wall_us()
    house.fenced = None
    if folder is not None:
        _look_over(house, folder)

    def enter(tx: Tx) -> tuple[int, int, int]:
        seen = nodes.last_seen(tx)
        node, epoch = nodes.register(tx, info, now, alone=not store.shared, lease_us=house.lease_us)
        for other in nodes.others_up(tx, node):
            if not _may_live(other, house, proven_dead, now):
                nodes.end(tx, other.id, "dead", other.heartbeat_at)
        alone = not (store.shared and nodes.is_attended(tx, node, now))
        down = now - seen if alone and seen is not None else 0
        if down > LEAST_OUTAGE_US:
            nodes.record_outage(tx, "downtime", seen or 0, now, node, "no engine was running")
        wrong = gates.recount(tx)
        gates.let_in(tx, [key for key, _, _ in wrong])
        for key, was, real in wrong:
            _log.warning("engine.gate_recounted: %s said %d active, the ledger says %d", key, was, real)
        return node, epoch, max(0, down)

    house.joined_ns = house.clock.boot_ns()
    house.node, house.epoch, down = store.write(enter)
    house.database = str(store.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'database_id'")))
    if folder is not None:
        marked = Mark(folder, house.database, house.epoch)
        house.renewed, house.granted = marked.renewed, marked.granted
    house.spool = spool.folder_of(folder, state, house.database)
    write_spooled(house)  # before anything is called lost
    orphans, gone = settle_abandoned(house, proven_dead)
    return Recovered(house.node, house.epoch, gone, orphans, down)


def _look_over(house: House, folder: Path) -> None:
    """StoreCorrupt if the database is damaged, or has lost what was committed to it."""
    file = of_sqlite(house.store)
    if file is not None and not soundness.look(file):
        _log.info(
            "engine.checked: the database is too large to be checked whole at a start; `watchbell database check` does"
        )
    house.store.read(lambda tx: mark.compare(tx, folder, house.store.where))


def announce(house: House, found: Recovered) -> None:
    """A line that says that the engine acts, and on what."""
    enabled = house.store.read(
        lambda tx: tx.row("SELECT count(*), count(next_due), min(next_due) FROM cursor")
    ) or (0, 0, None)
    first = enabled[2]
    late = first is not None and first <= house.clock.wall_us()
    due = "none" if first is None else f"{stored_text(first)}{', which is overdue' if late else ''}"
    down = f", nobody was planning for {human_age(found.down_us)}" if found.down_us > 1_000_000 else ""
    _log.info(
        "engine.ready: node %d, engine epoch %d, %s: %d on, %d scheduled, next due %s%s",
        found.node,
        found.epoch,
        house.store.where,
        enabled[0],
        enabled[1],
        due,
        down,
    )


def settle_abandoned(house: House, proven_dead: bool) -> tuple[int, int]:
    """End the processes and settle the rows of engines that are gone: (orphaned processes, lost runs)."""
    if house.store.shared:
        return settle_ended(house)
    store, now = house.store, house.clock.wall_us()
    # A catalog of its own: this is called from other threads than the engine's, and what the engine's own catalog has
    # seen to have changed is news to the engine.
    catalog = Catalog()
    planner = Planner(catalog, house.node)

    def look(tx: Tx) -> tuple[list[tuple[int, Claim, bool]], list[tuple[int, int, int]]]:
        others = nodes.others_up(tx, house.node)
        alive = {other.id for other in others if _may_live(other, house, proven_dead, now)}
        rows = [row for row in claims.owned_by_others(tx, planner) if row[0] not in alive]
        return rows, claims.processes(tx, house.node)

    rows, pids = store.read(look)
    if not rows:
        return 0, 0
    known = {entry[0]: entry for entry in pids}
    wanted = sorted({claim.run for _, claim, _ in rows})
    orphans = end_orphans([known.get(run, (run, 0, 0)) for run in wanted], house.database)
    for place in range(0, len(rows), BATCH):
        part = rows[place : place + BATCH]

        def write(tx: Tx, part: list[tuple[int, Claim, bool]] = part) -> None:
            house.fence(tx)
            _settle_lost(tx, house, catalog, part, now)

        store.write(write)
    _say_lost(len(rows))
    return orphans, len(rows)


def settle_ended(house: House) -> tuple[int, int]:
    """The same on a store that several nodes share: of the nodes that have stopped or were declared dead, and read where
    they are settled, as others do the same meanwhile. Processes are ended where they ran on this machine; elsewhere they
    end with their parent."""
    here = house.clock.boot_id()

    def look(tx: Tx) -> tuple[bool, list[tuple[int, int, int]]]:
        rows = tx.rows(
            f"SELECT o.id, o.pid, o.pid_started, n.boot_id, n.process FROM occurrence o JOIN node n ON n.id = o.node "
            f"WHERE o.{LIVE_ROWS} AND o.state IN ('claimed', 'running') AND n.state IN ('dead', 'stopped')"
        )
        mine = [row for row in rows if row[3] == here]
        return bool(rows), [_recorded(house, row) for row in mine]

    found, processes = house.store.read(look)
    if not found:
        return 0, 0
    orphans = end_orphans(processes, house.database)
    catalog, lost_runs = Catalog(), 0
    planner = Planner(catalog, house.node)

    def write(tx: Tx) -> int:
        house.fence(tx)
        rows = claims.held_by_ended(tx, planner, BATCH)
        _settle_lost(tx, house, catalog, rows, house.clock.wall_us())
        return len(rows)

    while settled := house.store.write(write):
        lost_runs += settled
    if lost_runs:
        _say_lost(lost_runs)
        house.wake()
        house.store.poke()
    return orphans, lost_runs


def _recorded(house: House, row: Row) -> tuple[int, int, int]:
    """A run's process by its number and its start, where a number means here what it meant there."""
    run, pid, started, _, process = row
    same = process.partition(":")[0] == house.process.partition(":")[0]
    return (run, pid or 0, started or 0) if same else (run, 0, 0)


def _settle_lost(
    tx: Tx, house: House, catalog: Catalog, rows: list[tuple[int, Claim, bool]], now: int
) -> None:
    part = [Ended(claim, lost(claim, begun, now), node=owner) for owner, claim, begun in rows]
    settled = settling.settle(tx, house.node, part, now, house.draw, partial(subject_of, tx, catalog))
    if settled.alerts:
        tx.after_commit(house.alerted)


def _say_lost(count: int) -> None:
    _log.warning("engine.recovered: %d runs were in flight when their engine died; they are lost", count)


def _may_live(other: nodes.Other, house: House, proven_dead: bool, now: int) -> bool:
    """Whether another incarnation may still hold what the ledger says it holds. An engine is dead when its lock was
    free, or when its lease and the same time again are over; a `watchbell exec` is when its process is."""
    if house.store.shared:
        return not house.has_ended(other)
    if other.exec_started is not None:
        return other.boot_id == house.clock.boot_id() and start_time(other.pid) == other.exec_started
    return not proven_dead and other.lease_until > now - house.lease_us


def subject_of(tx: Tx, catalog: Catalog, claim: Claim) -> tuple[str, tuple[str, ...]]:
    """What an alert about a claim names, and its tags: its schedule, or its job."""
    job = catalog.job(tx, claim.job)
    if claim.schedule is None:
        return job.name, job.tags
    known, _ = catalog.definitions(tx, [(claim.schedule, claim.version or 0)])
    for definition in known.values():
        return definition.name, (*definition.tags, *job.tags)
    return job.name, job.tags


def write_spooled(house: House) -> None:
    """Write the ends that are left in the spool by incarnations that could not, and are over. From any thread."""
    if house.spool is None:
        return
    catalog = Catalog()

    def settle(tx: Tx, part: list[Ended]) -> None:
        house.fence(tx)
        now, describe = house.clock.wall_us(), partial(subject_of, tx, catalog)
        if settling.settle(tx, house.node, part, now, house.draw, describe).alerts:
            tx.after_commit(house.alerted)

    def write(ended: list[Ended]) -> None:
        for place in range(0, len(ended), BATCH):
            part = ended[place : place + BATCH]
            house.store.write(partial(settle, part=part))

    if count := spool.write_left(house.spool, write):
        _log.warning("engine.spool: %d ends that could not be written before are in the ledger now", count)
        house.wake()
        house.store.poke()
