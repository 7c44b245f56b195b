"""What waiting costs: submit-and-wait, a thousand who wait, a thousand streams.

    export TASKYARD_ROUTING=benchmarks/deployment/routing
    export TASKYARD_WORKERS=benchmarks/deployment/workers
    taskyard up -- python -m benchmarks.waiting

Prints JSON lines: seconds, and the share of one core that the API's processes used.
"""

import asyncio
import json
import os
import statistics
import time
from typing import Any

import httpx
import psutil
import psycopg

BEARER = f"Bearer {os.environ.get('TASKYARD_API_KEY', '')}"
API = os.environ.get("TASKYARD_API_URL", "http://127.0.0.1:8000")
DATABASE = os.environ.get("TASKYARD_DATABASE_URL", "")
RATE, REQUESTS, CROWD, QUIET = 20, 400, 1000, 15.0
ENDED = """
UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE state = 'scheduled'"""


def api_processes() -> list[psutil.Process]:
    """Return the API's processes, beside which this one runs."""
    found = psutil.Process(os.getppid()).children(recursive=True)
    return [each for each in found if each.cmdline()[-2:] == ["taskyard", "api"]]


def cpu_seconds() -> float:
    return sum(sum(each.cpu_times()[:2]) for each in api_processes())


async def ask(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a GET over a connection of its own. A pool of a thousand would measure the client."""
    place = httpx.URL(API)
    reader, writer = await asyncio.open_connection(place.host, place.port)
    head = f"GET {path} HTTP/1.1\r\nHost: {place.host}\r\nAuthorization: {BEARER}\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


async def submit(http: httpx.AsyncClient, **more: Any) -> str:
    body = {"type": "bench.noop", "args": {"n": 1}, **more}
    return str((await http.post("/v1/tasks", json=body)).raise_for_status().json()["id"])


async def submit_and_wait(http: httpx.AsyncClient) -> dict[str, float]:
    """Submit at a steady rate, each waiting for its end; return the quantiles in milliseconds."""
    took: list[float] = []

    async def one() -> None:
        began = time.perf_counter()
        body = {"type": "bench.noop", "args": {"n": 1}}
        response = await http.post("/v1/tasks", json=body, headers={"Prefer": "wait=30"})
        assert response.status_code == 200, response.text
        took.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(one() for _ in range(20)))
    took.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(REQUESTS):
            group.create_task(one())
            await asyncio.sleep(1 / RATE)
    took.sort()
    return {"p50_ms": statistics.median(took), "p99_ms": took[int(len(took) * 0.99)]}


async def quiet(seconds: float) -> float:
    """Return which share of a core the API uses while nothing happens."""
    before = cpu_seconds()
    await asyncio.sleep(seconds)
    return (cpu_seconds() - before) / seconds


async def crowd(http: httpx.AsyncClient) -> dict[str, float]:
    """Let a thousand wait for a task each, which then end together."""
    body = {"tasks": [{"type": "bench.noop", "args": {"n": 1}, "delay": "1h"}] * CROWD}
    items = (await http.post("/v1/tasks/batch", json=body)).json()["items"]
    asked = [await ask(f"/v1/tasks/{item['id']}?wait=60") for item in items]
    answers = [asyncio.create_task(reader.readuntil(b"}}")) for reader, _ in asked]
    async with await psycopg.AsyncConnection.connect(DATABASE, autocommit=True) as connection:
        while True:
            cursor = await connection.execute("SELECT count(*) FROM tasks WHERE watched")
            if (await cursor.fetchone() or (0,))[0] >= CROWD:
                break
            await asyncio.sleep(0.1)
        share = await quiet(QUIET)
        await connection.execute(ENDED)
        began = time.perf_counter()
    assert all(b'"state":"cancelled"' in answer for answer in await asyncio.gather(*answers))
    took = time.perf_counter() - began
    for _, writer in asked:
        writer.close()
    return {"waiting": CROWD, "cpu_share": share, "all_answered_s": took}


async def streams(http: httpx.AsyncClient) -> dict[str, Any]:
    """Open a thousand streams, and see how soon all of them tell of one change."""
    asked = [await ask("/v1/stream?state=scheduled") for _ in range(CROWD)]
    for reader, _ in asked:
        await reader.readuntil(b"retry: 2000")
    heard = [asyncio.create_task(reader.readuntil(b"event: change")) for reader, _ in asked]
    share = await quiet(QUIET)
    beside = await submit_and_wait(http)
    began = time.perf_counter()
    await submit(http, delay="1h")
    await asyncio.gather(*heard)
    took = time.perf_counter() - began
    for _, writer in asked:
        writer.close()
    return {"streams": CROWD, "cpu_share": share, "all_heard_s": took, "beside": beside}


async def main() -> None:
    async with httpx.AsyncClient(
        base_url=API, timeout=120, headers={"Authorization": BEARER}
    ) as http:
        for measure in (submit_and_wait, crowd, streams):
            found = await measure(http)
            print(json.dumps({measure.__name__: found, "load": os.getloadavg()[0]}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
