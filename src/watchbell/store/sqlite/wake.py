"""One byte from whoever has written to the engine that must act on it.

The engine listens on a datagram socket in the lock folder beside the database; every process that commits something
which may be due sends a byte there. Nothing depends on it: behind it the engine looks at SQLite's data version.
A path longer than the system allows for a socket is reached through a descriptor of its folder; where there are no
Unix sockets, a loopback port and a token in a file of the lock folder take their place.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path

_NAME = "wake"
_UNIX = hasattr(socket, "AF_UNIX")
_LONGEST = 100


def lock_folder(database: Path) -> Path:
    """The folder beside a database in which its processes meet."""
    return database.with_name(database.name + ".lock")


def poke(database: Path | None) -> None:
    """Wake the engine of this database, if one listens."""
    if database is None:
        return
    folder = lock_folder(database)
    with contextlib.suppress(OSError, ValueError):
        if _UNIX:
            _send_unix(folder)
        else:
            port, token = (folder / "wake.port").read_text(encoding="ascii").split()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(token.encode(), ("127.0.0.1", int(port)))


def _send_unix(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with _address(folder) as address:
            sender.sendto(b"!", address)


@contextlib.contextmanager
def _address(folder: Path):  # type: ignore[no-untyped-def]
    path = str(folder / _NAME)
    if len(path.encode()) < _LONGEST:
        yield path
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{_NAME}"
    finally:
        os.close(fd)


class Listener:
    """Calls `act` on its own thread whenever somebody pokes."""

    def __init__(self, database: Path, act: Callable[[], None]) -> None:
        self._folder = lock_folder(database)
        self._act = act
        self._token = b"!" if _UNIX else secrets.token_hex(8).encode()
        self._socket = self._bind()
        self._thread = threading.Thread(target=self._listen, name="watchbell-wake", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        poke(self._folder.with_name(self._folder.name.removesuffix(".lock")))
        self._socket.close()
        self._thread.join(1)

    def _bind(self) -> socket.socket:
        if _UNIX:
            with contextlib.suppress(OSError):
                os.unlink(self._folder / _NAME)
            found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            with _address(self._folder) as address:
                found.bind(address)
            os.chmod(self._folder / _NAME, 0o600)
            return found
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.bind(("127.0.0.1", 0))
        text = f"{found.getsockname()[1]} {self._token.decode()}"
        (self._folder / "wake.port").write_text(text, encoding="ascii")
        return found

    def _listen(self) -> None:
        while True:
            try:
                said = self._socket.recv(64)
            except OSError:
                return
            if not said:
                return
            if said == self._token:
                self._act()
