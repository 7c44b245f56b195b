"""Ears hear what clients say, however the bytes are cut."""

import struct

import pytest

from taskyard.drill.wire import AmqpEar, Ear, HttpEar, PostgresEar


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack("!BHI", kind, 1, len(payload)) + payload + b"\xce"


POSTGRES = (
    message(b"", struct.pack("!I", 80877103))  # may we speak TLS?
    + message(b"", struct.pack("!I", 196608) + b"user\0u\0\0")
    + message(b"p", b"password\0")
    + message(b"Q", b"BEGIN\0")
    + message(b"P", b"s1\0INSERT INTO t\0\0\0")
    + message(b"B", b"\0s1\0\0\0\0\0\0\0")
    + message(b"B", b"\0s1\0\0\0\0\0\0\0")
    + message(b"Q", b"COMMIT\0")
)
AMQP = (
    b"AMQP\0\0\x09\x01"
    + frame(1, struct.pack("!HH", 60, 40) + b"exchange")
    + frame(2, b"header")
    + frame(3, b"body" * 50)
    + frame(8, b"")
    + frame(1, struct.pack("!HH", 60, 80) + b"tag")
)


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
@pytest.mark.parametrize(
    ("ear", "spoken", "heard"),
    [
        (PostgresEar, POSTGRES, ["BEGIN", "INSERT INTO t", "INSERT INTO t", "COMMIT"]),
        (AmqpEar, AMQP, ["basic.publish", "basic.ack"]),
    ],
)
def test_what_was_said_is_heard(ear: type[Ear], spoken: bytes, heard: list[str], size: int) -> None:
    """Statements and methods are recognised in pieces of any size."""
    listening = ear()
    pieces = [spoken[at : at + size] for at in range(0, len(spoken), size)]
    assert [said for piece in pieces for said in listening.hear(piece)] == heard


def test_request_lines_are_heard() -> None:
    """Of HTTP only the first line counts."""
    said = HttpEar().hear(b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\n\r\n{}")
    assert said == ["POST /v1/tasks HTTP/1.1"]
