"""Checks of `watchbell doctor` about the machine and the file: what has to be right before anything is scheduled."""

from __future__ import annotations

import os
import shutil
import stat
from importlib import metadata
from pathlib import Path

from ..config import reading
from ..core.instants import MINUTE, human_age, human_duration
from ..errors import WatchbellError
from ..store.base import of_sqlite
from ..store.clocks import trust
from ..store.sqlite import SqliteStore, lock, refuse_network_file_system, soundness
from ..store.sqlite.migrate import check as schema_of
from ..store.sqlite.migrate import newest
from ..store.sqlite.wake import lock_folder
from ..store.tx import Tx
from .checkup import Check, Patient, broken, left_out, ok, warning
from .moments import many

LEAST_FREE, LITTLE_FREE = 100_000_000, 1_000_000_000
SOUND_US = 2_000_000
"""`--quick` gives the check of the file no longer than this."""
SQLITE = (3, 51, 3)
"""Older ones lose data where two connections write and one checkpoints."""
AHEAD_US = 5 * MINUTE


def configuration(patient: Patient) -> Check:
    """What `config check` says, in one sentence."""
    name, how = "configuration", "`watchbell config check` says it with file and line."
    found = reading.read(patient.environment, patient.folder, {})
    if found.errors:
        return broken(name, " ".join(one.sentence for one in found.errors), how)
    if found.findings:
        return warning(name, " ".join(one.sentence for one in found.findings), how)
    where = (
        ", ".join(str(path) for path in found.files)
        or "no file, everything is built in or of the environment"
    )
    return ok(name, f"Nothing is wrong: {where}.")


def database(patient: Patient) -> Check:
    """Whether the file is there, may be used by this user, and opens; opens it for the checks behind this one."""
    name, path = "database", patient.path
    if path is None:
        return broken(
            name, "A database in memory ends with this very call.", "Name a file: --database watchbell.db."
        )
    if not path.exists():
        folder = next(place for place in path.parents if place.exists())
        if not os.access(folder, os.W_OK):
            return broken(
                name,
                f"There is no database at {path}, and this user may not write to {folder}.",
                "Give it write permission on the folder, or name another database.",
            )
        return warning(
            name, f"There is no database at {path} yet.", "`watchbell serve` or `schedule add` creates it."
        )
    try:
        refuse_network_file_system(path)
        for place, what in ((path, "the database"), (path.parent, "the folder of the database")):
            if not os.access(place, os.R_OK | os.W_OK):
                return broken(
                    name,
                    f"This user may not write to {place}.",
                    f"Give it read and write permission on {what}.",
                )
        store = SqliteStore(path)
    except (WatchbellError, OSError) as error:
        return broken(
            name,
            _sentence(error),
            "`watchbell database check` says more, `watchbell restore` puts a backup back.",
        )
    try:
        before = schema_of(store)
    except WatchbellError as error:
        store.close()
        return broken(name, _sentence(error))
    if before < newest():
        store.close()
        return warning(
            name,
            f"{path} has schema {before}; this watchbell has {newest()}. Nothing else was looked at.",
            "`watchbell database migrate` brings it up, and keeps a copy.",
            "migrate",
        )
    patient.store = store
    return ok(name, f"{path} opens, with schema {before}.")


def soundness_(patient: Patient) -> Check:
    """The structure of the file."""
    try:
        file = of_sqlite(patient.db)
        assert file is not None
        whole = soundness.look(file, SOUND_US if patient.quick else None)
    except WatchbellError as error:
        return broken("soundness", _sentence(error), "`watchbell restore FILE` puts a backup in its place.")
    if not whole:
        return left_out(
            "soundness",
            f"Not looked at as a whole (--quick); what was read of the file within {human_duration(SOUND_US)} is sound.",
        )
    return ok("soundness", "The structure of the file is sound.")


def files(patient: Patient) -> Check:
    """The ledger holds commands, arguments and output: it is for its user alone (S2.12)."""
    open_ones = _not_private(patient)
    if open_ones:
        names = ", ".join(f"{path} ({mode:04o})" for path, mode in open_ones)
        what = "is" if len(open_ones) == 1 else "are"
        return warning(
            "files",
            f"Others on this machine may read or write what {what} for one user alone: {names}.",
            "chmod 600 the files and 700 the folder.",
            "private",
        )
    return ok("files", "The database, its side files and its lock folder are private.")


def _not_private(patient: Patient) -> list[tuple[Path, int]]:
    assert patient.path is not None
    path = patient.path
    beside = [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"), lock_folder(path)]
    found = []
    for place in beside:
        try:
            mode = stat.S_IMODE(place.stat().st_mode)
        except OSError:
            continue
        if mode & 0o077:
            found.append((place, mode))
    return found


def make_private(patient: Patient) -> str:
    """Take the rights of others away from what is not private."""
    places = _not_private(patient)
    for place, mode in places:
        place.chmod(mode & 0o700)
    return f"{many(len(places), 'place')} made private."


def engine_lock(patient: Patient) -> Check:
    """Who holds the right to act, and whether that process lives."""
    assert patient.path is not None
    found = lock.look(patient.path)
    name = "lock"
    if not found.there:
        return ok(name, "Nobody has held it yet.")
    if found.held is None:
        return warning(
            name,
            "It cannot be told here whether somebody holds it.",
            "Look as the user that runs the engine.",
        )
    if not found.held:
        return ok(name, "Nobody holds it: an engine that starts acts at once.")
    if found.mover is not None and found.holder is not None and found.mover != found.holder and found.lives:
        return broken(
            name,
            f"Process {found.holder} holds it and does not turn its loop; process {found.mover} acts beside it.",
            f"Look at process {found.holder}: it is stalled, and ends what it had running once it wakes. Stop it.",
        )
    return ok(name, f"Process {found.holder} holds it.")


def clock(patient: Patient) -> Check:
    """Whether the clock is believed, and can be."""
    name, now = "clock", patient.now
    doubt = None if patient.store is None else patient.db.read(trust.doubt)
    if doubt is not None:
        return broken(
            name,
            f"It is not believed, and nothing is planned: {doubt}.",
            "`watchbell clock` says how it ends.",
        )
    ahead = 0 if patient.store is None else patient.db.read(_newest_stamp) - now
    if ahead > AHEAD_US:
        return broken(
            name,
            f"The newest entry of the ledger is {human_age(ahead)} ahead of this machine's clock.",
            "Set the clock right; `watchbell clock` says more.",
        )
    synchronised = patient.clock.synchronised()
    if synchronised is False:
        return warning(
            name, "No time server keeps it right, the kernel says.", "Run a time service, such as chrony."
        )
    known = (
        "A time server keeps it right."
        if synchronised
        else "The kernel does not say whether it is kept right."
    )
    return ok(name, f"{known} It is not behind the ledger.")


def _newest_stamp(tx: Tx) -> int:
    stamps = (
        tx.value("SELECT max(heartbeat_at) FROM node"),
        tx.value(
            "SELECT max(planned_at) FROM (SELECT planned_at FROM occurrence ORDER BY id DESC LIMIT 100) newest"
        ),
    )
    return max((int(at) for at in stamps if at is not None), default=0)


def disk(patient: Patient) -> Check:
    """Room for the ledger: a start that cannot be recorded does not run."""
    assert patient.path is not None
    free = shutil.disk_usage(patient.path.parent).free
    said = f"{free / 1e9:,.1f} GB are free where the database is."
    if free < LEAST_FREE:
        return broken(
            "disk", said, "Make room: with a full disk nothing starts, as it could not be recorded."
        )
    return warning("disk", said, "Make room in time.") if free < LITTLE_FREE else ok("disk", said)


def sqlite(patient: Patient) -> Check:
    """The version of SQLite that watchbell brings with it."""
    text = str(patient.db.read(lambda tx: tx.value("SELECT sqlite_version()")))
    version = tuple(int(part) for part in text.split(".")[:3])
    if version < SQLITE:
        needed = ".".join(map(str, SQLITE))
        return broken(
            "sqlite",
            f"SQLite {text} can lose committed data.",
            f"Install an apsw with SQLite {needed} or newer.",
        )
    return ok("sqlite", f"SQLite {text}.")


def zone_data() -> str:
    """Where the rules of time zones come from, and their version."""
    import zoneinfo

    for folder in zoneinfo.TZPATH:
        place = Path(folder)
        if place.is_dir():
            for mark in ("+VERSION", "tzdata.zi"):
                try:
                    first = (place / mark).read_text(encoding="utf-8").splitlines()[0]
                except (OSError, IndexError, UnicodeDecodeError):
                    continue
                return f"the system's ({first.removeprefix('# version ').strip()}, {place})"
            return f"the system's ({place})"
    return f"the package tzdata {metadata.version('tzdata')}"


def _sentence(error: Exception) -> str:
    if isinstance(error, WatchbellError):
        return str(error)
    text = getattr(error, "strerror", None) or str(error)
    return f"{text}."
