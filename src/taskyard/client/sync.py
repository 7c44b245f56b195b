"""The client for ordinary code: it holds dialogs over httpx.Client."""

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack
from uuid import uuid4

import httpx

from taskyard.client import dialogs, operations, wire
from taskyard.client.documents import (
    Accepted,
    AttemptList,
    Batch,
    BatchItem,
    History,
    ReasonGroupList,
    Receipt,
    ReplayReport,
    Task,
    TaskPage,
    Why,
)
from taskyard.client.events import Events
from taskyard.client.exchange import Call, Dialog, Outcome, Request
from taskyard.client.following import Following
from taskyard.client.many import Many
from taskyard.client.operations import (
    DeadLetterFilters,
    Filters,
    Options,
    ReplayOptions,
    StreamFilters,
)
from taskyard.client.pool_calls import PoolCalls
from taskyard.client.repeats import Repeats, ask
from taskyard.client.stream_documents import News, TaskLog
from taskyard.client.webhooks import Webhooks
from taskyard.client.yard_documents import (
    Explanation,
    PoolList,
    PoolWhole,
    ResourceList,
    TaskType,
    TaskTypeList,
)

T = TypeVar("T")


class Client(PoolCalls):
    """Talks to one server. Use it in a `with` statement; threads may share it.

    `key` is an API key, or a token that the server accepts. `timeout` is in seconds, for one
    answer. `patience` is how many seconds what can be sent again is sent again while the server
    does not answer.

    `events`, `many` and `webhooks` have methods of their own.

    Every method raises TaskyardProblem when the server refuses, Unreachable when no answer comes.
    """

    def __init__(
        self, url: str, *, key: str | None = None, timeout: float = 45.0, patience: float = 30.0
    ) -> None:
        self._url = url
        self._repeats = Repeats(patience=patience)
        self._http = httpx.Client(
            base_url=wire.checked(url), timeout=timeout, headers=wire.headers(key)
        )
        self.events = Events(self._ask)
        self.many = Many(self._ask)
        self.webhooks = Webhooks(self._ask)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(
        self,
        task_type: str,
        args: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> Accepted:
        """Submit a task; it is stored when this returns.

        While no answer comes it is sent again, under the same idempotency key: a random one unless
        one is given.
        """
        body = operations.submission(task_type, args, options)
        return self._ask(operations.submit(body, idempotency_key or str(uuid4())))

    def submit_and_wait(
        self,
        task_type: str,
        args: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        within: float = 300.0,
        **options: Unpack[Options],
    ) -> Task:
        """Submit a task and return it once it has ended. Raises Timeout after `within` seconds."""
        body = operations.submission(task_type, args, options)
        key = idempotency_key or str(uuid4())
        return self._hold(dialogs.submit_and_wait(body, key, within=within, repeats=self._repeats))

    def submit_batch(
        self, tasks: Iterable[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> Batch:
        """Submit any number of tasks, 10,000 in a request; each has its own outcome, in order.

        A task is a mapping with `type`, `args` and what `submit` takes, `idempotency_key` too.
        """
        calls = dialogs.Chunks(idempotency_key or str(uuid4())).of(tasks)
        return dialogs.joined([self._ask(call) for call in calls])

    def submit_many(
        self, tasks: Iterable[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> Iterator[BatchItem]:
        """Do as `submit_batch` does, and yield the outcomes as they come: for endless many."""
        for call in dialogs.Chunks(idempotency_key or str(uuid4())).of(tasks):
            yield from self._ask(call).items

    def get(self, task_id: str) -> Task:
        """Return a task."""
        return self._ask(operations.get(task_id))

    def why(self, task_id: str) -> Why:
        """Return why a task is not running, or what it does, or how it ended."""
        return self._ask(operations.why(task_id))

    def wait(self, task_id: str, *, within: float = 300.0) -> Task:
        """Return the task once it has ended. Raises Timeout after `within` seconds."""
        return self._hold(dialogs.wait(task_id, within=within, repeats=self._repeats))

    def watch(self, task_id: str, *, after: str = "") -> Generator[News, None, None]:
        """Yield what happens to a task, from its beginning or `after` an id, until it has ended."""
        return self._follow(operations.watch(task_id), after=after, task_only=True)

    def stream(
        self, *, after: str = "", **filters: Unpack[StreamFilters]
    ) -> Generator[News, None, None]:
        """Yield what happens to all tasks, from now or `after` an id, without end."""
        return self._follow(operations.stream(filters), after=after, task_only=False)

    def page(
        self, *, limit: int | None = None, cursor: str | None = None, **filters: Unpack[Filters]
    ) -> TaskPage:
        """Return one page of tasks, newest first."""
        return self._ask(operations.page(filters, limit=limit, cursor=cursor))

    def list(self, *, page_size: int = 100, **filters: Unpack[Filters]) -> Iterator[Task]:
        """Yield tasks over all pages, newest first."""
        cursor: str | None = None
        while True:
            page = self.page(limit=page_size, cursor=cursor, **filters)
            yield from page.items
            if (cursor := page.next_cursor) is None:
                return

    def cancel(self, task_id: str) -> Receipt:
        """Cancel a task; raises TaskyardProblem with code `too-late` when it has ended."""
        return self._ask(operations.cancel(task_id))

    def reprioritise(self, task_id: str, priority: int) -> Task:
        """Give a task that waits another priority, and return it."""
        return self._ask(operations.reprioritise(task_id, priority))

    def replay(
        self,
        task_id: str,
        *,
        args: Mapping[str, Any] | None = None,
        priority: int | None = None,
    ) -> Task:
        """Let a task that ended badly run again, with other arguments if they are given."""
        return self._ask(operations.replay(task_id, args=args, priority=priority))

    def attempts(self, task_id: str) -> AttemptList:
        """Return every attempt of a task, in order."""
        return self._ask(operations.attempts(task_id))

    def history(self, task_id: str) -> History:
        """Return every change of a task so far, in order."""
        return self._ask(operations.history(task_id))

    def log(self, task_id: str) -> TaskLog:
        """Return the newest lines that a task has said with `current.log`, in order."""
        return self._ask(operations.log(task_id))

    def dead_letters(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        **filters: Unpack[DeadLetterFilters],
    ) -> TaskPage:
        """Return one page of dead letters, newest first."""
        return self._ask(operations.dead_letters(filters, limit=limit, cursor=cursor))

    def dead_letter_groups(
        self, *, limit: int | None = None, **filters: Unpack[DeadLetterFilters]
    ) -> ReasonGroupList:
        """Return dead letters grouped by what went wrong, the largest group first."""
        return self._ask(operations.dead_letter_groups(filters, limit=limit))

    def replay_dead_letters(
        self, which: Mapping[str, Any], **options: Unpack[ReplayOptions]
    ) -> ReplayReport:
        """Replay the dead letters that fit; `which` has the fields of the filters, and `labels`."""
        return self._ask(operations.replay_dead_letters(which, options))

    def task_types(self) -> TaskTypeList:
        """Return the task types, each with its JSON Schema."""
        return self._ask(operations.task_types())

    def task_type(self, name: str) -> TaskType:
        """Return one task type."""
        return self._ask(operations.task_type(name))

    def pools(self) -> PoolList:
        """Return the pools: what waits, who consumes, what runs."""
        return self._ask(operations.pools())

    def pool(self, name: str) -> PoolWhole:
        """Return one pool, with its workers and what runs there."""
        return self._ask(operations.pool(name))

    def resources(self) -> ResourceList:
        """Return the budgets that task types share."""
        return self._ask(operations.resources())

    def explain(self, task_type: str, *, priority: int | None = None) -> Explanation:
        """Return where a task type goes and why."""
        return self._ask(operations.explain(task_type, priority=priority))

    def _ask(self, call: Call[T]) -> T:
        return self._hold(ask(call, self._repeats))

    def _hold(self, dialog: Dialog[T]) -> T:
        outcome: Outcome | None = None
        while True:
            try:
                step = dialog.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Request):
                outcome = self._send(step)
            else:
                time.sleep(step.seconds)
                outcome = None

    def _send(self, request: Request) -> Outcome:
        try:
            response = self._http.send(wire.build(self._http, request))
        except httpx.TransportError as error:
            return wire.silence(error, self._url)
        return wire.head(response, response.content)

    def _follow(
        self, origin: Request, *, after: str, task_only: bool
    ) -> Generator[News, None, None]:
        following = Following(origin, self._repeats, task_only=task_only, after=after)
        while not following.over:
            outcome: Outcome | None = None
            try:
                request = wire.build(self._http, following.request())
                response = self._http.send(request, stream=True)
                with closing(response):
                    if following.accepts(wire.head(response)):
                        for chunk in response.iter_bytes():
                            yield from following.hear(chunk)
                            if following.over:
                                return
                    else:
                        outcome = wire.head(response, response.read())
            except httpx.TransportError as error:
                outcome = wire.silence(error, self._url)
            time.sleep(following.broken(outcome).seconds)
