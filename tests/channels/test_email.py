"""Mail through a real server: encrypted, verified, recognisable, and every refusal told apart."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import given
from hypothesis import strategies as st

from tests.channels.servers import dripping, free_port, silent, socket_server
from watchbell.channels import email as room
from watchbell.channels.base import ChannelError, Message
from watchbell.channels.email import compose, send


class Mailbox:
    """A mail server's mind: takes everything, or answers what the test has told it to."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.refused: dict[str, str] = {}
        self.data_answer = "250 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.data_answer.startswith("250"):
            self.envelopes.append(envelope)
            self.encrypted.append(session.ssl is not None)
        return self.data_answer

    def mail(self, number: int = 0) -> EmailMessage:
        content = self.envelopes[number].content
        assert isinstance(content, bytes)
        found = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found


class TlsController(Controller):
    """Speaks TLS from the first byte. It looks at itself when it starts, and takes any certificate then."""

    def _trigger_server(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((self.hostname, self.port), 5) as raw,
            context.wrap_socket(raw) as wrapped,
        ):
            wrapped.recv(1024)


Start = Callable[..., Controller]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def serve(mailbox: Mailbox) -> Iterator[Start]:
    """Starts the mail server with these settings of aiosmtpd's."""
    running: list[Controller] = []

    def start(kind: type[Controller] = Controller, **settings: Any) -> Controller:
        controller = kind(mailbox, hostname="127.0.0.1", port=free_port(), **settings)
        controller.start()
        running.append(controller)
        return controller

    yield start
    for controller in running:
        controller.stop()


def options(port: int, **more: Any) -> dict[str, Any]:
    base = {
        "host": "127.0.0.1",
        "port": port,
        "sender": "bell@example.org",
        "to": ["ops@example.org", "you@example.org"],
    }
    return {**base, "security": "none", **more}


def refusal(message: Message, given: dict[str, Any], **bounds: float) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        send(message, given, **bounds)
    return caught.value


def test_S1_16_the_mail_says_what_when_and_what_to_type_next(
    serve: Start, mailbox: Mailbox, message: Message
) -> None:
    send(message, options(serve().port))
    (envelope,) = mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (
        "bell@example.org",
        ["ops@example.org", "you@example.org"],
    )
    mail = mailbox.mail()
    assert mail["subject"] == "[watchbell] backup failed"
    assert mail["from"] == "bell@example.org"
    assert mail["to"] == "ops@example.org, you@example.org"
    assert mail["auto-submitted"] == "auto-generated"
    assert mail["date"] == "Sat, 21 Nov 2026 09:00:00 +0000"
    text = mail.get_content().replace("\r\n", "\n")
    assert text.startswith(message.text)
    assert "2026-11-21T09:00:00Z (UTC)" in text
    assert text.endswith("    watchbell run show run_12\n")


def test_a_mail_that_is_sent_twice_is_recognisable(serve: Start, mailbox: Mailbox, message: Message) -> None:
    port = serve().port
    send(message, options(port))
    send(replace(message, sent_at=message.sent_at + 1_000_000), options(port))
    send(replace(message, id=8), options(port))
    first, again, other = (mailbox.mail(number)["message-id"] for number in range(3))
    assert first == again == "<alert_f00ba4_7@example.org>"
    assert other == "<alert_f00ba4_8@example.org>"


def test_an_alert_about_no_run_says_how_to_ask_why(message: Message) -> None:
    checked = {"sender": "a@b.c", "to": ["d@e.f"]}
    mail = compose(replace(message, event="missed", subject="the sync", run=None), checked)
    assert "    watchbell explain 'the sync'\n" in mail.get_content()


@given(st.text(max_size=200), st.text(max_size=60), st.text(max_size=200))
def test_no_text_can_add_a_header(subject: str, event: str, text: str) -> None:
    """Whatever a schedule is called and a job says, the mail has these header fields and no others."""
    told = Message(1, event, subject + "\r\nBcc: evil@example.org", text + "\r\n\r\n.\r\n", 1, 0, "w", "d", 0)
    raw = compose(told, {"sender": "a@example.org", "to": ["b@example.org"]}).as_bytes()
    read = email.message_from_bytes(raw, policy=email.policy.default)
    names = ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "X-Watchbell-Event"]
    assert [name for name in read.keys() if not name.startswith(("Content-", "MIME-"))] == names  # noqa: SIM118
    assert read.defects == []
    assert read["To"] == "b@example.org"
    raw.decode("ascii")


def test_a_text_of_any_script_and_a_dot_alone_arrive_whole(
    serve: Start, mailbox: Mailbox, message: Message
) -> None:
    text = "Sicherung schlug fehl – 🔔\n.\nFrom here on\n" + "x" * 3000
    send(replace(message, subject="Sicherung täglich", text=text), options(serve().port))
    mail = mailbox.mail()
    assert mail["subject"] == "[watchbell] Sicherung täglich failed"
    assert text in mail.get_content().replace("\r\n", "\n")


def test_starttls_is_used_before_anything_is_said(
    serve: Start, mailbox: Mailbox, message: Message, server_tls: ssl.SSLContext, ca_file: str
) -> None:
    port = serve(tls_context=server_tls, require_starttls=True).port
    send(message, options(port, security="starttls", ca_file=ca_file))
    assert mailbox.encrypted == [True]


def test_tls_from_the_first_byte(
    serve: Start, mailbox: Mailbox, message: Message, server_tls: ssl.SSLContext, ca_file: str
) -> None:
    port = serve(TlsController, ssl_context=server_tls).port
    send(message, options(port, security="tls", ca_file=ca_file))
    assert len(mailbox.envelopes) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_nobody_we_trust_is_refused(
    serve: Start, mailbox: Mailbox, message: Message, server_tls: ssl.SSLContext, security: str
) -> None:
    if security == "starttls":
        server = serve(tls_context=server_tls)
    else:
        server = serve(TlsController, ssl_context=server_tls)
    error = refusal(message, options(server.port, security=security))
    assert not error.permanent
    assert "no certificate that can be trusted" in str(error)
    assert mailbox.envelopes == []


def test_a_server_without_starttls_gets_no_mail(serve: Start, mailbox: Mailbox, message: Message) -> None:
    error = refusal(message, options(serve().port, security="starttls"))
    assert error.permanent
    assert "STARTTLS" in str(error)
    assert mailbox.envelopes == []


def login_checker(
    _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"bell", b"right")
    return AuthResult(success=good, handled=False)


def test_it_logs_in(
    serve: Start, mailbox: Mailbox, message: Message, server_tls: ssl.SSLContext, ca_file: str
) -> None:
    server = serve(tls_context=server_tls, auth_required=True, authenticator=login_checker)
    given = options(server.port, security="starttls", ca_file=ca_file, user="bell")
    send(message, {**given, "password": "right"})
    assert len(mailbox.envelopes) == 1
    error = refusal(message, {**given, "password": "wrong one"})
    assert error.permanent
    assert "535" in str(error)
    assert "wrong one" not in str(error)


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [("451 try later", False), ("452 full", False), ("550 no", True), ("554 spam", True)],
)
def test_refusals_are_told_apart(
    serve: Start, mailbox: Mailbox, message: Message, answer: str, permanent: bool
) -> None:
    mailbox.data_answer = answer
    error = refusal(message, options(serve().port))
    assert error.permanent is permanent
    assert answer in str(error)


@pytest.mark.parametrize(("code", "permanent"), [("450", False), ("550", True)])
def test_a_recipient_who_is_refused_is_named(
    serve: Start, mailbox: Mailbox, message: Message, code: str, permanent: bool
) -> None:
    mailbox.refused["you@example.org"] = f"{code} not here"
    error = refusal(message, options(serve().port))
    assert error.permanent is permanent
    assert f"you@example.org ({code} not here)" in str(error)
    assert "ops@example.org" not in str(error)
    assert len(mailbox.envelopes) == 1


def test_nobody_at_that_port(message: Message) -> None:
    error = refusal(message, options(free_port()))
    assert not error.permanent
    assert "could not be talked to: ConnectionRefusedError" in str(error)


def test_a_server_that_never_answers(message: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "TIMEOUT_S", 0.1)
    with socket_server(silent) as port:
        error = refusal(message, options(port))
    assert not error.permanent


def test_a_server_that_answers_without_end(message: Message) -> None:
    with socket_server(dripping) as port:
        error = refusal(message, options(port), whole_s=0.3)
    assert not error.permanent
    assert "had not answered after 0.3 s" in str(error)


def test_a_server_that_hangs_up(message: Message) -> None:
    with socket_server(lambda connection, _over: connection.sendall(b"220 hello\r\n")) as port:
        error = refusal(message, options(port))
    assert not error.permanent


def test_options_that_cannot_be_used_are_given_up_at_once(message: Message) -> None:
    error = refusal(message, options(25, host="mail.example.org"))
    assert error.permanent
    assert "in the clear" in str(error)
