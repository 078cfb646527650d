"""A run asked for within somebody else's transaction: it exists if and only if that one commits.

Nothing is locked here that an engine needs, as an application's transaction may last: the run is inserted as `waiting`,
with an id from the sequence, and passes gates and rates when it is claimed, as everything that waits does. Engines are
notified by the commit itself. The connection is the application's: its settings, its rows' form and its transaction stay
as they were.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from ...core.states import State
from ...errors import BadArguments, KeyTaken
from ..runs import Enqueued, Wish, digest_of
from .address import Address

_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


def enqueue_within(
    conn: psycopg.Connection[Any],
    address: Address,
    wish: Wish,
    is_here: Callable[[str], bool] = lambda place: True,
) -> Enqueued:
    """Ask for a run of a job (of no schedule) in the connection's open transaction. KeyTaken if its key was used with
    other arguments; BadArguments if the connection leads to another ledger, where the job's number means another job;
    psycopg.Error as the connection raises it."""
    assert wish.definition is None, "a run of a schedule is asked for through its engine's store"
    with conn.cursor(row_factory=tuple_row) as cursor:
        there, now, run = _one(
            cursor, f"SELECT {address.place}, {_NOW}, nextval('{address.schema}.occurrence_id')", ()
        )
        if not is_here(there):
            raise BadArguments(
                f"The transaction of tx is in another database, which has a ledger of its own, and not in {address.where}: "
                "nothing was enqueued."
            )
        if wish.key is not None and (known := _by_key(cursor, address.schema, wish, run, now)) is not None:
            return known
        start = now if wish.at is None else wish.at
        cursor.execute(
            f"INSERT INTO {address.schema}.occurrence (id, workspace, job, origin, due_at, start_at, state, lane, "
            "priority, ready_at, gates, planned_at, cause_id, key, args) "
            "VALUES (%s, %s, %s, 'manual', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                run,
                wish.job.workspace,
                wish.job.id,
                start,
                start,
                State.WAITING.value,
                wish.job.lane,
                wish.job.options.priority if wish.priority is None else wish.priority,
                start,
                json.dumps(wish.job.gates) if wish.job.gates else None,
                now,
                wish.cause,
                wish.key,
                wish.args,
            ),
        )
        cursor.execute("SELECT pg_notify(%s, '')", (address.channel,))
    return Enqueued(run, True, State.WAITING.value)


def _by_key(
    cursor: psycopg.Cursor[tuple[Any, ...]], schema: str, wish: Wish, run: int, now: int
) -> Enqueued | None:
    """Take the key for this run; the run that has it already, if there is one. Where another transaction that has not
    ended has taken it, PostgreSQL waits for that one's end."""
    digest = digest_of(wish.args)
    while True:
        cursor.execute(
            f"INSERT INTO {schema}.business_key (job, key, run, digest) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (wish.job.id, wish.key, run, digest),
        )
        if cursor.rowcount == 1:
            return None
        cursor.execute(
            f"SELECT b.run, b.digest, b.expires_at, o.state FROM {schema}.business_key b "
            f"LEFT JOIN {schema}.occurrence o ON o.id = b.run WHERE b.job = %s AND b.key = %s",
            (wish.job.id, wish.key),
        )
        row = cursor.fetchone()
        if row is None:
            continue
        known, other, expires, state = row
        if expires is not None and expires <= now:
            cursor.execute(
                f"DELETE FROM {schema}.business_key WHERE job = %s AND key = %s AND run = %s",
                (wish.job.id, wish.key, known),
            )
            continue
        if other != digest:
            raise KeyTaken(
                f"The key {wish.key!r} of job {wish.job.name!r} belongs to run_{known} with other arguments; "
                "use another key, or the same arguments."
            )
        return Enqueued(known, False, state or "unknown", expires)


def _one(cursor: psycopg.Cursor[tuple[Any, ...]], sql: str, params: tuple[object, ...]) -> tuple[Any, ...]:
    found = cursor.execute(sql, params).fetchone()
    assert found is not None
    return found
