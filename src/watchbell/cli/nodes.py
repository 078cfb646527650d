"""`watchbell nodes`: every process that acts on the database, or should. Exit code 3 where none does."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..core.instants import SECOND, human_ago
from ..services.engines import NodeView, who_acts
from .output import emit_json, say, table
from .setup import Read, Setup

NOT_RUNNING = 3


@click.command(cls=Read)
@click.pass_obj
def nodes(setup: Setup) -> int:
    """Every node: where it is, what it can carry out, when it was last heard of, and how far its clock is off.

    On a SQLite file that is the one engine, and those who stand by for it. Exits with 3 where no engine is running.
    """
    with setup.store() as store:
        found, now = who_acts(store, now=setup.now), setup.now
    if setup.json:
        emit_json(found.to_json(now))
        return 0 if found.running else NOT_RUNNING
    if not found.nodes:
        say(found.sentence)
    else:
        show((*found.nodes, *found.stand_bys), now, standing_by=len(found.stand_bys))
    return 0 if found.running else NOT_RUNNING


def show(found: Sequence[NodeView], now: int, standing_by: int = 0) -> None:
    """A table of nodes, of which the last ones stand by."""
    rows = []
    for place, node in enumerate(found):
        state = "silent" if node.fault is not None else "stopping" if node.draining else "up"
        state = "standing by" if place >= len(found) - standing_by else state
        slots = " ".join(f"{lane}:{count}" for lane, count in node.slots.items())
        skew = f"{node.skew_us / SECOND:+.1f} s" if is_skewed(node) else ""
        beat = human_ago(max(0, now - node.heartbeat_at))
        where = f"{node.pid} on {node.host}"
        rows.append((node.name, state, where, slots, " ".join(node.labels), beat, node.version, skew))
    headings = ("NODE", "STATE", "PROCESS", "SLOTS", "LABELS", "HEARTBEAT", "VERSION", "CLOCK")
    table(headings, rows, "There is none.", ("VERSION", "SLOTS"))
    for node in found:
        if is_skewed(node):
            say(f"{node.skewed}, by which everything comes due.", "yellow")


def is_skewed(node: NodeView) -> bool:
    """Whether its clock is so far off that somebody should know."""
    return abs(node.skew_us) > SECOND
