"""Which addresses and host names a webhook may lead to.

What is not public is refused, by the special-purpose registries of IANA (RFC 6890 and those after
it), and so is every form in which an IPv6 address carries an IPv4 address. What is in an allowed
network is not.
"""

import re
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Said here and not left to is_global, whose answers differ between releases of Python.
_REFUSED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), why)
    for text, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::ffff:0:0/96", "an IPv4 address in IPv6"),
        ("::ffff:0:0:0/96", "an IPv4 address in IPv6"),
        ("::/96", "loopback, unspecified or an IPv4 address in IPv6"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("100::/64", "discard-only"),
        ("2001::/23", "Teredo or reserved for protocols"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")  # all that IANA has given out for unicast
_NUMERIC = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)


def address_problem(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Return why nothing may be sent to an address, or None when it may."""
    if any(address in network for network in allowed):
        return None
    for network, why in _REFUSED:
        if address in network:
            return f"{address} is not public ({why})"
    if isinstance(address, IPv6Address) and address not in _PUBLIC_V6:
        return f"{address} is not public (not given out)"
    return None


def host_problem(host: str, allowed: Sequence[Network] = ()) -> str | None:
    """Return why nothing may be sent to a host as it is written, or None. Names are not resolved.

    Numbers that only some resolvers take for addresses are refused whatever is allowed: 127.1,
    0x7f.1, 017700000001, 2130706433 (WHATWG URL, section 3.5, "ends in a number").
    """
    try:
        return address_problem(ip_address(host), allowed)
    except ValueError:
        pass
    labels = host.removesuffix(".").split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return f"{host[:64]!r} is an odd way to write an address"
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return f"{host[:64]!r} is not a host name"
    return None
