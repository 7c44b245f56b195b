"""How long a request may take: longer than the database may, shorter than a client waits.

A client that gave up first would send again what is still being done. When the database is frozen,
giving up a statement takes time as well (storage/pool.py), and that lies within the client's too.
"""

import asyncio
from typing import Any

from quart import Quart, request

from taskyard.core.errors import OutcomeUnknown
from taskyard.services.waiting import LONGEST_WAIT

HANDLER_SECONDS = 32.0


class TimedQuart(Quart):
    """An application that answers within a limit; requests that wait have their wait on top.

    A stream is answered when it begins.
    """

    handler_seconds = HANDLER_SECONDS

    async def full_dispatch_request(self, request_context: Any = None) -> Any:
        """Do as Quart does, and answer 503 when time is up."""
        waits = "wait" in request.args or "Prefer" in request.headers
        try:
            async with asyncio.timeout(self.handler_seconds + (LONGEST_WAIT if waits else 0)):
                return await super().full_dispatch_request(request_context)
        except TimeoutError:
            unknown = OutcomeUnknown(f"not done within {self.handler_seconds:g} s; try again")
            refusal = await self.handle_user_exception(unknown)
            return await self.finalize_request(refusal, request_context)
