"""One attempt on an event loop: Celery's tracer runs in a greenlet, and may wait without blocking.

The tracer is one long function that knows nothing of coroutines, and what it does (signals,
retries, acknowledgements, errors) is to be the same in every pool. So it is not written again with
`await` in it: it is called in a greenlet, which gives the loop away while it waits, as SQLAlchemy
does for its drivers. Task code is never left in that way, only at its own `await`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, TypeVar

from celery.exceptions import SoftTimeLimitExceeded
from greenlet import getcurrent, greenlet

from taskyard.worker.outcome import Interrupted

T = TypeVar("T")


class SoftLimit(SoftTimeLimitExceeded, asyncio.CancelledError):
    """SoftTimeLimitExceeded, as a cancellation: timeouts and task groups on its way let it pass."""


class Cancelled(Interrupted, asyncio.CancelledError):
    """Interrupted, as a cancellation: timeouts and task groups on its way let it pass."""


class CancelledItself(Exception):
    """The coroutine was cancelled by its own code, so that there is nothing to store."""


class Attempt:
    """Awaitable: calls a blocking function, in which `wait` gives the loop away.

    All of it belongs to the thread of the loop. What stops it stops task code only: claim and
    finish are never broken off.
    """

    def __init__(self, call: Callable[[], None]) -> None:
        self._place = greenlet(call)
        self._task: asyncio.Task[Any] | None = None
        self._why: BaseException | None = None
        self._in_code = False
        self.interrupted: str | None = None  # why, once it should end

    @property
    def may_wait(self) -> bool:
        """Whether the caller is what surrounds its task code, and is in its greenlet."""
        return not self._in_code and getcurrent() is self._place

    def stop(self, why: BaseException) -> None:
        """Raise this in the task code, where it waits; at once when it has not begun."""
        self._why = why
        if isinstance(why, Interrupted):
            self.interrupted = str(why)
        if self._in_code and self._task is not None:
            self._task.cancel()

    def __await__(self) -> Generator[Any, Any, None]:
        self._task = asyncio.current_task()
        here = getcurrent()
        place = self._place
        place.parent = here
        place.gr_context = here.gr_context  # ContextVars are those of the asyncio task
        _here.set(self)
        waits_for = place.switch()
        while not place.dead:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = place.throw(self._said(error))
            else:
                waits_for = place.switch(sent)

    def _said(self, error: BaseException) -> BaseException:
        """Return what a cancellation of ours is to say."""
        why, self._why = self._why, None
        if why is None or not isinstance(error, asyncio.CancelledError):
            return error
        if self._task is not None:
            self._task.uncancel()  # it is delivered: timeouts in the cleaning up are their own
        return why

    async def code(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await task code: only this can be stopped."""
        if self._why is not None:
            coroutine.close()
            raise self._why
        self._in_code = True
        try:
            return await coroutine
        except asyncio.CancelledError as error:
            if isinstance(error, SoftLimit | Cancelled):
                raise
            raise CancelledItself("the coroutine was cancelled, though nobody asked") from error
        finally:
            self._in_code = False


_here: ContextVar[Attempt | None] = ContextVar("attempt on the loop", default=None)


def attempt_here() -> Attempt | None:
    """Return the attempt whose code or surroundings run here, on a loop or called from there."""
    return _here.get()


async def stoppable(coroutine: Coroutine[Any, Any, T], *, within: float | None) -> T:
    """Await task code; on the loop of a worker it can be stopped, and is after so many seconds."""
    attempt = attempt_here()
    if attempt is None:
        return await coroutine
    if within is None:
        return await attempt.code(coroutine)
    loop = asyncio.get_running_loop()
    alarm = loop.call_later(max(0.0, within), attempt.stop, SoftLimit())
    try:
        return await attempt.code(coroutine)
    finally:
        alarm.cancel()


def wait(awaitable: Awaitable[T]) -> T:
    """Wait in the greenlet of an attempt, and let the loop go on meanwhile."""
    steps, loop = awaitable.__await__(), getcurrent().parent
    sent: Any = None
    error: BaseException | None = None
    try:
        while True:
            waits_for = steps.send(sent) if error is None else steps.throw(error)
            try:
                sent, error = loop.switch(waits_for), None
            except BaseException as thrown:
                error = thrown
    except StopIteration as end:
        value: T = end.value
        return value
