"""What waiting costs in memory: an idle worker child, and a client that waits for a task."""

import asyncio
import json
import resource
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from statistics import median

import psutil

from benchmarks.adapters.taskyard import Taskyard
from benchmarks.load import LoadFailed, wish
from benchmarks.open_loop import Exchange
from benchmarks.report import Sheet
from benchmarks.systems import descendants

_MIB = 2**20
_BATCH = 10_000
_WATCHED_WITHIN = 120.0


def children(workers: Mapping[str, Sequence[int]]) -> Sheet:
    """Return the memory of each system's idle worker children, by the workers' process ids."""
    rows = []
    for name, pids in workers.items():
        below = [each for pid in pids for each in psutil.Process(pid).children(recursive=True)]
        found = below or [psutil.Process(pid) for pid in pids]
        own = [each.memory_full_info().uss / _MIB for each in found]
        shared = [each.memory_full_info().pss / _MIB for each in found]
        rows.append((name, len(found), median(own), median(shared)))
    return Sheet(
        title="memory of an idle worker child",
        columns=("system", "processes", "own MiB (USS)", "with its share (PSS) MiB"),
        rows=rows,
        note="Medians. A worker with one process counts as its own child.",
    )


def workers_of(system: Taskyard) -> list[int]:
    """Return the worker of the first pool."""
    words = ["worker", system.pools[0].name]
    found = descendants(system.process.pid, marked="worker")
    return [each.pid for each in found if each.cmdline()[-2:] == words]


def waiting(system: Taskyard, count: int) -> Sheet:
    """Let many clients wait for a task each; return what that adds to the API's memory."""
    _allow_files(2 * count + 1_000)
    ids = _submit_delayed(system, count)
    before = _api_memory(system)
    after = asyncio.run(_while_waiting(system, ids))
    system.clear()
    return Sheet(
        title=f"memory of {count:,} clients that wait",
        columns=("clients", "API before MiB", "API while they wait MiB", "KiB for each"),
        rows=[(count, before, after, (after - before) * 1024 / count)],
        note="Unique memory (USS) of all processes of the API; each client waits by long polling.",
    )


def _submit_delayed(system: Taskyard, count: int) -> list[str]:
    ids: list[str] = []
    client = HTTPConnection(str(system.url.hostname), system.url.port, timeout=60)
    for begin in range(0, count, _BATCH):
        task = {**wish(system), "delay": "1h"}
        body = json.dumps({"tasks": [task] * min(_BATCH, count - begin)})
        headers = {"Content-Type": "application/json", **system.headers}
        client.request("POST", "/v1/tasks/batch", body=body, headers=headers)
        ids += [each["id"] for each in json.load(client.getresponse())["items"]]
    client.close()
    return ids


async def _while_waiting(system: Taskyard, ids: Sequence[str]) -> float:
    """Return the API's memory once somebody waits for each task.

    Raises LoadFailed when a client is answered before: its memory would not be counted.
    """
    loop, host, port = (
        asyncio.get_running_loop(),
        str(system.url.hostname),
        int(system.url.port or 0),
    )
    opened: list[Exchange] = []
    answered: list[int] = []
    for each in ids:
        _, exchange = await loop.create_connection(Exchange, host, port)
        exchange.send(_long_poll(system, each), lambda status, _body: answered.append(status))
        opened.append(exchange)
    async with asyncio.timeout(_WATCHED_WITHIN):
        while _watched(system) < len(ids) and not answered:  # noqa: ASYNC110 - asks the database
            await asyncio.sleep(0.1)
    if answered:
        raise LoadFailed(f"{system.name}: who was to wait was answered {answered[0]}")
    found = _api_memory(system)
    for exchange in opened:
        exchange.close()
    return found


def _long_poll(system: Taskyard, task: str) -> bytes:
    lines = [f"GET /v1/tasks/{task}?wait=60 HTTP/1.1", f"Host: {system.url.netloc}"]
    lines += [f"{name}: {value}" for name, value in system.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _watched(system: Taskyard) -> int:
    row = system.database.execute("SELECT count(*) FROM tasks WHERE watched").fetchone()
    return int(row[0]) if row else 0


def _api_memory(system: Taskyard) -> float:
    found = descendants(system.process.pid, marked="api")
    below = [child for each in found for child in each.children(recursive=True)]
    return float(sum(each.memory_full_info().uss for each in {*found, *below})) / _MIB


def _allow_files(count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
