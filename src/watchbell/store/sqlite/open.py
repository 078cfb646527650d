"""From a URL to an open store with a schema that this code knows."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...errors import BadConfiguration, StoreForbidden, StoreUnavailable
from . import SqliteStore, refuse_network_file_system
from .migrate import migrate

POSTGRESQL = "postgresql://user:password@host:5432/database"
FORMS = (
    "sqlite:///relative.db, sqlite:////absolute/path.db, a plain path, sqlite:// for a database in memory, "
    f"or {POSTGRESQL}"
)
_CONNECTION_STRING = re.compile(r"(^|\s)(dbname|host|hostaddr|service)\s*=")


def parse_url(url: str) -> Path | None:
    """The file a database URL names; None for one in memory. BadConfiguration says which forms there are."""
    if "://" not in url:
        if not url.strip():
            raise BadConfiguration(f"The database URL is empty; write {FORMS}.")
        if _CONNECTION_STRING.search(url):  # which may hold a password
            raise BadConfiguration(
                f"The database is given as a connection string of PostgreSQL; write it as a URL: {POSTGRESQL}."
            )
        if url == ":memory:" or url.startswith(("sqlite:", "file:", "postgresql:", "postgres:")):
            raise BadConfiguration(
                f"{_echoed(url)} is no form of a database that is known here; write {FORMS}."
            )
        return _path(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadConfiguration(f"{_echoed(url)} is no URL ({error}); write {FORMS}.") from error
    if parts.scheme != "sqlite":
        raise BadConfiguration(
            f"{parts.scheme[:40]}:// is not a database this watchbell can use; write {FORMS}."
        )
    if parts.netloc:
        raise BadConfiguration(f"{_echoed(url)} names a host; SQLite is a file: write {FORMS}.")
    path = unquote(parts.path)
    return None if path in ("", "/", "/:memory:") else _path(path[1:])


def _path(text: str) -> Path:
    """The path, once the system can look for it at all."""
    path = Path(text)
    try:
        if "\0" in text:
            raise ValueError("it holds a NUL character")
        path = path.expanduser()
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise StoreForbidden(f"{_echoed(text)} cannot be used as a database: {why}.") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a folder has a sentence of its own
        raise StoreForbidden(f"{path} is no regular file (a pipe, a device or a socket); name another one.")
    return path


def _echoed(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def open_store(
    url: str, now: int, *, create: bool = True, breathe: Callable[[], None] | None = None
) -> SqliteStore:
    """Open the database behind `url`, create it if it is missing and `create`, and bring its schema up."""
    path = parse_url(url)
    if path is not None:
        path = path.absolute()
        if path.is_dir():
            raise StoreForbidden(f"{path} is a folder; name a file in it, such as {path / 'watchbell.db'}.")
        if not path.parent.is_dir():
            raise StoreForbidden(
                f"The folder {path.parent} does not exist: create it, or name another database."
            )
        if not create and not path.exists():
            raise StoreUnavailable(f"There is no database at {path}; `watchbell serve` creates one.")
        refuse_network_file_system(path)
        _make_private(path)
    store = SqliteStore(path, breathe=breathe)
    try:
        if migrate(store, now):
            store.checkpoint()  # from here on a file that has lost its log is no empty database
        _carry_out_a_restore(store)
    except BaseException:
        store.close()
        raise
    return store


def _carry_out_a_restore(store: SqliteStore) -> None:
    """Whoever opens a restored database first does what the restore owes (store/sqlite/restoring.py)."""
    if store.in_memory or not store.read(lambda tx: tx.row("SELECT 1 FROM meta WHERE key = 'restore_owed'")):
        return
    from .restoring import carry_out

    carry_out(store)


def _make_private(path: Path) -> None:
    """Create a database's file for its user alone, before the first connection to it: what SQLite puts beside it later
    has the same mode. An existing file is left as it is, and never opened here."""
    if path.exists():
        return
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreForbidden(
            f"{path} cannot be created ({error.strerror}): give this user write permission on the folder."
        ) from error
