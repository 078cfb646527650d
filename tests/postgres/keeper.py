"""Keeps one server of the tests' own, PostgreSQL or PgBouncer, for exactly as long as somebody holds on to it.

The keeper is a process between the tests and the server. It makes a folder, prepares and starts the server there, says
in one line where it answers, and then reads its standard input until that ends; then the server and the folder go. The
other end of that pipe is in the process that asked, and the system closes it however that process dies, with `kill -9`
as well. If the keeper itself is killed, Linux ends the server (PDEATHSIG), and only the folder stays behind.

Neither server runs as root. Who is root has it run by `postgres` or `nobody`; everybody else runs it himself. It listens
on 127.0.0.1 with a password that nobody else on the machine knows.

    python -m tests.postgres.keeper     one line of JSON in (an order), one line out: {"url": …} or {"trouble": …}
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg

from tests.postgres.urls import parts_of, url_of

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
READY_WITHIN = 30.0  # seconds, on a machine that is busy with other tests
GONE_WITHIN = 10.0
PORTS_TO_TRY = 3  # a port that was free may be taken before the server has it
LONGEST_PLACE = 60  # the path of a socket has 107 bytes
PR_SET_PDEATHSIG = 1

User = pwd.struct_passwd | None  # who runs the server, if not we ourselves
Start = Callable[[int], list[str]]  # the command, for a port
Url = Callable[[int], str]
Recipe = tuple[Callable[[], None], Start, Url]  # what comes first, once


class Trouble(Exception):
    """Why there is no server: a sentence."""


# --- for those who want a server ------------------------------------------------------------------------------------


def postgres(binaries: Path) -> contextlib.AbstractContextManager[str]:
    """A cluster of our own from the server programs in that folder; its URL, with a role that may do everything."""
    return kept({"kind": "postgres", "binaries": str(binaries)})


def pgbouncer(
    program: Path, server: str, mode: str = "transaction"
) -> contextlib.AbstractContextManager[str]:
    """A PgBouncer before the server of that URL; the same URL, but through it."""
    return kept({"kind": "pgbouncer", "program": str(program), "server": server, "mode": mode})


@contextlib.contextmanager
def kept(order: dict[str, str]) -> Iterator[str]:
    """A server kept by a process of its own, which neither Ctrl-C in the terminal nor the end of this one reaches."""
    command = [sys.executable, "-m", "tests.postgres.keeper"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has died; its silence below says so
            keeper.stdin.write(json.dumps(order) + "\n")
            keeper.stdin.flush()
        reply = json.loads(keeper.stdout.readline() or '{"trouble": "its keeper died without a word"}')
        if "trouble" in reply:
            raise Trouble(reply["trouble"])
        yield reply["url"]
        # The end of the block closes the pipe, which is the word to go, and waits until everything is gone.


# --- the keeper -----------------------------------------------------------------------------------------------------


def main() -> int:
    signal.signal(signal.SIGTERM, leave)
    order = json.loads(sys.stdin.readline())
    try:
        with contextlib.ExitStack() as house:
            user = a_user()
            folder = house.enter_context(a_folder(user))
            prepare, start, url = KINDS[order["kind"]](order, folder, user)
            prepare()
            answer({"url": house.enter_context(a_server(start, url, folder, user))})
            sys.stdin.read()
    except (Trouble, OSError) as trouble:
        answer({"trouble": str(trouble)})
        return 1
    return 0


def leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def answer(reply: dict[str, str]) -> None:
    with contextlib.suppress(
        BrokenPipeError
    ):  # nobody waits for it any more; the end of the input says the same
        print(json.dumps(reply), flush=True)


def a_user() -> User:
    """Who runs the server: nobody else, unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Trouble("a server must not run as root, and there is no user `postgres` or `nobody` to run it")


@contextlib.contextmanager
def a_folder(user: User) -> Iterator[Path]:
    place = next((place for place in places() if is_open_to(place, user)), None)
    if place is None:
        raise Trouble("there is no folder for temporary files that the user who runs the server can enter")
    with tempfile.TemporaryDirectory(prefix="watchbell-", dir=place, ignore_cleanup_errors=True) as folder:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        yield Path(folder)


def places() -> list[Path]:
    named = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    return [place for place in named if len(str(place)) <= LONGEST_PLACE]


def is_open_to(place: Path, user: User) -> bool:
    if not os.access(place, os.W_OK | os.X_OK):
        return False
    return user is None or all(folder.stat().st_mode & 0o001 for folder in (place, *place.parents))


def write(path: Path, text: str, user: User) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


def as_user(user: User) -> dict[str, Any]:
    """What makes Popen start a program as that user, who takes nothing of ours along."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def surroundings(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(folder)}


@contextlib.contextmanager
def a_server(start: Start, url: Url, folder: Path, user: User) -> Iterator[str]:
    """The server, from its first answer on to the end of the block."""
    log = folder / "server.log"
    for _attempt in range(PORTS_TO_TRY):
        port = a_free_port()
        with log.open("wb") as lines:
            process = subprocess.Popen(
                start(port),
                cwd=folder,
                env=surroundings(folder),
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one thread
                **as_user(user),
            )
        try:
            if answers(url(port), process):
                yield url(port)
                return
            if process.poll() is None:
                raise Trouble(f"it has started and lets nobody in; its last words: {last_words(log)}")
        finally:
            end(process)
    raise Trouble(f"it did not start; its last words: {last_words(log)}")


def a_free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


def die_with_the_parent(number: int = signal.SIGQUIT) -> None:
    """Called in a child before it turns into its program: Linux sends it that signal when its parent has died."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether the server is there at last. One that has ended will not be."""
    deadline = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return True
        except psycopg.OperationalError:
            time.sleep(0.02)
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """At once, without care: what it has written goes with the folder."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(GONE_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return " / ".join(lines[-3:]) or "none"


# --- the two kinds --------------------------------------------------------------------------------------------------


def a_cluster(order: dict[str, str], folder: Path, user: User) -> Recipe:
    binaries, data = Path(order["binaries"]), folder / "data"
    password = secrets.token_hex(8)

    def prepare() -> None:
        secret = write(folder / "password", password, user)
        command: list[str | Path] = [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "watchbell",
            "--pwfile",
            secret,
            "--no-sync",
        ]
        command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        made = subprocess.run(
            command,
            cwd=folder,
            env=surroundings(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **as_user(user),
        )
        if made.returncode != 0:
            raise Trouble(f"initdb failed: {' / '.join(made.stderr.splitlines()[-3:])}")

    def start(port: int) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": port,
            "unix_socket_directories": folder,
            "max_connections": 300,  # of 16 pytest processes with some engines each
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(binaries / "postgres"), "-D", str(data), *options]

    def url(port: int) -> str:
        return url_of(
            {"user": "watchbell", "password": password, "host": LOOPBACK, "port": port, "dbname": "postgres"}
        )

    return prepare, start, url


def a_bouncer(order: dict[str, str], folder: Path, user: User) -> Recipe:
    """In the mode that is asked for, and else with every setting as PgBouncer has it by itself.

    Its clients always need a password, also where the server needs none: it may trust us because of who we are, and
    that must not let others in through this door.
    """
    server = parts_of(order["server"])
    role, password = server["user"], server.get("password") or secrets.token_hex(8)
    known = write(folder / "users", f'"{quoted(role)}" "{quoted(password)}"\n', user)

    def start(port: int) -> list[str]:
        page = f"""\
            [databases]
            * = host={server["host"]} port={server["port"]}
            [pgbouncer]
            pool_mode = {order["mode"]}
            listen_addr = {LOOPBACK}
            listen_port = {port}
            unix_socket_dir =
            auth_type = scram-sha-256
            auth_file = {known}
            """
        return [order["program"], str(write(folder / "pgbouncer.ini", page.replace(" " * 12, ""), user))]

    def url(port: int) -> str:
        return url_of({**server, "password": password, "host": LOOPBACK, "port": port})

    return lambda: None, start, url


def quoted(text: str) -> str:
    return text.replace('"', '""')


KINDS = {"postgres": a_cluster, "pgbouncer": a_bouncer}

if __name__ == "__main__":
    sys.exit(main())
