"""HTTP requests declared by an application: the same as on the command line, written when the database is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from watchbell import Watchbell, every, manual
from watchbell.core.http_request import HttpRequest, refuse_forbidden
from watchbell.errors import BadArguments, BadDeclaration, BadPolicy, WatchbellError

HOOK = "https://example.org/hook"


def declared(file: Path, **more: Any) -> Watchbell:
    bell = Watchbell(f"sqlite:///{file}", app="shop")
    options: dict[str, Any] = {
        "body": {"ok": True},
        "expect_status": "200,204",
        "catchup": "all",
        "overlap": "queue_all",
        "timeout": "5s",
        "concurrency": 2,
    }
    bell.add_http_schedule(
        "hook",
        every("1h"),
        HOOK + "?shop={shop}",
        args={"shop": "harbour"},
        **options | more,
    )
    return bell


def stored(bell: Watchbell) -> list[tuple[Any, ...]]:
    return bell._open().read(
        lambda tx: tx.rows(
            "SELECT s.name, j.name, j.lane, j.command, j.options, v.policies, v.args, s.version, s.undeclared_at "
            "FROM schedule s JOIN job j ON j.id = s.job JOIN schedule_version v ON v.schedule = s.id AND "
            "v.version = s.version"
        )
    )


def test_a_request_is_declared_and_written_once(tmp_path: Path) -> None:
    bell = declared(tmp_path / "w.db")
    assert [item.name for item in bell.schedules().items] == ["hook"]
    ((name, job, lane, command, options, policies, args, version, _),) = stored(bell)
    assert (name, job, lane, version) == ("hook", "hook", "http", 1)
    assert json.loads(command)["http"] == {
        "url": HOOK + "?shop={shop}", "method": "POST", "body": {"ok": True}, "expect_status": "200,204",
    }  # fmt: skip
    assert json.loads(options)["concurrency"] == 2
    assert (json.loads(policies)["catchup"], json.loads(policies)["timeout_us"]) == ("all", 5_000_000)
    assert json.loads(args) == {"shop": "harbour"}
    assert bell.run_now("hook").new
    bell.stop()
    again = declared(tmp_path / "w.db")
    assert stored(again)[0][7] == 1
    again.stop()
    other = declared(tmp_path / "w.db", catchup="earliest", body=None)
    other.status()
    found = stored(other)[0]
    assert (json.loads(found[3])["http"].get("method", "GET"), found[7]) == ("GET", 2)
    other.stop()
    none = Watchbell(f"sqlite:///{tmp_path / 'w.db'}", app="shop")
    none.job(name="something")(lambda: None)
    none.status()
    assert stored(none)[0][8] is not None  # it keeps running, and is flagged
    none.stop()


@pytest.mark.parametrize(
    ("url", "options", "error", "said"),
    [
        ("ftp://example.org", {}, BadDeclaration, "is no address of the web"),
        (HOOK + "?x={x}", {}, BadArguments, "needs the argument 'x'"),
        (HOOK, {"method": "FETCH"}, BadDeclaration, "is no method"),
        (HOOK, {"headers": ["a"]}, BadDeclaration, "headers are given by name"),
        (HOOK, {"retires": 3}, BadPolicy, "A request has no option 'retires'"),
        (HOOK, {"condition": "a:b"}, BadPolicy, "A request has no option 'condition'"),
        (HOOK, {"overlap": "maybe"}, BadPolicy, "overlap"),
        (HOOK, {"args": {"x": float("nan")}}, BadArguments, "NaN"),
        ("http://10.0.0.7/", {}, BadDeclaration, "10.0.0.7 is not of the public internet"),
    ],
)
def test_what_makes_no_request_is_refused_where_it_is_declared(
    url: str, options: dict[str, Any], error: type[WatchbellError], said: str
) -> None:
    bell = Watchbell("sqlite://")
    with pytest.raises(error, match=said):
        bell.add_http_schedule("hook", every("1h"), url, **options)
    bell.add_http_schedule("hook", manual(), HOOK)
    with pytest.raises(BadDeclaration, match="Two schedules are named 'hook'"):
        bell.add_http_schedule("hook", manual(), HOOK)
    with pytest.raises(BadDeclaration, match="Two jobs are named 'hook'"):
        bell.job(name="hook")(lambda: None)
    bell.stop()


@pytest.mark.parametrize(
    ("host", "private", "always"),
    [
        ("10.0.0.7", True, False),
        ("127.0.0.1:8080", True, False),
        ("127.1:8080", True, False),
        ("0x7f000001:8080", True, False),
        ("0177.0.0.1:8080", True, False),
        ("2130706433:8080", True, False),
        ("[::1]:8080", True, False),
        ("[::ffff:192.168.1.1]", True, False),
        ("localhost:8080", True, False),
        ("example.org:22", True, False),
        ("169.254.169.254", True, True),
        ("[fe80::1]", True, True),
        ("224.0.0.1", True, True),
        ("8.8.8.8", False, False),
        ("[2606:4700::1111]", False, False),
        ("example.org", False, False),
        ("10.0.0.7.example.org", False, False),
        ("fade.bee", False, False),
    ],
)
def test_an_address_that_no_run_could_reach_is_refused_at_once(
    host: str, private: bool, always: bool
) -> None:
    request = HttpRequest(f"http://{host}/hook")
    if not private:
        refuse_forbidden(request)
        return
    with pytest.raises(BadDeclaration, match="would never be sent") as met:
        refuse_forbidden(request)
    assert ("--allow-private" in str(met.value)) is not always
    allowed = HttpRequest(request.url, allow_private=True)
    if always:
        with pytest.raises(BadDeclaration, match="would never be sent"):
            refuse_forbidden(allowed)
    else:
        refuse_forbidden(allowed)
