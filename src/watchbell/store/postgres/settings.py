"""What a server has to promise before watchbell promises anything on it: that a commit is on its disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from ...errors import BadConfiguration, StoreForbidden
from .store import PostgresStore

OLDEST = 140_000
_DURABLE = ("on", "remote_write", "remote_apply", "local")


def refuse_unsafe(store: PostgresStore) -> None:
    """Refuse a server that is too old, and one that answers a commit before it is durable."""

    def look(conn: psycopg.Connection[tuple[Any, ...]]) -> dict[str, str]:
        names = ("server_version_num", "fsync", "synchronous_commit", "full_page_writes", "server_encoding")
        found = conn.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names)).fetchone()
        return dict(zip(names, found or (), strict=True))

    judge(store.exclusive(look), store.where)


def judge(said: Mapping[str, str], where: str) -> None:
    """Refuse what a server says of itself, if a run could begin twice after it has lost power. BadConfiguration names the
    setting."""
    if int(said["server_version_num"]) < OLDEST:
        raise StoreForbidden(
            f"The server of {where} is PostgreSQL {int(said['server_version_num']) // 10_000}; watchbell needs 14 or newer."
        )
    if said["server_encoding"] != "UTF8":
        raise BadConfiguration(
            f"The database {where} keeps text as {said['server_encoding']}; watchbell needs one with encoding UTF8."
        )
    for name in ("fsync", "full_page_writes"):
        if said[name] != "on":
            raise BadConfiguration(
                f"The server of {where} runs with {name} = {said[name]}: what it has committed may be gone after a "
                f"crash, and a run would begin twice. Set {name} = on."
            )
    if said["synchronous_commit"] not in _DURABLE:
        raise BadConfiguration(
            f"{where} is used with synchronous_commit = {said['synchronous_commit']}: a commit would be answered "
            "before it is on the disk, and a run could begin twice. Set it to on for this database or user: "
            "ALTER ROLE … SET synchronous_commit = on."
        )
