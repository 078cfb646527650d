"""Fixed delay, checked as a chain: each link is due one period after the end of the run before it (PROTOCOL §7).

A chain starts anew, one period after that instant, with a version and with the end of a pause; a run by hand of the
schedule may carry it on as well. A row that ended without having run still has an end, from which the chain goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..states import LIVE
from .evidence import LedgerRow, Pause, Version, Window
from .recount_blackout import dark_of


@dataclass(slots=True)
class Chain:
    """What was found: how many links there are, rows that follow from nothing, links that are missing between others,
    and the instant at which the next one is due (None: nothing can be said, or the last one still runs)."""

    links: int = 0
    invented: list[LedgerRow] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    expected: int | None = None


def judge_chain(window: Window, version: Version, period: int, rows: Sequence[LedgerRow]) -> Chain:
    """Follow the chain of one version through the window."""
    chain = Chain()
    starts = set(_starts(window, version))
    bases = starts | set(window.by_hand)
    end = window.upto if version.to_at is None else min(window.upto, version.to_at)
    before = window.before if window.before is not None and window.before.due_at > version.from_at else None
    known = before is not None or window.after <= version.from_at
    for row in rows:
        if row.origin == "backfill" or row.due_at <= version.from_at:
            continue
        if version.to_at is not None and row.due_at > version.to_at:
            break
        # Where runs overlap, any of them may be the one whose end carries the chain on.
        if before is not None and before.ended_at is not None:
            bases.add(_end_of(before, version))
        if known and row.due_at - period not in bases:
            _judge_link(chain, row, before, period, window)
        chain.links += 1
        before, known = row, True
    if known and (window.last or (version.to_at is not None and version.to_at <= window.upto)):
        chain.expected = _next(window, version, before, period, starts)
        if version.to_at is not None and chain.expected is not None and chain.expected > end:
            chain.expected = None
    return chain


def _starts(window: Window, version: Version) -> list[int]:
    """The instants from which the chain counts anew, in order."""
    anchor = json.loads(version.trigger).get("start_at") or 0
    ends = [
        p.until_at
        for p in window.pauses
        if p.until_at is not None
        and p.until_at >= version.from_at
        and (version.to_at is None or p.until_at <= version.to_at)
    ]
    return sorted({max(at, anchor) for at in (version.from_at, *ends)})


def _judge_link(chain: Chain, row: LedgerRow, before: LedgerRow | None, period: int, window: Window) -> None:
    """A link that follows from nothing: either it is invented, or the one between it and the one before is gone."""
    if before is not None and before.ended_at is not None and before.ended_at < row.due_at - period:
        expected = before.ended_at + period
        if not _cut(window.pauses, before.ended_at, expected):
            chain.missing.append(expected)
            return
    chain.invented.append(row)


def _next(
    window: Window, version: Version, before: LedgerRow | None, period: int, starts: set[int]
) -> int | None:
    if before is not None and (before.state in LIVE or before.ended_at is None):
        return None
    if window.by_hand_live:
        return None
    ends = [] if before is None or before.ended_at is None else [_end_of(before, version)]
    base = max([*ends, *(at for at in window.by_hand if at >= version.from_at), *starts])
    expected = base + period
    return None if _cut(window.pauses, base, expected) else expected


def _end_of(row: LedgerRow, version: Version) -> int:
    """What the next link counts from: of one that fell into a blackout, the end of that."""
    assert row.ended_at is not None
    dark = dark_of(version.policies, version.zones) if row.reason == "blackout" else None
    window = None if dark is None else dark.around(row.due_at)
    return row.ended_at if window is None else max(row.ended_at, window[1])


def _cut(pauses: Sequence[Pause], ended: int, expected: int) -> bool:
    """Whether the schedule stood still between an end and what would have followed from it."""
    return any(p.from_at < expected and (p.until_at is None or p.until_at > ended) for p in pauses)
