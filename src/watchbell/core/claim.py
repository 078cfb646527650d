"""A claim: what its owner knows of one attempt that may begin, from the write that granted it to the one that ends it."""

from __future__ import annotations

from dataclasses import dataclass

from .policies import Retry


@dataclass(slots=True)
class Claim:
    """One granted attempt. Only `revoked` ever changes: somebody has asked the run to end."""

    run: int
    epoch: int
    token: str
    workspace: int
    schedule: int | None
    version: int | None
    job: int
    lane: str
    due_at: int
    start_at: int
    claimed_at: int
    attempt: int = 1
    args: str | None = None
    gates: tuple[str, ...] = ()
    retry: Retry | None = None
    timeout_us: int | None = None
    kill_grace_us: int = 5_000_000
    chain_us: int | None = None
    key: str | None = None
    rerun: bool = False
    by_hand: bool = False
    catchup: bool = False
    rates: tuple[str, ...] = ()
    begin_by: int | None = None
    """Its start is counted for `rates` up to here: later it does not begin under this claim."""
    condition: str | None = None
    pause_after: int | None = None
    revoked: str | None = None
