"""Whether the wall clock is believed (PROTOCOL §11): its standing × what happened to it → its next standing.

A *step* is the wall clock running ahead of (or behind) the boot-time clock; time that passed while the machine slept or
was off is none. A step forward of more than 10 min makes the clock *suspect*: planning stops where it was. That ends when
the kernel says that a time server keeps the clock, when it has been steady for 10 min, when it is set back to where it
would be, or when a person confirms it. What a clock has skipped beyond 25 h is *held* then, and only a person lets it go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from .instants import DAY, HOUR, MINUTE, SECOND, Instant, human_duration, to_text

STEP_US: Final = 2 * SECOND
"""A smaller one is nothing to speak of."""
SUSPECT_US: Final = 10 * MINUTE
BACK_US: Final = 5 * MINUTE
STEADY_US: Final = 10 * MINUTE
HOLD_US: Final = 25 * HOUR
LONGEST_OFF_US: Final = 400 * DAY


class ClockStanding(StrEnum):
    """Where the clock stands."""

    TRUSTED = "trusted"
    SUSPECT = "suspect"
    HOLDING = "holding"


ARROWS: Final[Mapping[ClockStanding, frozenset[ClockStanding]]] = MappingProxyType(
    {
        ClockStanding.TRUSTED: frozenset({ClockStanding.SUSPECT}),
        ClockStanding.SUSPECT: frozenset({ClockStanding.TRUSTED, ClockStanding.HOLDING}),
        ClockStanding.HOLDING: frozenset({ClockStanding.TRUSTED, ClockStanding.SUSPECT}),
    }
)


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the clock is believed.

    `since_at` is what it showed when the doubt began, `from_at` the last instant beyond doubt, `ahead_us` how far it
    stands from where it would be (negative: behind). With `upto_at` a backlog up to there is held until a person confirms.
    `steady_us` says since when, by the boot-time clock of `boot_id`, nobody has set it.
    """

    standing: ClockStanding = ClockStanding.TRUSTED
    why: str = ""
    since_at: Instant = 0
    from_at: Instant = 0
    ahead_us: int = 0
    upto_at: Instant | None = None
    boot_id: str = ""
    steady_us: int = 0

    @property
    def suspect(self) -> bool:
        """Whether planning has stopped."""
        return self.standing is ClockStanding.SUSPECT

    def held_up_to(self, at: Instant) -> Instant | None:
        """Up to where what has come due by `at` is held instead of planned; None if nothing is."""
        if self.suspect:
            return at
        return None if self.upto_at is None else min(self.upto_at, at)


TRUSTED: Final = Trust()


@dataclass(frozen=True, slots=True)
class Stepped:
    """The clock was set from one instant to another, `by_us` away (backward: negative)."""

    from_at: Instant
    to_at: Instant
    by_us: int
    boot_id: str
    boot_us: int


@dataclass(frozen=True, slots=True)
class Started:
    """An engine has started: what its clocks show, what they showed when one looked last (in `seen_boot_id`), and the
    newest instant that an engine has left in the ledger."""

    now: Instant
    boot_id: str
    boot_us: int
    newest: Instant | None = None
    seen_at: Instant | None = None
    seen_boot_us: int = 0
    seen_boot_id: str = ""

    @property
    def same_boot(self) -> bool:
        """Whether the machine has been on ever since an engine looked."""
        seen = self.seen_at is not None and self.boot_us >= self.seen_boot_us
        return seen and self.boot_id == self.seen_boot_id

    @property
    def step(self) -> Stepped | None:
        """The step of the clock while no engine looked, where that can be known."""
        if not self.same_boot or self.seen_at is None:
            return None
        expected = self.seen_at + self.boot_us - self.seen_boot_us
        by_us = self.now - expected
        if abs(by_us) <= STEP_US:
            return None
        return Stepped(expected, self.now, by_us, self.boot_id, self.boot_us)


@dataclass(frozen=True, slots=True)
class Looked:
    """Time has passed, and nothing has happened to the clock."""

    now: Instant
    boot_id: str
    boot_us: int
    synchronised: bool | None = None


Event: TypeAlias = Stepped | Started | Looked


@dataclass(frozen=True, slots=True)
class Verdict:
    """The trust from now on; `told` is what somebody must be told, or None."""

    trust: Trust
    told: str | None = None


def decide(trust: Trust, event: Event) -> Verdict:
    """What becomes of the trust in the clock.

    >>> jump = Stepped(0, 30 * HOUR, 30 * HOUR, "boot", 0)
    >>> verdict = decide(TRUSTED, jump)
    >>> verdict.trust.standing.value, verdict.told
    ('suspect', 'the clock was set forward by 1 d 6 h')
    >>> decide(verdict.trust, Looked(31 * HOUR, "boot", 11 * MINUTE)).trust.standing.value
    'holding'
    """
    match event:
        case Stepped():
            found = _stepped(trust, event)
        case Started():
            found = _started(trust, event)
        case _:
            found = _looked(trust, event)
    to = found.trust.standing
    assert to is trust.standing or to in ARROWS[trust.standing], f"no arrow from {trust.standing} to {to}"
    return found


def _stepped(trust: Trust, step: Stepped) -> Verdict:
    told = _words(step.by_us)
    if trust.suspect:
        ahead = trust.ahead_us + step.by_us
        after = replace(trust, ahead_us=ahead, boot_id=step.boot_id, steady_us=step.boot_us)
        if abs(ahead) <= SUSPECT_US:
            return Verdict(_as_before(trust), told if step.by_us < -BACK_US else None)
        return Verdict(after, told if step.by_us < -BACK_US else None)
    if step.by_us > SUSPECT_US:
        return Verdict(_doubted(trust, told, step.from_at, step.to_at, step.by_us, step), told)
    return Verdict(trust, told if step.by_us < -BACK_US else None)


def _started(trust: Trust, start: Started) -> Verdict:
    if start.same_boot:
        return Verdict(trust) if start.step is None else _stepped(trust, start.step)
    if trust.suspect:
        ahead = start.now - trust.from_at
        if -BACK_US <= ahead <= SUSPECT_US:
            return Verdict(_as_before(trust))
        return Verdict(replace(trust, ahead_us=ahead, boot_id=start.boot_id, steady_us=start.boot_us))
    if start.newest is None or -BACK_US <= start.now - start.newest <= LONGEST_OFF_US:
        return Verdict(trust)
    apart = start.now - start.newest
    side = "behind" if apart < 0 else "ahead of"
    told = (
        f"the clock shows {to_text(start.now)}, {human_duration(abs(apart))} {side} the newest entry of "
        f"the ledger"
    )
    return Verdict(_doubted(trust, told, start.newest, start.now, apart, start), told)


def _looked(trust: Trust, look: Looked) -> Verdict:
    if not trust.suspect:
        return Verdict(trust)
    if trust.boot_id != look.boot_id:
        return Verdict(replace(trust, boot_id=look.boot_id, steady_us=look.boot_us))
    steady = look.boot_us - trust.steady_us
    if not (look.synchronised or steady >= STEADY_US):
        return Verdict(trust)
    if trust.ahead_us <= HOLD_US:
        return Verdict(_as_before(trust))
    told = (
        f"{trust.why}; what came due from {to_text(trust.from_at)} to {to_text(look.now)} is held until "
        "somebody confirms the clock: watchbell clock confirm"
    )
    held = replace(trust, standing=ClockStanding.HOLDING, upto_at=max(look.now, trust.upto_at or 0))
    return Verdict(held, told)


def _doubted(
    trust: Trust, why: str, from_at: Instant, now: Instant, ahead_us: int, event: Stepped | Started
) -> Trust:
    return Trust(
        ClockStanding.SUSPECT, why, now, from_at, ahead_us, trust.upto_at, event.boot_id, event.boot_us
    )


def _as_before(trust: Trust) -> Trust:
    """The doubt is over; a backlog that was held before it is still held."""
    return TRUSTED if trust.upto_at is None else replace(trust, standing=ClockStanding.HOLDING, ahead_us=0)


def _words(by_us: int) -> str:
    return f"the clock was set {'forward' if by_us > 0 else 'back'} by {human_duration(abs(by_us))}"
