"""An HTTP request as a job: what is sent, how arguments come into it, and what the answer has to be.

Arguments never become part of the text of an address or a header as they stand: `{name}` in the path or the query is
replaced by the percent-encoded argument, `{name}` in the body by the argument as JSON. Host and port take none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from urllib.parse import quote, urlsplit

from ..errors import BadDeclaration
from .addresses import literal_address, refused_address, refused_name, refused_port

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OWN_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "idempotency-key",
        "accept-encoding",
        "te",
        "upgrade",
    }
)
_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_CODES = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is sent: `body` is JSON data (None: none, or the arguments where the method takes a body). The answer has to
    have a status in `expect_status` ("200-299,304"), hold `expect_body`, and have at each path of `expect_json`
    ("data.0.state") that value. `allow_private` lets it reach addresses that are not of the public internet."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    expect_status: str = "200-299"
    expect_body: str | None = None
    expect_json: Mapping[str, Any] = field(default_factory=dict)
    allow_private: bool = False

    @property
    def lane(self) -> str:
        """The kind of executor that carries it out."""
        return "http"

    def to_text(self) -> str:
        """The JSON text that the job keeps; what has its default value is left out."""
        plain = HttpRequest("")
        data = {key: value for key, value in asdict(self).items() if value != getattr(plain, key)}
        return json.dumps({"http": data}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def from_text(text: str) -> HttpRequest:
    """Read what `to_text` wrote. BadDeclaration for what is none."""
    try:
        data = json.loads(text)["http"]
        known = {one.name for one in fields(HttpRequest)}
        return checked(HttpRequest(**{name: value for name, value in data.items() if name in known}))
    except (ValueError, KeyError, TypeError) as error:
        raise BadDeclaration(f"What is stored of this request cannot be read: {error}.") from error


def checked(request: HttpRequest) -> HttpRequest:
    """The request, once it can be meant. BadDeclaration says what is wrong and what to write."""
    if request.method not in METHODS:
        raise BadDeclaration(f"{request.method!r} is no method; write one of {', '.join(METHODS)}.")
    check_url(request.url)
    for name, value in request.headers.items():
        if not _NAME.fullmatch(name):
            raise BadDeclaration(f"{name[:40]!r} cannot name a header; write --header 'Name: value'.")
        if name.lower() in OWN_HEADERS:
            raise BadDeclaration(f"The header {name} is watchbell's own; leave it out.")
        text: object = value
        if not isinstance(text, str) or not value.isprintable() or not value.isascii():
            raise BadDeclaration(f"The value of the header {name} has to be one line of plain ASCII text.")
    status_ranges(request.expect_status)
    _check_json("body", request.body)
    _check_json("expect_json", dict(request.expect_json))
    if not isinstance(request.allow_private, bool):
        raise BadDeclaration(f"allow_private is true or false, not {request.allow_private!r}.")
    return request


def _check_json(name: str, value: Any) -> None:
    """Refuse what Python reads as JSON, and nobody else: NaN, and half a character. BadDeclaration."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise BadDeclaration(f"{name} has to be JSON that everybody can read: {str(error)[:120]}.") from error


def check_url(url: str) -> None:
    """Refuse what is no address of the web, or hides where it leads. BadDeclaration."""
    given: object = url
    if not isinstance(given, str) or not url.isprintable() or " " in url or "\\" in url or not url.isascii():
        raise BadDeclaration(
            f"{str(url)[:80]!r} is no address; write it in ASCII, without spaces, such as https://example.org/hook."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadDeclaration(f"{url[:80]!r} is no address: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadDeclaration(
            f"{url[:80]!r} is no address of the web; it begins with https:// or http:// and names a host."
        )
    if "@" in parts.netloc:
        raise BadDeclaration(
            "A name or a password in the address would be seen by everybody; write an Authorization header."
        )
    if _PLACE.search(parts.netloc) or "{" in parts.netloc:
        raise BadDeclaration(
            "An argument can stand in the path and the query of the address, not in its host."
        )
    if port == 0:
        raise BadDeclaration("There is no port 0.")


def refuse_forbidden(request: HttpRequest) -> None:
    """Refuse at once what every run of it would be refused for, where the address itself says so: a literal address, a name
    of the local network, a port. Where a name leads is judged when it is connected to. BadDeclaration."""
    parts = urlsplit(request.url)
    host, private = parts.hostname or "", request.allow_private
    port = parts.port or (443 if parts.scheme == "https" else 80)
    literal = literal_address(host)
    why = (
        refused_name(host, private)
        or refused_port(port, private)
        or (None if literal is None else refused_address(literal, private))
    )
    if why is None:
        return
    always = literal is not None and refused_address(literal, True) is not None
    hint = "" if always else " --allow-private, or allow_private=True, lets it go there."
    raise BadDeclaration(f"This request would never be sent: {why}.{hint}")


def status_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Statuses such as "200-299,304" as pairs. BadDeclaration says how to write them."""
    found = []
    for part in str(text).split(","):
        match = _CODES.fullmatch(part.strip())
        if match is None:
            raise BadDeclaration(
                f"{str(text)[:40]!r} names no statuses; write them like 200, 204 or 200-299,304."
            )
        low, high = int(match[1]), int(match[2] or match[1])
        if low > high:
            raise BadDeclaration(f"{part.strip()} holds no status; write the lower one first, {high}-{low}.")
        found.append((low, high))
    return tuple(found)


def needed(request: HttpRequest) -> tuple[str, ...]:
    """The names of the arguments that stand in the address and the body, each once."""
    found = _PLACE.findall(request.url) + _needed_in(request.body)
    return tuple(dict.fromkeys(found))


def _needed_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return _PLACE.findall(value)
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [name for item in items for name in _needed_in(item)]


def address(request: HttpRequest, args: Mapping[str, Any]) -> str:
    """The address with the arguments in it. BadDeclaration for one that is missing."""
    return _PLACE.sub(lambda found: _quoted(_argument(found[1], args)), request.url)


def _quoted(value: Any) -> str:
    text = quote(value if isinstance(value, str) else json.dumps(value), safe="")
    return text.replace(".", "%2E") if set(text) == {"."} else text  # a path of dots leads elsewhere


def _argument(name: str, args: Mapping[str, Any]) -> Any:
    if name not in args:
        raise BadDeclaration(
            f"The request needs the argument {name!r}: {{{name}}} stands in it, and the run has none."
        )
    return args[name]


def content(request: HttpRequest, args: Mapping[str, Any]) -> bytes | None:
    """The body as it is sent: the request's own with the arguments in it, else the arguments, where a body may be."""
    if request.body is not None:
        return json.dumps(_filled(request.body, args), ensure_ascii=False).encode("utf-8", "replace")
    if request.method in ("POST", "PUT", "PATCH") and args:
        return json.dumps(dict(args), ensure_ascii=False).encode("utf-8", "replace")
    return None


def _filled(value: Any, args: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        whole = _PLACE.fullmatch(value)
        if whole is not None:
            return _argument(whole[1], args)
        return _PLACE.sub(lambda found: _plain(_argument(found[1], args)), value)
    if isinstance(value, Mapping):
        return {key: _filled(item, args) for key, item in value.items()}
    return [_filled(item, args) for item in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def complaint(request: HttpRequest, status: int, body: bytes) -> str | None:
    """What is wrong with an answer, in words; None where it is as it should be."""
    if not any(low <= status <= high for low, high in status_ranges(request.expect_status)):
        return f"It answered {status}, and not {request.expect_status}."
    if request.expect_body is not None and request.expect_body.encode() not in body:
        return f"Its answer does not hold {request.expect_body[:80]!r}."
    if not request.expect_json:
        return None
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return "Its answer is no JSON."
    for path, wanted in request.expect_json.items():
        found, there = _at(data, path)
        if not there:
            return f"Its answer has nothing at {path}."
        if found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
            return f"At {path} its answer says {json.dumps(found)[:80]}, and not {json.dumps(wanted)[:80]}."
    return None


def _at(data: Any, path: str) -> tuple[Any, bool]:
    for step in path.split("."):
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None, False
    return data, True
