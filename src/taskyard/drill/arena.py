"""Where a drill takes place: private servers, a proxy before each, and a stack behind them."""

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taskyard.core.routing import RoutingTable
from taskyard.dev import processes, start_servers
from taskyard.dev.postgres import PostgresServer
from taskyard.dev.rabbitmq import RabbitServer
from taskyard.dev.up import PROGRAM
from taskyard.drill import ledger, tree
from taskyard.drill.evidence import prepare
from taskyard.drill.proxy import Proxy, open_proxy
from taskyard.drill.wire import AmqpEar, HttpEar, PostgresEar
from taskyard.storage.pool import AsyncConnection, connect

VHOST = "drill"
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
    environment: Mapping[str, str]
    program: Sequence[str]
    stack: Process | None = None
    api_key: str = ""
    spares: list[Process] = field(default_factory=list)

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

    async def start(self) -> None:
        """Start the stack, and return once it is ready. Raises ChildProcessError."""
        port = str(self.to_api.target[1])
        words = ("up", "--json", "--port", port, "--folder", str(self.folder / "up"))
        self.stack = await self._run(*words, output=PIPE)
        assert self.stack.stdout is not None
        try:
            line = await asyncio.wait_for(self.stack.stdout.readline(), _READY_WITHIN)
        except TimeoutError:
            line = b""
        if not line or (ready := json.loads(line)).get("event") != "ready":
            raise ChildProcessError(f"the stack did not start:\n{processes.tail(self.log)}")
        self.api_key = ready["api_key"]

    async def start_spare(self, pool: str) -> None:
        """Start one more worker of a pool beside the stack."""
        self.spares.append(await self._run("worker", pool, output=DEVNULL))

    async def stop_spares(self) -> None:
        """Let the spare workers end what they run, and stop."""
        spares, self.spares = self.spares, []
        for spare in spares:
            await _end(spare)

    async def _run(self, *words: str, output: int) -> Process:
        with self.log.open("ab") as errors:
            return await asyncio.create_subprocess_exec(
                *self.program,
                *words,
                env={**self.environment, **self._urls()},
                stdin=DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
                preexec_fn=processes.dies_with_us(signal.SIGTERM),
            )

    def _urls(self) -> dict[str, str]:
        """Return where the stack finds its servers: each behind its proxy."""
        database, broker = self.postgres, self.rabbitmq
        return {
            "TASKYARD_DATABASE_URL": database.url().replace(
                f":{database.port}/", f":{self.to_postgres.port}/"
            ),
            "TASKYARD_AMQP_URL": broker.url(VHOST).replace(
                f":{broker.port}/", f":{self.to_rabbitmq.port}/"
            ),
            ledger.VARIABLE: str(self.ledger),
        }

    def stop_servers(self) -> None:
        """Stop both servers."""
        self.rabbitmq.stop()
        self.postgres.stop()

    async def stop(self) -> None:
        """Stop the stack, every role of it, and the spare workers."""
        await self.stop_spares()
        if self.stack is not None:
            await _end(self.stack)


async def _end(process: Process) -> None:
    """End a process as Ctrl-C would, and with everything below it when it does not in time."""
    if process.returncode is not None:
        return
    below = tree.below(process.pid)
    _signal(below, signal.SIGCONT)  # one that a fault has stopped cannot end itself
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_WITHIN)
    except TimeoutError:
        _signal([process.pid, *below], signal.SIGKILL)
        await process.wait()


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


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
            environment=environment,
            program=program,
        )
        # The servers that run at the end, which may not be those that were started first.
        stack.callback(arena.stop_servers)
        stack.push_async_callback(arena.stop)
        await arena.start()
        await prepare(arena.database_url)
        yield arena
