"""The ASGI lifespan protocol: what the application needs is opened before the first request.

Specification: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from quart import Quart

from taskyard.api.parts import Parts

log = structlog.get_logger(__name__)


class Lifespan:
    """An ASGI application that makes another one once its parts are open."""

    def __init__(
        self,
        open_parts: Callable[[], AbstractAsyncContextManager[Parts]],
        create: Callable[[Parts], Quart],
        *,
        on_ready: Callable[[], None],
    ) -> None:
        self._open_parts = open_parts
        self._create = create
        self._on_ready = on_ready
        self._app: Quart | None = None

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)  # type: ignore[arg-type]

    async def _live(
        self,
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        await receive()
        try:
            async with self._open_parts() as parts:
                self._app = self._create(parts)
                await self._app.startup()
                await send({"type": "lifespan.startup.complete"})
                self._on_ready()
                await receive()
                await self._app.shutdown()
        except Exception as error:
            log.exception("the API could not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})
