"""The judge where many engines act on one database: the rules of one engine, and what differs because an engine may be
silent and alive. Pure functions over values.

A node that is stopped, or cut off from the database, for longer than its lease is declared dead by the others, which settle
its runs as lost. It cannot be told, so that what it had begun may go on beside what begins then: that alone is allowed, and
only where the evidence says that it was silent (docs/design/nodes.md). It must begin nothing once its lease is over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from ..check import RULES as RULES_OF_ONE
from ..check import (
    Joined,
    locks_were_free,
    named,
    of_row,
    only_what_was_in_flight_is_lost,
)
from ..history import OUTER_LANES, History, Record, Row, Violation

LEASE_US = 15_000_000
NEEDED_US = 6_000_000
"""A node ends its runs by itself four fifths of a lease after it was renewed; a silence may have begun just before a renewal,
which comes every third of a lease, and end just after a try. Less than what is left of it explains no loss."""
JOINED_US = 2_500_000
"""Two silences with less between them are one: a renewal may not have come through."""
LOOK_BACK_US = 90_000_000
STARTING_US = 5_000_000
"""So long a process of its own takes from the decision to begin to its first line, on a busy machine."""
SLACK_US = 1_000_000
HANDLER_US = 60_000_000


class Many(Joined):
    """The history of many engines, with who was silent when."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self.exits = {life.pid: life.to_us for life in history.lives if life.to_us is not None}
        self.walls = _walls(history)
        self._silent: dict[int, list[tuple[int, int]]] = {}

    def pid(self, node: int | None) -> int | None:
        """The process of an incarnation."""
        found = None if node is None else self.nodes.get(node)
        return None if found is None else found.pid

    def silent(self, pid: int) -> list[tuple[int, int]]:
        """When a process could not be heard, as times that do not touch."""
        if pid not in self._silent:
            times = sorted(
                (one.from_us, one.to_us) for one in self.history.silences if one.pid in (None, pid)
            )
            merged: list[tuple[int, int]] = []
            for start, stop in times:
                if merged and start - merged[-1][1] <= JOINED_US:
                    merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
                else:
                    merged.append((start, stop))
            self._silent[pid] = merged
        return self._silent[pid]

    def why_lost(self, node: int | None, claimed_at: int | None, lost_at: int | None) -> str | None:
        """What the evidence says of an owner whose claim was settled as lost: it was `killed`; `stopped`, so that it could
        do nothing at the end of its lease; `cut` off, and lived; or it `left` while it was cut off. None if nothing explains
        it."""
        pid = self.pid(node)
        if pid is None:
            return None
        since, until = (claimed_at or 0) - SLACK_US, (lost_at or 2**62) + SLACK_US
        kill = self.kills.get(pid)
        if kill is not None and since <= kill.wall_us <= until:
            return "killed"
        for start, stop in self.silent(pid):
            clipped = min(stop, until)
            if clipped - start >= NEEDED_US and stop >= until - LOOK_BACK_US:
                return "stopped" if self._was_stopped(pid, start, until) else "cut"
        exited = self.exits.get(pid)
        if exited is not None and since <= exited <= until:
            cut = any(start <= exited and stop >= exited - LOOK_BACK_US for start, stop in self.silent(pid))
            return "left" if cut else None
        return None

    def _was_stopped(self, pid: int, start: int, until: int) -> bool:
        return any(
            one.kind == "stop" and one.pid == pid and one.to_us >= start and one.from_us <= until
            for one in self.history.silences
        )

    def lost_claim(self, row: Row, epoch: int) -> tuple[int | None, int | None, int | None] | None:
        """(node, claimed at, settled at) of a claim that was settled as lost; None if it was not."""
        if (attempt := self.attempts[row.run].get(epoch)) is not None:
            lost = attempt.ending == "lost"
            return (attempt.node, attempt.claimed_at, attempt.ended_at) if lost else None
        if epoch == row.epoch and row.state == "lost":
            return row.node, row.claimed_at, row.ended_at
        return None

    def left(self, row: Row, begin: Record) -> float | None:
        """Where in the log a lost run is in nobody's way any more: its engine was killed; or the others have settled it
        after its silence."""
        claim = self.lost_claim(row, begin.epoch)
        why = None if claim is None else self.why_lost(*claim)
        if claim is None or why is None:
            return None
        if why == "killed":
            return super().left(row, begin)
        return max(self.place_at(claim[2] or 0), begin.place + 0.5)

    def place_at(self, wall_us: int) -> float:
        """Where in the log an instant lies."""
        return bisect_left(self.walls, wall_us) - 0.5

    def wall_of(self, record: Record) -> int:
        """When a line was written; that of the line before for a job that cannot tell."""
        return record.wall_us or self.walls[min(record.place, len(self.walls) - 1)]


def check_many(history: History) -> list[Violation]:
    """Every counter-example to every rule."""
    joined = Many(history)
    return [violation for rule in RULES for violation in rule(joined)]


def went_on(history: History) -> dict[str, int]:
    """How many runs went on after the others had settled them as lost: in nodes that were stopped, and in nodes that were
    cut off."""
    joined = Many(history)
    found = {"stopped": 0, "cut": 0}
    for row in history.rows:
        for begin in joined.begins(row):
            claim = joined.lost_claim(row, begin.epoch)
            why = None if claim is None else joined.why_lost(*claim)
            if claim is None or why not in found:
                continue
            settled = joined.place_at(claim[2] or 0)
            lines = [record for record in joined.records[row.key] if record.epoch == begin.epoch]
            found[why] += any(record.place > settled for record in lines)
    return found


def only_the_silent_are_lost(joined: Many) -> Iterator[Violation]:
    """`lost` belongs to runs whose engine was killed after it had claimed them, or silent for longer than its lease."""
    for row in joined.history.rows:
        for epoch in {row.epoch, *joined.attempts[row.run]}:
            claim = joined.lost_claim(row, epoch)
            if claim is not None and joined.why_lost(*claim) is None:
                text = f"its claim {epoch} is lost ({row.reason}), and node {claim[0]} (process {joined.pid(claim[0])}) was neither killed nor silent"
                yield Violation("lost", named(row, text), claim[2] or claim[1], row.run)


def nobody_begins_without_a_lease(joined: Many) -> Iterator[Violation]:
    """A node begins nothing after its lease, as it was last renewed, nor after its own word that it has stopped. A process of its own may still be on its way: begun
    before a silence, its first line comes soon after."""
    for row in joined.history.rows:
        for record in joined.begins(row):
            node = joined.nodes.get(joined.owner(row, record.epoch) or 0)
            if node is None or node.lease_until is None or record.wall_us == 0:
                continue
            over = node.lease_until
            if (
                node.stopped_at is not None
            ):  # of a dead one: its last renewal that counted, whatever it wrote later
                over = node.stopped_at if node.state == "stopped" else min(over, node.stopped_at + LEASE_US)
            late = record.wall_us - over
            if late <= 0 or (row.lane in OUTER_LANES and _was_on_its_way(joined, node.pid, record)):
                continue
            text = f"node {node.id} began it {late / 1e6:.3f} s after its lease was over"
            yield of_row(row, record, "lease", text)


def _was_on_its_way(joined: Many, pid: int, record: Record) -> bool:
    return any(
        start - STARTING_US <= record.wall_us <= stop + STARTING_US for start, stop in joined.silent(pid)
    )


def locks_were_free_of_the_living(joined: Many) -> Iterator[Violation]:
    """No job met a lock that its policies should have kept free for it; what a silent node had begun may still hold it."""
    for violation in locks_were_free(joined):
        row = joined.by_run[violation.run or 0]
        overs = joined.of(row, "over")
        if any(not _is_left_over(joined, row, record) for record in overs):
            yield violation


def _is_left_over(joined: Many, row: Row, over: Record) -> bool:
    """Whether a run that was lost with a silent node may still have been at work there."""
    for other in joined.history.rows:
        if other.schedule != row.schedule and other.job != row.job:
            continue
        for begin in joined.begins(other):
            claim = joined.lost_claim(other, begin.epoch)
            if (
                begin.place >= over.place
                or (other.run, begin.epoch) == (row.run, over.epoch)
                or claim is None
                or joined.why_lost(*claim) not in ("stopped", "cut", "left")
            ):
                continue
            stops = [
                record.place
                for record in joined.records[other.key]
                if record.epoch == begin.epoch and record.phase in ("end", "fail", "stop")
            ]
            kill = joined.kills.get(joined.pid(claim[0]) or 0)
            stops += [kill.place] if kill is not None else []
            if not stops or min(stops) > over.place:
                return True
    return False


def only_the_newer_code_runs_what_it_knows(joined: Many) -> Iterator[Violation]:
    """A job that only the newer code knows is begun by a process with that code, and waits for one as long as one is there."""
    lives = {life.pid: life for life in joined.history.lives}
    newer = [life for life in joined.history.lives if life.newer]
    for row in joined.history.rows:
        if row.job not in joined.history.only_newer:
            continue
        for record in joined.begins(row):
            life = lives.get(joined.pid(joined.owner(row, record.epoch)) or 0)
            if life is not None and not life.newer:
                yield of_row(
                    row, record, "handler", f"process {life.pid} has begun it, whose code does not know it"
                )
        if row.reason == "handler_missing" and row.ended_at is not None:
            since = row.ended_at - HANDLER_US
            there = [life for life in newer if life.from_us < since and (life.to_us or 2**62) > row.ended_at]
            there = [
                life
                for life in there
                if not any(stop > since and start < row.ended_at for start, stop in joined.silent(life.pid))
            ]
            if there:
                text = (
                    f"no engine has its code, the ledger says, and process {there[0].pid} had it all the time"
                )
                yield Violation("handler", named(row, text), row.ended_at, row.run)


_INSTEAD: dict[object, Callable[[Many], Iterator[Violation]]] = {
    only_what_was_in_flight_is_lost: only_the_silent_are_lost,
    locks_were_free: locks_were_free_of_the_living,
}
RULES: tuple[Callable[[Many], Iterator[Violation]], ...] = (
    *(_INSTEAD.get(rule, rule) for rule in RULES_OF_ONE),
    nobody_begins_without_a_lease,
    only_the_newer_code_runs_what_it_knows,
)


def _walls(history: History) -> list[int]:
    """When each line of the log was written, never going back."""
    lines = {record.place: record.wall_us for record in history.records}
    lines |= {kill.place: kill.wall_us for kill in history.kills}
    found: list[int] = []
    for place in range(max(lines, default=-1) + 1):
        found.append(max(lines.get(place, 0), found[-1] if found else 0))
    return found
