"""What a request may be at most, and what becomes of one that is more, slower or broken off."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.api import body as body_module
from taskyard.api import listening
from taskyard.api.body import LARGEST_BODY, BodyLimits, limits
from taskyard.api.front import LARGEST_HEADERS, LONGEST_TARGET
from taskyard.core.routing import RoutingTable, TaskDefaults
from tests.application import api
from tests.serving import Served, serving
from tests.stack import until

KEY = b"<the key>"  # stands for one that is valid
POST = (
    b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer " + KEY + b"\r\n"
)
GET = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
TASK = b'{"type":"calm.add"}    '  # 23 bytes


def say(served: Served, request_bytes: bytes, *, then_end: bool = False) -> bytes:
    return served.say(request_bytes.replace(KEY, served.key.encode()), then_end=then_end)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def code_of(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["code"])


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        pytest.param(
            POST + b"Content-Length: 99999999\r\n\r\n{", 413, "payload-too-large", id="announced"
        ),
        pytest.param(
            CHUNKED + b"180000\r\n" + b" " * 0x180000 + b"\r\n0\r\n\r\n", 413, "payload-too-large",
            id="chunked",
        ),
        pytest.param(
            POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", 415,
            "unsupported-media-type", id="gzip",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 415,
            "unsupported-media-type", id="transfer-gzip",
        ),
        pytest.param(CHUNKED + b"ZZ\r\n", 400, "malformed-body", id="bad-chunk"),
        pytest.param(CHUNKED + b"17\r\n" + TASK + b"XX0", 400, "malformed-body", id="framing"),
        pytest.param(
            CHUNKED + b"17;" + b"x" * 20_000 + b"\r\n" + TASK + b"\r\n0\r\n\r\n", 400,
            "malformed-body", id="chunk-extension",
        ),
        pytest.param(
            CHUNKED + b"17\r\n" + TASK + b"\r\n0\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", 400,
            "malformed-body", id="trailers",
        ),
        pytest.param(
            b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "bad-request", id="no-host"
        ),
        pytest.param(GET + b"Host: b\r\n\r\n", 400, "bad-request", id="two-hosts"),
        pytest.param(
            GET.replace(b"/livez", b"/livez?" + b"x" * LONGEST_TARGET) + b"\r\n", 414,
            "uri-too-long", id="target",
        ),
        pytest.param(
            GET + b"X: " + b"y" * LARGEST_HEADERS + b"\r\n\r\n", 431, "headers-too-large",
            id="header",
        ),
    ],
)  # fmt: skip
def test_what_is_too_much_or_not_http_is_refused_in_words(
    served: Served, request_bytes: bytes, status: int, code: str
) -> None:
    """A problem with a code of its own, on the real server, never a 500."""
    answer = say(served, request_bytes)
    assert (status_of(answer), code_of(answer)) == (status, code)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(GET + b"X: y\r\n" * 101 + b"\r\n", 431, id="101-headers"),
        pytest.param(GET.replace(b"/livez", b"/" + b"x" * 70_000) + b"\r\n", 414, id="long-target"),
        pytest.param(GET + b"X: " + b"y" * 500_000 + b"\r\n\r\n", 431, id="500-kB-header"),
        pytest.param(
            POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ", 400, id="lengths"
        ),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n", 400, id="negative"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, id="http-2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", 400, id="tls"),
    ],
)
def test_the_server_refuses_the_rest_by_itself(
    served: Served, request_bytes: bytes, status: int
) -> None:
    """What granian never shows the application: this is what it is relied on for."""
    answer = say(served, request_bytes)
    assert (status_of(answer) if status else answer) == (status or b"")


IMPATIENT = """
from taskyard.bootstrap import api
from taskyard.cli import app
api._HEADERS_WITHIN = 300
app(["api"])"""


def test_headers_that_come_drop_by_drop_or_never_are_cut(served_database: str) -> None:
    """From the first moment on, and also between two requests; here after 0.3 s instead of 30."""
    with serving(served_database, start=("-c", IMPATIENT)) as impatient:
        assert impatient.say(b"", drops=b"") == b""
        assert impatient.say(GET + b"X: ", drops=b"y") == b""
        answered = GET.replace(b"Connection: close\r\n", b"") + b"\r\n"
        assert status_of(impatient.say(answered)) == 200


def test_a_stranger_is_refused_before_the_body_is_read(served: Served) -> None:
    """Nobody without a key can have 64 MiB kept for them."""
    batch = CHUNKED.replace(b"/v1/tasks", b"/v1/tasks/batch").replace(KEY, b"tk_nobody")
    assert status_of(served.say(batch)) == 401


def test_a_body_that_breaks_off_stores_nothing(served: Served, served_database: str) -> None:
    """The JSON is whole already; the body is not."""
    with psycopg.connect(served_database, autocommit=True) as connection:
        before = connection.execute("SELECT count(*) FROM tasks").fetchone()
        say(served, POST + b"Content-Length: 100\r\n\r\n" + TASK, then_end=True)
        say(served, CHUNKED + b"17\r\n" + TASK + b"\r\n", then_end=True)
        assert status_of(say(served, POST + b"Content-Length: 23\r\n\r\n" + TASK)) == 202
        assert before is not None
        after = connection.execute("SELECT count(*) FROM tasks").fetchone()
    assert after == (before[0] + 1,)


@pytest.fixture
async def http(database_url: str) -> AsyncIterator[HttpClient]:
    async with api(database_url) as client:
        yield client


async def test_a_body_that_comes_drop_by_drop_is_cut(
    http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408, although something always came: the time grows with the bytes, not with the drops."""
    monkeypatch.setattr(body_module, "FIRST_SECONDS", 0.3)
    headers = {"Content-Type": "application/json", "Content-Length": "1000"}
    async with http.request("/v1/tasks", method="POST", headers=headers) as sending:

        async def drip() -> None:
            while True:
                await sending.send(b" ")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(10):
            answer = await sending.receive()
        dripping.cancel()
    assert json.loads(answer)["code"] == "request-timeout"


async def test_a_large_body_may_take_its_time(
    http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the first seconds, as long as enough of it comes."""
    monkeypatch.setattr(body_module, "FIRST_SECONDS", 0.3)
    text = json.dumps({"tasks": [{"type": "a.b"}], "pad": "x" * 100_000}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(text))}
    async with http.request("/v1/tasks/batch", method="POST", headers=headers) as sending:
        for at in range(0, len(text), 20_000):
            await sending.send(text[at : at + 20_000])
            await asyncio.sleep(0.1)
        await sending.send_complete()
        answer = await sending.receive()
    assert json.loads(answer)["errors"][0]["pointer"] == "/pad"


def test_each_route_has_its_own_limit() -> None:
    """A submission needs less than a batch, what reads needs next to nothing."""
    small = BodyLimits(submission=1000)
    assert small.of("POST", "/v1/tasks", "application/json") == 1000
    assert small.of("POST", "/v1/tasks/batch", "application/json") == LARGEST_BODY
    assert small.of("POST", "/v1/events", "application/json") == 1024 * 1024
    assert small.of("POST", "/v1/events", "application/cloudevents-batch+json") == LARGEST_BODY
    assert small.of("GET", "/v1/tasks/batch", "") < 100_000


def test_a_type_with_large_arguments_raises_the_limit_of_submissions() -> None:
    """Else what its routing entry allows could not be sent."""
    large = TaskDefaults(max_args=8 * 1024 * 1024)
    table = RoutingTable(pools={}, defaults={"a.b": large})
    assert limits(table).submission > 16 * 1024 * 1024
    assert limits(RoutingTable(pools={}, defaults={})).submission == 1024 * 1024


def test_a_client_that_takes_nothing_is_cut_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set on the listening socket holds for each connection it takes."""
    monkeypatch.setattr(listening, "UNREAD_FOR", 300)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listening.cut_silent_readers(port) == 1
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0] as ours:
            ended: list[OSError] = []
            writing = threading.Thread(target=lambda: ended.extend(_write_until_cut(ours)))
            writing.start()
            until(lambda: ended, within=15)
            writing.join()
    assert isinstance(ended[0], TimeoutError | ConnectionResetError)


def _write_until_cut(ours: socket.socket) -> Iterator[OSError]:
    try:
        while True:
            ours.sendall(b"x" * 65536)
    except OSError as error:
        yield error
