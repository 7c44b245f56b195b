"""Refused logins: each is counted, and what was counted is recorded once in a while.

Whoever guesses does so a million times. So the request only counts, in bounded memory, and an entry
stands for all of a minute: the first is recorded at once, and none is left out at a clean stop.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from taskyard.core.audit import DEPLOYMENT, Action
from taskyard.core.errors import StorageUnavailable
from taskyard.services import audit
from taskyard.stopping import end
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

EVERY = 60.0  # seconds between two entries of one process
_MOST_NAMED = 20  # different reasons, and different keys, in an entry

BY_KEY = "key"


@dataclass(slots=True)
class _Tally:
    """What was refused by one way since it was last recorded."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)

    def detail(self) -> dict[str, Any]:
        shown = {"count": self.count, "reasons": dict(self.reasons), "keys": dict(self.keys)}
        return {name: value for name, value in shown.items() if value}


class RefusedLogins:
    """Counts logins that were refused; opened by `open_refused_logins`."""

    def __init__(self, pool: Pool, *, every: float = EVERY) -> None:
        self._pool = pool
        self._every = every
        self._tallies: dict[str, _Tally] = {}
        self._some = asyncio.Event()

    def count(self, way: str, reason: str, *, key: str | None = None) -> None:
        """Count one: by a key, or at an issuer; `key` is the public part of what was shown."""
        tally = self._tallies.setdefault(way, _Tally())
        tally.count += 1
        _name(tally.reasons, reason)
        if key is not None:
            _name(tally.keys, key)
        self._some.set()

    async def watch(self) -> None:
        """Record what is counted, again and again. Never returns."""
        while True:
            await self._some.wait()
            try:
                await self.record()
            except StorageUnavailable as error:
                log.warning("refused logins not recorded yet", error=error.detail)
            await asyncio.sleep(self._every)

    async def record(self) -> None:
        """Record what was counted, an entry for each way. Raises StorageUnavailable."""
        self._some.clear()
        for way in list(self._tallies):
            tally = self._tallies.pop(way)
            try:
                await self._record(way, tally)
            except BaseException:
                self._put_back(way, tally)
                raise

    async def _record(self, way: str, tally: _Tally) -> None:
        async with borrowed(self._pool) as connection:
            await audit.record_as(
                connection, Action.LOGIN_REFUSED, f"login:{way}", tally.detail(),
                tenant=DEPLOYMENT, actor="nobody",
            )  # fmt: skip

    def _put_back(self, way: str, tally: _Tally) -> None:
        meanwhile = self._tallies.setdefault(way, _Tally())
        meanwhile.count += tally.count
        for named, more in ((meanwhile.reasons, tally.reasons), (meanwhile.keys, tally.keys)):
            for name, count in more.items():
                _name(named, name, count)
        self._some.set()


def _name(named: Counter[str], name: str, count: int = 1) -> None:
    if name not in named and len(named) >= _MOST_NAMED:
        name = "others"
    named[name] += count


@asynccontextmanager
async def open_refused_logins(pool: Pool) -> AsyncIterator[RefusedLogins]:
    """Count, and record beside; what is left is recorded at the end."""
    refused = RefusedLogins(pool)
    watching = asyncio.create_task(refused.watch(), name="refused logins")
    try:
        yield refused
    finally:
        await end(watching)
        with suppress(StorageUnavailable):
            await refused.record()
