"""Pool quick: tasks that do what a test wants to see."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from taskyard import Interrupted, Permanent, Retry, Throttled, current, task
from tinytasks.passage import stay
from tinytasks.spans import own_span


@task("quick.echo")
def echo(value: Any = None) -> Any:
    """Return what was sent."""
    return value


@task("quick.brief")
def brief(value: Any = None) -> Any:
    """Like echo, but kept for a second only."""
    return value


@task("quick.small")
def small(value: str = "") -> str:
    """Like echo, for few bytes."""
    return value


@task("quick.wait")
def wait(path: str) -> str:
    """Open a FIFO and return what comes: a test decides when the task ends."""
    current.progress(0.5, "waiting")
    with open(path) as fifo:
        return fifo.read()


@task("quick.note")
def note(path: str, line: str) -> None:
    """Add a line to a file, in one write: an effect that a test can count."""
    with open(path, "a") as notes:
        notes.write(f"{line}\n")


@task("quick.fail")
def fail(message: str = "no", permanent: bool = False) -> None:
    """Fail, for good or not."""
    if permanent:
        raise Permanent(message)
    raise ValueError(message)


@task("quick.second")
def second() -> int:
    """Succeed at the second attempt."""
    if current.attempt < 2:
        raise Retry("not yet", after=0.05)
    return current.attempt


@task("quick.celery_retry", bind=True, max_retries=5)
def celery_retry(self: Any) -> int:
    """Succeed at the second attempt, in Celery's own way."""
    if current.attempt < 2:
        raise self.retry(countdown=0.05)
    return current.attempt


@task("quick.autoretry", autoretry_for=(KeyError,), retry_backoff=False, default_retry_delay=0)
def autoretry(value: int = 1) -> int:
    """Succeed at the second attempt, through autoretry_for."""
    if current.attempt < 2:
        raise KeyError(value)
    return current.attempt


@task("quick.crash")
def crash() -> None:
    """Kill the process that runs it."""
    os.kill(os.getpid(), signal.SIGKILL)


@task("quick.stuck")
def stuck() -> None:
    """Run until a time limit ends it."""
    signal.pause()
    signal.pause()


@task("quick.odd_result")
def odd_result(kind: str) -> Any:
    """Return what cannot be stored."""
    return {"object": object(), "nul": "a\0b", "large": "x" * 2_000_000}[kind]


@task("quick.divide")
def divide() -> float:
    """Fail with an error that the routing table calls permanent."""
    return 1 / 0


@task("quick.obey")
def obey(path: str) -> None:
    """Run until cancelled, and write to a file what was seen of it."""
    try:
        for step in range(10_000):
            current.progress(step / 10_000, "at work")
            time.sleep(0.01)
    except Interrupted as interrupted:
        Path(path).write_text(f"{interrupted} {current.cancelled}")
        raise


@task("quick.deaf")
def deaf(path: str) -> None:
    """Say that it runs, and hear nothing for ever."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()} {os.getppid()} {current.attempt}\n")
    while True:
        time.sleep(60)


@task("quick.stubborn")
def stubborn() -> None:
    """Run through the soft time limit."""
    while True:
        try:
            time.sleep(60)
        except SoftTimeLimitExceeded:
            continue


@task("quick.hungry")
def hungry() -> None:
    """Run out of memory."""
    raise MemoryError


@task("quick.exit")
def leave() -> None:
    """Call sys.exit, as a command line tool would."""
    sys.exit(3)


@task("quick.nap")
def nap(seconds: float) -> int:
    """Take so long."""
    time.sleep(seconds)
    return current.attempt


@task("quick.later")
def later(seconds: float) -> None:
    """Ask to run again so much later."""
    raise Retry(after=seconds)


@task("quick.pay")
def pay(path: str) -> None:
    """Do what must not happen twice, and die."""
    with open(path, "a") as file:
        file.write("paid\n")
    os.kill(os.getpid(), signal.SIGKILL)


@task("quick.write")
def write(table: str, end: str = "well") -> int:
    """Write a row in the finishing transaction, and end as told in the first attempt."""
    with current.transaction() as connection:
        connection.execute(f"INSERT INTO {table} VALUES (%s)".encode(), (current.task_id,))
    if current.attempt == 1 and end == "error":
        raise ValueError("not yet")
    if current.attempt == 1 and end == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return current.attempt


@task("quick.write_async")
async def write_async(table: str, end: str = "well") -> int:
    """Do the same in an async function."""
    async with current.transaction() as connection:
        await connection.execute(f"INSERT INTO {table} VALUES (%s)".encode(), (current.task_id,))
    if current.attempt == 1 and end == "error":
        raise ValueError("not yet")
    if current.attempt == 1 and end == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return current.attempt


@task("quick.write_badly")
def write_badly(table: str) -> str:
    """Write a row, and return what cannot be stored."""
    with current.transaction() as connection:
        connection.execute(f"INSERT INTO {table} VALUES (%s)".encode(), (current.task_id,))
    return "a\0b"


@task("quick.slow_echo")
def slow_echo(path: str, seconds: float) -> int:
    """Say that it runs, take so long, and return which attempt it was."""
    with open(path, "a") as file:
        file.write("begun\n")
    time.sleep(seconds)
    return current.attempt


@task("quick.steps")
def steps() -> dict[str, Any]:
    """Come to a step twice, with a fresh value each time it is really done."""
    drawn = current.once("draw", lambda: os.urandom(8).hex())
    if current.attempt == 1:
        raise Retry(drawn, after=0.05)
    return {"drawn": drawn, "key": current.effect_key("charge")}


@task("quick.confide")
def confide(word: str) -> str:
    """Say a word in everything in which a task can say one."""
    current.log(f"log {word}", field=word)
    current.progress(0.5, f"progress {word}")
    current.once("memo", lambda: word)
    if current.attempt < 2:
        raise ValueError(f"error {word}")
    return f"result {word}"


@task("quick.talk")
def talk(lines: int) -> None:
    """Say some lines, and how far it is."""
    current.log("begun")
    current.progress(0.5, "talking")
    for n in range(lines):
        current.log(f"line {n}", n=n)
        time.sleep(0.1)
    current.log("last words")


@task("quick.mutter")
def mutter(path: str) -> None:
    """Say two lines, and then nothing for as long as a test wants."""
    current.log("one")
    current.log("two")
    with open(path) as fifo:
        fifo.read()


@task("quick.hurry")
def hurry(path: str | None = None) -> None:
    """Tell of progress three times at once, and then end, or wait for as long as a test wants."""
    for step in (1, 2, 3):
        current.progress(step / 3, f"step {step}")
    if path is not None:
        with open(path) as fifo:
            fifo.read()


@task("quick.babble")
def babble() -> None:
    """Say far too much, and what cannot be stored."""
    for n in range(5000):
        current.log(f"line {n}")
    current.log("nul \0")
    current.log("surrogate", bad="\ud800")
    current.log("large", bad="x" * 10_000)
    current.log("y" * 2000, at=object())


@task("quick.pass")
def pass_through(path: str, seconds: float) -> None:
    """Write down when it began and ended: a test counts what ran at once."""
    stay(path, seconds)


@task("quick.stamp")
def stamp(path: str) -> None:
    """Write down when it ran."""
    with open(path, "a") as file:
        file.write(f"{time.time()}\n")


@task("quick.overdo")
def overdo() -> int:
    """Be throttled once, and find out that an unknown budget cannot be spoken of."""
    if current.attempt == 1:
        raise Throttled("fragile", retry_after=0.1)
    try:
        current.resource("narrow").throttled()
    except LookupError:
        return current.attempt
    return 0


@task("quick.traced")
def traced() -> str:
    """Do a part of the work in a span of its own."""
    return own_span()


@task("quick.traced_async")
async def traced_async() -> str:
    """The same in a coroutine."""
    return own_span()
