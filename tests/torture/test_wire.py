"""The proxy sees a COMMIT go up, however it is cut into pieces on its way."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torture.nodes.wire import Kind, Upward


def startup(code: int = 196608) -> bytes:
    return struct.pack("!II", 8, code)


def message(letter: bytes, body: bytes) -> bytes:
    return letter + struct.pack("!I", len(body) + 4) + body


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def parse(text: str) -> bytes:
    return message(b"P", b"\0" + text.encode() + b"\0\0\0")


BIND, EXECUTE, SYNC = (
    message(b"B", b"\0\0\0\0\0\0\0\0"),
    message(b"E", b"\0\0\0\0\0"),
    message(b"S", b""),
)


def kinds(*messages: bytes) -> list[Kind]:
    upward = Upward()
    return [kind for piece in (startup(), *messages) for _, kind in upward.feed(piece)][1:]


def test_a_commit_in_one_message() -> None:
    assert kinds(query("BEGIN; SET LOCAL a = 1"), query("COMMIT")) == [Kind.OTHER, Kind.COMMIT]


def test_a_commit_in_the_extended_protocol_is_one_piece() -> None:
    upward = Upward()
    upward.feed(startup())
    for part in (parse("COMMIT"), BIND, EXECUTE):
        assert upward.feed(part) == []
    assert upward.feed(SYNC) == [(parse("COMMIT") + BIND + EXECUTE + SYNC, Kind.COMMIT)]


def test_the_end_of_a_transaction_that_only_reads_is_none() -> None:
    begins = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    assert kinds(query(begins), query("COMMIT"), query("BEGIN"), query("COMMIT")) == [
        Kind.OTHER,
        Kind.OTHER,
        Kind.OTHER,
        Kind.COMMIT,
    ]


def test_a_word_in_a_statement_is_none() -> None:
    assert kinds(query("INSERT INTO t VALUES ('COMMIT')"), query("ROLLBACK")) == [Kind.OTHER, Kind.OTHER]


@pytest.mark.parametrize("code", [80877103, 80877104])
def test_a_request_for_encryption_comes_before_the_session(code: int) -> None:
    upward = Upward()
    assert upward.feed(startup(code) + startup() + query("COMMIT")) == [
        (startup(code), Kind.OTHER),
        (startup(), Kind.OTHER),
        (query("COMMIT"), Kind.COMMIT),
    ]


@given(st.lists(st.integers(1, 40), max_size=40))
def test_nothing_is_lost_or_changed_however_it_is_cut(cuts: list[int]) -> None:
    session = (
        startup() + query("BEGIN") + parse("SELECT 1") + BIND + EXECUTE + SYNC + query("COMMIT") + query("x")
    )
    upward, found, rest = Upward(), [], session
    for cut in [*cuts, len(session)]:
        found += upward.feed(rest[:cut])
        rest = rest[cut:]
    assert b"".join(piece for piece, _ in found) == session
    assert [kind for _, kind in found].count(Kind.COMMIT) == 1
