"""The fixtures that hand out PostgreSQL and PgBouncer, and what is said where there is none.

    def test_…(postgres_url: str)           a fresh database with watchbell's schema
    def test_…(empty_postgres_url: str)     a fresh database with nothing in it
    def test_…(pgbouncer_url: str)          like the first, through PgBouncer in transaction mode
    def test_…(listening_url: str)          like the first, and where that leads to PgBouncer with `listen`
    def test_…(postgres: Databases)         `with postgres.lend() as url:` for more than one
    def test_…(pgbouncer: Bouncer)          `pgbouncer.through(url)` for both ways into one database

With `--through-pgbouncer` the first two, and the third, lead through PgBouncer, but for tests that are marked `direct` or
ask for `pgbouncer` by themselves.

Without a server a test that asks for one is skipped, with the reason, or fails if there is `--require-services`. Where
the server comes from is in `at_hand`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import quote

import pytest

from tests.postgres import at_hand, keeper
from tests.postgres.databases import Databases
from tests.postgres.urls import parts_of, url_of

_named = pytest.StashKey[tuple[str, str]]()
_URLS = {"postgres_url", "empty_postgres_url", "listening_url"}


def pytest_configure(config: pytest.Config) -> None:
    """Before the tests' own home takes every variable of ours away."""
    config.stash[_named] = (os.environ.get(at_hand.NAMED, ""), os.environ.get(at_hand.WITHOUT, ""))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Through PgBouncer those are left out that do not get there, and counted as deselected."""
    if config.getoption("--through-pgbouncer"):
        left_out = [item for item in items if not _by_way_of_pgbouncer(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _by_way_of_pgbouncer(item)]


def _by_way_of_pgbouncer(item: pytest.Item) -> bool:
    """Whether a test has a lane on PostgreSQL (tests/databases.py) or asks for a URL, and neither goes its own way."""
    if item.get_closest_marker("direct") is not None:
        return False
    asked = set(getattr(item, "fixturenames", ()))
    called = getattr(item, "callspec", None)
    in_lane = called is not None and called.params.get("lane") == "postgresql"
    return in_lane or (bool(asked & _URLS) and not asked & {"pgbouncer", "pgbouncer_url"})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each service that was missing, whatever -r says."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)]
    missing = Counter(
        reason.removeprefix("Skipped: ") for reason in reasons if reason.startswith("Skipped: no service ")
    )
    for reason, number in missing.items():
        terminalreporter.write_line(f"{number} skipped: {reason}", yellow=True)


def without(config: pytest.Config, service: str, reason: str) -> NoReturn:
    """The end of a test that needs what is not there."""
    sentence = f"no service {service}: {reason}"
    if config.getoption("--require-services"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[Databases]:
    """The server, from which this process of tests borrows databases."""
    named, reason = pytestconfig.stash[_named]
    if named == at_hand.NONE:
        without(pytestconfig, "PostgreSQL", reason or f"{at_hand.NAMED} says so")
    url = at_hand.usable(named) if named else at_hand.answering()
    if not url:
        without(
            pytestconfig, "PostgreSQL", "none answers on this machine; `python3 dev.py test` would start one"
        )
    databases = Databases(url, prepare=_schema)
    try:
        yield databases
    finally:
        databases.close()


def _schema(url: str) -> None:
    from watchbell.store.open import open_store

    open_store(url, 0).close()


def _way(request: pytest.FixtureRequest, url: str) -> str:
    """The URL that the test gets for this database."""
    if not request.config.getoption("--through-pgbouncer") or not _by_way_of_pgbouncer(request.node):
        return url
    bouncer: Bouncer = request.getfixturevalue("pgbouncer")
    return bouncer.through(url)


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres: Databases) -> Iterator[str]:
    """The URL of a fresh database with watchbell's schema in it."""
    with postgres.lend() as url:
        yield _way(request, url)


@pytest.fixture
def empty_postgres_url(request: pytest.FixtureRequest, postgres: Databases) -> Iterator[str]:
    """The URL of a fresh database with nothing in it. It costs ten times as much as the other."""
    with postgres.lend(empty=True) as url:
        yield _way(request, url)


@pytest.fixture
def listening_url(request: pytest.FixtureRequest, postgres: Databases) -> Iterator[str]:
    """The URL of a fresh database with watchbell's schema in it, as the guide says to write it where notifications are to
    be heard: it names the server itself if it leads to a pooler. It is watchbell's alone."""
    with postgres.lend() as url:
        way = _way(request, url)
        yield way if way == url else listening(way, url)


def listening(way: str, server: str) -> str:
    """The URL `way`, with the one of the server itself to listen at."""
    return f"{way}{'&' if '?' in way else '?'}listen={quote(server, safe='')}"


class Bouncer:
    """A real PgBouncer before the server, with its settings as they come, in transaction mode."""

    def __init__(self, url: str) -> None:
        self._way = {name: value for name, value in parts_of(url).items() if name != "dbname"}

    def through(self, url: str) -> str:
        """The URL of the same database by way of PgBouncer."""
        return url_of({**self._way, "dbname": parts_of(url)["dbname"]})


@pytest.fixture(scope="session")
def pgbouncer(pytestconfig: pytest.Config, postgres: Databases) -> Iterator[Bouncer]:
    """PgBouncer before the server of `postgres`."""
    program = at_hand.pgbouncer_program()
    if program is None:
        without(pytestconfig, "PgBouncer", "it is not on this machine (Debian: `apt-get install pgbouncer`)")
    try:
        with keeper.pgbouncer(program, postgres.server) as url:
            yield Bouncer(url)
    except keeper.Trouble as trouble:
        without(pytestconfig, "PgBouncer", str(trouble))


@pytest.fixture
def pgbouncer_url(pgbouncer: Bouncer, postgres_url: str) -> str:
    """The URL of a fresh database with watchbell's schema in it, through PgBouncer."""
    return pgbouncer.through(postgres_url)
