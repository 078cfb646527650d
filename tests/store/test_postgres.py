"""A database on PostgreSQL: how it is named, what a server must promise, and what is refused with a sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from tests.postgres.databases import Databases
from tests.postgres.fixtures import Bouncer
from tests.postgres.urls import parts_of, url_of
from watchbell.errors import BadConfiguration, SchemaTooNew, StoreCorrupt, StoreForbidden, StoreUnavailable
from watchbell.store.open import open_store
from watchbell.store.postgres.address import parse_url
from watchbell.store.postgres.migrate import newest
from watchbell.store.postgres.settings import judge

NUMBERS = "SELECT count(*) FROM occurrence"


def with_options(url: str, **options: str) -> str:
    return url_of({**parts_of(url), **options})


# --- the URL ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://ada:secret@db:5433/shop", "postgresql://ada@db:5433/shop"),
        ("postgres://db/shop?schema=bells", "postgresql://db/shop?schema=bells"),
        ("postgresql:///shop?host=/var/run/postgresql", "postgresql:///shop?host=/var/run/postgresql"),
        ("postgresql:///shop?host=/run&schema=bells", "postgresql:///shop?host=/run&schema=bells"),
        ("postgresql://ada:p%40ss@db/shop?sslmode=require", "postgresql://ada@db/shop"),
        (
            "postgresql://db/shop?listen=postgresql%3A%2F%2Fada%3Asecret%40db%3A5432%2Fshop",
            "postgresql://db/shop",
        ),
    ],
)
def test_the_forms_of_a_url_and_no_password_in_what_is_shown(url: str, where: str) -> None:
    address = parse_url(url)
    assert address.where == where
    assert "secret" not in repr(address)


def test_what_a_url_says_to_the_server_reaches_it_as_it_is_written() -> None:
    address = parse_url("postgresql://db/shop?options=-c%20work_mem%3D9MB&schema=bells&password=a+b")
    said = psycopg.conninfo.conninfo_to_dict(address.conninfo)
    assert (said["options"], said["password"], address.schema) == ("-c work_mem=9MB", "a+b", "bells")
    assert "schema" not in said


def test_a_connection_whose_other_end_is_gone_is_noticed_unless_the_url_says_otherwise() -> None:
    said = psycopg.conninfo.conninfo_to_dict(parse_url("postgresql://db/shop?connect_timeout=3").conninfo)
    assert said["connect_timeout"] == "3"
    silent_for = int(said["keepalives_idle"]) + int(said["keepalives_interval"]) * int(
        said["keepalives_count"]
    )
    assert silent_for <= 15
    assert int(said["tcp_user_timeout"]) <= 15_000


def test_those_settings_are_in_force_on_the_connection(postgres_url: str) -> None:
    with parse_url(with_options(postgres_url, host="127.0.0.1")).connect() as conn:
        names = "current_setting('application_name')"
        assert conn.execute(f"SELECT {names}").fetchone() == ("watchbell",)
        assert conn.info.get_parameters()["tcp_user_timeout"] == "15000"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "postgresql://db/shop?nonsense=1",
            r"cannot be read \(nonsense is no parameter\); write postgresql://user:password@host",
        ),
        ("postgresql://[::1/shop", "cannot be read"),
        ("postgresql://db/shop?listen=nonsense", "cannot be read"),
        ("postgresql://db/shop?schema=My-Schema", "'My-Schema' in the database URL is no plain name"),
        ("postgresql://db/shop?schema=x%3Bdrop", "no plain name"),
        ("postgresql://db/shop?schema=", "no plain name"),
        (f"postgresql://db/shop?schema={'a' * 60}", "no plain name"),
        ("postgresql://db/shop?schema=public", "get a schema of their own"),
        ("postgresql://db/shop?schema=pg_bells", "get a schema of their own"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, said: str) -> None:
    with pytest.raises(BadConfiguration, match=said):
        open_store(url, 0)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("postgresql://root:SECRET@[::1/x", "The database URL"),
        ("postgresql://root:SECRET%zz@h", "The database URL"),
        ("postgresql://root:SEC%00RET@h/x", "The database URL"),
        ("postgresql://root:SECRET/x@h/x", "The database URL"),
        ("postgresql://root:x@SECRET@h/x", "The database URL"),
        ("postgresql://root:x?SECRET=y@h/x", "The database URL"),
        ("postgresql://h/x?password=%zzSECRET", "What follows"),
        ("postgresql://h/x?listen=http://me:SECRET@h/x", "The listen="),
        ("postgresql://h/x?listen=postgresql://me:SECRET@[::1/x", "The listen="),
    ],
)
def test_no_refusal_of_a_url_shows_a_password(url: str, part: str) -> None:
    with pytest.raises(BadConfiguration, match=f"^{part}") as caught:
        parse_url(url)
    assert "SECRET" not in str(caught.value)
    assert "write postgresql://user:password@host" in str(caught.value)


# --- a server that does not take us -----------------------------------------------------------------------------------


def test_S0_13_a_server_that_is_not_there_is_said(postgres: Databases) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        open_store("postgresql://127.0.0.1:1/shop", 0)


def test_S0_13_a_database_that_is_not_there_is_said_with_what_makes_it(postgres: Databases) -> None:
    with pytest.raises(StoreUnavailable, match=r"no such database .*`createdb`"):
        open_store(postgres.url("watchbell_test_no_such"), 0)


def test_a_user_who_may_not_make_a_schema_is_told_so(empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as link:
        name = parts_of(empty_postgres_url)["dbname"]
        link.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'pw'")
        try:
            link.execute(f'REVOKE CREATE ON DATABASE "{name}" FROM PUBLIC')
            with pytest.raises(StoreForbidden, match="does not let this user do that"):
                open_store(with_options(empty_postgres_url, user=name, password="pw"), 0)
        finally:
            link.execute(f'DROP OWNED BY "{name}"')
            link.execute(f'DROP ROLE "{name}"')


def test_a_password_that_is_wrong_is_a_sentence_of_its_own(pgbouncer: Bouncer, postgres_url: str) -> None:
    with pytest.raises(StoreForbidden, match="does not let this user do that") as caught:
        open_store(with_options(pgbouncer.through(postgres_url), password="wrong"), 0)
    assert "wrong" not in str(caught.value)


GOOD = {
    "server_version_num": "150002",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "server_encoding": "UTF8",
}


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"server_version_num": "130014"}, StoreForbidden, "is PostgreSQL 13; watchbell needs 14 or newer"),
        ({"fsync": "off"}, BadConfiguration, "runs with fsync = off: .* Set fsync = on"),
        ({"full_page_writes": "off"}, BadConfiguration, "full_page_writes = off"),
        (
            {"synchronous_commit": "off"},
            BadConfiguration,
            "synchronous_commit = off: a commit would be answered",
        ),
        ({"server_encoding": "LATIN1"}, BadConfiguration, "keeps text as LATIN1"),
    ],
)
def test_a_server_that_promises_too_little_is_refused_by_the_name_of_what_is_wrong(
    wrong: dict[str, str], error: type[Exception], said: str
) -> None:
    judge(GOOD, "here")
    with pytest.raises(error, match=said):
        judge(GOOD | wrong, "here")


@pytest.mark.parametrize("setting", ["on", "local", "remote_write", "remote_apply"])
def test_every_commit_that_is_on_the_servers_own_disk_is_good_enough(setting: str) -> None:
    judge(GOOD | {"synchronous_commit": setting}, "here")


@pytest.mark.direct  # a pooler goes on using connections that were made before
@pytest.mark.parametrize("of", ["DATABASE", "ROLE"])
def test_a_commit_that_is_answered_before_it_is_durable_is_refused_wherever_it_was_set(
    postgres_url: str, of: str
) -> None:
    name = parts_of(postgres_url)["dbname"]
    with psycopg.connect(postgres_url, autocommit=True) as link:
        user = link.info.user
        whose = f'DATABASE "{name}"' if of == "DATABASE" else f'ROLE "{user}" IN DATABASE "{name}"'
        link.execute(f"ALTER {whose} SET synchronous_commit = off")
        with pytest.raises(BadConfiguration, match="synchronous_commit = off"):
            open_store(postgres_url, 0)
        link.execute(f"ALTER {whose} RESET synchronous_commit")
    open_store(postgres_url, 0).close()


# --- its schema -------------------------------------------------------------------------------------------------------


@pytest.fixture
def link(empty_postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(empty_postgres_url, autocommit=True) as made:
        yield made


def test_a_database_that_has_to_be_there_is_not_made(
    empty_postgres_url: str, link: psycopg.Connection
) -> None:
    with pytest.raises(StoreUnavailable, match=r"There is no watchbell in .* yet"):
        open_store(empty_postgres_url, 0, create=False)
    assert link.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'watchbell'").fetchall() == []


def test_the_tables_lie_in_a_schema_of_their_own_beside_those_of_the_application(
    empty_postgres_url: str, link: psycopg.Connection
) -> None:
    link.execute("CREATE TABLE job (mine TEXT); CREATE TABLE meta (mine TEXT)")
    store = open_store(empty_postgres_url, 7)
    assert store.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'created_at'")) == "7"
    assert store.write(lambda tx: tx.value(NUMBERS)) == 0
    store.close()
    other = open_store(with_options(empty_postgres_url, schema="bells"), 8)
    assert other.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'created_at'")) == "8"
    other.close()
    assert link.execute("SELECT count(*) FROM job").fetchone() == (0,)
    again = open_store(empty_postgres_url, 9, create=False)
    assert again.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'created_at'")) == "7"
    again.close()


def test_a_schema_with_somebody_elses_tables_is_refused_and_stays_as_it_is(
    empty_postgres_url: str, link: psycopg.Connection
) -> None:
    link.execute("CREATE SCHEMA watchbell; CREATE TABLE watchbell.meta (key TEXT, value TEXT)")
    with pytest.raises(StoreCorrupt, match="holds tables that are not watchbell's: name another one"):
        open_store(empty_postgres_url, 0)
    tables = link.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'watchbell'").fetchall()
    assert tables == [("meta",)]


def test_a_schema_of_a_newer_watchbell_is_refused_and_stays_as_it_is(postgres_url: str) -> None:
    later = str(newest() + 1)
    with psycopg.connect(postgres_url, autocommit=True) as link:
        link.execute("UPDATE watchbell.meta SET value = %s WHERE key = 'schema'", (later,))
        with pytest.raises(SchemaTooNew, match=rf"has schema {later}, .*knows up to {newest()}\."):
            open_store(postgres_url, 0)
        assert link.execute("SELECT value FROM watchbell.meta WHERE key = 'schema'").fetchone() == (later,)


def test_processes_that_open_a_new_database_at_once_make_one_schema(empty_postgres_url: str) -> None:
    found: list[object] = []

    def begin() -> None:
        try:
            store = open_store(empty_postgres_url, 1)
            found.append(store.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'database_id'")))
            store.close()
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert len(set(map(str, found))) == 1
    assert isinstance(found[0], str)
