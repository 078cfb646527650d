"""After the faults: every schedule is paused, what is left runs to its end, the engines stop, and then it is judged."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict

import psycopg

from watchbell.core.triggers import Interval, parse_trigger, trigger_from_json
from watchbell.errors import NotFound
from watchbell.store.base import Store
from watchbell.store.open import open_store
from watchbell.store.tx import Tx

from .. import ledger, sidelog
from ..caller import read_promises
from ..history import History
from ..jobs import build, log_of
from ..patience import Patience
from ..setting import limits_of
from .code import EXTRA, changed_in, newer, orders_hold, orders_of
from .field import Field
from .judge import check_many, went_on
from .posts import now_us

STILL_S = 75.0
"""A node that died as the last fault is waited for: its lease, and what the others need to notice."""
TABLES = (
    "occurrence",
    "attempt",
    "node",
    "schedule",
    "schedule_version",
    "job",
    "gate",
    "outage",
    "span",
    "run_log",
)
_TWICE = (
    "SELECT schedule, due_at, count(*) FROM occurrence WHERE origin IN ('scheduled', 'backfill') "
    "GROUP BY schedule, due_at HAVING count(*) > 1"
)
_KEYS = "SELECT o.key, o.id FROM occurrence o WHERE o.key IS NOT NULL"
_NODES = "SELECT id, pid, state FROM node WHERE state IN ('up', 'draining')"


class Ending:
    """Brings one field to its end, and says what came of it."""

    def __init__(self, field: Field, faults: list[tuple[int, int]]) -> None:
        self._field = field
        self._faults = faults

    def judge(self) -> dict[str, object]:
        """Everything that is known then, as the verdict takes it."""
        field = self._field
        self._everybody_is_there()
        field.end_callers()
        self._pause()
        with closing(open_store(field.database, now_us())) as store:
            self._drain(store)
            field.end_engines()
            if found := ledger.orphans(store.read(ledger.database_id)):
                field.say(
                    "orphans", f"processes of runs are still there after the engines have stopped: {found}"
                )
            history = self._history(store)
            field.violations += check_many(history)
            occurrences = self._audit(store)
            self._compare(store)
            keys = {str(key): int(run) for key, run in store.read(lambda tx: tx.rows(_KEYS))}
        field.violations += orders_hold(orders_of(field.database), keys)
        return {
            "violations": [asdict(one) | {"case": self._case(one.at)} for one in field.violations],
            "kills": self._faults,
            "occurrences": occurrences,
            "begun": sum(1 for record in history.records if record.phase == "begin"),
            "ends": dict(Counter(row.state for row in history.rows)),
            "attempts_lost": sum(1 for attempt in history.attempts if attempt.ending == "lost"),
            "incarnations": len(history.nodes),
            "engines": len(history.lives),
            "fenced": len(history.nodes) - len({node.pid for node in history.nodes}),
            "eaten": self._eaten(),
            "went_on": went_on(history),
            "promises": len(history.promises),
        }

    def _case(self, at: int | None) -> int:
        """The last fault before that instant."""
        before = [number for number, wall_us in self._faults if at is None or wall_us <= at]
        return before[-1] if before else 0

    def _eaten(self) -> str:
        """What became of the commits whose reply was lost, as the proxies have seen it."""
        lines = [
            line.split(" ", 2)[2]
            for path in sorted(self._field.folder.glob("proxy-*.log"))
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.split(" ", 2)[1] == "eaten"
        ]
        return ", ".join(f"{count} {text}" for text, count in sorted(Counter(lines).items()))

    def _everybody_is_there(self) -> None:
        field = self._field
        while not all(post.there for post in field.posts):
            field.look()
            time.sleep(0.02)
        field.note("everything is healed")

    def _pause(self) -> None:
        bell = build(self._field.database, self._field.plan)
        for name in (*(work.name for work in self._field.plan.works), EXTRA):
            try:
                bell.pause(name)
            except NotFound:
                assert name == EXTRA, name
        bell.stop()

    def _drain(self, store: Store) -> None:
        field, patience = self._field, Patience(still_s=STILL_S)
        while (standing := store.read(ledger.standing))[0]:
            field.look()
            if (why := patience.ends(standing, time.monotonic())) is not None:
                field.say(
                    "drain",
                    f"every schedule is paused, and {standing[0]} rows have not ended: {why}",
                    now_us(),
                )
                return
            time.sleep(0.1)
        field.note("everything has ended")

    def _history(self, store: Store) -> History:
        field = self._field
        promises, errors = read_promises(field.folder / "promises.jsonl")
        for text in errors:
            field.say("caller", f"a caller met an error: {text}")
        records, kills = sidelog.read(log_of(field.folder))
        lives = field.lives
        history = History(
            records=records,
            kills=kills,
            promises=promises,
            silences=field.quiet.silences(lives),
            lives=lives,
            only_newer=frozenset({EXTRA}),
        )
        limits_of(newer(field.plan), history)
        ledger.read_into(history, store)
        return history

    def _audit(self, store: Store) -> int:
        field, report = self._field, ledger.audited(store, now_us())
        for finding in report.findings:
            field.say(finding.kind, finding.sentence, finding.due_at)
        for unknown in report.unknown:
            field.say("unknown", f"{unknown.schedule}: {unknown.why}")
        for key, stored, real in report.gates:
            field.say("gates", f"gate {key} says {stored} active, the ledger says {real}")
        if not report.ok and not field.violations:
            field.say("audit", f"the audit is not content: {json.dumps(report.to_json())}")
        return report.occurrences

    def _compare(self, store: Store) -> None:
        """What the rows of the server say of themselves, apart from any index."""
        field = self._field
        for schedule, due_at, count in store.read(_without_indexes):
            field.say(
                "identity",
                f"{count} rows of schedule {schedule} are due at the same instant {due_at}",
                due_at,
            )
        for node, pid, state in store.read(lambda tx: tx.rows(_NODES)):
            field.say("node", f"node {node} (process {pid}) is {state}, and every engine has stopped")
        acted = {int(row[0]) for row in store.read(lambda tx: tx.rows("SELECT pid FROM node"))}
        if any(life.newer and life.pid in acted for life in field.lives):
            self._newest_code_counts(store)

    def _newest_code_counts(self, store: Store) -> None:
        """An older declaration has changed nothing back."""
        field, name = self._field, changed_in(self._field.plan).name
        wanted = parse_trigger(changed_in(newer(field.plan)).trigger)
        sql = (
            "SELECT v.trigger FROM schedule s JOIN schedule_version v ON v.schedule = s.id AND v.version = s.version "
            "WHERE s.name = ? AND s.ended_at IS NULL"
        )
        found = trigger_from_json(json.loads(str(store.read(lambda tx: tx.value(sql, (name,))))))
        assert isinstance(wanted, Interval)
        if not isinstance(found, Interval) or found.period_us != wanted.period_us:
            field.say("declared", f"the newer code has {name} as {wanted}, and the ledger has {found}")


def _without_indexes(tx: Tx) -> list[tuple[int, int, int]]:
    for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
        tx.run(f"SET LOCAL enable_{kind} = off")
    return [(int(row[0]), int(row[1]), int(row[2])) for row in tx.rows(_TWICE)]


def is_sound(url: str) -> str:
    """What amcheck says of the indexes of a server that was killed: nothing where all is well, or it is not installed."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        try:
            conn.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
        except psycopg.Error:
            return ""
        try:
            conn.execute(
                "SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam "
                "WHERE a.amname = 'btree' AND c.relnamespace = 'watchbell'::regnamespace"
            )
        except psycopg.Error as error:
            return str(error)
    return ""
