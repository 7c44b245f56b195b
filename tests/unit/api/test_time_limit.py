"""api/time_limit.py: time limits lie within each other, and the API keeps its own."""

import asyncio
import inspect

import pytest

from taskyard.api.errors import register_errors
from taskyard.api.time_limit import HANDLER_SECONDS, TimedQuart
from taskyard.client import AsyncClient, Client
from taskyard.storage.pool import (
    GIVING_UP_SECONDS,
    LOCK_SECONDS,
    POOL_SECONDS,
    STATEMENT_SECONDS,
)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_time_limits_lie_within_each_other(client: type) -> None:
    """Whoever asks waits longer than whoever is asked, so nobody asks for it again meanwhile."""
    waits = inspect.signature(client).parameters["timeout"].default
    assert LOCK_SECONDS < STATEMENT_SECONDS
    assert POOL_SECONDS + STATEMENT_SECONDS < HANDLER_SECONDS
    assert waits > HANDLER_SECONDS + GIVING_UP_SECONDS


async def test_a_request_that_takes_too_long_is_answered() -> None:
    """Its outcome is not known; what it waited for is let go."""
    app, let_go = TimedQuart(__name__, root_path="."), asyncio.Event()
    app.handler_seconds = 0.01
    register_errors(app)

    @app.get("/slow")
    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            let_go.set()
        return "done"

    answer = await app.test_client().get("/slow")
    assert (answer.status_code, (await answer.get_json())["code"]) == (503, "outcome-unknown")
    assert let_go.is_set()
