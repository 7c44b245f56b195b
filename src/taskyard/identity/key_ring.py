"""The keys of one issuer, kept: read in the background, and once more for a key not known yet."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from joserfc.jwk import Key

from taskyard.core.errors import IssuerUnavailable
from taskyard.identity.documents import NotRead
from taskyard.identity.key_set import KeySet
from taskyard.stopping import end

log = structlog.get_logger(__name__)

EVERY = 600.0  # seconds between reads
ASKED_EVERY = 60.0  # at most, whatever tokens name
_FIRST_PAUSE = 5.0  # after a failure, and twice as long after each further one

Read = Callable[[], Awaitable[KeySet]]


class KeyRing:
    """What an issuer signs with. What is known is kept while it cannot be read anew.

    `keys` is another object after each read.
    """

    def __init__(
        self, issuer: str, read: Read, *, clock: Callable[[], float], every: float = EVERY
    ) -> None:
        self._issuer = issuer
        self._read = read
        self._clock = clock
        self._every = every
        self.keys = KeySet()
        self._asked_again_at = -ASKED_EVERY
        self._asking: asyncio.Task[bool] | None = None

    async def key(self, key_id: str | None) -> Key | None:
        """Return a key by its id; one that is not known is looked for at the issuer.

        Raises IssuerUnavailable when none of its keys could be read yet.
        """
        if (found := self.keys.key(key_id)) is None:
            await self._ask()
            found = self.keys.key(key_id)
        if not self.keys:
            raise IssuerUnavailable("the keys of the token's issuer cannot be read at the moment")
        return found

    async def refresh(self) -> bool:
        """Read the keys; return whether that went well."""
        try:
            self.keys = await self._read()
        except NotRead as error:
            log.warning("keys of an issuer not read", issuer=self._issuer, error=str(error))
            return False
        return True

    async def stay_fresh(self) -> None:
        """Read the keys every now and then, and soon again while that fails."""
        failures = 0
        while True:
            failures = 0 if await self.refresh() else failures + 1
            await asyncio.sleep(_pause(failures, self._every))

    async def close(self) -> None:
        """End what is still being asked."""
        if self._asking is not None:
            await end(self._asking)

    async def _ask(self) -> None:
        """Have the keys read once for all who miss one, and not again for a minute."""
        if self._asking is None or self._asking.done():
            if self._clock() - self._asked_again_at < ASKED_EVERY:
                return
            self._asked_again_at = self._clock()
            # A task of its own: who hangs up must not end it for the others, nor use up the minute.
            self._asking = asyncio.create_task(self.refresh(), name="keys of an issuer")
        await asyncio.shield(self._asking)


def _pause(failures: int, every: float) -> float:
    return min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), every) if failures else every
