"""Each test of what is kept is carried out twice, on SQLite and on PostgreSQL: what holds for one holds for both.

A folder whose tests are to be carried out so says in its `conftest.py`:

    from tests.databases import lane, pytest_generate_tests

and its tests ask for their databases here. What is SQLite's own (its file, its lock) is marked `sqlite` and carried out
once, as is what is PostgreSQL's own (it is in a file test_postgres…, or asks for a server by itself). Without a server
those on PostgreSQL are skipped, with the reason (tests/postgres). What takes thousands of transactions is marked `many_turns`,
and carried out on PostgreSQL for a release only. The stories of the engine are carried out there with --both, as CI does:
they are hundreds, and a server takes its time for each of their thousands of steps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

from tests.postgres.fixtures import Bouncer
from watchbell.store.base import Store
from watchbell.store.open import open_store


class _Lane:
    """The databases of one test."""

    def __init__(
        self, dialect: str, lend: Callable[[], AbstractContextManager[str]] | None, ends: ExitStack
    ) -> None:
        self.dialect = dialect
        self._lend = lend
        self._ends = ends
        self._at: dict[Path, str] = {}

    def fresh(self) -> str:
        return "sqlite://" if self._lend is None else self._ends.enter_context(self._lend())

    def at(self, path: Path) -> str:
        if self._lend is None:
            return f"sqlite:///{path}"
        if path not in self._at:
            self._at[path] = self.fresh()
        return self._at[path]


_present = _Lane("sqlite", None, ExitStack())


def dialect() -> str:
    """The database that the present test is carried out on."""
    return _present.dialect


def fresh() -> str:
    """The URL of a new database that nobody else has; on SQLite one in memory."""
    return _present.fresh()


def at(path: Path) -> str:
    """The URL of the database that stands at this path: the same one whenever the same test asks."""
    return _present.at(path)


def opened(now: int, path: Path | None = None) -> Store:
    """A new database, or the one at this path, open."""
    return open_store(fresh() if path is None else at(path), now)


def holds_for(
    *strategies: SearchStrategy[Any], sqlite: int, postgresql: int, **named: SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """A property, tried with so many examples here and fewer there: a server is asked, and each is a database of its own."""

    def both(holds: Callable[..., None]) -> Callable[[], None]:
        def test() -> None:
            number = sqlite if dialect() == "sqlite" else postgresql
            settings(max_examples=number)(given(*strategies, **named)(holds))()

        test.__name__, test.__qualname__, test.__doc__ = holds.__name__, holds.__qualname__, holds.__doc__
        return test

    return both


def _whole(config: pytest.Config) -> bool:
    return any(config.getoption(option) for option in ("--both", "--release", "--through-pgbouncer"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Both, but for what is one database's own."""
    of_postgres = "postgres" in metafunc.fixturenames or ".test_postgres" in metafunc.module.__name__
    own = of_postgres or metafunc.definition.get_closest_marker("sqlite") is not None
    if "lane" in metafunc.fixturenames and not own:
        if ".engine." in metafunc.module.__name__ and not _whole(metafunc.config):
            metafunc.parametrize("lane", ["sqlite"], indirect=True, scope="function")
            return
        long = metafunc.definition.get_closest_marker("many_turns") is not None
        server = pytest.param("postgresql", marks=pytest.mark.release) if long else "postgresql"
        metafunc.parametrize("lane", ["sqlite", server], indirect=True, scope="function")


@pytest.fixture(autouse=True)
def lane(request: pytest.FixtureRequest) -> Iterator[str]:
    """The database of this test is the present one; everything of it is gone afterwards."""
    global _present
    before, name = _present, getattr(request, "param", "sqlite")
    with ExitStack() as ends:
        lend = request.getfixturevalue("postgres").lend if name == "postgresql" else None
        if lend is not None and request.config.getoption("--through-pgbouncer"):
            lend = _pooled(lend, request.getfixturevalue("pgbouncer"))
        if lend is not None:
            lend = _closing(lend, ends)
        _present = _Lane(name, lend, ends)
        try:
            yield name
        finally:
            _present = before


def _pooled(
    lend: Callable[[], AbstractContextManager[str]], pgbouncer: Bouncer
) -> Callable[[], AbstractContextManager[str]]:
    """The same databases, by way of the pooler."""

    @contextlib.contextmanager
    def lent() -> Iterator[str]:
        with lend() as url:
            yield pgbouncer.through(url)

    return lent


def _closing(
    lend: Callable[[], AbstractContextManager[str]], ends: ExitStack
) -> Callable[[], AbstractContextManager[str]]:
    """The same, where every store that a test has left open is closed before its database is given back."""
    from watchbell.store.postgres.store import PostgresStore

    patch = ends.enter_context(pytest.MonkeyPatch.context())
    made: list[PostgresStore] = []
    make = PostgresStore.__init__

    def noted(store: PostgresStore, *args: object, **options: object) -> None:
        make(store, *args, **options)  # type: ignore[arg-type]
        made.append(store)

    patch.setattr(PostgresStore, "__init__", noted)

    @contextlib.contextmanager
    def lent() -> Iterator[str]:
        with lend() as url:
            yield url
            while made:
                made.pop().close()

    return lent
