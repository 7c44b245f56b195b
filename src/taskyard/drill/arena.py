"""Where a drill takes place: private servers, a proxy before each, and a stack behind them."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskyard.core.routing import RoutingTable
from taskyard.dev import processes, start_servers
from taskyard.dev.postgres import PostgresServer
from taskyard.dev.rabbitmq import RabbitServer
from taskyard.drill import ledger, tree
from taskyard.drill.evidence import prepare
from taskyard.drill.proxy import Proxy, open_proxy
from taskyard.drill.wire import AmqpEar, HttpEar, PostgresEar
from taskyard.storage.pool import AsyncConnection, connect

VHOST = "drill"
PROGRAM = (sys.executable, "-m", "taskyard")  # how the stack is started

_READY_WITHIN = 90.0
_STOP_WITHIN = 20.0


@dataclass(slots=True, kw_only=True)
class Arena:
    """What may be struck. Servers are replaced when they are started again."""

    postgres: PostgresServer
    rabbitmq: RabbitServer
    to_postgres: Proxy
    to_rabbitmq: Proxy
    to_api: Proxy
    table: RoutingTable
    prefix: str
    folder: Path
    stack: Process | None = None

    @property
    def api_url(self) -> str:
        """Where clients reach the API: through its proxy."""
        return f"http://127.0.0.1:{self.to_api.port}"

    @property
    def ledger(self) -> Path:
        """The effects ledger."""
        return self.folder / "ledger"

    @property
    def log(self) -> Path:
        """What the roles have printed."""
        return self.folder / "stack.log"

    @property
    def database_url(self) -> str:
        """The database itself, past the proxy."""
        return self.postgres.url()

    @property
    def amqp_url(self) -> str:
        """The broker itself, past the proxy."""
        return self.rabbitmq.url(VHOST)

    async def connect(self) -> AsyncConnection:
        """Open a connection of our own to the database, past the proxy."""
        return await connect(self.database_url, name="drill")

    def roles(self, *first: str) -> list[int]:
        """Return the processes whose arguments begin so, such as "worker" or "api"."""
        assert self.stack is not None
        found = []
        for pid in tree.children(self.stack.pid):
            words = tree.command(pid)
            if any(words[at : at + len(first)] == first for at in range(2, len(words))):
                found.append(pid)
        return found

    async def start(self, program: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the stack, and return once it is ready. Raises ChildProcessError."""
        port = self.to_api.target[1]
        with self.log.open("ab") as errors:
            self.stack = await asyncio.create_subprocess_exec(
                *program,
                *("up", "--json", "--port", str(port), "--folder", str(self.folder / "up")),
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=PIPE,
                stderr=errors,
                start_new_session=True,
                preexec_fn=processes.dies_with_us(signal.SIGTERM),
            )
        assert self.stack.stdout is not None
        try:
            line = await asyncio.wait_for(self.stack.stdout.readline(), _READY_WITHIN)
        except TimeoutError:
            line = b""
        if not line or json.loads(line).get("event") != "ready":
            raise ChildProcessError(f"the stack did not start:\n{processes.tail(self.log)}")

    def stop_servers(self) -> None:
        """Stop both servers."""
        self.rabbitmq.stop()
        self.postgres.stop()

    async def stop(self) -> None:
        """Stop the stack, every role of it."""
        if self.stack is None or self.stack.returncode is not None:
            return
        stack, below = self.stack, tree.below(self.stack.pid)
        for pid in below:  # one that a fault has stopped cannot end itself
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        stack.terminate()
        try:
            await asyncio.wait_for(stack.wait(), _STOP_WITHIN)
        except TimeoutError:
            for pid in (stack.pid, *below):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await stack.wait()


@contextlib.asynccontextmanager
async def open_arena(
    folder: Path,
    *,
    table: RoutingTable,
    environment: Mapping[str, str],
    program: Sequence[str] = PROGRAM,
) -> AsyncIterator[Arena]:
    """Start servers, proxies and the stack, and end them all."""
    async with contextlib.AsyncExitStack() as stack:
        # Here, in the main thread and its loop: the kernel ends servers with who started them.
        servers = stack.enter_context(start_servers(folder, vhosts=(VHOST,)))
        assert servers.postgres is not None
        assert servers.rabbitmq is not None
        enter, here = stack.enter_async_context, "127.0.0.1"
        arena = Arena(
            postgres=servers.postgres,
            rabbitmq=servers.rabbitmq,
            to_postgres=await enter(open_proxy((here, servers.postgres.port), PostgresEar)),
            to_rabbitmq=await enter(open_proxy((here, servers.rabbitmq.port), AmqpEar)),
            to_api=await enter(open_proxy((here, processes.free_port()), HttpEar)),
            table=table,
            prefix=environment.get("TASKYARD_PREFIX", "taskyard"),
            folder=folder,
        )
        # The servers that run at the end, which may not be those that were started first.
        stack.callback(arena.stop_servers)
        stack.push_async_callback(arena.stop)
        await arena.start(program, _surroundings(arena, environment))
        await prepare(arena.database_url)
        yield arena


def _surroundings(arena: Arena, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the stack: both servers are reached through their proxies."""
    database, broker = arena.postgres, arena.rabbitmq
    return {
        **environment,
        "TASKYARD_DATABASE_URL": database.url().replace(
            f":{database.port}/", f":{arena.to_postgres.port}/"
        ),
        "TASKYARD_AMQP_URL": broker.url(VHOST).replace(
            f":{broker.port}/", f":{arena.to_rabbitmq.port}/"
        ),
        ledger.VARIABLE: str(arena.ledger),
    }
