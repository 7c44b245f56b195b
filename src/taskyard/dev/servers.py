"""Both private servers, started side by side."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

from taskyard.core.errors import Misconfigured
from taskyard.dev import postgres, rabbitmq
from taskyard.dev.postgres import PostgresServer
from taskyard.dev.rabbitmq import RabbitServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Where the servers are; those that were given are not ours to stop."""

    database_url: str
    postgres: PostgresServer | None
    rabbitmq: RabbitServer | None
    given_amqp_url: str | None = None

    def amqp_url(self, vhost: str) -> str:
        """Return the AMQP URL of a virtual host of the private node, or the URL that was given."""
        return self.rabbitmq.url(vhost) if self.rabbitmq else self.given_amqp_url or ""

    def dead(self) -> str | None:
        """Return the name of a server that has died, or None."""
        if self.postgres and self.postgres.process.poll() is not None:
            return "Postgres"
        if self.rabbitmq and self.rabbitmq.node.poll() is not None:
            return "RabbitMQ"
        return None


@contextlib.contextmanager
def start_servers(
    folder: Path,
    *,
    vhosts: Sequence[str] = ("taskyard",),
    database_url: str | None = None,
    amqp_url: str | None = None,
    rabbitmq_conf: Mapping[str, str | int] = MappingProxyType({}),
    rabbitmq_plugins: Sequence[str] = (),
) -> Iterator[Servers]:
    """Start what is not given, wait until it answers, and stop it at the end.

    Raises Misconfigured when another process uses the folder, install.Missing when a server is
    not installed and cannot be.
    """
    folder = folder.resolve()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locked(folder))
        # Left after _stop: when one server fails, or a signal comes, nobody waits for the other.
        waiting = stack.enter_context(ThreadPoolExecutor(2))
        running: list[PostgresServer | RabbitServer] = []
        stack.callback(_stop, running)
        database = broker = None
        if amqp_url is None:
            broker = rabbitmq.spawn(
                folder / "rabbitmq", vhosts=vhosts, more=rabbitmq_conf, plugins=rabbitmq_plugins
            )
            running.append(broker)
        if database_url is None:
            database = postgres.spawn(folder)
            running.append(database)
        waits = [waiting.submit(broker.wait_ready, vhosts[0])] if broker else []
        waits += [waiting.submit(database.wait_ready)] if database else []
        for wait in as_completed(waits):
            wait.result()
        yield Servers(
            database_url=database_url or (database.url() if database else ""),
            postgres=database,
            rabbitmq=broker,
            given_amqp_url=amqp_url,
        )


def _stop(running: Sequence[PostgresServer | RabbitServer]) -> None:
    with ThreadPoolExecutor(2) as stopping:
        for done in [stopping.submit(server.stop) for server in running]:
            done.result()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[IO[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise Misconfigured(
                f"{folder} is in use by process {holder}; stop that one, or use --folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock
