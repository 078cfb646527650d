"""A store: what the house asks of a database, whichever it is. `store/open.py` makes one from a URL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..clock import Clock
from .tx import Tx

if TYPE_CHECKING:
    from .sqlite import SqliteStore

T = TypeVar("T")


class Listening(Protocol):
    """Somebody who hears of what others write, until it is closed."""

    def close(self) -> None: ...


class Store(ABC):
    """One database, opened by one process. Thread-safe."""

    dialect: str
    """`sqlite` or `postgresql`."""
    where: str
    """The database's name for people; never with a password."""
    path: Path | None = None
    """The file, where it is one."""
    shared: bool = False
    """Whether several engines act on it at once. Otherwise one does, and others stand by."""

    @property
    def in_memory(self) -> bool:
        """Whether nothing of it outlives the process."""
        return False

    @abstractmethod
    def write(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` in one durable transaction, alone: nobody else writes meanwhile. Raises StoreError."""

    @abstractmethod
    def read(self, work: Callable[[Tx], T]) -> T:
        """Carry out `work` on one consistent snapshot. Raises StoreError."""

    @abstractmethod
    def data_version(self) -> int:
        """Changes when somebody else may have committed something; reads no table."""

    @abstractmethod
    def poke(self) -> None:
        """Tell whoever acts on the database that something may have come due. Nothing depends on its being heard."""

    @abstractmethod
    def listen(self, act: Callable[[], None]) -> Listening | None:
        """Have `act` called, on a thread of its own, whenever somebody pokes; None where nobody else can. Raises OSError,
        StoreError."""

    @abstractmethod
    def clock(self, own: Clock) -> Clock:
        """The clock by which this database's occurrences come due, for a machine whose own is `own`."""

    @abstractmethod
    def check_file(self) -> None:
        """StoreGone if what was opened is not what others would find there now."""

    @abstractmethod
    def rescue(self) -> None:
        """Save what can be, when the database is no longer where it was."""

    @abstractmethod
    def checkpoint(self) -> int:
        """Do what keeps the database small; returns the pages of its log, 0 where it looks after that itself."""

    @abstractmethod
    def close(self) -> None:
        """Close every connection; nothing can be read or written any more."""


def of_sqlite(store: Store) -> SqliteStore | None:
    """The store as one of SQLite's, for what only a file can be asked; None if it is not one."""
    from .sqlite import SqliteStore

    return store if isinstance(store, SqliteStore) else None
