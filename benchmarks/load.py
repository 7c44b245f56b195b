"""Load over HTTP: many clients at once (wrk), large batches, one request at a time."""

import asyncio
import json
import math
import multiprocessing
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count as count_from
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult

from benchmarks.open_loop import at_rate, request_bytes
from benchmarks.systems import Gateway
from taskyard.dev.install import ensure

_SCRIPT = Path(__file__).with_name("submit.lua")
_JSON = {"Content-Type": "application/json"}
_RESULT_WITHIN = 30.0
_LARGEST_BATCH = 10_000
_SETTLING = 2.0


class Target(Protocol):
    """Something that takes a POST to /v1/tasks."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def url(self) -> SplitResult:
        """Where it listens."""
        ...

    @property
    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        ...


class LoadFailed(Exception):
    """A request was refused or broke: the numbers of the run would not be comparable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a run of wrk saw."""

    accepted: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Accepted submissions a second."""
        return self.accepted / self.seconds


def wish(gateway: Gateway, data: str = "") -> dict[str, Any]:
    """Return a submission of the task that does nothing, with some text to carry."""
    return {"type": gateway.task_type, "args": {"n": 1, **({"data": data} if data else {})}}


def submit_at_once(gateway: Gateway, *, connections: int, seconds: int, data: str = "") -> Load:
    """Submit one task a request, over many connections, for some time."""
    return at_once(gateway, wish(gateway, data), connections=connections, seconds=seconds)


def at_once(target: Target, body: dict[str, Any], *, connections: int, seconds: int) -> Load:
    """Send a body again and again, over many connections, for some time."""
    url = f"{target.url.geturl()}/v1/tasks"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT), url]
    if shutil.which("wrk") is None:
        ensure("wrk")
    done = subprocess.run(
        [*command, "--", json.dumps(body), *target.headers.values()],
        check=True,
        capture_output=True,
        text=True,
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    if seen["refused"] or seen["broken"]:
        raise LoadFailed(f"{target.name}: {seen['refused']} refused, {seen['broken']} broken")
    return Load(accepted=seen["requests"], seconds=seen["microseconds"] / 1e6)


def submit_batches(gateway: Gateway, *, size: int, batches: int) -> float:
    """Submit batches one after the other; return the tasks accepted a second."""
    body = json.dumps({"tasks": [wish(gateway)] * size}).encode()
    client = _client(gateway)
    start = time.perf_counter()
    for _ in range(batches):
        reply = _exchange(gateway, client, "POST", "/v1/tasks/batch", body)
        if reply["accepted"] != size:
            raise LoadFailed(f"{gateway.name}: {reply['rejected']} of {size} were rejected")
    seconds = time.perf_counter() - start
    client.close()
    return size * batches / seconds


def submit_in_batches(gateway: Gateway, count: int) -> None:
    """Submit so many tasks in large batches."""
    for begin in range(0, count, _LARGEST_BATCH):
        submit_batches(gateway, size=min(_LARGEST_BATCH, count - begin), batches=1)


def round_trips(gateway: Gateway, *, count: int, data: str = "") -> tuple[list[float], float]:
    """Submit one task, read it until it has ended, submit the next.

    Returns the seconds from the start of each POST to the end of the first GET that shows the
    result, and the mean seconds from one GET to the next, which follows at once.
    """
    client = _client(gateway)
    body = json.dumps(wish(gateway, data)).encode()
    seconds: list[float] = []
    polls, polled = 0, 0.0
    for _ in range(count):
        start = time.perf_counter()
        path = f"/v1/tasks/{_exchange(gateway, client, 'POST', '/v1/tasks', body)['id']}"
        accepted = time.perf_counter()
        polls += _poll(gateway, client, path)
        end = time.perf_counter()
        seconds.append(end - start)
        polled += end - accepted
    client.close()
    return seconds, polled / polls


def _poll(gateway: Gateway, client: HTTPConnection, path: str) -> int:
    """Ask until the task has ended; return how often."""
    deadline = time.perf_counter() + _RESULT_WITHIN
    for polls in count_from(1):
        if gateway.has_ended(_exchange(gateway, client, "GET", path)):
            return polls
        if time.perf_counter() > deadline:
            break
    raise LoadFailed(f"{gateway.name}: no result at {path} in {_RESULT_WITHIN:g} s")


@contextmanager
def steady_load(gateway: Gateway, *, rate: float) -> Iterator[None]:
    """Submit at a rate beside the body, from a process of its own, and stop with the body."""
    body = json.dumps(wish(gateway)).encode()
    key = gateway.headers.get("Authorization", "").removeprefix("Bearer ")
    request = request_bytes(gateway.url, key, body)
    process = multiprocessing.get_context("spawn").Process(
        target=_submit_forever, args=(gateway.url, request, rate), daemon=True
    )
    process.start()
    try:
        time.sleep(_SETTLING)  # until the load is what it is meant to be
        yield
        if not process.is_alive():
            raise LoadFailed(f"{gateway.name}: the load beside it has ended")
    finally:
        process.terminate()
        process.join()


def _submit_forever(url: SplitResult, request: bytes, rate: float) -> None:
    asyncio.run(at_rate(url, request, rate=rate, seconds=math.inf, connections=64))


def _client(gateway: Gateway) -> HTTPConnection:
    if gateway.url.hostname is None:
        raise ValueError(f"{gateway.name} has no address")
    return HTTPConnection(gateway.url.hostname, gateway.url.port, timeout=60)


def _exchange(
    gateway: Gateway, client: HTTPConnection, method: str, path: str, body: bytes | None = None
) -> Any:
    client.request(method, path, body=body, headers={**_JSON, **gateway.headers})
    reply = client.getresponse()
    content = reply.read()
    if reply.status >= 400:
        raise LoadFailed(f"{method} {path}: {reply.status} {content[:300]!r}")
    return json.loads(content)
