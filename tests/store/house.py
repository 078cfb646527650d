"""A store with a node or two, and short ways to plan, claim and settle: what the tests of the store share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests import databases
from watchbell.core.claim import Claim
from watchbell.core.instants import parse_instant
from watchbell.core.outcome import Ending, Outcome
from watchbell.core.plan import Capacity
from watchbell.core.policies import JobOptions, Policies
from watchbell.core.triggers import Trigger, every
from watchbell.services.audit import AuditReport, audit
from watchbell.store import nodes
from watchbell.store.base import Store
from watchbell.store.claiming import Moment, claim_ready
from watchbell.store.planning import Planned, Planner, plan_due
from watchbell.store.runs import Enqueued, Wish, enqueue
from watchbell.store.schedules.catalog import Catalog
from watchbell.store.schedules.put import (
    Doer,
    JobSpec,
    Put,
    ScheduleSpec,
    Stands,
    put_job,
    put_schedule,
    stands,
)
from watchbell.store.settling import Ended, Settled, settle
from watchbell.store.tokens import Tokens
from watchbell.store.tx import Tx

T0 = parse_instant("2026-11-21T00:00:00Z")
HANDLERS = ("job", *(f"job {number}" for number in range(9)))


@dataclass
class OneNode:
    """One planner with its own cache and its own claims."""

    id: int
    planner: Planner
    slots: int = 100
    held: list[Claim] = field(default_factory=list)


class House:
    """One database, some nodes, and a time that is set."""

    def __init__(self, store: Store | None = None, nodes_: int = 1) -> None:
        self.now = T0
        self.store = store or databases.opened(T0)
        self.catalog = Catalog()
        self.nodes = [self._node(number) for number in range(nodes_)]

    def _node(self, number: int) -> OneNode:
        info = nodes.NodeInfo(f"n{number}", "here", 1, "boot", "0", {"thread": 3}, HANDLERS)
        node = self.store.write(lambda tx: nodes.register(tx, info, T0))[0]
        return OneNode(node, Planner(Catalog(), node, Tokens(lambda n: bytes([number + 1]) * n)))

    @property
    def node(self) -> OneNode:
        return self.nodes[0]

    @property
    def doer(self) -> Doer:
        return Doer("anna", self.now)

    def job(self, name: str = "job", **options: Any) -> int:
        spec = JobSpec(name, "thread", options=JobOptions(**options))
        return self.store.write(lambda tx: put_job(tx, spec, self.doer).id)

    def schedule(
        self, name: str = "s", trigger: Trigger | None = None, job: int | None = None, **policies: Any
    ) -> int:
        return self.put(
            ScheduleSpec(name, job or self.job(), trigger or every("10m"), Policies(**policies))
        ).id

    def put(self, spec: ScheduleSpec) -> Put:
        return self.store.write(lambda tx: put_schedule(tx, self.catalog, spec, self.doer))

    def stands(self, name: str) -> Stands:
        found = self.store.read(lambda tx: stands(tx, name))
        assert found is not None
        return found

    def plan(self, node: OneNode | None = None, *, ahead: int = 0, slots: int | None = None) -> Planned:
        node = node or self.node

        def work(tx: Tx) -> Planned:
            node.planner.catalog.refresh(tx)
            return plan_due(tx, node.planner, self._free(node, slots), self.now, ahead)

        planned = self.store.write(work)
        node.held += planned.claims
        return planned

    def claim(self, node: OneNode | None = None, *, ahead: int = 0, slots: int | None = None) -> list[Claim]:
        node = node or self.node

        def work(tx: Tx) -> list[Claim]:
            node.planner.catalog.refresh(tx)
            return claim_ready(tx, node.planner, self._free(node, slots), Moment(self.now, ahead)).claims

        claims = self.store.write(work)
        node.held += claims
        return claims

    def _free(self, node: OneNode, slots: int | None) -> Capacity:
        free = node.slots - len(node.held) if slots is None else slots
        return Capacity({"thread": free}, free)

    def settle(
        self,
        claims: Sequence[Claim],
        ending: Ending = Ending.SUCCEEDED,
        node: OneNode | None = None,
        **more: Any,
    ) -> Settled:
        node = node or self.node
        ended = [
            Ended(
                claim,
                Outcome(ending, max(claim.start_at, claim.claimed_at), max(self.now, claim.start_at), **more),
            )
            for claim in claims
        ]
        node.held = [claim for claim in node.held if claim not in claims]
        return self.store.write(lambda tx: settle(tx, node.id, ended, self.now, lambda: 0.5))

    def ask(self, job: int, args: str = "{}", **wish: Any) -> Enqueued:
        def work(tx: Tx) -> Enqueued:
            self.catalog.refresh(tx)
            return enqueue(tx, Wish(self.catalog.job(tx, job), args, **wish), self.doer)

        return self.store.write(work)

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        return self.store.read(lambda tx: tx.rows(sql, params))

    def value(self, sql: str, *params: Any) -> Any:
        found = self.rows(sql, *params)
        return found[0][0] if found else None

    def run(self, sql: str, *params: Any) -> int:
        return self.store.write(lambda tx: tx.run(sql, params))

    def states(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT state FROM occurrence ORDER BY id")]

    def audit(self) -> AuditReport:
        """All zeros, with every node alive."""
        self.run("UPDATE node SET heartbeat_at = ?, lease_until = ?", self.now, self.now + 1)
        report = audit(self.store, now=self.now)
        assert [finding.sentence for finding in report.findings] == []
        assert report.gates == ()
        return report
