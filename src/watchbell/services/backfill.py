"""Backfill and retry as people ask for them: reopen what never ran; run again by hand what did."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..core.audit.recount import chain_period
from ..core.instants import to_text
from ..core.states import LIVE, NEVER_RAN, State
from ..errors import BadInput, Conflict, NotFound
from ..store import listing, reopening
from ..store.base import Store
from ..store.reopening import Candidate, Candidates
from ..store.runs import Wish, enqueue
from ..store.schedules.catalog import Catalog
from ..store.schedules.put import Doer
from ..store.tx import Tx
from .moments import many, utc
from .runs import RunNow, run_id
from .schedule_views import unknown_schedule

LIMIT = 100
MOST = 1000


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is to be backfilled: what was due in [from_at, to_at], at most `limit` of it, oldest first. `force` runs by
    hand what retention has removed, as nobody can say any more whether it ran."""

    from_at: int
    to_at: int
    limit: int = LIMIT
    force: bool = False


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What was, or would be, reopened: the runs, and of how many in all; `counts` says what had become of them."""

    schedule: str
    runs: tuple[int, ...]
    chosen: int
    total: int
    counts: dict[str, int]
    ran: int
    live: int
    first_at: int | None
    last_at: int | None
    dry_run: bool

    @property
    def sentence(self) -> str:
        """For people."""
        left = [f"{self.ran:,} ran"] if self.ran else []
        left += [f"{self.live:,} {'is' if self.live == 1 else 'are'} not over yet"] if self.live else []
        kept = f" ({', '.join(left)})" if left else ""
        if not self.total:
            return f"{self.schedule}: nothing to reopen, as nothing that was due then never ran{kept}."
        was = ", ".join(f"{count:,} {name}" for name, count in sorted(self.counts.items()))
        verb = "would be reopened" if self.dry_run else "reopened"
        some = "" if self.chosen == self.total else f", the oldest of {self.total:,}"
        told = f"{self.schedule}: {many(self.chosen, 'occurrence')} {verb}{some}: {was}{kept}."
        if self.chosen < self.total and self.last_at is not None:
            told += f" Go on with --from {to_text(self.last_at + 1)}, or a larger --limit."
        return told

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "schedule": self.schedule,
            "runs": [f"run_{run}" for run in self.runs],
            "chosen": self.chosen,
            "total": self.total,
            "counts": self.counts,
            "ran": self.ran,
            "live": self.live,
            "first_due_at": utc(self.first_at),
            "last_due_at": utc(self.last_at),
            "dry_run": self.dry_run,
            "sentence": self.sentence,
        }


def backfill(
    store: Store, name: str, stretch: Stretch, *, dry_run: bool = False, now: int, actor: str
) -> Backfilled:
    """Reopen what never ran, oldest first; say only how many it would be with `dry_run`.

    Raises NotFound; BadInput for a stretch that is none; Conflict for a schedule that counts from its run's end, and for
    what retention has removed.
    """
    if stretch.from_at > stretch.to_at:
        raise BadInput(f"--from {to_text(stretch.from_at)} is later than --to {to_text(stretch.to_at)}.")
    if not 1 <= stretch.limit <= MOST:
        raise BadInput(f"At most {MOST:,} are reopened at once, and at least 1, not {stretch.limit:,}.")
    doer = Doer(actor, now)

    def work(tx: Tx) -> Backfilled:
        row = listing.schedule_by_name(tx, name)
        if row is None:
            raise unknown_schedule(tx, name)
        _refuse_chain(tx, row.id, name)
        closed = int(tx.value("SELECT closed_until FROM schedule WHERE id = ?", (row.id,)))
        if stretch.from_at <= closed and not stretch.force:
            raise Conflict(
                f"Retention has removed what {name} was due for up to {to_text(closed)}, and nobody can say any more "
                f"what ran then: begin at {to_text(closed + 1)}, or run all of it again by hand with --force."
            )
        until = int(tx.value("SELECT planned_until FROM cursor WHERE schedule = ?", (row.id,)) or 0)
        upto = min(stretch.to_at, now, until)
        found = reopening.find(tx, row.id, max(stretch.from_at, closed + 1), upto, stretch.limit)
        gone = _removed(tx, row.id, stretch, closed) if stretch.from_at <= closed else []
        runs: list[int] = []
        if not dry_run:
            runs = [_by_hand(tx, row.id, one, doer) for one in gone]
            runs += reopening.reopen(tx, row.id, found.first[: stretch.limit - len(gone)], doer, "")
        return _told(name, found, gone, (tuple(runs), stretch.limit, dry_run))

    done = store.read(work) if dry_run else store.write(work)
    if done.runs:
        store.poke()
    return done


def _told(
    name: str, found: Candidates, gone: list[Candidate], more: tuple[tuple[int, ...], int, bool]
) -> Backfilled:
    runs, limit, dry_run = more
    chosen = [*gone, *found.first][:limit]
    counts = dict(found.counts)
    if gone:
        counts["removed by retention"] = len(gone)
    return Backfilled(
        name,
        runs,
        len(chosen),
        sum(counts.values()),
        counts,
        found.ran,
        found.live,
        chosen[0].due_at if chosen else None,
        chosen[-1].due_at if chosen else None,
        dry_run,
    )


def _refuse_chain(tx: Tx, schedule: int, name: str) -> None:
    texts = tx.rows(
        "SELECT trigger FROM schedule_version WHERE schedule = ? ORDER BY version DESC LIMIT 1", (schedule,)
    )
    if texts and chain_period(texts[0][0]) is not None:
        raise Conflict(
            f"{name} counts from the end of each run, so that it was due at no instant that it missed: run it with "
            f"`watchbell run now`."
        )


def _removed(tx: Tx, schedule: int, stretch: Stretch, closed: int) -> list[Candidate]:
    """What a schedule was due for in closed days, by the rules that held then; whether it ran is not known."""
    found: list[Candidate] = []
    for version, after, upto in tx.rows(
        "SELECT version, effective_from, effective_to FROM schedule_version WHERE schedule = ? ORDER BY effective_from",
        (schedule,),
    ):
        first = max(after, stretch.from_at - 1)
        last = min(closed, stretch.to_at, closed if upto is None else upto)
        for at in (
            reopening.rule_of_version(tx, schedule, version).between(first, last) if first < last else ()
        ):
            if len(found) >= stretch.limit:
                return found
            found.append(Candidate(at, version, "removed by retention"))
    return found


def _by_hand(tx: Tx, schedule: int, one: Candidate, doer: Doer) -> int:
    found, broken = Catalog().definitions(tx, [(schedule, one.version)])
    if broken:
        raise Conflict(f"{to_text(one.due_at)} cannot be run again: {broken[schedule, one.version]}.")
    definition = found[schedule, one.version]
    made = enqueue(tx, Wish(job=definition.job, args=definition.args), doer).run
    told = f"run by hand by {doer.actor} for {to_text(one.due_at)}, which retention has removed"
    tx.run("UPDATE occurrence SET history = ? WHERE id = ?", (told, made))
    return made


def retry_run(store: Store, run: str | int, *, now: int, actor: str) -> RunNow:
    """Run once more what has ended: what never ran is reopened, what ran gets a run by hand with the same arguments that
    points at it. NotFound; Conflict while it is not over, and where its schedule's overlap policy forbids it now."""
    number = run_id(run)
    doer = Doer(actor, now)

    def work(tx: Tx) -> RunNow:
        row = reopening.row_of(tx, number)
        if row is None:
            raise NotFound(f"There is no run_{number}; `watchbell run list` shows the latest.")
        if State(row[0]) in LIVE:
            raise Conflict(
                f"run_{number} is not over: it is {row[0]}; `watchbell run cancel run_{number}` ends it."
            )
        ours = row[1] is not None and row[6] in ("scheduled", "backfill")
        if State(row[0]) in NEVER_RAN and ours and row[2] not in reopening.chained(tx, row[1]):
            return _reopened(tx, number, row, doer)
        return _again(tx, number, row, doer)

    done = store.write(work)
    store.poke()
    return done


def _reopened(tx: Tx, number: int, row: tuple[Any, ...], doer: Doer) -> RunNow:
    state, schedule, version, due_at, job, _, _, reason = row
    if due_at <= int(tx.value("SELECT closed_until FROM schedule WHERE id = ?", (schedule,))):
        raise Conflict(
            f"run_{number} lies in a day that retention is removing: `watchbell run now` runs its schedule."
        )
    was = state if reason is None else f"{state}: {reason}"
    reopening.reopen(tx, schedule, [Candidate(due_at, version, was, number, None, state)], doer, "")
    name = str(tx.value("SELECT name FROM schedule WHERE id = ?", (schedule,)))
    now_is = str(tx.value("SELECT state FROM occurrence WHERE id = ?", (number,)))
    sentence = f"run_{number} of {name} never ran ({was}); it is reopened and is {now_is}."
    return RunNow(number, False, now_is, Catalog().job(tx, job).name, name, sentence)


def _again(tx: Tx, number: int, row: tuple[Any, ...], doer: Doer) -> RunNow:
    state, schedule, version, _, job, args, *_ = row
    catalog = Catalog()
    definition = None
    if schedule is not None:
        found, _ = catalog.definitions(tx, [(schedule, version)])
        definition = found.get((schedule, version))
    text = args if args is not None else "{}" if definition is None else definition.args
    wish = Wish(job=catalog.job(tx, job), args=text, definition=definition, cause=number)
    json.loads(text)  # what is stored may have been damaged: better said now than by the run
    made = enqueue(tx, wish, doer)
    name = wish.job.name if definition is None else definition.name
    sentence = f"run_{number} of {name} {state.replace('_', ' ')}; run_{made.run} runs it once more and is {made.state}."
    return RunNow(made.run, True, made.state, wish.job.name, None if definition is None else name, sentence)
