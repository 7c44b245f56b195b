"""Submissions for the tests, with idempotency keys and without."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg

from taskyard.core.idempotency import IdempotencyKey
from taskyard.core.principal import DEFAULT_TENANT
from taskyard.core.task import NewTask, TaskId
from taskyard.services.idempotency import keyed_request, with_key
from taskyard.services.submit import Submission

WEEK = timedelta(days=7)


def new(key: str | None, *, x: object = 1, **changes: Any) -> NewTask:
    """A submission of its own, which asks for `x` under a key."""
    given = NewTask(
        id=TaskId(uuid4()), type="a.b", pool="p", priority=4, args="{}", labels="{}",
        max_attempts=3,
    )  # fmt: skip
    task = replace(given, **changes)
    if key is None:
        return task
    request = keyed_request(
        Submission(type="a.b", args={"x": x}), IdempotencyKey(key, DEFAULT_TENANT)
    )
    return with_key(task, request, retention=WEEK)


async def count(connection: psycopg.AsyncConnection[Any], query: str) -> int:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return int(row[0])
