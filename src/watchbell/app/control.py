"""What an application can ask and order at run time: the same verbs as the command line, each with an `a…` twin for
async code. They call services and nothing below, and
import one when it is first asked for: an application that only declares jobs pays for none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.triggers import Trigger
from ..errors import BadInput
from . import checks

if TYPE_CHECKING:
    from ..core.policies import Policies
    from ..services.audit import AuditReport
    from ..services.backfill import Backfilled
    from ..services.explain import Explanation
    from ..services.runs import Pages, RunNow
    from ..services.schedule_views import Changed, SchedulePage
    from ..services.status import StatusView
    from ..store.base import Store
    from ..store.schedules.sources import Reconciled

ACTOR = "application"
MOST = 1000  # of a page
T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """Carry a synchronous verb out on a thread."""
    import asyncio

    return await asyncio.to_thread(work)


def _named(**names: object) -> None:
    """Names that may be left out."""
    for what, value in names.items():
        if value is not None:
            checks.name(value, what, BadInput)


class Control:
    """The part of `Watchbell` that is asked and ordered, synchronously."""

    def _open(self) -> Store:
        raise AssertionError("Watchbell has it")

    def _now(self) -> int:
        raise AssertionError("Watchbell has it")

    def _reload(self, sources: tuple[str, ...]) -> dict[str, Reconciled]:
        raise AssertionError("Watchbell has it")

    def _after(self, change: T) -> T:
        """Let the engine know that something was changed, and give the change back."""
        raise AssertionError("Watchbell has it")

    def _own_status(self, found: StatusView) -> StatusView:
        raise AssertionError("Watchbell has it")

    def status(self) -> StatusView:
        """How things stand: engine, schedules, runs, what is overdue and why."""
        from ..services.status import status

        return self._own_status(status(self._open(), now=self._now()))

    def schedules(self, *, tag: str | None = None, limit: int = 100) -> SchedulePage:
        """A page of schedules by name, each with its next due instant or the reason why it has none."""
        from ..services.schedule_views import list_schedules
        from ..store.listing import Sought

        _named(tag=tag)
        checks.whole(limit, "limit", 1, MOST)
        return list_schedules(self._open(), Sought(tag=tag), now=self._now(), limit=limit)

    def runs(
        self,
        *,
        schedule: str | None = None,
        job: str | None = None,
        states: tuple[str, ...] = (),
        limit: int = 50,
    ) -> Pages:
        """A page of the ledger, newest first, spans included."""
        from ..services.runs import Filters, list_runs

        _named(schedule=schedule, job=job)
        checks.whole(limit, "limit", 1, MOST)
        states = checks.names(states, "states", BadInput)
        filters = Filters(schedule=schedule, job=job, states=states, spans=True)
        return list_runs(self._open(), filters, now=self._now(), limit=limit)

    def run_now(self, name: str, args: Mapping[str, Any] | None = None, *, key: str | None = None) -> RunNow:
        """Run a schedule, or a job, now; it begins where an engine runs. Raises NotFound, Conflict, BadArguments."""
        from ..services.runs import Ask, run_now

        _named(name=checks.name(name, "The name", BadInput), key=key)
        return self._after(
            run_now(
                self._open(), name, Ask(args=checks.arguments(args), key=key), now=self._now(), actor=ACTOR
            )
        )

    def pause(self, name: str, note: str = "", *, drop_waiting: bool = False) -> Changed:
        """Let a schedule stand still; with `drop_waiting` what was due before and has not begun is dropped as well. Raises
        NotFound."""
        from ..services.schedules import pause

        checks.name(name, "The name", BadInput)
        if not isinstance(note, str):
            raise BadInput(f"note is a text, not {checks.shown(note)}.")
        drop = checks.flag(drop_waiting, "drop_waiting")
        return self._after(
            pause(self._open(), name, now=self._now(), actor=ACTOR, note=note, drop_waiting_ones=drop)
        )

    def resume(self, name: str, *, catchup: bool = False) -> Changed:
        """Let a paused schedule go on. What fell into the pause is skipped; with `catchup` it follows the schedule's
        catch-up policy, as after an outage. Raises NotFound."""
        from ..services.schedules import resume

        checks.name(name, "The name", BadInput)
        late = checks.flag(catchup, "catchup")
        return self._after(resume(self._open(), name, now=self._now(), actor=ACTOR, catchup=late))

    def edit(
        self,
        name: str,
        *,
        trigger: Trigger | str | None = None,
        args: Mapping[str, Any] | None = None,
        apply_from: datetime | str | None = None,
        take_back: bool = False,
        drop_waiting: bool = False,
        default: Iterable[str] | str = (),
        **options: Any,
    ) -> Changed:
        """Change a schedule: what is given; everything else stays as it is. Options are those of `add_schedule`.

        `default` names policies that are set back to what they are without a word, such as "grace" or ["grace", "retry"].
        It takes effect now, or at `apply_from`, an aware datetime or a text with an offset that is ahead. One such edit
        may wait; another takes its place, and `take_back=True` alone drops it. `drop_waiting` drops what was due before
        and has not begun. Raises NotFound, BadTrigger, BadPolicy, BadInput.
        """
        from ..services.schedules import Change, edit
        from ..services.schedules import take_back as give_up

        checks.name(name, "The name", BadInput)
        if checks.flag(take_back, "take_back"):
            if options or default or trigger is not None or args is not None or apply_from is not None:
                raise BadInput("take_back=True drops the edit that waits; leave everything else out.")
            return self._after(give_up(self._open(), name, now=self._now(), actor=ACTOR))
        change = Change(
            trigger=None if trigger is None else checks.trigger(trigger),
            args=None if args is None else checks.arguments(args),
            policies=self._policies_over(options, default) if options or default else None,
            drop_waiting=checks.flag(drop_waiting, "drop_waiting"),
            apply_from=None if apply_from is None else checks.moment(apply_from, "apply_from", self._now()),
        )
        return self._after(edit(self._open(), name, change, now=self._now(), actor=ACTOR))

    def _policies_over(
        self, options: Mapping[str, Any], default: Iterable[str] | str
    ) -> Callable[[Policies], Policies]:
        raise AssertionError("Watchbell has it")

    def remove(self, name: str, *, drop_waiting: bool = False) -> Changed:
        """End a schedule; its ledger stays. With `drop_waiting` what was due before and has not begun is dropped. Raises
        NotFound."""
        from ..services.schedules import remove

        checks.name(name, "The name", BadInput)
        drop = checks.flag(drop_waiting, "drop_waiting")
        return self._after(remove(self._open(), name, now=self._now(), actor=ACTOR, drop_waiting_ones=drop))

    def backfill(
        self, name: str, from_at: datetime, to_at: datetime, *, limit: int = 100, dry_run: bool = False
    ) -> Backfilled:
        """Reopen what a schedule was due for between two instants (aware) and never ran, oldest first; with `dry_run`
        only say how many. Raises NotFound, Conflict."""
        from ..services.backfill import MOST as MOST_REOPENED
        from ..services.backfill import Stretch, backfill

        checks.name(name, "The name", BadInput)
        checks.whole(limit, "limit", 1, MOST_REOPENED)
        stretch = Stretch(checks.instant(from_at, "from_at"), checks.instant(to_at, "to_at"), limit)
        return self._after(
            backfill(self._open(), name, stretch, dry_run=dry_run, now=self._now(), actor=ACTOR)
        )

    def retry(self, run: str | int) -> RunNow:
        """Run once more what has ended ("run_12"): what never ran is reopened, what ran gets a run by hand with the same
        arguments. Raises NotFound, Conflict."""
        from ..services.backfill import retry_run

        return self._after(retry_run(self._open(), run, now=self._now(), actor=ACTOR))

    def reload(self, *sources: str) -> dict[str, Reconciled]:
        """Read all sources now (or those named), and say by source what was added, changed, ended and unchanged, and
        which keys could not be scheduled. Raises Conflict while another reading goes on."""
        for source in sources:
            checks.name(source, "The name of a source", BadInput)
        return self._reload(sources)

    def explain(self, schedule: str, at: datetime | None = None) -> Explanation:
        """Why a schedule ran, did not run, or will run at an instant (aware), step by step. Raises NotFound."""
        from ..services.explain import explain

        checks.name(schedule, "The name", BadInput)
        instant = None if at is None else checks.instant(at, "at")
        return explain(self._open(), schedule, instant, self._now())

    def audit(self, from_at: datetime | None = None, to_at: datetime | None = None) -> AuditReport:
        """Recompute what fell due and compare it with the ledger; its four figures must be 0."""
        from ..services.audit import audit

        start = None if from_at is None else checks.instant(from_at, "from_at")
        end = None if to_at is None else checks.instant(to_at, "to_at")
        return audit(self._open(), now=self._now(), from_at=start, to_at=end)


class AsyncControl(Control):
    """The same, for async code: each twin carries its verb out on a thread."""

    async def astatus(self) -> StatusView:
        """`status`, for async code."""
        return await aside(lambda: self.status())

    async def aschedules(self, *, tag: str | None = None, limit: int = 100) -> SchedulePage:
        """`schedules`, for async code."""
        return await aside(lambda: self.schedules(tag=tag, limit=limit))

    async def aruns(
        self,
        *,
        schedule: str | None = None,
        job: str | None = None,
        states: tuple[str, ...] = (),
        limit: int = 50,
    ) -> Pages:
        """`runs`, for async code."""
        return await aside(lambda: self.runs(schedule=schedule, job=job, states=states, limit=limit))

    async def arun_now(
        self, name: str, args: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> RunNow:
        """`run_now`, for async code."""
        return await aside(lambda: self.run_now(name, args, key=key))

    async def apause(self, name: str, note: str = "", *, drop_waiting: bool = False) -> Changed:
        """`pause`, for async code."""
        return await aside(lambda: self.pause(name, note, drop_waiting=drop_waiting))

    async def aresume(self, name: str, *, catchup: bool = False) -> Changed:
        """`resume`, for async code."""
        return await aside(lambda: self.resume(name, catchup=catchup))

    async def aedit(
        self,
        name: str,
        *,
        trigger: Trigger | str | None = None,
        args: Mapping[str, Any] | None = None,
        apply_from: datetime | str | None = None,
        take_back: bool = False,
        drop_waiting: bool = False,
        default: Iterable[str] | str = (),
        **options: Any,
    ) -> Changed:
        """`edit`, for async code."""
        how: dict[str, Any] = {"apply_from": apply_from, "take_back": take_back, "drop_waiting": drop_waiting}
        return await aside(
            lambda: self.edit(name, trigger=trigger, args=args, default=default, **how, **options)
        )

    async def aremove(self, name: str, *, drop_waiting: bool = False) -> Changed:
        """`remove`, for async code."""
        return await aside(lambda: self.remove(name, drop_waiting=drop_waiting))

    async def abackfill(
        self, name: str, from_at: datetime, to_at: datetime, *, limit: int = 100, dry_run: bool = False
    ) -> Backfilled:
        """`backfill`, for async code."""
        return await aside(lambda: self.backfill(name, from_at, to_at, limit=limit, dry_run=dry_run))

    async def aretry(self, run: str | int) -> RunNow:
        """`retry`, for async code."""
        return await aside(lambda: self.retry(run))

    async def areload(self, *sources: str) -> dict[str, Reconciled]:
        """`reload`, for async code."""
        return await aside(lambda: self.reload(*sources))

    async def aexplain(self, schedule: str, at: datetime | None = None) -> Explanation:
        """`explain`, for async code."""
        return await aside(lambda: self.explain(schedule, at))

    async def aaudit(self, from_at: datetime | None = None, to_at: datetime | None = None) -> AuditReport:
        """`audit`, for async code."""
        return await aside(lambda: self.audit(from_at, to_at))
