"""Which PostgreSQL the tests use, and that one of our own ends with them, however they end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.postgres import at_hand, keeper
from tests.postgres.at_hand import AtHand, Source

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path("/somewhere/bin")
BOUNCER = Path("/somewhere/pgbouncer")
NOBODYS = "postgresql://127.0.0.1:1/postgres"  # nothing listens on port 1


# --- the order ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "source"),
    [
        (AtHand(named="a", answering="b", programs=PROGRAMS), Source.NAMED),
        (AtHand(named="none", answering="b", programs=PROGRAMS), Source.NOWHERE),
        (AtHand(answering="b", programs=PROGRAMS), Source.ANSWERING),
        (AtHand(programs=PROGRAMS, can_install=True), Source.OWN),
        (AtHand(), Source.NOWHERE),
    ],
)
def test_a_named_one_comes_before_a_running_one_before_one_of_our_own(found: AtHand, source: Source) -> None:
    assert at_hand.decide(found) is source


@pytest.mark.parametrize(
    ("found", "packages"),
    [
        (AtHand(can_install=True), ["postgresql", "pgbouncer"]),
        (AtHand(programs=PROGRAMS, can_install=True), ["pgbouncer"]),
        (AtHand(answering="a", can_install=True), ["pgbouncer"]),
        (AtHand(named="a", can_install=True), ["pgbouncer"]),
        (AtHand(programs=PROGRAMS, bouncer=BOUNCER, can_install=True), []),
        (AtHand(named="none", can_install=True), []),
        (AtHand(), []),
    ],
)
def test_only_what_is_missing_is_installed_and_only_by_who_may(found: AtHand, packages: list[str]) -> None:
    assert at_hand.to_install(found) == packages


def test_server_programs_are_a_folder_that_has_both_and_the_newest_first(tmp_path: Path) -> None:
    for version in ("9", "15"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        (folder / "initdb").touch(0o755)
        assert not at_hand.is_whole(folder)
        (folder / "postgres").touch(0o755)
        assert at_hand.is_whole(folder)
    newest = max(tmp_path.glob("*/bin"), key=at_hand.version_of)
    assert newest == tmp_path / "15" / "bin"


# --- the command that is run with it --------------------------------------------------------------------------------

TELL = "import json, os; print(json.dumps({n: v for n, v in os.environ.items() if n.startswith('WATCHBELL_TEST')}))"


def with_postgres(*command: str, named: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.postgres.at_hand", *command],
        cwd=ROOT,
        env={**os.environ, at_hand.NAMED: named},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_none_means_to_do_without_and_the_command_is_told_why() -> None:
    reply = with_postgres(sys.executable, "-c", TELL, named="none")
    assert json.loads(reply.stdout) == {
        at_hand.NAMED: "none",
        at_hand.WITHOUT: "WATCHBELL_TEST_POSTGRES says so",
    }
    assert reply.stderr.splitlines() == [
        "PostgreSQL: none, so what needs it is skipped: WATCHBELL_TEST_POSTGRES says so"
    ]


def test_a_named_server_that_does_not_answer_stops_everything_with_a_sentence() -> None:
    reply = with_postgres(sys.executable, "-c", TELL, named=NOBODYS)
    assert reply.returncode == 2
    assert reply.stdout == ""
    assert reply.stderr.startswith(
        "PostgreSQL: WATCHBELL_TEST_POSTGRES names a server that the tests cannot use: "
    )
    assert len(reply.stderr.splitlines()) == 1


def test_without_a_command_it_says_what_it_is_for() -> None:
    reply = with_postgres(named="none")
    assert reply.returncode == 2
    assert "python -m tests.postgres.at_hand COMMAND" in reply.stderr


# --- a cluster of our own -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def programs(pytestconfig: pytest.Config) -> Path:
    """The folder of initdb and postgres."""
    from tests.postgres.fixtures import without

    found = at_hand.server_programs()
    if found is None:
        without(
            pytestconfig, "PostgreSQL", "the server's programs (initdb, postgres) are not on this machine"
        )
    return found


def with_one_of_our_own(programs: Path, command: str) -> str:
    """A program: `at_hand` on a machine with nothing but these server programs, whatever runs here."""
    return (
        "import sys; from pathlib import Path; from tests.postgres import at_hand\n"
        f"at_hand.look = lambda: at_hand.AtHand(programs=Path({str(programs)!r}))\n"
        f"sys.exit(at_hand.main([sys.executable, '-c', {command!r}]))"
    )


class Life:
    """`at_hand` with a cluster of our own and a command that waits; and what is left of them."""

    def __init__(self, programs: Path, command: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", with_one_of_our_own(programs, command)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.url = told[at_hand.NAMED]
        with psycopg.connect(self.url) as link:
            row = link.execute(
                "SELECT current_setting('data_directory'), current_setting('fsync'), rolsuper "
                "FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert row is not None
        assert row[1:] == ("on", True)
        self.folder = Path(row[0]).parent
        self.server = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
        self.keeper = self.server.parent()

    def nothing_is_left(self) -> bool:
        return not self.folder.exists() and not self.server.is_running()

    def end(self) -> None:
        """Whatever has gone wrong in the test: nothing stays, and nothing is waited for."""
        assert self.process.stdout is not None
        self.process.stdout.close()
        for process in (self.process, self.keeper, self.server):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process is not None:
                    process.kill()
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def start(programs: Path) -> Iterator[Callable[[str], Life]]:
    """Starts one, and sees to its end."""
    with contextlib.ExitStack() as lives:

        def start(command: str) -> Life:
            life = Life(programs, command)
            lives.callback(life.end)
            return life

        yield start


def becomes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


WAITS = f"{TELL}\nimport signal, sys; sys.stdout.flush(); signal.pause()"


def test_a_cluster_of_our_own_is_gone_when_the_command_has_ended(programs: Path) -> None:
    look = (
        f"{TELL}\nimport psycopg\n"
        "with psycopg.connect(os.environ['WATCHBELL_TEST_POSTGRES'], autocommit=True) as link:\n"
        "    link.execute('CREATE DATABASE one')\n"
        "    print(link.execute('SHOW data_directory').fetchone()[0])\n"
        "raise SystemExit(7)"
    )
    reply = subprocess.run(
        [sys.executable, "-c", with_one_of_our_own(programs, look)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert reply.returncode == 7
    assert f"PostgreSQL: a cluster of our own, from {programs}" in reply.stderr
    data = Path(reply.stdout.splitlines()[1])
    assert data.name == "data"
    assert not data.parent.exists()


def test_a_server_of_our_own_does_not_run_as_root_and_has_a_password(start: Callable[[str], Life]) -> None:
    life = start(WAITS)
    assert life.server.uids().real != 0
    assert oct(life.folder.stat().st_mode & 0o777) == "0o700"
    port = life.url.rpartition(":")[2].partition("/")[0]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"host=127.0.0.1 port={port} user=watchbell dbname=postgres passfile=/nowhere")


@pytest.mark.root
def test_a_cluster_of_our_own_needs_no_root(programs: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("all other tests here show it, as we are not root")
    plain = {
        "user": "nobody",
        "extra_groups": [],
        "env": {"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    }
    try:
        reads = [sys.executable, "-c", "import tests.postgres.at_hand"]
        subprocess.run(reads, cwd=ROOT, check=True, capture_output=True, **plain)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("`nobody` cannot read this checkout or its Python")
    look = (
        "import os, psycopg\n"
        "with psycopg.connect(os.environ['WATCHBELL_TEST_POSTGRES'], autocommit=True) as link:\n"
        "    link.execute('CREATE DATABASE one')\n"
        "raise SystemExit(7)"
    )
    reply = subprocess.run(
        [sys.executable, "-c", with_one_of_our_own(programs, look)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **plain,
    )
    assert (reply.returncode, reply.stdout) == (7, ""), reply.stderr


def test_a_signal_ends_the_command_and_then_the_cluster(start: Callable[[str], Life]) -> None:
    life = start(WAITS)
    life.process.terminate()
    assert life.process.wait(30) == 128 + signal.SIGTERM
    assert life.nothing_is_left()


def test_ctrl_c_ends_the_command_and_then_the_cluster(start: Callable[[str], Life]) -> None:
    quiet = f"{TELL}\nimport signal, sys; signal.signal(2, lambda *_: sys.exit(5)); sys.stdout.flush(); signal.pause()"
    life = start(quiet)
    life.process.send_signal(signal.SIGINT)
    assert life.process.wait(30) == 5
    assert life.nothing_is_left()


@pytest.mark.kill9
def test_who_is_killed_leaves_no_server_and_no_folder(start: Callable[[str], Life]) -> None:
    life = start(WAITS)
    life.process.kill()
    assert becomes_true(life.nothing_is_left)


@pytest.mark.kill9
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_keeper_that_is_killed_leaves_no_server(start: Callable[[str], Life]) -> None:
    life = start(WAITS)
    assert life.keeper is not None
    life.keeper.kill()
    assert becomes_true(lambda: not life.server.is_running())


def test_what_cannot_start_is_a_reason_and_not_a_traceback(tmp_path: Path) -> None:
    for name in ("initdb", "postgres"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho no disk >&2\nexit 1\n", encoding="utf-8")
        program.chmod(0o755)
    with (
        pytest.raises(keeper.Trouble, match=r"initdb failed: .*(no disk|denied)|[Pp]ermission"),
        keeper.postgres(tmp_path),
    ):
        pass
