"""Connections to public addresses only.

A name is resolved here, the addresses are filtered, and exactly those are dialled: a name that is
public when it is looked at and 127.0.0.1 when it is dialled gets no connection.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from typing import Any

import httpcore

from taskyard.core.addresses import Address, Network, address_problem, host_problem

_LOOKUPS_AT_ONCE = 64  # as many as may be sent at once

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


class HostRefused(Exception):
    """The host, or every address of it, is none that may be dialled. The message says why."""


def system_resolver() -> Resolve:
    """Return what asks the system for the addresses of a host, and raises OSError.

    It has threads of its own: a name server that does not answer blocks one for each question, and
    the few that asyncio has would soon be gone.
    """
    lookups = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="lookup")

    async def resolve(host: str, port: int) -> Sequence[Address]:
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(lookups, ask)
        return [ip_address(given[0]) for _, _, _, _, given in found]

    return resolve


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Dials what is public, or in one of the allowed networks; TLS is verified above, by name."""

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        resolve: Resolve | None = None,
        inner: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolve or system_resolver()
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- the interface of httpcore
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers. Raises HostRefused."""
        failure: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a socket on this machine is nobody's endpoint."""
        raise HostRefused("a Unix socket is not a host")

    async def sleep(self, seconds: float) -> None:
        """Wait between the attempts that httpcore makes."""
        await self._inner.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        if problem := host_problem(host, self._allowed):
            raise HostRefused(problem)
        try:
            found = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} does not resolve: {error.strerror}") from error
        problems = {address: address_problem(address, self._allowed) for address in found}
        public = [address for address, problem in problems.items() if problem is None]
        if not public and problems:
            raise HostRefused(f"{host}: {next(iter(problems.values()))}")
        return public
