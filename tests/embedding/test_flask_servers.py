"""Flask under real servers: one engine in those processes that serve, without a request, and none anywhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from .servers import Shop, wait_for

SYNC = ("-w", "3")
THREADS = ("-w", "3", "-k", "gthread", "--threads", "2")


@pytest.mark.parametrize(
    "how",
    [SYNC, THREADS, (*SYNC, "--preload"), (*THREADS, "--preload")],
    ids=["sync", "gthread", "sync-preload", "gthread-preload"],
)
def test_S0_3_of_n_web_processes_one_rings_and_another_takes_over_without_any_request(
    shop: Shop, how: tuple[str, ...]
) -> None:
    master = shop.gunicorn("flask_shop:app", *how)
    acting = shop.wait_for_one_engine(others=2)
    assert acting != master.pid
    os.kill(acting, signal.SIGKILL)
    shop.wait_for_one_engine(others=2, but=acting)
    shop.nothing_ran_twice()
