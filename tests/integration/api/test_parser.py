"""Bodies that are no JSON, or JSON with traps, to every address that takes a body."""

import gzip
import json
from collections.abc import Iterator
from uuid import UUID

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from taskyard.api.operations import OPERATIONS
from tests.serving import Served

NOBODY = str(UUID(int=1))  # names no task, webhook, delivery or event
TASK = b'{"type": "calm.add", "args": {"a": 1, "b": 2}}'

CORPUS: dict[str, bytes] = {
    "nothing but space": b" \t\r\n ",
    "a byte order mark": b"\xef\xbb\xbf" + TASK,
    "UTF-16": json.dumps({"type": "calm.add"}).encode("utf-16"),
    "UTF-32": json.dumps({"type": "calm.add"}).encode("utf-32"),
    "bytes that are no UTF-8": b'{"type": "calm.add", "args": {"a": "\xff\xfe"}}',
    "an overlong encoding": b'{"type": "calm.add", "args": {"a": "\xc0\xaf"}}',
    "a surrogate in UTF-8": b'{"type": "calm.add", "args": {"a": "\xed\xa0\x80"}}',
    "half a surrogate pair": rb'{"type": "calm.add", "args": {"a": "\ud800"}}',
    "the other half": rb'{"type": "calm.add", "args": {"\udfff": 1}}',
    "a NUL": rb'{"type": "calm.add", "args": {"a": "\u0000"}}',
    "a NUL in a key": rb'{"type": "calm.add", "args": {"\u0000": 1}}',
    "a bare NUL": b'{"type": "calm.add"\0}',
    "a bare line break": b'{"type": "calm\n.add"}',
    "NaN": b'{"type": "calm.add", "args": {"a": NaN}}',
    "infinity": b'{"type": "calm.add", "args": {"a": -Infinity}}',
    "a float beyond a double": b'{"type": "calm.add", "args": {"a": 1e400}}',
    "an integer beyond 64 bits": b'{"type": "calm.add", "args": {"a": 18446744073709551616}}',
    "an integer of 100,000 digits": b'{"type": "calm.add", "args": {"a": ' + b"9" * 100_000 + b"}}",
    "a leading zero": b'{"type": "calm.add", "args": {"a": 01}}',
    "hexadecimal": b'{"type": "calm.add", "args": {"a": 0x1}}',
    "a key twice": b'{"type": "calm.add", "type": "calm.add"}',
    "a key twice, one escaped": rb'{"type": "calm.add", "ty\u0070e": "calm.add"}',
    "arrays, 100,000 deep": b"[" * 100_000,
    "arrays, 33 deep": b'{"type": "calm.add", "args": {"a": ' + b"[" * 33 + b"]" * 33 + b"}}",
    "objects, 50,000 deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "truncated": TASK[:-1],
    "truncated in a string": TASK[:12],
    "truncated in an escape": rb'{"type": "calm.add\u00',
    "two values": TASK + TASK,
    "a comma behind the last": b'{"type": "calm.add",}',
    "a comment": b'{"type": "calm.add" /* */}',
    "single quotes": b"{'type': 'calm.add'}",
    "no object": b"[[]]",
    "null": b"null",
    "a number": b"1",
    "a string": b'"calm.add"',
    "a key of a million characters": b'{"' + b"k" * 1_000_000 + b'": 1}',
    "a type of a million characters": b'{"type": "' + b"a" * 1_000_000 + b'"}',
    "fields that are others": b'{"type": {"type": "calm.add"}, "args": "calm.add"}',
    "a prototype": b'{"__proto__": {}, "type": "calm.add"}',
    "what kombu would decode": b'{"type": "calm.add", "__type__": "decimal", "__value__": "x"}',
    "a gzip bomb, not announced": gzip.compress(b" " * 50_000_000, 9),
    "a form": b"type=calm.add&args=1",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
}

TAKE_A_BODY = [
    (each.method, each.path, tuple(each.body)) for each in OPERATIONS if each.body is not None
]
COUNTED = ("tasks", "inbox_events", "parked_events", "webhooks", "audit_log", "idempotency_keys")


@pytest.fixture(scope="module")
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers=served.headers, timeout=30) as client:
        yield client


@pytest.fixture
def stored(served_database: str) -> Iterator[dict[str, int]]:
    """How much was stored before the test; afterwards it is as much."""
    with psycopg.connect(served_database, autocommit=True) as connection:

        def count() -> dict[str, int]:
            found = (
                connection.execute(f"SELECT count(*) FROM {name}".encode()) for name in COUNTED
            )
            return dict(zip(COUNTED, (int(each.fetchone()[0]) for each in found), strict=True))  # type: ignore[index]

        before = count()
        yield before
        assert count() == before


def send(http: httpx.Client, method: str, path: str, body: bytes, **headers: str) -> httpx.Response:
    address = "/".join(NOBODY if part.startswith("{") else part for part in path.split("/"))
    return http.request(method, address, content=body, headers=headers)


def refused(response: httpx.Response) -> bool:
    """A problem in words, not a fault of ours."""
    return (
        400 <= response.status_code < 500
        and response.headers["Content-Type"] == "application/problem+json"
        and bool(response.json()["detail"])
    )


@pytest.mark.parametrize(("method", "path", "media"), TAKE_A_BODY, ids=str)
def test_every_trap_is_refused_in_words_and_stores_nothing(
    http: httpx.Client,
    stored: dict[str, int],
    method: str,
    path: str,
    media: tuple[str, ...],
) -> None:
    """4xx, whatever it is sent as."""
    for name, body in CORPUS.items():
        for kind in media if "ndjson" not in str(media) else ("application/json",):
            response = send(http, method, path, body, **{"Content-Type": kind})
            assert refused(response), f"{name} as {kind}: {response.status_code} {response.text}"


@pytest.mark.parametrize(("method", "path", "media"), TAKE_A_BODY, ids=str)
def test_what_is_sent_as_something_else_is_refused(
    http: httpx.Client,
    stored: dict[str, int],
    method: str,
    path: str,
    media: tuple[str, ...],
) -> None:
    """Also good JSON: it is not guessed what a body might be."""
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        headers = {"Content-Type": kind} if kind else {}
        response = send(http, method, path, TASK, **headers)
        assert response.status_code == 415, f"{kind}: {response.status_code} {response.text}"
    encoded = {"Content-Type": media[0], "Content-Encoding": "gzip"}
    response = send(http, method, path, gzip.compress(b" " * 50_000_000), **encoded)
    assert response.status_code == 415, response.text


def test_a_bad_line_of_a_batch_spoils_no_other(http: httpx.Client, served_database: str) -> None:
    """Each trap is an error of its own, on one line of NDJSON."""
    lines = [body for body in CORPUS.values() if b"\n" not in body and len(body) < 60_000]
    lines = [line for line in lines if line.strip()] + [TASK]
    media = {"Content-Type": "application/x-ndjson"}
    answer = http.post("/v1/tasks/batch", content=b"\n".join(lines), headers=media).json()
    # `two values` holds no line break either: it is one bad line.
    assert (answer["accepted"], answer["rejected"]) == (1, len(lines) - 1)
    assert all("error" in item for item in answer["items"][:-1])


# Fields that exist, so that what Hypothesis makes comes further than to the first unknown one.
NAMES = st.sampled_from(
    ["type", "args", "priority", "delay", "run_at", "expires_in", "deadline", "labels", "tasks",
     "notify_url", "filter", "all", "limit", "rate", "dry_run", "after", "before", "match",
     "cursor", "url", "events", "description", "disabled", "overlap", "specversion", "id",
     "source", "data"]
) | st.text(max_size=8)  # fmt: skip
SCALARS = (
    st.none()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=30)
    | st.sampled_from(["9999999d", "-1s", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "P1D"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
BODIES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize(("method", "path", "media"), TAKE_A_BODY, ids=str)
def test_nothing_that_hypothesis_makes_is_a_fault_of_ours(
    http: httpx.Client,
    stored: dict[str, int],
    method: str,
    path: str,
    media: tuple[str, ...],
) -> None:
    """JSON with our own fields and wild values, and bytes: 4xx only, and nothing is stored."""

    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(body=BODIES, kind=st.sampled_from(media))
    def explore(body: bytes, kind: str) -> None:
        response = send(http, method, path, body, **{"Content-Type": kind})
        # Lines of NDJSON have outcomes of their own; a batch of CloudEvents may be empty.
        of_its_own = response.status_code == 202 and ("ndjson" in kind or body == b"[]")
        assert of_its_own or refused(response), f"{response.status_code} {response.text}"

    explore()
