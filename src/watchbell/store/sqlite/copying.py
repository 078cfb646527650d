"""A copy of a database that is in use: made by SQLite's own backup, checked whole, and only then given its name."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ...errors import StoreCorrupt, StoreForbidden, StoreFull, StoreUnavailable
from . import SqliteStore
from .errors import translated
from .soundness import check_copy
from .unfinished import in_the_making, sweep

Progress = Callable[[int, int], None]


def copy_to(
    store: SqliteStore, target: Path, progress: Progress | None = None, schema: int | None = None
) -> None:
    """Copy the database to `target`, which is replaced. With `schema` nothing is done if the copy has another one:
    somebody else has brought the database up meanwhile. Raises StoreError and its kinds."""
    with fresh_file(target) as made:
        store.backup(made, progress)
        check_copy(made)
        if schema is None or schema_of(made) == schema:
            put_in_place(made, target)


def copy_of(source: Path, made: Path) -> None:
    """Copy the database file at `source`, whoever uses it, into the fresh file `made`."""
    try:
        conn = _open_for_copying(source)
        try:
            copy = apsw.Connection(str(made))
            try:
                with copy.backup("main", conn, "main") as job:
                    while not job.done:
                        job.step(-1)
            finally:
                copy.close()
        finally:
            conn.close()
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreCorrupt(f"{source} is no sound watchbell database: {error}.") from error
    except apsw.Error as error:
        raise translated(error, str(made)) from error


def schema_of(path: Path) -> int:
    """The number of the schema of a file that nobody uses."""
    conn = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        return int(conn.pragma("user_version"))
    finally:
        conn.close()


@contextmanager
def fresh_file(target: Path) -> Iterator[Path]:
    """An empty file beside `target`, for its user alone; what is left of it in the end is removed, and so is what others
    were killed over before."""
    sweep(target)
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(in_the_making(made))
            os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), 0o600))
        except OSError as error:
            raise _no_file(made.parent, error) from error
        yield made


def put_in_place(made: Path, target: Path) -> None:
    """Give a finished file its name, durably."""
    try:
        _sync(made)
        os.replace(made, target)
        _sync(target.parent)
    except OSError as error:
        raise _no_file(target.parent, error) from error


def _open_for_copying(source: Path) -> apsw.Connection:
    """As a database in use is opened; where its folder cannot be written, as a file that nobody changes."""
    try:
        conn = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
        conn.set_busy_timeout(10_000)
        conn.pragma("user_version")
        return conn
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        return apsw.Connection(
            f"{source.absolute().as_uri()}?immutable=1",
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
        )


def _sync(path: Path) -> None:
    with contextlib.suppress(PermissionError, IsADirectoryError):  # a folder cannot be opened everywhere
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _no_file(folder: Path, error: OSError) -> StoreUnavailable | StoreFull:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"There is no room left in {folder}: free some disk space; nothing was changed.")
    return StoreForbidden(
        f"No file can be made in {folder} ({error.strerror}): it must exist, and this user must be able to write there."
    )
