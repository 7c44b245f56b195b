"""What the tests run, as plain functions."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import current_task
from celery.exceptions import SoftTimeLimitExceeded

from taskyard import Interrupted, Permanent, Retry, current, task


def passed(path: str, what: str) -> None:
    """Write down what an attempt does, and when, by the clock of the machine."""
    with open(path, "a") as file:
        file.write(f"{time.monotonic()} {what} {current.task_id}\n")


def seen(path: str, what: str) -> None:
    """Leave word of it."""
    Path(path).write_text(what)


def echo(value: Any = None) -> Any:
    """Return what was sent."""
    return value


def fail(message: str = "no", permanent: bool = False) -> None:
    """Fail, for good or not."""
    raise Permanent(message) if permanent else ValueError(message)


def second() -> int:
    """Succeed at the second attempt."""
    if current.attempt < 2:
        raise Retry("not yet", after=0.05)
    return current.attempt


def celery_retry(self: Any) -> int:
    """Succeed at the second attempt, in Celery's own way."""
    if self.request.retries < 1:
        raise self.retry(countdown=0.05)
    return current.attempt


def divide() -> float:
    """Fail with an error that the routing table calls permanent."""
    return 1 / 0


def odd_result(kind: str) -> Any:
    """Return what cannot be stored."""
    return {"object": object(), "nul": "a\0b", "large": "x" * 2_000_000}[kind]


def who(self: Any) -> list[Any]:
    """Return what each of them takes for the task that runs here."""
    return [current.task_id, self.request.id, current_task.request.id, current_task.name]


def leave() -> None:
    """Call sys.exit, as a command line tool would."""
    sys.exit(3)


def hungry() -> None:
    """Run out of memory."""
    raise MemoryError


def obey(path: str) -> None:
    """Run until cancelled, and write to a file what was seen of it."""
    try:
        for step in range(10_000):
            current.progress(step / 10_000, "at work")
            time.sleep(0.01)
    except Interrupted as interrupted:
        seen(path, f"{interrupted} {current.cancelled}")
        raise


def nap(seconds: float) -> int:
    """Take so long."""
    time.sleep(seconds)
    return current.attempt


def later(seconds: float) -> None:
    """Ask to run again so much later."""
    raise Retry(after=seconds)


def stuck() -> None:
    """Run until a time limit ends it."""
    time.sleep(60)


def deaf() -> None:
    """Hear nothing for ever."""
    while True:
        time.sleep(60)


def stubborn() -> None:
    """Run through the soft time limit."""
    while True:
        try:
            time.sleep(60)
        except SoftTimeLimitExceeded:
            continue


def write(table: str, end: str = "well") -> int:
    """Write a row in the finishing transaction, and end as told in the first attempt."""
    with current.transaction() as connection:
        connection.execute(f"INSERT INTO {table} VALUES (%s)".encode(), (current.task_id,))
    if current.attempt == 1 and end == "error":
        raise ValueError("not yet")
    return current.attempt


def write_badly(table: str) -> str:
    """Write a row, and return what cannot be stored."""
    with current.transaction() as connection:
        connection.execute(f"INSERT INTO {table} VALUES (%s)".encode(), (current.task_id,))
    return "a\0b"


def steps() -> dict[str, Any]:
    """Come to a step twice, with a fresh value each time it is really done."""
    drawn = current.once("draw", lambda: os.urandom(8).hex())
    if current.attempt == 1:
        raise Retry(drawn, after=0.05)
    return {"drawn": drawn, "key": current.effect_key("charge")}


def talk(lines: int) -> None:
    """Say some lines, and how far it is."""
    current.log("begun")
    current.progress(0.5, "talking")
    for n in range(lines):
        current.log(f"line {n}", n=n)
        time.sleep(0.05)
    current.progress(0.9, "done soon")
    current.log("last words")


def pass_through(path: str, seconds: float) -> None:
    """Write down when it began and ended: a test counts what ran at once."""
    passed(path, "in")
    time.sleep(seconds)
    passed(path, "out")


PLAIN = {
    "echo": echo, "fail": fail, "second": second, "divide": divide, "odd_result": odd_result,
    "exit": leave, "hungry": hungry, "obey": obey, "nap": nap, "later": later, "stuck": stuck,
    "stubborn": stubborn, "write": write, "write_badly": write_badly, "steps": steps,
    "talk": talk, "deaf": deaf, "pass": pass_through,
}  # fmt: skip


def define(pool: str) -> None:
    """Make them the tasks of a pool."""
    for name, function in PLAIN.items():
        task(f"{pool}.{name}")(function)
    task(f"{pool}.who", bind=True)(who)
    task(f"{pool}.celery_retry", bind=True, max_retries=5)(celery_retry)
