"""The journey of somebody who has a crontab: a command, a service that is killed, and what the ledger says about it."""

from __future__ import annotations

import pytest

from tests.journeys.people import Shell, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.kill9]


def test_a_command_every_two_seconds_through_a_kill_9(shell: Shell) -> None:
    said = shell.run("schedule", "add", "hello", "--every", "2s", "--", "sh", "-c", "date >> out")
    assert said.startswith("hello: every 2 s")

    with shell.serve() as service:
        wait_for(lambda: len(shell.lines("out")) >= 2, "two lines in out")
        service.kill()
        service.wait()
    assert "died without a word" in shell.run("status", code=3)
    wait_for(
        lambda: (shell.ask("schedule", "show", "hello")["overdue_us"] or 0) > 4_000_000, "overdue by 4 s"
    )
    assert "overdue by" in shell.run("status", code=3)

    before = len(shell.lines("out"))
    with shell.serve() as service:
        wait_for(lambda: len(shell.lines("out")) >= before + 2, "two more lines")
        shell.stop(service)

    rows = shell.ask("run", "list", "--schedule", "hello", "--limit", "100")["items"]
    missed = next(row for row in rows if row["state"] == "coalesced")
    text = shell.run("explain", "hello", "--at", missed["due_at"])
    assert "no engine was running" in text.splitlines()[-1]
    assert "stands for it" in text.splitlines()[-1]

    written, states = len(shell.lines("out")), [row["state"] for row in rows if row["kind"] == "run"]
    # On a machine that is busy with other things a run may still go on when the next one falls due.
    assert set(states) <= {"succeeded", "coalesced", "lost", "skipped"}
    assert states.count("succeeded") <= written <= states.count("succeeded") + states.count("lost")

    audited = shell.run("audit").splitlines()
    assert audited[:4] == ["unaccounted: 0", "invented: 0", "stuck: 0", "contradicted: 0"]


def test_the_instant_that_a_list_prints_can_be_asked_about(shell: Shell) -> None:
    shell.run("schedule", "add", "hello", "--every", "1s", "--", "true")
    with shell.serve() as service:
        wait_for(lambda: shell.ask("run", "list", "--state", "succeeded")["items"], "a run that succeeded")
        shell.stop(service)
    printed = shell.run("run", "list").splitlines()[-1]
    instant = " ".join(printed.split()[3:5])
    assert " ran: it began at " in shell.run("explain", "hello", "--at", instant)


def test_a_second_service_stands_by_and_takes_over(shell: Shell) -> None:
    shell.run("schedule", "add", "hello", "--every", "1s", "--", "sh", "-c", "date >> out")
    with shell.serve() as first:
        wait_for(lambda: shell.lines("out"), "a line in out")
        with shell.serve() as second:
            wait_for(
                lambda: any("engine.standby" in line for line in shell.lines("background.log")), "a stand-by"
            )
            first.kill()
            first.wait()
            before = len(shell.lines("out"))
            wait_for(lambda: len(shell.lines("out")) > before, "a line after the take-over")
            assert shell.ask("status")["engine"]["node"]["pid"] == second.pid
            shell.stop(second)
    shell.run("audit")
