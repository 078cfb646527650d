"""What processes tell each other through PostgreSQL: heard where notifications come through, and never depended on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import psycopg
import pytest

from tests.postgres import at_hand, keeper
from tests.postgres.databases import Databases
from tests.postgres.fixtures import Bouncer, listening
from tests.store.test_postgres_writing import becomes_true, opened, terminate
from watchbell.store.postgres import listening as listening_room
from watchbell.store.postgres.store import PostgresStore
from watchbell.store.tx import Tx

LISTENS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"


@pytest.fixture
def store(listening_url: str) -> Iterator[PostgresStore]:
    found = opened(listening_url)
    yield found
    found.close()


def test_a_poke_is_heard_by_every_other_process_that_listens(
    store: PostgresStore, listening_url: str
) -> None:
    other = opened(listening_url)
    acted = threading.Event()
    listener = store.listen(acted.set)
    assert listener is not None
    becomes_true(lambda: listener.hears)
    acted.clear()
    heard = listener.heard
    other.poke()
    assert acted.wait(30)
    becomes_true(lambda: listener.heard == heard + 1)
    other.close()


def test_a_transaction_pokes_once_and_one_that_is_undone_not_at_all(store: PostgresStore) -> None:
    listener = store.listen(lambda: None)
    assert listener is not None
    becomes_true(lambda: listener.hears)
    heard = listener.heard

    def undone(tx: Tx) -> None:
        tx.poke()
        tx.value("SELECT 1")
        raise KeyError("mine")

    def done(tx: Tx) -> None:
        tx.poke()
        tx.value("SELECT 1")
        tx.poke()

    with pytest.raises(KeyError):
        store.write(undone)
    store.write(done)
    becomes_true(lambda: listener.heard > heard)
    store.write(done)
    becomes_true(lambda: listener.heard > heard + 1)
    assert listener.heard == heard + 2


def test_what_is_heard_shows_in_the_version_of_the_data(store: PostgresStore) -> None:
    listener = store.listen(lambda: None)
    assert listener is not None
    becomes_true(lambda: listener.hears)
    before = store.data_version()
    store.poke()
    becomes_true(lambda: store.data_version() > before)


def test_where_nothing_can_be_heard_the_version_goes_on_by_itself(store: PostgresStore) -> None:
    before = store.data_version()
    becomes_true(lambda: store.data_version() >= before + 2)


def test_a_listener_whose_connection_is_lost_listens_again_and_looks_at_once(
    store: PostgresStore, listening_url: str
) -> None:
    acted = threading.Event()
    listener = store.listen(acted.set)
    assert listener is not None
    becomes_true(lambda: listener.hears)
    with psycopg.connect(store.address.conninfo) as link:
        (pid,) = link.execute(LISTENS).fetchone() or (0,)
    acted.clear()
    terminate(store.address.conninfo, pid)
    assert acted.wait(30)
    heard = listener.heard
    becomes_true(lambda: listener.hears and listener.heard > heard)


def test_schemas_of_one_database_do_not_hear_each_other(store: PostgresStore, listening_url: str) -> None:
    glue = "&" if "?" in listening_url else "?"
    other = opened(f"{listening_url}{glue}schema=bells")
    listener = store.listen(lambda: None)
    assert listener is not None
    becomes_true(lambda: listener.hears)
    heard = listener.heard
    other.poke()
    store.poke()
    becomes_true(lambda: listener.heard > heard)
    assert listener.heard == heard + 1
    other.close()


def test_a_listener_that_is_closed_leaves_neither_thread_nor_connection(
    store: PostgresStore, listening_url: str
) -> None:
    store.listen(lambda: None)
    store.close()
    assert "watchbell-listen" not in [thread.name for thread in threading.enumerate()]
    with psycopg.connect(store.address.conninfo, autocommit=True) as link:
        becomes_true(lambda: link.execute(LISTENS).fetchall() == [])


@pytest.mark.parametrize("reached_by", ["its URL", "listen"])
def test_behind_a_pooler_it_is_deaf_says_so_once_and_the_version_goes_on(
    reached_by: str, pgbouncer: Bouncer, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    through = pgbouncer.through(postgres_url)
    store = opened(through if reached_by == "its URL" else listening(through, through))
    with caplog.at_level(logging.WARNING, "watchbell.store"):
        listener = store.listen(lambda: None)
        assert listener is not None
        becomes_true(lambda: caplog.messages != [])
        before = store.data_version()
        becomes_true(lambda: store.data_version() >= before + 3)
    assert (listener.pooled, listener.hears, len(caplog.messages)) == (True, False, 1)
    assert "a pooler that hands out connections by transaction lets no" in caplog.messages[0]
    assert "Name the server itself with ?listen=postgresql://" in caplog.messages[0]
    store.close()


def test_behind_a_pooler_it_hears_where_the_url_names_the_server_itself(
    pgbouncer: Bouncer, postgres_url: str
) -> None:
    hears_through(listening(pgbouncer.through(postgres_url), postgres_url))


def test_a_pooler_that_gives_everybody_a_connection_for_as_long_as_they_want_is_listened_through(
    pgbouncer: Bouncer, postgres: Databases
) -> None:
    program = at_hand.pgbouncer_program()
    assert program is not None
    with keeper.pgbouncer(program, postgres.server, "session") as way, postgres.lend() as url:
        hears_through(Bouncer(way).through(url))


def hears_through(url: str) -> None:
    store = opened(url)
    listener = store.listen(lambda: None)
    assert listener is not None
    becomes_true(lambda: listener.hears)
    assert not listener.pooled
    store.close()


def test_where_listen_leads_to_another_database_it_says_once_that_nothing_comes_through(
    postgres_url: str, postgres: Databases, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listening_room, "_TRIED_US", 0)
    monkeypatch.setattr(listening_room, "_TURN_S", 0.01)
    with postgres.lend() as elsewhere, caplog.at_level(logging.WARNING, "watchbell.store"):
        store = opened(listening(postgres_url, elsewhere))
        made = store.listen(lambda: None)
        assert made is not None
        becomes_true(lambda: caplog.messages != [])
        before = store.data_version()
        becomes_true(lambda: store.data_version() >= before + 2)
        store.close()
    assert not made.hears
    assert len(caplog.messages) == 1
    assert "no notification comes through where ?listen=… leads" in caplog.messages[0]
