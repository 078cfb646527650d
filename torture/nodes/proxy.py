"""A small TCP proxy between one node and the server, in a process of its own, so that a fault of the network hits that node
and no other. What it does is said to it in lines of JSON through a pipe; what it has done it writes into a log.

`cut` breaks every connection once; `refuse` breaks those that come as well, until `pass`. `stall` leaves connections open and
passes nothing on: `both` ways, or only `up` (to the server) or `down`; `pass` lets what has waited go on. `delay` keeps every
piece for a while. `eat` takes the reply of so many commits: see `Eaten`; and where it says `then_refuse`, nothing can be asked
about the first of them until `pass`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

from tests.postgres.keeper import die_with_the_parent

from .wire import Kind, Upward

LATE_S = 1.5
_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


class Eaten(StrEnum):
    """How the reply to a COMMIT gets lost."""

    AFTER = "after"
    """The commit is carried out, and the connection is cut when its reply comes."""
    BEFORE = "before"
    """The connection is cut, and the COMMIT has never reached the server."""
    RACE = "race"
    """The COMMIT is passed on and the connection is cut at once: it may happen or not."""
    LATE = "late"
    """The client's side is cut, and the COMMIT reaches the server a while later."""


class Proxy:
    """One listening socket and everything that goes through it."""

    def __init__(self, listening: socket.socket, server: tuple[str, int] | str, log: Path) -> None:
        self._listening = listening
        self._server = server
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._links: set[Link] = set()
        self._refuses = False
        self.delay_s = 0.0
        self.to_eat = 0
        self.eaten = Eaten.AFTER
        self._then_refuses = False
        self.up = asyncio.Event()
        self.down = asyncio.Event()

    async def run(self, orders: int) -> None:
        """Until the pipe of orders is closed."""
        self._pass()
        over = asyncio.Event()
        asyncio.get_running_loop().add_reader(orders, self._ordered, orders, over)
        server = await asyncio.start_server(self._accept, sock=self._listening)
        await over.wait()
        server.close()
        self._cut()

    def _ordered(self, orders: int, over: asyncio.Event) -> None:
        data = os.read(orders, _CHUNK)
        if not data:
            over.set()
        for line in data.splitlines():  # an order is one short write to a pipe, and never torn
            order = json.loads(line)
            self.note(f"ordered {order}")
            self._obey(order)

    def _obey(self, order: dict[str, object]) -> None:
        what = order["do"]
        if what == "pass":
            self._pass()
        elif what == "cut":
            self._cut()
        elif what == "refuse":
            self._refuses = True
            self._cut()
        elif what == "stall":
            for way, gate in (("up", self.up), ("down", self.down)):
                if order["way"] in (way, "both"):
                    gate.clear()
        elif what == "delay":
            self.delay_s = float(str(order["seconds"]))
        elif what == "eat":
            self.to_eat, self.eaten = int(str(order["count"])), Eaten(str(order["how"]))
            self._then_refuses = bool(order.get("then_refuse"))

    def _pass(self) -> None:
        self._refuses, self.delay_s, self.to_eat, self._then_refuses = False, 0.0, 0, False
        self.up.set()
        self.down.set()

    def _cut(self) -> None:
        for link in list(self._links):
            link.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Side(reader, writer)
        if self._refuses:
            client.reset()
            return
        try:
            if isinstance(self._server, str):
                server = Side(*await asyncio.open_unix_connection(self._server))
            else:
                server = Side(*await asyncio.open_connection(*self._server))
        except OSError:
            client.reset()
            return
        link = Link(self, client, server)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)

    def has_eaten(self, text: str) -> None:
        """A reply is lost."""
        self.note(f"eaten {text}")
        if self._then_refuses:
            self._refuses = True
            self._cut()

    def note(self, text: str) -> None:
        """Write down what was done."""
        line = f"{time.time_ns() // 1000} {text}\n"
        os.write(self._log, line.encode())


class Side:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> bytes:
        """What has come; nothing once it has ended."""
        return await self.reader.read(_CHUNK)

    async def write(self, data: bytes) -> None:
        """Pass on, as fast as the other end takes it."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End it, with RST where it is a TCP connection."""
        found = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: Side, server: Side) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._eating: asyncio.Future[bytes] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Pass both ways until one side ends."""
        self._tasks = [asyncio.create_task(self._go(way)) for way in (self._upward, self._downward)]
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self.cut()

    def cut(self) -> None:
        """Both sides are gone."""
        for task in self._tasks:
            task.cancel()
        self._client.reset()
        self._server.reset()

    @staticmethod
    async def _go(way: Callable[[], Awaitable[None]]) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await way()

    async def _upward(self) -> None:
        messages, proxy = Upward(), self._proxy
        while data := await self._client.read():
            for piece, kind in messages.feed(data):
                await proxy.up.wait()
                if proxy.delay_s:
                    await asyncio.sleep(proxy.delay_s)
                if kind is Kind.COMMIT and proxy.to_eat > 0:
                    proxy.to_eat -= 1
                    await self._eat(piece, proxy.eaten)
                    return
                await self._server.write(piece)

    async def _downward(self) -> None:
        proxy = self._proxy
        while data := await self._server.read():
            if self._eating is not None:
                if not self._eating.done():
                    self._eating.set_result(data)
                continue
            await proxy.down.wait()
            if proxy.delay_s:
                await asyncio.sleep(proxy.delay_s)
            await self._client.write(data)
        if self._eating is not None and not self._eating.done():
            self._eating.set_result(b"")

    async def _eat(self, commit: bytes, how: Eaten) -> None:
        """Let the reply to this COMMIT be lost."""
        if how is Eaten.BEFORE:
            self._proxy.has_eaten(f"{how}: it has not reached the server")
            return
        self._eating = asyncio.get_running_loop().create_future()
        if how is Eaten.LATE:
            self._client.reset()
            await asyncio.sleep(LATE_S)
        await self._server.write(commit)
        if how is Eaten.RACE:
            self._proxy.has_eaten(f"{how}: nobody knows")
            return
        reply = await self._eating
        said = "it was carried out" if b"COMMIT\0" in reply else f"the server said {reply[:60]!r}"
        self._proxy.has_eaten(f"{how}: {said}")


def serve(listening: socket.socket, server: tuple[str, int] | str, log: Path, orders: int) -> None:
    """What the proxy's process does."""
    die_with_the_parent(signal.SIGKILL)
    asyncio.run(_serve(listening, server, log, orders))


async def _serve(listening: socket.socket, server: tuple[str, int] | str, log: Path, orders: int) -> None:
    await Proxy(listening, server, log).run(orders)
