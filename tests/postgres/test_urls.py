"""However a server was named, tests have one form of URL with everything in it."""

from __future__ import annotations

import psycopg
import pytest

from tests.postgres.databases import Databases
from tests.postgres.urls import parts_of, url_of, whole, with_database


@pytest.mark.parametrize(
    ("conninfo", "url"),
    [
        ("host=localhost port=5433 user=a dbname=b", "postgresql://a@localhost:5433/b"),
        ("host=/var/run/postgresql user=a dbname=b", "postgresql://a@/b?host=%2Fvar%2Frun%2Fpostgresql"),
        ("host=::1 dbname=b", "postgresql://[::1]/b"),
        ("postgresql://a:p%40ss%2Fw@h/b?sslmode=require", "postgresql://a:p%40ss%2Fw@h/b?sslmode=require"),
        ("host=h user=a dbname='a b' options='-c x=y z'", "postgresql://a@h/a%20b?options=-c%20x%3Dy%20z"),
    ],
)
def test_a_url_says_the_same_as_what_it_was_made_of(conninfo: str, url: str) -> None:
    assert url_of(parts_of(conninfo)) == url
    assert parts_of(url) == parts_of(conninfo)


def test_another_database_changes_nothing_else() -> None:
    assert with_database("postgresql://a:b@/c?host=%2Ftmp", "d") == "postgresql://a:b@/d?host=%2Ftmp"


def test_a_whole_url_needs_nothing_from_the_environment(
    postgres: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(postgres.server)
    for name, key in (("PGUSER", "user"), ("PGPASSWORD", "password"), ("PGPORT", "port")):
        monkeypatch.setenv(name, parts.get(key, ""))
    short = f"host={parts['host']} dbname={parts['dbname']}"
    with psycopg.connect(short) as link:
        url = whole(short, link)
    for name in ("PGUSER", "PGPASSWORD", "PGPORT"):
        monkeypatch.delenv(name)
    assert {**parts_of(url), "password": ""} == {**parts, "password": ""}
    psycopg.connect(url).close()
