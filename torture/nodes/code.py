"""What the engines and the callers of many nodes run: the plan's code, a newer version of it, and a caller that meets the
same faults and also enqueues within transactions of its own."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from watchbell.errors import Conflict, StoreError, StoreUnavailable

from ..caller import Caller
from ..history import Violation
from ..jobs import build
from ..plan import Plan, Work, plan_of

EXTRA = "extra-async"
ORDERS = "CREATE TABLE public.orders (id TEXT PRIMARY KEY, run BIGINT NOT NULL)"
AGAIN_S = 0.3
ROLLED_BACK = 0.3
_LONG: tuple[dict[str, Any], ...] = (
    {"overlap": "skip"},
    {"overlap": "queue_one"},
    {"overlap": "allow", "overlap_max": 2},
)
_NEW_PERIODS = ("every 700ms", "every 1300ms")


def plan_of_nodes(seed: int) -> Plan:
    """The plan of one seed, and runs that last longer than a lease: what becomes of them is not decided by their end."""
    drawn = random.Random(f"long {seed}")
    long = tuple(
        Work(
            name=f"long-{lane}",
            lane=lane,
            trigger=f"every {drawn.randrange(1500, 4000)}ms",
            longest_s=24.0 if lane != "command" else 36.0,  # which takes half of it
            failing=0.1,
            options=dict(drawn.choice(_LONG)),
            attempts=2,
            rerun=drawn.random() < 0.5,
        )
        for lane in ("async", "process", "thread", "command")
    )
    plan = plan_of(seed, 0, 0)
    return replace(plan, works=(*plan.works, *long))


def changed_in(plan: Plan) -> Work:
    """The schedule that the newer code has changed: the first of a function that no caller edits."""
    return plan.works[0]


def newer(plan: Plan) -> Plan:
    """The plan as the newer code has it: one schedule changed, one job more."""
    first = changed_in(plan)
    period = next(one for one in _NEW_PERIODS if one != first.trigger)
    extra = Work(EXTRA, "async", "every 900ms", 0.5, 0.0, {"overlap": "skip"})
    return replace(plan, works=(replace(first, trigger=period), *plan.works[1:], extra))


def engine(url: str, plan: Plan, is_newer: bool, has_acted: Callable[[], bool]) -> None:
    """What an engine's process does. Whoever watches over services starts one again that does not reach its server; one
    that has acted has to go on by itself."""
    while True:
        bell = build(url, newer(plan) if is_newer else plan, revision=2 if is_newer else 1)
        try:
            bell.run()
            return
        except StoreUnavailable:
            if has_acted():
                raise
            with contextlib.suppress(StoreError):
                bell.stop(0)
            time.sleep(AGAIN_S)


class AnotherCaller(Caller):
    """A caller that meets the faults of the network and of the server. An error of the store is an answer: nothing was
    promised then."""

    refusals = (Conflict, StoreError, psycopg.Error)

    def __init__(self, plan: Plan, url: str, promises: Path, number: int) -> None:
        super().__init__(plan, url, promises, number)
        self._orders = url
        self._number = number
        self._made = 0
        untouched = changed_in(plan).name
        self._functions = [work for work in self._functions if work.name != untouched]

    def _verbs(self) -> tuple[Callable[[], None], ...]:
        return (*super()._verbs(), self._order, self._order)

    def _order(self) -> None:
        """A row of the application's own and a run, in one transaction: both or neither."""
        self._made += 1
        order = f"order-{self._number}-{self._made}"
        with contextlib.closing(psycopg.connect(self._orders, connect_timeout=5)) as conn:
            made = self._bell._enqueue("errand-async", '{"longest":0.1}', None, order, within=conn)
            conn.execute("INSERT INTO public.orders VALUES (%s, %s)", (order, made.id))
            if self._drawn.random() < ROLLED_BACK:
                conn.rollback()
                return
            conn.commit()
        self._write({"job": "errand-async", "key": order, "run": made.id, "new": True})


def orders_of(url: str) -> dict[str, int]:
    """What the application's own table holds: the run of each order."""
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as conn:
        return {str(row[0]): int(row[1]) for row in conn.execute("SELECT id, run FROM public.orders")}


def orders_hold(orders: dict[str, int], keys: dict[str, int]) -> list[Violation]:
    """An order is there exactly if its run is. `keys` are the runs of the ledger by business key."""
    found = [
        Violation(
            "order", f"{order} was committed with run_{run}, and the ledger has {keys.get(order)}", None, run
        )
        for order, run in orders.items()
        if keys.get(order) != run
    ]
    return found + [
        Violation("order", f"run_{run} is in the ledger, and its {key} was rolled back", None, run)
        for key, run in keys.items()
        if key.startswith("order-") and key not in orders
    ]
