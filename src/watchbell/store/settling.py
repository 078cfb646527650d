"""SETTLE: the one way out. Ends, crashes, cancels and lost nodes are all written here, guarded by state, epoch and node.

A batch is one transaction. What follows from an end is in it as well: gates are given back and let the next in, what
was held behind it is admitted, a chained schedule gets its next due instant, a business key its expiry, alert rules see
what happened. Lock order: cursors, gates, ledger rows, outbox.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..core.claim import Claim
from ..core.instants import to_text
from ..core.outcome import Ending, Outcome
from ..core.settle import Settlement, decide
from ..core.states import TERMINAL, State
from ..core.text import storable
from . import gates, rates
from .alerts import Happening, observe, resolve, wanted
from .business_keys import expire_keys
from .schedules.failures import FAILURES, pause_if_failing
from .schedules.standing import follow_chain
from .tx import Row, Tx

Describe = Callable[[Claim], tuple[str, tuple[str, ...]]]
"""A claim's subject and tags, for alert rules."""


class Ended(NamedTuple):
    """An attempt that has ended, by the claim that held it, with the log lines that are not written yet:
    (seq, at, stream, level, text)."""

    claim: Claim
    outcome: Outcome
    lines: Sequence[tuple[int, int, str, str, str]] = ()
    node: int | None = None


@dataclass(slots=True)
class Settled:
    """What a settlement has written. `admitted` were held behind what has ended; `moved`: a schedule may be due at another
    time than before, or has to be paused."""

    done: list[tuple[Ended, Settlement]] = field(default_factory=list)
    resolved: list[Ended] = field(default_factory=list)
    refused: list[Ended] = field(default_factory=list)
    admitted: int = 0
    moved: bool = False
    happened: list[Happening] = field(default_factory=list)
    alerts: int = 0

    @property
    def leaves(self) -> bool:
        """Whether any row may be claimed now, or soon, that could not before."""
        return self.admitted > 0 or any(to.state not in TERMINAL for _, to in self.done)


def settle(
    tx: Tx,
    node: int,
    ended: Sequence[Ended],
    now: int,
    draw: Callable[[], float],
    describe: Describe | None = None,
    overlapped: bool = True,
) -> Settled:
    """Write how these attempts ended. `describe` gives a claim's subject and tags, for alert rules; without it no rule
    is asked. `overlapped`: something may be held behind another of its schedule."""
    result = Settled()
    decided = [_decide(tx, item, now, draw) for item in ended]
    matched = _write_rows(tx, node, decided)
    for item, settlement in decided:
        if item.claim.run in matched:
            result.done.append((item, settlement))
        else:
            _late(tx, node, item, result, now)
    _write_attempts(tx, node, result.done)
    _write_logs(tx, ended)
    _release(tx, result, now, overlapped)
    if describe is not None and wanted(tx):
        result.happened = [_happening(item, to, describe) for item, to in result.done if to.state in TERMINAL]
        result.alerts = observe(tx, result.happened, now)
        true = [item for item in result.resolved if item.outcome.ending is Ending.SUCCEEDED]
        resolve(tx, [_told(item, "succeeded", describe) for item in true], now)
    return result


def _decide(tx: Tx, item: Ended, now: int, draw: Callable[[], float]) -> tuple[Ended, Settlement]:
    """What becomes of one attempt. Whoever has asked the run to end may not have been heard yet: it is not retried."""
    claim = item.claim
    to = decide(claim, item.outcome, now, draw())
    if to.state is State.RETRYING:
        asked = tx.value("SELECT revoke FROM occurrence WHERE id = ? AND epoch = ?", (claim.run, claim.epoch))
        if asked is not None:
            claim.revoked = str(asked)
            to = decide(claim, item.outcome, now, 0.0)
    return item, to


def _write_rows(tx: Tx, node: int, decided: Sequence[tuple[Ended, Settlement]]) -> set[int]:
    """The guarded writes; the answer says of which runs we were still the owner. Most runs succeed and say nothing:
    they have a statement of their own that touches three columns."""
    plain: list[Row] = []
    full: list[Row] = []
    for item, to in decided:
        claim, outcome = item.claim, item.outcome
        guard = (claim.run, claim.epoch, node if item.node is None else item.node)
        if outcome.ending is Ending.SUCCEEDED and to.note is None and not _says_more(claim, outcome):
            plain.append((outcome.began_at, outcome.ended_at, *guard))
        else:
            full.append((*_values(outcome, to), *guard))
    return tx.changed(PLAIN, plain, 2) | tx.changed(_FULL, full, -3)


_GUARD = "WHERE id = ? AND epoch = ? AND node = ? AND state IN ('claimed', 'running')"
PLAIN = f"UPDATE occurrence SET state = 'succeeded', began_at = ?, ended_at = ? {_GUARD}"
_FULL = (
    "UPDATE occurrence SET state = ?, reason = ?, note = ?, ready_at = ?, began_at = coalesce(?, began_at), "
    "ended_at = ?, result = ?, error = ?, traceback = ?, exit_code = ?, peak_memory = ?, cpu_us = ? "
    f"{_GUARD}"
)


def _says_more(claim: Claim, outcome: Outcome) -> bool:
    """Whether more than the two instants has to be written; what an earlier attempt has left in the row goes."""
    return (
        claim.attempt > 1
        or outcome.result is not None
        or outcome.error is not None
        or outcome.exit_code is not None
        or outcome.peak_memory is not None
        or outcome.cpu_us is not None
    )


def _values(outcome: Outcome, to: Settlement) -> tuple[object, ...]:
    return (
        to.state.value,
        None if to.reason is None else str(to.reason),
        storable(to.note),
        to.ready_at,
        outcome.began_at,
        None if to.state is State.RETRYING else outcome.ended_at,
        storable(outcome.result),
        storable(outcome.error),
        storable(outcome.traceback),
        outcome.exit_code,
        outcome.peak_memory,
        outcome.cpu_us,
    )


def _late(tx: Tx, node: int, item: Ended, result: Settled, now: int) -> None:
    """An end whose row is not ours any more. After `lost` it is the truth arriving late, as long as nobody has claimed
    the row since; otherwise it is refused and recorded."""
    claim, outcome = item.claim, item.outcome
    if outcome.ending is not Ending.LOST and _was_written(tx, node, item):
        return
    told = f"{outcome.ending} at {to_text(outcome.ended_at)}"
    done = outcome.ending is not Ending.LOST and tx.run(
        "UPDATE occurrence SET resolved = ? WHERE id = ? AND epoch = ? AND node = ? AND state = 'lost' "
        "AND resolved IS NULL",
        (told, claim.run, claim.epoch, node if item.node is None else item.node),
    )
    if done:
        result.resolved.append(item)
        return
    result.refused.append(item)
    tx.run(
        "INSERT INTO audit_event (at, actor, action, subject, detail) VALUES (?, ?, 'report.refused', ?, ?)",
        (
            now,
            f"node {node}",
            f"run_{claim.run}",
            f"{told}, by claim {claim.epoch}, which holds the row no more",
        ),
    )


def _was_written(tx: Tx, node: int, item: Ended) -> bool:
    """Whether this very end is in the ledger already: its writer did not learn whether its commit had happened."""
    claim, outcome = item.claim, item.outcome
    known = tx.value(
        "SELECT 1 FROM attempt WHERE run = ? AND number = ? AND epoch = ? AND ended_at = ? UNION ALL "
        "SELECT 1 FROM occurrence WHERE id = ? AND epoch = ? AND node = ? AND ended_at = ? AND state = ? LIMIT 1",
        (
            *(claim.run, claim.attempt, claim.epoch, outcome.ended_at),
            *(claim.run, claim.epoch, node if item.node is None else item.node, outcome.ended_at),
            outcome.ending.value,
        ),
    )
    return known is not None


def _write_attempts(tx: Tx, node: int, done: Sequence[tuple[Ended, Settlement]]) -> None:
    """A run that needs more than one attempt gets a row for each; a single attempt lives in its ledger row."""
    tx.many(
        "INSERT INTO attempt (run, number, epoch, node, claimed_at, began_at, ended_at, ending, reason, error, "
        "traceback, exit_code, peak_memory, cpu_us, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                item.claim.run,
                item.claim.attempt,
                item.claim.epoch,
                node if item.node is None else item.node,
                item.claim.claimed_at,
                item.outcome.began_at,
                item.outcome.ended_at,
                item.outcome.ending.value,
                item.outcome.reason,
                storable(item.outcome.error),
                storable(item.outcome.traceback),
                item.outcome.exit_code,
                item.outcome.peak_memory,
                item.outcome.cpu_us,
                storable(item.outcome.note),
            )
            for item, to in done
            if item.claim.attempt > 1 or to.state is State.RETRYING
        ],
    )


def _write_logs(tx: Tx, ended: Sequence[Ended]) -> None:
    lines = [(item.claim.run, *line) for item in ended for line in item.lines]
    if lines:
        write_lines(tx, lines)


def write_lines(tx: Tx, lines: Sequence[tuple[int, int, int, str, str, str]]) -> None:
    """Append to run logs: (run, seq, at, stream, level, text)."""
    tx.many(
        "INSERT INTO run_log (run, seq, at, stream, level, text) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(*line[:5], storable(line[5])) for line in lines],
    )


def _release(tx: Tx, result: Settled, now: int, overlapped: bool) -> None:
    """Give back what ended rows had taken, and admit what waited for it."""
    freed: dict[str, int] = {}
    schedules: set[int] = set()
    chained: dict[int, int] = {}
    for item, to in result.done:
        if to.state not in TERMINAL:
            continue
        for key in item.claim.gates:
            freed[key] = freed.get(key, 0) - 1
        if item.claim.chain_us is not None and item.claim.schedule is not None:
            chained[item.claim.schedule] = item.outcome.ended_at
        if item.claim.pause_after is not None and to.state in FAILURES and item.claim.schedule is not None:
            pause_if_failing(tx, item.claim.schedule, item.claim.pause_after, now)
            result.moved = True
        if item.claim.schedule is not None:
            schedules.add(item.claim.schedule)
        if item.claim.key is not None:
            expire_keys(tx, [item.claim.run], now)
    gates.change(tx, freed)
    rates.give_back(
        tx,
        [
            (key, item.claim.run, item.claim.epoch)
            for item, _ in result.done
            if item.claim.rates and item.outcome.ending is Ending.CANCELLED and item.outcome.began_at is None
            for key in item.claim.rates
        ],
    )
    for schedule, at in sorted(chained.items()):
        follow_chain(tx, schedule, at)
        result.moved = True
    # What waits behind it may have other rules than the version it ran by: one look says whether anything waits at all.
    for schedule in sorted(schedules) if schedules and overlapped and gates.holds_any(tx) else ():
        result.admitted += gates.admit_held(tx, schedule)
    if freed:
        result.admitted += len(gates.let_in(tx, freed))


def _happening(item: Ended, to: Settlement, describe: Describe) -> Happening:
    return _told(item, to.state.value, describe)


def _told(item: Ended, event: str, describe: Describe) -> Happening:
    subject, tags = describe(item.claim)
    said = item.outcome.error or item.outcome.note or ""
    return Happening(
        event=event,
        workspace=item.claim.workspace,
        subject=subject,
        tags=tags,
        run=item.claim.run,
        due_at=item.claim.due_at,
        detail=storable(said.splitlines()[0][:300] if said else "") or "",
    )
