"""The options of `schedule add` that describe an HTTP request, and what they are read as."""

from __future__ import annotations

import json
from typing import Any

import click

from ..core.http_request import METHODS, HttpRequest
from ..errors import BadInput
from .setup import several

ONLY_HTTP = ("method", "header", "body", "expect_status", "expect_body", "expect_json", "allow_private")

http_options = several(
    click.option(
        "--http", metavar="URL", help="Send an HTTP request; {name} in its path or query is an argument."
    ),
    click.option("--method", type=click.Choice(METHODS), help="Else GET, and POST with --body."),
    click.option("--header", multiple=True, metavar="'NAME: VALUE'", help="A header; may be repeated."),
    click.option("--body", metavar="JSON", help="What is sent, as JSON."),
    click.option(
        "--expect-status", metavar="N,N-N", help="The statuses that count as success; else 200-299."
    ),
    click.option("--expect-body", metavar="TEXT", help="What the answer has to hold."),
    click.option(
        "--expect-json",
        multiple=True,
        metavar="PATH=JSON",
        help="What it has to say there, such as data.0.state='\"up\"'.",
    ),
    click.option("--allow-private", is_flag=True, help="Let it reach addresses of your own network."),
)


def request_of(given: dict[str, Any]) -> HttpRequest | None:
    """The request that is given; None without --http. BadInput for options that go with nothing else."""
    if given["http"] is None:
        for name in ONLY_HTTP:
            if given[name]:
                raise BadInput(f"--{name.replace('_', '-')} goes with --http URL.")
        return None
    headers = {}
    for text in given["header"]:
        name, colon, value = text.partition(":")
        if not colon:
            raise BadInput(f"--header {text[:60]!r} is no header; write --header 'Name: value'.")
        headers[name.strip()] = value.strip()
    body = None if given["body"] is None else _json(given["body"], "--body")
    expected = {}
    for text in given["expect_json"]:
        path, sign, value = text.partition("=")
        if not sign or not path:
            raise BadInput(
                f"--expect-json {text[:60]!r} is no pair; write --expect-json data.state='\"up\"'."
            )
        expected[path] = _json(value, "--expect-json")
    return HttpRequest(
        url=given["http"],
        method=given["method"] or ("GET" if body is None else "POST"),
        headers=headers,
        body=body,
        expect_status=given["expect_status"] or "200-299",
        expect_body=given["expect_body"],
        expect_json=expected,
        allow_private=given["allow_private"],
    )


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{option} {text[:60]!r} is no JSON ({error}); a text stands in double quotes."
        ) from None
