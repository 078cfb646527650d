"""`watchbell backup`, `restore` and `database …`: the file itself, its copies, its schema and its soundness."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from .. import config
from ..services import database as files
from ..services.backup import backup as back_up
from ..services.dump_restored import dump_restored
from ..services.restore import migrate_back
from ..services.restore import restore as put_back
from .lazy import Group
from .output import emit_json, say
from .setup import Read, Setup

_HERE = "watchbell.cli.database"
TABLE = {
    "migrate": (f"{_HERE}:migrate", "Bring the schema up to this version, or --back to the one before."),
    "check": (f"{_HERE}:check", "Whether the file is sound."),
    "restored": (f"{_HERE}:restored", "Say that a dump was put back on a PostgreSQL server."),
}


@click.command(cls=Group, table=TABLE, no_args_is_help=True)
def database() -> None:
    """The database's file: its schema, and whether it is sound."""


@click.command(cls=Read)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("--with-config", is_flag=True, help="Keep the files of the configuration beside it.")
@click.pass_obj
def backup(setup: Setup, file: Path | None, force: bool, with_config: bool) -> None:
    """Copy the database while it is in use, and check the copy; else a dated FILE beside it.

    The copy is for its user alone, and there is none if it is not sound. `watchbell restore` puts it back.
    """
    found = config.files(os.environ, Path.cwd()) if with_config else []
    configuration = [one for one in found if one.is_file()]
    with _progress(setup) as progress:
        done = back_up(
            setup.url, file, now=setup.now, force=force, configuration=configuration, progress=progress
        )
    if setup.json:
        emit_json(done.to_json())
    else:
        say(f"{done.file} holds {done.database}, {done.size:,} bytes, checked.")
        for kept in done.configuration:
            say(f"{kept} holds the configuration.")
        if with_config and not done.configuration:
            say("There is no configuration file that could be kept beside it.")


@click.command(cls=Read)
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def restore(setup: Setup, file: Path) -> None:
    """Put the backup FILE in the database's place; what is there is kept under a dated name.

    Stop the engine and every process that has the database open first. What fell due after the backup was made may have
    run: it is recorded as `missed: restored`, and does not run again.
    """
    done = put_back(file, setup.url_for_writing(), now=setup.now)
    if setup.json:
        emit_json(done.to_json())
    else:
        say(done.sentence)


@click.command(cls=Read)
@click.option("--back", is_flag=True, help="Put the copy from before the last migration in place.")
@click.pass_obj
def migrate(setup: Setup, back: bool) -> None:
    """Bring the database's schema up to this version; does nothing where it is already. Creates a missing database.

    A copy of what was there is kept beside it, and --back puts that in its place: for an older watchbell, which is to be
    installed before anything opens the database again.
    """
    setup.refuse_memory()
    if back:
        undone = migrate_back(setup.url, now=setup.now)
        if setup.json:
            emit_json(undone.to_json())
        else:
            say(undone.sentence)
            say(
                f"It has schema {undone.schema}: install the watchbell of that time now; this one brings it up again."
            )
        return
    done = files.migrate_database(setup.url_for_writing(), setup.now)
    if setup.json:
        emit_json(done.to_json())
    elif not done.applied:
        say(f"{done.database} has schema {done.after} already; nothing was changed.")
    elif done.before == 0:
        say(f"{done.database} was created with schema {done.after}.")
    else:
        say(
            f"{done.database} was brought from schema {done.before} to {done.after}: {', '.join(done.applied)}."
        )
        if done.kept is not None:
            say(f"What was there before is {done.kept}.")


@click.command(cls=Read)
@click.pass_obj
def restored(setup: Setup) -> None:
    """Say that a dump of the PostgreSQL database was put back, before a node starts.

    What fell due after the dump was made may have run: it is recorded as `missed: restored`, and does not run again.
    """
    with setup.store() as store:
        done = dump_restored(store, now=setup.now)
    if setup.json:
        emit_json(done.to_json())
    else:
        say(done.sentence)


@click.command(cls=Read)
@click.option(
    "--quick", is_flag=True, help="The structure only, without comparing indexes with their tables."
)
@click.pass_obj
def check(setup: Setup, quick: bool) -> None:
    """Whether the file is sound; the engine may run meanwhile. Exits with 69 if it is not, and says what to do."""
    setup.refuse_memory()
    files.must_exist(setup.url)
    found = files.check_database(setup.url, quick=quick)
    if setup.json:
        emit_json(found.to_json())
    else:
        say(found.sentence)


@contextmanager
def _progress(setup: Setup) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on the terminal while it lasts; nothing in a pipe."""
    if setup.json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("pages")
        yield lambda done, total: bar.update(line, completed=done, total=total)
