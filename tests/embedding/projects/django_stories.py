"""What happens inside of the Django project, told in one process with an engine: `python -m django_stories` prints how
each story ended. Django changes the time zone of its process, so this one is nobody else's."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from datetime import timedelta
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "django_shop.settings"
django.setup()

from django.apps import apps
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client, override_settings
from django.utils import timezone
from django_shop.orders import jobs, tasks
from django_shop.orders.models import Order

try:
    from django.tasks import TaskResultStatus, default_task_backend
    from django.tasks.exceptions import TaskResultDoesNotExist
except ImportError:  # before Django 6.0
    from django_tasks import TaskResultStatus, default_task_backend
    from django_tasks.exceptions import TaskResultDoesNotExist

from watchbell.django import bell, on_commit, project
from watchbell.errors import BadArguments


def ended(result: Any) -> Any:
    bell._run_wait(int(result.id.removeprefix("run_")), 30_000_000)
    result.refresh()
    return result


def runs_of(job: str) -> list[Any]:
    return list(bell.runs(job=job).items)


def what_settings_say_counts() -> None:
    assert bell._url == f"sqlite:///{os.environ['SHOP_FOLDER']}/bell.db"
    assert (bell._tz, bell._declared.app, bell._grace_us, bell._slots["thread"]) == (
        "Europe/Berlin", "django_shop", 3_000_000, 4,
    )  # fmt: skip


def settings_that_cannot_be_meant_are_refused_with_their_place() -> None:
    for given, said in (
        ({"DATABSE_URL": "x"}, "settings.WATCHBELL['DATABSE_URL'] means nothing; there are DATABASE_URL"),
        ({"SHUTDOWN_GRACE": "10 minuts"}, "settings.WATCHBELL['SHUTDOWN_GRACE']: "),
        ({"ENABLED": "no"}, "settings.WATCHBELL['ENABLED']: It is True or False, not 'no'."),
        (["x"], "settings.WATCHBELL is a dict, not ['x']."),
    ):
        heard = ""
        with override_settings(WATCHBELL=given):
            try:
                project._make()
            except ImproperlyConfigured as error:
                heard = str(error)
        assert said in heard, heard


def on_commit_enqueues_after_the_commit_and_never_after_a_rollback() -> None:
    before = len(runs_of("ship"))
    with transaction.atomic():
        Order.objects.create(number=1)
        on_commit(jobs.ship, 1, key="ship 1")
        assert len(runs_of("ship")) == before
    made = runs_of("ship")
    assert len(made) == before + 1
    assert bell._run_wait(made[0].entry.id, 30_000_000) == "succeeded"
    try:
        with transaction.atomic():
            on_commit(jobs.ship, 2)
            raise LookupError
    except LookupError:
        pass
    assert len(runs_of("ship")) == before + 1
    with transaction.atomic():
        try:
            on_commit(jobs.ship, "seven")
        except BadArguments:
            pass
        else:
            raise AssertionError("arguments that do not fit are refused where they are written")


def jobs_of_every_kind_see_the_database_of_the_project() -> None:
    Order.objects.create(number=40)
    for job in (jobs.ship, jobs.ship_later):
        assert job.enqueue(40).wait("30s") == "succeeded"
    assert jobs.count_apart.enqueue().wait("30s") == "succeeded", runs_of("count_apart")[0]


def a_task_runs_and_gives_its_value() -> None:
    result = tasks.add.enqueue(2, two=3)
    assert result.id.startswith("run_")
    assert result.enqueued_at is not None
    assert ended(result).status == TaskResultStatus.SUCCESSFUL
    assert (result.return_value, result.args, result.kwargs, result.attempts) == (5, [2], {"two": 3}, 1)
    assert result.enqueued_at <= result.started_at <= result.finished_at
    again = tasks.add.get_result(result.id)
    assert again.return_value == 5
    assert again.task == tasks.add


def an_async_task_has_its_queue_and_its_priority() -> None:
    result = ended(asyncio.run(tasks.greet.aenqueue(name="alice")))
    assert result.return_value == "hello alice"
    found = runs_of("django_shop.orders.tasks.greet")[0].entry
    assert (found.priority, result.task.queue_name, result.task.priority) == (-10, "mail", 10)


def a_task_that_takes_its_context_gets_it() -> None:
    assert ended(tasks.number_of_attempt.enqueue()).return_value == 1


def a_task_that_fails_says_why() -> None:
    result = ended(tasks.fails.enqueue())
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is LookupError
    assert "there is no such thing" in result.errors[0].traceback
    odd = ended(tasks.gives_what_is_no_json.enqueue())
    assert odd.status == TaskResultStatus.FAILED
    assert "not JSON" in odd.errors[0].traceback


def a_task_for_later_waits() -> None:
    result = tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1, 1)
    result.refresh()
    assert result.status == TaskResultStatus.READY
    assert result.started_at is None
    assert bell._run_state(int(result.id.removeprefix("run_"))) == "waiting"


def what_is_no_task_has_no_result() -> None:
    for name in ("run_999999", "nonsense", str(jobs.ship.enqueue(1))):
        try:
            default_task_backend.get_result(name)
        except TaskResultDoesNotExist:
            continue
        raise AssertionError(name)


def the_admin_shows_the_schedules_to_the_staff_only() -> None:
    User.objects.create(username="alice", is_staff=True, is_superuser=True)
    User.objects.create(username="bob", is_staff=True)
    User.objects.create(username="carol")
    for name, seen in (("alice", True), ("bob", True), ("carol", False)):
        client = Client()
        client.force_login(User.objects.get(username=name))
        index = client.get("/admin/")
        page = client.get("/admin/watchbell/schedule/")
        assert (b"/admin/watchbell/schedule/" in index.content) is seen, name
        assert (page.status_code == 200) is seen, name
        if seen:
            text = page.content.decode()
            assert "every 250 ms" in text
            assert "Say that it runs." in text
            assert client.get("/admin/watchbell/schedule/add/").status_code == 403
            assert client.post("/admin/watchbell/schedule/", {"action": "delete_selected"}).status_code == 200


def the_command_line_of_watchbell_is_a_command_of_manage_py() -> None:
    call_command("watchbell", "status")
    code = 0
    try:
        call_command("watchbell", "explain", "nobody-knows-it")
    except CommandError as error:
        code = error.returncode
    assert code == 5


def the_page_needs_no_table_of_its_own() -> None:
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
    assert apps.get_model("watchbell", "Schedule")._meta.managed is False


def main() -> None:
    stories = [
        value
        for value in globals().values()
        if callable(value) and getattr(value, "__module__", "") == __name__
    ]
    call_command("migrate", run_syncdb=True, verbosity=0)
    ends: dict[str, str] = {}
    bell.start()
    for story in stories:
        if story.__name__ in ("ended", "runs_of", "main"):
            continue
        try:
            story()
            ends[story.__name__] = ""
        except BaseException:
            ends[story.__name__] = traceback.format_exc()
    bell.stop()
    print("\n" + json.dumps(ends))


if __name__ == "__main__":
    main()
