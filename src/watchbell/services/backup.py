"""A backup of a database that is in use: consistent, checked whole, for its user alone, and never half there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.instants import to_text
from ..errors import BadInput, Conflict, StoreUnavailable
from ..store.sqlite import SqliteStore, refuse_network_file_system
from ..store.sqlite.copying import copy_to, fresh_file, put_in_place
from ..store.sqlite.migrate import check
from ..store.sqlite.open import parse_url
from ..store.sqlite.restoring import newest_at
from ..store.sqlite.unfinished import sweep
from .database import refuse_server


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that was made: its file, its size, and the newest instant of which it knows."""

    database: str
    file: str
    size: int
    newest_at: int
    configuration: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "database": self.database,
            "file": self.file,
            "bytes": self.size,
            "knows_until": to_text(self.newest_at),
            "configuration": list(self.configuration),
        }


def file_of(url: str) -> Path:
    """The file of the database that is meant. StoreUnavailable if it is not there, BadInput for one in memory."""
    refuse_server(
        url,
        "pg_dump makes a backup of it while nodes run; whoever puts one back with pg_restore says so with `watchbell "
        "database restored` before a node starts.",
    )
    path = parse_url(url)
    if path is None:
        raise BadInput("A database in memory has no file, so that it can be neither backed up nor restored.")
    if not path.is_file():
        raise StoreUnavailable(f"There is no database at {path.absolute()}; --database names another one.")
    return path.absolute()


def stamp(now: int) -> str:
    """An instant as it stands in a file's name: 20261121T120000Z."""
    return f"{to_text(now)[:19].replace('-', '').replace(':', '')}Z"


def backup(
    url: str,
    file: Path | None,
    *,
    now: int,
    force: bool = False,
    configuration: Sequence[Path] = (),
    progress: Callable[[int, int], None] | None = None,
) -> BackedUp:
    """Copy the database behind `url` to `file` (None: a dated name beside it), whether or not it is in use; and beside that
    the files of the `configuration`.

    Conflict if that file exists and not `force`; StoreCorrupt if the copy is not sound, and then there is none.
    """
    path = file_of(url)
    target = path.with_name(f"{path.name}.{stamp(now)}.backup") if file is None else file.absolute()
    if target.is_dir():
        raise BadInput(f"{target} is a folder; name a file in it, such as {target / path.name}.")
    if target.exists() and target.samefile(path):
        raise BadInput(f"{target} is the database itself; name another file.")
    if target.exists() and not force:
        raise Conflict(f"{target} exists already; --force replaces it, or name another file.")
    refuse_network_file_system(path)
    if file is None:
        sweep(path)  # whatever instant they bear: the next one has another
    store = SqliteStore(path)
    try:
        check(store)
        copy_to(store, target, progress)
    finally:
        store.close()
    copy = SqliteStore(target)
    try:
        known = copy.read(newest_at)
    finally:
        copy.close()
    kept = [_copy_file(one, target, number) for number, one in enumerate(configuration)]
    return BackedUp(str(path), str(target), target.stat().st_size, known, tuple(kept))


def _copy_file(source: Path, target: Path, number: int) -> str:
    """Keep a file of the configuration beside a backup, for its user alone: it may hold secrets."""
    beside = target.with_name(f"{target.name}.{number or ''}{'.' if number else ''}{source.name}")
    try:
        content = source.read_bytes()
    except OSError as error:
        raise StoreUnavailable(f"The configuration {source} cannot be read ({error.strerror}).") from error
    with fresh_file(beside) as made:
        made.write_bytes(content)
        put_in_place(made, beside)
    return str(beside)
