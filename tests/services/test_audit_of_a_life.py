"""The audit against what the store's own plan, claim, settle, edit, pause and delete write: two programs, one ledger."""

from __future__ import annotations

import random

import pytest

from tests import databases
from tests.services.ledger import T0
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND
from watchbell.core.outcome import Ending, Outcome
from watchbell.core.plan import Capacity
from watchbell.core.policies import CatchUp, Overlap, Policies
from watchbell.core.triggers import Trigger, cron, every, manual, once
from watchbell.services.audit import audit
from watchbell.store import nodes
from watchbell.store.claiming import Moment, claim_ready
from watchbell.store.planning import Planner, plan_due
from watchbell.store.schedules.catalog import Catalog
from watchbell.store.schedules.put import (
    Doer,
    JobSpec,
    ScheduleSpec,
    go_on,
    put_job,
    put_schedule,
    remove,
    stand_still,
)
from watchbell.store.settling import Ended, settle
from watchbell.store.tokens import Tokens
from watchbell.store.tx import Tx

TRIGGERS: list[Trigger] = [
    cron("*/20 * * * *", tz="UTC"),
    cron("30 2,3 * * *", tz="Europe/Berlin"),
    cron("15 * * * *", tz="Australia/Lord_Howe", dst="wall"),
    every("7m"),
    every("1h"),
    manual(),
    once("2026-03-29T05:00:00Z"),
]
POLICIES = [
    Policies(),
    Policies(catchup=CatchUp.NONE),
    Policies(catchup=CatchUp.ALL, catchup_limit=3, overlap=Overlap.QUEUE_ALL),
    Policies(catchup=CatchUp.EARLIEST, overlap=Overlap.QUEUE_ONE),
    Policies(catchup=CatchUp.ALL, catchup_window_us=2 * HOUR, overlap=Overlap.ALLOW),
    Policies(start_deadline_us=10 * MINUTE),
]
START = T0 - 238 * DAY  # 2026-03-28, the day before Berlin changes its clocks


class Life:
    """A few schedules, one engine, and chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.store = databases.opened(self.now)
        self.tokens = Tokens(self.chance.randbytes)
        self.catalog = Catalog()
        self.running: list[tuple[int, object]] = []
        self.node = self.store.write(self._register)
        self.job = self.store.write(lambda tx: put_job(tx, JobSpec("job", "thread"), self.doer).id)
        self.names = [f"s{number}" for number in range(4)]
        self.ids: dict[str, int] = {}
        for name in self.names:
            self.put(name)

    @property
    def doer(self) -> Doer:
        return Doer("anna", self.now, "UTC")

    def _register(self, tx: Tx) -> int:
        info = nodes.NodeInfo("bell", "here", 1, "boot", "0", {"thread": 3}, ("job",))
        return nodes.register(tx, info, self.now)[0]

    def put(self, name: str) -> None:
        spec = ScheduleSpec(name, self.job, self.chance.choice(TRIGGERS), self.chance.choice(POLICIES))
        self.ids[name] = self.store.write(lambda tx: put_schedule(tx, self.catalog, spec, self.doer).id)

    def step(self) -> None:
        """Let some time pass, then do one thing."""
        draw = self.chance.random()
        if draw < 0.05:
            return self.outage()
        self.now += self.chance.choice([SECOND, 3 * MINUTE, 20 * MINUTE, 61 * MINUTE])
        self.store.write(lambda tx: nodes.heartbeat(tx, self.node, self.now))
        if draw < 0.60:
            self.plan()
        elif draw < 0.85:
            self.settle()
        else:
            self.change()
        return None

    def outage(self) -> None:
        down = self.now
        self.now += self.chance.randint(1, 9) * HOUR
        self.store.write(lambda tx: nodes.record_outage(tx, "downtime", down, self.now, self.node))

    def plan(self) -> None:
        def work(tx: Tx) -> None:
            busy = len(self.running)
            capacity = Capacity({"thread": 3 - busy}, 2)
            planner = Planner(self.catalog, self.node, self.tokens)
            claims = plan_due(tx, planner, capacity, self.now, self.chance.choice([0, 20_000])).claims
            claims += claim_ready(tx, planner, capacity, Moment(self.now)).claims
            self.running += [(max(self.now, claim.due_at), claim) for claim in claims]

        self.store.write(work)

    def settle(self) -> None:
        self.chance.shuffle(self.running)
        ended = []
        while self.running and self.chance.random() < 0.7:
            began, claim = self.running.pop()
            ending = self.chance.choice([Ending.SUCCEEDED, Ending.SUCCEEDED, Ending.FAILED, Ending.LOST])
            end = max(self.now, began)
            ended.append(Ended(claim, Outcome(ending, began, end)))  # type: ignore[arg-type]
        self.store.write(lambda tx: settle(tx, self.node, ended, self.now, lambda: 0.5))

    def change(self) -> None:
        name = self.chance.choice(self.names)
        schedule, kind = self.ids[name], self.chance.choice(["paused", "disabled"])
        act = self.chance.choice(["edit", "still", "still", "on", "on", "remove", "aside"])
        if act == "edit":
            return self.put(name)
        if act == "remove":
            self.store.write(lambda tx: remove(tx, self.catalog, schedule, self.doer))
            return self.put(name)
        if act == "still":
            self.store.write(lambda tx: stand_still(tx, self.catalog, schedule, kind, self.doer))
        elif act == "on":
            self.store.write(lambda tx: go_on(tx, self.catalog, schedule, kind, self.doer))
        else:
            self.store.write(
                lambda tx: stand_still(tx, self.catalog, schedule, "set_aside", self.doer, "broken")
            )
            self.now += HOUR
            self.put(name)
        return None


def lived(seed: int) -> Life:
    life = Life(seed)
    for _ in range(150):
        life.step()
    life.store.write(lambda tx: nodes.heartbeat(tx, life.node, life.now))
    life.plan()
    return life


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_everything_is_accounted_for(seed: int) -> None:
    life = lived(seed)
    report = audit(life.store, now=life.now)
    assert [finding.sentence for finding in report.findings if finding.kind != "stuck"] == []
    assert report.gates == ()
    assert report.occurrences > 50


@pytest.mark.parametrize("seed", range(6))
def test_a_single_row_taken_away_is_noticed(seed: int) -> None:
    life = lived(seed)
    ids = life.store.read(
        lambda tx: tx.rows("SELECT id FROM occurrence WHERE origin = 'scheduled' AND state <> 'superseded'")
    )
    gone = life.chance.choice(ids)
    life.store.write(lambda tx: tx.run("DELETE FROM occurrence WHERE id = ?", gone))
    report = audit(life.store, now=life.now)
    assert report.unaccounted + report.contradicted > 0
