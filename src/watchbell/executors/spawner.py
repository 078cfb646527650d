"""The one process that starts all others. It is run by its path and imports the standard library only.

Why a process of its own: the engine has threads, and a process with threads cannot fork safely; `PR_SET_PDEATHSIG`
is bound to the *thread* that forked, so the one that forks must live as long as the engine; and somebody has to be
left to act when the engine is killed. So this one has a single thread, starts each child in a session of its own,
and when the engine's end of the socket closes, ends every run that is still going on with all that belongs to it.

JSON lines come in on the socket, with the child's file descriptors beside them:

    {"op": "start", "id", "argv", "env", "cwd", "user", "keep", "memory", "fds"} → {"ev": "started", "id", "pid", "started"}
    {"op": "term", "id"}      SIGTERM to all that belongs to the run; from then on its pid is kept (not reaped), so
                              that the number cannot mean another process; → {"ev": "gone", "id"} when it exits
    {"op": "look", "id"}      → {"ev": "left", "id", "left"}: how many processes of the run are still alive
    {"op": "kill", "id"}      SIGKILL to all that belongs to the run, then it is reaped
    {"op": "sweep", "id", "pid", "mark"}   the same for a run of a spawner that died → {"ev": "swept", "id"}
    {"op": "answer", "id"}    → {"ev": "answer", "id"}

and for each start, in the end, {"ev": "exit", "id", "code", "peak", "cpu_us", "stage", "errno"}. To a run belongs
what is in its process group or session, what descends from it, and what carries its mark in its environment, which
is how a daemon that left the session is found.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import json
import os
import pwd
import resource
import select
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import Any

MARKS = (b"WATCHBELL_RUN=", b"WATCHBELL_EPOCH=", b"WATCHBELL_TOKEN=")
_PR_SET_PDEATHSIG = 1
_MOST_FDS = 16
_PASSES = 30
_RESET = ("SIGPIPE", "SIGXFSZ", "SIGINT", "SIGTERM", "SIGHUP", "SIGCHLD", "SIGUSR1", "SIGQUIT")


@dataclass(frozen=True)
class Seen:
    """A process as /proc tells of it. `started` is in clock ticks since boot; with the pid it names a process."""

    pid: int
    parent: int
    group: int
    session: int
    started: int
    alive: bool


def look_at(pid: int) -> Seen | None:
    """The process of that number now; None if there is none, or the system has no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    state, parent, group, session, started = fields[0], *(int(fields[n]) for n in (1, 2, 3, 19))
    return Seen(pid, parent, group, session, started, state not in (b"Z", b"X"))


def mark_of(pid: int) -> bytes:
    """What marks a process as part of a run, from the environment it was started with; empty if nothing does."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark_in(file.read().split(b"\0"))
    except OSError:
        return b""


def mark_in(entries: list[bytes]) -> bytes:
    found = {name: entry for entry in entries for name in MARKS if entry.startswith(name)}
    return b"\0".join(found[name] for name in MARKS) if len(found) == len(MARKS) else b""


@dataclass
class Family:
    """All processes of a run whose first process is or was `pid`. `reserved`: that number is ours still, so that its
    whole group may be signalled at once. What was once seen to belong to it is `known`, and belongs to it also when
    its parent is gone."""

    pid: int
    mark: bytes
    reserved: bool = True
    known: set[tuple[int, int]] = field(default_factory=set)


class Census:
    """Every process of this machine at one moment; nobody where there is no /proc."""

    def __init__(self) -> None:
        try:
            names = os.listdir("/proc")
        except OSError:
            names = []
        self.everyone = [
            seen for name in names if name.isdigit() and (seen := look_at(int(name))) is not None
        ]
        self._marks: dict[int, bytes] = {}

    def of(self, family: Family) -> list[Seen]:
        """The living processes of the family."""
        ours = {seen.pid for seen in self.everyone if self._belongs(seen, family)}
        grown = True
        while grown:
            more = {seen.pid for seen in self.everyone if seen.parent in ours} - ours
            ours |= more
            grown = bool(more)
        found = [s for s in self.everyone if s.pid in ours and s.alive and s.pid != os.getpid()]
        family.known.update((seen.pid, seen.started) for seen in found)
        return found

    def _belongs(self, seen: Seen, family: Family) -> bool:
        if family.pid in (seen.pid, seen.group, seen.session) or (seen.pid, seen.started) in family.known:
            return True
        if seen.pid not in self._marks:
            self._marks[seen.pid] = mark_of(seen.pid)
        return self._marks[seen.pid] == family.mark != b""


def send_to(seen: Seen, number: int) -> None:
    """Signal that very process, not a later one of its number."""
    try:
        handle = os.pidfd_open(seen.pid)
        try:
            now = look_at(seen.pid)
            if now is not None and now.started == seen.started:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
    except OSError:
        pass  # it has just ended, or belongs to somebody else


def kill_all(families: list[Family]) -> None:
    """SIGKILL to everything of these runs, again until nothing is left (a fork may be quicker than a look)."""
    left = everything_of(families)
    for number in range(_PASSES):
        for family in families:
            if family.reserved:
                signal_group(family.pid, signal.SIGKILL)
        for seen in left:
            send_to(seen, signal.SIGKILL)
        left = everything_of(families)
        if not left:
            return
        select.poll().poll(1 + number)  # they need a moment to go


def everything_of(families: list[Family]) -> list[Seen]:
    census = Census()
    return [seen for family in families for seen in census.of(family)]


def signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


@dataclass
class Child:
    """A run that was started here and has not been reported."""

    id: int
    pid: int
    family: Family
    errors: int
    ending: bool = False
    gone: bool = False


class Spawner:
    """The loop of this process."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        link.set_inheritable(False)
        self._engine, self._pid = os.getppid(), os.getpid()
        self._children: dict[int, Child] = {}
        self._given: list[list[int]] = []
        self._data = b""
        self._null = os.open(os.devnull, os.O_RDWR)
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for name in ("SIGCHLD", "SIGUSR1"):
            signal.signal(getattr(signal, name), lambda *_: None)
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):  # the engine decides what ends, and when
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._limits[1], self._limits[1]))
        self._prctl = ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None
        self._hear_of_death(signal.SIGUSR1)  # a second way, for when somebody else holds the engine's socket

    def _hear_of_death(self, number: int) -> None:
        """Have the system send this signal to this process when its parent dies."""
        if self._prctl is not None:
            self._prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    def serve(self) -> None:
        """Until the engine is gone; then nothing that it started is left."""
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        try:
            while os.getppid() == self._engine:
                ready = dict(poll.poll())
                if self._woken in ready:
                    os.read(self._woken, 4096)
                if self._link.fileno() in ready and not self._receive():
                    break
                self._reap()
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            kill_all([child.family for child in self._children.values()])

    def _receive(self) -> bool:
        """Read what has come; False at the end."""
        fds = array.array("i")
        room = socket.CMSG_SPACE(_MOST_FDS * fds.itemsize)
        data, ancillary, flags, _ = self._link.recvmsg(65536, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        if fds or flags & socket.MSG_CTRUNC:
            self._given.append(list(fds))
        if not data:
            return False
        *lines, self._data = (self._data + data).split(b"\n")
        self._obey([json.loads(line) for line in lines])
        return True

    def _obey(self, orders: list[dict[str, Any]]) -> None:
        """Carry out what came together; one census serves all of it, as it is what costs time."""
        census: Census | None = None
        to_kill: list[Child] = []
        to_sweep: dict[int, Family] = {}
        for order in orders:
            child = self._children.get(order["id"])
            if order["op"] == "start":
                self._start(order)
            elif order["op"] == "answer":
                self._say(ev="answer", id=order["id"])
            elif order["op"] == "sweep":
                mark = order["mark"].encode(errors="surrogateescape")
                to_sweep[order["id"]] = Family(order["pid"] or -1, mark, reserved=False)
            elif child is None:
                continue  # it has ended meanwhile
            elif order["op"] == "kill":
                to_kill.append(child)
            else:
                census = census or Census()
                family = census.of(child.family)
                if order["op"] == "look":
                    self._say(ev="left", id=child.id, left=len(family))
                else:
                    self._ask_to_end(child, family)
        if to_kill or to_sweep:
            kill_all([child.family for child in to_kill] + list(to_sweep.values()))
            for child in to_kill:
                child.ending = False
            for number in to_sweep:
                self._say(ev="swept", id=number)

    def _ask_to_end(self, child: Child, family: list[Seen]) -> None:
        """The family is counted before the signal: afterwards a daemon may have lost the parent that tells whose it
        is."""
        child.ending = True
        signal_group(child.pid, signal.SIGTERM)
        for seen in family:
            if seen.group != child.pid:
                send_to(seen, signal.SIGTERM)

    def _start(self, order: dict[str, Any]) -> None:
        fds = self._given.pop(0) if self._given else []
        try:
            if len(fds) != order["fds"]:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            child = self._fork(order, fds)
        except OSError as error:
            self._say(ev="exit", id=order["id"], code=None, peak=0, cpu_us=0, stage="fork", errno=error.errno)
            return
        finally:
            for fd in fds:
                os.close(fd)
        self._children[child.id] = child
        seen = look_at(child.pid)
        self._say(ev="started", id=child.id, pid=child.pid, started=seen.started if seen else None)

    def _fork(self, order: dict[str, Any], fds: list[int]) -> Child:
        """A child that has a session of its own and hears signals by the time this returns."""
        errors, write = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(errors)
            os.close(write)
            raise
        if pid == 0:
            self._become(order, fds, write)
        os.close(write)
        os.read(errors, 1)
        os.set_blocking(errors, False)
        entries = [os.fsencode(f"{name}={value}") for name, value in order["env"].items()]
        return Child(order["id"], pid, Family(pid, mark_in(entries)), errors)

    def _become(self, order: dict[str, Any], fds: list[int], write: int) -> None:
        """In the child: become the program. It never returns."""
        stage = "fork"
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for name in _RESET:
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            os.write(write, b"+")
            for fd, target in zip((self._null, *fds), range(len(fds) + 1), strict=True):
                os.dup2(fd, target, inheritable=True)
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
            if order["memory"]:
                resource.setrlimit(resource.RLIMIT_DATA, (order["memory"], order["memory"]))
            _die_before_the_engine()
            stage = "user"
            env, cwd = order["env"], order["cwd"]
            if order["user"] is not None:
                home = _switch_user(order["user"], env, order["keep"])
                cwd = home if cwd is None else cwd
            self._hear_of_death(signal.SIGKILL)  # after the change of user, which would undo it
            if os.getppid() != self._pid:
                return  # the parent died before that; `finally` ends this process
            stage = "cwd"
            if cwd is not None:
                os.chdir(cwd)
            stage = "exec"
            os.execvpe(order["argv"][0], order["argv"], env)
        except BaseException as error:
            number = error.errno if isinstance(error, OSError) else errno.EINVAL
            os.write(write, json.dumps({"stage": stage, "errno": number}).encode())
        finally:
            os._exit(127)

    def _reap(self) -> None:
        for child in list(self._children.values()):
            if child.ending:
                left = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if left is not None and not child.gone:
                    child.gone = True
                    self._say(ev="gone", id=child.id)
                continue
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                del self._children[child.id]
                self._say_exit(child, os.waitstatus_to_exitcode(status), usage)

    def _say_exit(self, child: Child, code: int, usage: resource.struct_rusage) -> None:
        failed = {"stage": None, "errno": None}
        with contextlib.suppress(BlockingIOError, ValueError):
            failed = json.loads(os.read(child.errors, 4096) or b"{}") or failed
        os.close(child.errors)
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        cpu_us = round((usage.ru_utime + usage.ru_stime) * 1e6)
        self._say(ev="exit", id=child.id, code=code, peak=peak, cpu_us=cpu_us, **failed)

    def _say(self, **event: Any) -> None:
        self._link.sendall(json.dumps(event).encode() + b"\n")


def _switch_user(name: str, env: dict[str, str], keep: list[str]) -> str:
    """Become that user with its groups, and give it its own home, name and shell where the job does not say
    otherwise; the answer is its home folder."""
    try:
        user = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        raise OSError(errno.ESRCH, "no such user") from None
    if user.pw_uid != os.geteuid() or os.geteuid() == 0:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    own = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell}
    env.update({key: value for key, value in own.items() if key not in keep})
    return user.pw_dir if os.path.isdir(user.pw_dir) else "/"


def _die_before_the_engine() -> None:
    """When memory is short the system shall rather end a job than the engine."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+") as file:
        os.pwrite(file.fileno(), str(max(300, int(file.read() or 0))).encode(), 0)


if __name__ == "__main__":
    Spawner(socket.socket(fileno=int(sys.argv[1]))).serve()
