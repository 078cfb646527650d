"""From a claim whose instant has come to an executor; and back, where somebody has asked it to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..core.claim import Claim
from ..core.definition import Job
from ..core.states import Reason
from ..executors.base import Assignment
from ..store.schedules.catalog import JOB_COLUMNS, job_from_row
from ..store.settling import Ended
from ..store.tx import Tx
from .handlers import assignment_of
from .house import House, cancelled_before, unfit


class Starter:
    """Hands claims to the executors of one node."""

    def __init__(self, house: House) -> None:
        self._house = house

    def begin(self, trusted: Callable[[], bool]) -> tuple[list[Ended], list[Claim]]:
        """Hand over every claim whose instant has come. Returns those whose stored arguments do not fit any more, which
        have ended, and those that go back: this process has no handler for them, or their start was counted for an
        earlier moment than this. What is known of their jobs may have to be read, which can fail or take its time:
        nothing is handed over before it is read, nor when the node is `trusted` no more by then."""
        house = self._house
        due = house.desk.begin(house.clock.wall_us())
        known: list[tuple[Claim, Job | None, str | None]] = []
        try:
            known = list(self._details(due))
        finally:
            if len(known) < len(due) or not trusted():
                house.desk.put_back(due)
                due, known = [], []
        by_lane: dict[str, list[Assignment]] = {}
        ended, strange = [], []
        for claim, job, schedule in known:
            try:
                made = None
                in_time = claim.begin_by is None or house.clock.wall_us() <= claim.begin_by
                if job is not None and in_time:
                    made = assignment_of(claim, job, house.handlers, schedule, house.database)
            except Exception as error:
                ended.append(Ended(claim, unfit(error, house.clock.wall_us())))
                continue
            if made is None:
                strange.append(claim)
            else:
                by_lane.setdefault(claim.lane, []).append(made)
        for lane, assignments in by_lane.items():
            house.executors[lane].start(assignments)
        if house.hooks.wanted("run.started"):
            for claim, job, _ in known:
                name = None if job is None else job.name
                house.hooks.tell(
                    "run.started", {"run": f"run_{claim.run}", "job": name, "due_at": claim.due_at}
                )
        return ended, strange

    def revoke(self, revoked: Sequence[tuple[int, int, str]]) -> list[Ended]:
        """Somebody asked these to end: (run, epoch, by whom). The one atomic point is here and in the executors: what
        has not begun ends as cancelled without having run, and is returned; what has begun is asked to end."""
        house = self._house
        ended = []
        for run, epoch, why in revoked:
            claim = house.desk.find(run, epoch)
            if claim is None or claim.revoked is not None:
                continue
            claim.revoked = why
            executor = house.executors[claim.lane]
            if house.desk.withdraw(run) is not None or executor.withdraw(run, epoch):
                ended.append(Ended(claim, cancelled_before(house.clock.wall_us())))
            else:
                executor.cancel(run, epoch, str(Reason.BY_REQUEST))
        return ended

    def _details(self, due: Sequence[Claim]) -> Iterator[tuple[Claim, Job | None, str | None]]:
        """Each claim with its job and its schedule's name, from the cache; what the cache has lost is read again."""
        catalog = self._house.catalog
        for claim in due:
            job = catalog.known_job(claim.job)
            name = None
            if claim.schedule is not None and claim.version is not None:
                definition = catalog.known_definition(claim.schedule, claim.version)
                if definition is not None:
                    name, job = definition.name, job or definition.job
            if job is None or (name is None and claim.schedule is not None):
                job, name = self._house.store.read(partial(_look_up, claim))
            yield claim, job, name


def _look_up(claim: Claim, tx: Tx) -> tuple[Job | None, str | None]:
    row = tx.row(f"SELECT {JOB_COLUMNS} FROM job WHERE id = ?", (claim.job,))
    name = tx.value("SELECT name FROM schedule WHERE id = ?", (claim.schedule,)) if claim.schedule else None
    return None if row is None else job_from_row(row), name
