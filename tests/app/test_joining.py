"""`enqueue(tx=…)`: the connection under what an application calls its transaction, or a sentence about why it cannot be."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from watchbell import Watchbell
from watchbell.app.joining import raw_connection
from watchbell.errors import BadArguments


@pytest.fixture
def engine(empty_postgres_url: str) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(empty_postgres_url.replace("postgresql://", "postgresql+psycopg://", 1))
    yield made
    made.dispose()


@pytest.fixture
def app(empty_postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(empty_postgres_url) as connection:
        yield connection


def refused(tx: Any, *words: str) -> None:
    with pytest.raises(BadArguments) as caught:
        raw_connection(tx)
    for word in words:
        assert word in str(caught.value)


def test_on_sqlite_it_is_refused_with_the_alternatives_and_nothing_is_enqueued(tmp_path: Path) -> None:
    bell = Watchbell(str(tmp_path / "bell.db"))

    @bell.job
    def mail(to: str) -> None: ...

    table = sqlite3.connect(":memory:")
    for enqueue in (
        lambda: mail.enqueue("alice", tx=table),
        lambda: mail.enqueue_in("1h", "alice", tx=table),
        lambda: mail.enqueue("alice", tx="default"),
    ):
        with pytest.raises(BadArguments, match=r"outbox table .* a source read it .* after the commit"):
            enqueue()
    assert bell.runs().items == ()
    table.close()
    bell.stop()


def test_a_connection_or_a_cursor_of_psycopg_is_taken_as_it_is(app: psycopg.Connection[Any]) -> None:
    assert raw_connection(app) is app
    with app.cursor() as cursor:
        assert raw_connection(cursor) is app
    app.execute("SELECT 1")
    assert raw_connection(app) is app


def test_a_connection_that_commits_by_itself_is_taken_only_inside_of_a_transaction(
    empty_postgres_url: str,
) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        refused(connection, "commits every statement by itself", "with connection.transaction():")
        with connection.transaction():
            assert raw_connection(connection) is connection


def test_a_transaction_that_can_only_be_rolled_back_is_refused(app: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.SyntaxError):
        app.execute("SELEKT 1")
    refused(app, "can only be rolled back")
    app.rollback()
    assert raw_connection(app) is app


def test_a_closed_connection_is_refused(empty_postgres_url: str) -> None:
    connection = psycopg.connect(empty_postgres_url)
    connection.close()
    refused(connection, "is closed")


def test_what_is_written_through_sqlalchemy_and_through_the_connection_is_one_transaction(
    engine: sqlalchemy.Engine, app: psycopg.Connection[Any]
) -> None:
    app.execute("CREATE TABLE wish (what TEXT)")
    app.commit()
    sessions = scoped_session(sessionmaker(engine))
    with Session(engine) as session, engine.connect() as connection:
        for tx in (session, connection, sessions):
            tx.execute(sqlalchemy.text("INSERT INTO wish VALUES ('a')"))
            raw_connection(tx).execute("INSERT INTO wish VALUES ('b')")
            assert app.execute("SELECT count(*) FROM wish").fetchone() == (0,)
            tx.rollback()
            raw_connection(tx).execute("INSERT INTO wish VALUES ('c')")
            tx.commit()
            assert app.execute("SELECT count(*), max(what) FROM wish").fetchone() == (1, "c")
            app.execute("TRUNCATE wish")
            app.commit()
    sessions.remove()


def test_what_of_sqlalchemy_is_no_transaction_is_refused(engine: sqlalchemy.Engine) -> None:
    refused(engine, "Engine, which is no transaction", "Session or Connection")
    refused(Session(), "gives no connection", "give the Connection")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        refused(connection, "commits every statement by itself")
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        refused(connection, "sqlite3's Connection, which is another driver")


def test_async_connections_are_refused_with_the_reason(empty_postgres_url: str) -> None:
    async def ask() -> None:
        async with await psycopg.AsyncConnection.connect(empty_postgres_url) as connection:
            refused(connection, "psycopg's AsyncConnection", "event loop", "after the commit")

    asyncio.run(ask())


@pytest.mark.parametrize("tx", [object(), 7, True, {"a": 1}], ids=lambda value: type(value).__name__)
def test_what_is_no_transaction_at_all_is_refused_with_what_would_be(tx: Any) -> None:
    refused(tx, "psycopg 3", "SQLAlchemy", "Django")


def test_an_alias_without_django_is_refused_with_the_reason() -> None:
    program = (
        "from watchbell.app.joining import raw_connection\n"
        "try: raw_connection('default')\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "an alias of Django's, which is not in use here" in done.stdout


IN_DJANGO = """
import os, sys
import django
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

where = conninfo_to_dict(os.environ["WHERE"])
server = {"ENGINE": "django.db.backends.postgresql", "NAME": where["dbname"], "USER": where.get("user", ""),
          "HOST": where.get("host", ""), "PORT": where.get("port", ""), "PASSWORD": where.get("password", "")}
settings.configure(DATABASES={"default": server, "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()

from django.db import connection, connections, transaction
from watchbell.app.joining import raw_connection

def refused(tx):
    try:
        raw_connection(tx)
    except ValueError as error:
        return str(error)

assert "with transaction.atomic():" in refused("default")
assert "with transaction.atomic():" in refused(connection)
assert "'other' is sqlite" in refused("other")
assert "settings.DATABASES has no 'third'; it has default, other" in refused("third")
with transaction.atomic():
    found = raw_connection("default")
    assert found is raw_connection(connection) is raw_connection(connections["default"]) is connection.connection
    found.execute("CREATE TABLE wish (what TEXT)")
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM wish")
    assert cursor.fetchone() == (0,)
try:
    with transaction.atomic():
        raw_connection("default").execute("INSERT INTO wish VALUES ('a')")
        transaction.set_rollback(True)
        assert "will be rolled back" in refused("default")
        raise LookupError
except LookupError:
    pass
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM wish")
    assert cursor.fetchone() == (0,)
connection.close()
print("done")
"""


def test_the_transaction_of_django_is_joined_by_connection_or_alias(empty_postgres_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_DJANGO],
        env=os.environ | {"WHERE": empty_postgres_url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr
