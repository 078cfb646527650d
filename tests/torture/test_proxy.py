"""The proxy before a real server: what it cuts is cut for its client only, and a reply that it eats belongs to a commit that
has happened, or has not, as it says."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.postgres.urls import parts_of
from torture.nodes.cluster import Server, through
from torture.nodes.proxy import Proxy

WITHIN_S = 20


class Before:
    """A proxy on a thread of the test's."""

    def __init__(self, url: str, folder: Path) -> None:
        self.direct = url
        self._log = folder / "proxy.log"
        self._log.touch()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = through(url, self._listening.getsockname()[1], "torture-test")
        heard, self._orders = os.pipe()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(heard)))
        self._thread.start()

    async def _serve(self, heard: int) -> None:
        await Proxy(self._listening, Server(self.direct).way, self._log).run(heard)

    def order(self, **order: object) -> None:
        os.write(self._orders, (json.dumps(order) + "\n").encode())
        self.wait_for(lambda: f"ordered {order}" in self.said())

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @staticmethod
    def wait_for(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.005)

    def write(self) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute("CREATE TABLE public.seen (n INTEGER)")

    def is_there(self) -> bool:
        with psycopg.connect(self.direct) as conn:
            row = conn.execute("SELECT to_regclass('public.seen') IS NOT NULL").fetchone()
            return row == (True,)

    def close(self) -> None:
        os.close(self._orders)
        self._thread.join(WITHIN_S)


@pytest.fixture
def proxy(empty_postgres_url: str, tmp_path: Path) -> Iterator[Before]:
    if parts_of(empty_postgres_url).get("sslmode") == "require":
        pytest.skip("the proxy reads what goes through it, and this server wants it encrypted")
    before = Before(empty_postgres_url, tmp_path)
    try:
        yield before
    finally:
        before.close()


def test_it_passes_on_what_it_is_given(proxy: Before) -> None:
    proxy.write()
    assert proxy.is_there()


def test_a_commit_whose_reply_is_eaten_has_happened(proxy: Before) -> None:
    proxy.order(do="eat", how="after", count=1)
    with pytest.raises(psycopg.OperationalError):
        proxy.write()
    assert proxy.is_there()
    proxy.wait_for(lambda: "eaten after: it was carried out" in proxy.said())


def test_a_commit_that_is_cut_off_before_has_not(proxy: Before) -> None:
    proxy.order(do="eat", how="before", count=1)
    with pytest.raises(psycopg.OperationalError):
        proxy.write()
    assert not proxy.is_there()


def test_a_commit_that_comes_late_happens_after_its_client_has_given_up(proxy: Before) -> None:
    proxy.order(do="eat", how="late", count=1)
    with pytest.raises(psycopg.OperationalError):
        proxy.write()
    proxy.wait_for(proxy.is_there)


def test_nobody_can_ask_what_became_of_a_commit(proxy: Before) -> None:
    proxy.order(do="eat", how="after", count=1, then_refuse=True)
    with pytest.raises(psycopg.OperationalError):
        proxy.write()
    proxy.wait_for(lambda: "eaten" in proxy.said())
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.url)
    proxy.order(do="pass")
    psycopg.connect(proxy.url).close()
    assert proxy.is_there()


def test_only_so_many_are_eaten(proxy: Before) -> None:
    proxy.order(do="eat", how="before", count=1)
    with pytest.raises(psycopg.OperationalError):
        proxy.write()
    proxy.write()
    assert proxy.is_there()


def test_what_is_refused_is_let_in_again(proxy: Before) -> None:
    with psycopg.connect(proxy.url, autocommit=True) as conn:
        proxy.order(do="refuse")
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.url)
    proxy.order(do="pass")
    proxy.write()


@pytest.mark.parametrize("way", ["both", "up", "down"])
def test_what_is_stalled_goes_on_later(proxy: Before, way: str) -> None:
    with psycopg.connect(proxy.url, autocommit=True) as conn:
        proxy.order(do="stall", way=way)
        answered = threading.Event()
        asking = threading.Thread(target=lambda: (conn.execute("SELECT 1"), answered.set()))
        asking.start()
        assert not answered.wait(0.1)
        proxy.order(do="pass")
        assert answered.wait(WITHIN_S)
        asking.join()
