"""Why a schedule ran, did not run, or will run at an instant: the ordered chain of checks, and one closing sentence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..blackout import window_around
from ..instants import MINUTE, Instant, human_age, human_duration, local_text, reading_text, to_text
from .case import Case, KnownPause, KnownVersion
from .outlook import no_engine
from .words import Around, Clock, RunFacts, outcome, row_sentence, span_sentence


@dataclass(frozen=True, slots=True)
class Check:
    """One step: `ok` says whether it speaks for a run (None: it only tells something)."""

    ok: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The checks in their order and the closing sentence. `at` None: there is no instant to speak of.

    `items` are the instants explained: this one, or the last due and the next due when none was asked for.
    """

    subject: str
    tz: str
    at: Instant | None
    checks: tuple[Check, ...]
    sentence: str
    others: tuple[Explanation, ...] = field(default=())

    @property
    def items(self) -> tuple[Explanation, ...]:
        """Every instant that is explained."""
        return (
            (replace(self, others=()), *self.others)
            if self.at is not None or not self.others
            else self.others
        )

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON data."""
        return {
            "schedule": self.subject,
            "sentence": self.sentence,
            "items": [_item(each) for each in self.items],
        }


def _item(part: Explanation) -> dict[str, Any]:
    data: dict[str, Any] = (
        {} if part.at is None else {"due_at": to_text(part.at), "local": local_text(part.at, part.tz)}
    )
    checks = [{"ok": check.ok, "text": check.text} for check in part.checks]
    return data | {"tz": part.tz, "sentence": part.sentence, "checks": checks}


def explain_instant(case: Case) -> Explanation:
    """Explain one schedule at one instant."""
    teller = _Teller(case)
    sentence = teller.tell()
    return Explanation(case.name, case.tz, case.at, tuple(teller.checks), sentence)


class _Teller:
    """Goes through the checks in order; the first that settles the matter gives the sentence."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = Clock(case.tz, case.now, case.at)
        self.checks: list[Check] = []

    def tell(self) -> str:
        for step in (self._known, self._rule, self._standing, self._blackout, self._ledger, self._due):
            sentence = step()
            if sentence is not None:
                return sentence
        raise AssertionError("the last step always tells")

    def _note(self, ok: bool | None, text: str) -> None:
        self.checks.append(Check(ok, text))

    def _known(self) -> str | None:
        case, clock = self.case, self.clock
        subject = clock.subject(case.at)
        if case.row is not None and case.version is None:
            self._note(
                None, f"no version was in force at {clock.full(case.at)}; the row was asked for by a person"
            )
            return None
        if case.at <= min((v.from_at for v in case.versions), default=case.created_at):
            self._note(
                False, f"{case.name} was created at {clock.full(case.created_at)}, not before this instant"
            )
            return f"{subject} was not due: {case.name} was created only at {clock.short(case.created_at)}."
        if case.ended_at is not None and case.at > case.ended_at:
            self._note(False, f"{case.name} was removed at {clock.full(case.ended_at)}, before this instant")
            return f"{subject} was not due: {case.name} was removed at {clock.short(case.ended_at)}."
        version = case.version
        if version is None:
            self._note(False, "no version was in force at that instant")
            return f"{subject} was not due: no version of {case.name} was in force."
        until = "still in force" if version.to_at is None else f"in force until {clock.full(version.to_at)}"
        rule = version.trigger.describe()
        self._note(
            True, f"version {version.number} holds, from {clock.full(version.from_at)}, {until}: {rule}"
        )
        return None

    def _rule(self) -> str | None:
        case, version = self.case, self.case.version
        if version is None:
            return None
        at = case.at
        if version.broken is not None:
            self._note(False, f"the rule of version {version.number} cannot be evaluated: {version.broken}")
            if case.row is not None or case.span is not None or case.pause is not None:
                return None
            return f"{self.clock.subject(at)} is unknown: the rule of {case.name} cannot be evaluated."
        if version.chained:
            if case.row is None and case.span is None and at != case.next_due:
                self._note(False, "it is due one period after the end of each run, and no run ended then")
                return f"{self.clock.subject(at)} was not due: no run ended one period before it.{self._near(version)}"
            return None
        remark = _clock_change(version, at)
        if version.trigger.first_in(at - 1, at) is None:
            self._note(False, f"the rule does not match {self.clock.full(at)}")
            if remark:
                self._note(None, remark)
            if case.row is not None:
                return None
            verb = "is" if at > case.now else "was"
            because = f" {remark[:1].upper()}{remark[1:]}." if remark else ""
            if version.trigger.kind == "manual":
                return f"{self.clock.subject(at)} {verb} not due: {case.name} is only run by hand."
            return f"{self.clock.subject(at)} {verb} not due: its rule does not match it.{because}{self._near(version)}"
        self._note(True, f"the rule matches {self.clock.full(at)}")
        if names := version.trigger.stands_for(at):
            self._note(None, f"it stands for {len(names)} times of the wall clock: {', '.join(names)}")
        if remark:
            self._note(None, remark)
        return None

    def _near(self, version: KnownVersion) -> str:
        """The due instants on either side."""
        if version.chained:
            return ""
        at, clock = self.case.at, self.clock
        earlier = version.rule.last_in(version.from_at, at - 1)
        later = version.rule.next_after(at)
        if later is not None and version.to_at is not None and later > version.to_at:
            later = None
        told = [f"the one before is {clock.short(earlier)}"] if earlier is not None else []
        told += [f"the next is {clock.short(later)}"] if later is not None else []
        text = " and ".join(told)
        return f" {text[:1].upper()}{text[1:]}." if text else ""

    def _standing(self) -> str | None:
        case, pause = self.case, self.case.pause
        if pause is None:
            self._note(True, "the schedule was not paused, disabled or set aside" if case.at <= case.now else
                       "the schedule is not paused, disabled or set aside")  # fmt: skip
            return None
        text = _pause_text(pause, self.clock)
        self._note(False, text)
        if case.row is not None or case.span is not None:
            return None
        subject = self.clock.subject(case.at)
        if pause.kind == "set_aside":
            error = (case.set_aside or pause.note or "its rule cannot be evaluated").rstrip(".")
            does = "will not run as things stand" if case.at > case.now else "did not run"
            return f"{subject} {does}: {case.name} is set aside since {self.clock.short(pause.from_at)}: {error}."
        if case.at > case.now:
            return f"{subject} will not run as things stand: {text}."
        return f"{subject} did not run: {text}."

    def _blackout(self) -> str | None:
        case, version, clock = self.case, self.case.version, self.clock
        if version is None or not version.blackouts:
            return None
        window = window_around(version.blackouts, case.at)
        if window is None:
            self._note(True, "it is in none of the schedule's blackouts")
            return None
        place = f"{clock.full(window[0])} to {clock.full(window[1])}"
        self._note(False, f"it is in the blackout from {place}")
        if case.row is not None or case.span is not None or case.pause is not None or version.chained:
            return None
        does = "will not run" if case.at > case.now else "did not run"
        when = f"from {clock.short(window[0])} to {clock.short(window[1])}"
        return f"{clock.subject(case.at)} {does}: it falls into a blackout, {when}.{self._near(version)}"

    def _around(self) -> Around:
        version, pause = self.case.version, self.case.pause
        overlap, catchup = ("skip", "latest") if version is None else (version.overlap, version.catchup)
        told = None if pause is None or pause.kind == "set_aside" else _pause_text(pause, self.clock)
        return Around(self.case.other, self.case.outage, told, overlap, catchup, self._in_the_way())

    def _in_the_way(self) -> str | None:
        """Why nothing of it can begin now, whatever slots are free."""
        case = self.case
        if not case.up:
            return no_engine(case.present, self.clock)
        return f"no node has the handler of {case.job}" if case.handler is False else case.lacking

    def _ledger(self) -> str | None:
        case, clock = self.case, self.clock
        if case.outage is not None and case.at <= case.now:
            kind, start, end = case.outage
            self._note(False, f"{_OUTAGE[kind]} from {clock.full(start)} to {clock.full(end)}")
        if case.row is not None:
            row = case.row
            self._note(
                row.state == "succeeded" or None,
                f"the ledger holds run_{row.id}: {_state(row.state, row.reason)}",
            )
            self._run(row)
            if case.other is not None:
                self._pointer(case.other, row.state)
            return row_sentence(row, self._around(), clock)
        if case.span is not None:
            span = case.span
            place = f"{clock.full(span.from_at)} to {clock.full(span.to_at)}"
            self._note(
                False, f"a span accounts for it: {_state(span.ending, span.reason)} × {span.count}, {place}"
            )
            if case.other is not None:
                self._pointer(case.other, span.ending)
            return span_sentence(case.at, (span.ending, span.reason, span.count), self._around(), clock)
        return None

    def _run(self, row: RunFacts) -> None:
        clock = self.clock
        self._note(None, f"planned at {clock.full(row.planned_at)}")
        if row.start_at > row.due_at:
            self._note(
                None,
                f"{'its start was put' if row.history else 'its schedule puts its start'} later, to {clock.full(row.start_at)}",
            )
        if row.history is not None:
            self._note(None, f"what it was: {row.history}")
        if row.claimed_at is not None:
            node = f" by {row.node}" if row.node else ""
            self._note(None, f"claimed at {clock.full(row.claimed_at)}{node}, attempt {max(row.attempt, 1)}")
        if row.began_at is not None:
            self._note(None, f"began at {clock.full(row.began_at)}")
        if row.ended_at is not None and row.claimed_at is not None:
            took = (
                ""
                if row.began_at is None
                else f", {human_duration(row.ended_at - row.began_at)} after it began"
            )
            self._note(row.state == "succeeded", f"ended at {clock.full(row.ended_at)}{took}")
        if row.first_line is not None:
            self._note(False, f"error: {row.first_line}")
        if row.revoke is not None:
            self._note(None, f"it was asked to end: {row.revoke}")

    def _pointer(self, other: RunFacts, state: str) -> None:
        role = "stands for it" if state == "coalesced" else "was in its way"
        ended = f"it has not ended: {other.state}" if other.live else f"it {outcome(other, self.clock)}"
        self._note(None, f"run_{other.id}, due at {self.clock.full(other.due_at)}, {role}; {ended}")

    def _due(self) -> str:
        """Due by the rule, and nothing in the ledger: to come, not planned yet, or unaccounted for."""
        case, clock = self.case, self.clock
        subject = clock.subject(case.at)
        if case.at <= case.closed_until:
            self._note(None, f"retention has removed everything up to {clock.full(case.closed_until)}")
            return (
                f"{subject} was due; its row has been removed by retention, and the totals of its day remain."
            )
        up = self._engine()
        if case.at > case.now:
            return self._to_come(subject, up)
        if case.planned_until is None or case.at <= case.planned_until:
            self._note(False, "the ledger holds neither a row nor a span for it")
            return f"{subject} was due and is unaccounted for: the ledger holds nothing for it."
        age = human_age(case.now - case.at)
        self._note(
            False, f"it has not been planned yet: planning has come to {clock.full(case.planned_until)}"
        )
        if not up:
            return f"{subject} is overdue by {age}: {no_engine(case.present, clock)}."
        if case.present.doubtful:
            return (
                f"{subject} is not planned: {case.present.doubtful}; if it is right: watchbell clock confirm."
            )
        if case.now - case.at < MINUTE:
            return f"{subject} is due now and about to be planned."
        return f"{subject} is overdue by {age}: the engine has not planned it yet."

    def _engine(self) -> bool:
        case = self.case
        up = case.up
        text = "an engine is up" if up else no_engine(case.present, self.clock)
        self._note(up, text)
        if case.handler is not None and up:
            self._note(case.handler, f"{'a' if case.handler else 'no'} node has the handler of {case.job}")
        if case.lacking is not None and up:
            self._note(False, case.lacking)
        return up

    def _to_come(self, subject: str, up: bool) -> str:
        case, clock = self.case, self.clock
        hindrances = [] if up else [no_engine(case.present, clock)]
        if up and case.handler is False:
            hindrances.append(f"no node has the handler of {case.job}")
        if up and case.lacking is not None:
            hindrances.append(case.lacking)
        active = next((row for row in case.live if row.state in ("claimed", "running", "retrying")), None)
        if active is not None:
            overlap = "skip" if case.version is None else case.version.overlap
            self._note(None, f"run_{active.id} is {active.state} now; the overlap policy is {overlap}")
            if overlap == "skip" and case.at == case.next_due:
                hindrances.append(
                    f"run_{active.id} is still {active.state}, and it is skipped if that goes on"
                )
        sentence = f"{subject} will be due in {human_age(case.at - case.now)}"
        spread = None if case.version is None else case.version.spread
        if spread is not None:
            start = clock.full(spread.start_at(case.at))
            self._note(None, f"its schedule puts its start later, to {start}")
            sentence += f" and start at {clock.short(spread.start_at(case.at))}"
        return f"{sentence}; but {', and '.join(hindrances)}." if hindrances else f"{sentence}."


_OUTAGE = {
    "downtime": "no engine was running",
    "suspend": "the machine was asleep",
    "clock_jump": "the clock jumped",
    "clock_back": "the clock was set back",
    "clock_doubt": "the clock was in doubt",
    "store_full": "there was no room left to write the database",
    "restored": "nobody knows what ran: the database was restored from an older backup, and this is not in it,",
}


def _state(state: str, reason: str | None) -> str:
    text = state.replace("_", " ")
    return text if reason is None else f"{text}: {reason}"


def _pause_text(pause: KnownPause, clock: Clock) -> str:
    kind = pause.kind.replace("_", " ")
    verb = "is" if pause.until_at is None else "was"
    when = f"since {clock.short(pause.from_at)}"
    if pause.until_at is not None:
        when = f"from {clock.short(pause.from_at)} to {clock.short(pause.until_at)}"
    note = f" ({pause.note})" if pause.note and pause.kind != "set_aside" else ""
    return f"the schedule {verb} {kind} {when}, by {pause.actor}{note}"


def _clock_change(version: KnownVersion, at: Instant) -> str | None:
    """What a change of the clocks at or around the instant does to a wall-clock rule."""
    rules, trigger = version.rules, version.trigger
    if rules is None or getattr(trigger, "rhythm", True):
        return None
    offset_before, offset = rules.offset_at(at - 1), rules.offset_at(at)
    if offset > offset_before:
        first, last = (reading_text(at + each * 1_000_000)[11:16] for each in (offset_before, offset))
        return f"the clocks went forward then: the times from {first} to {last} did not exist (gap={getattr(trigger, 'gap', '')})"
    reading = rules.from_local(rules.to_local(at))
    if reading.kind == "fold":
        which = "first" if at == reading.instants[0] else "second"
        time = reading_text(rules.to_local(at))[11:16]
        fold = getattr(trigger, "fold", "first")
        return f"the clocks went back: {time} came twice, this is the {which} of the two (fold={fold})"
    return None
