"""`watchbell serve`, `exec`, `version`: what runs, and what it runs on."""

from __future__ import annotations

import click

from .. import _version
from ..errors import BadConfiguration, BadInput
from .kinds import SPAN
from .log import log_to_stderr
from .output import emit_json, say
from .setup import Read, Setup, Verb


@click.command(cls=Verb)
@click.option(
    "--app", "app_", metavar="MODULE:BELL", help="The application's own Watchbell, such as shop.jobs:bell."
)
@click.option("--for", "for_us", type=SPAN, metavar="SPAN", help="Stop by itself after this, such as 10m.")
@click.option(
    "--label", "labels", multiple=True, metavar="WORD", help="Mark this node, for what asks for it with --on."
)
@click.pass_obj
def serve(setup: Setup, app_: str | None, for_us: int | None, labels: tuple[str, ...]) -> None:
    """Run the engine until it is stopped (SIGTERM, Ctrl-C; a second one means at once).

    Where another engine runs on the same file, this one stands by and takes over within seconds of its end; on PostgreSQL
    all of them share the work.
    """
    if app_ is not None and setup.given is not None:
        raise BadInput("--app brings the database of its own Watchbell(url); leave --database out.")
    configuration = setup.configuration()
    log_to_stderr(configuration.log.level, configuration.log.format)
    if not configuration.engine.enabled:
        raise BadConfiguration(
            "No engine is started: engine.enabled is false; `watchbell config show` says where that is written."
        )
    from ..app import configured

    if app_ is None:
        configured.made(configuration, setup.url_for_writing(), labels).run(for_us=for_us)
        return
    from .loading import load

    configured.apply(configuration, load(app_), labels).run(for_us=for_us)


@click.command("exec", cls=Verb, context_settings={"allow_interspersed_args": False})
@click.option("--name", help="What its runs are called; else the name of the program.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD ARG…", required=True)
@click.pass_obj
def exec_(setup: Setup, name: str | None, command: tuple[str, ...]) -> int:
    """Carry out a command here and now, as a recorded run.

    Its output goes through and is kept as well; its own exit code is given back. Works whether or not an engine runs.
    """
    from ..app.recorded import exec_command

    setup.refuse_memory()
    return exec_command(setup.url_for_writing(), command, name)


@click.command(cls=Read)
@click.pass_obj
def version(setup: Setup) -> None:
    """The version of this watchbell."""
    import platform

    python = platform.python_version()
    if setup.json:
        emit_json({"version": _version.__version__, "python": python})
    else:
        say(f"watchbell {_version.__version__} (Python {python})")
