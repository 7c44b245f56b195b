"""One role under supervision: started, watched, restarted, stopped."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskyard.dev import processes

_READY_WITHIN = 60.0
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 30.0
_STEADY_AFTER = 60.0
_LONGEST_LINE = 2**20
_LAST_WORDS_WITHIN = 1.0


class RoleFailed(Exception):
    """A role did not become ready; the message ends with what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A process of the stack."""

    name: str
    argv: Sequence[str]
    first_to_stop: bool = False
    nice: int = 0  # how far it stands back where cores are short (nice(1))
    stop_within: float = 7.0  # an idle Celery worker with processes takes 3.5 s (measured)


class Supervised:
    """A role and the process that plays it at the moment."""

    def __init__(
        self,
        role: Role,
        environment: Mapping[str, str],
        *,
        say: Callable[[str], None],
        quiet_stop: bool,
    ) -> None:
        self.role = role
        self._environment = environment
        self._say = say
        self._quiet_stop = quiet_stop
        self._process: Process | None = None
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._last: deque[str] = deque(maxlen=30)

    async def ready(self) -> None:
        """Return once the role has said that it is ready. Raises RoleFailed."""
        ready = asyncio.create_task(self._ready.wait())
        either: list[asyncio.Future[Any]] = [ready, self._failed]
        done, _ = await asyncio.wait(
            either, timeout=_READY_WITHIN, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        if self._failed in done:
            self._failed.result()
        if not done:
            raise RoleFailed(self._obituary(f"was not ready within {_READY_WITHIN:g} s"))

    async def keep(self) -> None:
        """Play the role until stopped; start it again when it dies, later each time."""
        backoff = _FIRST_BACKOFF
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._play()
            if self._stopping.is_set():
                return
            if not self._ready.is_set():
                self._failed.set_exception(RoleFailed(self._obituary(f"ended with {code}")))
                return
            if time.monotonic() - started > _STEADY_AFTER:
                backoff = _FIRST_BACKOFF
            self._say(f"{self.role.name} died ({_shown(code)}); starting it again in {backoff:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff):
                    await self._stopping.wait()
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    async def stop(self) -> None:
        """Ask the role to end, and kill it with all its children when it does not in time."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(self.role.stop_within):
                await process.wait()
        except TimeoutError:
            self._say(
                f"{self.role.name} did not stop within {self.role.stop_within:g} s; killing it"
            )
            processes.kill_group(process.pid)
            await process.wait()

    def kill(self) -> None:
        """End the role and all its children at once."""
        if self._process is not None and self._process.returncode is None:
            processes.kill_group(self._process.pid)

    async def _play(self) -> int:
        """Start the process, pass on what it prints, return its exit code."""
        loop = asyncio.get_running_loop()
        with _readiness_socket() as (listener, address):
            loop.add_reader(listener, self._on_notify, listener)
            async with _output_pipe() as (lines, output):
                self._process = process = await asyncio.create_subprocess_exec(
                    *_command(self.role),
                    env={**self._environment, "NOTIFY_SOCKET": address},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=processes.dies_with_us(signal.SIGTERM),
                )
                os.close(output)
                if self._stopping.is_set():  # while it started, so stop() has not seen it
                    processes.kill_group(process.pid)
                printing = asyncio.create_task(self._pass_on(lines))
                code = await process.wait()
                processes.kill_group(process.pid)
                await asyncio.wait([printing], timeout=_LAST_WORDS_WITHIN)
            loop.remove_reader(listener)
        await printing
        return code

    def _on_notify(self, listener: socket.socket) -> None:
        if b"READY=1" in listener.recv(4096):
            self._ready.set()

    async def _pass_on(self, lines: asyncio.StreamReader) -> None:
        while (line := await _line(lines)) is not None:
            self._last.append(line)
            if self._quiet_stop and self._stopping.is_set():
                continue  # beside a command, its output has the last word
            print(f"{self.role.name} | {line}", file=sys.stderr, flush=True)

    def _obituary(self, what: str) -> str:
        return "\n".join([f"{self.role.name} {what}", *(f"    {line}" for line in self._last)])


async def _line(reader: asyncio.StreamReader) -> str | None:
    """Return the next line, cut when it is too long, or None at the end."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as error:
        line = await reader.readexactly(error.consumed)
    except asyncio.IncompleteReadError as error:
        line = error.partial
        if not line:
            return None
    return line.decode("utf-8", "replace").rstrip("\n")


def _command(role: Role) -> Sequence[str]:
    return ["nice", "-n", str(role.nice), *role.argv] if role.nice else role.argv


def _shown(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@contextlib.asynccontextmanager
async def _output_pipe() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """What a role prints, and the descriptor it prints to, which the caller closes.

    Not asyncio's own pipe: on it, wait() lasts until the pipe is closed, and a child that survived
    the role may hold it open for ever.
    """
    read_end, write_end = os.pipe()
    lines = asyncio.StreamReader(limit=_LONGEST_LINE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(read_end, "rb", 0)
    )
    try:
        yield lines, write_end
    finally:
        transport.close()


@contextlib.contextmanager
def _readiness_socket() -> Iterator[tuple[socket.socket, str]]:
    """A socket for sd_notify(3) in a folder of its own; paths are limited to 107 bytes."""
    with (
        tempfile.TemporaryDirectory(prefix="taskyard-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        path = str(Path(folder) / "notify")
        listener.bind(path)
        listener.setblocking(False)
        yield listener, path
