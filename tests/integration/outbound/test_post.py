"""outbound/: what is dialled is what was looked at, and answers are short."""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from itertools import repeat
from typing import Any

import httpcore
import pytest
import trustme

from taskyard.core.addresses import Address
from taskyard.core.webhooks import Answer
from taskyard.outbound.dial import PublicNetwork, Resolve
from taskyard.outbound.post import open_poster
from tests.receiver import answer, receiving

LOOPBACK = (ip_network("127.0.0.0/8"),)
PUBLIC, HERE = ip_address("8.8.8.8"), ip_address("127.0.0.1")


class Unreachable(httpcore.AnyIOBackend):
    """Notes who is dialled. What is public does not answer in a test; loopback does."""

    def __init__(self) -> None:
        self.dialled: list[str] = []

    async def connect_tcp(self, host: str, port: int, *more: Any, **others: Any) -> Any:
        self.dialled.append(host)
        if not ip_address(host).is_loopback:
            raise httpcore.ConnectError("unreachable")
        return await super().connect_tcp(host, port, *more, **others)


def resolver(*answers: Sequence[Address]) -> Resolve:
    """Answers each question with the next of these."""
    left = iter(answers)

    async def resolve(host: str, port: int) -> Sequence[Address]:
        return next(left)

    return resolve


async def post(
    url: str, network: PublicNetwork | None = None, *, trust: ssl.SSLContext | None = None
) -> Answer:
    async with open_poster(network or PublicNetwork(allowed=LOOPBACK), trust=trust) as poster:
        return await poster.post(url, b"{}", {"webhook-id": "1"})


async def test_a_resolver_that_changes_its_mind_gets_no_connection() -> None:
    """Public at the first question, 127.0.0.1 at the second: nothing arrives at the socket."""
    dialled = Unreachable()
    network = PublicNetwork(resolve=resolver([PUBLIC], [HERE], [HERE, HERE]), inner=dialled)
    async with receiving() as receiver, open_poster(network) as poster:
        url = f"http://rebinding.example:{receiver.port}/"
        first, second, third = [await poster.post(url, b"{}", {}) for _ in range(3)]
        assert "unreachable" in (first.fault or "")
        assert "may not be called" in (second.fault or "")
        assert "may not be called" in (third.fault or "")
        assert dialled.dialled == ["8.8.8.8"]
        assert receiver.connections == 0


async def test_the_socket_would_have_taken_it() -> None:
    """The same with the filter open: the test above can fail."""
    network = PublicNetwork(allowed=LOOPBACK, resolve=resolver([HERE]))
    async with receiving() as receiver:
        assert (await post(f"http://rebinding.example:{receiver.port}/", network)).status == 200
        assert receiver.connections == 1


async def test_of_several_addresses_only_the_public_are_dialled() -> None:
    """And the next one when one does not answer."""
    dialled = Unreachable()
    other = ip_address("2606:4700::1")
    found = resolver([HERE, PUBLIC, ip_address("10.0.0.1"), other, ip_address("::1")])
    await post("http://mixed.example/", PublicNetwork(resolve=found, inner=dialled))
    assert dialled.dialled == ["8.8.8.8", "2606:4700::1"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "0",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
    ],
)
async def test_no_way_to_write_loopback_gets_a_connection(host: str) -> None:
    """With the resolver of the system."""
    async with receiving() as receiver:
        found = await post(f"http://{host}:{receiver.port}/", PublicNetwork())
        assert "may not be called" in (found.fault or ""), found
        assert receiver.connections == 0


async def test_redirects_are_not_followed() -> None:
    """Where it leads to is not even asked."""
    async with receiving() as receiver, receiving() as inside:
        receiver.answers = repeat(answer("302 Found", f"Location: {inside.url}"))
        assert (await post(receiver.url)).status == 302
        assert (receiver.connections, inside.connections) == (1, 0)


async def test_a_long_answer_is_cut() -> None:
    """64 KiB are read and 1 KiB is kept, of an answer that never ends."""
    async with receiving() as receiver:
        whole = answer("200 OK", body=b"")[:-4].replace(b"Content-Length: 0\r\n", b"")
        receiver.answers = repeat(whole + b"\r\n\r\n" + b"\0\xff" + b"x" * 1_000_000)
        found = await post(receiver.url)
    assert found.status == 200
    assert found.body == "\ufffd\ufffd" + "x" * 1022


@pytest.mark.parametrize("trickles", [True, False], ids=["trickles", "says nothing"])
async def test_who_never_ends_an_answer_is_left(trickles: bool) -> None:
    """However many bytes come one by one, and with none at all."""
    async with (
        receiving() as receiver,
        open_poster(PublicNetwork(allowed=LOOPBACK), within=0.3) as poster,
    ):
        receiver.trickles = trickles
        receiver.answers = repeat(b"HTTP/1.1 200 OK\r\nServer: slow\r\n")
        if not trickles:
            receiver.free.clear()
        async with asyncio.timeout(20):
            found = await poster.post(receiver.url, b"{}", {})
    assert (found.status, found.fault) == (None, "there was no whole answer within 0.3 s")


async def test_retry_after_is_read() -> None:
    """Seconds or a date; nonsense is nothing."""
    async with receiving() as receiver:
        sent: Iterable[str] = ("120", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-5")
        receiver.answers = iter([answer("503 Busy", f"Retry-After: {each}") for each in sent])
        found = [(await post(receiver.url)).retry_after for _ in sent]
    assert found == [timedelta(minutes=2), timedelta(0), None, None]


async def test_what_is_no_http_is_a_fault() -> None:
    """Never an exception."""
    async with receiving() as receiver:
        receiver.answers = iter([b"SSH-2.0-OpenSSH\r\n", b""])
        for _ in range(2):
            assert "the connection failed" in ((await post(receiver.url)).fault or "")
    assert "the connection failed" in ((await post(receiver.url)).fault or "")


async def test_tls_is_verified_by_name_though_an_address_is_dialled() -> None:
    """The certificate must be of the host in the URL, by an authority that is trusted."""
    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("hooks.example").configure_cert(served)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with receiving(tls=served) as receiver:

        def network() -> PublicNetwork:
            return PublicNetwork(allowed=LOOPBACK, resolve=resolver([HERE]))

        good = await post(f"https://hooks.example:{receiver.port}/a", network(), trust=trust)
        assert good.status == 200
        assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"
        for host, trusting in (("other.example", trust), ("hooks.example", None)):
            found = await post(f"https://{host}:{receiver.port}/", network(), trust=trusting)
            assert "certificate verify failed" in (found.fault or "")
        assert len(receiver.requests) == 1
