"""A live HTTP server on this machine for the demo to watch: its health fails now and then, on purpose."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from ..errors import BadConfiguration

HOST = "127.0.0.1"
OF_EACH, ILL = 10, (6, 7)
"""Of every ten checks of its health the seventh and the eighth find it ill."""
PRICES = {"apples": 120, "bread": 390, "coffee": 1290, "dates": 540, "eggs": 310}


class Site:
    """The server, on a thread of its own. A context: it serves inside."""

    def __init__(self, port: int = 0) -> None:
        """Take `port` of the loopback address, or any free one for 0. BadConfiguration where it is taken."""
        self._checks = 0
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        try:
            self._server = ThreadingHTTPServer((HOST, port), _handler(self))
        except OSError as error:
            raise BadConfiguration(
                f"Port {port} of {HOST} cannot be used by the demo's web site ({error.strerror}): leave --port out for a "
                "free one, or name another."
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo-site", daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, key: str) -> tuple[int, dict[str, Any]]:
        """Status and body for a path; `key` is the request's Idempotency-Key."""
        if path == "/health":
            with self._lock:
                turn = self._checks % OF_EACH
                self._checks += 1
            return (503, {"status": "ill"}) if turn in ILL else (200, {"status": "well"})
        if path == "/prices":
            with self._lock:
                first = key not in self._refused
                self._refused.add(key)
            return (503, {"error": "busy, try again"}) if first else (200, PRICES)
        return 404, {"error": "there is /health and /prices"}


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, data = site.answer(self.path, self.headers.get("Idempotency-Key", ""))
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """The runs say what was answered; the terminal is not for it."""

    return Handler
