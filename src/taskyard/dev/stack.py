"""The supervisor behind `taskyard up`: servers, then roles, then whatever happens to them."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from taskyard.dev import processes
from taskyard.dev.roles import Role, RoleFailed, Supervised
from taskyard.dev.servers import Servers, start_servers
from taskyard.redaction import redacted

VHOST = "taskyard"
PREFERRED_PORT = 8000
_LOOK_EVERY = 0.5
_COMMAND_STOPS_WITHIN = 1.0

Prepare = Callable[[str, str], Coroutine[Any, Any, str]]  # returns the admin key


class Stack:
    """Everything on one machine, for as long as `run` runs."""

    def __init__(
        self,
        *,
        folder: Path,
        roles: Sequence[Role],
        prepare: Prepare,
        environment: Mapping[str, str],
        port: int | None,
        as_json: bool,
        command: Sequence[str],
    ) -> None:
        self._folder = folder
        self._roles = roles
        self._prepare = prepare
        self._environment = environment
        self._as_json = as_json
        self._command = command
        self._port = port or (
            PREFERRED_PORT if processes.is_free(PREFERRED_PORT) else processes.free_port()
        )
        self._stop = asyncio.Event()
        self._supervised: list[Supervised] = []
        self._dead: str | None = None

    @property
    def api_url(self) -> str:
        """Where the API will listen."""
        return f"http://127.0.0.1:{self._port}"

    def run(self, *, database_url: str | None, amqp_url: str | None) -> int:
        """Start everything, stay until a signal or the end of the command, stop everything.

        Returns the exit code: that of the command, 0 after a signal, 1 when something failed.
        """
        say("starting Postgres and RabbitMQ …")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the loop takes over
        try:
            with start_servers(
                self._folder, vhosts=(VHOST,), database_url=database_url, amqp_url=amqp_url
            ) as servers:
                return asyncio.run(self._live(servers))
        except KeyboardInterrupt:
            return 0

    async def _live(self, servers: Servers) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        database_url, amqp_url = servers.database_url, servers.amqp_url(VHOST)
        work = asyncio.create_task(self._prepare(database_url, amqp_url))
        if not await self._unless_stopped(work):
            return 0
        environment = {
            "TASKYARD_PUBLIC_URL": self.api_url,
            **self._environment,
            "TASKYARD_DATABASE_URL": database_url,
            "TASKYARD_AMQP_URL": amqp_url,
            "TASKYARD_API_HOST": "127.0.0.1",
            "TASKYARD_API_PORT": str(self._port),
            "TASKYARD_API_URL": self.api_url,
            "TASKYARD_API_KEY": work.result(),
        }
        say("starting " + ", ".join(role.name for role in self._roles) + " …")
        quiet = bool(self._command)
        self._supervised = supervised = [
            Supervised(role, environment, say=say, quiet_stop=quiet) for role in self._roles
        ]
        keepers = [asyncio.create_task(each.keep()) for each in supervised]
        self._watch(servers)
        try:
            code = await self._serve(servers, environment)
            return 1 if self._dead else code
        except RoleFailed as error:
            say(str(error))
            return 1
        finally:
            # What brings work in stops first, what does it last.
            await asyncio.gather(*(each.stop() for each in supervised if each.role.first_to_stop))
            await asyncio.gather(*(each.stop() for each in supervised))
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _serve(self, servers: Servers, environment: Mapping[str, str]) -> int:
        ready = asyncio.gather(*(each.ready() for each in self._supervised))
        if not await self._unless_stopped(asyncio.ensure_future(ready)):
            return 0
        self._announce(servers, environment["TASKYARD_API_KEY"])
        if self._command:
            return await self._run_command(environment)
        await self._stop.wait()
        return 0

    def _watch(self, servers: Servers) -> None:
        """Look every now and then, and stop everything when a private server has died."""
        self._dead = servers.dead()
        if self._dead is None:
            asyncio.get_running_loop().call_later(_LOOK_EVERY, self._watch, servers)
        else:
            say(f"{self._dead} has died; see its log in {self._folder}")
            self._stop.set()

    async def _run_command(self, environment: Mapping[str, str]) -> int:
        command = await asyncio.create_subprocess_exec(
            *self._command,
            env=dict(environment),
            preexec_fn=processes.dies_with_us(signal.SIGTERM),
        )
        ended = asyncio.create_task(command.wait())
        if await self._unless_stopped(ended):
            return ended.result()
        with contextlib.suppress(ProcessLookupError):
            command.terminate()
        await asyncio.wait([ended], timeout=_COMMAND_STOPS_WITHIN)
        with contextlib.suppress(ProcessLookupError):
            command.kill()
        await ended
        return 130

    async def _unless_stopped(self, work: "asyncio.Future[Any]") -> bool:
        """Wait for some work; return False when a signal came first."""
        stop = asyncio.create_task(self._stop.wait())
        either: list[asyncio.Future[Any]] = [work, stop]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not work.done():
            return False
        work.result()
        return True

    def _on_signal(self) -> None:
        if self._stop.is_set():
            say("stopping at once")
            for each in self._supervised:
                each.kill()
            os._exit(1)  # the servers get their signal from the kernel
        say("stopping …")
        self._stop.set()

    def _announce(self, servers: Servers, key: str) -> None:
        if self._as_json:
            ready = {
                "event": "ready",
                "api_url": self.api_url,
                "api_key": key,
                "amqp_url": servers.amqp_url(VHOST),
                "database_url": servers.database_url,
            }
            print(json.dumps(ready), flush=True)
            return
        say(f"ready: the API is at {self.api_url}, its documentation at {self.api_url}/docs")
        if not self._command:
            # Passwords of private servers are there to be used; others are not ours to show.
            amqp_url, database_url = servers.amqp_url(VHOST), servers.database_url
            say(f"RabbitMQ {amqp_url if servers.rabbitmq else redacted(amqp_url)}")
            say(f"Postgres {database_url if servers.postgres else redacted(database_url)}")
            say("Ctrl-C stops everything")


def say(text: str) -> None:
    """Tell whoever sits before the terminal."""
    print(f"taskyard: {text}", file=sys.stderr, flush=True)
