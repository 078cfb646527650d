"""A Django project under real servers."""

from __future__ import annotations

import os
import signal

from .servers import PROJECTS, Shop, wait_for


def test_S4_1_of_n_web_processes_one_rings_and_another_takes_over(shop: Shop) -> None:
    master = shop.gunicorn("django_shop.wsgi", "-w", "2", "--preload")
    acting = shop.wait_for_one_engine(others=1)
    assert acting != master.pid
    os.kill(acting, signal.SIGKILL)
    shop.wait_for_one_engine(others=1, but=acting)
    master.terminate()
    assert master.wait(30) == 0
    assert shop.acting() is None
    shop.nothing_ran_twice()


def test_runserver_has_its_engine_in_the_child_of_its_reloader(shop: Shop) -> None:
    parent = shop.serve(
        "django", "runserver", "127.0.0.1:{port}", DJANGO_SETTINGS_MODULE="django_shop.settings"
    )
    acting = shop.wait_for_one_engine(others=0)
    assert acting != parent.pid
    assert shop.get() == str(acting)
    shop.nothing_ran_twice()


def test_under_uvicorn_the_lifespan_drains_it(shop: Shop) -> None:
    server = shop.serve("uvicorn", "django_shop.asgi:application", "--port", "{port}")
    assert shop.wait_for_one_engine(others=0) == server.pid
    server.terminate()
    assert server.wait(30) is not None
    assert shop.acting() is None
    assert "engine.ended" not in shop.log()
    assert shop.status().ended.get("lost") is None
    shop.nothing_ran_twice()


def test_of_n_uvicorn_processes_with_a_lifespan_each_starts_its_engine_once(shop: Shop) -> None:
    server = shop.serve("uvicorn", "django_shop.asgi:application", "--workers", "3", "--port", "{port}")
    acting = shop.wait_for_one_engine(others=2)
    os.kill(acting, signal.SIGKILL)
    shop.wait_for_one_engine(others=2, but=acting)
    server.terminate()
    assert server.wait(30) is not None
    assert shop.acting() is None
    assert "embedding.not_started" not in shop.log()
    shop.nothing_ran_twice()


def test_under_uvicorn_it_begins_without_a_lifespan_too(shop: Shop) -> None:
    server = shop.serve("uvicorn", "django_shop.asgi:plain", "--port", "{port}")
    assert shop.wait_for_one_engine(others=0) == server.pid
    shop.nothing_ran_twice()


def test_the_tests_of_the_project_run_no_engine(shop: Shop) -> None:
    (shop.folder / "test_shop.py").write_text(
        "from django.test import TestCase\n\n\nclass Shop(TestCase):\n    def test_home(self):\n"
        "        self.assertEqual(self.client.get('/').status_code, 200)\n"
    )
    run = shop.serve(
        "django", "test", "--noinput", DJANGO_SETTINGS_MODULE="django_shop.settings",
        PYTHONPATH=f"{shop.folder}:{PROJECTS}",
    )  # fmt: skip
    wait_for(lambda: run.poll() is not None, shop.log)
    assert run.returncode == 0, shop.log()
    assert not shop.database.exists()
