"""One database, many engines, and a time in which faults are done to them. All forks from here, so there is no thread here."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg

from watchbell.store.open import open_store

from .. import sidelog
from ..history import Life, Violation
from ..jobs import build, log_of
from ..plan import Plan
from ..processes import Processes, send
from ..setting import set_up
from . import posts
from .cluster import Server, through
from .code import ORDERS, AnotherCaller
from .posts import Post, now_us
from .quiet import Quiet

TURN_S = 0.01
NEWER_FROM = 0.35
"""After this share of the time, engines start with the newer code more often than not."""
EXCUSED_US = 20_000_000
AGAIN_S = 0.5
READY_S = 60.0


class Field:
    """The engines, the callers, and the course of time."""

    def __init__(self, plan: Plan, server: Server, folder: Path, processes: Processes, nodes: int) -> None:
        self.plan = plan
        self.server = server
        self.folder = folder
        self.processes = processes
        self.database = server.create()
        self.quiet = Quiet()
        self.violations: list[Violation] = []
        self._said = (folder / "faults.log").open("w", encoding="utf-8", buffering=1)
        self._drawn = random.Random(f"field {plan.seed}")
        self._began = time.monotonic()
        self._newer_from = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._callers: list[int] = []
        os.environ[sidelog.LOG_VARIABLE] = str(log_of(folder))
        os.environ["WATCHBELL_STATE_FOLDER"] = str(folder / "state")
        build("sqlite://", plan)  # everything is imported before the first fork, and not again in each
        if self.processes.wait_for(self.processes.fork(self._set_up)) != 0:
            raise RuntimeError(f"the database could not be set up: see {folder / 'errors.log'}")
        made = [posts.make(n, server, self.database, processes, folder) for n in range(nodes + 1)]
        self.posts, self._by_the_way = made[:-1], made[-1]

    # --- the course of time ---------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do that then."""
        heapq.heappush(self._events, (when, next(self._order), act))

    def live(self, seconds: float) -> None:
        """Every engine begins, and everything happens that was planned."""
        for post in self.posts:
            self._start(post)
        self._wait_until_all_act()
        self._began, self._newer_from = time.monotonic(), seconds * NEWER_FROM
        direct = through(self.database, None, "torture-caller")
        self._callers = [self._start_caller(n, url) for n, url in enumerate((direct, self._by_the_way.url))]
        while self.now < seconds or self._events:
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            self.look()
            time.sleep(TURN_S)

    def _wait_until_all_act(self) -> None:
        end = time.monotonic() + READY_S
        while not all(posts.acts(post, self.folder) for post in self.posts):
            if time.monotonic() > end:
                raise RuntimeError(
                    f"not every engine acts after {READY_S:g} s: see {self.folder}/engine-*.log"
                )
            time.sleep(0.05)
        self.note("every engine acts")

    def look(self) -> None:
        """See who has ended, and start who is to come."""
        self.processes.reap()
        for post in self.posts:
            if post.there and post.pid in self.processes.ended:
                self._has_ended(post, self.processes.ended[post.pid])
            if not post.there and post.next_at is not None and post.next_at <= self.now:
                self._start(post)

    def _start(self, post: Post) -> None:
        newer = self.now > self._newer_from > 0 and self._drawn.random() < 0.6
        posts.start(post, self.plan, newer, self.processes, self.folder)
        self.note(f"engine {post.pid} begins at node {post.number}{' with the newer code' if newer else ''}")

    def _has_ended(self, post: Post, code: int) -> None:
        self.note(f"engine {post.pid} of node {post.number} has ended with code {code}")
        log = f"see {posts.log_of(post)}"
        if not post.leaving:
            text = f"engine {post.pid} of node {post.number} ended by itself with code {code}; {log}"
            self.say("engine", text, now_us())
        elif code != 0 and not self.quiet.lately(post.number, EXCUSED_US):
            text = (
                f"engine {post.pid} of node {post.number} was asked to end and left with code {code}; {log}"
            )
            self.say("exit", text, now_us())
        posts.gone(post, self.now + AGAIN_S)

    # --- who is there ---------------------------------------------------------------------------------------------

    @property
    def lives(self) -> list[Life]:
        """Every process of an engine."""
        return [life for post in self.posts for life in post.lives]

    def say(self, rule: str, sentence: str, at: int | None = None) -> None:
        """A violation that only this side can see."""
        self.violations.append(Violation(rule, sentence, at))
        self.note(f"VIOLATION {rule}: {sentence}")

    def note(self, text: str) -> None:
        """A line for whoever looks at it later."""
        self._said.write(f"{time.strftime('%H:%M:%S')} {now_us()} {self.now:7.2f} {text}\n")

    def end_callers(self) -> None:
        """Let the callers finish what they are at."""
        for number, pid in enumerate(self._callers):
            send(pid, signal.SIGTERM)
            if (code := self.processes.wait_for(pid, 90.0)) != 0:
                text = f"caller {number} was asked to end and left with code {code}; see errors.log"
                self.say("caller", text, now_us())

    def end_engines(self) -> None:
        """Every engine is asked to end, and does."""
        there = [post for post in self.posts if post.there]
        for post in there:
            send(post.pid, signal.SIGTERM)
        for post in there:
            if (code := self.processes.wait_for(post.pid)) != 0:
                text = (
                    f"the last engine of node {post.number} was asked to end and left with code {code}, not 0"
                )
                self.say("exit", text, now_us())
                self.processes.kill(post.pid)
            posts.gone(post, None)

    def clear(self) -> None:
        """Nothing that was started here goes on."""
        engines = [post.pid for post in self.posts if post.there]
        proxies = [post.proxy for post in (*self.posts, self._by_the_way)]
        for pid in (*engines, *self._callers, *proxies):
            if pid not in self.processes.ended:
                send(pid, signal.SIGKILL)
                self.processes.wait_for(pid)
        self._said.close()

    def _start_caller(self, number: int, url: str) -> int:
        promises = self.folder / "promises.jsonl"
        return self.processes.fork(
            lambda: AnotherCaller(self.plan, url, promises, number).run(), f"caller-{number}.log"
        )

    def _set_up(self) -> None:
        store = open_store(self.database, now_us())
        set_up(store, self.plan, log_of(self.folder))
        store.close()
        with closing(psycopg.connect(self.database, autocommit=True)) as conn:
            conn.execute(ORDERS)

    @property
    def by_the_way(self) -> Post:
        """The proxy of the caller that meets faults as well."""
        return self._by_the_way
