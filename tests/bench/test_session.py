"""What the rows of one run share."""

from __future__ import annotations

import time
from pathlib import Path

from bench.database import POSTGRES, SQLITE
from bench.figures import Figure, Result
from bench.session import Session
from tests.postgres.databases import Databases
from tests.postgres.urls import parts_of


def a_session(folder: Path, result: Result, server: Databases | None = None) -> Session:
    return Session(folder, True, time.monotonic() + 60, result, server, told=False)


def test_a_database_in_a_file_is_gone_afterwards(tmp_path: Path) -> None:
    with a_session(tmp_path, Result({})).database() as database:
        assert database.path is not None
        assert database.on == SQLITE
        database.path.write_text("rows")
    assert list(tmp_path.iterdir()) == []


def test_a_database_on_a_server_is_dropped_afterwards(tmp_path: Path, postgres: Databases) -> None:
    import psycopg

    names = "SELECT datname FROM pg_database"
    with psycopg.connect(postgres.server, autocommit=True) as conn:
        with a_session(tmp_path, Result({}), postgres).database() as database:
            assert (database.on, database.path) == (POSTGRES, None)
            name = parts_of(database.url)["dbname"]
            assert (name,) in conn.execute(names).fetchall()
            left = psycopg.connect(database.url)  # an engine that was killed is still connected for a moment
        assert (name,) not in conn.execute(names).fetchall()
        left.close()


def test_figures_and_limits_of_two_databases_stand_beside_each_other(
    tmp_path: Path, postgres: Databases
) -> None:
    result = Result({})
    for number, session in enumerate(
        (a_session(tmp_path, result), a_session(tmp_path, result, postgres)), start=1
    ):
        key = session.limit("commits", "single rows", float(number), "/s")
        session.add(Figure("burst", "many at once", float(number), "/s", limit=key))
    session.add_common(Figure("cron", "next instants", 3.0, "/s"))
    assert [(figure.on, figure.value) for figure in result.figures] == [
        (SQLITE, 1.0),
        (POSTGRES, 2.0),
        ("", 3.0),
    ]
    assert [result.limits[figure.limit or ""].value for figure in result.figures[:2]] == [1.0, 2.0]
    assert {limit.title for limit in result.limits.values()} == {
        "SQLite: single rows",
        "PostgreSQL: single rows",
    }
