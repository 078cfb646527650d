"""What must be true after every step of a life. Each rule reads the ledger's tables or what the jobs wrote down
themselves; none asks the engine."""

from __future__ import annotations

import json

from watchbell.core.clock_trust import HOLD_US
from watchbell.core.instants import human_duration, parse_duration, to_datetime, to_text
from watchbell.core.rates import Rate, parse_rate
from watchbell.core.retention import Keep
from watchbell.core.states import LIVE as LIVE_STATES
from watchbell.core.states import NEVER_RAN, PLANNED, TRANSITIONS, State

from .plan import DAY_US
from .states import LIVE
from .world import Broken, Change, Gone, World

AHEAD_US = 50_000
LOOK_BACK_US = 2 * DAY_US
QUIET_US = 5 * DAY_US


class Rules:
    """The rules, with what they remember from one step to the next."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._states: dict[int, list[Change]] = {}
        self._cursors: dict[int, int] = {}
        self._claims: dict[int, int] = {}
        self._removed: set[int] = set()
        self._rated = 0
        self._looked = world.clock.wall_us()
        self._ordered = {
            work.name for work in world.life.works
            if work.options.get("catchup") == "all" and work.options["overlap"] == "queue_all" and work.attempts == 1
            and "catchup_order" not in work.options
        }  # fmt: skip

    def after_step(self) -> None:
        """Everything that can be seen at any time."""
        if self._world.found is not None:
            raise self._world.found
        self._arrows()
        self._rates()
        self._limits()
        self._cursors_only_move_on()
        now = self._world.clock.wall_us()
        self._accounted(min(now, self._looked) - LOOK_BACK_US)
        self._looked = now

    def at_rest(self) -> None:
        """What must be true once nothing new falls due and everything has had the time to end."""
        self._world.come_to_rest()
        if self._world.found is not None:
            raise self._world.found
        self._arrows()
        left = self._world.rows(
            f"SELECT id, state, held_by FROM occurrence WHERE state IN ({LIVE}) ORDER BY id LIMIT 5"
        )
        if left:
            raise Broken("ends", f"these do not end, although every schedule is paused: {left}")
        self._accounted(None)
        self._begins_are_in_the_ledger()

    # --- rules ------------------------------------------------------------------------------------------------------

    def _arrows(self) -> None:
        """I3, I5, I8, I11, I12: rows move along the table's arrows, claims grow, and what never ran never began."""
        changes, self._world.changes = self._world.changes, []
        for change in changes:
            run, before, after, epoch, begins = change
            self._follow(change)
            if after is None:
                continue
            to = State(after)
            if before is None and to not in PLANNED:
                raise Broken("arrows", f"run_{run} was written as {to}")
            if before is not None and before != after and not _leads(State(before), to):
                raise Broken("arrows", f"run_{run} went from {before} to {to}")
            if to is State.CLAIMED and before != after:
                if epoch <= self._claims.get(run, 0):
                    raise Broken("epoch", f"run_{run} was claimed as {epoch} after {self._claims[run]}")
                self._claims[run] = epoch
            begun = self._world.begins.get(run, [])
            if to in NEVER_RAN and begins:
                raise Broken("phantom", f"run_{run} is {to}, and it began at {to_text(begun[0].at)}")
            if to is State.SUCCEEDED and not any(begin.epoch == epoch for begin in begun):
                raise Broken("phantom", f"run_{run} succeeded by claim {epoch}, by which it never began")
        gone, self._world.gone = self._world.gone, []
        for row in gone:
            self._kept(row)
        self._pointers()

    def _kept(self, row: Gone) -> None:
        """Retention removes what has ended in closed days, a repair of the clock what never ran and has not come."""
        if self._world.rows("SELECT 1 FROM occurrence WHERE id = ?", row.run):
            return  # it was rolled back
        repaired, state = self._world.repaired_at, State(row.state)
        if repaired is not None and row.due_at > repaired and row.run not in self._world.begins:
            return
        keep = self._world.life.keep
        if state in LIVE_STATES:
            raise Broken("kept", f"run_{row.run} was removed, which is {row.state}")
        self._removed.add(row.run)
        kept = Keep().occurrences_us if keep is None else parse_duration(keep)
        closed = self._world.furthest - kept
        if row.origin != "manual" and row.schedule is not None:
            closed = self._world.rows("SELECT closed_until FROM schedule WHERE id = ?", row.schedule)[0][0]
        if row.due_at > closed:
            raise Broken(
                "kept", f"run_{row.run}, due {to_text(row.due_at)}, was removed; kept from {to_text(closed)}"
            )

    def _follow(self, change: Change) -> None:
        """Each change goes on from the one before it. One that does not comes after writes that were rolled back."""
        past = self._states.setdefault(change[0], [])
        while past and past[-1][2] != change[1]:
            past.pop()
        if not past and change[1] is not None:
            raise Broken("arrows", f"run_{change[0]} is changed from {change[1]}, in which it never was")
        past.append(change)

    def _pointers(self) -> None:
        """I17: what is coalesced points at another occurrence of its schedule."""
        bad = self._world.rows(
            "SELECT o.id FROM occurrence o LEFT JOIN occurrence i ON i.id = o.into_id WHERE o.state = 'coalesced' AND "
            "o.planned_at >= ? AND (i.id IS NULL OR i.schedule <> o.schedule OR i.id = o.id) LIMIT 1",
            self._looked - LOOK_BACK_US,
        )
        if bad:
            raise Broken("pointer", f"run_{bad[0][0]} is coalesced into nothing")

    def _limits(self) -> None:
        """I13: no more at work than may be, by the ledger; and every gate counts what has passed it."""
        active = self._world.rows("SELECT schedule, gates FROM occurrence WHERE state IN ('claimed', 'running', "
                                  "'retrying')")  # fmt: skip
        passed: dict[str, int] = {}
        of: dict[int, int] = {}
        for schedule, gates in active:
            if schedule is not None:
                of[schedule] = of.get(schedule, 0) + 1
            for key in json.loads(gates) if gates else ():
                passed[key] = passed.get(key, 0) + 1
        for key, most in self._world.rows("SELECT key, lim FROM gate"):
            if passed.get(key, 0) > most:
                raise Broken("limit", f"{passed[key]} runs are behind the gate {key}, which admits {most}")
        alone = {work.name for work in self._world.life.works if work.alone} - self._world.edited
        for schedule, name in self._world.rows("SELECT id, name FROM schedule WHERE ended_at IS NULL"):
            if name in alone and of.get(schedule, 0) > 1:
                raise Broken("overlap", f"{of[schedule]} occurrences of {name} are active")

    def _rates(self) -> None:
        """No more begins in any span of time that really passed than a rate allows."""
        if self._rated == self._world.places:
            return
        self._rated = self._world.places
        for key, rate, works in self._rates_of():
            begins = sorted(
                (begin.passed_us, begin.place, begin)
                for many in self._world.begins.values() for begin in many if begin.work in works
            )  # fmt: skip
            for (_, _, first), (_, _, last) in zip(begins, begins[rate.starts :], strict=False):
                if last.passed_us - first.passed_us < rate.per_us:
                    within = human_duration(last.passed_us - first.passed_us)
                    text = f"{rate.starts + 1} runs began within {within} at {key}, which allows {rate.describe()}"
                    raise Broken("rate", f"{text}: run_{first.run} … run_{last.run}")

    def _rates_of(self) -> list[tuple[str, Rate, set[str]]]:
        works = self._world.life.works
        own = [(work.name, parse_rate(work.rate), {work.name}) for work in works if work.rate is not None]
        shared = {work.name: work.api for work in works if work.api is not None}
        return own + [("api", parse_rate(text), set(shared)) for text in sorted({*shared.values()})]

    def _cursors_only_move_on(self) -> None:
        """I18: planned-until never moves back but by a repair, and never past the latest time that was seen."""
        if self._world.repaired_at is not None:
            self._cursors.clear()
            self._world.repaired_at = None
        for schedule, until in self._world.rows("SELECT schedule, planned_until FROM cursor"):
            if until < self._cursors.get(schedule, until):
                raise Broken("cursor", f"planned-until of schedule {schedule} moved back to {to_text(until)}")
            if until > self._world.furthest + AHEAD_US:
                raise Broken(
                    "cursor", f"schedule {schedule} is planned until {to_text(until)}, which has not come"
                )
            self._cursors[schedule] = until

    def _accounted(self, since: int | None) -> None:
        """I1, I2, I4: what was implied is what the ledger holds, by an evaluator that is not the planner's."""
        start = None if since is None else to_datetime(max(0, since))
        report = self._world.bell.audit(start)
        if not report.ok:
            found = [finding.sentence for finding in report.findings] or [report.sentence]
            raise Broken("audit", "; ".join([*found[:3], *(f"gate {gate}" for gate in report.gates)]))

    def _begins_are_in_the_ledger(self) -> None:
        """I6, I9: every begin belongs to a claim, and a plain job begins once."""
        plain = {work.name for work in self._world.life.works if work.attempts == 1 and not work.rerun}
        for run, begins in sorted(self._world.begins.items()):
            row = self._world.rows("SELECT attempt, origin FROM occurrence WHERE id = ?", run)
            if not row and run not in self._removed:
                raise Broken("ledger", f"run_{run} began, and the ledger has no such run")
            if row and len(begins) > row[0][0]:
                raise Broken("twice", f"run_{run} began {len(begins)} times in {row[0][0]} attempts")
            if begins[0].work in plain and len(begins) > 1:
                raise Broken(
                    "twice", f"run_{run} of {begins[0].work}, which may begin once, began {len(begins)} times"
                )
        self._in_order()

    def _in_order(self) -> None:
        """I14: where a schedule asks for all that was missed, one after the other, they begin as they fell due. A backlog
        that was held until a person confirmed the clock was planned after what is new, and has higher numbers."""
        of = dict(self._world.rows("SELECT id, schedule FROM occurrence WHERE origin = 'scheduled'"))
        held = any(
            step.verb in ("clock", "future") and step.by_us > HOLD_US for step in self._world.life.steps
        )
        latest: dict[int, tuple[int, int]] = {}
        for begin in sorted((begins[0] for begins in self._world.begins.values()), key=lambda one: one.place):
            if (
                begin.work in self._ordered - self._world.edited
                and (schedule := of.get(begin.run)) is not None
            ):
                due_at, run = latest.get(schedule, (0, 0))
                if begin.due_at < due_at and not (held and begin.run > run):
                    text = f"run_{begin.run} of {begin.work} began after one that fell due later"
                    raise Broken("order", text)
                latest[schedule] = (begin.due_at, begin.run)


def _leads(before: State, to: State) -> bool:
    """Whether one write may take a row there: what is reopened may be held in the same breath."""
    if to is State.HELD and before in NEVER_RAN:
        return State.QUEUED in TRANSITIONS[before]
    return to in TRANSITIONS[before]
