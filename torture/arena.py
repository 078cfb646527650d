"""One database and what is done to it: engines that live for moments and die by SIGKILL, a second process that calls,
and at the end one engine that is allowed to finish. Everything forks from here, so there is no thread here."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from watchbell import Watchbell
from watchbell.store.sqlite import SqliteStore
from watchbell.store.sqlite.open import open_store

from . import ledger, sidelog
from .caller import Caller, promises_of, read_promises
from .check import check
from .history import History, Violation
from .jobs import build, log_of, url_of
from .patience import Patience
from .plan import Cycle, Plan
from .processes import Processes, children_of
from .setting import limits_of, set_up

STAND_BY_S = 0.3


class Arena:
    """Carries out one plan in one folder."""

    def __init__(self, plan: Plan, folder: Path, told: Callable[[], None]) -> None:
        self._plan = plan
        self._folder = folder
        self._told = told
        self._violations: list[Violation] = []
        self._processes = Processes(folder)
        self._engines = 0
        self._callers = 0
        os.environ[sidelog.LOG_VARIABLE] = str(log_of(folder))
        build("sqlite://", plan)  # everything is imported before the first fork, and not again in each

    def run(self) -> dict[str, object]:
        """Everything, and what came of it."""
        self._processes.wait_for(self._processes.fork(self._set_up))
        caller = self._start_caller()
        engine = self._start_engine()
        for cycle in self._plan.cycles:
            engine = self._live_and_die(cycle, engine)
            if cycle.caller_dies:
                self._processes.kill(caller)
                caller = self._start_caller()
            self._told()
        os.kill(caller, signal.SIGTERM)
        self._processes.wait_for(caller)
        return self._judge(engine)

    # --- processes ------------------------------------------------------------------------------------------------

    def _start_engine(self) -> int:
        self._engines += 1
        return self._processes.fork(
            lambda: build(url_of(self._folder), self._plan).run(), f"engine-{self._engines}.log"
        )

    def _start_caller(self) -> int:
        self._callers += 1
        number = self._callers
        return self._processes.fork(
            lambda: Caller(self._plan, url_of(self._folder), promises_of(self._folder), number).run()
        )

    # --- one cycle ------------------------------------------------------------------------------------------------

    def _live_and_die(self, cycle: Cycle, engine: int) -> int:
        following = None
        if cycle.next_stands_by:
            time.sleep(max(0.0, cycle.life_s - STAND_BY_S))
            following = self._start_engine()
            time.sleep(min(cycle.life_s, STAND_BY_S))
        else:
            time.sleep(cycle.life_s)
        self._processes.reap()
        if engine in self._processes.ended:
            text = f"the engine ended by itself, with code {self._processes.ended[engine]}, before it was killed; see engine-*.log"
            self._violations.append(Violation("engine", text, time.time_ns() // 1000))
        else:
            sidelog.say_kill(os.environ[sidelog.LOG_VARIABLE], engine, cycle.number)
            spawners = children_of(engine) if cycle.spawner_first or cycle.spawner_last else []
            doomed = [*spawners, engine] if cycle.spawner_first else [engine, *spawners]
            for pid in doomed:
                os.kill(pid, signal.SIGKILL)
            self._processes.wait_for(engine)
        time.sleep(cycle.nobody_s)
        return self._start_engine() if following is None else following

    def _set_up(self) -> None:
        """The database, with the commands; functions are declared by each engine."""
        store = open_store(url_of(self._folder), time.time_ns() // 1000)
        set_up(store, self._plan, log_of(self._folder))
        store.close()

    # --- the end --------------------------------------------------------------------------------------------------

    def _judge(self, engine: int) -> dict[str, object]:
        bell: Watchbell = build(url_of(self._folder), self._plan)
        for work in self._plan.works:
            bell.pause(work.name)
        bell.stop()
        store = open_store(url_of(self._folder), time.time_ns() // 1000)
        self._drain(store)
        os.kill(engine, signal.SIGTERM)
        code = self._processes.wait_for(engine)
        if code != 0:
            self._say("exit", f"the last engine was stopped with SIGTERM and left with code {code}, not 0")
        database = store.read(ledger.database_id)
        if found := ledger.orphans(database):
            self._say(
                "orphans", f"processes of runs are still there after the last engine has stopped: {found}"
            )
        history = self._history()
        ledger.read_into(history, store)
        self._violations += check(history)
        report = self._audit(store)
        store.close()
        ends: dict[str, int] = {}
        for row in history.rows:
            ends[row.state] = ends.get(row.state, 0) + 1
        return {
            "violations": [asdict(item) for item in self._violations],
            "kills": [(kill.cycle, kill.wall_us) for kill in history.kills],
            "occurrences": report,
            "begun": sum(1 for record in history.records if record.phase == "begin"),
            "ends": ends,
            "attempts_lost": sum(1 for attempt in history.attempts if attempt.ending == "lost"),
        }

    def _drain(self, store: SqliteStore) -> None:
        """Wait until every row has ended, for as long as rows move."""
        patience = Patience()
        while (standing := store.read(ledger.standing))[0]:
            if (why := patience.ends(standing, time.monotonic())) is not None:
                self._say("drain", f"every schedule is paused, and {standing[0]} rows have not ended: {why}")
                return
            time.sleep(0.05)

    def _history(self) -> History:
        promises, errors = read_promises(promises_of(self._folder))
        for text in errors:
            self._say("caller", f"the second process met an error: {text}")
        records, kills = sidelog.read(log_of(self._folder))
        history = History(records=records, kills=kills, promises=promises)
        limits_of(self._plan, history)
        return history

    def _audit(self, store: SqliteStore) -> int:
        report = ledger.audited(store, time.time_ns() // 1000)
        for finding in report.findings:
            self._say(finding.kind, finding.sentence, finding.due_at)
        for unknown in report.unknown:
            self._say("unknown", f"{unknown.schedule}: {unknown.why}")
        for key, stored, real in report.gates:
            self._say("gates", f"gate {key} says {stored} active, the ledger says {real}")
        if not report.ok and not self._violations:
            self._say("audit", f"the audit is not content: {json.dumps(report.to_json())}")
        if (said := ledger.sound(store)) != "ok":
            self._say("integrity", f"PRAGMA integrity_check says: {said}")
        return report.occurrences

    def _say(self, rule: str, sentence: str, at: int | None = None) -> None:
        self._violations.append(Violation(rule, sentence, at))
