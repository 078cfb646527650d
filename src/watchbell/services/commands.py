"""A command as somebody writes it down: checked here, kept as the JSON text of its job, carried out by an executor."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.definition import canonical
from ..errors import BadDeclaration

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, or a text for the shell; never both.

    `env` is all that it sees of an environment beside a plain PATH, unless `inherit_env`. `user` is the account it runs
    as, where watchbell runs as root. `success_codes` are the exit codes that count as success.
    """

    argv: tuple[str, ...] = ()
    shell: str | None = None
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    inherit_env: bool = False
    user: str | None = None
    success_codes: tuple[int, ...] = (0,)

    @property
    def lane(self) -> str:
        """The kind of executor that carries it out."""
        return "command"

    def to_text(self) -> str:
        """The JSON text that the job keeps; what has its default value is left out."""
        data: dict[str, Any] = {"shell": self.shell} if self.shell is not None else {"argv": list(self.argv)}
        if self.cwd is not None:
            data["cwd"] = self.cwd
        if self.env:
            data["env"] = dict(self.env)
        if self.inherit_env:
            data["inherit_env"] = True
        if self.user is not None:
            data["user"] = self.user
        if self.success_codes != (0,):
            data["success_codes"] = list(self.success_codes)
        return canonical(data)


def checked(command: Command) -> Command:
    """The command, once it can be meant. BadDeclaration says what is wrong and what to write."""
    if command.shell is not None and command.argv:
        raise BadDeclaration("A command is either --shell TEXT or the words behind --, not both.")
    if command.shell is None and not command.argv:
        raise BadDeclaration("There is no command: write it behind --, such as `-- sh -c 'date >> out'`.")
    if (command.shell is not None and not command.shell.strip()) or (command.argv and not command.argv[0]):
        raise BadDeclaration("The command is empty: write it behind --, such as `-- sh -c 'date >> out'`.")
    texts = [*command.argv, command.shell or "", command.cwd or "", *command.env.values()]
    if any("\0" in text for text in texts):
        raise BadDeclaration("A command cannot hold a zero byte; no program could be given it.")
    for name in command.env:
        if not _VARIABLE.fullmatch(name):
            raise BadDeclaration(f"{name!r} cannot name an environment variable; write --env NAME=value.")
    if command.cwd is not None:
        _check_folder(command.cwd)
    if command.user is not None:
        _check_user(command.user)
    if not command.success_codes or not all(0 <= code <= 255 for code in command.success_codes):
        raise BadDeclaration("Exit codes are numbers from 0 to 255; write --success-codes 0,3.")
    return command


def _check_folder(folder: str) -> None:
    path = Path(folder)
    if not path.is_absolute():
        raise BadDeclaration(
            f"The working folder {folder!r} must begin with /: a service has another one than you."
        )
    try:
        found = path.stat()
    except OSError as error:
        raise BadDeclaration(f"The working folder {folder} cannot be used: {error.strerror}.") from error
    if not stat.S_ISDIR(found.st_mode):
        raise BadDeclaration(f"{folder} is no folder; --cwd names the one that the command starts in.")


def _check_user(user: str) -> None:
    try:
        import pwd
    except ImportError as error:
        raise BadDeclaration("--user is not known on this system; leave it out.") from error
    try:
        pwd.getpwnam(user)
    except KeyError as error:
        raise BadDeclaration(f"There is no account {user!r} on this machine.") from error


def for_people(text: str | None) -> dict[str, Any] | None:
    """What a command job carries out, without the values of its environment: they may be secrets."""
    if text is None:
        return None
    data: dict[str, Any] = json.loads(text)
    if "http" in data:  # what a header says may be a secret as well
        asked: dict[str, Any] = data["http"]
        return asked | ({"headers": dict.fromkeys(asked["headers"], "***")} if "headers" in asked else {})
    if "env" in data:
        data["env"] = dict.fromkeys(data["env"], "***")
    return data
