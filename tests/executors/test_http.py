"""The lane of HTTP requests: what is sent and expected, where it may go, and that nothing it meets holds it up."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from watchbell.clock import SystemClock
from watchbell.core.addresses import refused_address, refused_name, refused_port
from watchbell.core.http_request import HttpRequest, address, checked, complaint, content, from_text
from watchbell.core.outcome import Ending, Outcome
from watchbell.errors import BadDeclaration
from watchbell.executors.base import Executor
from watchbell.executors.http import HttpExecutor

from .conftest import Desk, Remembered, assignment, eventually

GZIP_BOMB = gzip.compress(b"\0" * (64 << 20), 9)


class Handler(BaseHTTPRequestHandler):
    """Answers as the path says, and remembers what it was sent."""

    seen: ClassVar[list[tuple[str, str, dict[str, str], bytes]]] = []
    stop = threading.Event()

    def do_GET(self) -> None:
        size = int(self.headers.get("content-length", 0))
        self.seen.append((self.command, self.path, dict(self.headers), self.rfile.read(size)))
        getattr(self, f"_{self.path.split('?')[0].split('/')[1]}", self._ok)()

    do_POST = do_PUT = do_GET

    def _ok(self) -> None:
        self._say(200, b'{"state": "up", "data": [{"n": 3}]}')

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _busy(self) -> None:
        self._say(503, b"later", Retry_After="7")

    def _to(self) -> None:
        self._say(302, b"", Location=self.path.partition("?")[2])

    def _bomb(self) -> None:
        self._say(200, GZIP_BOMB, Content_Encoding="gzip")

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while not self.stop.is_set():
                self.wfile.write(b"x" * 65536)
        except OSError:
            pass

    def _slow(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while not self.stop.wait(0.05):
                self.wfile.write(b".")
                self.wfile.flush()
        except OSError:
            pass

    def _heads(self) -> None:
        self.send_response(200)
        try:
            for number in range(4000):
                self.send_header(f"X-{number}", "y" * 100)
            self.end_headers()
        except OSError:
            pass

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.seen, Handler.stop = [], threading.Event()
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    Handler.stop.set()
    made.shutdown()
    made.server_close()


Send = Callable[..., Outcome]


@pytest.fixture
def executor(clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]) -> HttpExecutor:
    made = HttpExecutor(clock, sink, desk, 4, resolver=lambda host, port: Names.answer(host))
    ended.append(made)
    return made


class Names:
    """What names lead to."""

    answers: ClassVar[dict[str, list[Sequence[str]]]] = {}

    @classmethod
    def answer(cls, host: str) -> Sequence[str]:
        given = cls.answers.get(host, [[host]])
        return given.pop(0) if len(given) > 1 else given[0]


@pytest.fixture
def send(executor: HttpExecutor, desk: Desk) -> Send:
    numbers = iter(range(1, 1000))

    def _send(
        url: str, args: dict[str, Any] | None = None, timeout_us: int = 10_000_000, **request: Any
    ) -> Outcome:
        run = next(numbers)
        wanted = HttpRequest(url, **({"allow_private": True} | request))
        executor.start(
            [assignment(run, lane="http", http=asdict(wanted), args=args or {}, timeout_us=timeout_us)]
        )
        return desk.outcome(run)

    return _send


def test_what_is_sent_is_what_was_asked_for_with_the_run_key(server: str, send: Send) -> None:
    done = send(
        f"{server}/jobs/{{who}}?q={{q}}",
        {"who": "a/../b?c#d", "q": "1&x=2", "n": 3},
        method="POST",
        headers={"X-Team": "night"},
        body={"n": "{n}", "text": "no {n} of {who}"},
    )
    assert done.ending is Ending.SUCCEEDED
    method, path, headers, body = Handler.seen[0]
    assert (method, path) == ("POST", "/jobs/a%2F..%2Fb%3Fc%23d?q=1%26x%3D2")
    assert json.loads(body) == {"n": 3, "text": "no 3 of a/../b?c#d"}
    assert (headers["X-Team"], headers["Content-Type"]) == ("night", "application/json")
    assert headers["Idempotency-Key"]
    kept = json.loads(done.result or "")
    assert (kept["status"], kept["bytes"], json.loads(kept["body"])["state"]) == (200, 35, "up")


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"expect_status": "204"}, "It answered 200, and not 204."),
        ({"expect_body": "down"}, "does not hold 'down'"),
        ({"expect_json": {"state": "down"}}, 'At state its answer says "up", and not "down".'),
        ({"expect_json": {"data.1.n": 3}}, "nothing at data.1.n"),
        ({"expect_status": "200-299", "expect_body": "up", "expect_json": {"data.0.n": 3}}, None),
    ],
)
def test_the_answer_is_held_against_what_is_expected(
    server: str, send: Send, expected: dict[str, Any], said: str | None
) -> None:
    done = send(f"{server}/ok", **expected)
    assert done.ending is (Ending.SUCCEEDED if said is None else Ending.FAILED)
    assert said is None or said in (done.error or "")
    assert json.loads(done.result or "")["status"] == 200


def test_a_status_can_be_retried_on_and_retry_after_is_heard(server: str, send: Send) -> None:
    from watchbell.core.claim import Claim
    from watchbell.core.policies import Retry
    from watchbell.core.settle import decide
    from watchbell.core.states import State

    done = send(f"{server}/busy")
    assert done.error == "It answered 503, and not 200-299."
    assert {"HTTP503", "HTTP5xx"} <= set(done.error_type)
    assert done.retry_after_us == 7_000_000
    claim = Claim(
        1, 1, "", 1, None, None, 1, "http", 0, 0, 0, retry=Retry(on=("HTTP503",), delay_us=1, jitter=False)
    )
    assert decide(claim, done, 1000, 0.5)[::3] == (State.RETRYING, 1000 + 7_000_000)
    claim.retry = Retry(on=("HTTP429",))
    assert decide(claim, done, 1000, 0.5).state is State.FAILED


def test_S29_a_body_without_end_a_bomb_and_endless_headers_are_cut_off(server: str, send: Send) -> None:
    endless = send(f"{server}/endless")
    assert (endless.ending, json.loads(endless.result or "")["bytes"]) == (Ending.SUCCEEDED, 1 << 20)
    assert "the rest was not read" in (endless.note or "")
    bomb = send(f"{server}/bomb")
    assert json.loads(bomb.result or "")["bytes"] == 1 << 20
    heads = send(f"{server}/heads")
    assert heads.ending is Ending.FAILED
    assert "could not be talked to" in (heads.error or "")


def test_S29_a_slow_body_ends_with_the_whole_time_and_with_a_cancel(
    server: str, send: Send, executor: HttpExecutor, desk: Desk
) -> None:
    done = send(f"{server}/slow", timeout_us=300_000)
    assert done.ending is Ending.TIMED_OUT
    request = asdict(HttpRequest(f"{server}/slow", allow_private=True))
    executor.start([assignment(900, lane="http", http=request)])
    eventually(lambda: len(Handler.seen) == 2, "the second request has come")
    executor.cancel(900, 1, "by_request")
    assert desk.outcome(900).ending is Ending.CANCELLED
    assert executor.lost_slots() == 0


def test_S28_redirects_are_judged_one_by_one_and_counted(server: str, send: Send) -> None:
    port = server.rpartition(":")[2]
    there = send(f"{server}/to?{server}/ok")
    assert there.ending is Ending.SUCCEEDED
    for target, said in (
        ("http://169.254.169.254/latest/meta-data", "tells a machine its secrets"),
        ("file:///etc/passwd", "no address of the web"),
        (f"http://user@127.0.0.1:{port}/", "name or a password"),
        ("http://[::1", "It was redirected to 'http://[::1', which is no address"),
    ):
        refused = send(f"{server}/to?{target}")
        assert refused.ending is Ending.FAILED
        assert said in (refused.error or ""), refused.error
    assert "more than 3 times" in (send(f"{server}/to?/to?/to?/to?/to?/ok").error or "")
    Handler.seen.clear()
    Names.answers = {"other.example": [["127.0.0.1"]]}
    send(f"{server}/to?http://other.example:{port}/x", headers={"Authorization": "secret"})
    assert [row[2].get("Authorization") for row in Handler.seen] == ["secret", None]


def test_S28_a_private_address_is_refused_whatever_name_leads_to_it(server: str, send: Send) -> None:
    port = server.rpartition(":")[2]
    Names.answers = {"public.example": [["127.0.0.1"]], "both.example": [["93.184.216.34", "10.0.0.1"]]}
    for host in ("127.0.0.1", "public.example", "both.example", "localhost", "printer.local"):
        done = send(f"http://{host}:{port}/ok", allow_private=False)
        assert done.ending is Ending.FAILED
        assert (done.error or "").startswith("It was not sent")
    assert Handler.seen == []


def test_S28_the_address_that_was_judged_is_the_one_that_is_connected_to(server: str, send: Send) -> None:
    """A name that answers otherwise at its second look-up is not looked up a second time."""
    port = server.rpartition(":")[2]
    Names.answers = {"turning.example": [["127.0.0.1"], ["169.254.169.254"]]}
    assert send(f"http://turning.example:{port}/ok").ending is Ending.SUCCEEDED
    assert Handler.seen[0][2]["Host"] == f"turning.example:{port}"
    assert "secrets" in (send(f"http://turning.example:{port}/ok").error or "")


def test_S28_the_proxies_of_the_environment_are_not_used(
    server: str, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send(f"{server}/ok").ending is Ending.SUCCEEDED


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "fd00::1",
     "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "224.0.0.1", "255.255.255.255", "fe80::1%eth0"],
)  # fmt: skip
def test_S28_addresses_that_are_not_public_are_refused(text: str) -> None:
    assert refused_address(text, allow_private=False) is not None


@pytest.mark.parametrize(
    "text",
    ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200", "64:ff9b::a9fe:a9fe"],
)
def test_S28_where_a_cloud_tells_its_secrets_is_never_allowed(text: str) -> None:
    assert "never allowed" in (refused_address(text, allow_private=True) or "")


def test_S28_public_addresses_names_and_ports_pass_and_private_ones_where_that_is_allowed() -> None:
    assert refused_address("93.184.216.34", False) is None
    assert refused_address("2606:2800:220:1::1", False) is None
    assert refused_address("10.0.0.1", True) is None
    assert refused_name("printer.local.", False) is not None
    assert refused_name("printer.local", True) is None
    assert [refused_port(port, False) is None for port in (22, 25, 80, 443, 8080)] == [
        False,
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize(
    "url",
    ["ftp://a/", "file:///etc/passwd", "gopher://a/", "//a/b", "http://", "http://u:p@a/", "http://a@b/", "http://{h}/",
     "http://a b/", "http://a\\@b/", "http://a:99999/", "http://münchen.example/", "http://a/\n"],
)  # fmt: skip
def test_S28_an_address_that_hides_where_it_leads_is_refused(url: str) -> None:
    with pytest.raises(BadDeclaration):
        checked(HttpRequest(url))


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("https://a.example", "POST", body={"a": "\ud800"}),
        HttpRequest("https://a.example", "POST", body=[float("nan")]),
        HttpRequest("https://a.example", expect_json={"a": "\ud800"}),
        HttpRequest("https://a.example", expect_json={"a": float("inf")}),
    ],
)
def test_what_no_other_program_reads_as_json_is_refused(request_: HttpRequest) -> None:
    with pytest.raises(BadDeclaration, match="has to be JSON that everybody can read"):
        checked(request_)


def test_statuses_that_hold_nothing_are_refused() -> None:
    with pytest.raises(BadDeclaration, match="200-100 holds no status; write the lower one first, 100-200"):
        checked(HttpRequest("https://a.example", expect_status="204,200-100"))


def test_a_request_is_kept_as_text_and_read_again() -> None:
    request = HttpRequest(
        "https://a.example/{x}", "POST", {"A": "b"}, {"k": ["{x}"]}, expect_json={"a.b": None}
    )
    assert from_text(request.to_text()) == request
    with pytest.raises(BadDeclaration, match="watchbell's own"):
        checked(HttpRequest("https://a.example", headers={"Host": "b"}))
    with pytest.raises(BadDeclaration, match="needs the argument 'x'"):
        address(request, {})
    assert address(request, {"x": ".."}) == "https://a.example/%2E%2E"
    assert content(HttpRequest("https://a.example", "POST"), {"a": 1}) == b'{"a": 1}'
    assert content(HttpRequest("https://a.example"), {"a": 1}) is None
    assert (
        complaint(HttpRequest("https://a", expect_json={"a": 1}), 200, b"[" * 100_000)
        == "Its answer is no JSON."
    )
