"""What a task costs, counted and not timed: statements, commits, WAL and frames of AMQP.

Taskyard runs behind two proxies that count what passes; the load is the same as elsewhere.
"""

import asyncio
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks.adapters.taskyard import Taskyard
from benchmarks.load import submit_at_once, submit_batches
from benchmarks.report import Sheet
from benchmarks.systems import IDLE_WITHIN
from taskyard.drill.proxy import open_proxy
from taskyard.drill.wire import PostgresEar

_SETTLING = 1.0
_FRAME_END = b"\xce"
_COUNTED = {(60, 40): "publish", (60, 80): "ack"}
_COLUMNS = (
    "submitted", "tasks", "statements", "commits", "WAL bytes", "frames sent", "publishes", "acks",
)  # fmt: skip


@dataclass(slots=True)
class Counts:
    """What has passed so far, by name."""

    of: Counter[str] = field(default_factory=Counter)
    statements: Counter[str] = field(default_factory=Counter)  # by the first line


class StatementEar(PostgresEar):
    """Counts statements."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def hear(self, data: bytes) -> list[str]:
        """Count what was asked to run."""
        said = super().hear(data)
        self._counts.of["statements"] += len(said)
        self._counts.statements.update(each.partition("\n")[0] for each in said)
        return said


class FrameEar:
    """Counts the frames that a client sends (AMQP 0-9-1, section 2.3.5), and two of its methods."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._pending = b""
        self._header = 8  # bytes of the protocol header, before the first frame

    def hear(self, data: bytes) -> list[str]:
        """Count whole frames."""
        self._pending += data
        if self._header and len(self._pending) >= self._header:
            self._pending, self._header = self._pending[self._header :], 0
        while not self._header and len(self._pending) >= 7:
            kind, _channel, size = struct.unpack_from("!BHI", self._pending)
            if len(self._pending) < size + 8:
                break
            self._count(kind, self._pending[7 : 7 + size])
            self._pending = self._pending[size + 8 :]
        return []

    def _count(self, kind: int, payload: bytes) -> None:
        self._counts.of["frames"] += 1
        if kind == 1:
            method: tuple[int, int] = struct.unpack_from("!HH", payload)
            if method in _COUNTED:
                self._counts.of[_COUNTED[method]] += 1


@contextmanager
def counted(database_url: str, amqp_url: str) -> Iterator[tuple[Counts, str, str]]:
    """Stand before both servers; yield what is counted, and the URLs to use instead."""
    counts, loop = Counts(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxies", daemon=True)
    thread.start()
    stack = AsyncExitStack()

    def before(url: str, ear: Callable[[Counts], Any]) -> str:
        place = urlsplit(url)
        target = (str(place.hostname), int(place.port or 0))
        opening = stack.enter_async_context(open_proxy(target, lambda: ear(counts)))
        proxy = asyncio.run_coroutine_threadsafe(opening, loop).result()
        return url.replace(f":{place.port}/", f":{proxy.port}/")

    try:
        yield counts, before(database_url, StatementEar), before(amqp_url, FrameEar)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def cost(system: Taskyard, counts: Counts, *, tasks: int, seconds: int) -> Sheet:
    """Count for tasks over one connection, over 32, and in batches."""

    def at_once() -> int:
        return submit_at_once(system, connections=32, seconds=seconds).accepted

    def one_by_one() -> int:
        return submit_at_once(system, connections=1, seconds=seconds).accepted

    def in_a_batch() -> int:
        submit_batches(system, size=1_000, batches=max(1, tasks // 1_000))
        return max(1, tasks // 1_000) * 1_000

    ways = {
        "over one connection": one_by_one,
        "over 32 connections": at_once,
        "in batches of 1,000": in_a_batch,
    }
    return Sheet(
        title="cost of a task from its submission to its result, counted",
        columns=_COLUMNS,
        rows=[_row(name, system, counts, work) for name, work in ways.items()],
        note="By task, without what the roles do while nothing happens. Frames are those that we "
        "send: a publish has three. Aimed at: at most 4 statements outside batches.",
    )


def _row(name: str, system: Taskyard, counts: Counts, work: Callable[[], int]) -> Sequence[Any]:
    _wait_ended(system)
    resting = _passing(system, counts, lambda: time.sleep(_SETTLING * 2))
    tasks = 0

    def all_of_it() -> None:
        nonlocal tasks
        tasks = work()
        _wait_ended(system)

    working = _passing(system, counts, all_of_it)
    lasted = working["seconds"] / resting["seconds"]
    ours = (working.get(key, 0.0) - resting.get(key, 0.0) * lasted for key in _KEYS)
    return (name, tasks, *(max(0.0, each) / tasks for each in ours))


def _wait_ended(system: Taskyard) -> None:
    """Return when all tasks have ended; asked rarely, as the questions are counted as well."""
    deadline = time.monotonic() + IDLE_WITHIN
    while system.unfinished():
        if time.monotonic() > deadline:
            raise TimeoutError("what was counted did not end")
        time.sleep(_SETTLING)


_KEYS = ("statements", "commits", "wal", "frames", "publish", "ack")
_SERVER = """
SELECT xact_commit, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
FROM pg_stat_database WHERE datname = current_database()"""


def _passing(system: Taskyard, counts: Counts, work: Callable[[], None]) -> dict[str, float]:
    """Return what has passed while some work was done, and how long that took."""
    before, began = _now(system, counts), time.monotonic()
    work()
    after = _now(system, counts)
    return {
        **{key: after[key] - before.get(key, 0) for key in after},
        "seconds": time.monotonic() - began,
    }


def _now(system: Taskyard, counts: Counts) -> dict[str, float]:
    time.sleep(_SETTLING)  # backends report what they did once a second (PGSTAT_MIN_INTERVAL)
    row = system.database.execute(_SERVER).fetchone()
    assert row is not None
    return {"commits": row[0], "wal": row[1], **counts.of}
