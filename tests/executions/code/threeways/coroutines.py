"""Pool asyncio: what the tests run, as coroutines, and what only coroutines can do."""

import asyncio
import os
import random
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from celery import current_task
from celery.exceptions import SoftTimeLimitExceeded

from taskyard import Interrupted, Permanent, Retry, current, task
from threeways.functions import passed, seen


@task("asyncio.echo")
async def echo(value: Any = None) -> Any:
    """Return what was sent."""
    return value


@task("asyncio.fail")
async def fail(message: str = "no", permanent: bool = False) -> None:
    """Fail, for good or not."""
    await asyncio.sleep(0)
    raise Permanent(message) if permanent else ValueError(message)


@task("asyncio.second")
async def second() -> int:
    """Succeed at the second attempt."""
    if current.attempt < 2:
        raise Retry("not yet", after=0.05)
    return current.attempt


@task("asyncio.celery_retry", bind=True, max_retries=5)
async def celery_retry(self: Any) -> int:
    """Succeed at the second attempt, in Celery's own way."""
    await asyncio.sleep(0)
    if self.request.retries < 1:
        raise self.retry(countdown=0.05)
    return current.attempt


@task("asyncio.divide")
async def divide() -> float:
    """Fail with an error that the routing table calls permanent."""
    return 1 / 0


@task("asyncio.odd_result")
async def odd_result(kind: str) -> Any:
    """Return what cannot be stored."""
    return {"object": object(), "nul": "a\0b", "large": "x" * 2_000_000}[kind]


@task("asyncio.who", bind=True)
async def who(self: Any) -> list[Any]:
    """Return what each of them takes for the task that runs here, after all have had their turn."""
    for _ in range(5):
        await asyncio.sleep(random.random() / 50)

    async def asked() -> list[Any]:
        await asyncio.sleep(random.random() / 50)
        return [current.task_id, self.request.id, current_task.request.id, current_task.name]

    here = await asked()
    beside = await asyncio.create_task(asked())
    thread = await asyncio.to_thread(lambda: [current.task_id, self.request.id])
    return here if here == beside and here[:2] == thread else [here, beside, thread]


@task("asyncio.exit")
async def leave() -> None:
    """Call sys.exit, as a command line tool would."""
    await asyncio.sleep(0)
    sys.exit(3)


@task("asyncio.hungry")
async def hungry() -> None:
    """Run out of memory."""
    raise MemoryError


@task("asyncio.obey")
async def obey(path: str) -> None:
    """Run until cancelled, and write to a file what was seen of it."""
    try:
        for step in range(10_000):
            current.progress(step / 10_000, "at work")
            await asyncio.sleep(0.01)
    except Interrupted as interrupted:
        seen(path, f"{interrupted} {current.cancelled}")
        raise


@task("asyncio.silent")
async def silent(path: str) -> None:
    """Wait for ever without a word, in a task group, and write down what ended it."""
    try:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            passed(path, "in")
    except Interrupted as interrupted:
        async with asyncio.timeout(1):  # which still tells its own cancellation from ours
            await asyncio.sleep(0.01)
        passed(path, f"{interrupted}:")
        raise


@task("asyncio.nap")
async def nap(seconds: float) -> int:
    """Take so long."""
    await asyncio.sleep(seconds)
    return current.attempt


@task("asyncio.later")
async def later(seconds: float) -> None:
    """Ask to run again so much later."""
    raise Retry(after=seconds)


@task("asyncio.stuck")
async def stuck() -> None:
    """Run until a time limit ends it."""
    await asyncio.sleep(60)


@task("asyncio.deaf")
async def deaf() -> None:
    """Hear nothing for ever."""
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


@task("asyncio.stubborn")
async def stubborn() -> None:
    """Run through the soft time limit, and through every other cancellation."""
    while True:
        try:
            await asyncio.sleep(60)
        except (SoftTimeLimitExceeded, asyncio.CancelledError):
            continue


@task("asyncio.write")
async def write(table: str, end: str = "well") -> int:
    """Write a row in the finishing transaction, and end as told in the first attempt."""
    async with current.transaction() as connection:
        await connection.execute(f"INSERT INTO {table} VALUES (%s)".encode(), (current.task_id,))
    if current.attempt == 1 and end == "error":
        raise ValueError("not yet")
    return current.attempt


@task("asyncio.write_badly")
async def write_badly(table: str) -> str:
    """Write a row, and return what cannot be stored."""
    async with current.transaction() as connection:
        await connection.execute(f"INSERT INTO {table} VALUES (%s)".encode(), (current.task_id,))
    return "a\0b"


@task("asyncio.steps")
async def steps() -> dict[str, Any]:
    """Come to a step twice, with a fresh value each time it is really done."""

    async def draw() -> str:
        await asyncio.sleep(0)
        return os.urandom(8).hex()

    drawn = await current.once("draw", draw)
    if current.attempt == 1:
        raise Retry(drawn, after=0.05)
    return {"drawn": drawn, "key": current.effect_key("charge")}


@task("asyncio.talk")
async def talk(lines: int) -> None:
    """Say some lines, and how far it is."""
    current.log("begun")
    current.progress(0.5, "talking")
    for n in range(lines):
        current.log(f"line {n}", n=n)
        await asyncio.sleep(0.05)
    current.progress(0.9, "done soon")
    current.log("last words")


@task("asyncio.pass")
async def pass_through(path: str, seconds: float) -> None:
    """Write down when it began and ended: a test counts what ran at once."""
    passed(path, "in")
    await asyncio.sleep(seconds)
    passed(path, "out")


_together: set[str] = set()
_all_here = asyncio.Event()


@task("asyncio.gather")
async def gather(many: int) -> int:
    """Wait until so many run at once; return in how many threads."""
    _together.add(f"{current.task_id} {threading.get_ident()}")
    if len(_together) == many:
        _all_here.set()
    await _all_here.wait()
    return len({each.split()[1] for each in _together})


@task("asyncio.plain", bind=True)
def plain(self: Any) -> list[Any]:
    """Return, from a plain function, where it runs and what it takes itself for."""
    time.sleep(0.05)
    return [current.task_id, self.request.id, threading.current_thread().name]


@task("asyncio.itself")
async def itself() -> None:
    """Be cancelled by its own hand."""
    current_asyncio_task = asyncio.current_task()
    assert current_asyncio_task is not None
    current_asyncio_task.cancel()
    await asyncio.sleep(1)


@task("asyncio.hog")
async def hog(seconds: float) -> None:
    """Block the loop."""
    time.sleep(seconds)  # noqa: ASYNC251 - it is what must not be done


@task("asyncio.wrongly")
async def wrongly() -> None:
    """Ask for a transaction in a way that would block all others."""
    with current.transaction():
        pass
