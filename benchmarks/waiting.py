"""What waiting costs: submit-and-wait, a thousand who wait, a thousand streams.

    export TASKYARD_ROUTING=benchmarks/deployment/routing
    export TASKYARD_WORKERS=benchmarks/deployment/workers
    taskyard up -- python -m benchmarks.waiting

Prints JSON: seconds, and the share of one core that the API's processes used.
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
    tasks = [await submit(http, delay="1h") for _ in range(CROWD)]
    waiting = [asyncio.create_task(http.get(f"/v1/tasks/{task}?wait=60")) for task in tasks]
    async with await psycopg.AsyncConnection.connect(DATABASE, autocommit=True) as connection:
        while True:
            cursor = await connection.execute("SELECT count(*) FROM tasks WHERE watched")
            if (await cursor.fetchone() or (0,))[0] >= CROWD:
                break
            await asyncio.sleep(0.1)
        share = await quiet(QUIET)
        await connection.execute(ENDED)
        began = time.perf_counter()
    states = [response.json()["state"] for response in await asyncio.gather(*waiting)]
    took = time.perf_counter() - began
    assert states == ["cancelled"] * CROWD
    return {"waiting": CROWD, "cpu_share": share, "all_answered_s": took}


async def streams(http: httpx.AsyncClient) -> dict[str, float]:
    """Open a thousand streams, and see how soon all of them tell of one change."""
    heard, opened = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def listen() -> None:
        async with http.stream("GET", "/v1/stream", params={"state": "scheduled"}) as response:
            async for line in response.aiter_lines():
                if line.startswith("retry"):
                    opened.release()
                if line.startswith("event: change"):
                    heard.release()

    listening = [asyncio.create_task(listen()) for _ in range(CROWD)]
    for _ in range(CROWD):
        await opened.acquire()
    share = await quiet(QUIET)
    beside = await submit_and_wait(http)
    began = time.perf_counter()
    await submit(http, delay="1h")
    for _ in range(CROWD):
        await heard.acquire()
    took = time.perf_counter() - began
    for task in listening:
        task.cancel()
    await asyncio.wait(listening)
    return {"streams": CROWD, "cpu_share": share, "all_heard_s": took, "beside": beside}  # type: ignore[dict-item]


async def main() -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=API, timeout=120, limits=limits) as http:
        found = {
            "submit_and_wait": await submit_and_wait(http),
            "crowd": await crowd(http),
            "streams": await streams(http),
            "load": os.getloadavg(),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
