"""Flask under real servers: one engine in those processes that serve, without a request, and none anywhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from .servers import PROJECTS, Shop, wait_for


def test_S0_3_of_n_web_workers_one_rings_and_another_takes_over_without_any_request(shop: Shop) -> None:
    master = shop.gunicorn("flask_shop:app", "-w", "3", "-k", "gthread", "--threads", "2")
    acting = shop.wait_for_one_engine(others=2)
    assert acting != master.pid
    os.kill(acting, signal.SIGKILL)
    shop.wait_for_one_engine(others=2, but=acting)
    shop.nothing_ran_twice()


def test_S3_6_on_postgresql_all_of_them_share_the_work_and_go_on_without_the_one_that_died(
    shop: Shop, postgres_url: str
) -> None:
    shop.gunicorn("flask_shop:app", "-w", "2", "--preload", SHOP_DATABASE=postgres_url)
    shop.wait_until_served()

    def processes() -> set[int]:
        return {int(pid) for _, pid, _ in shop.said()}

    wait_for(lambda: len(processes()) == 2, shop.log)
    killed = processes().pop()
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(processes() - {killed}) == 2, shop.log)
    shop.nothing_ran_twice()


def test_what_a_preloading_master_had_opened_does_not_cross_its_forks_and_a_reload_moves_the_engine(
    shop: Shop,
) -> None:
    master = shop.gunicorn("flask_shop:app", "-w", "2", "--preload", SHOP_LOOKS_AT_IMPORT="1")
    before = shop.wait_for_one_engine(others=1)
    shop.wait_until_served()
    shop.get("/errand/1", "POST")
    os.kill(master.pid, signal.SIGHUP)
    after = shop.wait_for_one_engine(others=1, but=before)
    assert master.poll() is None
    shop.get("/errand/1", "POST")
    shop.get("/errand/2", "POST")
    wait_for(lambda: "errand-2" in [word for *_, word in shop.said()], shop.log)
    assert [word for *_, word in shop.said()].count("errand-1") == 1
    master.terminate()
    assert master.wait(30) == 0
    assert shop.acting() is None
    ended = shop.status().ended
    assert ended.get("lost") is None, f"engine {after} was drained, not killed"
    shop.nothing_ran_twice()


def test_the_reloader_of_flask_has_its_engine_in_the_child_which_a_change_replaces(shop: Shop) -> None:
    module = shop.folder / "reloaded_shop.py"
    module.write_text((PROJECTS / "flask_shop.py").read_text())
    parent = shop.serve(
        "flask", "--app", "reloaded_shop", "run", "--debug", "-p", "{port}", PYTHONPATH=str(shop.folder)
    )
    before = shop.wait_for_one_engine(others=0)
    assert before != parent.pid
    module.write_text(module.read_text() + "\n# a change\n")
    after = shop.wait_for_one_engine(others=0, but=before)
    assert after != parent.pid
    shop.nothing_ran_twice()


def test_commands_of_the_application_start_no_engine(shop: Shop) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "flask_shop", "look"],
        cwd=shop.folder, env=shop.env, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("1 no engine")
    assert shop.ticks_of() == []


UNKNOWN = """
from wsgiref.simple_server import make_server
from flask_shop import app
import sys
make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
"""


def test_under_a_server_nobody_has_heard_of_the_first_request_begins_it(shop: Shop) -> None:
    (shop.folder / "odd_server.py").write_text(UNKNOWN)
    shop.serve("odd_server", "{port}", PYTHONPATH=f"{shop.folder}:{PROJECTS}")
    shop.wait_until_served()
    shop.wait_for_one_engine(others=0)


SLOW = """
import os, threading
from flask_shop import app, bell, say

@bell.schedule("every 300ms")
@bell.job
def slow():
    say(f"- {os.getpid()} begun")
    threading.Event().wait(0.9)
    say(f"- {os.getpid()} finished")
"""


def test_S0_5_what_runs_when_a_web_process_is_asked_to_end_may_finish(shop: Shop) -> None:
    (shop.folder / "slow_shop.py").write_text(SLOW)
    master = shop.gunicorn("slow_shop:app", "-w", "1", PYTHONPATH=f"{shop.folder}:{PROJECTS}")

    def words(word: str) -> int:
        return [said for *_, said in shop.said()].count(word)

    wait_for(lambda: words("begun") > 0, shop.log)
    master.terminate()
    assert master.wait(30) == 0
    assert words("begun") == words("finished")
