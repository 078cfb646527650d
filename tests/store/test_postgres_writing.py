"""Writing on PostgreSQL when something goes wrong: replies are lost, connections die, writers freeze (PROTOCOL §9)."""

from __future__ import annotations

import contextlib
import secrets
import string
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.postgres.databases import Databases
from tests.postgres.fixtures import Bouncer
from tests.store import proxy
from tests.store.proxy import Proxy
from tests.store.test_writer import Group, numbers, put, refuse
from watchbell.clock import SystemClock
from watchbell.errors import CommitUnknown, StoreError, StoreUnavailable
from watchbell.store.open import open_store
from watchbell.store.postgres import outcome, writer
from watchbell.store.postgres.store import PostgresStore
from watchbell.store.tx import Tx

PID = "SELECT pg_backend_pid()"


def opened(url: str) -> PostgresStore:
    store = open_store(url, 0)
    assert isinstance(store, PostgresStore)
    return store


def becomes_true(condition: Callable[[], bool]) -> None:
    """Wait for it, within half a minute."""
    clock, never = SystemClock(), threading.Event()
    end = clock.mono_ns() + 30_000_000_000
    while not condition():
        assert clock.mono_ns() < end
        clock.wait(never, 5_000)


@pytest.fixture
def database(postgres: Databases) -> Iterator[str]:
    """A database with a table of numbers."""
    with postgres.lend() as url:
        store = opened(url)
        store.write(lambda tx: tx.run("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
        store.close()
        yield url


@pytest.fixture(params=["direct", "pgbouncer"])
def store(request: pytest.FixtureRequest, database: str) -> Iterator[PostgresStore]:
    """It, open: by itself and behind a pooler that gives connections out by transaction."""
    url = database
    if request.param == "pgbouncer":
        bouncer: Bouncer = request.getfixturevalue("pgbouncer")
        url = bouncer.through(database)
    found = opened(url)
    yield found
    found.close()


@pytest.fixture
def way(database: str) -> Iterator[Proxy]:
    made = Proxy(database)
    yield made
    made.close()


@pytest.fixture
def lossy(way: Proxy) -> Iterator[PostgresStore]:
    """A store whose COMMITs can be lost on the way."""
    found = opened(way.url)
    yield found
    found.close()


def terminate(url: str, pid: int) -> None:
    """End a connection of another one, and wait until it has ended."""
    with psycopg.connect(url, autocommit=True) as link:
        link.execute("SELECT pg_terminate_backend(%s)", (pid,))
        gone = "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = %s)"
        becomes_true(lambda: link.execute(gone, (pid,)).fetchone() == (True,))


# --- a reply that is lost ---------------------------------------------------------------------------------------------


def test_a_commit_whose_reply_was_lost_counts_if_the_server_has_carried_it_out(
    lossy: PostgresStore, way: Proxy
) -> None:
    called: list[str] = []

    def work(tx: Tx) -> int:
        tx.after_commit(lambda: called.append("after"))
        return put(1)(tx)

    way.lose = proxy.after
    assert lossy.write(work) == 1
    assert (way.asked.is_set(), called, numbers(lossy)) == (True, ["after"], [1])
    assert lossy.write(put(2)) == 1


def test_a_commit_that_never_arrived_changed_nothing_and_says_so(lossy: PostgresStore, way: Proxy) -> None:
    called: list[str] = []

    def work(tx: Tx) -> None:
        tx.after_commit(lambda: called.append("after"))
        put(1)(tx)

    way.lose = proxy.before
    with pytest.raises(StoreUnavailable) as caught:
        lossy.write(work)
    assert not isinstance(caught.value, CommitUnknown)
    assert (way.asked.is_set(), called, numbers(lossy)) == (True, [], [])
    assert lossy.write(put(1)) == 1


def test_a_commit_that_is_still_on_its_way_is_waited_for(lossy: PostgresStore, way: Proxy) -> None:
    def late(server: Any, message: bytes) -> None:
        assert way.asked.wait(30)
        proxy.after(server, message)

    way.lose = late
    assert lossy.write(put(1)) == 1
    assert numbers(lossy) == [1]


def test_a_commit_of_which_nobody_can_say_what_became_fails_every_caller_as_unknown(
    lossy: PostgresStore, way: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "PATIENCE_US", 200_000)

    def arm(tx: Tx) -> None:
        way.lose, way.shut = proxy.after, True

    answers = Group(lossy, arm, put(1), put(2)).answers
    assert [type(answer) for answer in answers] == [CommitUnknown] * 3
    assert "may or may not be there" in str(answers[0])
    way.shut = False
    assert numbers(lossy) == [1, 2]


def test_the_id_of_another_life_of_the_server_proves_nothing_but_that_a_transaction_was_undone(
    store: PostgresStore,
) -> None:
    """After a crash an id is given out again whose record was never on the disk (the table of lives is empty then)."""
    number = store.write(lambda tx: (put(1)(tx), tx.value("SELECT pg_current_xact_id()::text"))[1])
    undone: list[str] = []

    def gives_up(tx: Tx) -> None:
        undone.append(tx.value("SELECT pg_current_xact_id()::text"))
        raise KeyError("mine")

    with pytest.raises(KeyError):
        store.write(gives_up)
    (life,) = store.read(lambda tx: tx.row("SELECT value FROM incarnation")) or ("",)
    cause = psycopg.OperationalError("no reply")
    assert outcome.committed(store.address, number, life, cause)
    assert not outcome.committed(store.address, undone[0], "another life", cause)
    store.write(lambda tx: tx.run("DELETE FROM incarnation"))
    with pytest.raises(outcome.Lost):
        outcome.committed(store.address, number, life, cause)
    store.write(put(2))
    (again,) = store.read(lambda tx: tx.row("SELECT value FROM incarnation")) or ("",)
    assert again not in ("", life)
    with pytest.raises(outcome.Lost):
        outcome.committed(store.address, number, life, cause)


def test_a_transaction_that_changed_nothing_is_not_asked_after(lossy: PostgresStore, way: Proxy) -> None:
    way.lose = proxy.before
    assert lossy.write(lambda tx: tx.run("UPDATE t SET n = 1 WHERE n = 0")) == 0
    assert not way.asked.is_set()


# --- connections that die ---------------------------------------------------------------------------------------------


def test_a_connection_that_died_while_it_was_idle_is_replaced(store: PostgresStore, database: str) -> None:
    terminate(database, store.write(lambda tx: tx.value(PID)))
    terminate(database, store.read(lambda tx: tx.value(PID)))
    assert store.write(put(1)) == 1
    assert numbers(store) == [1]


def test_a_connection_that_dies_within_a_transaction_takes_nothing_with_it_but_that(
    store: PostgresStore, database: str
) -> None:
    def dies(tx: Tx) -> None:
        put(1)(tx)
        terminate(database, tx.value(PID))
        put(2)(tx)

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        store.write(dies)
    assert numbers(store) == []
    assert store.write(put(3)) == 1


def test_a_connection_that_dies_within_a_read_is_told_and_the_next_read_goes_on(
    store: PostgresStore, database: str
) -> None:
    def dies(tx: Tx) -> None:
        terminate(database, tx.value(PID))
        tx.value("SELECT 1")

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        store.read(dies)
    assert numbers(store) == []


def test_a_writer_that_freezes_within_its_transaction_is_ended_by_the_server_and_others_go_on(
    store: PostgresStore, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IDLE_MS", 200)
    frozen, other = opened(database), store

    def freezes(tx: Tx) -> None:
        put(1)(tx)
        assert other.write(put(2)) == 1  # which waits for the lock, until the server has taken it from us
        put(3)(tx)

    with pytest.raises(StoreUnavailable, match="stood still"):
        frozen.write(freezes)
    assert numbers(frozen) == [2]
    assert frozen.write(put(4)) == 1
    frozen.close()


def test_a_lock_that_somebody_keeps_is_waited_for_so_long_and_no_longer(
    database: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LOCK_MS", 200)
    impatient = opened(database)

    def work(tx: Tx) -> None:
        with pytest.raises(StoreUnavailable, match=r"Somebody else has been writing .* too long"):
            impatient.write(put(1))

    store.write(work)
    assert impatient.write(put(1)) == 1
    impatient.close()


# --- one at a time ----------------------------------------------------------------------------------------------------


def test_whoever_reads_and_then_writes_in_one_transaction_is_alone_in_it(
    store: PostgresStore, database: str
) -> None:
    others = [store, opened(database), opened(database)]

    def count(tx: Tx) -> None:
        (last,) = tx.row("SELECT coalesce(max(n), 0) FROM t") or (0,)
        put(last + 1)(tx)

    def live(mine: PostgresStore) -> None:
        for _ in range(20):
            mine.write(count)

    threads = [threading.Thread(target=live, args=(mine,)) for mine in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert numbers(store) == list(range(1, 61))
    for mine in others[1:]:
        mine.close()


def test_callers_share_a_commit_and_one_callers_error_is_its_own(store: PostgresStore) -> None:
    answers = Group(store, put(1), refuse, put(2), put(1), put(3)).answers
    assert [type(answer) for answer in answers] == [int, KeyError, int, StoreError, int]
    assert numbers(store) == [1, 2, 3]


def test_an_error_that_is_passed_over_is_told_and_takes_nobody_else_with_it(store: PostgresStore) -> None:
    def passes_over(tx: Tx) -> str:
        put(7)(tx)
        with contextlib.suppress(psycopg.Error):
            put(7)(tx)
        return "all is well"

    with pytest.raises(StoreError, match="passed over"):
        store.write(passes_over)
    answers = Group(store, put(1), passes_over, put(2)).answers
    assert [type(answer) for answer in answers] == [int, StoreError, int]
    assert numbers(store) == [1, 2]


def test_a_deadlock_with_somebody_who_takes_no_lock_is_tried_again(
    store: PostgresStore, database: str
) -> None:
    store.write(lambda tx: tx.many("INSERT INTO t (n) VALUES (?)", [(1,), (2,)]))
    tries: list[int] = []
    with psycopg.connect(database) as link:
        link.execute("SET deadlock_timeout = '1h'")  # it is the store's that is broken up
        link.execute("UPDATE watchbell.t SET n = -2 WHERE n = 2")

        def crosses(tx: Tx) -> int:
            tries.append(1)
            tx.run("UPDATE t SET n = n + 10 WHERE n = 1")
            if len(tries) > 1:
                return tx.run("UPDATE t SET n = n + 10 WHERE n = -2")
            tx.run("SET LOCAL deadlock_timeout = '100ms'")
            crossing.start()
            becomes_true(lambda: waits(database))
            return tx.run("UPDATE t SET n = n + 10 WHERE n = 2")

        def cross() -> None:
            link.execute("UPDATE watchbell.t SET n = -1 WHERE n = 1")
            link.rollback()

        crossing = threading.Thread(target=cross)
        store.write(crosses)
        crossing.join(30)
    assert len(tries) == 2
    assert numbers(store) == [2, 11]


def waits(url: str) -> bool:
    """Whether somebody waits for a row that another one has changed."""
    with psycopg.connect(url) as link:
        found = link.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'"
        ).fetchone()
    return found is not None


def test_a_store_that_was_closed_says_so(database: str) -> None:
    store = opened(database)
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="has been closed"):
        store.write(put(1))
    with pytest.raises(StoreUnavailable, match="has been closed"):
        numbers(store)


def test_a_value_too_long_for_an_index_is_a_refused_statement_and_no_lost_server(
    store: PostgresStore,
) -> None:
    store.write(lambda tx: tx.run("CREATE TABLE named (name TEXT PRIMARY KEY)"))
    too_long = "".join(secrets.choice(string.ascii_letters) for _ in range(12_000))
    with pytest.raises(StoreError, match="refused a statement: index row") as caught:
        store.write(lambda tx: tx.run("INSERT INTO named (name) VALUES (?)", (too_long,)))
    assert not isinstance(caught.value, StoreUnavailable)
    store.write(lambda tx: tx.run("INSERT INTO named (name) VALUES ('short')"))
    assert store.read(lambda tx: tx.rows("SELECT name FROM named")) == [("short",)]
