"""Both clients in one."""

import asyncio
from contextlib import aclosing
from itertools import islice
from operator import attrgetter
from typing import Any

from taskyard.client import AsyncClient, Client


class Either:
    """Calls one of the two clients by the same words."""

    def __init__(self, kind: str, *, key: str | None = None) -> None:
        self.kind = kind
        self.key = key

    async def call(self, url: str, method: str, *args: Any, patience: float = 5, **kw: Any) -> Any:
        """Return what a method returns; `webhooks.list` is one of `client.webhooks`."""
        if self.kind == "async":
            async with AsyncClient(url, key=self.key, patience=patience) as client:
                return await attrgetter(method)(client)(*args, **kw)

        def run() -> Any:
            with Client(url, key=self.key, patience=patience) as client:
                return attrgetter(method)(client)(*args, **kw)

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
            async with AsyncClient(url, key=self.key, patience=patience) as client:
                found: list[Any] = []
                async with aclosing(attrgetter(method)(client)(*args, **kw)) as items:
                    async for item in items:
                        found.append(item)
                        if len(found) == most:
                            break
                return found

        def run() -> list[Any]:
            with Client(url, key=self.key, patience=patience) as client:
                return list(islice(attrgetter(method)(client)(*args, **kw), most))

        return await asyncio.to_thread(run)
