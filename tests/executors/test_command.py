"""The lane of programs."""

from __future__ import annotations

import errno
import os
import pwd
import resource
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from watchbell.clock import SystemClock
from watchbell.core.outcome import Ending, Outcome
from watchbell.executors.base import Assignment, CommandSpec, Executor
from watchbell.executors.child_process import Exit, Launch
from watchbell.executors.command import CommandExecutor
from watchbell.executors.exits import not_started

from .conftest import Desk, Remembered, assignment, eventually
from .test_process import marked

Make = Callable[..., CommandExecutor]


@pytest.fixture
def make(clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]) -> Make:
    def _make(slots: int = 4) -> CommandExecutor:
        executor = CommandExecutor(clock, sink, desk, slots)
        ended.append(executor)
        return executor

    return _make


@pytest.fixture
def run(make: Make, desk: Desk) -> Callable[..., Outcome]:
    """Runs one command to its end."""
    executor = make()
    number = iter(range(1, 1000))

    def _run(*argv: str, **spec: object) -> Outcome:
        n = next(number)
        executor.start([assignment(n, command=CommandSpec(argv=argv, **spec))])  # type: ignore[arg-type]
        return desk.outcome(n)

    return _run


def shell(text: str, run: int = 1, **fields: object) -> Assignment:
    return assignment(run, lane="command", command=CommandSpec(shell=text), **fields)


Run = Callable[..., Outcome]


def test_a_program_that_ends_with_0_has_succeeded(run: Run, sink: Remembered) -> None:
    before = time.time_ns() // 1000
    outcome = run("echo", "hello", "world")
    assert (outcome.ending, outcome.exit_code, outcome.error) == (Ending.SUCCEEDED, 0, None)
    assert sink.text(1) == ["hello world"]
    assert (outcome.peak_memory or 0) > 100_000
    assert outcome.began_at is not None
    assert before <= outcome.began_at <= outcome.ended_at
    begins = sink.begins[1]
    assert begins[0] == outcome.began_at
    assert None not in begins


@pytest.mark.parametrize(
    ("text", "good", "ending", "code", "error"),
    [
        ("exit 0", (0,), Ending.SUCCEEDED, 0, None),
        ("exit 1", (0,), Ending.FAILED, 1, "The program ended with exit code 1."),
        ("exit 255", (0,), Ending.FAILED, 255, "The program ended with exit code 255."),
        ("exit 3", (0, 3), Ending.SUCCEEDED, 3, None),
        ("exit 0", (3,), Ending.FAILED, 0, "The program ended with exit code 0."),
        ("kill -SEGV $$", (0,), Ending.FAILED, -11, "The program was killed by signal 11 (SIGSEGV)."),
        ("kill -TERM $$", (0,), Ending.FAILED, -15, "The program was killed by signal 15 (SIGTERM)."),
        ("kill -40 $$", (0,), Ending.FAILED, -40, "The program was killed by signal 40."),
    ],
)
def test_F55_what_each_exit_code_means(
    run: Run, text: str, good: tuple[int, ...], ending: Ending, code: int, error: str | None
) -> None:
    outcome = run(shell=text, success_codes=good)
    assert (outcome.ending, outcome.exit_code, outcome.error) == (ending, code, error)


def test_F55_what_cannot_be_started_fails_with_a_sentence(run: Run, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    broken = tmp_path / "broken"
    broken.write_text("#!/nowhere/interpreter\n")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\0\1\2\3")
    for path in (broken, binary):
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def sentence(*argv: str, **spec: object) -> str:
        outcome = run(*argv, **spec)
        assert outcome.ending is Ending.FAILED
        assert outcome.error_type[0] == "SpawnError"
        assert outcome.exit_code is None
        assert outcome.traceback is None
        return outcome.error or ""

    assert sentence("no-such-program-here").startswith(
        "The program 'no-such-program-here' was not found in PATH"
    )
    assert sentence("/no/such/program") == "The program '/no/such/program' does not exist."
    assert sentence(f"{plain}/program") == f"The program '{plain}/program' does not exist."
    assert sentence("./program", cwd=str(tmp_path)) == "The program './program' does not exist."
    assert sentence(str(plain)).startswith(f"The program {str(plain)!r} may not be executed")
    assert sentence(str(broken)).endswith("is there, but not the interpreter that its first line names.")
    assert "in no form this machine can run" in sentence(str(binary))
    assert sentence("true", cwd="/no/such/folder") == "The working folder '/no/such/folder' does not exist."
    assert sentence("true", cwd=str(plain)) == f"The working folder {str(plain)!r} is not a folder."
    assert sentence("true", "a\0b").startswith("An argument or a value of the environment holds a NUL")
    assert sentence("true", env={"": "x"}).startswith("A name in the environment is empty")
    assert (
        sentence("true", "x" * 4_000_000) == "The arguments and the environment are too long for the system."
    )
    assert sentence("") == "The name of the program is empty."
    assert sentence() == "The job names no program: give `argv` or `shell`."


def test_F19_a_system_without_room_is_said_in_a_sentence() -> None:
    outcome = not_started(Exit(stage="fork", number=errno.EAGAIN), Launch(("true",), {}), 1, 2)
    assert outcome.error_type[:2] == ("SpawnError", "BlockingIOError")
    assert (outcome.error or "").startswith("The system has no room for another process (")


def test_F18_without_file_descriptors_runs_fail_and_later_ones_succeed(make: Make, desk: Desk) -> None:
    executor = make(200)
    executor.start([assignment(1, command=CommandSpec(argv=("true",)))])
    desk.outcome(1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 6, hard))
    try:
        executor.start([shell("sleep 1", n) for n in range(2, 22)])
        desk.count(2)
        failed = [report.outcome for report in desk.reports.values() if report.run != 1 and report.outcome]
        assert failed[0].error is not None
        assert "no file descriptors left" in failed[0].error
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    desk.count(21)
    executor.start([assignment(99, command=CommandSpec(argv=("true",)))])
    assert desk.outcome(99).ending is Ending.SUCCEEDED


def test_a_timeout_ends_the_group_the_grandchildren_and_a_daemon_that_left_it(make: Make, desk: Desk) -> None:
    text = "sleep 86399 & setsid sleep 86399 & setsid sh -c 'sleep 86399 & exit' & (trap '' TERM; sleep 86399) & wait"
    make().start([shell(text, token="whole-family", timeout_us=300_000, kill_grace_us=300_000)])
    outcome = desk.outcome()
    assert (outcome.ending, outcome.error) == (Ending.TIMED_OUT, "It ran longer than its timeout of 0.3 s.")
    assert marked("whole-family") == []


def test_F56_a_daemon_that_cleans_its_environment_is_ended_with_its_parent(
    make: Make, desk: Desk, sink: Remembered
) -> None:
    executor = make()
    executor.start(
        [
            shell(
                "env -i /bin/sh -c 'trap \"\" TERM; exec setsid sleep 86398' & echo ready; wait",
                kill_grace_us=200_000,
            )
        ]
    )
    sink.await_line(1, "ready")
    eventually(lambda: running("sleep\x0086398"), "the daemon is there")
    executor.cancel(1, 1, "a person asked")
    assert desk.outcome().ending is Ending.CANCELLED
    assert not running("sleep\x0086398")


def test_F56_a_fork_bomb_is_ended(make: Make, desk: Desk) -> None:
    bomb = "grow() { [ $1 -gt 0 ] && { grow $(($1 - 1)) & grow $(($1 - 1)) & }; wait; sleep 86397; }; trap '' TERM; grow 6"
    make().start([shell(bomb, token="bomb", timeout_us=300_000, kill_grace_us=100_000)])
    assert desk.outcome().ending is Ending.TIMED_OUT
    assert marked("bomb") == []


def test_what_ignores_sigterm_is_killed_after_its_grace_and_not_before(
    make: Make, desk: Desk, sink: Remembered
) -> None:
    executor = make()
    executor.start(
        [shell("trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done", kill_grace_us=400_000)]
    )
    sink.await_line(1, "ready")
    before = time.monotonic()
    executor.cancel(1, 1, "a person asked")
    assert (desk.outcome().ending, desk.outcome().exit_code) == (Ending.CANCELLED, -9)
    assert time.monotonic() - before >= 0.4
    assert "asked" in sink.text(1)


def test_what_ends_on_sigterm_may_use_its_grace(make: Make, desk: Desk, sink: Remembered) -> None:
    executor = make()
    executor.start(
        [shell("trap 'sleep 0.2; echo tidied; exit 0' TERM; echo ready; while :; do sleep 0.02; done")]
    )
    sink.await_line(1, "ready")
    executor.cancel(1, 1, "shutdown")
    outcome = desk.outcome()
    assert (outcome.ending, outcome.reason, outcome.exit_code) == (Ending.CANCELLED, "shutdown", 0)
    assert sink.text(1)[-1] == "tidied"


def test_the_rest_of_the_group_keeps_its_grace_when_the_first_process_goes_at_once(
    make: Make, desk: Desk, sink: Remembered
) -> None:
    inner = 'trap "sleep 0.2; echo tidied; exit" TERM; echo ready; while :; do sleep 0.02; done'
    executor = make()
    executor.start([shell(f"sh -c '{inner}' & wait")])
    sink.await_line(1, "ready")
    executor.cancel(1, 1, "a person asked")
    assert desk.outcome().exit_code == -15
    assert sink.text(1)[-1] == "tidied"


def test_a_hard_cancel_kills_at_once(make: Make, desk: Desk, sink: Remembered) -> None:
    executor = make()
    executor.start(
        [shell("trap '' TERM; echo ready; sleep 86396", kill_grace_us=3_600_000_000, token="hard")]
    )
    sink.await_line(1, "ready")
    executor.cancel(1, 1, "a person asked")
    executor.cancel(1, 1, "a person asked", hard=True)
    assert desk.outcome().exit_code == -9
    assert marked("hard") == []


def test_F57_fifty_megabytes_without_a_newline_come_through_in_lines(
    make: Make, desk: Desk, sink: Remembered
) -> None:
    make().start([shell("head -c 50000000 /dev/zero | tr '\\0' x")])
    assert desk.outcome().ending is Ending.SUCCEEDED
    lines = sink.text(1)
    assert sum(map(len, lines)) == 50_000_000
    assert max(map(len, lines)) == 8192


def test_F57_binary_output_is_made_harmless(make: Make, desk: Desk, sink: Remembered) -> None:
    make().start(
        [shell(r"printf 'a\000b\377c\033[31mred\033[0m\033[2Jx\007\n\303'; printf '\244\r50%%\r\n' >&1")]
    )
    desk.outcome()
    assert sink.text(1) == ["a␀b\ufffdcred␛[2Jx␇", "ä", "50%"]


def test_F57_a_program_that_closes_its_output_is_not_taken_for_ended(make: Make, desk: Desk) -> None:
    make().start([shell("exec >&- 2>&-; sleep 0.2; exit 7")])
    assert desk.outcome().exit_code == 7


def test_F57_a_grandchild_that_keeps_the_pipe_open_does_not_hold_the_run(
    make: Make, desk: Desk, sink: Remembered, tmp_path: Path
) -> None:
    go, refused = tmp_path / "go", tmp_path / "refused"
    late = f"trap '' PIPE; while [ ! -e {go} ]; do sleep 0.02; done; echo too late || touch {refused}"
    make().start([shell(f"({late}) & echo in time; printf 'no newline'")])
    assert desk.outcome().ending is Ending.SUCCEEDED
    go.touch()
    eventually(refused.exists, "nobody reads what it writes after the end")
    assert sink.text(1) == ["in time", "no newline"]


def test_the_environment_is_clean_and_says_which_run_it_is(
    run: Run, sink: Remembered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_ENGINE", "canary")
    monkeypatch.setenv("WATCHBELL_DATABASE_URL", "canary")
    run("env", env={"MINE": "yes"})
    found = dict(line.split("=", 1) for line in sink.text(1))
    assert {name: value for name, value in found.items() if name.startswith("WATCHBELL_")} == {
        "WATCHBELL_RUN_KEY": "key-1",
        "WATCHBELL_RUN": "1",
        "WATCHBELL_JOB": "tidy",
        "WATCHBELL_SCHEDULE": "",
        "WATCHBELL_DUE_AT": "2026-11-21T08:00:00Z",
        "WATCHBELL_ATTEMPT": "1",
        "WATCHBELL_EPOCH": "1",
        "WATCHBELL_TOKEN": f"token-1-of-{os.getpid()}",
    }
    assert found["MINE"] == "yes"
    assert found["PATH"] == os.environ["PATH"]
    assert "SECRET_OF_THE_ENGINE" not in found
    run("env", inherit_env=True)
    assert "SECRET_OF_THE_ENGINE=canary" in sink.text(2)
    assert not [line for line in sink.text(2) if line.startswith("WATCHBELL_DATABASE_URL")]


def test_it_starts_in_its_folder_with_nothing_to_read_and_default_signals(
    run: Run, sink: Remembered, tmp_path: Path
) -> None:
    run(
        shell="pwd; cat; ulimit -n; grep SigIgn /proc/self/status; ls /proc/self/fd | wc -l",
        cwd=str(tmp_path),
    )
    folder, limit, ignored, descriptors = sink.text(1)
    assert folder == str(tmp_path)
    assert int(limit) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert int(ignored.split()[1], 16) == 0
    assert int(descriptors) == 4  # three, and the one that `ls` looks through


def test_arguments_reach_the_program_and_no_shell_ever_reads_them(
    make: Make, desk: Desk, sink: Remembered, tmp_path: Path
) -> None:
    evil = "; touch pwned; $(touch pwned) `touch pwned` {b} ' \" \n & touch pwned"
    args = {"a": evil, "b": 3, "deep-est": [1, None], "flag": True, "none": None}
    argv = ("printf", "%s|", "<{a}>", "{b}{b}", "{unknown}", "{ a }", "{}", "{flag}", "{none}")
    executor = make()
    executor.start(
        [
            assignment(1, args=args, command=CommandSpec(argv=argv, cwd=str(tmp_path))),
            assignment(
                2,
                args=args,
                command=CommandSpec(
                    shell='printf "%s|" "$WATCHBELL_ARG_A" $WATCHBELL_ARG_B "$WATCHBELL_ARG_DEEP_EST" {b}',
                    cwd=str(tmp_path),
                ),
            ),
        ]
    )
    desk.count(2)
    assert "\n".join(sink.text(1)) == f"<{evil}>|33|{{unknown}}|{{ a }}|{{}}|true||"
    assert "\n".join(sink.text(2)) == f"{evil}|3|[1, null]|{{b}}|"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_program_runs_as_another_user_with_its_groups_and_its_home(run: Run, sink: Remembered) -> None:
    nobody = pwd.getpwnam("nobody")
    run(shell="id -u; id -g; id -G; echo $HOME $USER", user="nobody")
    assert sink.text(1) == [
        str(nobody.pw_uid),
        str(nobody.pw_gid),
        " ".join(map(str, os.getgrouplist("nobody", nobody.pw_gid))),
        f"{nobody.pw_dir} nobody",
    ]
    run("sh", "-c", "echo $HOME", user=str(nobody.pw_uid), env={"HOME": "/mine"})
    assert sink.text(2) == ["/mine"]
    assert run("true", user="no-such-user").error == "There is no user 'no-such-user' on this machine."


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_process_of_another_user_dies_on_a_timeout_as_well(make: Make, desk: Desk) -> None:
    spec = CommandSpec(shell="setsid sleep 86394 & sleep 86394", user="nobody")
    make().start([assignment(command=spec, token="other-user", timeout_us=200_000, kill_grace_us=100_000)])
    assert desk.outcome().ending is Ending.TIMED_OUT
    assert marked("other-user") == []


def test_no_more_processes_than_slots_and_the_rest_can_be_withdrawn(
    make: Make, desk: Desk, sink: Remembered
) -> None:
    executor = make(2)
    executor.start([shell("echo ready; read x < /dev/zero; sleep 86393", n, kill_grace_us=0) for n in (1, 2)])
    for n in (1, 2):
        eventually(partial(sink.begins.get, n), "it has begun")
    executor.start([shell("true", n) for n in (3, 4, 5)])
    assert [executor.withdraw(n, 1) for n in (1, 2, 3, 4)] == [False, False, True, True]
    executor.cancel(1, 1, "a person asked")
    assert desk.outcome(5).ending is Ending.SUCCEEDED
    assert set(executor.in_progress()) == {(2, 1)}


def test_what_is_withdrawn_in_a_race_has_either_run_or_never_will(
    make: Make, desk: Desk, tmp_path: Path
) -> None:
    executor = make(8)
    withdrawn: set[int] = set()
    for start in range(0, 120, 20):
        executor.start(
            [
                assignment(n, command=CommandSpec(argv=("touch", str(tmp_path / str(n)))))
                for n in range(start, start + 20)
            ]
        )
        withdrawn |= {n for n in reversed(range(start, start + 20)) if executor.withdraw(n, 1)}
    desk.count(120 - len(withdrawn))
    ran = {int(path.name) for path in tmp_path.iterdir()}
    assert ran | withdrawn == set(range(120))
    assert not ran & withdrawn


def test_stop_ends_everything_and_leaves_no_process(make: Make, desk: Desk, sink: Remembered) -> None:
    executor = make(2)
    executor.start([shell("trap '' TERM; echo ready; sleep 86392", n, token="stopped") for n in (1, 2, 3)])
    for n in (1, 2):
        sink.await_line(n, "ready")
    assert executor._host._spawner is not None
    spawner = executor._host._spawner.pid
    executor.stop(100_000)
    assert (desk.outcome(1).ending, desk.outcome(1).reason) == (Ending.CANCELLED, "shutdown")
    assert desk.reports[3, 1].outcome is None
    assert marked("stopped") == []
    assert not Path(f"/proc/{spawner}").exists()


def running(command: str) -> bool:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cmdline").read_bytes().startswith(command.encode()):
                return True
        except OSError:
            continue
    return False
