"""Behind PgBouncer in transaction mode every transaction may be on another connection of the pool: nothing that belongs to
a connection is left on one, and what others have left there does no harm."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.postgres.fixtures import Bouncer, listening
from tests.store.test_postgres_writing import becomes_true, opened
from watchbell import Watchbell, every
from watchbell.clock import SystemClock
from watchbell.services import doctor
from watchbell.services.checkup import Level
from watchbell.store.tx import Tx

CONNECTIONS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
LEFT = """
    SELECT 'listens at ' || name FROM pg_listening_channels() AS name
    UNION ALL SELECT 'has prepared ' || name FROM pg_prepared_statements
    UNION ALL SELECT 'has the cursor ' || name FROM pg_cursors WHERE name <> ''
    UNION ALL SELECT 'has the table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
    UNION ALL SELECT 'holds a lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
    UNION ALL SELECT 'has set ' || name FROM pg_settings WHERE source = 'session' AND name <> ALL (%s)
"""
KEPT_BY_PGBOUNCER = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "TimeZone",
    "standard_conforming_strings",
]
"""What it sets itself, whenever it gives a connection to another client."""


def left_on(pooled: str, direct: str) -> list[str]:
    """What is left on the connections of the pool."""
    found: list[str] = []
    with ExitStack() as held:
        link = held.enter_context(psycopg.connect(direct, autocommit=True))
        while True:
            before = link.execute(CONNECTIONS).fetchall()
            # It stays in its transaction, so that the next one gets another connection.
            taken = held.enter_context(psycopg.connect(pooled, prepare_threshold=None))
            found += [str(what) for (what,) in taken.execute(LEFT, (KEPT_BY_PGBOUNCER,)).fetchall()]
            if taken.execute("SELECT pg_backend_pid()").fetchone() not in before:
                return found  # this one was made for us: all others are taken


@pytest.mark.parametrize(
    ("leak", "seen"),
    [
        ("LISTEN watchbell_wake", "listens at watchbell_wake"),
        ("PREPARE ours AS SELECT 1", "has prepared ours"),
        ("DECLARE ours CURSOR WITH HOLD FOR SELECT 1", "has the cursor ours"),
        ("CREATE TEMP TABLE ours ()", "has the table ours"),
        ("SELECT pg_advisory_lock(1)", "holds a lock"),
        ("SET statement_timeout = 1000", "has set statement_timeout"),
    ],
)
def test_whatever_is_left_on_a_connection_of_the_pool_is_found(
    pgbouncer: Bouncer, postgres_url: str, leak: str, seen: str
) -> None:
    through = pgbouncer.through(postgres_url)
    with psycopg.connect(through, autocommit=True) as link:
        link.execute(leak)
    assert left_on(through, postgres_url) == [seen]


@pytest.mark.parametrize("names_the_server", [False, True])
def test_an_engine_leaves_nothing_on_the_connections_of_the_pool(
    names_the_server: bool, pgbouncer: Bouncer, postgres_url: str
) -> None:
    through = pgbouncer.through(postgres_url)
    bell = Watchbell(listening(through, postgres_url) if names_the_server else through)
    bell.job(confirm)
    bell.schedule(every("200ms"), name="tick")(tick)
    bell.start()
    with psycopg.connect(through, prepare_threshold=None) as app:
        handle = bell._declared.jobs["confirm"].enqueue(1, key="one", tx=app)
    assert handle.wait("30s") == "succeeded"
    becomes_true(lambda: len(bell.runs(states=("succeeded",)).items) > 5)
    assert bell.status().running
    assert left_on(through, postgres_url) == []
    bell.stop()
    assert left_on(through, postgres_url) == []


def tick() -> None:
    """It is due five times a second."""


def confirm(number: int) -> int:
    return number


@pytest.mark.parametrize("leads_to", ["the server", "the pooler", "the pooler as well"])
def test_doctor_says_whether_notifications_come_through_a_pooler(
    leads_to: str, pgbouncer: Bouncer, postgres_url: str, tmp_path: Path
) -> None:
    through = pgbouncer.through(postgres_url)
    url = {
        "the server": listening(through, postgres_url),
        "the pooler": through,
        "the pooler as well": listening(through, through),
    }[leads_to]
    report = doctor.examine(doctor.patient_of(url, SystemClock(), tmp_path, os.environ, quick=True))
    check = next(check for check in report.checks if check.name == "notifications")
    if leads_to == "the server":
        assert check.level is Level.OK
        return
    assert check.level is Level.WARNING
    assert "None comes through a pooler that hands out connections by transaction" in check.sentence
    assert ("?listen=… in the database URL has to name the server" in check.todo) == ("as well" in leads_to)
    assert left_on(through, postgres_url) == []


@pytest.mark.parametrize(
    "leak",
    [
        "CREATE TEMP TABLE meta (key TEXT, value TEXT)",
        "SET search_path = nowhere",
        "SET default_transaction_isolation = 'serializable'",
        "SET synchronous_commit = off",
        "SET statement_timeout = 1",
        "SET lock_timeout = 1",
        "SET idle_in_transaction_session_timeout = 1",
    ],
)
def test_what_another_client_has_left_on_a_connection_of_the_pool_does_no_harm(
    pgbouncer: Bouncer, postgres_url: str, leak: str
) -> None:
    through = pgbouncer.through(postgres_url)
    store = opened(through)
    with psycopg.connect(through, autocommit=True, prepare_threshold=None) as other:
        other.execute(leak)
        (theirs,) = other.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    assert store.write(settings) == (theirs, "read committed", "on", 1)
    assert store.read(lambda tx: tx.value(ID)) == 1
    store.poke()
    store.close()


ID = "SELECT count(*) FROM meta WHERE key = 'database_id'"


def settings(tx: Tx) -> tuple[object, ...]:
    """On which connection a transaction is, how it is isolated, whether its commit waits for the disk, and whether it is about our tables."""
    tx.run("UPDATE meta SET value = value WHERE key = 'database_id'")
    return tuple(
        tx.value(asked)
        for asked in (
            "SELECT pg_backend_pid()",
            "SELECT current_setting('transaction_isolation')",
            "SELECT current_setting('synchronous_commit')",
            ID,
        )
    )
