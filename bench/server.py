"""The PostgreSQL server that is measured on: the one that the tests use (tests/postgres/at_hand.py)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import psycopg

from tests.postgres.at_hand import NAMED, NONE, WITHOUT
from tests.postgres.databases import Databases

from .place import ROOT


class NoServer(Exception):
    """Why there is none, as a sentence."""


def becomes_one_with_a_server(arguments: list[str]) -> None:
    """Start again with a server at hand, if this process knows of none. A server of our own ends with it."""
    if NAMED not in os.environ:
        os.chdir(ROOT)
        words = ["-m", "tests.postgres.at_hand", sys.executable, "-m", "bench", *arguments]
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *words])


@contextlib.contextmanager
def at_hand(wanted: bool) -> Iterator[Databases | None]:
    """Databases on the server, if any are wanted. NoServer says why there is none."""
    if not wanted:
        yield None
        return
    url = os.environ.get(NAMED, NONE)
    if url == NONE:
        raise NoServer(
            f"There is no PostgreSQL to be measured: {os.environ.get(WITHOUT, f'{NAMED} says so')}."
        )
    try:
        databases = Databases(url)
    except psycopg.Error as error:
        raise NoServer(
            f"The server that {NAMED} names cannot be used: {' '.join(str(error).split())}"
        ) from None
    try:
        yield databases
    finally:
        databases.close()
