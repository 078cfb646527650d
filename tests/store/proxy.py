"""A way to a PostgreSQL server on which a COMMIT, or the reply to it, can be lost."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

from tests.postgres.urls import parts_of, url_of

COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
Loss = Callable[[socket.socket, bytes], None]


def after(server: socket.socket, message: bytes) -> None:
    """The server has committed, and its reply is lost."""
    server.sendall(message)
    seen = b""
    while COMMITTED not in seen:
        seen += server.recv(65536)


def before(server: socket.socket, message: bytes) -> None:
    """The COMMIT never reaches the server."""


class Proxy:
    """Passes on everything between its clients and the server of `url`, but for the next COMMIT if it is told to."""

    def __init__(self, url: str) -> None:
        self._parts = parts_of(url)
        self.lose: Loss | None = None
        self.shut = False
        """Whether nobody is let in any more."""
        self.refused = 0
        """How many were not."""
        self.asked = threading.Event()
        """Set when somebody has asked the server what became of a transaction."""
        self._door = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._live, daemon=True).start()

    @property
    def url(self) -> str:
        host, port = self._door.getsockname()[:2]
        return url_of({**self._parts, "host": host, "port": port, "sslmode": "disable"})

    def close(self) -> None:
        for end in (self._door, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _live(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                if self.shut:
                    self.refused += 1
                    client.close()
                    continue
                server = self._server()
                self._ends += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _server(self) -> socket.socket:
        host, port = self._parts.get("host", "127.0.0.1"), int(self._parts.get("port", "5432"))
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        link = socket.socket(socket.AF_UNIX)
        link.connect(f"{host}/.s.PGSQL.{port}")
        return link

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client, server:
            while True:
                for end in select.select([client, server], [], [])[0]:
                    message = end.recv(65536)
                    if not message:
                        return
                    if b"pg_xact_status" in message:
                        self.asked.set()
                    if end is client and self.lose is not None and b"COMMIT\x00" in message:
                        lose, self.lose = self.lose, None
                        client.shutdown(socket.SHUT_RDWR)
                        lose(server, message)
                        return
                    (server if end is client else client).sendall(message)
