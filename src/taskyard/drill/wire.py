"""What a client says on the wire, read just well enough to know when to swallow the reply.

Postgres: https://www.postgresql.org/docs/current/protocol-message-formats.html
AMQP 0-9-1: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, section 2.3.5.
"""

import struct
from collections.abc import Iterator
from typing import Protocol

_REQUESTS_BEFORE_STARTUP = frozenset({80877102, 80877103, 80877104})  # cancel, TLS, GSSAPI
_AMQP_HEADER = 8
_METHOD_FRAME = 1
_METHODS = {(60, 40): "basic.publish", (60, 80): "basic.ack", (60, 90): "basic.reject"}


class Ear(Protocol):
    """Hears the bytes of one connection's client and returns what it asked for."""

    def hear(self, data: bytes) -> list[str]:
        """Return what was said completely, in order."""


class PostgresEar:
    """Hears statements: of simple queries, and of prepared ones whenever they are bound."""

    def __init__(self) -> None:
        self._pending = b""
        self._started = False
        self._prepared: dict[bytes, str] = {}

    def hear(self, data: bytes) -> list[str]:
        """Return the SQL that was asked to run."""
        self._pending += data
        return [said for message in self._messages() if (said := self._statement(*message))]

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 1 if self._started else 0  # the first messages have no type
            if len(self._pending) < head + 4:
                return
            (length,) = struct.unpack_from("!I", self._pending, head)
            if len(self._pending) < head + length:
                return
            kind = self._pending[:head]
            body = self._pending[head + 4 : head + length]
            self._pending = self._pending[head + length :]
            if self._started:
                yield kind, body
            else:
                self._started = struct.unpack_from("!I", body)[0] not in _REQUESTS_BEFORE_STARTUP

    def _statement(self, kind: bytes, body: bytes) -> str | None:
        match kind:
            case b"Q":
                return body.rstrip(b"\0").decode("utf-8", "replace")
            case b"P":
                name, sql, *_ = body.split(b"\0", 2)
                self._prepared[name] = sql.decode("utf-8", "replace")
            case b"B":
                _portal, name, *_ = body.split(b"\0", 2)
                return self._prepared.get(name)
        return None


class AmqpEar:
    """Hears the methods that fault drills care for."""

    def __init__(self) -> None:
        self._pending = b""
        self._started = False

    def hear(self, data: bytes) -> list[str]:
        """Return the names of the methods called, such as basic.publish."""
        self._pending += data
        if not self._started and len(self._pending) >= _AMQP_HEADER:
            self._pending = self._pending[_AMQP_HEADER:]
            self._started = True
        return list(self._methods()) if self._started else []

    def _methods(self) -> Iterator[str]:
        while len(self._pending) >= 7:
            kind, _channel, size = struct.unpack_from("!BHI", self._pending)
            if len(self._pending) < size + 8:
                return
            if kind == _METHOD_FRAME:
                method = struct.unpack_from("!HH", self._pending, 7)
                yield _METHODS.get(method, "other")
            self._pending = self._pending[size + 8 :]


class HttpEar:
    """Hears request lines; requests are not looked into."""

    def hear(self, data: bytes) -> list[str]:
        """Return the request lines that begin in this piece."""
        lines = data.split(b"\r\n")
        return [line.decode("latin-1") for line in lines if line.endswith(b" HTTP/1.1")]
