"""A database that is there, and answers nothing."""

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from taskyard.api.time_limit import HANDLER_SECONDS, TimedQuart
from taskyard.drill.proxy import Mode, open_proxy
from taskyard.drill.wire import PostgresEar
from taskyard.storage.pool import GIVING_UP_SECONDS
from tests.application import BearingClient, client_of, open_parts

_MARGIN = 45.0 - HANDLER_SECONDS - GIVING_UP_SECONDS  # what the clients wait beyond that


@pytest.mark.slow  # 10 s: psycopg's time limits are not ours to set
async def test_a_request_is_answered_before_its_client_gives_up(database_url: str) -> None:
    """Its own time, and that of giving up what it has asked of a frozen database."""
    port = urlsplit(database_url).port
    assert port is not None
    async with open_proxy(("127.0.0.1", port), PostgresEar) as proxy:
        through = database_url.replace(f":{port}/", f":{proxy.port}/")
        async with open_parts(through) as parts:
            # Given
            client = client_of(parts)
            assert isinstance(client, BearingClient)
            assert isinstance(client.app, TimedQuart)
            client.app.handler_seconds = 0.5
            path = f"/v1/tasks/{uuid4()}"
            assert (await client.get(path)).status_code == 404
            # When
            proxy.set(Mode.DEAF)
            async with asyncio.timeout(0.5 + GIVING_UP_SECONDS + _MARGIN):
                answer = await client.get(path)
            proxy.set(Mode.PASS)
        # Then
        assert (answer.status_code, (await answer.get_json())["code"]) == (503, "outcome-unknown")
