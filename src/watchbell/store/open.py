"""From a URL to an open store with a schema that this code knows."""

from __future__ import annotations

from collections.abc import Callable

from .base import Store

POSTGRES = ("postgresql://", "postgres://")


def is_postgres(url: str) -> bool:
    """Whether a database URL names a database on a PostgreSQL server."""
    return url.startswith(POSTGRES)


def where_of(url: str) -> str:
    """A database on a server by its name for people, without its password. Raises BadConfiguration."""
    from .postgres.open import unopened

    store = unopened(url)
    store.close()
    return store.where


def open_store(
    url: str, now: int, *, create: bool = True, breathe: Callable[[], None] | None = None
) -> Store:
    """Open the database behind `url`, make what is missing of it if `create`, and bring its schema up.

    `now` is the wall clock's instant, for a database that is made now. Raises BadConfiguration, StoreError.
    """
    if is_postgres(url):
        from .postgres.open import open_store as open_postgres

        return open_postgres(url, now, create=create)
    from .sqlite.open import open_store as open_sqlite

    return open_sqlite(url, now, create=create, breathe=breathe)
