"""A socket that carries JSON lines, for a thread that must never wait for the other end."""

from __future__ import annotations

import array
import json
import selectors
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

LONGEST_LINE = 4 * 1024 * 1024


class Link:
    """One end, registered with a selector whose data is a callable. `on_message` gets each object, `on_end` is called
    once when the other end is gone or says what is not JSON."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        sock: socket.socket,
        on_message: Callable[[dict[str, Any]], None],
        on_end: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._selector = selector
        self._sock = sock
        self._on_message = on_message
        self._on_end = on_end
        self._in = b""
        self._out: deque[tuple[bytes, tuple[int, ...], Callable[[], None]]] = deque()
        self._wanted = selectors.EVENT_READ
        self.open = True
        selector.register(sock, selectors.EVENT_READ, self._ready)

    def send(
        self, message: dict[str, Any], fds: tuple[int, ...] = (), sent: Callable[[], None] = lambda: None
    ) -> None:
        """Send it now or as soon as there is room. `sent` is called when the descriptors have left, or never will."""
        if not self.open:
            sent()
            return
        self._out.append((json.dumps(message).encode() + b"\n", fds, sent))
        self._write()

    def drain(self) -> None:
        """Read what has arrived by now."""
        while self.open and self._read():
            pass

    def close(self) -> None:
        """Close this end. `on_end` is not called."""
        if not self.open:
            return
        self.open = False
        self._selector.unregister(self._sock)
        self._sock.close()
        for _, _, sent in self._out:
            sent()
        self._out.clear()

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._write()
        if self.open and events & selectors.EVENT_READ:
            self._read()

    def _write(self) -> None:
        while self._out:
            data, fds, sent = self._out[0]
            try:
                beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                count = self._sock.sendmsg([data], beside)
            except BlockingIOError:
                break
            except OSError:
                self._end()
                return
            if fds:
                sent()
            if count == len(data):
                self._out.popleft()
                if not fds:
                    sent()
            else:
                self._out[0] = (data[count:], (), lambda: None)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        if wanted != self._wanted:
            self._wanted = wanted
            self._selector.modify(self._sock, wanted, self._ready)

    def _read(self) -> bool:
        """Read once; False if there was nothing, or nothing will ever be."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        *lines, self._in = (self._in + data).split(b"\n")
        try:
            for line in lines:
                self._on_message(json.loads(line))
        except ValueError:
            data = b""
        if not data or len(self._in) > LONGEST_LINE:
            self._end()
            return False
        return True

    def _end(self) -> None:
        if self.open:
            self.close()
            self._on_end()
