"""What a test gets that asks for PostgreSQL or PgBouncer, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.postgres import at_hand
from tests.postgres.databases import Databases
from tests.postgres.fixtures import Bouncer
from tests.postgres.urls import parts_of

ROOT = Path(__file__).resolve().parents[2]

TWO_TESTS = """
def test_needs_it(empty_postgres_url): pass
def test_needs_it_as_well(pgbouncer_url): pass
def test_needs_nothing(): pass
"""


NO_BOUNCER = """
from tests.postgres import at_hand
at_hand.SYSTEM_FOLDERS = ()
"""

THROUGH_IT = """
import psycopg, pytest

def made_up(url):
    with psycopg.connect(url) as link:
        return link.info.backend_pid != link.execute("SELECT pg_backend_pid()").fetchone()[0]

def test_by_way_of_it(postgres_url): assert made_up(postgres_url)
def test_by_way_of_it_as_well(empty_postgres_url): assert made_up(empty_postgres_url)
def test_listens_at_the_server(listening_url): assert "?listen=" in listening_url
@pytest.mark.direct
def test_about_the_server_itself(postgres_url): raise AssertionError
def test_asks_for_both_ways(postgres_url, pgbouncer): raise AssertionError
def test_needs_nothing(): raise AssertionError
"""


def run_pytest(
    folder: Path, *options: str, text: str = TWO_TESTS, **environment: str
) -> subprocess.CompletedProcess[str]:
    page = folder / "test_page.py"
    page.write_text(text, encoding="utf-8")
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            *options,
            str(page),
        ],
        cwd=ROOT,
        env={**os.environ, at_hand.NAMED: "none", at_hand.WITHOUT: "the cellar is empty", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("processes", ["0", "1"])
def test_without_a_server_tests_are_skipped_and_the_summary_says_why(tmp_path: Path, processes: str) -> None:
    reply = run_pytest(tmp_path, f"-n{processes}")
    assert reply.returncode == 0, reply.stdout + reply.stderr
    assert "2 skipped: no service PostgreSQL: the cellar is empty" in reply.stdout.splitlines()
    assert "1 passed, 2 skipped" in reply.stdout


def test_required_services_that_are_missing_are_failures(tmp_path: Path) -> None:
    reply = run_pytest(tmp_path, "-n0", "--require-services")
    assert reply.returncode == 1, reply.stdout + reply.stderr
    assert "no service PostgreSQL: the cellar is empty" in reply.stdout
    assert "1 passed, 2 errors" in reply.stdout


def test_through_pgbouncer_only_what_gets_there_is_carried_out(
    tmp_path: Path, postgres: Databases, pgbouncer: Bouncer
) -> None:
    there = {at_hand.NAMED: postgres.server}
    reply = run_pytest(tmp_path, "-n0", "--through-pgbouncer", text=THROUGH_IT, **there)
    assert "3 passed, 3 deselected" in reply.stdout, reply.stdout + reply.stderr


@pytest.mark.parametrize("required", [False, True])
def test_without_pgbouncer_what_leads_through_it_is_skipped_with_the_reason_or_fails_where_it_is_required(
    required: bool, tmp_path: Path, postgres: Databases
) -> None:
    there = {at_hand.NAMED: postgres.server, "PATH": str(tmp_path)}
    options = ["-n0", "--through-pgbouncer", *(["--require-services"] if required else [])]
    reply = run_pytest(tmp_path, *options, text=NO_BOUNCER + THROUGH_IT, **there)
    said = "no service PgBouncer: it is not on this machine"
    assert said in reply.stdout, reply.stdout + reply.stderr
    assert ("3 errors" if required else f"3 skipped: {said}") in reply.stdout
    assert reply.returncode == int(required)


def test_the_url_of_a_test_is_found_nowhere_in_the_environment(empty_postgres_url: str) -> None:
    assert at_hand.NAMED not in os.environ
    psycopg.connect(empty_postgres_url).close()


def test_a_store_that_was_used_is_lent_again_with_nothing_in_it(postgres: Databases) -> None:
    from watchbell.store.open import open_store

    seen = set()
    for _ in range(2):
        with postgres.lend() as url:
            store = open_store(url, 0, create=False)
            try:
                names = store.read(lambda tx: tx.rows("SELECT name FROM workspace"))
                store.write(
                    lambda tx: tx.run("INSERT INTO workspace (id, name, created_at) VALUES (7, 'mine', 0)")
                )
            finally:
                store.close()
            with psycopg.connect(url) as link:
                oid = "SELECT oid FROM pg_database WHERE datname = current_database()"
                seen.add(link.execute(oid).fetchone())
        assert [tuple(row) for row in names] == [("default",)]
    assert len(seen) == 1


def test_through_pgbouncer_a_connection_has_its_backend_only_for_a_transaction(
    postgres: Databases, pgbouncer: Bouncer
) -> None:
    with (
        postgres.lend(empty=True) as url,
        psycopg.connect(pgbouncer.through(url), autocommit=True) as one,
        psycopg.connect(pgbouncer.through(url), autocommit=True) as other,
    ):
        who = "SELECT pg_backend_pid(), current_database()"
        first = one.execute(who).fetchone()
        with other.transaction():
            assert other.execute(who).fetchone() == first
            assert one.execute(who).fetchone() != first
        assert first is not None
        assert first[1] == parts_of(url)["dbname"]


def test_through_pgbouncer_nobody_comes_without_a_password(postgres: Databases, pgbouncer: Bouncer) -> None:
    parts = parts_of(pgbouncer.through(postgres.server))
    bare = f"host={parts['host']} port={parts['port']} user={parts['user']} dbname={parts['dbname']}"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"{bare} passfile=/nowhere")


def test_a_database_that_was_used_through_pgbouncer_is_clean_for_the_next(
    postgres: Databases, pgbouncer: Bouncer
) -> None:
    for _ in range(3):
        with postgres.lend(empty=True) as url, psycopg.connect(pgbouncer.through(url)) as link:
            link.execute("CREATE TABLE mine (id bigint)")
