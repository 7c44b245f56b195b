"""What adopters use to test their tasks and routes, without any server.

    from taskyard.testing import Trial, route_of

    def test_a_thumbnail_tells_how_far_it_is():
        trial = Trial()
        assert trial.run(thumbnail, {"source": "inputs/a.png", "width": 64}) == {"width": 64, …}
        assert trial.progress == [Progress(0.5, "decoded")]

    def test_thumbnails_run_in_the_pool_for_media():
        assert route_of("image.thumbnail").pool.name == "media"

Where only the function matters, call it: `thumbnail("inputs/a.png", 64)`.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import msgspec

from taskyard import bootstrap
from taskyard.core.routing import Route
from taskyard.worker import signature
from taskyard.worker.base import TaskyardTask
from taskyard.worker.current import Current, current
from taskyard.worker.outcome import ArgumentsDoNotFit, Interrupted, encode
from taskyard.worker.resource import Resource

__all__ = ["LogLine", "Progress", "Throttling", "Trial", "route_of"]

T = TypeVar("T")


class Progress(NamedTuple):
    """What a task told with `current.progress`."""

    fraction: float
    message: str = ""


class LogLine(NamedTuple):
    """What a task told with `current.log`."""

    text: str
    fields: dict[str, Any]


class Throttling(NamedTuple):
    """What a task said of a resource with `current.resource(…).throttled()`."""

    resource: str
    pause: float


@dataclass(slots=True, kw_only=True)
class Trial:
    """Runs a task as a worker would, and keeps what it says.

    `attempt` and `errors` are what `current` tells the task; with `cancelled` the task has been
    cancelled. `connection` is what `current.transaction()` gives: a psycopg connection to a
    database of the test's own; the trial neither commits nor rolls back. `kept` are the values of
    `current.once`: hand them to a second trial to play a second attempt.
    """

    task_id: str = field(default_factory=lambda: str(uuid4()))
    attempt: int = 1
    errors: int = 0
    cancelled: bool = False
    connection: Any = None
    kept: dict[str, Any] = field(default_factory=dict)
    progress: list[Progress] = field(default_factory=list)
    log: list[LogLine] = field(default_factory=list)
    throttled: list[Throttling] = field(default_factory=list)

    def run(self, task: Callable[..., Any], args: Mapping[str, Any] | None = None) -> Any:
        """Return the result as a client would read it.

        The arguments go through JSON and are bound by the function's type hints; the result is made
        JSON and read again. Whatever the task raises passes, such as Retry, Permanent, Interrupted;
        and ArgumentsDoNotFit or ResultUnusable, as in a worker. An `async def` task gets an event
        loop of its own, so call this from an ordinary test.
        """
        known = _taskyard_task(task)
        arguments = msgspec.json.decode(encode(dict(args or {})))
        try:
            bound = signature.bind(known.parameters, arguments)
        except msgspec.ValidationError as error:
            raise ArgumentsDoNotFit(str(error)) from None
        with _on_trial(self), _requested(known, self):
            result = known.run(**bound)
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
        return msgspec.json.decode(encode(result))


def route_of(task_type: str) -> Route:
    """Return where a task type goes in the routing folder of TASKYARD_ROUTING, with its defaults.

    Raises UnknownTaskType, and InvalidRouting with every fault of the folder.
    """
    given, _ = bootstrap.stack_settings()
    return bootstrap.routing(given).resolve(task_type)


def _taskyard_task(task: Any) -> TaskyardTask:
    if not isinstance(task, TaskyardTask):
        raise TypeError(f"{task!r} is no task; decorate the function with @taskyard.task")
    return task


@contextmanager
def _requested(task: TaskyardTask, trial: Trial) -> Iterator[None]:
    """Give the task the request that a worker would: `self.request` and `self.retry` need it."""
    task.push_request(id=trial.task_id, retries=trial.errors, called_directly=False)
    try:
        yield
    finally:
        task.pop_request()


_trial: ContextVar[Trial] = ContextVar("trial")


@contextmanager
def _on_trial(trial: Trial) -> Iterator[None]:
    """Make `current`, which task code has imported already, speak of this trial."""
    token = _trial.set(trial)
    before, current.__class__ = current.__class__, _OnTrial
    try:
        yield
    finally:
        current.__class__ = before
        _trial.reset(token)


class _OnTrial(Current):
    """`current` during a trial."""

    @property
    def task_id(self) -> str | None:
        return _trial.get().task_id

    @property
    def attempt(self) -> int:
        return _trial.get().attempt

    @property
    def errors(self) -> int:
        return _trial.get().errors

    @property
    def cancelled(self) -> bool:
        return _trial.get().cancelled

    def progress(self, fraction: float, message: str = "") -> None:
        bounded = min(1.0, max(0.0, float(fraction)))
        _trial.get().progress.append(Progress(bounded, message))
        if _trial.get().cancelled:
            raise Interrupted("the task was cancelled")

    def log(self, text: str, **fields: Any) -> None:
        _trial.get().log.append(LogLine(text, fields))

    def transaction(self) -> Any:
        if _trial.get().connection is None:
            raise RuntimeError("the task wants a transaction; say Trial(connection=…)")
        return _Given(_trial.get().connection)

    def effect_key(self, step: str = "") -> str:
        task_id = _trial.get().task_id
        return f"{task_id}:{step}" if step else task_id

    def once(self, step: str, function: Callable[[], T]) -> T:
        kept = _trial.get().kept
        if step in kept:
            value: T = kept[step]
            return value
        value = function()
        kept[step] = msgspec.json.decode(msgspec.json.encode(value))
        return value

    def resource(self, name: str) -> Resource:
        reports = _trial.get().throttled
        return Resource(lambda pause: reports.append(Throttling(name, pause)))


class _Given:
    """A connection that is not ours, for `with` and `async with`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave it to the test."""

    async def __aenter__(self) -> Any:
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave it to the test."""
