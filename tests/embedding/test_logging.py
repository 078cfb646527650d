"""An engine in a process leaves the logging of the application as it is, configured or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error

import pytest

from .servers import PROJECTS, Shop, wait_for

FAILING = """
from flask_shop import app, bell, say
import logging, os

@app.get("/fail")
def fail():
    raise RuntimeError("the shelf is empty")

@bell.schedule("every 300ms")
@bell.job
def speaks(run):
    logging.getLogger("shop").warning("from a job")
"""


@pytest.mark.parametrize("off", ["", "1"], ids=["with an engine", "without an engine"])
def test_a_flask_view_that_raises_is_in_the_log_of_an_unconfigured_application(shop: Shop, off: str) -> None:
    (shop.folder / "failing_shop.py").write_text(FAILING)
    env = {"WATCHBELL_DISABLE_JOBS": off} if off else {}
    shop.gunicorn("failing_shop:app", "-w", "1", PYTHONPATH=f"{shop.folder}:{PROJECTS}", **env)
    shop.wait_until_served()
    if not off:
        shop.wait_for_one_engine(others=0)
        wait_for(lambda: "from a job" in shop.log(), lambda: f"a line of a job\n{shop.log()}")
    with pytest.raises(urllib.error.HTTPError, match="500"):
        shop.get("/fail")
    wait_for(lambda: "RuntimeError: the shelf is empty" in shop.log(), shop.log)
    assert "Exception on /fail [GET]\nTraceback (most recent call last):" in shop.log()


HOLDING = """
from {shop} import app, bell, say
import os, threading

@bell.schedule("every 300ms")
@bell.job
def holds():
    say(f"- {{os.getpid()}} holding")
    threading.Event().wait(300)
"""


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("flask_shop", ("gunicorn", "-b", "127.0.0.1:{port}", "--no-control-socket", "-w", "2")),
        ("fastapi_shop", ("uvicorn", "--workers", "2", "--port", "{port}")),
    ],
    ids=["gunicorn", "uvicorn"],
)
def test_what_the_engine_warns_of_is_on_the_standard_error_where_nothing_is_configured(
    shop: Shop, module: str, words: tuple[str, ...]
) -> None:
    (shop.folder / "holding_shop.py").write_text(HOLDING.format(shop=module))
    shop.serve(*words, "holding_shop:app", PYTHONPATH=f"{shop.folder}:{PROJECTS}")
    killed = shop.wait_for_one_engine(others=1)
    wait_for(lambda: ["-", str(killed), "holding"] in shop.said(), shop.log)
    os.kill(killed, signal.SIGKILL)
    shop.wait_for_one_engine(others=1, but=killed)
    assert "engine.recovered: " in shop.log(), shop.log()


SCRIPT = """
import contextlib, logging, sys, time
from watchbell import Watchbell
from watchbell.services.runs import logs
from watchbell.store.sqlite.open import open_store

bell = Watchbell("sqlite:///bell.db")

@bell.job
def speak():
    logging.getLogger("shop").warning("of the run")
    print("printed", file=sys.stderr)

@bell.job(isolated=True)
def apart():
    logging.basicConfig(format="apart %(message)s")
    logging.getLogger("shop").warning("of a process")
    print("printed", file=sys.stderr)

def main(when):
    if when == "configured first":
        logging.basicConfig(format="%(name)s says %(message)s")
    bell.start()
    if when == "configured later":
        logging.basicConfig(format="%(name)s says %(message)s")
    logging.getLogger("shop").error("of the script")
    runs = speak.enqueue(), apart.enqueue()
    for run in runs:
        run.wait(30)
    bell.stop()
    logging.getLogger("shop").error("after the end")
    with contextlib.closing(open_store("bell.db", time.time_ns() // 1000)) as store:
        for run in runs:
            print([(line.stream, line.text) for line in logs(store, str(run)).items])
"""


@pytest.mark.parametrize("when", ["never configured", "configured first", "configured later"])
def test_a_script_logs_while_its_engine_runs_and_a_job_has_each_line_once(shop: Shop, when: str) -> None:
    (shop.folder / "the_script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-c", f"import the_script; the_script.main({when!r})"],
        cwd=shop.folder, env=shop.env, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    says = "" if when == "never configured" else "shop says "
    assert done.stderr.splitlines() == [
        f"{says}of the script", f"{says}of the run", "printed", f"{says}after the end"
    ]  # fmt: skip
    assert done.stdout.splitlines() == [
        "[('log', 'of the run'), ('stderr', 'printed')]",
        "[('log', 'of a process'), ('stderr', 'printed')]",
    ]
