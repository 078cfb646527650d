"""A command carried out here and now, by this very process, as a recorded run: `watchbell exec`.

It needs no engine and disturbs none: the process registers as a node that holds this one run and lives by its process
id. The run is claimed before the command begins and settled when it has ended, through the same writes as any other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from .. import _version
from ..clock import Clock, SystemClock
from ..core.claim import Claim
from ..core.definition import canonical
from ..core.outcome import Ending, Outcome
from ..core.policies import JobOptions
from ..engine.handlers import Handlers, assignment_of
from ..engine.notes import Notes
from ..errors import BadInput
from ..executors.base import CommandSpec
from ..executors.child_process import Exit, Launch
from ..executors.command import launch_of, without_own_error
from ..executors.environment import environment, mark
from ..executors.exits import not_started, outcome_of
from ..executors.holding import SHUTDOWN, Live, after_asking
from ..executors.identity import own_process
from ..executors.orphans import start_time
from ..store import claims, nodes, runs, settling
from ..store.base import Store
from ..store.nodes import NodeInfo
from ..store.open import open_store
from ..store.planning import Planner
from ..store.schedules import put as schedules
from ..store.schedules.catalog import Catalog
from ..store.tokens import Tokens
from ..store.tx import Tx
from .through import Through

FLUSH_US = 500_000
RENEW_NS = 5_000_000_000


def exec_command(url: str, command: Sequence[str], name: str | None = None) -> int:
    """Carry out `command` as a run of the job `exec:name` (or `exec:` and the program's name), pass its output through
    and keep it, and return its own exit code: 127 where it could not be started, 128 + n where signal n ended it.

    The prefix keeps it apart from the jobs of schedules and applications, whose commands it must not change."""
    if not command:
        raise BadInput("There is no command to carry out; write `watchbell exec -- CMD ARG…`.")
    clock: Clock = SystemClock()
    store = open_store(url, clock.wall_us())
    try:
        return _Recorded(store, store.clock(clock)).carry_out(
            tuple(command), f"exec:{name or Path(command[0]).name}"
        )
    finally:
        store.close()


class _Recorded:
    """One process, one run."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._catalog = Catalog()
        self._done = threading.Event()
        self._wake = threading.Event()
        self._signals = 0
        self._interrupted = False
        self._from_terminal = False

    def carry_out(self, command: tuple[str, ...], name: str) -> int:
        node = self._register()
        claim = self._store.write(lambda tx: self._claim(tx, node, command, name))
        notes = Notes(self._clock, self._store, self._wake.set)
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            live = Live(self._store.read(lambda tx: self._assignment(tx, claim)), notes)
            ended = self._carried_out(node, claim, live, notes)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self._settle(node, claim, ended, notes)
        if ended.exit_code is None and ended.error:
            warn(ended.error)
        return _exit_code(ended)

    def _carried_out(self, node: int, claim: Claim, live: Live, notes: Notes) -> Outcome:
        """Begin the command, wait for its end, and say how it was."""
        assignment = live.assignment
        spec = assignment.command or CommandSpec()
        live.began_at = self._clock.wall_us()
        launch: Launch | None = None
        try:
            launch = launch_of(spec.argv, environment(assignment, spec, arguments=True), spec)
            through = Through(
                launch,
                mark(assignment),
                lambda stream, text: notes.log(*live.key, stream, "info", text),
                self._ended,
            )
        except ValueError as error:
            kinds = ("SpawnError", "ValueError")
            return Outcome(
                Ending.FAILED, live.began_at, self._clock.wall_us(), error=str(error), error_type=kinds
            )
        except OSError as error:
            assert launch is not None
            told = Exit(stage="exec", number=error.errno)
            return not_started(told, launch, live.began_at, self._clock.wall_us())
        notes.began(*live.key, live.began_at, through.pid, start_time(through.pid))
        try:
            self._wait(node, claim, live, notes, through)
        except BaseException:  # without its ledger it is not carried out
            through.kill()
            raise
        told = through.result()
        for stream, why in through.unwritten.items():
            if why:
                warn(
                    f"What the command wrote to {stream} could not be passed on: {why}. The log of run_{claim.run} has it."
                )
        own = outcome_of(told, live.began_at, self._clock.wall_us(), spec.success_codes, begun=True)
        if self._interrupted and own.exit_code == -signal.SIGINT:
            live.ask(Ending.CANCELLED, SHUTDOWN)
            live.run._noticed = True
        return without_own_error(live, after_asking(live, own))

    def _register(self) -> int:
        info = NodeInfo(
            "exec",
            socket.gethostname(),
            os.getpid(),
            self._clock.boot_id(),
            _version.__version__,
            {"command": 1},
            labels=(nodes.exec_label(start_time(os.getpid())),),
            process=own_process(),
        )
        now = self._clock.wall_us()
        return self._store.write(lambda tx: nodes.register(tx, info, now, acting=False)[0])

    def _claim(self, tx: Tx, node: int, command: tuple[str, ...], name: str) -> Claim:
        """Write the run and claim it in one transaction: it never waits for an engine, and none ever takes it."""
        now = self._clock.wall_us()
        doer = schedules.Doer("exec", now)
        content = {"argv": list(command), "cwd": _folder(), "inherit_env": True}
        job = schedules.put_job(
            tx, schedules.JobSpec(name, "command", command=canonical(content), options=JobOptions()), doer
        )
        self._catalog.refresh(tx)
        run = runs.enqueue(tx, runs.Wish(self._catalog.job(tx, job.id), "{}"), doer).run
        token, mark = Tokens(os.urandom).draw(1)[0]
        tx.run(
            "UPDATE occurrence SET state = 'claimed', node = ?, epoch = 1, token_hash = ?, claimed_at = ?, attempt = 1 "
            "WHERE id = ? AND state = 'queued' AND epoch = 0",
            (node, mark, now, run),
        )
        row = tx.row(f"SELECT {claims.COLUMNS} FROM occurrence WHERE id = ? AND state = 'claimed'", (run,))
        assert row is not None, "a run that was queued in this very transaction was not there to claim"
        claim = claims.claim_of(tx, Planner(self._catalog, node), row)
        claim.token = token
        return claim

    def _assignment(self, tx: Tx, claim: Claim) -> Any:
        database = str(tx.value("SELECT value FROM meta WHERE key = 'database_id'"))
        made = assignment_of(claim, self._catalog.job(tx, claim.job), Handlers(), None, database)
        assert made is not None, "a command needs no handler"
        return made

    def _ended(self) -> None:
        self._done.set()
        self._wake.set()

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self._interrupted = True
        if number != signal.SIGINT or not self._from_terminal:
            self._signals += 1
        self._wake.set()

    def _wait(self, node: int, claim: Claim, live: Live, notes: Notes, through: Through) -> None:
        """Until the command has ended: pass signals on, heed a cancel, and write what it says as it says it."""
        # Ctrl-C reaches a command in the foreground by itself, and is its own affair there.
        self._from_terminal = through.shared
        passed, renewed, kill_at = 0, self._clock.mono_ns(), 0
        while not self._done.is_set():
            self._clock.wait(self._wake, FLUSH_US)
            self._wake.clear()
            if self._signals > passed:
                again, passed = passed > 0, self._signals
                kill_at = self._end(live, through, SHUTDOWN, hard=again or passed > 1)
            if kill_at and self._clock.mono_ns() >= kill_at:
                through.kill()
            begun, lines = notes.take_begun(), notes.take_lines()
            renew = self._clock.mono_ns() - renewed > RENEW_NS
            renewed = self._clock.mono_ns() if renew else renewed

            def flush(tx: Tx, begun: Any = begun, lines: Any = lines) -> list[tuple[int, int, str]]:
                nodes.heartbeat(tx, node, self._clock.wall_us())
                claims.mark_running(tx, node, begun)
                settling.write_lines(tx, lines)
                return claims.revoked(tx, node)

            asked = (
                self._store.write(flush)
                if begun or lines or renew
                else self._store.read(lambda tx: claims.revoked(tx, node))
            )
            if asked and claim.revoked is None:
                claim.revoked = asked[0][2]
                kill_at = self._end(live, through, "by_request")

    def _end(self, live: Live, through: Through, reason: str, hard: bool = False) -> int:
        """Ask the command to end, or kill it; when its time to obey is over, in nanoseconds of the clock."""
        live.ask(Ending.CANCELLED, reason)
        live.run._noticed = True
        if hard:
            through.kill()
        else:
            through.ask()
        return self._clock.mono_ns() + live.assignment.kill_grace_us * 1000

    def _settle(self, node: int, claim: Claim, outcome: Outcome, notes: Notes) -> None:
        now = self._clock.wall_us()
        ended = settling.Ended(claim, outcome, notes.close(claim.run, claim.epoch))

        def write(tx: Tx) -> None:
            job = self._catalog.job(tx, claim.job)
            settling.settle(tx, node, [ended], now, lambda: 0.5, lambda _claim: (job.name, job.tags))
            nodes.end(tx, node, "stopped", now)

        self._store.write(write)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise BadInput(
            f"The folder this is called in cannot be used ({error.strerror}); go to another one."
        ) from error


def warn(sentence: str) -> None:
    """A sentence on the standard error, where that can be written to."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"watchbell: {sentence}\n")
        sys.stderr.flush()


def _exit_code(outcome: Outcome) -> int:
    if outcome.ending is Ending.SUCCEEDED:
        return outcome.exit_code or 0
    if outcome.exit_code is None:
        return 127 if outcome.ending is Ending.FAILED else 1
    return 128 - outcome.exit_code if outcome.exit_code < 0 else outcome.exit_code
