"""A run asked for within an application's own transaction on PostgreSQL: there if that commits, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.store.house import House
from tests.store.test_postgres_writing import becomes_true, waits
from watchbell.core.policies import JobOptions
from watchbell.errors import KeyTaken, StoreUnavailable
from watchbell.store import nodes
from watchbell.store.open import open_store
from watchbell.store.postgres import writer
from watchbell.store.postgres.store import PostgresStore
from watchbell.store.postgres.within import enqueue_within
from watchbell.store.runs import Wish, enqueue
from watchbell.store.schedules.catalog import Catalog
from watchbell.store.schedules.put import Doer, JobSpec, put_job

App = psycopg.Connection[dict[str, object]]


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    found = open_store(postgres_url, 0)
    assert isinstance(found, PostgresStore)
    yield found
    found.close()


@pytest.fixture
def app(store: PostgresStore) -> Iterator[App]:
    """The application's own connection, set up as its own."""
    with psycopg.connect(store.address.conninfo, row_factory=dict_row) as conn:
        conn.execute("CREATE TABLE purchase (id BIGINT)")
        conn.commit()
        yield conn


def wish_of(store: PostgresStore, **options: object) -> Wish:
    doer = Doer("test", 1)
    spec = JobSpec("mail", "thread", options=JobOptions(**options))  # type: ignore[arg-type]
    job = store.write(lambda tx: Catalog().job(tx, put_job(tx, spec, doer).id))
    return Wish(job, '{"to": "ada"}')


def states(store: PostgresStore) -> list[tuple[int, str]]:
    return store.read(lambda tx: tx.rows("SELECT id, state FROM occurrence ORDER BY id"))


def test_S4_10_the_run_is_there_once_the_applications_transaction_has_committed(
    store: PostgresStore, app: App
) -> None:
    app.execute("INSERT INTO purchase VALUES (1)")
    made = enqueue_within(app, store.address, wish_of(store))
    assert states(store) == []
    app.commit()
    assert states(store) == [(made.run, "waiting")]


def test_S4_10_a_transaction_that_is_rolled_back_leaves_no_run(store: PostgresStore, app: App) -> None:
    enqueue_within(app, store.address, wish_of(store))
    app.rollback()
    assert states(store) == []


def test_engines_go_on_while_the_transaction_is_open_and_no_id_is_given_twice(
    store: PostgresStore, app: App
) -> None:
    house = House(store)
    house.schedule("tick")
    wish = wish_of(store)
    theirs = enqueue_within(app, store.address, wish).run
    house.now += 600_000_000
    planned = house.plan()
    assert planned.rows == 1
    assert theirs not in [run for run, _ in states(store)]
    app.commit()
    assert len(states(store)) == 2


def test_a_key_has_one_run_and_its_second_asker_learns_of_it(store: PostgresStore, app: App) -> None:
    wish = replace(wish_of(store), key="order-7")
    first = enqueue_within(app, store.address, wish)
    again = enqueue_within(app, store.address, wish)
    assert (first.new, again.new, again.run) == (True, False, first.run)
    with pytest.raises(KeyTaken, match="order-7"):
        enqueue_within(app, store.address, replace(wish, args="{}"))


def test_what_passes_a_gate_passes_it_when_it_is_claimed(store: PostgresStore, app: App) -> None:
    wish = wish_of(store, concurrency=1)
    runs = [enqueue_within(app, store.address, wish).run for _ in range(2)]
    app.commit()
    house = House(store)
    house.now = store.time.wall_us(store._own) + 1_000_000
    claimed = house.claim()
    assert [claim.run for claim in claimed] == runs[:1]
    assert dict(states(store))[runs[1]] == "held"


def test_the_applications_connection_is_left_as_it_was(store: PostgresStore, app: App) -> None:
    before = app.execute("SELECT current_setting('search_path') AS path").fetchone()
    enqueue_within(app, store.address, wish_of(store))
    assert app.execute("SELECT current_setting('search_path') AS path").fetchone() == before
    assert app.row_factory is dict_row


def test_who_asks_for_the_same_key_elsewhere_keeps_no_engine_from_writing_for_long(
    store: PostgresStore, app: App
) -> None:
    wish = replace(wish_of(store), key="order-7")
    theirs = enqueue_within(app, store.address, wish).run
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(store.write, lambda tx: enqueue(tx, wish, Doer("test", 1)))
        with pytest.raises(StoreUnavailable, match="try again"):
            asked.result(nodes.LEASE_US / 2_000_000)
    app.commit()
    assert store.write(lambda tx: enqueue(tx, wish, Doer("test", 1))).run == theirs


def test_who_asks_for_the_same_key_elsewhere_is_given_the_run_that_is_committed_meanwhile(
    store: PostgresStore, app: App, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = replace(wish_of(store), key="order-7")
    theirs = enqueue_within(app, store.address, wish).run
    monkeypatch.setattr(writer, "ROW_MS", 30_000)
    other = open_store(postgres_url, 0)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(other.write, lambda tx: enqueue(tx, wish, Doer("test", 1)))
        becomes_true(lambda: waits(store.address.conninfo))
        app.commit()
        found = asked.result(30)
    other.close()
    assert (found.run, found.new) == (theirs, False)
