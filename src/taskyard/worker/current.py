"""`current`: the task that runs here, seen from its own code."""

import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
import psycopg
from structlog.contextvars import bound_contextvars

from taskyard.core.lease import Lease
from taskyard.storage import attempts, memos
from taskyard.worker import traced
from taskyard.worker.asyncio_attempt import attempt_here
from taskyard.worker.effects import Effects, Transaction
from taskyard.worker.outcome import Interrupted
from taskyard.worker.resource import Resource, resource_of
from taskyard.worker.runtime import Runtime
from taskyard.worker.spoken import Spoken

_LEAST_INTERVAL = 0.2  # seconds between two looks for a cancel

T = TypeVar("T")


@dataclass(slots=True)
class Running:
    """The attempt that runs in this context."""

    runtime: Runtime
    lease: Lease
    effects: Effects
    spoken: Spoken
    looked_at: float = float("-inf")
    cancelled: bool = False


_running: ContextVar[Running | None] = ContextVar("running", default=None)


class Current:
    """What task code may know and say of its own task. Outside a worker, it says nothing."""

    @property
    def task_id(self) -> str | None:
        """The id of the task, or None outside a worker."""
        running = _running.get()
        return str(running.lease.id) if running else None

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        running = _running.get()
        return running.lease.attempt if running else 1

    @property
    def errors(self) -> int:
        """How many earlier attempts ended in an error: Celery's `request.retries`."""
        running = _running.get()
        return running.lease.errors if running else 0

    @property
    def cancelled(self) -> bool:
        """Whether the attempt should end: the task was cancelled, or its lease is gone.

        Postgres is asked at most every 0.2 s.
        """
        running = _running.get()
        now = time.monotonic()
        if running is None:
            return False
        if (attempt := attempt_here()) is not None:
            return attempt.interrupted is not None  # it is told, and need not ask
        if not running.cancelled and now - running.looked_at >= _LEAST_INTERVAL:
            running.looked_at = now
            try:
                said = attempts.is_cancelled(running.runtime.cursor(), running.lease)
            except psycopg.OperationalError:
                return False  # who cannot ask works on: the lease decides what is stored
            running.cancelled = said is not False
        return running.cancelled

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the task is: `fraction` from 0 to 1, and what it is doing.

        It is written at most every 0.2 s, so it costs little in a loop; of calls that follow each
        other closely the last one counts. Raises Interrupted when the task was cancelled, or when
        its lease is gone.
        """
        if (running := _running.get()) is None:
            return
        if (attempt := attempt_here()) is not None and attempt.interrupted is not None:
            raise Interrupted(attempt.interrupted)
        said = running.spoken.tell(fraction, message)
        if said is not False:
            running.cancelled = True
            raise Interrupted("the lease is gone" if said is None else "the task was cancelled")

    def log(self, text: str, **fields: Any) -> None:
        """Add a line to the log of the task, with any fields that JSON can hold.

        The newest 100 lines are kept with the task, of at most 1,000 characters and 4 KiB of
        fields; `taskyard watch` shows them as they come. Lines that follow each other closely are
        written together, at most every 0.2 s.
        """
        if (running := _running.get()) is not None:
            running.spoken.say(text, fields)

    def transaction(self) -> Transaction:
        """Return the finishing transaction: `with current.transaction() as connection`.

        What is written on the psycopg connection is committed in one transaction with the task's
        result, or not at all: exactly once, whatever dies. Do not commit it yourself. In an
        `async def` task, say `async with`. Raises RuntimeError outside a worker.
        """
        return Transaction(_inside("transaction").effects)

    def effect_key(self, step: str = "") -> str:
        """Return a key for this task and step that is the same in every attempt and replay.

        Give it to a service that honours idempotency keys. Raises RuntimeError outside a worker.
        """
        task_id = str(_inside("effect_key").lease.id)
        return f"{task_id}:{step}" if step else task_id

    def once(self, step: str, function: Callable[[], T]) -> T:
        """Return what `function` returned the first time that this task came to this step.

        The value is kept as JSON with the task, and read in later attempts instead of calling the
        function again. A crash between its effect and the keeping of its value calls it again: use
        `effect_key` inside for what must not happen twice. Raises Interrupted when the lease is
        gone, RuntimeError outside a worker.

        With an `async def` function it is `await current.once(step, function)`.
        """
        running = _inside("once")
        if inspect.iscoroutinefunction(function):
            return cast("T", _once_awaited(running, step, function))
        kept = running.runtime.durably(lambda cursor: memos.find(cursor, running.lease, step))
        if kept is not None:
            return kept.value  # type: ignore[no-any-return]
        value: Any = function()
        text = msgspec.json.encode(value).decode()
        if not running.runtime.durably(lambda c: memos.keep(c, running.lease, step, text)):
            raise Interrupted("the lease is gone")
        return value  # type: ignore[no-any-return]

    def resource(self, name: str) -> Resource:
        """Return a budget that the task type shares: `current.resource("stripe").throttled()`.

        Raises LookupError in a worker when the task type does not name it in tasks.toml.
        """
        running = _running.get()
        return resource_of(running.runtime, running.lease, name) if running else Resource()


async def _once_awaited(running: Running, step: str, function: Callable[[], Awaitable[T]]) -> T:
    runtime, lease = running.runtime, running.lease
    kept = await runtime.beside(lambda: runtime.durably(lambda c: memos.find(c, lease, step)))
    if kept is not None:
        return kept.value  # type: ignore[no-any-return]
    value = await function()
    text = msgspec.json.encode(value).decode()
    if not await runtime.beside(
        lambda: runtime.durably(lambda c: memos.keep(c, lease, step, text))
    ):
        raise Interrupted("the lease is gone")
    return value


current = Current()


def _inside(what: str) -> Running:
    running = _running.get()
    if running is None:
        raise RuntimeError(f"current.{what} has no meaning outside a worker: no task runs here")
    return running


@contextmanager
def running(runtime: Runtime, lease: Lease) -> Iterator[Running]:
    """Make `current` speak of this lease."""
    it = Running(runtime, lease, Effects(runtime, lease), Spoken(runtime, lease))
    token = _running.set(it)
    try:
        with (
            bound_contextvars(
                task_id=str(lease.id),
                task_type=lease.type,
                attempt=lease.attempt,
                pool=runtime.pool,
            ),
            traced.run(lease, runtime.pool),
        ):
            yield it
    finally:
        _running.reset(token)
        it.effects.undo()
