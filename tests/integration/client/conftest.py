"""A small HTTP server of the test's own, and both clients in one."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from typing import Any

import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart

from taskyard.client import AsyncClient, Client


@asynccontextmanager
async def served(app: Quart) -> AsyncIterator[str]:
    """Serve an application on a port of its own; give its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.graceful_timeout = 0.2
    stop = asyncio.Event()
    server = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        await server
        listener.detach()


class Either:
    """Calls one of the two clients by the same words."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    async def call(self, url: str, method: str, *args: Any, patience: float = 5, **kw: Any) -> Any:
        """Return what a method returns."""
        if self.kind == "async":
            async with AsyncClient(url, patience=patience) as client:
                return await getattr(client, method)(*args, **kw)

        def run() -> Any:
            with Client(url, patience=patience) as client:
                return getattr(client, method)(*args, **kw)

        return await asyncio.to_thread(run)

    async def take(
        self,
        url: str,
        method: str,
        *args: Any,
        most: int | None = None,
        patience: float = 5,
        **kw: Any,
    ) -> list[Any]:
        """Return what a method yields: all of it, or so many and then no more is read."""
        if self.kind == "async":
            async with AsyncClient(url, patience=patience) as client:
                found: list[Any] = []
                async with aclosing(getattr(client, method)(*args, **kw)) as items:
                    async for item in items:
                        found.append(item)
                        if len(found) == most:
                            break
                return found

        def run() -> list[Any]:
            with Client(url, patience=patience) as client:
                return list(islice(getattr(client, method)(*args, **kw), most))

        return await asyncio.to_thread(run)


@pytest.fixture(params=["sync", "async"])
def either(request: pytest.FixtureRequest) -> Either:
    """Each test that takes it runs with both clients."""
    return Either(request.param)
