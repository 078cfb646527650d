"""HTTP requests, each on a thread of a pool; ending one ends its connection, so that a slow server holds nobody."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import httpcore2

from .. import _version
from ..clock import Clock
from ..core import http_request
from ..core.http_request import HttpRequest
from ..core.outcome import Ending, Outcome
from ..core.retry_after import retry_after_us
from ..errors import BadDeclaration
from .account import failed
from .base import Assignment, Report, Sink
from .context import current_run
from .holding import Live, after_asking, asked_to_end
from .http_client import Asked, Ended, Flight, Refused, Reply, Resolve, fetch, resolve
from .thread import ThreadExecutor

WHOLE_US = 60_000_000
"""A request that has no timeout of its own has this one."""
KEPT = 4096


class HttpExecutor(ThreadExecutor):
    """The lane `http`. What is not begun waits; a cancel and a timeout end the request itself."""

    lane = "http"

    def __init__(
        self,
        clock: Clock,
        sink: Sink,
        report: Callable[[Sequence[Report]], None],
        slots: int = 32,
        resolver: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(clock, sink, report, slots)
        self._resolver = resolver
        self._tls = tls
        self._flights: dict[tuple[int, int], Flight] = {}

    def _call(self, live: Live) -> Report:
        """The request, from its thread."""
        flight = self._flights[live.key] = Flight()
        current_run.set(live.run)
        try:
            if live.asked is not None:
                flight.end()
            outcome = self._carried_out(live, flight)
        except Ended:
            live.run._noticed = True
            outcome = asked_to_end(live, self._clock.wall_us())
        except Exception as error:
            outcome = failed(error, live.began_at, self._clock.wall_us())
        finally:
            self._flights.pop(live.key, None)
        return Report(*live.key, after_asking(live, outcome) if outcome.ending is not live.asked else outcome)

    def _pursue(self, live: Live, grace_us: int) -> None:
        """End the connection. Only a name that is just being resolved cannot be ended: that is given up."""
        flight = self._flights.get(live.key)
        if flight is not None:
            flight.end()
        self._watch.after(max(grace_us, WHOLE_US // 60), lambda: self._give_up(live))

    def _carried_out(self, live: Live, flight: Flight) -> Outcome:
        assignment = live.assignment
        try:
            request = http_request.checked(HttpRequest(**(assignment.http or {"url": ""})))
            asked = self._asked(assignment, request, flight)
            reply = fetch(asked)
        except (Refused, BadDeclaration) as error:
            return self._failed(live, str(error), ("RequestRefused",))
        except httpcore2.TimeoutException:
            return self._failed(live, "It did not answer in time.", ("HTTPTimeout", "TimeoutError"))
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            said = " ".join(str(error).split())[:300]
            text = f"It could not be talked to: {type(error).__name__}{f': {said}' if said else ''}."
            return self._failed(live, text, ("HTTPConnection", "ConnectionError"))
        return self._judged(live, request, reply)

    def _asked(self, assignment: Assignment, request: HttpRequest, flight: Flight) -> Asked:
        content = http_request.content(request, assignment.args)
        headers = {
            "User-Agent": f"watchbell/{_version.__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **({"Content-Type": "application/json"} if content is not None else {}),
            **request.headers,
            "Idempotency-Key": assignment.run_key,
        }
        until = self._clock.mono_ns() + (assignment.timeout_us or WHOLE_US) * 1000
        return Asked(
            method=request.method,
            url=http_request.address(request, assignment.args),
            headers=_without_doubles(headers),
            content=content,
            allow_private=request.allow_private,
            left_s=lambda: (until - self._clock.mono_ns()) / 1e9,
            resolver=self._resolver,
            tls=self._tls,
            flight=flight,
        )

    def _judged(self, live: Live, request: HttpRequest, reply: Reply) -> Outcome:
        now = self._clock.wall_us()
        complaint = http_request.complaint(request, reply.status, reply.body)
        note = "Its answer was longer than 1 MiB; the rest was not read." if reply.cut else None
        kept: dict[str, Any] = {
            "status": reply.status,
            "bytes": len(reply.body),
            "url": reply.url[:2000],
            "body": reply.body[:KEPT].decode("utf-8", "replace"),
        }
        result = json.dumps(kept, ensure_ascii=False)
        if complaint is None:
            return Outcome(Ending.SUCCEEDED, live.began_at, now, result=result, note=note)
        kinds = (f"HTTP{reply.status}", f"HTTP{reply.status // 100}xx", "HTTPAnswer", "Exception")
        return Outcome(
            Ending.FAILED,
            live.began_at,
            now,
            result=result,
            error=complaint,
            error_type=kinds,
            note=note,
            retry_after_us=retry_after_us(reply.headers) if reply.status >= 400 else None,
        )

    def _failed(self, live: Live, error: str, kinds: tuple[str, ...]) -> Outcome:
        return Outcome(
            Ending.FAILED, live.began_at, self._clock.wall_us(), error=error, error_type=(*kinds, "Exception")
        )


def _without_doubles(headers: dict[str, str]) -> dict[str, str]:
    """Of two headers that differ in case only, the later one: that is the request's own."""
    found = {name.lower(): (name, value) for name, value in headers.items()}
    return dict(found.values())
