"""The ledger of one database as values, read when nothing runs any more."""

from __future__ import annotations

import os
from pathlib import Path

from watchbell.services.audit import AuditReport, audit
from watchbell.store.base import Store
from watchbell.store.tx import Tx

from .history import Attempt, History, Node, Row

_ROWS = (
    "SELECT o.id, o.schedule, o.due_at, s.name, j.name, o.lane, o.state, o.reason, o.epoch, o.attempt, o.node, "
    "o.token_hash, o.start_at, o.claimed_at, o.began_at, o.key, o.into_id, o.ended_at, o.origin FROM occurrence o "
    "JOIN job j ON j.id = o.job LEFT JOIN schedule s ON s.id = o.schedule ORDER BY o.id"
)
_LIVE = "('waiting', 'queued', 'held', 'claimed', 'running', 'retrying')"


def read_into(history: History, store: Store) -> None:
    """Add what the ledger says to a history."""

    def read(tx: Tx) -> None:
        database = database_id(tx)
        for row in tx.rows(_ROWS):
            key = run_key(database, row[0], row[1], row[2], row[18])
            history.rows.append(Row(row[0], key, *row[3:13], *row[13:18]))
        history.attempts += [
            Attempt(*row)
            for row in tx.rows(
                "SELECT run, number, epoch, node, ending, claimed_at, ended_at FROM attempt ORDER BY run, number"
            )
        ]
        history.nodes += [
            Node(*row) for row in tx.rows("SELECT id, pid, state, lease_until, stopped_at FROM node")
        ]

    store.read(read)


def run_key(database: str, run: int, schedule: int | None, due_at: int, origin: str) -> str:
    """The run key as its documentation says it: of an occurrence, or of a run by hand."""
    if schedule is None or origin in ("manual", "dependency"):
        return f"{database}-r{run}"
    return f"{database}-s{schedule}-{due_at}"


def database_id(tx: Tx) -> str:
    """The name that a database has in its run keys."""
    return str(tx.value("SELECT value FROM meta WHERE key = 'database_id'"))


def standing(tx: Tx) -> tuple[int, int]:
    """How many rows have still to end, and how many claims these have had: neither stays as it is while rows move."""
    sql = f"SELECT count(*), coalesce(sum(epoch), 0) FROM occurrence WHERE state IN {_LIVE}"
    count, claims = tx.rows(sql)[0]
    return int(count), int(claims)


def sound(store: Store) -> str:
    """What SQLite says of the file: `ok`."""
    return "; ".join(str(row[0]) for row in store.read(lambda tx: tx.rows("PRAGMA integrity_check")))


def audited(store: Store, now: int) -> AuditReport:
    """The audit of everything, by the service that users call."""
    return audit(store, now=now)


def orphans(database: str) -> list[int]:
    """Living processes that carry a run key of this database in their environment."""
    mark = f"WATCHBELL_RUN_KEY={database}-".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it has just ended, or is not ours
    return found
