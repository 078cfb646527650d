"""`watchbell doctor --workers 4`: real web workers with an engine in each, probes that fall due, one process killed, and
what became of every probe.

Nothing of the user's runs: on SQLite it happens in a folder of its own beside the database, so on the same disk with the
same rights, on PostgreSQL in a schema of its own; both are gone at the end. The processes are gunicorn's where it is
installed, and else forked here; the engine in them begins the way it does in any application (embedding.py).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..clock import Clock, SystemClock
from ..core.instants import to_datetime, to_text
from ..core.triggers import once
from ..errors import BadConfiguration, BadInput, StoreUnavailable
from ..executors.context import Run
from ..store.open import is_postgres
from ..store.sqlite.open import parse_url
from . import Watchbell

FOLDER, URL = "PROVING_FOLDER", "PROVING_URL"
PROBES = 12
APART_US = 300_000
PATIENCE_US = 60_000_000
_LOOK_US = 20_000


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe: when it was due, and each time that it ran, as (process, microseconds after it was due)."""

    name: str
    due_at: int
    ran: tuple[tuple[int, int], ...]
    state: str

    @property
    def ok(self) -> bool:
        """Whether it ran once, and the ledger says so."""
        return len(self.ran) == 1 and self.state == "succeeded"

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        ran = [{"process": pid, "late_us": late} for pid, late in self.ran]
        return {
            "probe": self.name,
            "due_at": to_text(self.due_at),
            "state": self.state,
            "ran": ran,
            "ok": self.ok,
        }


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of it. `began` are the processes in which an engine acted or stood by, in their order."""

    server: str
    asked: int
    began: tuple[int, ...]
    killed: int
    probes: tuple[Probe, ...]
    audit: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether each probe ran once and the audit is content."""
        return all(probe.ok for probe in self.probes) and not any(self.audit.values())

    @property
    def sentence(self) -> str:
        """For people."""
        wrong = sum(not probe.ok for probe in self.probes)
        figures = ", ".join(f"{count} {name}" for name, count in self.audit.items())
        end = (
            f"{len(self.probes)} probes, each ran once"
            if not wrong
            else f"{wrong} of {len(self.probes)} did not run once"
        )
        return (
            f"{self.asked} web workers ({self.server}); process {self.killed} was killed and replaced, which makes "
            f"{len(self.began)} in all; {end}; the audit says {figures}."
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "ok": self.ok,
            "sentence": self.sentence,
            "server": self.server,
            "web_workers": self.asked,
            "began": list(self.began),
            "killed": self.killed,
            "probes": [probe.to_json() for probe in self.probes],
            "audit": dict(self.audit),
        }


def prove(url: str, count: int, clock: Clock) -> Proof:
    """Carry it out beside the database of `url`. Raises BadInput, BadConfiguration, StoreError."""
    if not 2 <= count <= 64:
        raise BadInput(f"--workers is a number from 2 to 64, not {count}.")
    with _place(url) as (folder, own):
        return _Proving(folder, own, count, clock).carry_out()


@contextlib.contextmanager
def _place(url: str) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL of a database that nobody else knows; neither is left."""
    path = None if is_postgres(url) else parse_url(url)
    beside = path.parent if path is not None and path.parent.is_dir() else None
    try:
        temporary = tempfile.TemporaryDirectory(
            prefix=".watchbell-doctor-", dir=beside, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise BadConfiguration(f"No folder can be made in {beside} ({error.strerror}).") from error
    with temporary as name:
        folder = Path(name).absolute()
        if not is_postgres(url):
            yield folder, f"sqlite:///{folder / 'probe.db'}"
            return
        from ..store.postgres import address as server

        schema = f"watchbell_doctor_{secrets.token_hex(4)}"
        address = server.parse_url(url)
        shown = f"{url}{'&' if '?' in url else '?'}schema={schema}"
        try:
            yield folder, shown
        finally:
            with address.connect() as connection:
                connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())


class _Proving:
    """One carrying out."""

    def __init__(self, folder: Path, url: str, count: int, clock: Clock) -> None:
        self._folder = folder
        self._url = url
        self._count = count
        self._clock = clock
        self._never = threading.Event()

    def carry_out(self) -> Proof:
        server, command = _server(self._folder, self._count)
        bell = application_bell(self._url, self._folder, revision=2)
        try:
            bell.schedules()  # the tables are there before anybody wants them
            with self._served(command):
                self._await(lambda: self._all_began(), f"{self._count} processes with an engine")
                names = self._plan(bell)
                killed = self._kill_in_the_middle(bell, names)
                self._await(lambda: self._ended(bell) >= len(names), "the end of every probe")
                began = self._await(lambda: self._all_began(1), "another process in its place")
            report = bell.audit()
            audit = {
                "unaccounted": report.unaccounted, "invented": report.invented, "stuck": report.stuck,
                "contradicted": report.contradicted,
            }  # fmt: skip
            return Proof(server, self._count, began, killed, self._probes(bell, names), audit)
        finally:
            bell.stop()

    @contextlib.contextmanager
    def _served(self, command: list[str]) -> Iterator[None]:
        env = dict(os.environ) | {FOLDER: str(self._folder), URL: self._url}
        env.pop("WATCHBELL_DISABLE_JOBS", None)
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=env, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            yield
        finally:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                pass
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _plan(self, bell: Watchbell) -> dict[str, int]:
        """Every probe with its instant."""
        first = self._clock.wall_us() + 2 * APART_US
        planned = {f"probe {number + 1}": first + number * APART_US for number in range(PROBES)}
        job = bell._declared.jobs["probe"]
        for name, due_at in planned.items():
            bell.add_schedule(name, job, once(to_datetime(due_at)))
        bell.schedules()
        return planned

    def _kill_in_the_middle(self, bell: Watchbell, planned: Mapping[str, int]) -> int:
        """Between two probes, once some have run: the process of the latest, as kill -9 does."""

        def fact() -> int | None:
            now, ran = self._clock.wall_us(), self._lines("ran")
            past = sum(due_at <= now for due_at in planned.values())
            between = all(not 0 < due_at - now < APART_US // 3 for due_at in planned.values())
            settled = between and len(ran) >= max(past, PROBES // 3) and self._ended(bell) >= past
            return int(ran[-1][1]) if settled else None

        pid: int = self._await(fact, "the first probes")
        os.kill(pid, signal.SIGKILL)
        return pid

    # --- what is seen -------------------------------------------------------------------------------------------------

    def _lines(self, word: str) -> list[list[str]]:
        path = self._folder / "said"
        lines = path.read_text().splitlines() if path.exists() else []
        return [words for line in lines if (words := line.split("\t"))[0] == word]

    def _all_began(self, more: int = 0) -> tuple[int, ...]:
        found = tuple(dict.fromkeys(int(words[1]) for words in self._lines("began")))
        return found if len(found) >= self._count + more else ()

    def _ended(self, bell: Watchbell) -> int:
        return sum(getattr(run, "live", True) is False for run in bell.runs(job="probe", limit=1000).items)

    def _probes(self, bell: Watchbell, names: Mapping[str, int]) -> tuple[Probe, ...]:
        states = {
            getattr(run, "name", ""): getattr(run, "state", "")
            for run in bell.runs(job="probe", limit=1000).items
        }
        ran: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
        for _, pid, name, at in self._lines("ran"):
            ran.setdefault(name, []).append((int(pid), int(at) - names.get(name, 0)))
        return tuple(
            Probe(name, due_at, tuple(ran[name]), states.get(name, "not in the ledger"))
            for name, due_at in names.items()
        )

    def _await(self, fact: Callable[[], Any], what: str) -> Any:
        end = self._clock.mono_ns() + PATIENCE_US * 1000
        while not (found := fact()):
            ended = self._process.poll()
            if ended is not None or self._clock.mono_ns() > end:
                tail = (self._folder / "server.log").read_text(errors="replace").strip().splitlines()[-3:]
                why = "their server ended" if ended is not None else f"after {PATIENCE_US // 1_000_000} s"
                raise StoreUnavailable(
                    f"There were not yet {what}, and {why}: {' / '.join(tail) or 'it said nothing'}"
                )
            self._clock.wait(self._never, _LOOK_US)
        return found


def _server(folder: Path, count: int) -> tuple[str, list[str]]:
    """What serves: its name with its version, and how it is called."""
    if importlib.util.find_spec("gunicorn") is not None and hasattr(os, "fork"):
        from importlib.metadata import version

        words = ["gunicorn", "-w", str(count), "-b", f"unix:{folder}/s", f"{__name__}:application()"]
        return f"gunicorn {version('gunicorn')}", [sys.executable, "-m", *words]
    if not hasattr(os, "fork"):
        raise BadConfiguration(
            "This system cannot fork, and gunicorn does not run on it: there are no such web workers."
        )
    code = f"from {__name__} import serve_forked; serve_forked({count})"
    return "forked processes", [sys.executable, "-c", code]


# --- in the web workers ---------------------------------------------------------------------------------------------


def application_bell(url: str, folder: Path, revision: int = 1) -> Watchbell:
    """The Watchbell of the application that is proved with."""
    bell = Watchbell(url, app="doctor", revision=revision, shutdown_grace="2s")
    log = os.open(folder / "said", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def say(word: str, *more: object) -> None:
        os.write(log, ("\t".join(map(str, (word, os.getpid(), *more))) + "\n").encode())

    @bell.job
    def probe(run: Run) -> None:
        say("ran", run.schedule, bell._clock.wall_us())

    for event in ("engine.ready", "engine.standby"):
        bell.on(event)(lambda _: say("began"))
    return bell


def application() -> Callable[[Mapping[str, Any], Callable[..., Any]], list[bytes]]:
    """A WSGI application with an engine, for gunicorn."""
    bell = application_bell(os.environ[URL], Path(os.environ[FOLDER]))
    bell._embedding.arm()

    def answer(_environ: Mapping[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"an engine of watchbell doctor\n"]

    return answer


def serve_forked(count: int) -> None:
    """So many processes, each with an engine, and another for one that dies; until SIGTERM."""
    children: set[int] = set()
    asked: list[int] = []

    def end(number: int, _frame: object) -> None:
        asked.append(number)
        for pid in children:
            os.kill(pid, number)

    signal.signal(signal.SIGTERM, end)
    while children or not asked:
        while not asked and len(children) < count:
            children.add(_forked())
        children.discard(os.wait()[0])


def _forked() -> int:
    if pid := os.fork():
        return pid
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        bell = application_bell(os.environ[URL], Path(os.environ[FOLDER]))
        bell._embedding.begin()
        while not SystemClock().wait(asked, 1_000_000):
            pass
        bell._embedding.end()
    finally:
        os._exit(0)
