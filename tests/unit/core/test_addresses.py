"""core/addresses.py: nothing leads inside."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.core.addresses import address_problem, host_problem

INSIDE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
    "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1",
    "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::a00:1", "100::1", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2002:7f00:1::1", "3fff::1", "4000::1",
    "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1",
    "2a00:1450::1",
]  # fmt: skip
ODD = [
    "0x7f.1", "0x7f000001", "2130706433", "127.1", "127.0.1", "0177.0.0.1", "017700000001",
    "127.0.0.1.", "0x7f.0x0.0x0.0x1", "1", "a.b.1", "10.0.0.0x1", "256.256.256.256", "127.0.0.01",
]  # fmt: skip


@pytest.mark.parametrize("text", INSIDE)
def test_what_is_inside_is_refused(text: str) -> None:
    """As an address and as a host, and the sentence names it."""
    assert str(ip_address(text)) in (address_problem(ip_address(text)) or "")
    assert host_problem(text)


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public_is_not(text: str) -> None:
    """Right beside the refused networks, too."""
    assert address_problem(ip_address(text)) is None
    assert host_problem(text) is None


@pytest.mark.parametrize("text", ODD)
def test_odd_ways_to_write_an_address_are_refused_whatever_is_allowed(text: str) -> None:
    """Some resolvers take them for addresses, others for names."""
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert "odd way" in (host_problem(text, everything) or "")


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "-a.example", "a b", "a/b", "x" * 64, "é.example"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    """It is never resolved."""
    assert host_problem(text)


@pytest.mark.parametrize(
    "text", ["example.com", "example.com.", "a-b.c_d.example", "xn--9ca.example"]
)
def test_names_are_left_to_the_resolver(text: str) -> None:
    """What they stand for is looked at when they are dialled."""
    assert host_problem(text) is None


def test_an_allowed_network_is_allowed_in_its_own_form_only() -> None:
    """127.0.0.0/8 does not open the IPv6 forms of it."""
    loopback = (ip_network("127.0.0.0/8"),)
    assert address_problem(ip_address("127.0.0.1"), loopback) is None
    for text in ("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "::1", "10.0.0.1"):
        assert address_problem(ip_address(text), loopback)


@given(st.ip_addresses())
def test_what_python_calls_private_is_refused_too(address: IPv4Address | IPv6Address) -> None:
    """Our table is at least as strict as that of the standard library."""
    if address_problem(address) is None:
        assert address.is_global
        assert not address.is_multicast
