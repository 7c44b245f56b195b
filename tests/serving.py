"""One API process for the tests, as `taskyard api` serves it; it can do without the broker."""

import asyncio
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from taskyard.core.principal import DEFAULT_TENANT, Scope
from taskyard.dev.processes import free_port
from taskyard.services.keys import PREFIX_BYTES, SECRET_BYTES, KeyWish, make_key
from taskyard.storage.pool import connect
from tests.stack import NotifySocket, deployment, environment, until

_PEPPER = secrets.token_hex(32)


@dataclass(frozen=True)
class Served:
    """Where it listens, and its processes."""

    port: int
    key: str
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        return {"Authorization": f"Bearer {self.key}"}

    def say(
        self, *parts: bytes, then_end: bool = False, drops: bytes = b"", within: float = 10.0
    ) -> bytes:
        """Send bytes as they are, and return what comes until the server closes.

        `drops` are sent again and again meanwhile.
        """
        answer, deadline = b"", time.monotonic() + within
        with socket.create_connection(("127.0.0.1", self.port), timeout=within) as opened:
            with suppress(ConnectionError):  # it may have heard enough before all is sent
                for part in parts:
                    opened.sendall(part)
                if then_end:
                    opened.shutdown(socket.SHUT_WR)
            opened.settimeout(0.02 if drops else within)
            with suppress(ConnectionError):
                while time.monotonic() < deadline:
                    with suppress(TimeoutError):
                        if not (received := opened.recv(65536)):
                            return answer
                        answer += received
                    opened.sendall(drops)
                raise TimeoutError(f"the server did not close within {within:g} s")
        return answer


@contextmanager
def serving(
    database_url: str, *, start: Sequence[str] = ("-m", "taskyard", "api"), **settings: str
) -> Iterator[Served]:
    """Serve the API of the tests' deployment on a database; SIGTERM ends it."""
    port, key = free_port(), asyncio.run(_admin_key(database_url))
    with NotifySocket() as notify:
        process = subprocess.Popen(
            [sys.executable, *start],
            env=environment(
                TASKYARD_DATABASE_URL=database_url,
                TASKYARD_AMQP_URL=f"amqp://u:p@127.0.0.1:{free_port()}/v",
                TASKYARD_API_PORT=str(port),
                TASKYARD_KEY_PEPPER=_PEPPER,
                NOTIFY_SOCKET=notify.address,
                **deployment(),
                **settings,
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            notify.wait(30)
            until(lambda: _listens(port))  # it says so a moment before
            yield Served(port, key, psutil.Process(process.pid))
        finally:
            process.terminate()
            assert process.wait(30) == 0


async def _admin_key(database_url: str) -> str:
    wish = KeyWish(
        tenant=DEFAULT_TENANT, name="tests", scopes=frozenset({Scope.ADMIN}), created_by="tests"
    )
    chance = secrets.token_bytes(PREFIX_BYTES + SECRET_BYTES)
    async with await connect(database_url, name="tests") as connection:
        return (await make_key(connection, wish, chance=chance, pepper=_PEPPER.encode()))[0]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
