"""POST to an endpoint: short, capped, no redirects, no proxy, no cookies."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpcore

from taskyard.core.webhooks import Answer
from taskyard.outbound.dial import HostRefused, PublicNetwork

_WITHIN = 15.0  # seconds for all of it, however slowly a byte trickles in
_TIMEOUTS = {"connect": 5.0, "read": 10.0, "write": 10.0, "pool": 10.0}
_LARGEST_ANSWER = 64 * 1024
_KEPT = 1024
_IDLE_FOR = 5.0


class Poster:
    """Sends to endpoints. Opened by `open_poster`."""

    def __init__(self, pool: httpcore.AsyncConnectionPool, *, within: float) -> None:
        self._pool = pool
        self._within = within

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once; whatever goes wrong outside of us is in the answer."""
        given = {**headers, "Accept-Encoding": "identity", "Content-Length": str(len(body))}
        try:
            async with asyncio.timeout(self._within):
                return await self._exchange(url, body, given)
        except TimeoutError:
            return Answer(fault=f"there was no whole answer within {self._within:g} s")
        except HostRefused as refused:
            return Answer(fault=f"its address may not be called: {refused}")
        except httpcore.TimeoutException as error:
            return Answer(fault=f"it took too long ({type(error).__name__})")
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as error:
            return Answer(fault=f"the connection failed: {error or type(error).__name__}"[:500])
        except httpcore.UnsupportedProtocol as error:
            return Answer(fault=str(error))

    async def _exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        host = httpcore.URL(url)
        raw.append((b"Host", _host_header(host)))
        async with self._pool.stream(
            "POST", host, headers=raw, content=body, extensions={"timeout": _TIMEOUTS}
        ) as response:
            kept = await _beginning(response)
            answered = {name.lower(): value for name, value in response.headers}
        retry_after = _retry_after(answered.get(b"retry-after", b"").decode("ascii", "replace"))
        return Answer(status=response.status, body=kept, retry_after=retry_after)


def _host_header(url: httpcore.URL) -> bytes:
    # In a header an IPv6 address stands in brackets, which the parsed host has lost.
    host = b"[" + url.host + b"]" if b":" in url.host else url.host
    return host if url.port is None else host + b":%d" % url.port


async def _beginning(response: httpcore.Response) -> str:
    """Read no more than the cap, and return the first KiB as text that Postgres can hold."""
    read = 0
    kept = b""
    async for piece in response.aiter_stream():
        read += len(piece)
        kept += piece[: _KEPT - len(kept)]
        if read >= _LARGEST_ANSWER:
            break  # the connection is closed with the rest unread
    return kept.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _retry_after(text: str) -> timedelta | None:
    """Read Retry-After: seconds or a date (RFC 9110, section 10.2.3)."""
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text[:9]))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(aware - datetime.now(UTC), timedelta(0))


@asynccontextmanager
async def open_poster(
    network: PublicNetwork, *, trust: ssl.SSLContext | None = None, within: float = _WITHIN
) -> AsyncIterator[Poster]:
    """Open what sends to endpoints: certificates are verified, by the system's trust by default.

    An answer must be whole after `within` seconds.
    """
    pool = httpcore.AsyncConnectionPool(
        ssl_context=trust or httpcore.default_ssl_context(),
        max_connections=100,
        max_keepalive_connections=20,
        keepalive_expiry=_IDLE_FOR,
        network_backend=network,
    )
    async with pool:
        yield Poster(pool, within=within)
