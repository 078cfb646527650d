"""What every command of one call shares: the database that is meant, the clock, who asks, and how answers are printed."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..clock import Clock, SystemClock
from ..config import database_of, state_folder, zone_of
from ..errors import BadConfiguration
from ..services import database
from ..services.database import Store

if TYPE_CHECKING:
    from ..config.model import Configuration


@dataclass(slots=True)
class Setup:
    """One call of the command line."""

    given: str | None = None
    json: bool = False
    clock: Clock = field(default_factory=SystemClock)

    @property
    def now(self) -> int:
        """The wall clock, microseconds UTC; once a store is open, the one by which its occurrences come due."""
        return self.clock.wall_us()

    @property
    def actor(self) -> str:
        """Who asks, for the audit trail."""
        try:
            return f"{getpass.getuser()} (command line)"
        except (OSError, KeyError):  # an account without a name
            return f"user {os.getuid()} (command line)"

    @property
    def url(self) -> str:
        """The database that is meant."""
        given = database_of(os.environ, Path.cwd()) if self.given is None else self.given
        return database.choose(given, os.environ, Path.cwd(), _state_folder)

    @property
    def zone(self) -> str:
        """The zone of rules that name none."""
        return zone_of(os.environ, Path.cwd())

    def configuration(self) -> Configuration:
        """The whole configuration of this process, the command line included. BadConfiguration with all that is wrong."""
        from ..config.reading import load

        return load(os.environ, Path.cwd(), {"database": self.given})

    def url_for_writing(self) -> str:
        """The database that is meant; watchbell's own state folder is made where it is missing."""
        url = self.url
        own = _state_folder()
        if url == str(own / database.FILE):
            database.make_folder(own)
        return url

    def refuse_memory(self) -> None:
        """Raise BadConfiguration for a database in memory, which ends with this very call."""
        if database.shown(self.url) == database.IN_MEMORY:
            raise BadConfiguration(
                "A database in memory keeps nothing beyond this call, and no other process sees it; name a file, such "
                "as --database watchbell.db."
            )

    @contextmanager
    def store(self, *, create: bool = False) -> Iterator[Store]:
        """The open database; made if it is missing and `create`."""
        self.refuse_memory()
        url = self.url_for_writing() if create else self.url
        if not create:
            database.must_exist(url)
        store, own = database.open_database(url, self.now, create=create), self.clock
        self.clock = store.clock(own)
        try:
            yield store
        finally:
            self.clock = own
            store.close()


def _state_folder() -> Path:
    return state_folder(os.environ, Path.cwd())


def setup_of(ctx: click.Context) -> Setup:
    """The setup of this call."""
    found = ctx.find_object(Setup)
    assert found is not None
    return found


def _set_database(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        setup_of(ctx).given = value


def _set_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        setup_of(ctx).json = True


class Verb(click.Command):
    """A command that takes `--database` behind its name too, where people write it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.params.append(
            click.Option(
                ["--database"],
                metavar="URL|PATH",
                expose_value=False,
                callback=_set_database,
                help="The database; else $WATCHBELL_DATABASE_URL, ./watchbell.db, or the user's own.",
            )
        )


class Read(Verb):
    """A command that can answer as one JSON object."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_set_json,
                help="Answer as one JSON object.",
            )
        )


def several(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Many click options as one decorator, in the order in which the help shows them."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
