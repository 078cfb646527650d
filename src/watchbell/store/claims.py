"""Claims: rows that a node holds, from the write that grants them to the one that gives them back or ends them.

One guarded write per row, durable before user code begins. Only this makes delivery at most once: leases merely decide
who cleans up (PROTOCOL §4). Which rows are taken is in store/claiming.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.claim import Claim
from ..core.policies import OnLost
from ..core.states import State, check
from . import gates, rates
from .admission import COLUMNS as COLUMNS  # noqa: PLC0414  those who read rows take them from here
from .admission import Door
from .planning import LIVE_ROWS, Planner
from .tx import Row, Tx

ATTEMPT_LINES = 1_000_000
"""The lines of attempt n are numbered from n times this."""

GRANT = (
    "UPDATE occurrence SET state = 'claimed', node = ?, epoch = ?, token_hash = ?, claimed_at = ?, attempt = ?, "
    "ready_at = NULL, held_by = NULL, began_at = NULL WHERE id = ? AND state = ? AND epoch = ?"
)


def grant(tx: Tx, planner: Planner, rows: Sequence[Row], now: int, door: Door) -> list[Claim]:
    """Claim these rows, which have passed the door."""
    assert planner.tokens is not None
    tokens = planner.tokens.draw(len(rows))
    granted = tx.many(
        GRANT,
        [
            (planner.node, row[9] + 1, token[1], now, row[10] + 1, row[0], row[8], row[9])
            for row, token in zip(rows, tokens, strict=True)
        ],
    )
    assert granted == len(rows), "a row changed inside the transaction that read it"
    claims = []
    for row, token in zip(rows, tokens, strict=True):
        check(State(row[8]), State.CLAIMED)
        claim = claim_of(tx, planner, row)
        claim.epoch, claim.attempt, claim.token, claim.claimed_at = row[9] + 1, row[10] + 1, token[0], now
        claim.revoked = None  # a wish that an earlier claim was handed back with is heard anew by this one
        claim.rates, claim.begin_by = door.counted.get(row[0], ((), None))
        claims.append(claim)
    return claims


def claim_of(tx: Tx, planner: Planner, row: Row) -> Claim:
    """The claim that a row (COLUMNS) stands for, with the policies that hold for it."""
    job = planner.catalog.job(tx, row[4])
    claim = Claim(
        run=row[0],
        epoch=row[9],
        token="",
        workspace=row[1],
        schedule=row[2],
        version=row[3],
        job=row[4],
        lane=row[5],
        due_at=row[6],
        start_at=row[7],
        claimed_at=row[15] or 0,
        attempt=row[10],
        args=row[11],
        gates=tuple(gates.keys_of(row[12])) if row[12] else (),
        retry=job.options.retry,
        timeout_us=job.options.timeout_us,
        kill_grace_us=job.options.kill_grace_us,
        key=row[13],
        rerun=job.options.on_lost is OnLost.RERUN,
        revoked=row[16],
        by_hand=row[17] in ("manual", "dependency"),
        catchup=bool(row[19]),
    )
    if row[2] is not None:
        known, _ = planner.catalog.definitions(tx, [(row[2], row[3])])
        if (definition := known.get((row[2], row[3]))) is not None:
            claim.retry, claim.timeout_us = definition.retry, definition.timeout_us
            claim.chain_us = definition.chain_us
            claim.args = row[11] if row[11] is not None else definition.args
            if (
                row[17] == "scheduled"
            ):  # what a person has asked for runs whatever the condition says, and is not counted
                claim.condition = definition.policies.condition
                claim.pause_after = definition.policies.pause_after_failures
    return claim


def hand_back(tx: Tx, node: int, claims: Sequence[Claim]) -> list[int]:
    """As their owner give back claims by which nothing has begun nor will; a run begun before waits for its attempt again."""
    check(State.CLAIMED, State.QUEUED)
    check(State.CLAIMED, State.RETRYING)
    rows = tx.many_returning(
        "UPDATE occurrence SET state = CASE WHEN attempt > 1 THEN 'retrying' ELSE 'queued' END, "
        "ready_at = CASE WHEN attempt > 1 THEN claimed_at END, node = NULL, token_hash = NULL, claimed_at = NULL, "
        "attempt = attempt - 1 WHERE id = ? AND epoch = ? AND node = ? AND state = 'claimed' RETURNING id",
        [(claim.run, claim.epoch, node) for claim in claims],
    )
    given = {row[0] for row in rows}
    rates.give_back(
        tx, [(key, claim.run, claim.epoch) for claim in claims if claim.run in given for key in claim.rates]
    )
    return [row[0] for row in rows]


def owned_by_others(tx: Tx, planner: Planner) -> list[tuple[int, Claim, bool]]:
    """(node, claim, begun for certain) of every claimed or running row that this node does not hold."""
    return _held(tx, planner, "node IS DISTINCT FROM ? ORDER BY id", (planner.node,))


def held_by_ended(tx: Tx, planner: Planner, limit: int) -> list[tuple[int, Claim, bool]]:
    """The same of nodes that have stopped or were declared dead: the next ones by id."""
    ended = "node IN (SELECT id FROM node WHERE state IN ('dead', 'stopped')) ORDER BY id LIMIT ?"
    return _held(tx, planner, ended, (limit,))


def processes(tx: Tx, node: int) -> list[tuple[int, int, int]]:
    """(run, process, its start) of everything that other nodes than this one run in processes of its own."""
    rows = tx.rows(
        "SELECT id, pid, pid_started FROM occurrence "
        f"WHERE {LIVE_ROWS} AND state = 'running' AND pid IS NOT NULL AND node IS DISTINCT FROM ?",
        (node,),
    )
    return [(row[0], row[1], row[2] or 0) for row in rows]


def _held(tx: Tx, planner: Planner, whose: str, params: Sequence[object]) -> list[tuple[int, Claim, bool]]:
    rows = tx.rows(
        f"SELECT {COLUMNS}, node FROM occurrence INDEXED BY occurrence_live "
        f"WHERE {LIVE_ROWS} AND state IN ('claimed', 'running') AND {whose}",
        params,
    )
    return [
        (
            row[-1],
            claim_of(tx, planner, row),
            row[8] == State.RUNNING or _has_spoken(tx, row[0], row[9], row[15]),
        )
        for row in rows
    ]


def _has_spoken(tx: Tx, run: int, epoch: int, claimed_at: int | None) -> bool:
    """Whether anything is kept that only user code can have said in this attempt: a line, progress, an effect."""
    return any(
        tx.value(sql, params) is not None
        for sql, params in (
            ("SELECT 1 FROM run_log WHERE run = ? AND seq >= ? LIMIT 1", (run, epoch * ATTEMPT_LINES)),
            ("SELECT 1 FROM run_progress WHERE run = ? AND at >= ?", (run, claimed_at or 0)),
            ("SELECT 1 FROM effect WHERE run = ? AND at >= ? LIMIT 1", (run, claimed_at or 0)),
        )
    )


def owned(tx: Tx, node: int) -> list[tuple[int, int, str]]:
    """(run, epoch, state) of everything the ledger says this node holds."""
    rows = tx.rows(
        "SELECT id, epoch, state FROM occurrence "
        f"WHERE {LIVE_ROWS} AND state IN ('claimed', 'running') AND node = ?",
        (node,),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def revoked(tx: Tx, node: int) -> list[tuple[int, int, str]]:
    """(run, epoch, by whom) of this node's claims that somebody has asked to end."""
    rows = tx.rows(
        "SELECT id, epoch, revoke FROM occurrence WHERE revoke IS NOT NULL AND state IN ('claimed', 'running') "
        "AND node = ?",
        (node,),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def mark_running(tx: Tx, node: int, begun: Sequence[tuple[int, int, int, int | None, int | None]]) -> None:
    """Write down that these have begun for certain: (run, epoch, began_at, pid, pid_started)."""
    check(State.CLAIMED, State.RUNNING)
    tx.many(
        "UPDATE occurrence SET state = 'running', began_at = ?, pid = ?, pid_started = ? "
        "WHERE id = ? AND epoch = ? AND node = ? AND state = 'claimed'",
        [(began, pid, started, run, epoch, node) for run, epoch, began, pid, started in begun],
    )
