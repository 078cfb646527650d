"""`enqueue(tx=…)`: from whatever an application calls its transaction to the psycopg connection under it.

On PostgreSQL the wish becomes a row in that very transaction: it is there when the caller's own rows are, or neither is.
Nothing of SQLAlchemy, Django or psycopg is imported here unless the application has done so; an object of theirs can
only exist where its package is loaded.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..errors import BadArguments
from ..store.base import Store
from ..store.runs import Enqueued, Wish
from . import checks

if TYPE_CHECKING:
    import psycopg

NOT_ON_SQLITE = (
    "enqueue(tx=…) needs PostgreSQL: on SQLite the ledger is a file of its own, which no transaction of yours can include. "
    "Write the wish into an outbox table of your application in that transaction, and let a source read it "
    "(@bell.source); or enqueue after the commit."
)
_TAKEN = (
    "tx takes a connection or cursor of psycopg 3, a Session or Connection of SQLAlchemy on psycopg 3, or a connection of "
    "Django or its alias"
)


def enqueue_joined(store: Store, tx: Any, wish: Wish) -> Enqueued:
    """Ask for a run within the caller's own transaction. Raises BadArguments, KeyTaken."""
    if store.dialect != "postgresql":
        raise BadArguments(NOT_ON_SQLITE)
    from ..store.postgres.store import PostgresStore
    from ..store.postgres.within import enqueue_within

    assert isinstance(store, PostgresStore)
    connection = raw_connection(tx)
    import psycopg.errors as refusals

    try:
        return enqueue_within(connection, store.address, wish, store.is_at)
    except (
        refusals.InvalidSchemaName,
        refusals.UndefinedTable,
        refusals.InsufficientPrivilege,
        refusals.ReadOnlySqlTransaction,
    ) as error:
        raise BadArguments(
            f"The transaction of tx cannot write into the ledger {store.where} ({str(error).splitlines()[0]}), and can only be "
            "rolled back now: it has to be in the same database, by a user who may, and not read-only."
        ) from error


def raw_connection(tx: Any) -> psycopg.Connection[Any]:
    """The psycopg connection on which `tx` has its transaction, open or about to be opened by its next statement. It is the
    caller's: it is never committed, rolled back or closed here. Raises BadArguments, which says what to give instead."""
    if isinstance(tx, str):
        found = _of_django(_django_connection(tx))
    elif hasattr(tx, "vendor") and hasattr(tx, "in_atomic_block"):
        found = _of_django(tx)
    elif _is(tx, "sqlalchemy"):
        found = _of_sqlalchemy(tx)
    else:
        found = _of_psycopg(tx)
    connection: psycopg.Connection[Any] = _in_transaction(found)
    return connection


# --- who it is --------------------------------------------------------------------------------------------------------


def _is(value: object, package: str) -> bool:
    return any(kind.__module__.partition(".")[0] == package for kind in type(value).__mro__)


def _named(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__.partition('.')[0]}'s {kind.__qualname__}"


def _of_psycopg(tx: Any) -> Any:
    """A connection, or that of a cursor."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None:
        if isinstance(tx, psycopg.Cursor):
            return tx.connection
        if isinstance(tx, psycopg.Connection):
            return tx
        if isinstance(tx, psycopg.AsyncConnection | psycopg.AsyncCursor):
            raise BadArguments(
                f"tx is {_named(tx)}: an async connection belongs to its event loop. Enqueue in a synchronous transaction, "
                "such as psycopg.connect(); or enqueue after the commit."
            )
    if _is(tx, "psycopg2") or _is(tx, "asyncpg") or _is(tx, "sqlite3") or _is(tx, "pg8000"):
        raise BadArguments(f"tx is {_named(tx)}, which is another driver: {_TAKEN}.")
    raise BadArguments(f"tx is {checks.shown(tx)}: {_TAKEN}.")


def _of_sqlalchemy(tx: Any) -> Any:
    """A Session (also a scoped one) or a Connection."""
    from sqlalchemy import Connection  # it is there: `tx` is of it
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.orm import Session, scoped_session

    try:
        if isinstance(tx, scoped_session):
            tx = tx()
        if isinstance(tx, Session):
            tx = tx.connection()
        if not isinstance(tx, Connection):
            raise BadArguments(
                f"tx is {_named(tx)}, which is no transaction of this thread: give the (synchronous) Session or Connection."
            )
        if not tx.in_transaction():
            tx.begin()  # as its own first statement would: what it has not begun it would not commit either
        found = tx.connection.driver_connection
    except SQLAlchemyError as error:
        raise BadArguments(
            f"tx is {_named(tx)}, which gives no connection ({str(error).splitlines()[0]}): give the Connection whose "
            "transaction it is."
        ) from error
    return _of_psycopg(found)


def _django_connection(alias: str) -> Any:
    if "django.db" not in sys.modules:
        raise BadArguments(
            f"tx is {checks.shown(alias)}, an alias of Django's, which is not in use here: {_TAKEN}."
        )
    from django.db import connections

    if alias not in connections.settings:
        raise BadArguments(
            f"settings.DATABASES has no {checks.shown(alias)}; it has {', '.join(connections.settings)}."
        )
    return connections[alias]


def _of_django(tx: Any) -> Any:
    """A connection of Django's, in whichever driver."""
    name = f"Django's database {tx.alias!r}"
    if tx.vendor != "postgresql":
        raise BadArguments(f"{name} is {tx.vendor}; a transaction that the ledger joins is on PostgreSQL.")
    if tx.needs_rollback:
        raise BadArguments(
            f"The transaction of {name} is broken and will be rolled back: enqueue in one that can commit."
        )
    if not tx.in_atomic_block and tx.get_autocommit():
        raise BadArguments(f"{name} is in no transaction: write `with transaction.atomic():` around it.")
    tx.ensure_connection()
    return _of_psycopg(tx.connection)


# --- how it stands ----------------------------------------------------------------------------------------------------


def _in_transaction(found: Any) -> Any:
    from psycopg.pq import TransactionStatus

    status = found.info.transaction_status
    if found.closed or status == TransactionStatus.UNKNOWN:
        raise BadArguments("The connection that tx stands for is closed.")
    if status == TransactionStatus.INERROR:
        raise BadArguments(
            "The transaction of tx has failed and can only be rolled back: enqueue in one that can commit."
        )
    if status == TransactionStatus.IDLE and found.autocommit:
        raise BadArguments(
            "The connection that tx stands for commits every statement by itself (autocommit), so there is no transaction "
            "to join: write `with connection.transaction():` around it."
        )
    return found
