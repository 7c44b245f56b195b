"""Reading what an issuer publishes: bounded, over verified TLS, without redirects or proxies."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from taskyard import strict_json
from taskyard.core.errors import TaskyardError
from taskyard.core.issuer import Issuer, Login, may_be_read
from taskyard.identity.key_set import KeySet, NotAKeySet, read_key_set

_LARGEST = 512 * 1024
_HEADERS = {"Accept": "application/json"}
_WITHIN = 10.0  # seconds for all of a document


class NotRead(Exception):
    """A document of an issuer could not be had. The message says why, in words."""


class Documents:
    """What one issuer publishes. Opened by `open_documents`."""

    def __init__(self, issuer: Issuer, client: httpx.AsyncClient, *, production: bool) -> None:
        self._issuer = issuer
        self._client = client
        self._production = production

    async def key_set(self) -> KeySet:
        """Return the keys as they are published now. Raises NotRead."""
        where = self._issuer.jwks or await self.endpoint("jwks_uri")
        try:
            return read_key_set(await self._read(where), self._issuer.family)
        except NotAKeySet as error:
            raise NotRead(f"{where} {error}") from None

    async def endpoint(self, name: str) -> str:
        """Return a URL out of the metadata. Raises NotRead."""
        return self._url(await self.metadata(), name)

    async def metadata(self) -> dict[str, Any]:
        """Return the issuer's metadata, in which it names itself. Raises NotRead.

        OpenID Connect Discovery 1.0, section 4.3; RFC 8414, section 3.3.
        """
        where = self._issuer.metadata_url
        found = await self._read(where)
        if not isinstance(found, dict) or found.get("issuer") != self._issuer.issuer:
            raise NotRead(f"{where} is not the metadata of this issuer")
        return found

    async def redeem(self, form: Mapping[str, str], login: Login) -> tuple[int, Any]:
        """Return status and body of what the token endpoint answers to us. Raises NotRead.

        We show the client's secret, if there is one, as RFC 6749, section 2.3.1 has it.
        """
        url = await self.endpoint("token_endpoint")
        if login.client_secret is None:
            return await self._json("POST", url, data={**form, "client_id": login.client_id})
        # Not with + for a space, as forms have it: some servers decode %20 alone.
        auth = (quote(login.client_id, safe=""), quote(login.client_secret, safe=""))
        return await self._json("POST", url, data=dict(form), auth=auth)

    def _url(self, metadata: dict[str, Any], name: str) -> str:
        url = metadata.get(name)
        if not isinstance(url, str) or not may_be_read(url, production=self._production):
            raise NotRead(f"the metadata has no {name} that begins with https://")
        return url

    async def _read(self, where: str) -> Any:
        if "://" not in where:
            return _decoded(await _file(where), where)
        status, document = await self._json("GET", where)
        if status != 200:
            raise NotRead(f"{where} was answered with {status}")
        return document

    async def _json(self, method: str, url: str, **more: Any) -> tuple[int, Any]:
        """Return status and decoded body; the body of what is no success may be anything."""
        try:
            async with (
                asyncio.timeout(_WITHIN),
                self._client.stream(method, url, headers=_HEADERS, **more) as reply,
            ):
                body = await _whole(reply)
        except TimeoutError:
            raise NotRead(f"{url} was not answered within {_WITHIN:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotRead(f"{url} cannot be read: {error or type(error).__name__}") from None
        return reply.status_code, _decoded(body, url) if reply.status_code == 200 else None


def _decoded(body: bytes, where: str) -> Any:
    try:
        return strict_json.decode(body)
    except TaskyardError as error:
        raise NotRead(f"{where} is not JSON: {error.detail}") from None


async def _whole(reply: httpx.Response) -> bytes:
    body = b""
    async for piece in reply.aiter_bytes():
        body += piece
        if len(body) > _LARGEST:
            raise NotRead(f"{reply.url} has more than {_LARGEST // 1024} KiB")
    return body


async def _file(where: str) -> bytes:
    try:
        return await asyncio.to_thread(Path(where).read_bytes)
    except OSError as error:
        raise NotRead(f"{where} cannot be read: {error.strerror}") from None


@asynccontextmanager
async def open_documents(issuer: Issuer, *, production: bool) -> AsyncIterator[Documents]:
    """Open what reads the documents of an issuer. Certificates are those of the system, or its."""
    trust = _trust(issuer.ca_file)
    async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=_WITHIN) as client:
        yield Documents(issuer, client, production=production)


@cache
def _trust(ca_file: str | None) -> ssl.SSLContext:
    # Once for all issuers: it reads every certificate that the system trusts.
    return ssl.create_default_context(cafile=ca_file)
