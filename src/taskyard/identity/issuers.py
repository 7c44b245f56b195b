"""The issuers whose tokens are taken, each with its keys."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from taskyard.core.errors import Fault, InvalidIssuers
from taskyard.core.issuer import Issuer
from taskyard.core.principal import Principal
from taskyard.identity.documents import Documents, NotRead, open_documents
from taskyard.identity.key_ring import KeyRing
from taskyard.identity.principal import principal
from taskyard.identity.remembered import Remembered
from taskyard.identity.token import LONGEST, Unverified, check_header, read, refused, verify
from taskyard.stopping import end


@dataclass(frozen=True, slots=True)
class Trusted:
    """An issuer whose tokens are taken, with what it publishes and the keys it signs with."""

    issuer: Issuer
    documents: Documents
    keys: KeyRing

    async def claims(
        self, token: Unverified, *, audience: str, types: Collection[str], now: float
    ) -> dict[str, Any]:
        """Return the claims of a token, verified. Raises Unauthenticated or IssuerUnavailable."""
        check_header(token, self.issuer.family, types)
        key = await self.keys.key(token.key_id)
        if key is None:
            raise refused("the key that it names is not known")
        return verify(
            token,
            key,
            family=self.issuer.family,
            audience=audience,
            now=now,
            leeway=self.issuer.leeway.total_seconds(),
        )


class Issuers:
    """Knows who is behind a JSON Web Token: an `Authenticator`. Opened by `open_issuers`."""

    def __init__(self, trusted: Mapping[str, Trusted], *, now: Callable[[], float]) -> None:
        self._trusted = trusted
        self._now = now
        self._remembered = Remembered()

    async def principal_of(self, token: str) -> Principal:
        """Return who a token is for. Raises Unauthenticated; IssuerUnavailable, to be repeated."""
        now = self._now()
        if len(token) <= LONGEST and (known := self._remembered.find(token, now=now)) is not None:
            return known
        taken = read(token)
        found = self._trusted.get(taken.issuer)
        if found is None:
            raise refused("it is of an issuer that is not trusted here")
        issuer = found.issuer
        claims = await found.claims(taken, audience=issuer.audience, types=issuer.types, now=now)
        bearer = principal(issuer.issuer, issuer.claims, claims)
        until = claims["exp"] + issuer.leeway.total_seconds()
        self._remembered.keep(token, bearer, until=until, ring=found.keys)
        return bearer

    @property
    def trusted(self) -> Mapping[str, Trusted]:
        """Every issuer by its name."""
        return self._trusted


@asynccontextmanager
async def open_issuers(
    issuers: Iterable[Issuer],
    *,
    production: bool,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Issuers]:
    """Trust these issuers for as long as it is open; their keys are read in the background.

    An issuer that is away delays nothing: its tokens wait for it. Raises InvalidIssuers when keys
    in a file cannot be read.
    """
    async with AsyncExitStack() as stack:
        trusted = {}
        for issuer in issuers:
            documents = await stack.enter_async_context(
                open_documents(issuer, production=production)
            )
            keys = KeyRing(issuer.issuer, documents.key_set, clock=clock)
            stack.push_async_callback(keys.close)
            await _check_file(issuer, documents)
            fresh = asyncio.create_task(keys.stay_fresh(), name=f"keys of {issuer.issuer}")
            stack.push_async_callback(end, fresh)
            trusted[issuer.issuer] = Trusted(issuer, documents, keys)
        yield Issuers(trusted, now=now)


async def _check_file(issuer: Issuer, documents: Documents) -> None:
    # A file that is wrong now will be wrong later: that is a fault of the deployment.
    if issuer.jwks is None or "://" in issuer.jwks:
        return
    try:
        await documents.key_set()
    except NotRead as error:
        fault = Fault(f"issuer {issuer.issuer}", str(error))
        raise InvalidIssuers("the issuers are at fault", faults=(fault,)) from None
