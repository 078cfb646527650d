"""Putting a backup in a database's place, so that nothing which ran after it was made runs again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.instants import SECOND, human_age, to_text
from ..errors import BadInput, Conflict, NotFound, SchemaTooNew, StoreCorrupt, StoreError, StoreForbidden
from ..store.sqlite import SqliteStore, mark, refuse_network_file_system, restoring
from ..store.sqlite.copying import copy_of, fresh_file, put_in_place, schema_of
from ..store.sqlite.lock import EngineLock
from ..store.sqlite.migrate import check, kept_copy, migrate, newest
from ..store.sqlite.open import parse_url
from ..store.sqlite.replacing import put_aside, put_back
from ..store.sqlite.soundness import check_copy
from .backup import stamp
from .database import refuse_server


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has done: the file that was there before is at `kept` (None: there was none). What fell due from
    `newest_at` to `at` is unknown to the backup. `ended` live rows of it have ended (None: whoever opens it next sees to
    that)."""

    database: str
    file: str
    kept: str | None
    newest_at: int
    at: int
    schema: int
    ended: int | None

    @property
    def sentence(self) -> str:
        """For people."""
        gap = human_age(max(SECOND, self.at - self.newest_at))
        kept = "" if self.kept is None else f" The file that was there is {self.kept}."
        return (
            f"{self.database} is what {self.file} was, which knows nothing of the last {gap} (from {to_text(self.newest_at)} on): "
            f"what fell due then is `missed: restored` and does not run again.{kept}"
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "database": self.database,
            "file": self.file,
            "kept": self.kept,
            "knows_until": to_text(self.newest_at),
            "restored_at": to_text(self.at),
            "schema": self.schema,
            "ended": self.ended,
            "sentence": self.sentence,
        }


def restore(file: Path, url: str, *, now: int) -> Restored:
    """Put the backup `file` in the place of the database behind `url`, and keep what is there under a dated name.

    Conflict while an engine holds the database's lock, or another process has it open; StoreCorrupt if the backup is not
    sound. Then nothing is changed.
    """
    return _restore(file, _place(url), now, bring_up=True)


def migrate_back(url: str, *, now: int) -> Restored:
    """Put the copy in place that was made before the last migration: for a watchbell of that time, which is to be
    installed before anything opens the database again. NotFound if there is no such copy; Conflict as for `restore`."""
    path = _place(url)
    if not path.is_file():
        raise NotFound(f"There is no database at {path}.")
    present = schema_of(path)
    found = next((v for v in range(present - 1, 0, -1) if kept_copy(path, v).is_file()), None)
    if found is None:
        raise NotFound(
            f"There is no copy of {path} from before its schema {present}: one is made beside it when a newer watchbell "
            f"brings it up, as {kept_copy(path, present - 1).name}."
        )
    return _restore(kept_copy(path, found), path, now, bring_up=False)


def _place(url: str) -> Path:
    refuse_server(
        url,
        "stop every node, put a dump back with pg_restore, then `watchbell database restored` says so to watchbell, so "
        "that nothing which ran since runs again.",
    )
    path = parse_url(url)
    if path is None:
        raise BadInput("A database in memory has no file, so that it can be neither backed up nor restored.")
    if path.is_dir():
        raise StoreForbidden(f"{path} is a folder; name a file in it, such as {path / 'watchbell.db'}.")
    if not path.absolute().parent.is_dir():
        raise StoreForbidden(
            f"The folder {path.absolute().parent} does not exist: create it, or name another database."
        )
    return path.absolute()


def _restore(file: Path, path: Path, now: int, bring_up: bool) -> Restored:
    source = file.absolute()
    if not source.is_file():
        raise NotFound(f"There is no file {source}.")
    refuse_network_file_system(path)
    with _alone(path) as lock, fresh_file(path) as made:
        with _named(made, source):
            copy_of(source, made)
            check_copy(made)
            owed, schema, ended = _begin_anew(made, now, source, bring_up)
        kept = put_aside(path, path.with_name(f"{path.name}.before-restore-{stamp(now)}"))
        try:
            put_in_place(made, path)
        except StoreError:
            if kept is not None:
                put_back(kept, path)
            raise
        mark.forget(lock.folder)
    return Restored(
        str(path), str(source), None if kept is None else str(kept), owed.newest_at, owed.at, schema, ended
    )


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[EngineLock]:
    """With the right to act on the database, so that no engine begins meanwhile."""
    lock = EngineLock(path)
    try:
        if not lock.take():
            raise Conflict(
                f"The engine of {path} runs (process {lock.holder()}): stop it, and what stands by for it, then restore."
            )
        yield lock
    finally:
        lock.release()


@contextlib.contextmanager
def _named(made: Path, source: Path) -> Iterator[None]:
    """What is wrong with the copy is wrong with the backup: that is the name its user knows."""
    try:
        yield
    except (StoreCorrupt, SchemaTooNew) as error:
        raise type(error)(str(error).replace(str(made), str(source))) from error


def _begin_anew(
    made: Path, now: int, source: Path, bring_up: bool
) -> tuple[restoring.Restored, int, int | None]:
    store = SqliteStore(made)
    try:
        schema = check(store)
        if schema == 0:
            raise StoreCorrupt(f"{source} is an empty database, and no backup of watchbell's.")
        owed = store.write(lambda tx: restoring.owe(tx, now, str(source)))
        ended = None
        if bring_up:
            if schema < newest():
                migrate(store, now, keep_copy=False)
            ended = restoring.carry_out(store)
        return owed, newest() if bring_up else schema, ended
    finally:
        store.close()
