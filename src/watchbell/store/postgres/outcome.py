"""What became of a COMMIT whose reply was lost: the server is asked by the transaction's own id.

Reading back what was written proves nothing, as the transaction may still be on its way. `pg_xact_status` says *in
progress* until it is over, and then what it was.

An id holds within one life of the server. After a crash, or on a stand-by that has taken over, one whose record was never on
the disk is given to another transaction: *committed* may be that other one's then. The unlogged table `incarnation` tells
one life from another; what is not *committed* was not ours in any.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import psycopg

from ...clock import SystemClock
from ...errors import CommitUnknown, StoreError
from .address import Address

PATIENCE_US = 10_000_000
_PAUSE_US = 50_000
_clock = SystemClock()


class Lost(Exception):
    """Nobody can say what became of it. `told` is the error for whoever asked."""

    def __init__(self, told: StoreError) -> None:
        super().__init__(str(told))
        self.told = told


def committed(address: Address, number: str, life: str, cause: psycopg.Error) -> bool:
    """Whether the transaction has been committed that had this number in this life of the server. Raises Lost if that
    cannot be found out within `PATIENCE_US`."""
    end = _clock.mono_ns() + PATIENCE_US * 1000
    never = threading.Event()
    conn: psycopg.Connection[tuple[Any, ...]] | None = None
    try:
        while True:
            try:
                conn = conn or address.connect()
                asked = f"SELECT pg_xact_status(%s::xid8), (SELECT value FROM {address.schema}.incarnation LIMIT 1)"
                status, now = conn.execute(asked, (number,)).fetchone() or (None, None)
                if status == "aborted":
                    return False
                if status == "committed" and now == life:
                    return True
                if status != "in progress":
                    break
            except psycopg.Error:
                if conn is not None:
                    conn.close()
                conn = None
            if _clock.mono_ns() > end:
                break
            _clock.wait(never, _PAUSE_US)
    finally:
        if conn is not None:
            with contextlib.suppress(psycopg.Error):
                conn.close()
    raise Lost(
        CommitUnknown(
            f"The connection to {address.where} broke while a transaction was being committed, and the server does not "
            f"say what became of it ({str(cause).strip().splitlines()[0] if str(cause).strip() else 'no reply'}): what was "
            "being written may or may not be there."
        )
    )
