"""Where a request of ours may go: judged by the address that is connected to, never by the name that led there.

Names lie: a public one may have a private address, and another one at the next look. So the name is resolved once, each
of its addresses is judged, and exactly the one that was judged is connected to.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_METADATA = tuple(
    ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32")
)
"""Where clouds tell a machine its secrets; link-local as a whole. Never allowed."""
_SIX_TO_FOUR = ip_network("2002::/16")
_NAT64 = ip_network("64:ff9b::/96")
PORTS_FROM = 1024


def refused_name(host: str, allow_private: bool) -> str | None:
    """Why a name is refused before it is resolved; None if it is not."""
    name = host.rstrip(".").lower()
    local = name.endswith((".local", ".localhost", ".internal", ".home.arpa")) or name in (
        "localhost",
        "local",
    )
    if local and not allow_private:
        return f"{name} is a name of the local network"
    return None


def refused_port(port: int, allow_private: bool) -> str | None:
    """Why a port is refused: of those that are reserved, the web has two."""
    if port in (80, 443) or port >= PORTS_FROM or allow_private:
        return None
    return f"port {port} belongs to no web server; 80, 443 and those from {PORTS_FROM} on are allowed"


def refused_address(text: str, allow_private: bool) -> str | None:
    """Why an address is refused; None if it may be connected to."""
    try:
        address = _inner(ip_address(text.partition("%")[0]))
    except ValueError:
        return f"{text[:60]!r} is no address"
    if any(address in network for network in _METADATA):
        return f"{text} is link-local or tells a machine its secrets, which is never allowed"
    if address.is_multicast or address.is_unspecified or (address.is_reserved and not address.is_private):
        return f"{text} is the address of no single machine"
    if not address.is_global and not allow_private:
        return f"{text} is not of the public internet"
    return None


def literal_address(host: str) -> str | None:
    """The address that a host is by itself, whatever way it is written (127.1, 0x7f000001); None for a name."""
    text = host.strip("[]").partition("%")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    try:
        *heads, last = map(_old_number, text.split("."))
        if len(heads) > 3 or any(head > 255 for head in heads) or last >= 1 << 8 * (4 - len(heads)):
            return None
        return str(IPv4Address(sum(head << 8 * (3 - place) for place, head in enumerate(heads)) + last))
    except ValueError:
        return None


def _old_number(text: str) -> int:
    """A part of an address as the C library reads it: 0x7f, 0177 or 127."""
    if not text.isascii() or not text.isalnum():
        raise ValueError(text)
    if text[:2].lower() == "0x":
        return int(text, 0)
    return int(text, 8 if text.startswith("0") and text != "0" else 10)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address that is meant, where one of the old world is wrapped in one of the new."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _SIX_TO_FOUR:
            return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
        if address.teredo is not None:
            return address.teredo[1]
        if int(address) >> 32 == 0 and int(address) > 1:  # ::a.b.c.d
            return IPv4Address(int(address))
    return address
