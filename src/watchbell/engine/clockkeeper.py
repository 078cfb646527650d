"""What an engine does when its clock moves (PROTOCOL §11): it writes down every step and every sleep, and stops planning
while the clock is not believed. What is decided is in `core.clock_trust`; here it is carried out.

On a store that several nodes share the clock is the store's, and a step of it happens to all of them: the first that
sees it writes it down, and the others find it written. The sleep of a machine is its own affair there, as long as
others were awake.
"""

from __future__ import annotations

import logging
from enum import Enum, auto

from ..core.clock_trust import (
    ClockStanding,
    Event,
    Looked,
    Started,
    Stepped,
    Trust,
    decide,
)
from ..core.instants import to_text
from ..core.plan import Capacity
from ..store import alerts, nodes, rates, rounds
from ..store.clocks import trust
from ..store.clocks.release import release
from ..store.glance import Glance
from ..store.planning import Planned, Planner
from ..store.tx import Tx
from .clockwatch import STEP_US, ClockWatch, Jump
from .house import House

SUBJECT = "watchbell"
SYNC_EVERY_US = 1_000_000
SAME_STEP_US = 30_000_000
"""So far apart two nodes may see one step of the store's clock: one that has nothing to do asks for the time seldom."""
_WORDS = {
    "suspend": "the machine slept",
    "clock_jump": "the clock was set forward",
    "clock_back": "the clock was set back",
}
_STEPS = {"clock_jump": 1, "clock_back": -1}
_log = logging.getLogger("watchbell.engine")


class _Written(Enum):
    """What became of a write: it was made, another node had made it before, or somebody has changed the trust meanwhile."""

    YES = auto()
    BY_ANOTHER = auto()
    OVERTAKEN = auto()


class ClockKeeper:
    """One node's trust in its clock."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._watch = ClockWatch(house.clock)
        self._jumps: list[Jump] = []
        self._trust: Trust | None = None
        self._holds = True
        self._asked = 0
        self._took_boot = 0

    @property
    def planning(self) -> bool:
        """Whether the clock is believed, so that what comes due by it may be planned."""
        return self._trust is None or not self._trust.suspect

    def look(self) -> tuple[bool, bool]:
        """See what has happened to time: (whether anything has, whether claims that have not begun must go back)."""
        moved = unsafe = False
        if self._trust is None:
            self._start()
            moved = True
        self._jumps += self._watch.look()
        while self._jumps:
            moved = True
            unsafe |= self._jumped(self._jumps[0])
            del self._jumps[0]
        assert self._trust is not None
        if self._trust.standing is not ClockStanding.TRUSTED:
            moved |= self._look_again()
        return moved, unsafe

    def plan(
        self, tx: Tx, planner: Planner, capacity: Capacity, now: int, ahead_us: int, seen: Glance
    ) -> Planned:
        """Plan what has come due, as far as the clock is believed: nothing while it is suspect, and of a backlog that a
        person has not confirmed nothing but its spans. Where nothing was due at a glance, nothing is asked."""
        assert self._trust is not None
        found = Planned()
        if self._trust.suspect:
            return found
        if (edge := self._trust.held_up_to(now)) is not None:
            if trust.hold_due(tx, planner.catalog, edge, now):
                found.full_batch = True
                return found
        elif self._holds:
            found = release(tx, planner, now)
            if trust.held_until(tx) is None:
                tx.after_commit(self._released)
        if not seen.is_due(now + ahead_us):
            return found
        planned = rounds.plan_round(tx, planner, capacity, now, ahead_us, seen.change)
        planned.queued += found.queued
        planned.cancels += found.cancels
        planned.happened += found.happened
        planned.alerts += found.alerts
        planned.full_batch |= found.full_batch
        return planned

    def _released(self) -> None:
        """Nothing is held any more, and that is durable."""
        self._holds = False

    def next_at(self, tx: Tx, after: int | None = None) -> int | None:
        """When there is something to plan next, or comes due later than `after`; None while nothing is planned."""
        if not self.planning:
            return None
        found = [at for at in (rounds.next_due(tx, after), self._next_release(tx)) if at is not None]
        return min(found, default=None)

    def next_seen(self, tx: Tx, seen: Glance) -> int | None:
        """The same where nothing has been planned since the glance."""
        if not self.planning:
            return None
        return min(
            (at for at in (seen.due, seen.change, self._next_release(tx)) if at is not None), default=None
        )

    def _next_release(self, tx: Tx) -> int | None:
        released = self._holds and self._trust is not None and self._trust.upto_at is None
        return trust.held_until(tx) if released else None

    # --- what has happened --------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """What the clock has done while no engine looked."""
        house, clock = self._house, self._house.clock
        now, boot = clock.wall_us(), clock.boot_ns() // 1000

        def read(tx: Tx) -> tuple[Trust, Event]:
            if house.store.shared and nodes.is_attended(tx, house.node, now):
                # Whatever has happened to the clock, others have seen it.
                return trust.read_trust(tx), Started(now, clock.boot_id(), boot, newest=now, seen_at=now,
                                                     seen_boot_us=boot, seen_boot_id=clock.boot_id())  # fmt: skip
            return trust.read_trust(tx), trust.read_start(tx, house.node, now, clock.boot_id(), boot)

        before, start = house.store.read(read)
        self._take(before)
        self._follow(start, ())

    def _jumped(self, jump: Jump) -> bool:
        """Write it down, tell of it, and believe the clock or not. True if what is claimed must be given back."""
        house = self._house
        text = f"{_WORDS[jump.kind]} by {jump.by_us / 1e6:.1f} s"
        _log.warning("engine.%s: %s", "suspended" if jump.kind == "suspend" else "clock_step", text)
        outage, slept = (jump.kind, jump.from_at, jump.to_at, text), jump.kind == "suspend"
        if slept:
            self._slept(outage)
        else:
            back = jump.kind == "clock_back"
            here, there = (jump.to_at, jump.from_at) if back else (jump.from_at, jump.to_at)
            clock = house.clock
            step = Stepped(
                here, there, -jump.by_us if back else jump.by_us, clock.boot_id(), clock.boot_ns() // 1000
            )
            self._follow(step, [outage])
        house.hooks.tell(
            "engine.suspended" if slept else "engine.clock_step",
            {"by_us": jump.by_us, "text": text},
        )
        return jump.kind == "clock_back" or not self.planning or (slept and house.store.shared)

    def _slept(self, outage: tuple[str, int, int, str]) -> None:
        """The machine slept. Where others were awake, nothing has been missed by that."""
        house = self._house
        others = house.store.shared and house.store.read(
            lambda tx: nodes.is_attended(tx, house.node, outage[2])
        )
        self._write(None, None, [] if others else [outage])

    def _is_known(self, tx: Tx, outage: tuple[str, int, int, str]) -> bool:
        """Whether another node has written this very step down: of the same size, at about the same time."""
        kind, from_at, to_at, _ = outage
        return (
            tx.value(
                "SELECT 1 FROM outage WHERE kind = ? AND node <> ? AND to_at BETWEEN ? AND ? "
                "AND to_at - from_at BETWEEN ? AND ? LIMIT 1",
                (
                    *(kind, self._house.node, to_at - SAME_STEP_US, to_at + SAME_STEP_US),
                    *(to_at - from_at - STEP_US, to_at - from_at + STEP_US),
                ),
            )
            is not None
        )

    def _look_again(self) -> bool:
        """While the clock is in doubt: whether a person has confirmed it, or it can be believed again."""
        house, clock = self._house, self._house.clock
        found = house.store.read(trust.read_trust)
        moved = found != self._trust
        if moved:
            self._take(found)
        boot = clock.boot_ns() // 1000
        if found.suspect:
            synchronised = None
            if boot - self._asked >= SYNC_EVERY_US:
                self._asked, synchronised = boot, clock.synchronised()
            moved |= self._follow(Looked(clock.wall_us(), *self._steady(found), synchronised), ())
        return moved

    def _steady(self, found: Trust) -> tuple[str, int]:
        """Since when the clock has been left alone, as a boot and what its clock shows. On a shared store whoever has seen
        the step first counts by its own boot-time clock, and the others by how long they have known of it."""
        clock = self._house.clock
        boot = clock.boot_ns() // 1000
        if not self._house.store.shared or found.boot_id == clock.boot_id():
            return clock.boot_id(), boot
        return found.boot_id, found.steady_us + boot - self._took_boot

    def _follow(self, event: Event, outages: list[tuple[str, int, int, str]] | tuple[()]) -> bool:
        """Let the trust follow what has happened; whether it is another one than before."""
        first = self._trust
        while True:
            before = self._trust
            assert before is not None
            verdict = decide(before, event)
            after = verdict.trust
            written = [*outages, *_seen_at_start(event)]
            if after.suspect and not before.suspect:
                written.append(("clock_doubt", min(after.from_at, after.since_at), after.since_at, after.why))
            if after == before and not verdict.told and not written:
                break
            done = self._write((before, after), verdict.told, written)
            if done is _Written.YES:
                if after != before:
                    self._take(after)
                    self._say(before, after)
                elif verdict.told:
                    _log.error("engine.clock: %s", verdict.told)
                break
            self._take(self._house.store.read(trust.read_trust))
            if done is _Written.BY_ANOTHER:
                break
        return self._trust != first

    def _write(
        self,
        trusts: tuple[Trust, Trust] | None,
        told: str | None,
        outages: list[tuple[str, int, int, str]],
    ) -> _Written:
        """Write down what has happened and the trust from now on, in the place of the one that it was judged by."""
        house, now = self._house, self._house.clock.wall_us()

        def write(tx: Tx) -> tuple[_Written, int]:
            house.fence(tx)
            house.beat(tx, now, house.clock.boot_ns() // 1000)
            if house.store.shared and any(o[0] in _STEPS and self._is_known(tx, o) for o in outages):
                return _Written.BY_ANOTHER, 0
            if trusts is not None and trust.read_trust(tx) != trusts[0]:
                return _Written.OVERTAKEN, 0
            for kind, from_at, to_at, text in outages:
                nodes.record_outage(tx, kind, from_at, to_at, house.node, text)
                if kind in _STEPS:
                    rates.shift(tx, _STEPS[kind] * (to_at - from_at))
            if trusts is not None and trusts[0] != trusts[1]:
                trust.write_trust(tx, trusts[1])
            if told is None:
                return _Written.YES, 0
            about = alerts.Happening("clock", 1, SUBJECT, due_at=now, detail=told)
            return _Written.YES, alerts.observe(tx, [about], now)

        done, alerted = house.store.write(write)
        if alerted:
            house.alerted()
        return done

    def _take(self, found: Trust) -> None:
        if self._trust is None or found != self._trust:
            self._took_boot = self._house.clock.boot_ns() // 1000
        self._trust, self._holds = found, True
        self._house.doubt_us = max(0, found.ahead_us) if found.suspect else 0
        self._house.certain = found.standing is ClockStanding.TRUSTED

    def _say(self, before: Trust, after: Trust) -> None:
        hooks = self._house.hooks
        if after.suspect and not before.suspect:
            _log.critical(
                "engine.clock_suspect: %s; nothing is planned beyond %s until the clock is known to be right, or "
                "`watchbell clock confirm`",
                after.why,
                to_text(after.from_at),
            )
            hooks.tell("engine.clock_suspect", {"text": after.why, "ahead_us": after.ahead_us})
        elif before.suspect and not after.suspect:
            held = after.standing is ClockStanding.HOLDING
            _log.warning(
                "engine.clock_trusted: planning goes on%s",
                "; the backlog is held: watchbell clock confirm" if held else "",
            )
            hooks.tell("engine.clock_trusted", {"text": before.why, "held": held})


def _seen_at_start(event: Event) -> list[tuple[str, int, int, str]]:
    """A step while no engine looked, as an outage: seen within one boot only."""
    step = event.step if not isinstance(event, Stepped | Looked) else None
    if step is None:
        return []
    kind = "clock_jump" if step.by_us > 0 else "clock_back"
    text = f"{_WORDS[kind]} by {abs(step.by_us) / 1e6:.1f} s, while no engine was running"
    return [(kind, min(step.from_at, step.to_at), max(step.from_at, step.to_at), text)]
