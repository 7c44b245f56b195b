"""Pool loop, which only the tests of tracing have: coroutines."""

import asyncio

from taskyard import task
from tinytasks.spans import own_span


@task("loop.traced")
async def traced() -> str:
    """Do a part of the work in a span of its own, while others do the same."""
    await asyncio.sleep(0.05)
    return own_span()
