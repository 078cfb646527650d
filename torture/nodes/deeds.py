"""Carrying out the faults: each is begun, healed where it lasts, and written down."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from .. import sidelog
from ..processes import children_of, family_of, send
from . import posts
from .cluster import Cluster
from .faults import ANYBODY, UNASKED, Fault
from .field import Field
from .posts import Post, now_us

LEAVE_S = 40.0
"""So long an engine may take that was asked to end: its grace, and what a server that is away costs it."""
DELAY_S = 0.08
SHARED = ("refuse", "stall", "delay", "eat", "cut")
"""Every third of these faults of the network hits a caller as well."""


class Deeds:
    """Does what was planned to the field."""

    def __init__(self, field: Field, faults: tuple[Fault, ...], told: Callable[[int], None]) -> None:
        self._field = field
        self._faults = faults
        self._told = told
        self._stopped: dict[int, list[int]] = {}
        self.begun: list[tuple[int, int]] = []
        """(number, when) of every fault so far."""
        self.skipped = 0
        """Faults that found nobody there."""
        for fault in faults:
            field.at(fault.at_s, lambda fault=fault: self._begin(fault))  # type: ignore[misc]

    def _begin(self, fault: Fault) -> None:
        field = self._field
        self.begun.append((fault.number, now_us()))
        field.look()
        if fault.node == ANYBODY:
            field.note(f"{fault.number}: {fault}")
            self._server_goes(fault)
        else:
            post = field.posts[fault.node]
            field.note(f"{fault.number}: {fault} (process {post.pid})")
            deed = {"kill": self._kill, "stop": self._stop, "term": self._term, "terminate": self._terminate}
            if (not post.there and fault.kind in deed) or (post.leaving and fault.kind == "term"):
                self.skipped += 1
            else:
                deed.get(fault.kind, self._network)(fault, post)
        self._told(len(self.begun))

    # --- processes ------------------------------------------------------------------------------------------------

    def _kill(self, fault: Fault, post: Post) -> None:
        self._go_on(post)
        sidelog.say_kill(os.environ[sidelog.LOG_VARIABLE], post.pid, fault.number)
        spawners = [] if fault.variant == "alone" else children_of(post.pid)
        doomed = [*spawners, post.pid] if fault.variant == "spawner_first" else [post.pid, *spawners]
        for pid in doomed:
            send(pid, signal.SIGKILL)
        self._field.processes.wait_for(post.pid)
        posts.gone(post, self._field.now + fault.lasts_s)

    def _stop(self, fault: Fault, post: Post) -> None:
        pid = post.pid
        self._field.quiet.begins(post.number, "stop")
        send(pid, signal.SIGSTOP)
        rest = [] if fault.variant == "alone" else family_of(pid)[1:]
        for one in rest:
            send(one, signal.SIGSTOP)
        self._stopped[post.number] = [pid, *rest]
        self._field.at(fault.until_s, lambda: self._go_on(post))

    def _go_on(self, post: Post) -> None:
        for pid in self._stopped.pop(post.number, []):
            send(pid, signal.SIGCONT)
            self._field.note(f"process {pid} of node {post.number} goes on")
        self._field.quiet.ends(post.number, "stop")

    def _term(self, fault: Fault, post: Post) -> None:
        pid, post.leaving = post.pid, True
        send(pid, signal.SIGTERM)
        self._field.at(fault.at_s + LEAVE_S, lambda: self._still_there(post, pid))

    def _still_there(self, post: Post, pid: int) -> None:
        if post.pid == pid:
            text = f"engine {pid} of node {post.number} was asked to end and is there {LEAVE_S:g} s later; see {posts.log_of(post)}"
            self._field.say("exit", text, now_us())
            sidelog.say_kill(os.environ[sidelog.LOG_VARIABLE], pid, 0)
            self._field.processes.kill(pid)

    # --- the network ----------------------------------------------------------------------------------------------

    def _terminate(self, fault: Fault, post: Post) -> None:
        count = self._field.server.terminate(post.application)
        self._field.note(f"{fault.number}: {count} sessions of node {post.number} are terminated")

    def _network(self, fault: Fault, post: Post) -> None:
        shared = fault.kind in SHARED and fault.number % 3 == 0
        for one in (post, self._field.by_the_way) if shared else (post,):
            self._on(fault, one)
            if fault.lasts_s:
                self._field.at(fault.until_s, lambda one=one: self._off(fault, one))  # type: ignore[misc]

    def _on(self, fault: Fault, post: Post) -> None:
        asks = not fault.variant.endswith(UNASKED)
        if fault.kind in ("refuse", "stall") or not asks:
            self._field.quiet.begins(post.number, fault.kind)
        orders: dict[str, dict[str, object]] = {
            "stall": {"way": fault.variant},
            "delay": {"seconds": DELAY_S},
            "eat": {
                "how": fault.variant.removesuffix(UNASKED),
                "count": 1 + fault.number % 3,
                "then_refuse": not asks,
            },
        }
        post.order(do=fault.kind, **orders.get(fault.kind, {}))

    def _off(self, fault: Fault, post: Post) -> None:
        if fault.kind == "stall" and fault.number % 2:
            post.order(do="cut")
        post.order(do="pass")
        self._field.quiet.ends(post.number, fault.kind)

    # --- the server -----------------------------------------------------------------------------------------------

    def _server_goes(self, fault: Fault) -> None:
        server = self._field.server
        assert isinstance(server, Cluster)
        self._field.quiet.begins(ANYBODY, fault.kind)
        server.stop(hard=fault.kind == "crash")
        self._field.at(self._field.now + fault.lasts_s, lambda: self._server_comes(server, fault))

    def _server_comes(self, server: Cluster, fault: Fault) -> None:
        server.start()
        self._field.quiet.ends(ANYBODY, fault.kind)
        self._field.note(f"{fault.number}: the server is there again")
