"""The judge: what the jobs wrote themselves is held against the ledger. Pure functions over values; each rule gives
every counter-example it finds. Its own tests are histories written by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from watchbell.store.tokens import hashed

from .history import Attempt, History, Kill, Node, Record, Row, Violation

DID_NOT_RUN = frozenset({"missed", "skipped", "coalesced", "superseded"})
LIVE = frozenset({"queued", "held", "claimed", "running", "retrying", "waiting"})
STOPS = frozenset({"end", "fail", "stop"})


class Joined:
    """The history with its parts put together."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.rows = {row.key: row for row in history.rows}
        self.by_run = {row.run: row for row in history.rows}
        self.records: dict[str, list[Record]] = defaultdict(list)
        for record in history.records:
            self.records[record.key].append(record)
        self.attempts: dict[int, dict[int, Attempt]] = defaultdict(dict)
        for attempt in history.attempts:
            self.attempts[attempt.run][attempt.epoch] = attempt
        self.nodes: dict[int, Node] = {node.id: node for node in history.nodes}
        self.kills: dict[int, Kill] = {kill.pid: kill for kill in history.kills}

    def begins(self, row: Row) -> list[Record]:
        """Every begin of a row, in the order of time."""
        return self.of(row, "begin")

    def of(self, row: Row, phase: str) -> list[Record]:
        """Every record of a row in one phase."""
        return [record for record in self.records.get(row.key, ()) if record.phase == phase]

    def kill_of(self, node: int | None) -> Kill | None:
        """How that incarnation of an engine was killed; None if it was not."""
        found = None if node is None else self.nodes.get(node)
        return None if found is None else self.kills.get(found.pid)

    def owner(self, row: Row, epoch: int) -> int | None:
        """Which node held a row with that epoch."""
        if epoch == row.epoch:
            return row.node
        attempt = self.attempts[row.run].get(epoch)
        return None if attempt is None else attempt.node

    def ending(self, row: Row, epoch: int) -> str | None:
        """How that claim of a row ended."""
        attempt = self.attempts[row.run].get(epoch)
        return attempt.ending if attempt is not None else row.state if epoch == row.epoch else None

    def left(self, row: Row, begin: Record) -> float | None:
        """Where in the log a run that is lost is in nobody's way any more: its engine was killed there."""
        kill = self.kill_of(self.owner(row, begin.epoch))
        if kill is None or self.ending(row, begin.epoch) != "lost":
            return None
        return max(kill.place, begin.place + 0.5)


def check(history: History) -> list[Violation]:
    """Every counter-example to every rule."""
    joined = Joined(history)
    return [violation for rule in RULES for violation in rule(joined)]


def every_begin_is_in_the_ledger(joined: Joined) -> Iterator[Violation]:
    """Nothing runs without a row that was claimed for it before, with that epoch, that attempt and that token."""
    for key, records in joined.records.items():
        row = joined.rows.get(key)
        for record in records:
            if row is None:
                yield at_record(record, "invented", f"{key} has a {record.phase} and no row in the ledger")
                continue
            attempt = joined.attempts[row.run].get(record.epoch)
            if record.epoch != row.epoch and attempt is None:
                text = f"it has a {record.phase} with epoch {record.epoch}, and neither the row nor an attempt has that"
                yield of_row(row, record, "unrecorded", text)
            elif record.attempt != (row.attempt if attempt is None else attempt.number):
                yield of_row(
                    row,
                    record,
                    "unrecorded",
                    f"it calls itself attempt {record.attempt}, the ledger does not",
                )
            elif record.epoch == row.epoch and row.token_hash != hashed(record.token):
                yield of_row(
                    row,
                    record,
                    "token",
                    f"its {record.phase} of epoch {record.epoch} has another claim's token",
                )


def no_begin_before_its_claim(joined: Joined) -> Iterator[Violation]:
    """The claim was written before user code began, and user code began no earlier than it may."""
    for row in joined.history.rows:
        for record in joined.begins(row):
            if record.wall_us == 0:
                continue
            attempt = joined.attempts[row.run].get(record.epoch)
            claimed = row.claimed_at if record.epoch == row.epoch else attempt.claimed_at if attempt else None
            if record.wall_us < row.start_at:
                yield of_row(
                    row, record, "early", f"it began {row.start_at - record.wall_us} µs before its time"
                )
            if claimed is not None and record.wall_us < claimed:
                yield of_row(row, record, "early", "it began before it was claimed")


def nothing_begins_twice(joined: Joined) -> Iterator[Violation]:
    """At most one begin for each claim, and more than one begin of a run only with a recorded attempt for each."""
    for row in joined.history.rows:
        seen: set[int] = set()
        for record in joined.begins(row):
            if record.epoch in seen:
                yield of_row(row, record, "twice", f"it began twice with epoch {record.epoch}")
            seen.add(record.epoch)
        recorded = set(joined.attempts[row.run])
        unexplained = [epoch for epoch in seen if epoch != max(seen) and epoch not in recorded]
        if unexplained:
            record = joined.begins(row)[-1]
            text = f"it began with the epochs {sorted(seen)}, and {unexplained} are no recorded attempts"
            yield of_row(row, record, "twice", text)


def what_did_not_run_did_not_begin(joined: Joined) -> Iterator[Violation]:
    """Missed, skipped, coalesced, superseded: not one line in the jobs' log. Cancelled before its begin likewise."""
    for row in joined.history.rows:
        begins = joined.begins(row)
        unbegun = (
            row.state == "cancelled" and row.began_at is None and row.epoch not in joined.attempts[row.run]
        )
        if row.state in DID_NOT_RUN and begins:
            yield of_row(
                row, begins[0], "phantom", f"it is {row.state}: {row.reason}, and has begun all the same"
            )
        elif unbegun and any(record.epoch == row.epoch for record in begins) and row.node is None:
            yield of_row(
                row, begins[-1], "phantom", "it was cancelled before it had begun, and has begun all the same"
            )


def what_succeeded_ran_to_its_end(joined: Joined) -> Iterator[Violation]:
    """`succeeded`: exactly one begin and one end with its epoch. And no end of any run that the ledger calls failed."""
    for row in joined.history.rows:
        found = [
            [record for record in joined.of(row, phase) if record.epoch == row.epoch]
            for phase in ("begin", "end", "fail")
        ]
        begins, ends, fails = found
        if row.state == "succeeded" and (len(begins), len(ends), len(fails)) != (1, 1, 0):
            text = f"it succeeded with {len(begins)} begins, {len(ends)} ends and {len(fails)} failures of epoch {row.epoch}"
            yield Violation("unfinished", named(row, text), row.began_at, row.run)
        elif row.state == "failed" and ends:
            yield of_row(row, ends[0], "unfinished", "it failed, but wrote that it had come to its end")
        elif row.state == "failed" and begins and not fails and joined.kill_of(row.node) is None:
            yield of_row(
                row, begins[0], "unfinished", "it failed without having written so, and nobody was killed"
            )


def only_what_was_in_flight_is_lost(joined: Joined) -> Iterator[Violation]:
    """`lost` belongs to runs whose engine was killed after it had claimed them."""
    for row in joined.history.rows:
        claims = [(row.node, row.claimed_at)] if row.state == "lost" else []
        claims += [
            (attempt.node, attempt.claimed_at)
            for attempt in joined.attempts[row.run].values()
            if attempt.ending == "lost"
        ]
        for node, claimed_at in claims:
            kill = joined.kill_of(node)
            if kill is None:
                yield Violation(
                    "lost", named(row, f"it is lost, and node {node} was not killed"), claimed_at, row.run
                )
            elif claimed_at is not None and claimed_at > kill.wall_us + 1_000_000:
                yield Violation(
                    "lost", named(row, "it was claimed after its engine's end"), claimed_at, row.run
                )


def everything_ends(joined: Joined) -> Iterator[Violation]:
    """After the drain every row has ended."""
    for row in joined.history.rows:
        if row.state in LIVE:
            yield Violation("live", named(row, f"it is still {row.state}"), row.start_at, row.run)


def locks_were_free(joined: Joined) -> Iterator[Violation]:
    """No job met a lock that its policies should have kept free for it."""
    for row in joined.history.rows:
        for record in joined.of(row, "over"):
            yield of_row(row, record, "overlap", "more of its schedule or job were at work than may be")


def no_more_together_than_may_be(joined: Joined) -> Iterator[Violation]:
    """Occurrences of a schedule, and runs of a job, from begin to end (or to the death of their engine)."""
    spans = [span for row in joined.history.rows for span in _spans(joined, row)]
    events = sorted(
        [(start, 1, row) for start, _, row in spans] + [(stop, 0, row) for _, stop, row in spans],
        key=lambda event: (event[0], event[1]),
    )
    open_of: dict[tuple[str, str], set[int]] = defaultdict(set)
    for place, began, row in events:
        for kind, name, most in _limits(joined.history, row):
            group = open_of[kind, name]
            if not began:
                group.discard(row.run)
                continue
            group.add(row.run)
            if len(group) > most:
                others = ", ".join(f"run_{run}" for run in sorted(group - {row.run}))
                text = f"it began (line {place + 1}) while {others} of the same {kind} ran; {most} may"
                yield Violation("overlap", named(row, text), row.began_at, row.run)


def promises_hold(joined: Joined) -> Iterator[Violation]:
    """What was answered is in the ledger; a business key has one run, whoever asks."""
    first: dict[tuple[str, str], int] = {}
    for promise in joined.history.promises:
        row = joined.by_run.get(promise.run)
        if row is None or row.job != promise.job or row.business_key != promise.key:
            text = f"run_{promise.run} of {promise.job} was promised (key {promise.key}), and the ledger has no such run"
            yield Violation("promise", text, None, promise.run)
        if (
            promise.key is not None
            and first.setdefault((promise.job, promise.key), promise.run) != promise.run
        ):
            text = f"{promise.job} has two runs for the key {promise.key}: run_{promise.run} and another"
            yield Violation("promise", text, None, promise.run)
    keys: dict[tuple[str, str], int] = {}
    for row in joined.history.rows:
        if row.business_key is not None and keys.setdefault((row.job, row.business_key), row.run) != row.run:
            yield Violation(
                "promise", named(row, f"it is a second run for the key {row.business_key}"), None, row.run
            )


def pointers_lead_somewhere(joined: Joined) -> Iterator[Violation]:
    """A coalesced row points at one of its own schedule that stands for it."""
    for row in joined.history.rows:
        if row.state != "coalesced":
            continue
        into = None if row.into is None else joined.by_run.get(row.into)
        if into is None or into.schedule != row.schedule or into.run == row.run:
            yield Violation(
                "pointer", named(row, f"it is coalesced into {row.into}, which cannot be"), None, row.run
            )


RULES: tuple[Callable[[Joined], Iterator[Violation]], ...] = (
    nothing_begins_twice,
    every_begin_is_in_the_ledger,
    no_begin_before_its_claim,
    what_did_not_run_did_not_begin,
    what_succeeded_ran_to_its_end,
    only_what_was_in_flight_is_lost,
    no_more_together_than_may_be,
    locks_were_free,
    everything_ends,
    promises_hold,
    pointers_lead_somewhere,
)


def _spans(joined: Joined, row: Row) -> Iterator[tuple[float, float, Row]]:
    """From each begin to its end in the order of the log, or to the kill of its engine. Of one that was killed for its
    own sake (a timeout, a cancel) no line says when: only its lock tells of it."""
    records = joined.records.get(row.key, ())
    for begin in records:
        if begin.phase != "begin":
            continue
        stops: list[float] = [
            record.place for record in records if record.epoch == begin.epoch and record.phase in STOPS
        ]
        if (left := joined.left(row, begin)) is not None:
            stops.append(left)
        yield begin.place, (min(stops) if stops else begin.place + 0.5), row


def _limits(history: History, row: Row) -> Iterator[tuple[str, str, int]]:
    if row.schedule is not None and row.schedule in history.of_schedule:
        yield "schedule", row.schedule, history.of_schedule[row.schedule]
    if row.job in history.of_job:
        yield "job", row.job, history.of_job[row.job]


def named(row: Row, text: str) -> str:
    return f"run_{row.run} of {row.schedule or row.job} ({row.lane}, {row.state}, key {row.key}): {text}"


def of_row(row: Row, record: Record, rule: str, text: str) -> Violation:
    return Violation(rule, named(row, f"{text} (line {record.place + 1})"), record.wall_us or None, row.run)


def at_record(record: Record, rule: str, text: str) -> Violation:
    return Violation(rule, f"{text} (line {record.place + 1})", record.wall_us or None)
