"""What an attempt says with `current.log` and `current.progress`: written a few times a second."""

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
import structlog

from taskyard.core.lease import Lease
from taskyard.storage import attempts, task_logs
from taskyard.storage.task_logs import MOST_LINES, SaidLine
from taskyard.worker.asyncio_loop import LoopThread
from taskyard.worker.runtime import Runtime

log = structlog.get_logger(__name__)

WRITE_EVERY = 0.2  # seconds
_LONGEST_TEXT = 1000  # characters
_LONGEST_MESSAGE = 200  # characters, of progress
_LONGEST_FIELDS = 4096  # bytes of JSON


@dataclass(frozen=True, slots=True)
class _Said:
    number: int
    at: float
    text: str
    fields: str


class Spoken:
    """What one attempt has said and is not written yet: its newest hundred lines, its progress.

    The first words are written at once. What follows them soon is written together, by a thread of
    a timer, so that the last words before a long silence are seen as well.
    """

    def __init__(self, runtime: Runtime, lease: Lease) -> None:
        self._runtime = runtime
        self._lease = lease
        self._lines: deque[_Said] = deque(maxlen=MOST_LINES)
        self._progress: dict[str, Any] | None = None
        self._said = self._written = 0
        self._written_at = self._told_at = float("-inf")
        self._writing = threading.Lock()
        self._timer: threading.Timer | None = None
        self._loop = runtime.loop
        self._alarm: asyncio.TimerHandle | None = None

    def say(self, text: str, fields: dict[str, Any]) -> None:
        """Add a line."""
        self._said += 1
        line = _Said(self._said, time.monotonic(), _storable(text)[:_LONGEST_TEXT], _json(fields))
        self._lines.append(line)
        self._write_after(self._written_at)

    def tell(self, fraction: float, message: str) -> bool | None:
        """Tell how far the attempt is; what was told before counts no more.

        Returns whether the task is known to be cancelled, None when the lease is known to be gone.
        """
        bounded = min(1.0, max(0.0, float(fraction)))
        self._progress = {"fraction": bounded, "message": _storable(message)[:_LONGEST_MESSAGE]}
        return self._write_after(self._told_at)

    def write(self) -> bool | None:
        """Write what was said so far, and return what `tell` returns.

        What cannot be written is lost: the task is what counts.
        """
        if (timer := self._timer) is not None:
            timer.cancel()
            self._timer = None
        if (alarm := self._alarm) is not None:
            alarm.cancel()
            self._alarm = None
        if not self._lines and self._progress is None and not self._writing.locked():
            return False
        return self._runtime.aside(self._write)

    def _write(self) -> bool | None:
        with self._writing:
            self._write_lines()
            return self._write_progress()

    def _write_after(self, latest: float) -> bool | None:
        """Write, if the latest time is long enough ago, else soon."""
        if self._loop is not None and self._loop.is_here():
            return self._write_beside(latest, self._loop)
        if time.monotonic() - latest >= WRITE_EVERY:
            return self.write()
        if self._timer is None:
            # Who goes on speaking writes before it strikes; it is for the words before a silence.
            self._timer = threading.Timer(2 * WRITE_EVERY, self._write_later)
            self._timer.daemon = True
            self._timer.start()
        return False

    def _write_beside(self, latest: float, loop: LoopThread) -> bool:
        """Let a thread write; of a cancel a coroutine hears without asking."""
        if self._alarm is None:
            wait = max(0.0, WRITE_EVERY - (time.monotonic() - latest))
            self._alarm = loop.loop.call_later(wait, self._strike, loop)
        return False

    def _strike(self, loop: LoopThread) -> None:
        self._alarm = None
        loop.later(self._write)

    def _write_later(self) -> None:
        """Write in a thread of the timer, over a connection of its own, and close that."""
        self._timer = None
        try:
            self.write()
        finally:
            self._runtime.close()

    def _write_lines(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if not lines:
            return
        self._written_at = now = time.monotonic()
        said = [
            SaidLine(
                offset=line.number - self._written,
                age=now - line.at,
                text=line.text,
                fields=line.fields,
            )
            for line in lines
        ]
        try:
            task_logs.keep(self._runtime.cursor(), self._lease, said)
        except psycopg.Error as error:
            log.warning("log of a task not written", error=str(error).strip())
        else:
            self._written = lines[-1].number

    def _write_progress(self) -> bool | None:
        progress, self._progress = self._progress, None
        if progress is None:
            return False
        self._told_at = time.monotonic()
        try:
            return attempts.report_progress(self._runtime.cursor(), self._lease, progress)
        except psycopg.Error as error:
            log.warning("progress of a task not written", error=str(error).strip())
            return False


def _storable(text: object) -> str:
    """Return text without what Postgres refuses: NUL and lone surrogates."""
    return str(text).replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _json(fields: dict[str, Any]) -> str:
    """Return fields as JSON; what has no form in JSON is shown as text."""
    try:
        text = msgspec.json.encode(fields, enc_hook=str).decode()
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        text = msgspec.json.encode({"unusable": _storable(error)}).decode()
    if len(text) > _LONGEST_FIELDS:
        text = msgspec.json.encode({"unusable": f"{len(text)} bytes of JSON"}).decode()
    return text.replace("\\u0000", "\\ufffd")
