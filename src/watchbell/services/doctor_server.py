"""Checks of `watchbell doctor` about a database on a PostgreSQL server: whether it can be trusted, is heard, and agrees
with its nodes on the time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..clock import Clock
from ..core.instants import SECOND, human_duration
from ..errors import StoreUnavailable, WatchbellError
from ..store.clocks import trust
from .checkup import Check, Patient, broken, ok, warning

if TYPE_CHECKING:
    from ..store.postgres.store import PostgresStore

HEARD_US = 3 * SECOND
SKEW_US = SECOND
AGREES_US = 60 * SECOND


def database(patient: Patient) -> Check:
    """Whether the server answers and has a schema that this watchbell knows; opens it for the checks behind this one."""
    from ..store.postgres.open import unopened

    assert patient.url is not None
    name = "database"
    store = unopened(patient.url)  # which says what to do where psycopg is not installed
    from ..store.postgres.migrate import check, newest

    try:
        before = check(store)
    except StoreUnavailable as error:
        store.close()
        return broken(name, str(error), "Start the server, or name another one with --database.")
    except WatchbellError as error:
        store.close()
        return broken(name, str(error))
    if before == 0:
        store.close()
        return warning(
            name,
            f"There is no watchbell in {store.where} yet.",
            "`watchbell serve` or `schedule add` makes it.",
        )
    if before < newest():
        store.close()
        said = (
            f"{store.where} has schema {before}; this watchbell has {newest()}. Nothing else was looked at."
        )
        return warning(name, said, "`watchbell database migrate` brings it up; pg_dump it before.", "migrate")
    store.write(lambda tx: tx.value("SELECT 1"))  # the server's time is known from here on
    patient.own_clock, patient.clock = patient.clock, store.clock(patient.clock)
    patient.store = store
    return ok(name, f"{store.where} opens, with schema {before}.")


def server(patient: Patient) -> Check:
    """Whether what the server has committed stays committed."""
    from ..store.postgres.settings import refuse_unsafe

    store = _store(patient)
    try:
        refuse_unsafe(store)
    except WatchbellError as error:
        return broken("server", str(error))
    version = store.read(lambda tx: tx.value("SELECT current_setting('server_version')"))
    return ok("server", f"PostgreSQL {version}; what it has committed is on its disk.")


def notifications(patient: Patient) -> Check:
    """Whether what one process writes is heard by another at once."""
    store, heard, own = _store(patient), threading.Event(), _own(patient)
    listener = store.listen(heard.set)
    assert listener is not None, "a server has always somebody who may listen"
    try:
        end = own.mono_ns() + HEARD_US * 1000
        while not listener.hears and not listener.pooled and own.mono_ns() < end:
            own.wait(heard, 50_000)
            heard.clear()
        hears, pooled = listener.hears, listener.pooled
    finally:
        listener.close()
    if hears:
        return ok("notifications", "They are heard, so that a node looks as soon as something was written.")
    why = " a pooler that hands out connections by transaction" if pooled else ""
    how = "Behind a pooler, name the server itself with ?listen=postgresql://… in the database URL."
    if store.address.listen is not None:
        how = (
            "Nobody answers there, or a pooler: ?listen=… in the database URL has to name the server itself."
        )
    return warning("notifications", f"None comes through{why}: nodes look four times a second instead.", how)


def clock(patient: Patient) -> Check:
    """Whether the server's clock, by which everything comes due, is believed, and how far this machine's is from it."""
    doubt = patient.db.read(trust.doubt)
    if doubt is not None:
        said = f"The server's is not believed, and nothing is planned: {doubt}."
        return broken("clock", said, "`watchbell clock status` says how it ends.")
    skew = _own(patient).wall_us() - patient.now
    if abs(skew) > SKEW_US:
        side = "ahead of" if skew > 0 else "behind"
        said = f"This machine's is {human_duration(abs(skew))} {side} the server's, by which everything comes due."
        how = "Nothing of watchbell's depends on it; run a time service, such as chrony, for everything else."
        return warning("clock", said, how)
    return ok("clock", "This machine's agrees with the server's, by which everything comes due.")


def nodes(patient: Patient) -> Check:
    """Nodes whose clocks are wrong, and those that are silent."""
    from .engines import names_of
    from .status import status

    found = status(patient.db, now=patient.now).engine.nodes
    silent = [node for node in found if node.fault is not None]
    skewed = [node for node in found if abs(node.skew_us) > SKEW_US]
    if silent:
        said = " ".join(f"{node.fault}." for node in silent)
        return warning(
            "nodes", f"{said[:1].upper()}{said[1:]}", "The others declare it dead after its lease."
        )
    if any(abs(node.skew_us) > AGREES_US for node in skewed):
        how = "Its jobs read a wrong time; run a time service, such as chrony, there."
        return warning("nodes", " ".join(f"{node.skewed}." for node in skewed), how)
    if not found:
        return ok("nodes", "There is none.")
    return ok(
        "nodes", f"{names_of(found)}: every lease is renewed, and their clocks agree with the server's."
    )


def _store(patient: Patient) -> PostgresStore:
    from ..store.postgres.store import PostgresStore

    assert isinstance(patient.store, PostgresStore)
    return patient.store


def _own(patient: Patient) -> Clock:
    return patient.clock if patient.own_clock is None else patient.own_clock
