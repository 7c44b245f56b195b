"""The effects ledger: a file outside the tested database, to which attempts append lines.

A line is shorter than the kernel's atomic write, so many processes may append at once, and what a
killed one has written stays.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import msgspec

from taskyard.drill.history import Effect

VARIABLE = "DRILL_LEDGER"  # where task code finds its path


def append(path: Path, effect: Effect) -> None:
    """Add one effect, in a single write."""
    line = msgspec.json.encode(asdict(effect)) + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[Effect]:
    """Return all effects in the order of their writing."""
    if path.exists():
        for line in path.read_bytes().splitlines():
            yield msgspec.json.decode(line, type=Effect)
