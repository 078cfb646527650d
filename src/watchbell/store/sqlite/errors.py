"""What SQLite says, as the errors of the house: a closed set, each a sentence that says what to do."""

from __future__ import annotations

import apsw

from ...errors import CommitUnknown, StoreCorrupt, StoreError, StoreForbidden, StoreFull, StoreUnavailable


def translated(error: apsw.Error, where: str) -> StoreError:
    """The error of the house for one of SQLite's, met at the database `where`."""
    if isinstance(error, apsw.FullError):
        return StoreFull(
            f"There is no room left to write {where}: free some disk space; nothing was changed."
        )
    if isinstance(error, apsw.ReadOnlyError):
        return StoreForbidden(
            f"The database {where} cannot be written: give this user write permission on the file and its folder."
        )
    if isinstance(error, apsw.CantOpenError):
        return StoreForbidden(
            f"The database {where} cannot be opened: its folder must exist and be writable for this user."
        )
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return StoreCorrupt(f"{where} is damaged or is not a watchbell database: restore it from a backup.")
    if isinstance(error, apsw.BusyError):
        return StoreUnavailable(
            f"The database {where} stayed locked by another process for longer than the busy timeout; try again."
        )
    if isinstance(error, apsw.IOError):
        return CommitUnknown(
            f"The disk under {where} reported an error ({error}); what was being written may or may not be there."
        )
    return StoreError(f"The database {where} refused a statement: {error}.")
