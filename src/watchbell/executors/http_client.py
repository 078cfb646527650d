"""One request with all that keeps it in bounds: where it may go, how long, how much, and how it is ended from outside.

No proxy of the environment is used, no cookie kept, and no redirect followed without judging where it leads.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore2

from ..core.addresses import refused_address, refused_name, refused_port
from ..core.http_request import check_url
from ..errors import BadDeclaration

CONNECT_S = 10.0
SILENCE_S = 60.0
BODY_LIMIT = 1 << 20
REDIRECTS = 3
_KEPT_ELSEWHERE = ("accept", "content-type", "user-agent", "idempotency-key", "accept-encoding")
_MOVED = (301, 302, 303, 307, 308)
Resolve = Callable[[str, int], Sequence[str]]


class Refused(Exception):
    """The request must not be made, or not be followed any further."""


class Ended(Exception):
    """The request was ended from outside."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: as much of its body as is kept; `cut` says that there was more."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    cut: bool


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


class Flight:
    """One request on its way: it can be ended from another thread at any moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.ended = False

    def hold(self, connected: socket.socket) -> None:
        """Know a connection of it. Ended if it was ended meanwhile."""
        copy = socket.socket(fileno=os.dup(connected.fileno()))  # TLS takes the first one over
        with self._lock:
            self._sockets.append(copy)
        if self.ended:
            self.end()
            raise Ended

    def end(self) -> None:
        """End it: whoever waits for its connection wakes up."""
        with self._lock:
            self.ended = True
            for one in self._sockets:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other side was quicker

    def close(self) -> None:
        """It is over."""
        with self._lock:
            for one in self._sockets:
                one.close()
            self._sockets.clear()


@dataclass(slots=True)
class Asked:
    """What is to be sent. `left_s` says how many seconds are left for the whole of it."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None = None
    allow_private: bool = False
    left_s: Callable[[], float] = lambda: SILENCE_S
    resolver: Resolve = resolve
    tls: ssl.SSLContext | None = None
    flight: Flight = field(default_factory=Flight)


class _Pinned(httpcore2.NetworkBackend):
    """Connects to an address that was judged, and to nothing else."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._plain = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Resolve once, judge every address, connect to the first that answers."""
        asked = self._asked
        why = refused_name(host, asked.allow_private) or refused_port(port, asked.allow_private)
        if why is not None:
            raise Refused(f"It was not sent, as {why}.")
        try:
            addresses = list(asked.resolver(host, port))
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host} has no address: {error}") from error
        for text in addresses:
            if (why := refused_address(text, asked.allow_private)) is not None:
                led = "" if text == host else f"{host} leads to {text}, and "
                raise Refused(f"It was not sent, as {led}{why}.{_hint(asked, text)}")
        return self._first(addresses, host, port, timeout)

    def _first(
        self, addresses: Sequence[str], host: str, port: int, timeout: float | None
    ) -> httpcore2.NetworkStream:
        failed: Exception = httpcore2.ConnectError(f"{host} has no address")
        for text in addresses:
            if self._asked.flight.ended:
                raise Ended
            try:
                stream = self._plain.connect_tcp(text, port, timeout=timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
                continue
            connected: socket.socket = stream.get_extra_info("socket")
            peer = connected.getpeername()[0]
            if (why := refused_address(peer, self._asked.allow_private)) is not None:
                stream.close()
                raise Refused(f"It was not sent, as {host} leads to {peer}: {why}.")
            self._asked.flight.hold(connected)
            return stream
        raise failed


def _hint(asked: Asked, text: str) -> str:
    if asked.allow_private or refused_address(text, True) is not None:
        return ""
    return " allow_private lets it reach the machines of one's own network."


def fetch(asked: Asked) -> Reply:
    """Send it and give back the answer, after at most three redirects. Raises Refused, Ended, and httpcore2's errors."""
    try:
        return _fetch(asked)
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError):
        if asked.flight.ended:
            raise Ended from None
        raise
    finally:
        asked.flight.close()


def _fetch(asked: Asked) -> Reply:
    method, url, headers, content = asked.method, asked.url, dict(asked.headers), asked.content
    for hop in range(REDIRECTS + 1):
        try:
            check_url(url)
        except BadDeclaration as error:
            raise Refused(f"It was sent no further: {error}") from error
        reply = _once(asked, (method, url, headers, content))
        target = reply.headers.get("location")
        if reply.status not in _MOVED or target is None:
            return reply
        if hop == REDIRECTS:
            raise Refused(f"It was redirected more than {REDIRECTS} times, at last to {target[:200]!r}.")
        following = _following(url, target)
        if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https":
            raise Refused(f"It was redirected from https to {following[:200]!r}, and sent no further.")
        if _origin(following) != _origin(url):
            headers = {name: value for name, value in headers.items() if name.lower() in _KEPT_ELSEWHERE}
        if reply.status == 303 or (reply.status in (301, 302) and method == "POST"):
            method, content = ("HEAD" if method == "HEAD" else "GET"), None
            headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        url = following
    raise AssertionError("the loop returns or raises")


def _following(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError as error:
        raise Refused(f"It was redirected to {target[:200]!r}, which is no address: {error}.") from error


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _once(asked: Asked, what: tuple[str, str, dict[str, str], bytes | None]) -> Reply:
    method, url, headers, content = what
    pool = httpcore2.ConnectionPool(
        ssl_context=asked.tls or ssl.create_default_context(),
        max_connections=1,
        network_backend=_Pinned(asked),
    )
    left = max(0.001, asked.left_s())
    limits = {"connect": min(CONNECT_S, left), "read": left, "write": left, "pool": left}
    with (
        pool,
        pool.stream(
            method,
            url.partition("#")[0],
            headers=list(headers.items()),
            content=content,
            extensions={"timeout": limits},
        ) as response,
    ):
        names = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in response.headers}
        if response.status in _MOVED and "location" in names:
            return Reply(response.status, url, names, b"", False)
        body, cut = _body(response.iter_stream(), names.get("content-encoding", ""), asked)
        return Reply(response.status, url, names, body, cut)


def _body(pieces: Iterable[bytes], coding: str, asked: Asked) -> tuple[bytes, bool]:
    """As much of the body as is kept, unpacked; a small packed one may be endless when it is unpacked."""
    coded = coding.strip().lower()
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if coded in ("gzip", "x-gzip", "deflate") else None
    found, read = bytearray(), 0
    for piece in pieces:
        if asked.flight.ended:
            raise Ended
        read += len(piece)
        try:
            found += piece if unpack is None else unpack.decompress(piece, BODY_LIMIT + 1 - len(found))
        except zlib.error as error:
            raise httpcore2.RemoteProtocolError(f"what was said to be {coded} is not") from error
        if len(found) > BODY_LIMIT or read > BODY_LIMIT:
            return bytes(found[:BODY_LIMIT]), True
    if asked.flight.ended:  # a body that lasts until the connection ends looks whole
        raise Ended
    return bytes(found), False
