"""`watchbell doctor`: every check of the table, in its order; and what may be mended, one at a time, when a person agrees.

A check never raises and never writes. What is done about a finding is safe to do twice, and is never more than a person would
do by the sentence beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clock import Clock
from ..errors import WatchbellError
from ..store.open import is_postgres
from ..store.sqlite.open import parse_url
from . import database, doctor_ledger, doctor_machine, doctor_server
from .checkup import Check, Level, Patient, broken

__all__ = ["Check", "Level", "Report", "examine", "mend"]

Look = Callable[[Patient], Check]

ALWAYS: tuple[tuple[str, Look], ...] = (("configuration", doctor_machine.configuration),)
WITH_A_FILE: tuple[tuple[str, Look], ...] = (
    ("files", doctor_machine.files),
    ("lock", doctor_machine.engine_lock),
    ("disk", doctor_machine.disk),
)
WITH_A_SOUND_FILE: tuple[tuple[str, Look], ...] = (
    ("soundness", doctor_machine.soundness_),
    ("sqlite", doctor_machine.sqlite),
    ("clock", doctor_machine.clock),
    ("second engine", doctor_ledger.second_engine),
)
WITH_A_SERVER: tuple[tuple[str, Look], ...] = (
    ("server", doctor_server.server),
    ("notifications", doctor_server.notifications),
    ("clock", doctor_server.clock),
    ("nodes", doctor_server.nodes),
)
WITH_A_LEDGER: tuple[tuple[str, Look], ...] = (
    ("zones", doctor_ledger.zones),
    ("engine", doctor_ledger.engine),
    ("handlers", doctor_ledger.handlers),
    ("labels", doctor_ledger.labels),
    ("scheduled", doctor_ledger.scheduled),
    ("set aside", doctor_ledger.set_aside),
    ("sources", doctor_ledger.sources),
    ("overdue", doctor_ledger.overdue),
    ("alerts", doctor_ledger.alerts),
    ("accounted", doctor_ledger.accounted),
)

Fix = Callable[[Patient], str]


def _migrate(patient: Patient) -> str:
    assert patient.url is not None
    return f"It has schema {database.migrate_database(patient.url, patient.now).after} now."


FIXES: Mapping[str, tuple[str, Fix]] = {
    "migrate": (
        "Bring the schema up, and keep a copy of the database?",
        _migrate,
    ),
    "private": ("Take the rights of others away from these files?", doctor_machine.make_private),
    "wake": ("Tell the engine to look at once?", doctor_ledger.wake),
}


@dataclass(frozen=True, slots=True)
class Report:
    """Every check that could be made."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is broken of what was looked at."""
        return all(check.level is not Level.BROKEN for check in self.checks)

    @property
    def whole(self) -> bool:
        """Whether everything was looked at."""
        return all(check.level is not Level.LEFT_OUT for check in self.checks)

    @property
    def sentence(self) -> str:
        """For people."""
        counts = {level: sum(check.level is level for check in self.checks) for level in Level}
        rest = f", {counts[Level.LEFT_OUT]} left out" if counts[Level.LEFT_OUT] else ""
        return (
            f"{len(self.checks)} checks: {counts[Level.OK]} ok, {counts[Level.WARNING]} to look at, "
            f"{counts[Level.BROKEN]} broken{rest}."
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "ok": self.ok,
            "whole": self.whole,
            "sentence": self.sentence,
            "checks": [check.to_json() for check in self.checks],
        }


def patient_of(
    url: str | None, clock: Clock, folder: Path, environment: Mapping[str, str], *, quick: bool = False
) -> Patient:
    """What is to be looked at; without a URL, as the configuration names none that can be read, the configuration only."""
    path = None if url is None or is_postgres(url) else parse_url(url)
    return Patient(url, None if path is None else path.absolute(), clock, folder, environment, quick)


def examine(patient: Patient) -> Report:
    """Carry out every check that can be. The database is open only meanwhile."""
    try:
        return Report(tuple(_each(patient)))
    finally:
        if patient.store is not None:
            patient.store.close()
            patient.store = None


def _each(patient: Patient) -> Iterator[Check]:
    for name, look in ALWAYS:
        yield _carefully(name, look, patient)
    if patient.url is None:
        return
    on_server = is_postgres(patient.url)
    yield _carefully("database", doctor_server.database if on_server else doctor_machine.database, patient)
    if patient.path is not None and patient.path.exists():
        for name, look in WITH_A_FILE:
            yield _carefully(name, look, patient)
    if patient.store is not None:
        for name, look in (*(WITH_A_SERVER if on_server else WITH_A_SOUND_FILE), *WITH_A_LEDGER):
            yield _carefully(name, look, patient)


def _carefully(name: str, look: Look, patient: Patient) -> Check:
    """One check; whatever goes wrong in it is a finding, and the others go on."""
    try:
        return look(patient)
    except WatchbellError as error:
        return broken(name, f"It could not be looked at: {error}")
    except Exception as error:
        return broken(name, f"It could not be looked at ({type(error).__name__}: {error}).")


def mend(patient: Patient, check: Check) -> str:
    """Do what the check's `fix` names; a sentence of what was done. Raises what that raises."""
    assert check.fix is not None
    return FIXES[check.fix][1](patient)
