"""The posts of the nodes: at each an engine stands behind a proxy of its own; when it has gone, another one comes."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

from ..history import Life, Silence
from ..plan import Plan
from ..processes import Processes
from .cluster import Server, through
from .code import engine
from .proxy import serve


@dataclass(slots=True)
class Post:
    """One node's place. `next_at` is when the next engine is to be started there, in the seconds of the field."""

    number: int
    url: str
    orders: int
    proxy: int
    pid: int = 0
    engines: int = 0
    next_at: float | None = None
    leaving: bool = False
    lives: list[Life] = field(default_factory=list)

    @property
    def application(self) -> str:
        """The name under which the server knows its sessions."""
        return application(self.number)

    @property
    def there(self) -> bool:
        """Whether an engine is there that nobody has killed."""
        return self.pid != 0

    def order(self, **order: object) -> None:
        """Tell the proxy what to do."""
        os.write(self.orders, (json.dumps(order) + "\n").encode())


def application(number: int) -> str:
    """The name of a node's sessions."""
    return f"torture-{number}"


def make(number: int, server: Server, database: str, processes: Processes, folder: Path) -> Post:
    """A post with its proxy, and no engine yet."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    heard, orders = os.pipe()
    port = int(listening.getsockname()[1])
    log = folder / f"proxy-{number}.log"
    proxy = processes.fork(lambda: serve(listening, server.way, log, heard))
    listening.close()
    os.close(heard)
    return Post(number, through(database, port, application(number)), orders, proxy)


def start(post: Post, plan: Plan, newer: bool, processes: Processes, folder: Path) -> None:
    """A new engine begins there."""
    post.engines += 1
    post.next_at, post.leaving = None, False
    url = post.url
    post.pid = processes.fork(lambda: engine(url, plan, newer, lambda: acts(post, folder)), log_of(post))
    post.lives.append(Life(post.pid, post.number, newer, now_us()))


def log_of(post: Post) -> str:
    """Where its engine logs."""
    return f"engine-{post.number}-{post.engines}.log"


def acts(post: Post, folder: Path) -> bool:
    """Whether its engine has said that it acts."""
    log = folder / log_of(post)
    return log.exists() and "engine.ready" in log.read_text(encoding="utf-8", errors="replace")


def gone(post: Post, at: float | None) -> None:
    """The engine has ended; the next one comes at that time."""
    last = post.lives[-1]
    post.lives[-1] = Life(last.pid, last.place, last.newer, last.from_us, now_us())
    post.pid, post.next_at, post.leaving = 0, at, False


def silences_of(place: int, lives: list[Life], kind: str, from_us: int, to_us: int) -> list[Silence]:
    """A silence of a post is one of every engine that was there meanwhile."""
    return [
        Silence(life.pid, kind, from_us, to_us)
        for life in lives
        if life.place == place and life.from_us < to_us and (life.to_us or to_us) >= from_us
    ]


def now_us() -> int:
    """The wall clock."""
    return time.time_ns() // 1000
