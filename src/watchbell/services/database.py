"""Which database is meant, and opening it: the one door of the front rooms to a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput, StoreUnavailable
from ..store.base import Store as Store  # noqa: PLC0414  those in front take it from here
from ..store.open import is_postgres, open_store, where_of
from ..store.sqlite import SqliteStore, refuse_network_file_system, soundness
from ..store.sqlite.migrate import check, kept_copy, migrate, newest
from ..store.sqlite.open import parse_url

VARIABLE = "WATCHBELL_DATABASE_URL"
FILE = "watchbell.db"
IN_MEMORY = "in memory"


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration has done."""

    database: str
    before: int
    after: int
    applied: tuple[str, ...]
    kept: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "database": self.database,
            "before": self.before,
            "after": self.after,
            "applied": list(self.applied),
            "kept": self.kept,
        }


@dataclass(frozen=True, slots=True)
class Sound:
    """A database that was checked and is sound."""

    database: str
    schema: int
    whole: bool

    @property
    def sentence(self) -> str:
        """For people."""
        how = "every page, every index and every table" if self.whole else "its structure"
        return f"{self.database} is sound: {how} was checked. It has schema {self.schema}."

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"database": self.database, "sound": True, "whole": self.whole, "schema": self.schema}


def choose(given: str | None, environment: Mapping[str, str], folder: Path, state: Callable[[], Path]) -> str:
    """The database that is meant: the one given, else the environment's, else `watchbell.db` in this folder if it is
    there, else the one in the user's state folder."""
    if given is not None:
        return given
    if url := environment.get(VARIABLE, "").strip():
        return url
    here = folder / FILE
    return str(here if here.exists() else state() / FILE)


def shown(url: str) -> str:
    """The database as it is printed: the absolute path of its file, or the server's URL without its password."""
    if is_postgres(url):
        return where_of(url)
    path = parse_url(url)
    return IN_MEMORY if path is None else str(path.absolute())


def exists(url: str) -> bool:
    """Whether there is a file behind the URL; what a server has is known once it was asked."""
    if is_postgres(url):
        return True
    path = parse_url(url)
    return path is not None and path.exists()


def refuse_server(url: str, what: str) -> None:
    """Raise BadInput for a database on a server, which has no file: `what` says what to do instead."""
    if is_postgres(url):
        raise BadInput(f"{where_of(url)} is on a server and has no file of its own: {what}")


def must_exist(url: str) -> None:
    """Raise StoreUnavailable where there is no database yet; reading never creates one."""
    if shown(url) != IN_MEMORY and not exists(url):
        raise StoreUnavailable(
            f"There is no database at {shown(url)} yet; `watchbell serve` or `watchbell schedule add` creates it, "
            "--database names another one."
        )


def make_folder(folder: Path) -> None:
    """Create watchbell's own folder for its user alone. StoreUnavailable says why it cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"The folder {folder} for the database cannot be created ({error.strerror}): name another one with "
            "--database."
        ) from error


def open_database(url: str, now: int, *, create: bool = True) -> Store:
    """Open the database, and create it if it is missing and `create`. Raises StoreError and its kinds."""
    return open_store(url, now, create=create)


def migrate_database(url: str, now: int) -> Migrated:
    """Bring the schema up to what this watchbell knows; creates the database if it is missing."""
    if is_postgres(url):
        return _migrate_server(url, now)
    path = parse_url(url)
    if path is not None and path.exists() and not path.is_dir():
        path = path.absolute()
        refuse_network_file_system(path)
        store = SqliteStore(path)
        try:
            before = check(store)
            applied = tuple(migrate(store, now))
            kept = str(kept_copy(path, before)) if applied and before else None
            return Migrated(shown(url), before, newest(), applied, kept)
        finally:
            store.close()
    open_store(url, now).close()
    return Migrated(shown(url), 0, newest(), ("created",))


def _migrate_server(url: str, now: int) -> Migrated:
    from ..store.postgres.migrate import check, migrate, newest
    from ..store.postgres.open import unopened

    store = unopened(url)
    try:
        before = check(store)
        applied = tuple(migrate(store, now))
        return Migrated(store.where, before, newest(), applied if before else ("created",))
    finally:
        store.close()


def check_database(url: str, *, quick: bool = False) -> Sound:
    """Check the file behind `url`, which may be in use: its structure (`quick`), or the whole of it. StoreCorrupt says
    what is damaged and what to do."""
    refuse_server(url, "its soundness is the server's to check, such as with pg_amcheck.")
    path = parse_url(url)
    store = SqliteStore(None if path is None else path.absolute())
    try:
        schema = check(store)
        if quick:
            soundness.look(store, None)
        else:
            soundness.check_whole(store)
        return Sound(shown(url), schema, not quick)
    finally:
        store.close()
