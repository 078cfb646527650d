"""Schedules from elsewhere: proposed first, then added as one batch, which can be undone.

A line that cannot be taken over is refused with a sentence and keeps no other from being imported. Everything that is added
is added in one transaction. The same line again is *unchanged*, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.crontab import PATH, SHELL, Crontab, Entry, Refused, home_of, named, warnings_of
from ..core.definition import content_hash
from ..core.instants import human_ago
from ..core.policies import Policies
from ..core.triggers import cron
from ..core.triggers.cron_trigger import Cron
from ..errors import BadDeclaration, NotFound
from ..store import listing
from ..store.base import Store
from ..store.schedules import imports
from ..store.schedules.put import Doer
from ..store.tx import Tx
from .commands import Command, checked
from .crontab_files import Account, Accounts
from .moments import due, many, utc
from .schedule_writes import Details, add_command, check_name, end

__all__ = ["Applied", "Batch", "Plan", "Proposal", "apply", "batches", "propose", "undo"]

NEW, UNCHANGED = "new", "unchanged"
SHOWN = 3
TAG = "crontab"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a line would become. `change` is "new", or "unchanged" where it was imported already."""

    entry: Entry
    name: str
    key: str
    trigger: Cron
    command: Command
    change: str
    instants: tuple[int, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        zone = self.trigger.tz or "UTC"
        return {
            "line": self.entry.number,
            "file": self.entry.path or None,
            "name": self.name,
            "change": self.change,
            "old": self.entry.rule,
            "trigger": self.trigger.to_text(),
            "rule": self.trigger.describe(),
            "command": self.entry.shell,
            "user": self.command.user,
            "next": [due(at, zone) for at in self.instants],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do."""

    items: tuple[Proposal, ...]
    refused: tuple[Refused, ...]
    notes: tuple[str, ...]
    zone: str

    @property
    def new(self) -> tuple[Proposal, ...]:
        """What would be added."""
        return tuple(item for item in self.items if item.change == NEW)

    @property
    def sentence(self) -> str:
        """For people."""
        unchanged = len(self.items) - len(self.new)
        parts = [f"{many(len(self.new), 'schedule')} to add"]
        if unchanged:
            parts.append(f"{unchanged:,} there already")
        if self.refused:
            parts.append(f"{many(len(self.refused), 'line')} that cannot be taken over")
        return f"{', '.join(parts)}."

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        refused = [
            {"line": one.number, "file": one.path or None, "text": one.text, "why": one.why}
            for one in self.refused
        ]
        return {
            "items": [item.to_json() for item in self.items],
            "refused": refused,
            "notes": list(self.notes),
            "tz": self.zone,
            "sentence": self.sentence,
        }


def propose(
    store: Store | None,
    crontab: Crontab,
    *,
    zone: str,
    user: str | None = None,
    accounts: Accounts,
    now: int,
) -> Plan:
    """What an import of this crontab would do; writes nothing. `user`: whose crontab it is, where that is not the one who
    asks. `store` None: there is no database yet."""
    there, taken = ({}, set()) if store is None else store.read(_known)
    proposals: list[Proposal] = []
    refused = list(crontab.refused)
    seen: dict[str, Entry] = {}
    names = named(crontab.entries, taken)
    for entry in crontab.entries:
        try:
            command, told = _command(entry, user, accounts)
        except BadDeclaration as error:
            refused.append(_refusal(entry, str(error).rstrip(".")))
            continue
        trigger = cron(entry.rule, tz=entry.zone or zone)
        key = content_hash(trigger.to_text(), command.to_text())
        if key in seen:
            why = f"it is the same as line {seen[key].number}; cron carries it out twice, a schedule is there once"
            refused.append(_refusal(entry, why))
            continue
        seen[key] = entry
        name = there.get(key) or names[entry]
        proposals.append(
            Proposal(
                entry,
                name,
                key,
                trigger,
                command,
                UNCHANGED if key in there else NEW,
                _coming(trigger, now),
                (*warnings_of(entry, trigger, now), *told),
            )
        )
    return Plan(tuple(proposals), tuple(refused), crontab.notes, zone)


def _known(tx: Tx) -> tuple[dict[str, str], set[str]]:
    rows = tx.rows("SELECT name FROM schedule WHERE ended_at IS NULL")
    return imports.imported(tx), {row[0] for row in rows}


def _refusal(entry: Entry, why: str) -> Refused:
    return Refused(entry.number, f"{entry.rule} {entry.command}", why, entry.path)


def _coming(trigger: Cron, now: int) -> tuple[int, ...]:
    found: list[int] = []
    at = trigger.next_after(now)
    while at is not None and len(found) < SHOWN:
        found.append(at)
        at = trigger.next_after(at)
    return tuple(found)


def _command(entry: Entry, user: str | None, accounts: Accounts) -> tuple[Command, list[str]]:
    """The line's command with cron's environment, and what is to be said about it. BadDeclaration."""
    whose = entry.user or user
    who = accounts(whose)
    if who.home is None and whose is not None:
        raise BadDeclaration(f"there is no account {whose!r} on this machine")
    told: list[str] = []
    env = _environment(entry, who)
    folder = home_of(env, who.home or "/")
    if whose is not None and whose != accounts(None).name:
        told.append(f"it is carried out as {whose}, which an engine can that runs as root")
    made = Command(cwd=folder, env=env, user=whose)
    made = (
        replace(made, shell=entry.shell)
        if entry.program == SHELL
        else replace(made, argv=(entry.program, "-c", entry.shell))
    )
    try:
        return checked(made), told
    except BadDeclaration:
        if folder == "/" or not folder.startswith("/"):
            raise
        told.append(f"its home {folder} cannot be used, so it starts in /")
        return checked(replace(made, cwd="/")), told


def _environment(entry: Entry, who: Account) -> dict[str, str]:
    """What cron gives to a command, and over it what the crontab sets."""
    own = {"SHELL": SHELL, "PATH": PATH, "LOGNAME": who.name, "HOME": who.home or "/"}
    return own | dict(entry.env)


# --- adding and undoing -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Applied:
    """What an import has done; `batch` is None where there was nothing to add."""

    batch: int | None
    added: tuple[str, ...]
    unchanged: int

    @property
    def sentence(self) -> str:
        """For people."""
        if self.batch is None:
            return "Everything that can be taken over is there already; nothing was written."
        there = f", {self.unchanged:,} were there already" if self.unchanged else ""
        return (
            f"Batch {self.batch}: {many(len(self.added), 'schedule')} added{there}. Take the lines out of the crontab now, "
            f"or both will run them; `watchbell import undo {self.batch}` takes the schedules back."
        )


def apply(
    store: Store, plan: Plan, origin: str, *, policies: Policies = Policies(), now: int, actor: str
) -> Applied:
    """Add what a plan calls new, all in one transaction. Conflict if a name was taken meanwhile; then nothing is added."""
    unchanged = len(plan.items) - len(plan.new)
    if not plan.new:
        return Applied(None, (), unchanged)
    for one in plan.new:
        check_name("schedule", one.name)

    def work(tx: Tx) -> int:
        batch = imports.add_batch(tx, TAG, origin, now, actor)
        for one in plan.new:
            place = (
                f"{one.entry.path}, line {one.entry.number}" if one.entry.path else f"line {one.entry.number}"
            )
            details = Details(policies, (TAG,), f"from a crontab: {place}", zone=plan.zone)
            added = add_command(tx, one.name, one.trigger, one.command, details, Doer(actor, now, plan.zone))
            imports.add_item(tx, batch, added.made.id, one.key)
        tx.poke()
        return batch

    batch = store.write(work)
    return Applied(batch, tuple(one.name for one in plan.new), unchanged)


@dataclass(frozen=True, slots=True)
class Batch:
    """An import that was applied; `here` of its schedules are still there."""

    id: int
    kind: str
    origin: str
    at: int
    actor: str
    undone_at: int | None
    added: int
    here: int

    def told(self, now: int) -> str:
        """For people."""
        if self.undone_at is not None:
            return f"undone {human_ago(now - self.undone_at)}"
        return f"{self.here:,} of {many(self.added, 'schedule')} still there"

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "batch": self.id,
            "kind": self.kind,
            "origin": self.origin,
            "at": utc(self.at),
            "actor": self.actor,
            "undone_at": utc(self.undone_at),
            "added": self.added,
            "still_there": self.here,
        }


def batches(store: Store) -> list[Batch]:
    """Every import, newest first."""
    return [Batch(*row) for row in store.read(imports.batches)]


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back."""

    batch: int
    removed: tuple[str, ...]
    edited: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.removed:
            return f"Batch {self.batch} has no schedule left; nothing was changed."
        text = f"Batch {self.batch} is undone: {many(len(self.removed), 'schedule')} removed; what they did stays in the ledger."
        if self.edited:
            text += f" Edited since they were imported: {', '.join(self.edited)}."
        return text

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        removed: Mapping[str, Any] = {"removed": list(self.removed), "edited": list(self.edited)}
        return {"batch": self.batch, **removed, "sentence": self.sentence}


def undo(store: Store, batch: int | None, *, now: int, actor: str) -> Undone:
    """Remove every schedule that came with a batch, all in one transaction; None is the newest. NotFound."""

    def work(tx: Tx) -> Undone:
        wanted = imports.newest(tx, TAG) if batch is None else batch
        if wanted is None:
            raise NotFound(
                "Nothing was imported that could be undone; `watchbell import list` shows what was."
            )
        if not imports.batches(tx, wanted):
            raise NotFound(f"There is no batch {wanted}; `watchbell import list` shows them all.")
        rows = imports.still_there(tx, wanted)
        for schedule, *_ in rows:
            end(tx, listing.schedule_by_id(tx, schedule), Doer(actor, now))
        imports.mark_undone(tx, wanted, now)
        edited = tuple(name for _, name, version, _ in rows if version > 1)
        tx.poke()
        return Undone(wanted, tuple(row[1] for row in rows), edited)

    return store.write(work)
