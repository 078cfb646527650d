"""Where crontabs are on this machine: files, accounts, the system's folders, and the zone that cron reads them in."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..core.crontab import Crontab, read
from ..core.wallclock import zone_info
from ..errors import BadInput, NotFound, WatchbellError

__all__ = ["Account", "Accounts", "account", "local_zone", "of_file", "of_system", "of_user"]

MOST = 16_000_000
_CRON_D = re.compile(r"[A-Za-z0-9_-]+")
"""The files of /etc/cron.d that Debian's cron looks at: a dot in the name keeps one out."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose commands these are. `home` is None for a name that this machine does not know."""

    name: str
    home: str | None


Accounts = Callable[[str | None], Account]


def account(name: str | None = None) -> Account:
    """An account of this machine; None is the one who asks."""
    import pwd

    try:
        found = pwd.getpwuid(os.getuid()) if name is None else pwd.getpwnam(name)
    except KeyError:
        return Account(name or str(os.getuid()), None)
    return Account(found.pw_name, found.pw_dir)


def of_file(path: str, *, system: bool = False) -> Crontab:
    """The crontab in a file; "-" is the standard input. NotFound, BadInput for what is no text."""
    try:
        data = _bounded(sys.stdin.buffer) if path == "-" else _of_path(Path(path))
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}; `crontab -l` prints yours.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from error
    return read(_text(data, path), system=system, path="" if path == "-" else path)


def _of_path(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file)


def _bounded(file: BinaryIO) -> bytes:
    """All of it, unless it has no end (a device, a pipe that nobody closes in time)."""
    data = file.read(MOST + 1)
    if len(data) > MOST:
        raise BadInput(f"It has more than {MOST:,} bytes; a crontab is a few lines of text.")
    return data


def of_user(user: str | None) -> Crontab:
    """The crontab of an account, as `crontab -l` prints it; None is the one who asks. NotFound, BadInput."""
    command = ["crontab", "-l"]
    if user is not None and user != getpass.getuser():
        command[1:1] = ["-u", user]
    try:
        reply = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or "it gave no answer within 30 s"
        raise NotFound(
            f"`{' '.join(command)}` cannot be carried out here ({why}): name the file that holds the crontab."
        ) from error
    if reply.returncode != 0:
        said = reply.stderr.decode(errors="replace").strip().splitlines()
        raise NotFound(f"`{' '.join(command)}` gave no crontab: {said[0] if said else 'it said nothing'}.")
    return read(_text(reply.stdout, "the crontab"), path="")


def of_system(root: Path = Path("/etc")) -> Crontab:
    """/etc/crontab and the files of /etc/cron.d, as Debian's cron finds them. NotFound where there is none."""
    folder = root / "cron.d"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    files = [root / "crontab", *(folder / name for name in names if _CRON_D.fullmatch(name))]
    there = [path for path in files if path.is_file()]
    if not there:
        raise NotFound(f"There is neither {root / 'crontab'} nor a file in {folder}.")
    found = Crontab()
    for path in there:
        found += of_file(str(path), system=True)
    return found


def _text(data: bytes, path: str) -> str:
    try:
        text = data.decode("utf-8-sig")  # some editors put a mark before the first line
    except UnicodeDecodeError:
        raise BadInput(f"{path} is no UTF-8 text; watchbell keeps text only.") from None
    if "\0" in text:
        raise BadInput(f"{path} holds a zero byte; it is no crontab.")
    return text


def local_zone(root: Path = Path("/etc")) -> str | None:
    """The IANA name of the zone this machine's clock on the wall is in, in which cron reads its rules; None where the
    machine does not say it by name."""
    try:
        parts = (root / "localtime").resolve(strict=True).parts
    except OSError:
        parts = ()
    candidates = ["/".join(parts[parts.index("zoneinfo") + 1 :])] if "zoneinfo" in parts else []
    try:
        candidates.append((root / "timezone").read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        pass
    for name in candidates:
        try:
            zone_info(name)
        except WatchbellError:
            continue
        return "UTC" if name in ("Etc/UTC", "Etc/UCT", "UCT", "Universal", "Zulu") else name
    return None
