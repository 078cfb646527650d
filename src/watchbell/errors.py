"""Every error a user of watchbell can meet, as one tree.

    WatchbellError
    ├── BadInput                 the caller wrote something that cannot be meant          exit 2
    │   ├── BadTrigger           an expression or a time that is not one
    │   │   └── NeverMatches     a rule that has no instant at all
    │   ├── BadDuration          "10 minuts"
    │   ├── NaiveTime            a date and time without a zone
    │   ├── BadZone              a time zone nobody knows
    │   ├── BadPolicy            policies that contradict each other
    │   ├── BadArguments         arguments that do not fit the job's signature
    │   └── BadDeclaration       a job, schedule or source that cannot be declared
    ├── NotFound                 no schedule, job or run of that name                     exit 5
    ├── Conflict                 the state of things forbids it                           exit 6
    │   └── KeyTaken             the same business key with other arguments
    ├── WaitedTooLong            the limit of a wait was reached                          exit 8
    ├── StoreError               the database
    │   ├── StoreUnavailable     cannot be reached, or is not there                       exit 69
    │   │   └── StoreForbidden   its folder, file or lock cannot be used by this user     exit 78
    │   ├── StoreGone            the file was deleted or replaced while it was in use     exit 69
    │   ├── StoreFull            no room to write                                         exit 69
    │   ├── StoreCorrupt         the file is damaged or not a watchbell database          exit 69
    │   ├── CommitUnknown        the commit may or may not have happened                  exit 69
    │   ├── DiskFailing          the disk reports one error after the other               exit 74
    │   ├── SchemaTooNew         written by a newer watchbell                             exit 78
    │   └── EngineReplaced       another engine has taken over; this one stops acting     exit 6
    ├── BadConfiguration         file, environment or command line                        exit 78
    └── Cancelled                raised inside a job whose run was asked to end

The message of each is a sentence for people: what is wrong, where, and what to write instead. The exit code of the
command line (and later the status of the API) is read from the class, here and nowhere else.
"""

from __future__ import annotations

from typing import ClassVar


class WatchbellError(Exception):
    """Something watchbell has to tell its user."""

    exit_code: ClassVar[int] = 1


class BadInput(WatchbellError, ValueError):
    """What was asked for cannot be meant; nothing was changed."""

    exit_code = 2


class BadTrigger(BadInput):
    """The rule of time cannot be read."""


class NeverMatches(BadTrigger):
    """The rule of time has no instant at all."""


class BadDuration(BadInput):
    """The span of time cannot be read."""


class NaiveTime(BadInput):
    """A date and time without a time zone says no instant."""


class BadZone(BadInput):
    """The time zone is not known."""


class BadPolicy(BadInput):
    """The policies contradict each other."""


class BadArguments(BadInput):
    """The arguments do not fit the job's signature."""


class BadDeclaration(BadInput):
    """The job, schedule or source cannot be declared like this."""


class NotFound(WatchbellError, LookupError):
    """Nothing of that name is in the database."""

    exit_code = 5


class Conflict(WatchbellError):
    """The present state forbids it; nothing was changed."""

    exit_code = 6


class KeyTaken(Conflict):
    """The business key was already used with other arguments."""


class WaitedTooLong(WatchbellError, TimeoutError):
    """The limit of a wait was reached before what was waited for."""

    exit_code = 8


class StoreError(WatchbellError):
    """The database could not do what was asked."""

    exit_code = 69


class StoreUnavailable(StoreError):
    """The database cannot be reached, or is not there."""


class StoreForbidden(StoreUnavailable):
    """The folder, the file or the lock of the database cannot be used by this user (S0.13)."""

    exit_code = 78


class StoreGone(StoreError):
    """The database's file was deleted or replaced while it was in use; nothing written to it would be found again."""


class StoreFull(StoreError):
    """There is no room left to write."""


class StoreCorrupt(StoreError):
    """The database is damaged, or is not a watchbell database."""


class CommitUnknown(StoreError):
    """The commit may or may not have happened; reading back decides."""


class DiskFailing(StoreError):
    """The disk under the database reports one error after the other; the engine has stopped."""

    exit_code = 74


class SchemaTooNew(StoreError):
    """The database was written by a newer watchbell."""

    exit_code = 78


class EngineReplaced(StoreError):
    """Another engine has taken over; this one must start nothing more."""

    exit_code = 6


class BadConfiguration(WatchbellError):
    """The configuration of this process is wrong."""

    exit_code = 78


class Cancelled(WatchbellError):
    """The run was asked to end; raised inside the job, where it may be caught to clean up."""
