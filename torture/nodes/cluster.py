"""A PostgreSQL cluster of our own, whose postmaster may be killed and started again; or a fresh database on a server that
is here, which is left alone. The recipe of the cluster is that of the tests (tests/postgres/keeper.py)."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from tests.postgres import keeper
from tests.postgres.urls import parts_of, url_of, with_database

from ..processes import Processes, send

READY_S = 60.0
NAME = "watchbell_torture_"


class Server:
    """Where the database is, and what may be done to its server."""

    own = False

    def __init__(self, url: str) -> None:
        self.url = url

    def create(self) -> str:
        """A fresh database; its URL."""
        name = NAME + secrets.token_hex(4)
        self._execute(SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(Identifier(name)))
        return with_database(self.url, name)

    def drop(self, url: str) -> None:
        """The database is gone, whoever is still connected."""
        self._execute(
            SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(parts_of(url)["dbname"]))
        )

    def terminate(self, application: str) -> int:
        """End every session of that name; how many there were."""
        sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
        with suppress(psycopg.OperationalError), closing(self._connect()) as conn:
            row = conn.execute(sql, (application,)).fetchone()
            return 0 if row is None else int(str(row[0]))
        return 0

    @property
    def way(self) -> tuple[str, int] | str:
        """Where a proxy connects to."""
        parts = parts_of(self.url)
        host, port = parts.get("host", "localhost"), int(parts.get("port", "5432"))
        return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True, connect_timeout=10)

    def _execute(self, statement: Any) -> None:
        with closing(self._connect()) as conn:
            conn.execute(statement)


class Cluster(Server):
    """Our own, in a temporary folder. Its postmaster is a child of ours, like the engines."""

    own = True

    def __init__(self, programs: Path, processes: Processes, house: ExitStack) -> None:
        self._processes = processes
        self._user = keeper.a_user()
        self._folder = house.enter_context(keeper.a_folder(self._user))
        prepare, self._command, url = keeper.a_cluster({"binaries": str(programs)}, self._folder, self._user)
        prepare()
        self._port = keeper.a_free_port()
        super().__init__(url(self._port))
        self._postmaster = 0
        house.callback(self._end)
        self.start()

    @property
    def log(self) -> Path:
        """What the server says."""
        return self._folder / "server.log"

    def start(self) -> None:
        """Start it, and wait until it answers; what is left of the one before goes first."""
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            with self.log.open("ab") as lines:
                self._postmaster = self._spawn(lines.fileno())
            while self._postmaster not in self._processes.ended and time.monotonic() < end:
                self._processes.reap()
                with suppress(psycopg.OperationalError):
                    self._connect().close()
                    return
                time.sleep(0.05)
        raise keeper.Trouble(f"the server did not start; its last words: {keeper.last_words(self.log)}")

    def stop(self, hard: bool) -> None:
        """As `pg_ctl stop -m fast` does, or with SIGKILL."""
        send(self._postmaster, signal.SIGKILL if hard else signal.SIGINT)
        if self._processes.wait_for(self._postmaster, 20.0) is None:
            self._processes.kill(self._postmaster)

    def _spawn(self, log: int) -> int:
        made = subprocess.Popen(
            self._command(self._port),
            cwd=self._folder,
            env=keeper.surroundings(self._folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=keeper.die_with_the_parent,  # noqa: PLW1509  # one thread
            **keeper.as_user(self._user),
        )
        made.returncode = 0  # it is reaped with the engines, and not by this object
        return made.pid

    def _end(self) -> None:
        send(self._postmaster, signal.SIGQUIT)
        if self._processes.wait_for(self._postmaster, 10.0) is None:
            self._processes.kill(self._postmaster)


def through(url: str, port: int | None, application: str) -> str:
    """The URL of the database under a name of its own; by way of a proxy in clear, so that the proxy can read it."""
    parts: dict[str, object] = {**parts_of(url), "application_name": application}
    if port is None:
        return url_of(parts)
    parts.pop("sslmode", None)
    way = {"host": "127.0.0.1", "port": port, "sslmode": "disable", "gssencmode": "disable"}
    return url_of({**parts, **way})


def dump(url: str, folder: Path, tables: tuple[str, ...]) -> None:
    """Keep what the database says, table by table, for whoever looks at a violation later."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        for table in tables:
            with (folder / f"{table}.csv").open("wb") as file:
                text = SQL("COPY (SELECT * FROM watchbell.{} ORDER BY 1) TO STDOUT (FORMAT csv, HEADER)")
                with conn.cursor().copy(text.format(Identifier(table))) as out:
                    for part in out:
                        file.write(part)
