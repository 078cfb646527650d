"""What is judged, as values: what the jobs wrote down, what was done to their engines, and what the ledger says."""

from __future__ import annotations

from dataclasses import dataclass, field

OUTER_LANES = frozenset({"process", "command"})
"""Lanes whose work is in processes of their own."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line that a job wrote itself: one O_APPEND write, so the order of lines is the order of time.

    `phase` is begin, end (it returned), fail (it is about to raise, or to leave with an exit code), stop (it was asked to
    end and does), or over: a lock that only one (or n) may have was not free, so more were at work than may be.
    `wall_us` is 0 where the job cannot tell.
    """

    place: int
    key: str
    epoch: int
    attempt: int
    token: str
    phase: str
    pid: int
    mono_ns: int
    wall_us: int


@dataclass(frozen=True, slots=True)
class Kill:
    """An engine was killed with SIGKILL: `place` is where in the jobs' log, written just before."""

    place: int
    pid: int
    wall_us: int
    cycle: int


@dataclass(frozen=True, slots=True)
class Node:
    """An incarnation of an engine in the ledger. A process that was declared dead and lives comes back as another one."""

    id: int
    pid: int
    state: str
    lease_until: int | None = None
    stopped_at: int | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """A time in which an engine could not be heard: it was stopped, its connections stalled or refused, or there was no
    server. `pid` is None for all engines."""

    pid: int | None
    kind: str
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class Life:
    """One process of an engine: where it ran, whether with the newer code, and when it had ended."""

    pid: int
    place: int
    newer: bool
    from_us: int
    to_us: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the ledger, with what its schedule and job may do."""

    run: int
    key: str
    schedule: str | None
    job: str
    lane: str
    state: str
    reason: str | None = None
    epoch: int = 0
    attempt: int = 0
    node: int | None = None
    token_hash: bytes | None = None
    start_at: int = 0
    claimed_at: int | None = None
    began_at: int | None = None
    business_key: str | None = None
    into: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A recorded attempt of a run that needed more than one."""

    run: int
    number: int
    epoch: int
    node: int | None
    ending: str
    claimed_at: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """A call of another process that was answered: the run it was given for a job and a business key."""

    job: str
    key: str | None
    run: int
    new: bool


@dataclass(slots=True)
class History:
    """Everything about one database."""

    records: list[Record] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    of_schedule: dict[str, int] = field(default_factory=dict)
    """How many occurrences of a schedule may be at work together; 1 for one that skips or queues."""
    of_job: dict[str, int] = field(default_factory=dict)
    """How many runs of a job may be at work together."""
    silences: list[Silence] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    """The engines' processes, where many act on one database."""
    only_newer: frozenset[str] = frozenset()
    """Jobs that only the newer code knows."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A counter-example: which rule, what is wrong, and the instant it belongs to, where that is known."""

    rule: str
    sentence: str
    at: int | None = None
    run: int | None = None
