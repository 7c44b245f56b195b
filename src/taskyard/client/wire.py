"""From our requests to httpx and back: what both clients share of it."""

import platform
from importlib.metadata import version

import httpx

from taskyard.client.exchange import Reply, Request, Silence

USER_AGENT = f"taskyard-client/{version('taskyard')} python/{platform.python_version()}"


def checked(url: str) -> httpx.URL:
    """Return the address of a server. Raises ValueError for what is none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no address of a server: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is no address of a server; write http://host:port")
    return parsed


def headers(key: str | None) -> dict[str, str]:
    """Return what every request says. Raises ValueError for a key that is none."""
    if key is None:
        return {"User-Agent": USER_AGENT}
    if not key.isascii() or not key.isprintable() or " " in key.strip() or not key.strip():
        raise ValueError("the key has characters that no key has")
    return {"User-Agent": USER_AGENT, "Authorization": f"Bearer {key.strip()}"}


def build(client: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
    """Return what httpx sends."""
    timeout = client.timeout
    lingering = httpx.Timeout(
        connect=timeout.connect,
        read=None if timeout.read is None else timeout.read + request.linger,
        write=timeout.write,
        pool=timeout.pool,
    )
    return client.build_request(
        request.method,
        request.path,
        params=list(request.params) or None,
        headers=dict(request.headers),
        content=request.body,
        timeout=lingering,
    )


def head(response: httpx.Response, body: bytes = b"") -> Reply:
    """Return a reply with this body, or with none so far."""
    return Reply(status=response.status_code, headers=dict(response.headers), body=body)


def silence(error: httpx.TransportError, url: str) -> Silence:
    """Return what an error of the connection comes to."""
    unsent = httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout
    why = f"{url} does not answer: {error or type(error).__name__}"
    return Silence(why=why, sent=not isinstance(error, unsent))
