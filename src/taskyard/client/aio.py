"""The client for asyncio: it holds dialogs over httpx.AsyncClient."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack
from uuid import uuid4

import httpx

from taskyard.client import dialogs, operations, wire
from taskyard.client import yard_documents as yard
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
from taskyard.client.events import AsyncEvents
from taskyard.client.exchange import Call, Dialog, Outcome, Request
from taskyard.client.following import Following
from taskyard.client.many import AsyncMany
from taskyard.client.operations import (
    DeadLetterFilters,
    Filters,
    Options,
    ReplayOptions,
    StreamFilters,
)
from taskyard.client.pool_calls import AsyncPoolCalls
from taskyard.client.repeats import Repeats, ask
from taskyard.client.stream_documents import News, TaskLog
from taskyard.client.webhooks import AsyncWebhooks

T = TypeVar("T")


class AsyncClient(AsyncPoolCalls):
    """Talks to one server. Use it in an `async with` statement; tasks may share it.

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
        self._http = httpx.AsyncClient(
            base_url=wire.checked(url), timeout=timeout, headers=wire.headers(key)
        )
        self.events = AsyncEvents(self._ask)
        self.many = AsyncMany(self._ask)
        self.webhooks = AsyncWebhooks(self._ask)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(
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
        return await self._ask(operations.submit(body, idempotency_key or str(uuid4())))

    async def submit_and_wait(
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
        return await self._hold(
            dialogs.submit_and_wait(body, key, within=within, repeats=self._repeats)
        )

    async def submit_batch(
        self,
        tasks: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> Batch:
        """Submit any number of tasks, 10,000 in a request; each has its own outcome, in order.

        A task is a mapping with `type`, `args` and what `submit` takes, `idempotency_key` too.
        """
        calls = dialogs.Chunks(idempotency_key or str(uuid4())).of_async(tasks)
        return dialogs.joined([await self._ask(call) async for call in calls])

    async def submit_many(
        self,
        tasks: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> AsyncGenerator[BatchItem, None]:
        """Do as `submit_batch` does, and yield the outcomes as they come: for endless many."""
        async for call in dialogs.Chunks(idempotency_key or str(uuid4())).of_async(tasks):
            for item in (await self._ask(call)).items:
                yield item

    async def get(self, task_id: str) -> Task:
        """Return a task."""
        return await self._ask(operations.get(task_id))

    async def why(self, task_id: str) -> Why:
        """Return why a task is not running, or what it does, or how it ended."""
        return await self._ask(operations.why(task_id))

    async def wait(self, task_id: str, *, within: float = 300.0) -> Task:
        """Return the task once it has ended. Raises Timeout after `within` seconds."""
        return await self._hold(dialogs.wait(task_id, within=within, repeats=self._repeats))

    def watch(self, task_id: str, *, after: str = "") -> AsyncGenerator[News, None]:
        """Yield what happens to a task, from its beginning or `after` an id, until it has ended."""
        return self._follow(operations.watch(task_id), after=after, task_only=True)

    def stream(
        self, *, after: str = "", **filters: Unpack[StreamFilters]
    ) -> AsyncGenerator[News, None]:
        """Yield what happens to all tasks, from now or `after` an id, without end."""
        return self._follow(operations.stream(filters), after=after, task_only=False)

    async def page(
        self, *, limit: int | None = None, cursor: str | None = None, **filters: Unpack[Filters]
    ) -> TaskPage:
        """Return one page of tasks, newest first."""
        return await self._ask(operations.page(filters, limit=limit, cursor=cursor))

    async def list(
        self, *, page_size: int = 100, **filters: Unpack[Filters]
    ) -> AsyncGenerator[Task, None]:
        """Yield tasks over all pages, newest first."""
        cursor: str | None = None
        while True:
            page = await self.page(limit=page_size, cursor=cursor, **filters)
            for task in page.items:
                yield task
            if (cursor := page.next_cursor) is None:
                return

    async def cancel(self, task_id: str) -> Receipt:
        """Cancel a task; raises TaskyardProblem with code `too-late` when it has ended."""
        return await self._ask(operations.cancel(task_id))

    async def reprioritise(self, task_id: str, priority: int) -> Task:
        """Give a task that waits another priority, and return it."""
        return await self._ask(operations.reprioritise(task_id, priority))

    async def replay(
        self,
        task_id: str,
        *,
        args: Mapping[str, Any] | None = None,
        priority: int | None = None,
    ) -> Task:
        """Let a task that ended badly run again, with other arguments if they are given."""
        return await self._ask(operations.replay(task_id, args=args, priority=priority))

    async def attempts(self, task_id: str) -> AttemptList:
        """Return every attempt of a task, in order."""
        return await self._ask(operations.attempts(task_id))

    async def history(self, task_id: str) -> History:
        """Return every change of a task so far, in order."""
        return await self._ask(operations.history(task_id))

    async def log(self, task_id: str) -> TaskLog:
        """Return the newest lines that a task has said with `current.log`, in order."""
        return await self._ask(operations.log(task_id))

    async def dead_letters(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        **filters: Unpack[DeadLetterFilters],
    ) -> TaskPage:
        """Return one page of dead letters, newest first."""
        return await self._ask(operations.dead_letters(filters, limit=limit, cursor=cursor))

    async def dead_letter_groups(
        self, *, limit: int | None = None, **filters: Unpack[DeadLetterFilters]
    ) -> ReasonGroupList:
        """Return dead letters grouped by what went wrong, the largest group first."""
        return await self._ask(operations.dead_letter_groups(filters, limit=limit))

    async def replay_dead_letters(
        self, which: Mapping[str, Any], **options: Unpack[ReplayOptions]
    ) -> ReplayReport:
        """Replay the dead letters that fit; `which` has the fields of the filters, and `labels`."""
        return await self._ask(operations.replay_dead_letters(which, options))

    async def task_types(self) -> yard.TaskTypeList:
        """Return the task types, each with its JSON Schema."""
        return await self._ask(operations.task_types())

    async def task_type(self, name: str) -> yard.TaskType:
        """Return one task type."""
        return await self._ask(operations.task_type(name))

    async def pools(self) -> yard.PoolList:
        """Return the pools: what waits, who consumes, what runs."""
        return await self._ask(operations.pools())

    async def pool(self, name: str) -> yard.PoolWhole:
        """Return one pool, with its workers and what runs there."""
        return await self._ask(operations.pool(name))

    async def resources(self) -> yard.ResourceList:
        """Return the budgets that task types share."""
        return await self._ask(operations.resources())

    async def explain(self, task_type: str, *, priority: int | None = None) -> yard.Explanation:
        """Return where a task type goes and why."""
        return await self._ask(operations.explain(task_type, priority=priority))

    async def _ask(self, call: Call[T]) -> T:
        return await self._hold(ask(call, self._repeats))

    async def _hold(self, dialog: Dialog[T]) -> T:
        outcome: Outcome | None = None
        while True:
            try:
                step = dialog.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Request):
                outcome = await self._send(step)
            else:
                await asyncio.sleep(step.seconds)
                outcome = None

    async def _send(self, request: Request) -> Outcome:
        try:
            response = await self._http.send(wire.build(self._http, request))
        except httpx.TransportError as error:
            return wire.silence(error, self._url)
        return wire.head(response, response.content)

    async def _follow(
        self, origin: Request, *, after: str, task_only: bool
    ) -> AsyncGenerator[News, None]:
        following = Following(origin, self._repeats, task_only=task_only, after=after)
        while not following.over:
            outcome: Outcome | None = None
            try:
                request = wire.build(self._http, following.request())
                response = await self._http.send(request, stream=True)
                async with aclosing(response):
                    if following.accepts(wire.head(response)):
                        async for chunk in response.aiter_bytes():
                            for news in following.hear(chunk):
                                yield news
                            if following.over:
                                return
                    else:
                        outcome = wire.head(response, await response.aread())
            except httpx.TransportError as error:
                outcome = wire.silence(error, self._url)
            await asyncio.sleep(following.broken(outcome).seconds)
