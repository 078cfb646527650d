"""What PostgreSQL says, as the errors of the house: a closed set, each a sentence that says what to do."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors

from ...errors import StoreError, StoreForbidden, StoreFull, StoreUnavailable

GONE: tuple[type[psycopg.Error], ...] = (psycopg.OperationalError, psycopg.InterfaceError)
"""The connection, or the server, is not there (any more)."""
_FULL = (errors.DiskFull, errors.OutOfMemory)
_FORBIDDEN = (errors.InsufficientPrivilege, errors.InvalidPassword, errors.InvalidAuthorizationSpecification)
_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)
_NO_DATABASE = re.compile(r'database ".*" does not exist')
_NOT_LET_IN = re.compile(
    r'role ".*" does not exist|authentication failed|no password supplied|no pg_hba.conf entry'
)


def translated(error: psycopg.Error, where: str) -> StoreError:
    """The error of the house for one of PostgreSQL's, met at the database `where`."""
    said = _first_line(error)
    if isinstance(error, _FULL):
        return StoreFull(f"The server of {where} has no room left ({said}): free some; nothing was changed.")
    if isinstance(error, _FORBIDDEN) or _refused(error, _NOT_LET_IN):
        return StoreForbidden(f"The server of {where} does not let this user do that ({said}).")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StoreUnavailable(
            f"The database {where} takes no writes at the moment ({said}): it is a stand-by of another server, or was set "
            "read only."
        )
    if isinstance(error, errors.InvalidCatalogName) or _refused(error, _NO_DATABASE):
        return StoreUnavailable(f"There is no such database ({said}): `createdb` makes one, or name another.")
    if isinstance(error, errors.LockNotAvailable):
        return StoreUnavailable(
            f"Somebody else has been writing to {where} for too long ({said}); try again."
        )
    if isinstance(error, errors.QueryCanceled):
        return StoreUnavailable(f"The server of {where} ended a statement that took too long ({said}).")
    if isinstance(error, errors.IdleInTransactionSessionTimeout):
        return StoreUnavailable(
            f"The server of {where} ended a transaction in which this process had stood still ({said}); nothing was changed."
        )
    if isinstance(error, _AGAIN):
        return StoreUnavailable(f"The server of {where} took back a transaction ({said}); try again.")
    if isinstance(error, GONE) and not _too_much(error):
        return StoreUnavailable(f"The database {where} cannot be reached: {said}.")
    return StoreError(f"The database {where} refused a statement: {said}.")


def may_try_again(error: psycopg.Error) -> bool:
    """Whether the same transaction may well succeed if it is carried out once more."""
    return isinstance(error, _AGAIN)


def _refused(error: psycopg.Error, why: re.Pattern[str]) -> bool:
    """Whether a connection was refused for that: there is no code for it then, only the server's words."""
    return (
        isinstance(error, psycopg.OperationalError)
        and error.sqlstate is None
        and bool(why.search(str(error)))
    )


def _too_much(error: psycopg.Error) -> bool:
    """Whether the server stands, and a statement asks for more than it can do: a value too long for an index, say."""
    return (error.sqlstate or "").startswith("54")


def _first_line(error: psycopg.Error) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
