"""The settings of the write connection hold beyond a transaction, whatever becomes of that, and whatever the server's are."""

from __future__ import annotations

import psycopg
import pytest

from watchbell.store.open import open_store
from watchbell.store.postgres import writer
from watchbell.store.postgres.store import PostgresStore
from watchbell.store.tx import Tx


def refuse(_tx: Tx) -> None:
    raise ValueError("this caller gives up")


@pytest.mark.parametrize("after", ["a new connection", "a migration"])
def test_settings_stay_though_the_first_transaction_after_it_is_undone(postgres_url: str, after: str) -> None:
    store = open_store(postgres_url, 0)
    assert isinstance(store, PostgresStore)
    if after == "a migration":
        store.exclusive(lambda conn: None)
    else:
        store._writer.close()
    with pytest.raises(ValueError, match="gives up"):
        store.write(refuse)
    assert store.write(lambda tx: tx.value("SHOW search_path")) == "watchbell, pg_catalog, pg_temp"
    assert store.write(lambda tx: tx.value("SHOW lock_timeout")) == f"{writer.ROW_MS}ms"
    store.close()


def test_plans_are_made_anew_whatever_isolation_the_database_prefers(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as link:
        name = link.info.dbname
        link.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    store = open_store(postgres_url, 0)
    monkeypatch.setattr(writer, "PLANS_US", 0)
    assert [store.write(lambda tx: tx.value("SELECT 1")) for _ in range(2)] == [1, 1]
    store.close()
