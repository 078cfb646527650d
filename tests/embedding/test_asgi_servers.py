"""FastAPI under real servers: the engine lives inside of the application's own lifespan."""

from __future__ import annotations

import os
import signal

from .servers import PROJECTS, Shop, wait_for


def words(shop: Shop) -> list[str]:
    return [said for *_, said in shop.said()]


def test_S4_10_of_n_uvicorn_processes_one_rings_and_another_takes_over(shop: Shop) -> None:
    parent = shop.serve("uvicorn", "fastapi_shop:app", "--workers", "3", "--port", "{port}")
    acting = shop.wait_for_one_engine(others=2)
    assert acting != parent.pid
    assert shop.get().strip('"').endswith("green"), "the state of the application's own lifespan is there"
    os.kill(acting, signal.SIGKILL)
    shop.wait_for_one_engine(others=2, but=acting)
    shop.get("/errand/7", "POST")
    shop.get("/errand/7", "POST")
    wait_for(lambda: "errand-7" in words(shop), shop.log)
    parent.terminate()
    assert parent.wait(30) is not None
    assert shop.acting() is None
    assert words(shop).count("errand-7") == 1
    assert words(shop).count("down") == words(shop).count("up") - 1, (
        "all but the killed one were ended in order"
    )
    assert words(shop)[-1] == "down"
    shop.nothing_ran_twice()


def test_the_signals_of_uvicorn_stay_its_own_and_a_change_of_code_replaces_the_engine(shop: Shop) -> None:
    module = shop.folder / "reloaded.py"
    module.write_text((PROJECTS / "fastapi_shop.py").read_text())
    parent = shop.serve(
        "uvicorn", "reloaded:app", "--reload", "--reload-dir", str(shop.folder), "--port", "{port}",
        PYTHONPATH=str(shop.folder),
    )  # fmt: skip
    before = shop.wait_for_one_engine(others=0)
    assert before != parent.pid
    module.write_text(module.read_text() + "\n# a change\n")
    shop.wait_for_one_engine(others=0, but=before)
    assert f"- {before} down" in (shop.folder / "said").read_text().splitlines()
    parent.send_signal(signal.SIGINT)
    assert parent.wait(30) is not None
    assert shop.acting() is None
    shop.nothing_ran_twice()


def test_gunicorns_own_asgi_class_runs_the_lifespan_too(shop: Shop) -> None:
    master = shop.gunicorn("fastapi_shop:app", "-w", "2", "-k", "asgi", "--preload")
    acting = shop.wait_for_one_engine(others=1)
    os.kill(acting, signal.SIGKILL)
    shop.wait_for_one_engine(others=1, but=acting)
    master.terminate()
    assert master.wait(30) == 0
    assert shop.acting() is None
    shop.nothing_ran_twice()
