"""Other machines and servers of our own, for what dies or is restarted while it is measured."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest

from bench.cluster import CRASH, FAST, cluster
from bench.veil import can_veil, veil
from tests.postgres.at_hand import server_programs

BOOT = Path("/proc/sys/kernel/random/boot_id")


def test_behind_the_veil_is_another_machine_that_ends_with_what_was_started(tmp_path: Path) -> None:
    if not can_veil(tmp_path):
        pytest.skip("this machine makes no other one (unshare)")
    script = f"cat {BOOT}; hostname; echo $$; exec sleep 600"
    with subprocess.Popen([*veil(tmp_path), "sh", "-c", script], stdout=subprocess.PIPE, text=True) as there:
        assert there.stdout is not None
        boot, host, pid = (there.stdout.readline().strip() for _ in range(3))
        assert boot == (tmp_path / "boot_id").read_text().strip() != BOOT.read_text().strip()
        assert (host, pid) == ("elsewhere", "1")
        there.kill()
        assert there.stdout.read() == ""  # it ends only when nobody holds the other end any more
    assert BOOT.read_text().strip() != boot


def test_a_server_of_our_own_is_restarted_at_the_same_place_with_what_was_committed() -> None:
    if server_programs() is None:
        pytest.skip("the server's programs are not on this machine")
    with cluster() as server:
        with psycopg.connect(server.url) as conn:
            conn.execute("CREATE TABLE kept (number BIGINT)")
        for number, how in enumerate((FAST, CRASH), start=1):
            with psycopg.connect(server.url) as conn:
                conn.execute("INSERT INTO kept VALUES (%s)", (number,))
            server.stop(how)
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(server.url)
            server.start()
            with psycopg.connect(server.url) as conn:
                assert conn.execute("SELECT max(number) FROM kept").fetchone() == (number,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url)
