"""Deliver: send what is due to webhook endpoints, signed, and act on what they answer.

Any number may run: a delivery is leased while it is sent. Who dies leaves it to be sent again.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import assert_never
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from taskyard import tracing
from taskyard.core.errors import (
    EncryptionKeyMissing,
    Misconfigured,
    SealBroken,
    StorageUnavailable,
)
from taskyard.core.webhooks import Answer, Delivered, GiveUp, TryAgain, Verdict, judge
from taskyard.outbound.post import Poster
from taskyard.services.signing import signed
from taskyard.services.webhook_policy import WebhookPolicy
from taskyard.stopping import end
from taskyard.storage import deliveries, webhooks
from taskyard.storage.deliveries import DeliveryState, Due, Finish
from taskyard.storage.pool import Pool, borrowed
from taskyard.tracing import Attributes

log = structlog.get_logger(__name__)

KEPT = timedelta(days=7)  # how long the log shows what has ended
_LEASE = 30.0  # twice what an attempt may take
_MOST_AT_ONCE = 64
_MOST_OF_ONE_ENDPOINT = 4
_ROWS_AT_ONCE = 500


class Sender:
    """Sends deliveries, some of each endpoint at once."""

    def __init__(
        self,
        pool: Pool,
        poster: Poster,
        *,
        policy: WebhookPolicy,
        user_agent: str,
        on_finish: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._poster = poster
        self._policy = policy
        self._user_agent = user_agent
        self._on_finish = on_finish
        self._token = uuid4()
        self._under_way: set[asyncio.Task[None]] = set()

    async def start_due(self) -> int:
        """Begin to send what is due, as much as there is room for; return how much that is."""
        room = _MOST_AT_ONCE - len(self._under_way)
        if room == 0:
            return 0
        async with borrowed(self._pool) as connection:
            due = await deliveries.take(
                connection, token=self._token, lease=_LEASE,
                most_at_once=_MOST_OF_ONE_ENDPOINT, limit=room,
            )  # fmt: skip
        for each in due:
            sending = asyncio.create_task(self._send(each), name="delivery")
            self._under_way.add(sending)
            sending.add_done_callback(self._ended)
        return len(due)

    async def close(self) -> None:
        """Leave what is under way to be sent again."""
        await end(*self._under_way)

    def _ended(self, sending: "asyncio.Task[None]") -> None:
        self._under_way.discard(sending)
        self._on_finish()

    async def _send(self, due: Due) -> None:
        answer = await self._attempt(due)
        verdict = judge(answer, attempt=due.attempts + 1, jitter=random.random())  # noqa: S311
        try:
            await self._finish(due, answer, verdict)
        except StorageUnavailable as error:
            log.warning("what a delivery came to is lost", delivery=due.id, error=error.detail)

    async def _attempt(self, due: Due) -> Answer:
        """Send once. A fault of ours is an answer too: it must not be tried again for ever."""
        try:
            if problem := self._policy.url_problem(due.url):
                return Answer(fault=f"its URL may not be called: it {problem}")
            body, headers = signed(due, policy=self._policy, now=datetime.now(UTC))
            headers["User-Agent"] = self._user_agent
            return await self._post(due, body.encode(), headers)
        except (EncryptionKeyMissing, SealBroken, Misconfigured) as error:
            log.error("a delivery cannot be made", delivery=due.id, error=error.detail)
            return Answer(fault=error.detail)
        except Exception as error:
            log.exception("an attempt failed in an unforeseen way", delivery=due.id)
            return Answer(fault=f"a fault of ours: {type(error).__name__}")

    async def _post(self, due: Due, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send, with the task's trace if it has one."""
        if due.trace is None:
            return await self._poster.post(due.url, body, headers)
        about: Attributes = {
            "http.request.method": "POST",
            "server.address": urlsplit(due.url).hostname or "",
            "taskyard.delivery.id": str(due.id),
            "taskyard.task.id": str(due.task_id),
            "taskyard.attempt": due.attempts + 1,
        }
        name = f"webhook {due.event}"
        with tracing.span(name, parent=due.trace, kind="client", attributes=about):
            trace = tracing.here() or due.trace
            answer = await self._poster.post(due.url, body, {**headers, **trace.headers})
            if answer.status is None:
                tracing.mark({}, fault="no-answer")
            else:
                fault = str(answer.status) if answer.status >= 400 else None
                tracing.mark({"http.response.status_code": answer.status}, fault=fault)
        return answer

    async def _finish(self, due: Due, answer: Answer, verdict: Verdict) -> None:
        async with borrowed(self._pool) as connection, connection.transaction():
            ours = await deliveries.finish(
                connection, due, token=self._token, came_to=_finish(answer, verdict)
            )
            if not ours or not isinstance(verdict, GiveUp) or due.webhook_id is None:
                return
            if await webhooks.disable(connection, due.webhook_id, reason=verdict.fault):
                log.warning("webhook disabled", webhook=due.webhook_id, reason=verdict.fault)


def _finish(answer: Answer, verdict: Verdict) -> Finish:
    match verdict:
        case Delivered():
            state, delay, fault = DeliveryState.DELIVERED, None, None
        case TryAgain(wait, why):
            state, delay, fault = DeliveryState.PENDING, wait.total_seconds(), why
        case GiveUp(why):
            state, delay, fault = DeliveryState.FAILED, None, why
        case _:
            assert_never(verdict)
    return Finish(state=state, delay=delay, status=answer.status, body=answer.body, fault=fault)


async def forget_deliveries(pool: Pool) -> int:
    """Remove what ended longer ago than the log shows; return how many."""
    forgotten = 0
    while True:
        async with borrowed(pool) as connection:
            count = await deliveries.forget(connection, kept=KEPT, limit=_ROWS_AT_ONCE)
        forgotten += count
        if count < _ROWS_AT_ONCE:
            return forgotten
