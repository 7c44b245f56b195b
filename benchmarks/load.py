"""Load over HTTP: many clients at once (wrk), large batches, one request at a time."""

import json
import subprocess
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks.systems import Gateway

TASK = {"type": "bench.noop", "args": {"n": 1}}

_SCRIPT = Path(__file__).with_name("submit.lua")
_JSON = {"Content-Type": "application/json"}
_RESULT_WITHIN = 30.0


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


def submit_at_once(gateway: Gateway, *, connections: int, seconds: int) -> Load:
    """Submit one task a request, over many connections, for some time."""
    url = f"{gateway.url.geturl()}/v1/tasks"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT), url]
    done = subprocess.run(
        [*command, "--", json.dumps(TASK), *gateway.headers.values()],
        check=True,
        capture_output=True,
        text=True,
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    if seen["refused"] or seen["broken"]:
        raise LoadFailed(f"{gateway.name}: {seen['refused']} refused, {seen['broken']} broken")
    return Load(accepted=seen["requests"], seconds=seen["microseconds"] / 1e6)


def submit_batches(gateway: Gateway, *, size: int, batches: int) -> float:
    """Submit batches one after the other; return the tasks accepted a second."""
    body = json.dumps({"tasks": [TASK] * size}).encode()
    client = _client(gateway)
    start = time.perf_counter()
    for _ in range(batches):
        reply = _exchange(gateway, client, "POST", "/v1/tasks/batch", body)
        if reply["accepted"] != size:
            raise LoadFailed(f"{gateway.name}: {reply['rejected']} of {size} were rejected")
    seconds = time.perf_counter() - start
    client.close()
    return size * batches / seconds


def round_trips(gateway: Gateway, *, count: int) -> tuple[list[float], float]:
    """Submit one task, read it until it has ended, submit the next.

    Returns the seconds from the start of each POST to the end of the first GET that shows the
    result, and the mean seconds from one GET to the next, which follows at once.
    """
    client = _client(gateway)
    body = json.dumps(TASK).encode()
    seconds: list[float] = []
    polls, polled = 0, 0.0
    for _ in range(count):
        start = time.perf_counter()
        path = f"/v1/tasks/{_exchange(gateway, client, 'POST', '/v1/tasks', body)['id']}"
        accepted = time.perf_counter()
        while True:
            polls += 1
            if gateway.has_ended(_exchange(gateway, client, "GET", path)):
                break
            if time.perf_counter() - start > _RESULT_WITHIN:
                raise LoadFailed(f"{gateway.name}: no result at {path} in {_RESULT_WITHIN:g} s")
        end = time.perf_counter()
        seconds.append(end - start)
        polled += end - accepted
    client.close()
    return seconds, polled / polls


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
