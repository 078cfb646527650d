"""The composition root: how the parts of a node are put together. Imported when an engine starts, not before."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..channels.registry import SENDERS
from ..clock import Clock
from ..config import state_folder
from ..engine.alerter import Alerter
from ..engine.desk import Slots
from ..engine.house import House
from ..engine.node import Node, Plan
from ..executors.async_ import AsyncExecutor
from ..executors.base import Executor, Report, Sink
from ..executors.capture import install_capture, remove_capture
from ..executors.command import CommandExecutor
from ..executors.host import ProcessHost
from ..executors.http import HttpExecutor
from ..executors.process import ProcessExecutor
from ..executors.thread import ThreadExecutor
from .engine_options import EngineOptions

if TYPE_CHECKING:
    from ..engine.handlers import Handlers
    from ..engine.hooks import Hooks
    from ..engine.sources import Sources
    from ..store.base import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """What an application brings into its node."""

    clock: Clock
    store: Store
    handlers: Handlers
    hooks: Hooks
    sources: Sources
    slots: dict[str, int]
    zone: str
    grace_us: int
    engine: EngineOptions


def house(parts: Parts) -> House:
    """What the loops of a node share, with this machine's randomness."""
    own, clock = parts.clock, parts.store.clock(parts.clock)
    return House(
        clock=clock,
        store=parts.store,
        handlers=parts.handlers,
        hooks=parts.hooks,
        slots=Slots(parts.slots),
        randomness=os.urandom,
        draw=random.Random(os.urandom(8)).random,
        wake=lambda: None,
        zone=parts.zone,
        keep=parts.engine.keep,
        labels=parts.engine.labels,
        skew_us=(lambda: own.wall_us() - clock.wall_us()) if parts.store.shared else (lambda: None),
    )


def node(parts: Parts) -> Node:
    """A node with real executors, alerter and sources."""
    made = house(parts)
    draw = random.Random(os.urandom(8)).random
    alerter = Alerter(parts.store, made.clock, draw, SENDERS, made.fence)
    plan = Plan(
        executors=_executors,
        startup_delay_us=parts.engine.startup_delay_us,
        shutdown_grace_us=parts.grace_us,
        look_us=parts.engine.look_us,
        state=state_folder(os.environ, None, parts.engine.state),
    )
    return Node(made, plan, parts.sources, alerter)


def _executors(
    clock: Clock, sink: Sink, report: Callable[[Sequence[Report]], None], slots: Slots
) -> tuple[dict[str, Executor], Callable[[], None]]:
    """One for each lane; what runs say by logging or printing goes to their logs as well. Processes and
    commands share one host of processes."""
    install_capture(sink, stdio=True)
    host = ProcessHost(clock)
    found: list[Executor] = [
        AsyncExecutor(clock, sink, report, slots.lanes["async"]),
        ThreadExecutor(clock, sink, report, slots.lanes["thread"]),
        ProcessExecutor(clock, sink, report, slots.lanes["process"], host),
        CommandExecutor(clock, sink, report, slots.lanes["command"], host),
        HttpExecutor(clock, sink, report, slots.lanes["http"]),
    ]

    def close() -> None:
        host.close()
        remove_capture(sink)

    return {executor.lane: executor for executor in found}, close
