"""`watchbell`: the root of the command line, and the one place where an error becomes a sentence and an exit code.

Exit codes: 0 done; 1 failed, or the audit found something; 2 wrong usage; 3 `status`, `nodes`: no engine is running; 5 not found;
6 conflict; 8 waited too long; 9 `--wait`: the run failed; 69 the database cannot be used; 74 its disk
fails; 78 wrong configuration;
130 interrupted; 141 nobody reads the output any more. `exec` gives the command's own.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from ..errors import BadInput, WatchbellError
from .lazy import Group
from .output import clean
from .setup import Setup

INTERRUPTED = 130
NOBODY_READS = 141
USAGE = 2

_CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

_QUOTED = re.compile(r"(?<!\w)'[^']*'")
_SHOWN = 80
_HERE = "watchbell.cli"
TABLE = {
    "serve": (f"{_HERE}.service:serve", "Run the engine until it is stopped."),
    "demo": (f"{_HERE}.demo:demo", "Watch the real service do real work on this machine."),
    "status": (f"{_HERE}.status:status", "Is an engine running, what is due, what is overdue and why."),
    "nodes": (f"{_HERE}.nodes:nodes", "Who acts on the database: state, slots, labels, clock."),
    "schedule": (
        f"{_HERE}.schedule:schedule",
        "Add, list, show, pause, resume, remove (rm); preview what is due.",
    ),
    "run": (f"{_HERE}.run:run", "Run something now; list, show and cancel runs; `run logs --follow`."),
    "exec": (f"{_HERE}.service:exec_", "Carry out a command as a recorded run."),
    "backfill": (f"{_HERE}.backfill:backfill", "Reopen what never ran, oldest first; says how many first."),
    "explain": (f"{_HERE}.account:explain", "Why a schedule ran, or did not run, at an instant."),
    "audit": (f"{_HERE}.account:audit", "Recompute what was due and compare it with the ledger."),
    "import": (f"{_HERE}.import_:import_", "Take over a crontab, as one batch that can be undone."),
    "export": (f"{_HERE}.export:export", "Write schedules as a crontab."),
    "retention": (f"{_HERE}.retention:retention", "What is old enough to go; let it go now."),
    "clock": (
        f"{_HERE}.clock:clock",
        "What the clock has done, and whether it is believed; confirm, repair.",
    ),
    "alert": (f"{_HERE}.alert:alert", "Whom to tell about what, and what was told."),
    "backup": (f"{_HERE}.database:backup", "Copy the database while it is in use."),
    "restore": (f"{_HERE}.database:restore", "Put a backup in the database's place; nothing runs twice."),
    "database": (
        f"{_HERE}.database:database",
        "Its schema (migrate), and whether its file is sound (check).",
    ),
    "doctor": (f"{_HERE}.doctor:doctor", "Is everything in order here; what to do where it is not."),
    "config": (f"{_HERE}.config:config", "The configuration of this process: init, show, check."),
    "version": (f"{_HERE}.service:version", "The version of this watchbell."),
}


class Root(Group):
    """The root command. Its `main` never shows a traceback for a user's mistake."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **more: Any) -> NoReturn:
        """Carry out one call and leave with its exit code."""
        sys.exit(run(self, args, more.get("obj")))


@click.command(
    "watchbell",
    cls=Root,
    table=TABLE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.option("--database", metavar="URL|PATH", help="The database to use.")
@click.option("--json", "as_json", is_flag=True, help="Answer reads as one JSON object.")
@click.pass_context
def root(ctx: click.Context, database: str | None, as_json: bool) -> None:
    """A job scheduler that accounts for every due occurrence: it ran, or the ledger says why not.

    The database is the one of --database, else of $WATCHBELL_DATABASE_URL, else ./watchbell.db if it is there, else the
    user's own.
    """
    if ctx.obj is None:
        ctx.obj = Setup()
    ctx.obj.given = database if database is not None else ctx.obj.given
    ctx.obj.json = as_json or ctx.obj.json


def main() -> NoReturn:
    """The console script."""
    root.main()


def run(command: click.Command, args: Sequence[str] | None, setup: Setup | None = None) -> int:
    """Carry out one call; the exit code. Everything that goes wrong leaves here as one sentence."""
    _put_something_in_place_of_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an ASCII terminal shows \u2026, and no traceback
    try:
        words = list(sys.argv[1:] if args is None else args)
        _refuse_undecodable(words)
        with command.make_context("watchbell", words, obj=setup) as ctx:
            answer = command.invoke(ctx)
        sys.stdout.flush()
        return answer if isinstance(answer, int) else 0
    except click.exceptions.Exit as error:
        return _flushed(error.exit_code)
    except (KeyboardInterrupt, click.Abort, EOFError):
        return _complain("interrupted", INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _complain(_usage(error), error.exit_code)
    except WatchbellError as error:
        return _complain(str(error), error.exit_code)
    except OSError as error:
        if error.errno == errno.EPIPE:
            return _nobody_reads()
        if error.errno in _CANNOT_BE_WRITTEN:
            return _unwritten(error)
        return _unexpected(error)
    except RecursionError:
        return _complain("An argument is nested too deeply; write it with fewer brackets.", USAGE)
    except Exception as error:
        return _unexpected(error)


def _put_something_in_place_of_closed_streams() -> None:
    """Called with `>&-`, a stream is None and the next file that is opened would get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            made = open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: SIM115  for good
            setattr(sys, name, made)


def _refuse_undecodable(words: Sequence[str]) -> None:
    """Bytes that are no text can neither be stored nor shown."""
    for word in words:
        if not word.isascii() and any("\ud800" <= character <= "\udfff" for character in word):
            raise BadInput(f"{word!a} is no UTF-8 text; watchbell keeps text only.")


def _usage(error: click.ClickException) -> str:
    text = error.format_message()
    text = text if text.endswith((".", "?", "`")) else f"{text}."
    if (
        isinstance(error, click.NoSuchOption)
        and error.ctx is not None
        and error.ctx.info_name in ("add", "exec")
    ):
        text += " A command and its own options stand behind `--`."
    if isinstance(error, click.UsageError) and error.ctx is not None and "has no command" not in text:
        text += f" See `{error.ctx.command_path} --help`."
    return text


def _complain(sentence: str, code: int) -> int:
    try:
        click.echo(f"watchbell: {clean(_QUOTED.sub(_short, sentence))}", err=True)
    except OSError:  # nobody reads the errors either
        pass
    return _flushed(code)


def _short(quoted: re.Match[str]) -> str:
    """What a person wrote, as a sentence shows it: control characters escaped, and no longer than a line."""
    text = quoted[0]
    shown = text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…'"


def _unexpected(error: Exception) -> int:
    if os.environ.get("WATCHBELL_DEBUG"):
        import traceback

        traceback.print_exception(error)
        return 1
    text = str(error).strip().splitlines()
    detail = f": {text[0]}" if text else ""
    return _complain(
        f"something went wrong that should not have ({type(error).__name__}{detail}); "
        "WATCHBELL_DEBUG=1 shows where.",
        1,
    )


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except OSError as error:
        return _nobody_reads() if error.errno == errno.EPIPE else _unwritten(error)
    return code


def _unwritten(error: OSError) -> int:
    """The answer found no room: a full disk, mostly."""
    _nobody_reads()
    return _complain(f"The answer could not be written ({error.strerror or error}).", 1)


def _nobody_reads() -> int:
    """Leave quietly; what is still in the buffer must not raise once more at the end of the process."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    return NOBODY_READS
