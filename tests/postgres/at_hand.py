"""Which PostgreSQL do the tests use on this machine? The first of these that there is:

1. the one that WATCHBELL_TEST_POSTGRES names (a URL, or `host=… dbname=…`); `none` there means to do without
2. one that answers on 127.0.0.1:5432 or on the local socket, to whom we are, and lets us create databases
3. a cluster of our own in a temporary folder, from server programs that are on the machine
4. as root, where there is apt-get: the same, from what apt-get installs
5. none: the tests that need one are skipped and say why, or fail if there is `--require-services`

What is chosen reaches the tests as a URL in WATCHBELL_TEST_POSTGRES. The databases that they make in it have names that
begin with `watchbell_test_`; nothing else there is touched.

    python -m tests.postgres.at_hand COMMAND [ARGUMENT …]     run the command with a PostgreSQL at hand
"""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psycopg

from tests.postgres import keeper
from tests.postgres.urls import whole

NAMED = "WATCHBELL_TEST_POSTGRES"
WITHOUT = "WATCHBELL_TEST_WITHOUT_POSTGRES"  # the reason why there is none, for those who skip
NONE = "none"
OLDEST = 130000  # the first that can drop a database with its connections
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")
APT_WITHIN = 600  # seconds


class Source(enum.Enum):
    """Where PostgreSQL comes from."""

    NAMED = "the one that WATCHBELL_TEST_POSTGRES names"
    ANSWERING = "the one that is running here"
    OWN = "a cluster of our own"
    NOWHERE = "none"


@dataclass(frozen=True, slots=True)
class AtHand:
    """What there is on a machine."""

    named: str = ""
    answering: str = ""  # its URL
    programs: Path | None = None  # the folder of initdb and postgres
    bouncer: Path | None = None
    can_install: bool = False


def decide(found: AtHand) -> Source:
    """The first in the order above."""
    if found.named:
        return Source.NOWHERE if found.named == NONE else Source.NAMED
    if found.answering:
        return Source.ANSWERING
    return Source.OWN if found.programs else Source.NOWHERE


def to_install(found: AtHand) -> list[str]:
    """The packages that would make this machine whole, if we may install any."""
    if not found.can_install or found.named == NONE:
        return []
    server = [] if found.named or found.answering or found.programs else ["postgresql"]
    return [*server, *([] if found.bouncer else ["pgbouncer"])]


def why_none(found: AtHand) -> str:
    if found.named == NONE:
        return f"{NAMED} says so"
    way = "apt-get did not bring them" if found.can_install else "only root, with apt-get, can install them"
    return (
        f"{NAMED} names none; none that lets us create databases answers on 127.0.0.1:5432 or on the local socket; "
        f"the server's programs (initdb, postgres) are not on this machine, and {way}"
    )


# --- looking --------------------------------------------------------------------------------------------------------


def look() -> AtHand:
    named = os.environ.get(NAMED, "").strip()
    return AtHand(
        named=named,
        answering="" if named else answering(),
        programs=server_programs(),
        bouncer=pgbouncer_program(),
        can_install=os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get") is not None,
    )


def answering() -> str:
    """The URL of a server that is running here and lets us create databases, or nothing."""
    for host in ("127.0.0.1", "/var/run/postgresql", "/tmp"):
        with contextlib.suppress(psycopg.Error):
            return usable(f"host={host} port=5432 dbname=postgres")
    return ""


def usable(conninfo: str) -> str:
    """The whole URL of a server that tests can use; psycopg's or our own error if they cannot."""
    with psycopg.connect(conninfo, connect_timeout=5) as connection:
        if connection.info.server_version < OLDEST:
            raise psycopg.NotSupportedError(
                f"it is older than PostgreSQL {OLDEST // 10000}, which the tests need"
            )
        row = connection.execute(
            "SELECT rolcreatedb OR rolsuper, pg_is_in_recovery() FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        if row != (True, False):
            raise psycopg.NotSupportedError(f"{connection.info.user} may not create databases there")
        return whole(conninfo, connection)


def server_programs() -> Path | None:
    """The newest of the folders in which both initdb and postgres are."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version_of, reverse=True)
    with contextlib.suppress(OSError):
        told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=False)
        folders += [Path(line) for line in told.stdout.splitlines()[:1]]
    folders += [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    return next((folder.resolve() for folder in folders if is_whole(folder)), None)


def version_of(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def is_whole(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))


def pgbouncer_program() -> Path | None:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    found = shutil.which("pgbouncer", path=path)
    return Path(found) if found else None


def install(packages: list[str]) -> None:
    """Best effort: what apt-get cannot get is missing, as it was before."""
    say(f"Installing {' and '.join(packages)} with apt-get; this happens once …")
    options = [
        "-qq",
        "-o",
        "Acquire::Retries=1",
        "-o",
        "Acquire::http::Timeout=15",
        "-o",
        "DPkg::Lock::Timeout=60",
    ]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wanted = ["install", "--yes", "--no-install-recommends", *packages]
    for words in (["update"], wanted):
        try:
            done = subprocess.run(
                ["apt-get", *options, *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=APT_WITHIN,
                check=False,
            )
            failed = " / ".join(done.stdout.splitlines()[-2:]) if done.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            failed = str(error)
        if failed:
            say(f"`apt-get {words[0]}` failed: {failed}")


# --- running something with it --------------------------------------------------------------------------------------


def main(command: list[str]) -> int:
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    found = look()
    if packages := to_install(found):
        install(packages)
        found = look()
    try:
        with a_postgres(found) as (url, reason):
            told = {NAMED: url or NONE, WITHOUT: reason}
            if decide(found) is not Source.OWN:
                become(command, told)
            return run(command, told)
    except psycopg.Error as error:
        say(f"PostgreSQL: {NAMED} names a server that the tests cannot use: {' '.join(str(error).split())}")
        return 2


@contextlib.contextmanager
def a_postgres(found: AtHand) -> Iterator[tuple[str, str]]:
    """Its URL, or the reason why there is none; said in one line as well."""
    source = decide(found)
    if source is Source.NOWHERE:
        say(f"PostgreSQL: none, so what needs it is skipped: {why_none(found)}")
        yield "", why_none(found)
        return
    if source is not Source.OWN:
        url = found.answering or usable(found.named)
        say(f"PostgreSQL: {source.value}")
        yield url, ""
        return
    assert found.programs is not None
    with contextlib.ExitStack() as cluster:
        url = reason = ""
        try:
            url = cluster.enter_context(keeper.postgres(found.programs))
            say(f"PostgreSQL: {source.value}, from {found.programs}; it goes when this ends")
        except keeper.Trouble as trouble:
            reason = f"a cluster of our own from {found.programs} failed: {trouble}"
            say(f"PostgreSQL: none, so what needs it is skipped: {reason}")
        yield url, reason


def become(command: list[str], told: dict[str, str]) -> NoReturn:
    """Where nobody has to stay and tear down: signals and the exit code are then its own."""
    os.execvpe(command[0], command, {**os.environ, **told})


def run(command: list[str], told: dict[str, str]) -> int:
    """Run it to its end and return its exit code. A signal that is meant for us is meant for it; we wait for its end."""
    early: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, _frame: FrameType | None) -> None:
        if child is None:
            early.append(number)
        elif not (number == signal.SIGINT and is_shared_with_the_terminal()):
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, hand_on)
    child = subprocess.Popen(
        command,
        env={**os.environ, **told},
        preexec_fn=lambda: keeper.die_with_the_parent(signal.SIGTERM),  # noqa: PLW1509  # one thread
    )
    for heard in early:
        child.send_signal(heard)
    code = child.wait()
    return 128 - code if code < 0 else code


def is_shared_with_the_terminal() -> bool:
    """Whether Ctrl-C reaches the command by itself; a second one would cut short what it does at its end."""
    try:
        with open("/dev/tty", encoding="utf-8") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
