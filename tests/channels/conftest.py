"""What the tests of the channels share: one alert, an authority of their own, and a web without proxies."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.channels.servers import HttpServer
from watchbell.channels.base import Message
from watchbell.core.instants import SECOND


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def message() -> Message:
    raised = 1_795_251_600 * SECOND
    text = "backup failed (due 2026-11-21T09:00:00Z): exit code 2."
    return Message(7, "failed", "backup", text, 12, raised, "default", "f00ba4", raised + 5 * SECOND)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 from the tests' own authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def web() -> Iterator[HttpServer]:
    server = HttpServer()
    yield server
    server.close()


@pytest.fixture
def secure_web(server_tls: ssl.SSLContext) -> Iterator[HttpServer]:
    server = HttpServer(server_tls)
    yield server
    server.close()
