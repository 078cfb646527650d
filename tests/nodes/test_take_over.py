"""A node whose connection ends while it takes over: it tries again, and whoever has started it does not wait for that."""

from __future__ import annotations

import psycopg
import pytest

from watchbell import Watchbell
from watchbell.engine.standby import may_return
from watchbell.errors import (
    DiskFailing,
    SchemaTooNew,
    StoreCorrupt,
    StoreError,
    StoreForbidden,
    StoreGone,
    StoreUnavailable,
)
from watchbell.store import nodes
from watchbell.store.tx import Tx


def test_a_node_whose_transaction_the_server_ends_while_it_takes_over_acts_all_the_same(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    last_seen = nodes.last_seen
    ended: list[object] = []

    def stalled(tx: Tx) -> int | None:
        if not ended:
            ended.append(tx.value("SELECT pg_backend_pid()"))
            with psycopg.connect(postgres_url, autocommit=True) as link:
                link.execute("SELECT pg_terminate_backend(%s, 30000)", ended)
        return last_seen(tx)

    monkeypatch.setattr(nodes, "last_seen", stalled)
    bell = Watchbell(postgres_url)
    bell.start()
    try:
        assert bell._node is not None
        assert bell._node.ready.wait(60)
        assert bell._node.error is None
        assert bell._node.alive()
        assert not bell._node.standing_by
    finally:
        bell.stop()
    said = [text for one in caplog.records if "take_over_failed" in (text := one.getMessage())]
    assert len(said) == 1
    assert said[0].endswith("; trying again")


@pytest.mark.parametrize(
    ("error", "before", "afterwards"),
    [
        (StoreUnavailable, True, True),
        (StoreForbidden, False, True),
        (StoreError, False, True),
        (SchemaTooNew, False, True),
        (StoreGone, False, False),
        (StoreCorrupt, False, False),
        (DiskFailing, False, False),
    ],
)
def test_what_a_wait_may_mend_before_a_node_acts_and_once_it_has_acted(
    error: type[StoreError], before: bool, afterwards: bool
) -> None:
    assert may_return(error("said"), acted=False) is before
    assert may_return(error("said"), acted=True) is afterwards
