"""Checks of `watchbell doctor` about what is scheduled: who acts, what is due, and whether the ledger holds."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..core.triggers import Interval
from ..core.wallclock import zone_rules
from ..errors import WatchbellError
from ..store import listing
from ..store.evidence import read_present
from ..store.open import open_store
from ..store.tx import Row, Tx
from . import engines
from .audit import audit
from .checkup import Check, Patient, broken, left_out, ok, warning
from .doctor_machine import zone_data
from .moments import many
from .previews import read_trigger
from .status import StatusView, status

NAMED = 5


def look_at(patient: Patient) -> StatusView:
    """The status, as `watchbell status` has it."""
    return status(patient.db, now=patient.now)


def engine(patient: Patient) -> Check:
    """Whether somebody acts."""
    found = look_at(patient)
    said = f"{found.engine.sentence[:1].upper()}{found.engine.sentence[1:]}."
    if found.running:
        return ok("engine", said)
    said = said.replace("; `watchbell serve` starts one", "")  # which is what there is to do
    if not found.enabled:
        return warning("engine", said, "Nothing is scheduled either; `watchbell serve` starts one.")
    return broken("engine", said, "`watchbell serve` starts one.")


def second_engine(patient: Patient) -> Check:
    """An engine whose epoch is gone and whose process lives on: it starts nothing, and should not be there."""
    name = "second engine"

    def work(tx: Tx) -> tuple[int, list[Row]]:
        return listing.engine_epoch(tx), tx.rows(
            "SELECT name, host, pid, boot_id, engine_epoch FROM node WHERE state IN ('up', 'draining') AND "
            "engine_epoch > 0 AND labels NOT LIKE '%exec:%' ORDER BY id"
        )

    epoch, rows = patient.db.read(work)
    acting = {row[2] for row in rows if row[4] == epoch}
    rogues = [row for row in rows if row[4] < epoch and row[2] not in acting]
    alive = [row for row in rows if row in rogues and engines.process_alive(row[1], row[3], row[2])]
    if alive:
        names = ", ".join(f"process {row[2]} on {row[1]} (epoch {row[4]} of {epoch})" for row in alive)
        return broken(
            name,
            f"An engine that was taken over from still lives: {names}.",
            "Stop it; it may have work running.",
        )
    return ok(name, "There is none.")


def zones(patient: Patient) -> Check:
    """The rules of every zone that a schedule uses, and whether they are those it was planned with."""
    name = "zones"
    rows = patient.db.read(
        lambda tx: tx.rows(
            "SELECT DISTINCT v.zones FROM schedule s JOIN schedule_version v ON v.schedule = s.id AND "
            "v.version = s.version WHERE s.ended_at IS NULL AND v.zones <> '[]'"
        )
    )
    planned = {zone: digest for row in rows for zone, digest in json.loads(row[0])}
    unknown, changed = [], []
    for zone, digest in sorted(planned.items()):
        try:
            if zone_rules(zone).digest != digest:
                changed.append(zone)
        except WatchbellError:
            unknown.append(zone)
    where = zone_data()
    if unknown:
        return broken(
            name, f"This machine has no rules for {_named(unknown)}; it uses {where}.", "Install tzdata."
        )
    if changed:
        return warning(
            name,
            f"The rules of {_named(changed)} are others here ({where}) than those the schedules were planned with.",
            "An engine plans them anew, and says so; start one, or look at `watchbell clock`.",
        )
    return ok(name, f"{many(len(planned), 'zone')} in use, with rules from {where}.")


def handlers(patient: Patient) -> Check:
    """Jobs that are scheduled and whose function no live engine has."""
    name = "handlers"

    def work(tx: Tx) -> tuple[list[Row], list[Row]]:
        jobs = tx.rows(
            "SELECT DISTINCT j.name, j.aliases FROM job j JOIN schedule s ON s.job = j.id "
            "WHERE s.ended_at IS NULL AND s.standing = 'on' AND j.ended_at IS NULL AND j.lane IN ('async', 'thread', 'process') ORDER BY j.name"
        )
        nodes = tx.rows("SELECT handlers FROM node WHERE state IN ('up', 'draining', 'standby') AND lease_until >= ?",
                        (patient.now,))  # fmt: skip
        return jobs, nodes

    jobs, nodes = patient.db.read(work)
    if not jobs:
        return ok(name, "No function is scheduled; commands need none.")
    if not nodes:
        return ok(name, f"{many(len(jobs), 'job')} with a function; no engine is there to ask for them.")
    known = {handler for row in nodes for handler in json.loads(row[0])}
    missing = [row[0] for row in jobs if not {row[0], *json.loads(row[1])} & known]
    if missing:
        return broken(
            name,
            f"No engine that runs has the function of {_named(missing)}.",
            "Start `watchbell serve --app module:bell` with the application that declares it, or remove its schedules.",
        )
    return ok(name, f"Every one of {many(len(jobs), 'job')} has its function.")


def labels(patient: Patient) -> Check:
    """Jobs that are scheduled and ask for labels that no node has."""
    name = "labels"

    def work(tx: Tx) -> list[Row]:
        jobs = tx.rows(
            "SELECT DISTINCT j.name, j.options FROM job j JOIN schedule s ON s.job = j.id WHERE s.ended_at IS NULL AND "
            "s.standing = 'on' AND j.ended_at IS NULL AND j.options LIKE '%\"on\":%' ORDER BY j.name"
        )
        present = read_present(tx, patient.now)
        asked = [(job, tuple(json.loads(options).get("on", ()))) for job, options in jobs]
        return [(job, on, present.lacking(on)) for job, on in asked if on]

    found = patient.db.read(work)
    lacking = [(f"{job}: {why}.", on) for job, on, why in found if why is not None]
    if lacking:
        on = lacking[0][1]
        options, them = " ".join(f"--label {label}" for label in on), "it" if len(on) == 1 else "them"
        how = f"`watchbell serve {options}` starts a node that has {them}; until then what asks for {them} waits."
        return broken(name, " ".join(said for said, _ in lacking[:NAMED]), how)
    if not found:
        return ok(name, "No job asks for one.")
    return ok(name, f"A node has what each of {many(len(found), 'job')} asks for.")


def overdue(patient: Patient) -> Check:
    """What should have begun by now."""
    found = look_at(patient)
    if not found.overdue_count:
        return ok("overdue", "Nothing is.")
    more = found.overdue_count - NAMED
    if not found.running:
        names = ", ".join(one.name for one in found.overdue[:NAMED])
        said = f"No engine runs, and what is due waits: {names}{f' and {more:,} more' if more > 0 else ''}."
        return broken("overdue", said, "`watchbell serve` starts an engine, which catches up.")
    said = " ".join(f"{one.sentence.rstrip('.')}." for one in found.overdue[:NAMED])
    said += f" And {more:,} more." if more > 0 else ""
    return broken(
        "overdue", said, "The engine is told to look at once; `watchbell explain NAME` says why.", "wake"
    )


def wake(patient: Patient) -> str:
    """Have the engine look at once."""
    assert patient.url is not None
    store = open_store(patient.url, patient.now, create=False)  # the one that was looked at is closed by now
    try:
        store.poke()
    finally:
        store.close()
    return "The engine was told to look at once."


def scheduled(patient: Patient) -> Check:
    """S0.1: every schedule that is enabled has an instant to come, or a rule that has none."""
    lost = patient.db.read(lambda tx: list(_without_instant(tx, patient.now)))
    found = look_at(patient)
    if lost:
        return broken(
            "scheduled",
            f"{many(len(lost), 'schedule')} enabled and not scheduled: {_named(lost)}.",
            "`watchbell schedule edit NAME` with its own rule writes it anew; this is a fault: please report it.",
        )
    tail = (
        f" {found.undeclared:,} no longer declared by any code, and running still."
        if found.undeclared
        else ""
    )
    by_hand = found.enabled - found.scheduled
    rest = f"; the rule of {by_hand:,} has none" if by_hand > 0 else ""
    return ok(
        "scheduled", f"Of {found.enabled:,} enabled, {found.scheduled:,} have an instant to come{rest}.{tail}"
    )


def _without_instant(tx: Tx, now: int) -> Iterator[str]:
    rows = tx.rows(
        "SELECT s.name, v.trigger, c.planned_until, s.id FROM schedule s JOIN cursor c ON c.schedule = s.id "
        "JOIN schedule_version v ON v.schedule = s.id AND v.version = s.version "
        "WHERE s.ended_at IS NULL AND s.standing = 'on' AND c.next_due IS NULL"
    )
    for name, text, until, schedule in rows:
        trigger = read_trigger(text)
        if trigger is None or trigger.next_after(max(now, until)) is None:
            continue
        if isinstance(trigger, Interval) and trigger.after_completion and _has_live(tx, schedule):
            continue  # its next one is counted from the end of the run that goes on
        yield name


def _has_live(tx: Tx, schedule: int) -> bool:
    live = "('waiting', 'queued', 'held', 'claimed', 'running', 'retrying')"
    sql = f"SELECT 1 FROM occurrence WHERE schedule = ? AND state IN {live} LIMIT 1"
    return tx.value(sql, (schedule,)) is not None


def set_aside(patient: Patient) -> Check:
    """Schedules whose rule cannot be followed."""
    found = look_at(patient)
    if not found.set_aside:
        return ok("set aside", "No schedule is.")
    said = " ".join(one.sentence for one in found.aside[:NAMED])
    more = found.set_aside - NAMED
    said += f" And {more:,} more." if more > 0 else ""
    return broken(
        "set aside",
        said,
        "`watchbell schedule edit NAME --cron …` mends it; `watchbell run now NAME` runs it.",
    )


def sources(patient: Patient) -> Check:
    """Sources that cannot be read."""
    rows = patient.db.read(lambda tx: tx.rows("SELECT name, errors, last_error FROM source WHERE errors > 0"))
    if not rows:
        return ok("sources", "None has failed.")
    said = " ".join(f"{row[0]} has failed {row[1]:,} times in a row: {row[2]}." for row in rows[:NAMED])
    return broken(
        "sources", said, "What it wanted at its last good reading goes on; mend its function or its table."
    )


def alerts(patient: Patient) -> Check:
    """Whether what somebody should be told of arrives."""
    found = look_at(patient).alerts
    if not found["rules"]:
        return warning(
            "alerts", "Nobody is told of anything.", "`watchbell alert add --email …` changes that."
        )
    if found["given_up"]:
        said = f"{many(found['given_up'], 'alert')} could not be delivered."
        return warning("alerts", said, "`watchbell alert log` says why.")
    return ok("alerts", f"{many(found['rules'], 'rule')}, and everything was delivered.")


def accounted(patient: Patient) -> Check:
    """The audit: what was due is in the ledger, and nothing else is."""
    if patient.quick:
        return left_out("accounted", "Not looked at (--quick); `watchbell audit` does.")
    report = audit(patient.db, now=patient.now)
    if report.ok:
        return ok("accounted", report.sentence)
    figures = ", ".join(
        f"{name}: {getattr(report, name):,}" for name in ("unaccounted", "invented", "stuck", "contradicted")
    )
    unknown = f", unknown: {len(report.unknown):,}" if report.unknown else ""
    return broken(
        "accounted", f"{figures}{unknown}. {report.sentence}", "`watchbell audit` names each of them."
    )


def _named(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
