"""Webhooks to a real server: signed, recognisable, never redirected, and every refusal told apart."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.channels.servers import Answer, HttpServer, dripping, free_port, silent, socket_server
from watchbell.channels.base import ChannelError, Message
from watchbell.channels.webhook import retry_after_us, send
from watchbell.core.instants import HOUR, SECOND

SECRET = "a secret that both sides know"


def options(url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "secret": SECRET, **more}


def refusal(message: Message, given: dict[str, Any], **bounds: float) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        send(message, given, **bounds)
    return caught.value


def test_S1_16_the_receiver_can_verify_who_is_calling_and_when(web: HttpServer, message: Message) -> None:
    send(message, options(web.url))
    (request,) = web.requests
    signed = dict(part.split("=", 1) for part in request.headers["x-watchbell-signature"].split(","))
    expected = hmac.new(
        SECRET.encode(), signed["t"].encode() + b"." + request.body, hashlib.sha256
    ).hexdigest()
    assert hmac.compare_digest(signed["v1"], expected)
    assert int(signed["t"]) == message.sent_at // SECOND
    assert request.headers["idempotency-key"] == "alert_f00ba4_7"
    assert request.headers["x-watchbell-event"] == "failed"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "id": "alert_f00ba4_7",
        "event": "failed",
        "subject": "backup",
        "text": message.text,
        "run": "run_12",
        "raised_at": "2026-11-21T09:00:00Z",
        "workspace": "default",
        "database": "f00ba4",
    }


def test_another_try_is_recognisable_as_the_same_alert(web: HttpServer, message: Message) -> None:
    send(message, options(web.url))
    send(replace(message, sent_at=message.sent_at + HOUR), options(web.url))
    first, second = web.requests
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["x-watchbell-signature"] != second.headers["x-watchbell-signature"]


def test_any_text_arrives_as_it_is_and_breaks_no_header(web: HttpServer, message: Message) -> None:
    strange = replace(
        message, event="failed\r\nX-Evil: 1", subject="Zoë\r\nX-Evil: 1 \ud800", text="–\x00\n\t🔔"
    )
    send(strange, options(web.url))
    assert "x-evil" not in web.requests[0].headers
    body = json.loads(web.requests[0].body)
    assert (body["subject"], body["text"]) == ("Zoë\r\nX-Evil: 1 ?", "–\x00\n\t🔔")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_taken(web: HttpServer, message: Message, status: int) -> None:
    web.answers.append(Answer(status))
    send(message, options(web.url))
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(408, False), (425, False), (429, False), (500, False), (502, False), (503, False), (599, False),
     (400, True), (401, True), (403, True), (404, True), (410, True), (422, True)],
)  # fmt: skip
def test_refusals_are_told_apart(web: HttpServer, message: Message, status: int, permanent: bool) -> None:
    web.answers.append(Answer(status, body=b"the\x1b[31m reason\r\n" + b"x" * 100_000))
    error = refusal(message, options(web.url))
    assert error.permanent is permanent
    assert f"answered {status}: the [31m reason" in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 400
    assert error.retry_after_us is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(web: HttpServer, message: Message, status: int) -> None:
    web.answers.append(Answer(status, {"Location": web.url + "/elsewhere"}))
    error = refusal(message, options(web.url))
    assert error.permanent
    assert "/elsewhere" in str(error)
    assert [request.path for request in web.requests] == ["/alerts"]


def test_what_the_server_asks_to_wait_is_handed_on(web: HttpServer, message: Message) -> None:
    web.answers.append(Answer(503, {"Retry-After": "120"}))
    assert refusal(message, options(web.url)).retry_after_us == 120 * SECOND


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "90"}, 90 * SECOND),
        ({"retry-after": "86400"}, HOUR),
        ({"retry-after": "9" * 12}, HOUR),
        ({"retry-after": "9" * 500}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 10:01:00 GMT"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 10:01:00 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, 60 * SECOND),
        ({"retry-after": "Sat, 21 Nov 2026 09:00:00 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, 0),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:00 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, HOUR),
        ({"retry-after": "Sat, 21 Nov 2026 10:01:00 -0000", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, None),
    ],
)  # fmt: skip
def test_retry_after_in_all_its_forms(headers: dict[str, str], expected: int | None) -> None:
    assert retry_after_us(headers) == expected


def test_nobody_at_that_port(message: Message) -> None:
    error = refusal(message, options(f"http://127.0.0.1:{free_port()}/"))
    assert not error.permanent
    assert "could not be talked to: ConnectError" in str(error)


def test_a_server_that_never_answers(message: Message) -> None:
    with socket_server(silent) as port:
        error = refusal(message, options(f"http://127.0.0.1:{port}/"), timeout_s=0.1)
    assert not error.permanent
    assert "ReadTimeout" in str(error)


def test_a_server_that_answers_without_end(message: Message) -> None:
    with socket_server(dripping) as port:
        error = refusal(message, options(f"http://127.0.0.1:{port}/"), timeout_s=5, whole_s=0.3)
    assert not error.permanent
    assert "had not answered after 0.3 s" in str(error)


def test_an_answer_that_is_no_http(message: Message) -> None:
    with socket_server(
        lambda connection, _over: connection.sendall(b"220 mail.example.org ESMTP\r\n")
    ) as port:
        error = refusal(message, options(f"http://127.0.0.1:{port}/"))
    assert not error.permanent


def test_a_certificate_of_a_known_authority_is_taken(
    secure_web: HttpServer, message: Message, ca_file: str
) -> None:
    send(message, options(secure_web.url, ca_file=ca_file))
    assert len(secure_web.requests) == 1


def test_a_certificate_of_nobody_we_trust_is_refused(secure_web: HttpServer, message: Message) -> None:
    error = refusal(message, options(secure_web.url))
    assert not error.permanent
    assert "no certificate that can be trusted" in str(error)
    assert secure_web.requests == []


def test_a_certificate_of_somebody_else_is_refused(
    secure_web: HttpServer, message: Message, ca_file: str
) -> None:
    error = refusal(message, options(secure_web.url.replace("127.0.0.1", "localhost"), ca_file=ca_file))
    assert "no certificate that can be trusted" in str(error)
    assert secure_web.requests == []


def test_a_missing_file_of_authorities_is_said(secure_web: HttpServer, message: Message) -> None:
    error = refusal(message, options(secure_web.url, ca_file="missing.pem"))
    assert not error.permanent
    assert "missing.pem cannot be read" in str(error)


def test_options_that_cannot_be_used_are_given_up_at_once(message: Message) -> None:
    assert refusal(message, {"url": "https://example.org/"}).permanent
    assert refusal(message, options("ftp://example.org/")).permanent


def test_no_error_shows_the_secret_or_the_path(web: HttpServer, message: Message) -> None:
    web.answers.append(Answer(404))
    error = refusal(message, options(web.url + "/services/T0/B0/key-in-the-path"))
    assert SECRET not in str(error)
    assert "key-in-the-path" not in str(error)
