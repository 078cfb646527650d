"""Options of channels: what is taken, what is refused and with which words, what is shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.channel_options import HIDDEN, check_options, is_loopback, shown_options
from watchbell.errors import BadInput

MAIL: dict[str, Any] = {"host": "mail.example.org", "to": "ops@example.org"}
HOOK: dict[str, Any] = {"url": "https://example.org/alerts", "secret": "0123456789abcdef"}


def test_an_email_is_completed() -> None:
    assert check_options("email", MAIL) == {
        "host": "mail.example.org",
        "port": 587,
        "security": "starttls",
        "sender": "ops@example.org",
        "to": ["ops@example.org"],
    }


@pytest.mark.parametrize(
    ("more", "name", "value"),
    [
        ({"security": "tls"}, "port", 465),
        ({"security": "none", "host": "localhost"}, "port", 25),
        ({"security": "none", "host": "127.0.0.53"}, "port", 25),
        ({"security": "none", "host": "::1"}, "host", "::1"),
        ({"port": "2525"}, "port", 2525),
        ({"to": " a@b.org, c@d.org ,a@b.org\n"}, "to", ["a@b.org", "c@d.org"]),
        ({"to": ["a@b.org", "c@d.org"]}, "sender", "a@b.org"),
        ({"sender": "bell@example.org"}, "sender", "bell@example.org"),
        ({"user": "bell", "password": "s"}, "password", "s"),
        ({"ca_file": "ca.pem"}, "ca_file", "ca.pem"),
        ({"user": None, "password": ""}, "port", 587),
    ],
)  # fmt: skip
def test_what_an_email_may_say(more: dict[str, Any], name: str, value: object) -> None:
    found = check_options("email", {**MAIL, **more})
    assert found[name] == value
    assert check_options("email", found) == found


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"host": None}, "needs 'host'"),
        ({"to": ""}, "needs 'to'"),
        ({"to": ","}, "1 to 50 addresses"),
        ({"to": []}, "1 to 50 addresses"),
        ({"to": 5}, "no list of addresses"),
        ({"to": [5]}, "no mail address"),
        ({"to": [f"a{n}@b.org" for n in range(51)]}, "1 to 50 addresses"),
        ({"to": "ops"}, "no mail address"),
        ({"to": "Ops <ops@example.org>"}, "no mail address"),
        ({"to": "ops@example.org\r\nBcc: evil@example.org"}, "no mail address"),
        ({"sender": "zoë@example.org"}, "in ASCII"),
        ({"host": "mail.example.org:587"}, "no host name"),
        ({"host": "mail example"}, "no host name"),
        ({"host": "-x"}, "no host name"),
        ({"host": 5}, "is a text"),
        ({"port": 0}, "no port"),
        ({"port": 65536}, "no port"),
        ({"port": "smtp"}, "no port"),
        ({"port": True}, "no port"),
        ({"security": "ssl"}, "starttls, tls, none"),
        ({"security": "none"}, "in the clear"),
        ({"security": "none", "host": "localhost.example.org"}, "in the clear"),
        ({"user": "bell"}, "needs both"),
        ({"password": "s"}, "needs both"),
        ({"username": "bell"}, "no option 'username'"),
    ],
)  # fmt: skip
def test_what_an_email_may_not_say(more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        check_options("email", {**MAIL, **more})


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "http://10.0.0.5:8080/x?y=z",
        "http://[::1]:80/",
        "https://hooks.example.org/a/b/c",
    ],
)
def test_what_a_webhook_may_say(url: str) -> None:
    found = check_options("webhook", {**HOOK, "url": f" {url} "})
    assert found == {"url": url, "secret": HOOK["secret"]}
    assert check_options("webhook", found) == found


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"url": None}, "needs 'url'"),
        ({"url": "example.org/alerts"}, "no web address"),
        ({"url": "ftp://example.org/"}, "no web address"),
        ({"url": "https://"}, "no web address"),
        ({"url": "https:///alerts"}, "no web address"),
        ({"url": "https://example.org:99999/"}, "no web address"),
        ({"url": "https://[::1/"}, "no web address"),
        ({"url": "https://example.org/a b"}, "no web address"),
        ({"url": "https://example.org/\r\nX: y"}, "no web address"),
        ({"url": "https://exämple.org/"}, "no web address"),
        ({"url": "https://bell:pw@example.org/"}, "no place in a web address"),
        ({"url": "https://example.org/#here"}, "after '#'"),
        ({"secret": None}, "needs 'secret'"),
        ({"secret": "short"}, "at least 16 characters"),
        ({"secret": 1234567890123456}, "is a text"),
        ({"method": "PUT"}, "no option 'method'"),
    ],
)
def test_what_a_webhook_may_not_say(more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        check_options("webhook", {**HOOK, **more})


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="'pager'; there are email and webhook"):
        check_options("pager", {})


def test_secrets_are_never_shown() -> None:
    shown = shown_options("email", {**MAIL, "user": "bell", "password": "hunter2"})
    assert shown == {**MAIL, "user": "bell", "password": HIDDEN}
    assert shown_options("webhook", HOOK) == {"url": HOOK["url"], "secret": HIDDEN}
    assert shown_options("pager", {"token": "abc"}) == {"token": HIDDEN}


@pytest.mark.parametrize(
    ("host", "near"), [("LOCALHOST", True), ("127.9.9.9", True), ("0.0.0.0", False), ("", False)]
)
def test_only_this_machine_is_near(host: str, near: bool) -> None:
    assert is_loopback(host) is near


@given(st.sampled_from(("email", "webhook", "other")), st.dictionaries(
    st.sampled_from(("host", "to", "sender", "port", "url", "secret", "security", "x")),
    st.one_of(st.text(max_size=40), st.integers(), st.none(), st.lists(st.text(max_size=20), max_size=3)),
))  # fmt: skip
def test_no_options_whatever_raise_anything_but_a_sentence(kind: str, options: dict[str, Any]) -> None:
    said, found = "", None
    try:
        found = check_options(kind, options)
    except BadInput as error:
        said = str(error)
    if found is None:
        assert said.endswith(".")
    else:
        assert check_options(kind, found) == found
