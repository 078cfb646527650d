"""From a URL to an open store on a server that can be trusted, with a schema that this code knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import BadConfiguration, StoreUnavailable

if TYPE_CHECKING:
    from .store import PostgresStore


def open_store(url: str, now: int, *, create: bool = True) -> PostgresStore:
    """Open the database behind `url`, make watchbell's schema in it if it is missing and `create`, and bring it up.
    Raises BadConfiguration, StoreError."""
    store = unopened(url)
    from .migrate import check, migrate
    from .settings import refuse_unsafe

    try:
        refuse_unsafe(store)
        if not create and check(store) == 0:
            raise StoreUnavailable(
                f"There is no watchbell in {store.where} yet; `watchbell serve` makes its tables."
            )
        migrate(store, now)
        store.write(lambda tx: tx.value("SELECT 1"))  # the server's time is known from here on
    except BaseException:
        store.close()
        raise
    return store


def unopened(url: str) -> PostgresStore:
    """The store behind a URL, whatever is there: its server and its schema were not looked at. Raises
    BadConfiguration."""
    try:
        from .address import parse_url
    except ImportError as error:
        raise BadConfiguration(
            "A database on PostgreSQL needs psycopg, which is not installed here: `pip install 'watchbell[postgres]'`."
        ) from error
    from .store import PostgresStore as Made

    return Made(parse_url(url))
