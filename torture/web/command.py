"""The command: `gunicorn --workers 4 --minutes 2 [--database URL] [--seed N] [--keep DIR]`."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from watchbell.store.base import Store
from watchbell.store.open import open_store

from .. import ledger, sidelog
from ..check import check
from ..history import History, Promise, Violation
from ..jobs import BY_HAND, build, log_of, url_of
from ..patience import Patience
from ..plan import plan_of
from ..setting import limits_of, set_up
from .server import Server

LEAST_S, LONGEST_S = 0.5, 4.0
SETTLED = 0.8
"""How often a server is left to come up first; else it is hit on its way."""


def main(arguments: list[str]) -> int:
    """Everything the command line says."""
    parser = argparse.ArgumentParser(prog="torture gunicorn", description=__doc__)
    parser.add_argument("--workers", type=int, default=4, dest="count", help="web workers")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long it is under fire")
    parser.add_argument("--database", default=None, help="a URL; else a new file of SQLite")
    parser.add_argument("--seed", type=int, default=None, help="the same seed gives the same jobs and acts")
    parser.add_argument("--keep", type=Path, default=None, help="keep the database and logs in this folder")
    asked = parser.parse_args(arguments)
    if asked.count < 1 or asked.minutes <= 0:
        parser.error("--workers is at least 1 and --minutes more than 0")
    seed = asked.seed if asked.seed is not None else int.from_bytes(os.urandom(4), "big")
    folder = (asked.keep or Path(tempfile.mkdtemp(prefix="watchbell-torture-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    ordeal = Ordeal(folder, asked.database or url_of(folder), asked.count, seed)
    violations = ordeal.carry_out(asked.minutes * 60)
    if not violations and asked.keep is None:
        shutil.rmtree(folder)
    else:
        print(f"database, jobs' log and server's log: {folder}; again with --seed {seed}")
    print(f"torture: {'1 failed' if violations else '1 passed, 0 failed'}", flush=True)
    return 1 if violations else 0


class Errands(threading.Thread):
    """Requests, one after the other, from outside. What was answered is a promise; what was not is not known."""

    def __init__(self, server: Server, drawn: random.Random) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._drawn = drawn
        self.over = threading.Event()
        self.promises: list[Promise] = []
        self.refused: list[str] = []

    def run(self) -> None:
        while not self.over.wait(min(0.3, self._drawn.expovariate(20))):
            job, key = self._drawn.choice(list(BY_HAND)), f"key-{self._drawn.randrange(2000)}"
            url = f"http://127.0.0.1:{self._server.port}/errand/{job}/{key}"
            try:
                with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=5) as answer:
                    said = json.loads(answer.read())
            except urllib.error.HTTPError as error:
                self.refused.append(f"{error.code} for {url}")
            except (OSError, ValueError):
                continue  # nobody was there, or died meanwhile
            else:
                self.promises.append(Promise(said["job"], said["key"], said["run"], said["new"]))


class Ordeal:
    """One database, one server after the other."""

    def __init__(self, folder: Path, url: str, count: int, seed: int) -> None:
        self._url = url
        self._folder = folder
        self._plan = plan_of(seed, 0, 0)
        self._drawn = random.Random(seed)
        self._violations: list[Violation] = []
        self._seed = seed
        os.environ[sidelog.LOG_VARIABLE] = str(log_of(folder))
        os.environ["WATCHBELL_STATE_FOLDER"] = str(folder / "state")
        self._server = Server(folder, url, count, self._drawn, seed)

    def carry_out(self, seconds: float) -> list[Violation]:
        """Everything; what was violated."""
        store = open_store(self._url, time.time_ns() // 1000)
        set_up(store, self._plan, log_of(self._folder))
        self._server.start()
        self._server.await_service()
        began = said = time.monotonic()
        errands = Errands(self._server, random.Random(self._seed + 1))
        errands.start()
        while time.monotonic() - began < seconds:
            if self._drawn.random() < SETTLED:
                self._server.await_service()
            time.sleep(self._drawn.uniform(LEAST_S, LONGEST_S))
            if (why := self._server.died()) is not None:
                self._say("server", why)
                self._server.start()
            self._server.act()
            if time.monotonic() - said > 10:
                said = time.monotonic()
                print(f"{said - began:.0f} s: {sum(self._server.acts.values())} acts", flush=True)
        errands.over.set()
        errands.join(30)
        self._judge(store, errands)
        store.close()
        return self._violations

    def _judge(self, store: Store, errands: Errands) -> None:
        bell = build(self._url, self._plan)
        for work in self._plan.works:
            bell.pause(work.name)
        bell.stop()
        self._drain(store)
        if (code := self._server.stop()) != 0:
            self._say("exit", f"gunicorn was ended with SIGTERM and left with code {code}, not 0")
        if found := ledger.orphans(store.read(ledger.database_id)):
            self._say(
                "orphans", f"processes of runs are still there after the last engine has stopped: {found}"
            )
        for text in errands.refused:
            self._say("request", f"a request was answered with {text}")
        records, kills = sidelog.read(log_of(self._folder))
        history = History(records=records, kills=kills, promises=errands.promises)
        limits_of(self._plan, history)
        ledger.read_into(history, store)
        self._violations += check(history)
        report = ledger.audited(store, time.time_ns() // 1000)
        for finding in report.findings:
            self._say(finding.kind, finding.sentence)
        if not report.ok and not self._violations:
            self._say("audit", f"the audit is not content: {json.dumps(report.to_json())}")
        self._tell(history, report.occurrences)

    def _drain(self, store: Store) -> None:
        patience = Patience()
        while (standing := store.read(ledger.standing))[0]:
            if (why := patience.ends(standing, time.monotonic())) is not None:
                self._say("drain", f"every schedule is paused, and {standing[0]} rows have not ended: {why}")
                return
            time.sleep(0.05)

    def _tell(self, history: History, occurrences: int) -> None:
        ends: dict[str, int] = {}
        for row in history.rows:
            ends[row.state] = ends.get(row.state, 0) + 1
        counts = {rule: sum(found.rule == rule for found in self._violations) for rule in AUDITED}
        acts = ", ".join(f"{count} {what}" for what, count in sorted(self._server.acts.items()))
        engines = len({node.pid for node in history.nodes})
        print(
            f"seed {self._seed}: {acts}; {engines} engines, {len(history.promises)} requests answered, {occurrences} "
            f"occurrences, {len(history.rows)} rows, "
            f"{sum(record.phase == 'begin' for record in history.records)} begun, "
            + ", ".join(f"{count} {rule}" for rule, count in counts.items())
        )
        print("  " + ", ".join(f"{count} {state}" for state, count in sorted(ends.items())))
        shown: set[str] = set()
        for found in self._violations:
            if found.rule not in shown:
                shown.add(found.rule)
                print(f"VIOLATION {found.rule}: {found.sentence}")

    def _say(self, rule: str, sentence: str) -> None:
        self._violations.append(Violation(rule, sentence))


AUDITED = ("unaccounted", "invented", "stuck", "contradicted", "twice")
"""Figures that must be 0, whatever else is."""
